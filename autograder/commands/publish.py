"""`bootcamp publish`: the ledger in; nbgrader's gradebook and folders brought up to date, or made again, out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from autograder import course as courses
from autograder.commands.batch import Result
from autograder.course import Course
from autograder.home import Home


@click.command("publish")
@click.option("--rebuild", is_flag=True, help="Make it again from the ledger, whatever it holds or lacks.")
@click.pass_obj
def command(home: Home, rebuild: bool) -> None:
    """Bring nbgrader's gradebook up to date with the ledger, and the ledger with what people scored in formgrader.

    The gradebook is a projection: a lost or damaged one is made again by --rebuild (move a damaged gradebook.db away first).
    Scores and remarks given by hand are events of the ledger from the first publication after they were given.
    """
    from autograder.authoring.course_folder import prepare
    from autograder.nbgrader_bridge import manual
    from autograder.nbgrader_bridge.projection import Projector
    from autograder.records import Ledger

    course = courses.load(home.course_root)
    home.make()
    path = home.nbgrader_root / "gradebook.db"
    with Ledger.open(home.ledger_url) as ledger:
        # First what only the gradebook knows; a gradebook that was lost says nothing, which takes nothing back.
        n_new = manual.collect(ledger, path, datetime.now(UTC), whole=not rebuild)
        prepare(course, home)
        projector = Projector(home, course, ledger)
        done = projector.everything() if rebuild else projector.catch_up()
        n_restored = manual.restore(path, manual.newest(ledger)) if rebuild else 0
    click.echo(f"{done.n_written} submissions published, {n_new} cells scored or remarked by hand taken into the ledger.")
    if rebuild:
        click.echo(f"{n_restored} cells scored or remarked by hand put back.")
    for line in done.left_out:
        click.echo(f"left out: {line}", err=True)


def publish(home: Home, course: Course, results: Sequence[Result]) -> int:
    """Publish what was graded, after making sure that nbgrader's course folder fits the release."""
    from autograder.authoring.course_folder import prepare
    from autograder.nbgrader_bridge.publish import publish_results

    prepare(course, home)
    return publish_results(home, course, results)
