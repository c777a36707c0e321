"""Scoring: the share of verified weight, nothing without the core, and our own faults never a zero."""

from __future__ import annotations

import pytest

from autograder.grading.score import passed_share, score, skipped, unscored
from autograder.grading.verdict import CheckResult, Graded, Status, Verdict
from tests import tiny

EXERCISE = tiny.manifest().exercises[0]  # 4 points


def check(status: Status, weight: float = 1.0, *, core: bool = False, evidence: str = "verified", hint: str = "") -> CheckResult:
    return CheckResult("a check", status, weight, core, evidence, hint)


def test_half_the_weight_earns_half_the_points():
    """Points are proportional to the weight of passed checks."""
    result = score(EXERCISE, [check(Status.PASS), check(Status.FAIL)])

    assert (result.status, result.points) == (Status.FAIL, 2)


def test_weights_count():
    """A check of weight 3 is worth three of weight 1."""
    assert score(EXERCISE, [check(Status.PASS, 3), check(Status.FAIL, 1)]).points == 3


def test_nothing_is_earned_without_the_core():
    """An answer that gets the ordinary case wrong does not score for its edges."""
    result = score(EXERCISE, [check(Status.FAIL, core=True, hint="the core"), check(Status.PASS, 9)])

    assert (result.status, result.points, result.hint) == (Status.FAIL, 0, "the core")


def test_tampering_voids_the_exercise():
    """What broke the box's rules earns nothing, whatever passed before."""
    assert score(EXERCISE, [check(Status.PASS, 9), check(Status.TAMPERED)]).points == 0


def test_our_fault_is_never_a_zero():
    """One check that failed by our fault leaves the exercise unscored, even beside a failing one."""
    result = score(EXERCISE, [check(Status.FAIL, core=True), check(Status.INFRA)])

    assert (result.status, result.points) == (Status.INFRA, None)


def test_only_verified_evidence_scores():
    """A note for a person neither adds nor takes points."""
    assert score(EXERCISE, [check(Status.PASS), check(Status.FAIL, 5, evidence="observed")]).status is Status.PASS
    assert passed_share([check(Status.FAIL), check(Status.PASS, 5, evidence="static")]) == 0


def test_without_verified_results_there_is_no_score():
    """An exercise whose checks are all evidence cannot be scored by accident."""
    with pytest.raises(ValueError, match="no verified check result"):
        score(EXERCISE, [check(Status.PASS, evidence="observed")])


def test_sums_leave_out_what_is_unscored():
    """Of a half-graded notebook the points are those that are known, and it is not complete."""
    verdicts = (score(EXERCISE, [check(Status.PASS)]), unscored(EXERCISE, "no box"), skipped(EXERCISE))
    graded = Graded("x1_tiny", "0" * 64, verdicts, "build", "A")

    assert (graded.points, graded.max_points, graded.is_complete) == (4, 12, False)


def test_json_and_back_is_the_same():
    """Nothing is lost between worker and controller."""
    verdict = score(EXERCISE, [check(Status.PASS), check(Status.ERROR, hint="why")], notes=("a note",), cpu_s=0.25)
    graded = Graded("x1_tiny", "0" * 64, (verdict,), "build", "A", ("n",), "printed", "", 0.5)

    assert Verdict.from_json(verdict.as_json()) == verdict
    assert Graded.from_json(graded.as_json()) == graded
