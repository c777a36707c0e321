"""`bootcamp release`: assignments in; what students can fetch out, if the gate has passed exactly these files."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import click

from autograder import course as courses
from autograder.home import Home


@click.command("release")
@click.argument("assignments", nargs=-1, required=True)
@click.option("--withdraw", is_flag=True, help="Take the release back; what was handed in is kept.")
@click.pass_obj
def command(home: Home, assignments: tuple[str, ...], withdraw: bool) -> None:
    """Release ASSIGNMENTS to students, or a newer build of them.

    An assignment that has not passed `bootcamp check` with these very files is refused. Nothing is released half: all
    names are looked at first, and each assignment goes out whole.
    """
    from autograder.records import Ledger
    from autograder.service.desk import exchange_of

    course = courses.load(home.course_root)
    for assignment_id in assignments:
        course.assignment(assignment_id)
    home.make()
    by = getpass.getuser()
    with Ledger.open(home.ledger_url) as ledger:
        exchange = exchange_of(course, ledger, home.path, lambda: datetime.now(UTC))
        for assignment_id in assignments:
            if withdraw:
                exchange.withdraw(assignment_id, by)
                click.echo(f"{assignment_id}: withdrawn. Nobody can fetch it or hand it in; what was handed in is kept.")
                continue
            release = exchange.release(assignment_id, None, by)
            click.echo(f"{assignment_id}: {len(release.files)} files released; gate {release.gate}")
