"""Grading a whole notebook: one broken exercise costs only itself, and a fault of ours is never a zero.

The player runs in this process here, over the same protocol; tests/test_grading_pool.py grades in the real box.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from autograder.course import Course
from autograder.errors import InfraError
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.checks import Check
from autograder.grading.grade import Grader
from autograder.grading.verdict import Graded, Status
from autograder.sandbox.box import Box, Limits
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.compose import compose
from autograder.submission.model import Cell
from tests import tiny

D, Q, S = "x1_tiny.double", "x1_tiny.quadruple", "x1_tiny.scaler"


@pytest.fixture
def bundle(tiny_course: Course) -> Bundle:
    return load_bundle(tiny_course.assignment("x1_tiny"), variants=True)


def grade(bundle: Bundle, answers: dict[str, str], open_box=open_in_process) -> Graded:
    grader = Grader(bundle, open_box, "C", b"seed" * 8)
    return grader.grade(compose(bundle.manifest, answers), "s1")


def statuses(graded: Graded) -> list[str]:
    return [str(v.status) for v in graded.verdicts]


def test_the_reference_earns_everything(bundle: Bundle):
    """Full marks, no hints, no notes."""
    graded = grade(bundle, tiny.REFERENCE)

    assert (graded.points, graded.max_points, graded.is_complete) == (12, 12, True)
    assert [(v.hint, v.notes) for v in graded.verdicts] == [("", ())] * 3


def test_the_stub_earns_nothing_and_is_called_skipped(bundle: Bundle):
    """Not attempted is not wrong."""
    graded = grade(bundle, {})

    assert (graded.points, statuses(graded)) == (0, ["skipped"] * 3)


def test_a_right_answer_scores_although_what_it_builds_on_is_broken(bundle: Bundle):
    """quadruple calls double: with a wrong double, the course lends its own, and says so."""
    graded = grade(bundle, {**tiny.REFERENCE, D: "def double(x):\n    return x * x\n"})

    assert statuses(graded) == ["fail", "pass", "pass"]
    assert graded.verdicts[1].notes == ("Graded with the course's own double, since yours did not pass yet.",)


def test_a_right_answer_scores_although_what_it_builds_on_is_missing(bundle: Bundle):
    """The same for an exercise that was skipped."""
    graded = grade(bundle, {Q: tiny.QUADRUPLE})

    assert statuses(graded) == ["skipped", "pass", "skipped"]


def test_a_wrong_answer_does_not_score_through_what_is_lent(bundle: Bundle):
    """Lending mends what an answer builds on, never the answer."""
    wrong = {D: "def double(x):\n    return None\n", Q: "def quadruple(x):\n    return double(x)\n"}

    assert grade(bundle, wrong).points == 0


def test_of_two_failures_the_one_about_the_exercise_itself_is_told(bundle: Bundle):
    """A wrong answer on top of a broken one is told its own slip, not that of the exercise before."""
    wrong = {D: "def double(x):\n    raise KeyError(1)\n", Q: "def quadruple(x):\n    return double(x)\n"}
    verdict = grade(bundle, wrong).verdicts[1]

    assert (verdict.status, verdict.points) == (Status.FAIL, 0)
    assert "quadruple: other values than expected" in verdict.checks[0].hint


def test_an_answer_cannot_lend_itself_from_another_exercise(bundle: Bundle):
    """An exercise's own name comes from the student, even while others are lent."""
    wrong = {D: "def double(x):\n    return 3 * x\n\ndef quadruple(x):\n    return 4 * x\n"}

    assert grade(bundle, wrong).verdicts[0].points == 0


def test_what_one_cell_spoils_for_others_is_graded_alone(bundle: Bundle):
    """A cell that overwrites another exercise's name, or patches torch, costs nobody else a point."""
    spoiler = tiny.SCALER + "\n\ndef double(x):\n    return 'spoilt'\n"
    graded = grade(bundle, {**tiny.REFERENCE, S: spoiler})

    assert statuses(graded) == ["pass", "pass", "pass"]


def test_a_syntax_error_costs_its_own_exercise_and_is_quoted(bundle: Bundle):
    """The student reads where Python stopped."""
    graded = grade(bundle, {**tiny.REFERENCE, S: "class Scaler(nn.Module:\n    pass\n"})

    assert statuses(graded) == ["pass", "pass", "error"]
    assert "SyntaxError" in graded.verdicts[2].hint


def test_an_answer_whose_cell_raises_after_its_definition_still_scores(bundle: Bundle):
    """A stray experiment below a right answer is not a wrong answer."""
    graded = grade(bundle, {**tiny.REFERENCE, D: tiny.DOUBLE + "\nprint(1 / 0)\n"})

    assert statuses(graded) == ["pass", "pass", "pass"]


