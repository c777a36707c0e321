"""What a check cell shows is read by nbgrader as exactly the points that grading gave, and by people as plain words."""

from __future__ import annotations

import nbformat
import pytest
from nbgrader.utils import determine_grade

from autograder.errors import InfraError
from autograder.grading.verdict import CheckResult, Status, Verdict
from autograder.nbgrader_bridge.outputs import describe, outputs


def verdict(points, status=Status.FAIL, max_points=4.0, **more):
    return Verdict("t.x", status, points, max_points, **more)


def read_by_nbgrader(found, points):
    cell = nbformat.v4.new_code_cell("check()")
    cell.metadata.nbgrader = {"grade": True, "solution": False, "grade_id": "x-check", "points": points}
    cell.outputs = [nbformat.from_dict(o) for o in found]
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))
    return determine_grade(cell)


@pytest.mark.parametrize("points", [0.0, 1, 4.0, 2.67, 1e-9, 4 / 3])
def test_nbgrader_reads_exactly_the_points(points):
    """No rounding, no full marks by accident: nbgrader gives those for whatever it cannot read."""
    assert read_by_nbgrader(outputs(verdict(points), 4.0), 4) == (points, 4)


def test_a_bonus_of_no_points_is_read_as_zero():
    """0 of 0 is a number, too."""
    assert read_by_nbgrader(outputs(verdict(0.0, Status.PASS, 0.0), 0.0), 0) == (0, 0)


@pytest.mark.parametrize("points", [float("nan"), float("inf"), -1.0, 4.01])
def test_a_number_that_nbgrader_would_take_for_full_marks_is_refused(points):
    """nan and negatives earn everything in nbgrader."""
    with pytest.raises(InfraError, match=r"t.x: grading says .* points, and nbgrader's cell has 4.0"):
        outputs(verdict(points), 4.0)


def test_points_of_another_course_version_are_refused():
    """2 of 2 points must not become 2 of 4."""
    with pytest.raises(InfraError) as e:
        outputs(verdict(2.0, Status.PASS, 2.0), 4.0)
    assert str(e.value) == (
        "t.x: grading says 2.0 of 2.0 points, and nbgrader's cell has 4.0. Bring the gradebook up to date: bootcamp init"
    )


def test_our_fault_is_never_a_number():
    """The message says whose fault it is and what to do."""
    with pytest.raises(InfraError) as e:
        outputs(verdict(None, Status.INFRA, notes=("the box did not start",)), 4.0)
    assert str(e.value) == ("t.x could not be graded, by our fault and not the student's: the box did not start. Grade it again.")


def test_the_words_name_points_hint_and_checks():
    """A hint that the verdict repeats is said once; control characters of a student's message are dropped."""
    checks = (
        CheckResult("adds", Status.PASS, 1.0),
        CheckResult("core_one", Status.FAIL, 1.0, hint="Row 0 sums to 2."),
        CheckResult("other", Status.ERROR, 1.0, hint="Value\x1b[31mError\u202e"),
    )
    text = describe(verdict(1.5, checks=checks, hint="Row 0 sums to 2.", notes=("x is defined twice.",)))

    assert text.split("\n") == [
        "t.x: fail, 1.5 of 4 points",
        "Row 0 sums to 2.",
        "x is defined twice.",
        "  pass    adds",
        "  error   other: Value[31mError",
    ]


def test_words_are_plain_text_only():
    """A hint may quote the student: nothing that a browser would run may be offered to it."""
    shown, number = outputs(verdict(0.0, hint="<script>"), 4.0)

    assert list(shown["data"]) == list(number["data"]) == ["text/plain"]
