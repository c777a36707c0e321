"""The real door grades in the box and records as `bootcamp grade` does."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.grading.pool import Pool
from autograder.home import Home
from autograder.nbgrader_bridge.door import open_door
from autograder.records import Ledger
from autograder.submission.compose import compose
from tests import tiny

AT = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)


@pytest.fixture
def home(tiny_course: Course, tmp_path: Path) -> Home:
    found = Home.from_env(
        {"BOOTCAMP_HOME": str(tmp_path / "home"), "BOOTCAMP_SEED": "a secret of the course, long enough"}, tiny_course.root
    )
    found.make()
    return found


def test_the_door_gives_and_records_the_verdicts_of_grading(home: Home, tiny_course: Course):
    """Same draws, same points; one attempt in the ledger, however often it is asked for; the exchange's time."""
    raw = compose(tiny.manifest(), {**tiny.REFERENCE, "x1_tiny.scaler": "class Scaler(nn.Module): ..."})
    with open_door(home) as door:
        graded = door.grade(raw, tiny.ASSIGNMENT, "ada", AT)
        door.grade(raw, tiny.ASSIGNMENT, "ada", AT)

    assert [v.points for v in graded.verdicts] == [4, 4, 0]
    with Ledger.open(home.ledger_url) as ledger:
        student = ledger.student("ada")
        assert student is not None
        (result,) = ledger.results(student.pseudonym)
        assert len(result.attempts) == 1
        assert [v.points for v in result.latest.verdicts] == [v.points for v in graded.verdicts]
        assert result.latest.attempt.received_at == AT
        with Pool(tiny_course.root, home.seed(), home.path / "admitted", 1, os.environ) as pool:
            assert pool.grade(raw, tiny.ASSIGNMENT, student.pseudonym).points == graded.points


def test_an_assignment_that_is_not_admitted_is_our_fault_and_leaves_no_trace(home: Home, tiny_course: Course):
    """A broken hidden check scores nobody, and the ledger says nothing that no grader said."""
    hidden = tiny_course.root / "assignments" / tiny.ASSIGNMENT / "hidden.py"
    hidden.write_text(hidden.read_text().replace('same(student.fn("double")(x), 2 * x, "double")', "assert False"))
    raw = compose(tiny.manifest(), tiny.REFERENCE)
    with open_door(home) as door:
        graded = door.grade(raw, tiny.ASSIGNMENT, "ada", AT)

    assert {v.points for v in graded.verdicts} == {None}
    with Ledger.open(home.ledger_url) as ledger:
        assert ledger.attempts() == []
