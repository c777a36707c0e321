"""Turn check results into points. Pure arithmetic: no files, no clock, no torch."""

from __future__ import annotations

from collections.abc import Sequence

from autograder.course import Exercise
from autograder.grading.verdict import CheckResult, Status, Verdict


def score(exercise: Exercise, results: Sequence[CheckResult], *, notes: tuple[str, ...] = (), cpu_s: float = 0.0) -> Verdict:
    """Return the verdict: full points if every verified check passed, none if a core check did not, else their share.

    One check that failed by our fault leaves the exercise unscored. Points are rounded to a hundredth.
    """
    counted = [r for r in results if r.evidence == "verified"]
    if not counted:
        raise ValueError(f"{exercise.id}: no verified check result, so nothing to score")
    failed = [r for r in counted if r.status is not Status.PASS]
    first = next((r for r in failed if r.core), failed[0] if failed else None)
    if any(r.status is Status.INFRA for r in failed):
        status, points = Status.INFRA, None
    elif first is None:
        status, points = Status.PASS, exercise.points
    else:
        status, points = first.status, round(exercise.points * passed_share(counted), 2)
    hint = first.hint if first else ""
    return Verdict(exercise.id, status, points, exercise.points, tuple(results), hint, notes, cpu_s)


def passed_share(results: Sequence[CheckResult]) -> float:
    """Return the share of verified weight that passed: 0 as soon as a core check or the box's rules were broken."""
    counted = [r for r in results if r.evidence == "verified"]
    if any(r.status is Status.TAMPERED or (r.core and r.status is not Status.PASS) for r in counted):
        return 0.0
    total = sum(r.weight for r in counted)
    return sum(r.weight for r in counted if r.status is Status.PASS) / total if total else 0.0


def skipped(exercise: Exercise, notes: tuple[str, ...] = ()) -> Verdict:
    """Return the verdict of an exercise that was not attempted: no points, and nothing said about ability."""
    return Verdict(exercise.id, Status.SKIPPED, 0.0, exercise.points, (), "Not attempted yet.", notes)


def unscored(exercise: Exercise, reason: str) -> Verdict:
    """Return the verdict of an exercise that we failed to grade: no points either way, to be graded again."""
    return Verdict(
        exercise.id, Status.INFRA, None, exercise.points, (), "Our fault, not yours: this will be graded again.", (reason,)
    )
