"""`bootcamp build`: lessons and solutions in, release/ out."""

from __future__ import annotations

import click

from autograder import course as courses
from autograder.home import Home


@click.command("build")
@click.argument("assignments", nargs=-1)
@click.pass_obj
def command(home: Home, assignments: tuple[str, ...]) -> None:
    """Build the release of ASSIGNMENTS (default: all). A second run changes no byte."""
    from autograder.authoring.build import build

    course = courses.load(home.course_root)
    for built in build(course, home.course_root / "release", assignments or None):
        what = f"changed {', '.join(built.changed)}" if built.changed else "nothing changed"
        click.echo(f"{built.assignment}: {built.n_exercises} exercises, {built.points:g} points; {what}")
