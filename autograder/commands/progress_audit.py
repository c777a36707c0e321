"""`bootcamp progress evaluate | rebuild | bank`: evaluations into the log, out of it again bit for bit, and items that last."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import click

from autograder import course as courses
from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Ledger

by_whom = click.option("--by", "actor", default=getpass.getuser, show_default="your login", help="Who answers for it.")


@click.command("evaluate")
@click.option("--cohort", default=None, help="One cohort (default: everybody).")
@by_whom
@click.pass_obj
def evaluate(home: Home, cohort: str | None, actor: str) -> None:
    """Evaluate as of now and record it: one audit row per student, from which every flag can be rebuilt."""
    from autograder.commands.progress import print_report
    from autograder.progress import audit, course_items, load_policy

    course = courses.load(home.course_root)
    with Ledger.open(home.ledger_url) as ledger:
        event, report = audit.record(ledger, cohort, course_items(course), load_policy(), datetime.now(UTC), actor)
        names = ledger.names(cohort)
    print_report(report, names)
    click.echo(f"Recorded as event {event}, by {actor}. To compute it again: bootcamp progress rebuild --at {event}")


@click.command("rebuild")
@click.option(
    "--at", type=click.IntRange(min=1), default=None, help="The evaluation at or before this event (default: the newest)."
)
@click.pass_obj
def rebuild(home: Home, at: int | None) -> None:
    """Compute a recorded evaluation again from the log alone, and compare every row, bit for bit."""
    from autograder.progress import audit

    with Ledger.open(home.ledger_url) as ledger:
        found = audit.rebuild(ledger, ledger.last_event() if at is None else at)
    what = f"Evaluation {found.evaluation}, as of event {found.as_of}: {found.n_rows} rows, {found.n_flags} flags"
    if not found.differ:
        click.echo(f"{what}; every one rebuilt bit for bit.")
        return
    shown = ", ".join(found.differ[:5]).strip(", ") or "the header"
    hint = ""
    if found.engine != found.recorded_engine:
        hint = f" It was made by engine {found.recorded_engine}, and this is {found.engine}: check out that version."
    raise BootcampError(f"{what}; {len(found.differ)} differ from what is recorded ({shown}).{hint}")


@click.command("bank")
@click.option("--from", "source", required=True, help="The finished cohort that the items are fitted on.")
@click.option("--for", "cohort", required=True, help="The cohort that is measured against them from now on.")
@by_whom
@click.pass_obj
def bank(home: Home, source: str, cohort: str, actor: str) -> None:
    """Keep a finished cohort's items as a bank, and measure a later cohort against it."""
    from autograder.progress import course_items, inputs, load_policy
    from autograder.progress.irt import hierarchy
    from autograder.progress.irt.bank import bank_of
    from autograder.progress.scores import collect

    course = course_items(courses.load(home.course_root))
    with Ledger.open(home.ledger_url) as ledger:
        read = inputs.read(ledger, source, ledger.last_event())
        scores = collect(read.first_tries, course, load_policy(), read.students, read.background.decided)
        fitted = hierarchy.fit(scores)
        if fitted is None:
            raise BootcampError(f'cohort "{source}" has no first try that counts: there is nothing to keep.')
        made = bank_of(fitted, source, scores.builds)
        payload = {"cohort": cohort, "version": made.version, "bank": made.as_json()}
        event = ledger.record(inputs.BANK, datetime.now(UTC), actor, None, payload)
    n = len(scores.pseudonyms)
    click.echo(f"Bank {made.version}: {len(made.items)} exercises from {n} students of {source}; event {event}, by {actor}.")
    click.echo(f"Cohort {cohort} is measured against it from now on, and hidden checks that drift are left out.")
