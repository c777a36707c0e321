"""`bootcamp progress explain | shortlist`: one student's reasons, for a mentor or in their own words; invitations on a date."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from autograder import course as courses
from autograder.commands.progress_audit import by_whom
from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Ledger

if TYPE_CHECKING:
    from autograder.progress import Finding


@click.command("explain")
@click.argument("student")
@click.option("--cohort", default=None, help="One cohort (default: everybody).")
@click.option("--as-of", type=click.IntRange(min=0), default=None, help="As the ledger stood after this event.")
@click.option("--own", is_flag=True, help="What the student is told.")
@click.pass_obj
def explain(home: Home, student: str, cohort: str | None, as_of: int | None, own: bool) -> None:
    """Explain one student: what carries the estimate, what speaks against it, what would settle it, who decided what."""
    from autograder.commands import progress

    report, names = progress.evaluate_course(home, courses.load(home.course_root), cohort, as_of)
    found = progress.find(report, names, student)
    if own:
        for line in own_view(found):
            click.echo(line)
    else:
        progress.explain(report, names, student)
    with Ledger.open(home.ledger_url) as ledger:
        for line in _decided(ledger, found.pseudonym):
            click.echo(line)


def own_view(found: Finding) -> list[str]:
    """Return what a student reads of themselves: their evidence, a band once it has settled, and what they may ask for."""
    from autograder.progress import State

    lines = [f"What counts so far: your first tries of {found.n_items} exercises in {found.n_notebooks} notebooks."]
    if found.n_skipped:
        lines.append(f"You handed in {found.n_skipped} exercises as they were; they say nothing about you, for or against.")
    lines += [f"Set aside, and not counted: {a}. You will be heard before anything follows from it." for a in found.set_aside]
    if found.state is State.NEEDS_EVIDENCE:
        lines.append("It is too early to say more. That is no judgement.")
        if found.settle and found.settle.next:
            names = ", ".join(f"{i.title} ({i.exercise})" for i in found.settle.next)
            lines.append(f"What would tell most: a first try of {names}.")
    else:
        low, high = found.interval90
        lines.append(f"Your estimate is a band and moves with new work: {low:+.1f} to {high:+.1f}, where 0 is the cohort's middle.")
        lines.append("Later tries never lower it, and your speed, hours and name never enter it.")
    if found.why:
        lines += [f"Hard, and solved at your first try: {s.title} ({s.exercise})." for s in found.why.hardest]
    lines.append("Nobody is turned down by this number: a person reads your work before anything is decided.")
    lines.append("You can ask for an exclusion, a regrade or a human review: tell an instructor, who records it with your reason.")
    return lines


@click.command("shortlist")
@click.option("--date", "date", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The decision date; seeds the draw.")
@click.option("--cohort", default=None, help="One cohort (default: everybody).")
@click.option("--record", "is_recorded", is_flag=True, help="Append it to the log; without this it is only shown.")
@by_whom
@click.pass_obj
def shortlist(home: Home, date: datetime, cohort: str | None, is_recorded: bool, actor: str) -> None:
    """List whom to invite on a decision date, from the newest recorded evaluation, and how many of them are expected false."""
    from autograder.progress import audit, load_policy
    from autograder.progress import shortlist as rule

    policy, day = load_policy(), f"{date:%Y-%m-%d}"
    with Ledger.open(home.ledger_url) as ledger:
        evaluation = audit.newest(ledger, cohort)
        if evaluation is None:
            raise BootcampError("no evaluation of this cohort is recorded. Record one first: bootcamp progress evaluate")
        rows = audit.rows_of(ledger, evaluation)
        # Who lacks evidence or waits for a human is not sorted out: they come up again at the next date.
        who = [
            rule.Candidate(pseudonym, r["p"], r["sd"])
            for pseudonym, r in sorted(rows.items())
            if r["state"] != "needs evidence" and not r["on_hold"]
        ]
        made = rule.choose(who, policy.shortlist, f"{day} {evaluation.id}")
        names = ledger.names(cohort)
        if is_recorded:
            event = ledger.record_all(rule.events(made, day, evaluation.id, cohort, policy), datetime.now(UTC), actor)[0]
    for c in made.invited:
        click.echo(f"{names.get(c.pseudonym, c.pseudonym)}: chance {c.p:.2f}")
    for c in made.explored:
        click.echo(f"{names.get(c.pseudonym, c.pseudonym)}: chance {c.p:.2f}, drawn from the middle to learn what a flag is worth")
    click.echo(f"{day}, evaluation {evaluation.id}, alpha {policy.shortlist.alpha:.2f}, {policy.shortlist.seats} seats: {made}.")
    click.echo(f"Recorded as event {event}, by {actor}." if is_recorded else "Not recorded; --record appends it to the log.")


def _decided(ledger: Ledger, pseudonym: str) -> list[str]:
    from autograder.progress.decisions import HUMAN

    found = ledger.events(0, HUMAN, subject=pseudonym, limit=10**6)
    return [
        f"{e.at:%Y-%m-%d} {e.kind.removeprefix('progress.')} by {e.actor}: "
        + ", ".join(f"{k} {v}" for k, v in e.payload.items() if v is not None)
        for e in found
    ]
