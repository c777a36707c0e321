"""`bootcamp progress explain | shortlist`: one student's reasons, for a mentor or in their own words; invitations on a date."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from autograder import course as courses
from autograder.commands.progress_audit import by_whom
from autograder.home import Home
from autograder.records import Ledger


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
        from autograder.progress.own import ASK, own_view

        for line in (*own_view(found), ASK):
            click.echo(line)
    else:
        progress.explain(report, names, student)
    with Ledger.open(home.ledger_url) as ledger:
        for line in _decided(ledger, found.pseudonym):
            click.echo(line)


@click.command("shortlist")
@click.option("--date", "date", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The decision date; seeds the draw.")
@click.option("--cohort", default=None, help="One cohort (default: everybody).")
@click.option("--record", "is_recorded", is_flag=True, help="Append it to the log; without this it is only shown.")
@by_whom
@click.pass_obj
def shortlist(home: Home, date: datetime, cohort: str | None, is_recorded: bool, actor: str) -> None:
    """List whom to invite on a decision date, from the newest recorded evaluation, and how many of them are expected false."""
    from autograder.progress import inviting, load_policy

    policy, day = load_policy(), f"{date:%Y-%m-%d}"
    with Ledger.open(home.ledger_url) as ledger:
        drafted = inviting.draft(ledger, cohort, day, policy)
        made, names = drafted.made, ledger.names(cohort)
        said = "Not recorded; --record appends it to the log."
        if is_recorded:
            event, is_new = inviting.record(ledger, drafted, cohort, policy, datetime.now(UTC), actor)
            said = f"Recorded as event {event}, by {actor}." if is_new else f"Recorded already, as event {event}."
    for c in made.invited:
        click.echo(f"{names.get(c.pseudonym, c.pseudonym)}: chance {c.p:.2f}")
    for c in made.explored:
        click.echo(f"{names.get(c.pseudonym, c.pseudonym)}: chance {c.p:.2f}, drawn from the middle to learn what a flag is worth")
    click.echo(
        f"{day}, evaluation {drafted.evaluation.id}, alpha {policy.shortlist.alpha:.2f}, {policy.shortlist.seats} seats: {made}."
    )
    click.echo(said)


def _decided(ledger: Ledger, pseudonym: str) -> list[str]:
    from autograder.progress.decisions import HUMAN

    found = ledger.events(0, HUMAN, subject=pseudonym, limit=10**6)
    return [
        f"{e.at:%Y-%m-%d} {e.kind.removeprefix('progress.')} by {e.actor}: "
        + ", ".join(f"{k} {v}" for k, v in e.payload.items() if v is not None)
        for e in found
    ]