def test_partial_credit_is_for_the_right_core(bundle: Bundle):
    """The edge that was missed costs its share; a missed core costs all."""
    edge = grade(bundle, {**tiny.REFERENCE, D: "def double(x):\n    return 2 * x if x.ndim else 2 * x.abs()\n"})
    core = grade(bundle, {**tiny.REFERENCE, D: "def double(x):\n    return x if x.ndim else 2 * x\n"})

    assert (edge.verdicts[0].points, core.verdicts[0].points) == (2, 0)


def test_the_message_of_an_exception_stays_with_the_instructor(bundle: Bundle):
    """A student who raises what the hidden inputs were learns the exception's kind, not its text."""
    leak = "def double(x):\n    raise ValueError(str(x))\n"
    verdict = grade(bundle, {**tiny.REFERENCE, D: leak}).verdicts[0]

    assert verdict.status is Status.ERROR
    assert "tensor" not in verdict.hint
    assert "ValueError" in verdict.hint


def test_a_name_that_is_missing_is_named(bundle: Bundle):
    """The most common slip deserves its name, which cannot carry more than the student wrote."""
    verdict = grade(bundle, {D: "def double(x):\n    return helper(x)\n"}).verdicts[0]

    assert verdict.hint.startswith("NameError: helper is not defined in your notebook")


def broken_check(bundle: Bundle, run) -> Bundle:
    checks = {**bundle.checks, D: (dataclasses.replace(bundle.checks[D][0], run=run), *bundle.checks[D][1:])}
    return dataclasses.replace(bundle, checks=checks)


def test_a_check_that_the_reference_fails_too_is_our_fault(bundle: Bundle):
    """A wrong check leaves the exercise unscored for everyone, right or wrong, and says why to the instructor."""

    def wrong(student, rng):
        raise AssertionError("2 + 2 is not 5")

    graded = grade(broken_check(bundle, wrong), tiny.REFERENCE)

    assert (graded.verdicts[0].status, graded.verdicts[0].points) == (Status.INFRA, None)
    assert not graded.is_complete
    assert statuses(graded)[1:] == ["pass", "pass"]


def test_a_check_that_crashes_on_the_reference_is_our_fault(bundle: Bundle):
    """An exception of our own is no verdict on a student."""

    def crashes(student, rng):
        return {}["no such key"]

    assert statuses(grade(broken_check(bundle, crashes), tiny.REFERENCE))[0] == "infra"


def test_a_check_that_stumbles_over_a_strange_answer_rejects_it(bundle: Bundle):
    """The reference passes the same draw, so the answer is what is strange: a fail, not our fault."""

    def unpacks(student, rng):
        first, _ = student.fn("double")(1), 0
        assert first + 1 == 3

    graded = grade(broken_check(bundle, unpacks), {**tiny.REFERENCE, D: "def double(x):\n    return 'text'\n"})

    assert statuses(graded)[0] == "fail"


class FailingBoxes:
    """Boxes of which the first ones do not start."""

    def __init__(self, n_failures: int) -> None:
        self.left = n_failures

    def __call__(self, program: Sequence[Cell], limits: Limits) -> Box:
        if self.left:
            self.left -= 1
            raise InfraError("no box")
        return open_in_process(program, limits)


def test_a_box_that_fails_once_costs_nothing(bundle: Bundle):
    """Our fault is retried."""
    assert grade(bundle, tiny.REFERENCE, FailingBoxes(2)).points == 12


def test_a_box_that_never_starts_leaves_everything_unscored(bundle: Bundle):
    """Unscored is not zero."""
    graded = grade(bundle, tiny.REFERENCE, FailingBoxes(1000))

    assert statuses(graded) == ["infra"] * 3
    assert [v.points for v in graded.verdicts] == [None] * 3
    assert not graded.is_complete


def test_an_unreadable_file_is_an_error_with_its_reason(bundle: Bundle):
    """No verdicts, no zero: the student hands in again."""
    graded = Grader(bundle, open_in_process, "C", b"seed" * 8).grade(b"{", "s1")

    assert graded.verdicts == ()
    assert "invalid JSON at line 1" in graded.error


def test_each_student_gets_inputs_of_their_own_and_keeps_them(bundle: Bundle):
    """A replay draws what the first run drew; another student's draw differs."""
    seen: list[float] = []

    def spy(student, rng):
        seen.append(float(rng.random()))

    spied = broken_check(bundle, spy)
    raw = compose(bundle.manifest, tiny.REFERENCE)
    for student in ("s1", "s1", "s2"):
        Grader(spied, open_in_process, "C", b"seed" * 8).grade(raw, student)

    assert seen[0] == seen[1] != seen[2]


def test_every_check_of_a_bundle_is_of_its_kind(bundle: Bundle):
    """Loading finds the decorated functions in order, and the mutants with repeated names."""
    assert [c.name for c in bundle.checks[D]] == ["doubles", "doubles_negative_zero_dim"]
    assert all(isinstance(c, Check) for checks in bundle.checks.values() for c in checks)
    assert [v.label for v in bundle.variants if v.exercise == D] == ["squares", "absolute value of scalars", "by multiplication"]
