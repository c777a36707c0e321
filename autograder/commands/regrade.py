"""`bootcamp regrade`: every attempt replayed under today's checks; what that changes shown, or appended, or undone."""

from __future__ import annotations

import getpass
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from autograder import course as courses
from autograder.course import Course
from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Ledger
from autograder.records.regrading import COMMITTED, RULES, UNDONE, Change, Decision, Regrade, Replayed, Rule, commit, preview, undo
from autograder.regrades import previews

if TYPE_CHECKING:
    from autograder.commands.replaying import Replay
    from autograder.progress import Finding, Report

    _Flip = tuple[Finding, Finding]  # before and after

_SHOWN = 20


@click.command("regrade")
@click.argument("assignment", default="")
@click.option("--preview", "mode", flag_value="preview", default=True, help="Show what would change (the default).")
@click.option("--commit", "mode", flag_value="commit", help="Append it. Needs --rule and --reason.")
@click.option("--list", "mode", flag_value="list", help="List the regrades there were.")
@click.option("--undo", "event", type=click.IntRange(min=1), help="Undo the regrade with this event number. Needs --reason.")
@click.option("--rule", type=click.Choice(RULES), help="true: the new verdicts stand. never-lower: points only rise.")
@click.option("--reason", default="", help="Why; students read it beside their changed result.")
@click.option("--workers", default=os.cpu_count() or 1, show_default="cores", help="Grading processes.")
@click.option("--all", "show_all", is_flag=True, help=f"Show every change, not the first {_SHOWN}.")
@click.pass_obj
def command(
    home: Home,
    assignment: str,
    mode: str,
    event: int | None,
    rule: Rule | None,
    reason: str,
    workers: int,
    show_all: bool,
) -> None:
    """Replay every attempt at ASSIGNMENT under the checks, reference and engine that are here now.

    The ledger is only appended to: the first try stays the first try, and an undo is another append. What did not change
    since a verdict was given is not run again.
    """
    course = courses.load(home.course_root)
    with Ledger.open(home.ledger_url) as ledger:
        if event is not None:
            _undo(ledger, event, reason)
            _publish(home, course, ledger)
        elif mode == "list":
            _list(ledger)
        else:
            if mode == "commit" and (rule is None or not reason.strip()):
                raise BootcampError("--commit needs --rule true or --rule never-lower, and --reason for the students to read.")
            _regrade(home, course, ledger, assignment, mode == "commit", rule or "true", reason, workers, show_all)


def _regrade(
    home: Home,
    course: Course,
    ledger: Ledger,
    assignment: str,
    committing: bool,
    rule: Rule,
    reason: str,
    workers: int,
    show_all: bool,
) -> None:
    from autograder.commands.replaying import replay
    from autograder.grading.bundle import build_id

    build = build_id(course.assignment(assignment))
    attempts = ledger.attempts(assignment=assignment)
    if not attempts:
        raise BootcampError(f"nobody has handed in {assignment}: there is nothing to regrade.")
    done = replay(home, ledger, attempts, build, workers, _bar)
    if not done.replayed:
        raise BootcampError(f"no attempt could be replayed: {next(iter(done.faults.values()))}")
    before = _evaluate(course, ledger, None)
    now = datetime.now(UTC)
    make = commit if committing else preview
    found = make(ledger, Decision(assignment, rule, reason, getpass.getuser()), done.replayed, now)
    flips = _flips(before, _evaluate(course, ledger, found))
    _show(ledger, done, found, flips, rule, show_all)
    if committing:
        previews.forget(home.previews, assignment)
        click.echo(f"Appended as event {found.event}. Undo it with: bootcamp regrade --undo {found.event} --reason ...")
        _publish(home, course, ledger)
    else:
        said = [previews.Flip(old.pseudonym, old.state, new.state) for old, new in flips]
        who, event, n_faults = getpass.getuser(), ledger.last_event(), len(done.faults)
        shown = previews.preview_of(found, assignment, rule, build, n_faults, said, now, who, event)
        previews.keep(home.previews, shown)
        click.echo("Nothing was changed; the page Teaching, Regrades shows it, too.")
        click.echo(f"Append it with: bootcamp regrade {assignment} --commit --rule {rule} --reason ...")


