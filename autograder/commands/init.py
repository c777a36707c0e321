"""`bootcamp init`: nothing in, the state folder with a secret seed and nbgrader's course folder out."""

from __future__ import annotations

import click

from autograder import course as courses
from autograder.home import Home


@click.command("init")
@click.pass_obj
def command(home: Home) -> None:
    """Make the folder of a running course: seed, ledger, nbgrader's course folder. Running it again changes nothing."""
    from autograder.authoring.course_folder import prepare
    from autograder.records import Ledger

    course = courses.load(home.course_root)
    home.make()
    Ledger.open(home.ledger_url).close()
    prepare(course, home)
    seed = "The seed in BOOTCAMP_SEED" if home.seed_text else f"The seed in {home.seed_file}"
    click.echo(f"{course.title}: state in {home.path}. {seed} is secret: back it up, show it to nobody.")
