"""`bootcamp demo`: a course in; a made-up cohort, graded, and JupyterHub showing it out."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from autograder import course as courses
from autograder.commands.batch import Result, find_entries, grade_batch
from autograder.commands.serve import PORT
from autograder.course import Assignment, Course
from autograder.grading.bundle import build_id
from autograder.home import Home
from autograder.records import Ledger

INSTRUCTOR, ORGANIZER, MENTOR = "ines", "olga", "max"
COHORT = "demo"
_DEMO_SEED = 24
_DEMO_WEEKS = 2  # that the cohort has behind it: later assignments are released and still open


@click.command("demo")
@click.option("--port", default=PORT, show_default=True, help="Where JupyterHub listens on 127.0.0.1.")
@click.option("--no-hub", is_flag=True, help="Stop after grading and evaluating.")
@click.option("--weeks", default=_DEMO_WEEKS, show_default=True, help="Weeks of the course that the cohort has behind it.")
@click.option("--workers", default=os.cpu_count() or 1, show_default="cores", help="Grading processes.")
@click.pass_obj
def command(home: Home, port: int, no_hub: bool, weeks: int, workers: int) -> None:
    """Build the course, grade a made-up cohort of 24 notebooks in the box, and leave JupyterHub open with the results."""
    course = courses.load(home.course_root)
    home.make()
    _say("1/4  building the release")
    _build(home, course)
    _say("2/4  making 24 notebooks and grading them in the box")
    names = _graded_cohort(home, course, weeks, workers)
    _say("3/4  evaluating the tracker")
    _evaluate(home, course)
    if no_hub:
        return
    _say("4/4  releasing and starting JupyterHub")
    _release(home, course)
    from autograder.service.hub import Accounts
    from autograder.service.launch import launch

    accounts = Accounts(names, (INSTRUCTOR,), (ORGANIZER,), (MENTOR,))
    sys.exit(launch(home, course, port, accounts, say=click.echo, n_workers=workers))


def _say(what: str) -> None:
    click.echo(click.style(what, bold=True))


def _build(home: Home, course: Course) -> None:
    """Build and prepare nbgrader's course folder, unless nothing has changed since the last time."""
    key = _key_of(course)
    stamp = home.path / "built"
    if stamp.is_file() and stamp.read_text("ascii") == key and (home.nbgrader_root / "gradebook.db").is_file():
        return
    from autograder.authoring.build import build
    from autograder.authoring.course_folder import prepare

    build(course, course.root / "release")
    prepare(course, home)
    stamp.write_text(_key_of(course), "ascii")


def _key_of(course: Course) -> str:
    """Hash everything that the release and nbgrader's folder are made of."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    folders = [course.root / "assignments", course.root / "solutions", course.root / "release"]
    folders += [package / "authoring", package / "nbgrader_bridge"]
    for path in sorted(p for folder in folders for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _graded_cohort(home: Home, course: Course, weeks: int, workers: int) -> tuple[str, ...]:
    """Grade the cohort's notebooks of the first weeks that this build has not graded yet; return the students' names."""
    from autograder.authoring.cohort import NAMES

    for n, assignment in enumerate(a for a in course if a.week <= weeks):
        folder = home.path / "demo" / "submitted"
        paths = [folder / name / assignment.id / f"{assignment.id}.ipynb" for name in NAMES]
        if not all(p.is_file() for p in paths):
            _write_cohort(assignment, folder, n)
        todo = [p for p in paths if not _is_graded(home, assignment, p)]
        if todo:
            _grade(home, course, todo, workers)
    return NAMES


def _write_cohort(assignment: Assignment, folder: Path, n: int) -> None:
    """Write the cohort's notebooks of the n-th assignment: the same abilities throughout, accidents in the first one."""
    import numpy as np

    from autograder.authoring.cohort import draw_abilities, make_cohort
    from autograder.grading.bundle import load_bundle

    bundle = load_bundle(assignment, variants=True)
    released = json.loads((assignment.release / f"{assignment.id}.ipynb").read_text("utf-8"))
    abilities = draw_abilities(np.random.default_rng(_DEMO_SEED))
    for member in make_cohort(bundle, released, abilities, np.random.default_rng([_DEMO_SEED, n]), accidents=n == 0):
        path = folder / member.name / assignment.id / f"{assignment.id}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(member.raw)
        if member.accident:
            click.echo(f"     {member.name}: {member.accident}")


def _is_graded(home: Home, assignment: Assignment, path: Path) -> bool:
    build = build_id(assignment)
    with Ledger.open(home.ledger_url) as ledger:
        student = ledger.student(path.parent.parent.name)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        attempt = ledger.find(student.pseudonym, assignment.id, sha256) if student else None
        return attempt is not None and any(g.grader_build == build and (g.complete or g.error) for g in ledger.gradings(attempt.id))


def _grade(home: Home, course: Course, paths: list[Path], workers: int) -> None:
    from autograder.commands.publish import publish
    from autograder.commands.results_table import show, watch

    entries = find_entries(course, paths)
    started = time.monotonic()
    ends = grade_batch(home, entries, COHORT, workers, keep=True, now=lambda: datetime.now(UTC))
    results: list[Result] = watch(entries, ends, quiet=False)
    show(results)
    n = publish(home, course, results)
    click.echo(f"     {len(results)} notebooks in {time.monotonic() - started:.1f} s; {n} published to nbgrader's gradebook")


def _release(home: Home, course: Course) -> None:
    """Let every assignment out. The gate takes minutes, and this cohort is made up; `bootcamp release` insists on it."""
    from autograder.service.desk import exchange_of

    with Ledger.open(home.ledger_url) as ledger:
        exchange = exchange_of(course, ledger, home.path, lambda: datetime.now(UTC))
        for assignment in course:
            exchange.release(assignment.id, None, INSTRUCTOR, waived="a demonstration")


def _evaluate(home: Home, course: Course) -> None:
    from autograder.commands.progress import evaluate_course, print_report

    print_report(*evaluate_course(home, course))