def _show(ledger: Ledger, done: Replay, found: Regrade, flips: Sequence[_Flip], rule: Rule, show_all: bool) -> None:
    from rich.table import Table

    from autograder.commands.console import console

    screen, names = console(), ledger.names()
    by_exercise: dict[str, list[Change]] = defaultdict(list)
    for c in found.changes:
        by_exercise[c.exercise].append(c)
    table = Table("exercise", "verdicts changed", "up", "down", "points", title=f"{found.n_attempts} attempts replayed")
    for exercise, changes in sorted(by_exercise.items()):
        up, down = sum(c.gain > 0 for c in changes), sum(c.gain < 0 for c in changes)
        table.add_row(exercise, str(len(changes)), str(up), str(down), f"{sum(c.gain for c in changes):+g}")
    if by_exercise:
        screen.print(table)
        _show_students(found.changes, names, show_all)
    else:
        click.echo(f"{found.n_attempts} attempts replayed: no standing verdict changes.")
    if found.n_kept:
        click.echo(f"{found.n_kept} verdicts would have cost points and are left out (rule {rule}).")
    click.echo(f"Tracker: {len(flips)} states change." if flips else "Tracker: no state changes.")
    for old, new in sorted(flips, key=lambda pair: names.get(pair[0].pseudonym, "")):
        who = names.get(old.pseudonym, old.pseudonym)
        click.echo(f"  {who}: {old.state} → {new.state} (chance {old.p:.2f} → {new.p:.2f})")
    n_new = len(done.replayed) - done.n_remembered
    click.echo(f"Cost: {done.cpu_s:.1f} CPU s for {n_new} attempts; {done.n_remembered} were replayed before.")
    for why in dict.fromkeys(done.faults.values()):
        n = sum(f == why for f in done.faults.values())
        click.echo(f"{n} attempts are left as they are, by our fault: {why}", err=True)


def _show_students(changes: tuple[Change, ...], names: Mapping[str, str], show_all: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from autograder.commands.console import console

    table = Table("student", "exercise", "before", "after", "points")
    ordered = sorted(changes, key=lambda c: (names.get(c.pseudonym, c.pseudonym), c.exercise))
    for c in ordered if show_all else ordered[:_SHOWN]:
        was = "unscored" if c.points_before is None else f"{c.points_before:g}"
        who = escape(names.get(c.pseudonym, c.pseudonym))
        table.add_row(who, c.exercise, c.status_before or "-", c.status_after, f"{was} → {c.points_after:g}")
    console().print(table)
    if len(ordered) > _SHOWN and not show_all:
        click.echo(f"... and {len(ordered) - _SHOWN} more: --all")


def _evaluate(course: Course, ledger: Ledger, found: Regrade | None) -> Report:
    from autograder.progress import course_items, inputs, load_policy

    now = inputs.read(ledger, None, ledger.last_event())
    return (replace(now, first_tries=tuple(found.first_tries)) if found else now).evaluate(course_items(course), load_policy())


def _flips(before: Report, after: Report) -> list[_Flip]:
    was = {f.pseudonym: f for f in before.students}
    return [(was[f.pseudonym], f) for f in after.students if f.pseudonym in was and was[f.pseudonym].state != f.state]


def _undo(ledger: Ledger, event: int, reason: str) -> None:
    if not reason.strip():
        raise BootcampError("--undo needs --reason for the students to read.")
    done = undo(ledger, event, reason.strip(), datetime.now(UTC), getpass.getuser())
    click.echo(f"Regrade {event} undone by event {done.event}: {done.n_restored} verdicts stand again.")
    if done.n_skipped:
        click.echo(f"{done.n_skipped} attempts are left alone: they were graded anew since, or had no score before.")
    if done.n_unscorable:
        click.echo(f"{done.n_unscorable} verdicts keep their new score: before, they were unscored by our fault.")


def _list(ledger: Ledger) -> None:
    n, last = 0, 0
    while batch := ledger.events(last, (COMMITTED, UNDONE)):
        for e in batch:
            n += 1
            what = f"undoes {e.payload['undoes']}" if e.kind == UNDONE else f"rule {e.payload['rule']}"
            click.echo(f"{e.id:>7}  {e.at:%Y-%m-%d %H:%M}  {e.payload['assignment']}  {what}: {e.payload['reason']} ({e.actor})")
        last = batch[-1].id
    if not n:
        click.echo("There was no regrade yet.")


def _publish(home: Home, course: Course, ledger: Ledger) -> None:
    from autograder.nbgrader_bridge.projection import Projector

    if (home.nbgrader_root / "gradebook.db").is_file():
        done = Projector(home, course, ledger).catch_up()
        click.echo(f"{done.n_written} results brought up to date in nbgrader's gradebook.")


def _bar(ends: Iterator[Replayed | str], n: int) -> Iterator[Replayed | str]:
    from rich.progress import track

    from autograder.commands.console import console

    yield from track(ends, "replaying", n, console=console(stderr=True), transient=True) if n else ends
