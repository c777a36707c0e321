"""`bootcamp progress`: the ledger in; who is where, how sure that is, and why, out. Its subcommands decide, audit, simulate."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING

import click

from autograder import course as courses
from autograder.course import Course
from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Ledger

if TYPE_CHECKING:
    from autograder.progress import Finding, Report

_MEANING = (
    "Chance: that the student ends in the top tenth. Band: 90 % interval, in prior SDs. "
    "A flag is an invitation to look, never a verdict."
)
_SUBCOMMANDS = {
    "evaluate": "progress_audit",
    "rebuild": "progress_audit",
    "bank": "progress_audit",
    "explain": "progress_people",
    "shortlist": "progress_people",
    "review": "progress_decisions",
    "appeal": "progress_decisions",
    "set-aside": "progress_decisions",
    "clear": "progress_decisions",
    "simulate": "progress_simulate",
    "bench": "progress_simulate",
    "reliability": "progress_simulate",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUBCOMMANDS:
            return None
        module = importlib.import_module(f"autograder.commands.{_SUBCOMMANDS[cmd_name]}")
        found: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return found


@click.group("progress", cls=_Lazy, invoke_without_command=True)
@click.option("--cohort", default=None, help="One cohort (default: everybody).")
@click.option("--as-of", type=click.IntRange(min=0), default=None, help="As the ledger stood after this event.")
@click.option("--student", default="", help="Explain one student.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.pass_context
def command(ctx: click.Context, cohort: str | None, as_of: int | None, student: str, as_json: bool) -> None:
    """Evaluate the tracker: state, interval and reasons of every student, from first graded tries only.

    Without a subcommand it shows and records nothing.
    """
    if ctx.invoked_subcommand:
        return
    home: Home = ctx.obj
    course = courses.load(home.course_root)
    report, names = evaluate_course(home, course, cohort, as_of)
    if student:
        explain(report, names, student)
    elif as_json:
        click.echo(json.dumps({**report.as_json(), "names": names}, indent=1))
    else:
        print_report(report, names)


def evaluate_course(
    home: Home, course: Course, cohort: str | None = None, as_of: int | None = None
) -> tuple[Report, dict[str, str]]:
    """Return the tracker's report and the names of those in it. Raises: BootcampError when the event does not exist yet."""
    from autograder.progress import course_items, inputs, load_policy

    with Ledger.open(home.ledger_url) as ledger:
        last = ledger.last_event()
        if as_of is not None and as_of > last:
            raise BootcampError(f"--as-of {as_of}: the ledger's newest event is {last}.")
        read = inputs.read(ledger, cohort, last if as_of is None else as_of)
        names = ledger.names(cohort)
    return read.evaluate(course_items(course), load_policy()), names


def find(report: Report, names: dict[str, str], student: str) -> Finding:
    """Return what the report says of a student, by name or pseudonym. Raises: BootcampError when there is none."""
    found = next((f for f in report.students if student in (names.get(f.pseudonym), f.pseudonym)), None)
    if found is None:
        known = ", ".join(sorted(names.values())[:10])
        raise BootcampError(f'no student "{student}" in this report. There are: {known}{" …" if len(names) > 10 else ""}.')
    return found


def print_report(report: Report, names: dict[str, str]) -> None:
    """Print one row per student, by state and then by name: no list of the last."""
    from rich.markup import escape
    from rich.table import Table

    from autograder.commands.console import console
    from autograder.progress import State

    screen = console()
    if not report.students:
        screen.print("Nobody is enrolled yet. Grade notebooks first: bootcamp grade PATH...")
        return
    title = f"{len(report.students)} students, {report.n_first_tries} first tries of {report.n_exercises} exercises"
    table = Table(
        "student",
        "state",
        "chance",
        "band",
        "first tries",
        "why, or what is missing",
        title=f"{title}, as of event {report.last_event}",
    )
    order = list(State)
    for f in sorted(report.students, key=lambda f: (-order.index(f.state), names.get(f.pseudonym, f.pseudonym))):
        low, high = f.interval90
        reason = f.reasons[0] if f.reasons else ""
        who = escape(names.get(f.pseudonym, f.pseudonym))
        table.add_row(who, state_of(f), f"{f.p:.2f}", f"{low:+.1f} … {high:+.1f}", str(f.n_items), escape(reason))
    screen.print(table)
    if report.too_early:
        screen.print(report.too_early, style="bold", markup=False)
    for why, n in report.left_out.items():
        screen.print(f"{n} first tries left out: {why}", style="dim", markup=False)
    for s in report.suspects:
        text = f"{s.exercise}: by its results the check {s.way or 'is not what it was'} under build {s.grader_build}"
        said = f"{text} ({abs(s.z):.1f} standard errors from the bank); left out until cleared."
        screen.print(said, style="bold", markup=False)
    engine = f"{report.engine}, checked by {report.cross_check}" if report.cross_check else report.engine
    screen.print(f"{_MEANING} Engine {engine}, policy {report.policy}.", style="dim", markup=False)


def explain(report: Report, names: dict[str, str], student: str) -> None:
    """Print everything that the report says of one student. Raises: BootcampError when there is no such student."""
    found = find(report, names, student)
    low, high = found.interval90
    click.echo(f"{student} ({found.pseudonym}): {state_of(found)}, chance {found.p:.2f}, band {low:+.2f} to {high:+.2f}")
    counts = f"{found.n_items} first tries in {found.n_notebooks} notebooks, {found.n_skipped} skipped"
    click.echo(f"{counts}, rank {found.rank90[0]} to {found.rank90[1]} of {len(report.students)}")
    if found.before is not None:
        click.echo(f"State at the last recorded evaluation: {found.before}.")
    for reason in found.reasons:
        click.echo(f"- {reason}")
    if found.is_rising:
        click.echo(f"- Rising: grows faster than the cohort with a chance of {found.p_growing:.2f}. Never a reason alone.")
    for assignment in found.set_aside:
        click.echo(f"- {assignment} was set aside and does not count.")
    click.echo(_MEANING)


def state_of(finding: Finding) -> str:
    """Return the state in the words of the pages."""
    return {"none": "no flag", "dropped": "no longer flagged"}.get(finding.state, str(finding.state))
