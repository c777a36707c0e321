"""`bootcamp grade`: notebooks in; verdicts in the ledger, scores in nbgrader's gradebook, a table on the screen out."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from autograder import course as courses
from autograder.commands.batch import find_entries, grade_batch
from autograder.home import Home


@click.command("grade")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--assignment", default="", help="The assignment, where neither path nor notebook says it.")
@click.option("--student", default="", help="The student of a single notebook (default: from the path).")
@click.option("--cohort", default="default", show_default=True, help="Enrol unknown students into this cohort.")
@click.option("--workers", default=os.cpu_count() or 1, show_default="cores", help="Grading processes.")
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON instead of the table.")
@click.option("--dry-run", is_flag=True, help="Grade only: record and publish nothing.")
@click.pass_obj
def command(
    home: Home,
    paths: tuple[Path, ...],
    assignment: str,
    student: str,
    cohort: str,
    workers: int,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Grade the notebooks PATHS, or every notebook in folders.

    A path like STUDENT/ASSIGNMENT/NAME.ipynb (nbgrader's layout) says whose it is; else the file's name is the
    student's and the notebook says the assignment. Exit status: 0 all graded, 1 some file was unreadable,
    2 nothing could be done, 3 something is unscored by our fault.
    """
    course = courses.load(home.course_root)
    entries = find_entries(course, paths, assignment, student)
    from autograder.commands.results_table import show, watch

    home.make()
    ends = grade_batch(home, entries, cohort, workers, keep=not dry_run, now=lambda: datetime.now(UTC))
    results = watch(entries, ends, as_json)
    # Shown before anything else can go wrong: the ledger holds these results already.
    if as_json:
        click.echo(json.dumps([r.as_json() for r in results], indent=1))
    else:
        show(results)
    if not dry_run:
        from autograder.commands.publish import publish

        n = publish(home, course, results)
        click.echo(f"{n} results stand in nbgrader's gradebook, {home.nbgrader_root / 'gradebook.db'}", err=as_json)
    sys.exit(3 if any(r.is_ours for r in results) else 1 if any(r.is_unreadable for r in results) else 0)
