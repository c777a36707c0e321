"""`bootcamp serve`: a course and its state in; JupyterHub with the pages on 127.0.0.1 out, until Ctrl-C."""

from __future__ import annotations

import os
import sys

import click

from autograder import course as courses
from autograder.home import Home

PORT = 8000


@click.command("serve")
@click.option("--port", default=PORT, show_default=True, help="Where JupyterHub listens on 127.0.0.1.")
@click.option("--student", "students", multiple=True, help="A student account; may be repeated. Default: everyone enrolled.")
@click.option("--instructor", "instructors", multiple=True, default=("ines",), show_default=True)
@click.option("--organizer", "organizers", multiple=True, default=("olga",), show_default=True)
@click.option("--workers", default=os.cpu_count() or 1, show_default="cores", help="Graders for what is handed in.")
@click.pass_obj
def command(
    home: Home, port: int, students: tuple[str, ...], instructors: tuple[str, ...], organizers: tuple[str, ...], workers: int
) -> None:
    """Start JupyterHub on this machine for everyone in the ledger. One Unix user plays everybody: to try, not to run a term on."""
    from autograder.records import Ledger
    from autograder.service.hub import Accounts, is_account
    from autograder.service.launch import launch

    course = courses.load(home.course_root)
    home.make()
    if not students:
        with Ledger.open(home.ledger_url) as ledger:
            students = tuple(sorted(ledger.names().values()))
    staff = {*instructors, *organizers}
    names = [s for s in students if s not in staff]
    fit = tuple(s for s in names if is_account(s))
    for name in names:
        if name not in fit:
            click.echo(f"{name!r} gets no account: the Hub's names are lower-case letters and digits.", err=True)
    accounts = Accounts(fit, instructors, organizers)
    sys.exit(launch(home, course, port, accounts, say=click.echo, n_workers=workers))
