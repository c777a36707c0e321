"""The small course, built and prepared for nbgrader, with a door that grades it in this process.

Preparing costs 3 s, so it is done once in a process; every test gets a copy of its own.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import sys
import tempfile
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path

from autograder.authoring.build import build
from autograder.authoring.course_folder import prepare
from autograder.course import Course, load
from autograder.grading.verdict import CheckResult, Graded, Status, Verdict
from autograder.home import Home
from autograder.submission.compose import compose
from autograder.submission.definitions import definitions
from autograder.submission.read import read
from tests.small_course import SOLUTION, write_course

ID = "s1_sums"
FULL = {"s1_sums.total": 4.0, "s1_sums.running_mean": 5.0, "s1_sums.low": 1.5, "s1_sums.countdown": 0.0}
OUR_FAULT = "# the door fails on this line"


@cache
def _template() -> Path:
    root = Path(tempfile.mkdtemp(prefix="small-course-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    course = write_course(root)
    build(course, root / "release")
    prepare(course, _home(root))
    return root


def small_home(folder: Path) -> tuple[Course, Home]:
    """Return a prepared course below `folder`, nobody's submission in it yet."""
    root = folder / "small"
    shutil.copytree(_template(), root)
    course, home = load(root), _home(root)
    prepare(course, home)  # the configuration names the folder
    return course, home


def _home(root: Path) -> Home:
    return Home.from_env({"BOOTCAMP_HOME": str(root / "var")}, root)


def answers(**changed: str) -> dict[str, str]:
    """Return a right answer for every exercise, by its id; keyword arguments (exercise=source) replace some."""
    source = definitions(SOLUTION)
    right = {
        "total": source["total"],
        "running_mean": source["RunningMean"],
        "low": source["low"] + "\n" + source["high"],
        "countdown": source["countdown"],
    }
    return {f"{ID}.{name}": text for name, text in {**right, **changed}.items()}


def handed_in(course: Course, given: Mapping[str, str]) -> bytes:
    """Return the notebook of a student who wrote these answers and left the rest as it was."""
    return compose(course.assignment(ID).manifest(), given)


class SmallDoor:
    """Grades by running the visible checks in this process: a small grader, but a real one. Writes down whom it graded."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def grade(self, raw: bytes, assignment: str, student: str, received_at: datetime) -> Graded:
        of = load(self.home.course_root).assignment(assignment)
        checks = types.ModuleType("checks")
        exec((of.folder / "checks.py").read_text(), checks.__dict__)
        submission = read(raw, of.manifest())
        verdicts = []
        for e in of.manifest().exercises:
            answer = submission.answers[e.id]
            if not answer.attempted:
                verdicts.append(Verdict(e.id, Status.SKIPPED, 0.0, e.points, (), "Not attempted yet."))
                continue
            check = getattr(checks, f"check_{e.cell_id}")
            status, hint = self._run([c.source for c in answer.program], e.names, check)
            points = {Status.PASS: e.points, Status.INFRA: None}.get(status, 0.0)
            result = CheckResult(check.__name__, status, 1.0, True, hint=hint)
            verdicts.append(Verdict(e.id, status, points, e.points, (result,), hint))
        with (self.home.path / "door.log").open("a") as log:
            log.write(json.dumps([student, assignment, received_at.isoformat()]) + "\n")
        return Graded(assignment, hashlib.sha256(raw).hexdigest(), tuple(verdicts), "small", "B")

    def _run(self, program, names, check):
        namespace: dict[str, object] = {"__name__": "student"}
        sys.modules.setdefault("student", types.ModuleType("student"))  # dataclasses look their module up
        if any(OUR_FAULT in source for source in program):
            return Status.INFRA, "Our fault, not yours: this will be graded again."
        try:
            for source in program:
                exec(source, namespace)
            check(*(namespace[n] for n in names))
        except AssertionError as e:
            return Status.FAIL, str(e) or "A value is wrong."
        except Exception as e:
            return Status.ERROR, f"{type(e).__name__}: {e}"
        return Status.PASS, ""


@contextmanager
def open_small_door(home: Home) -> Iterator[SmallDoor]:
    yield SmallDoor(home)
