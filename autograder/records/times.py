"""Verdicts in; what grading each exercise costs, and how often it failed by our fault, out. One set-based query."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from autograder.grading.verdict import Status
from autograder.records import schema as t


@dataclass(frozen=True)
class ExerciseTimes:
    """CPU seconds of one exercise's verdicts: half of them took at most `p50_s`, 95 % at most `p95_s` (nearest rank)."""

    exercise: str
    n: int
    p50_s: float
    p95_s: float
    n_infra: int


def exercise_times(db: Connection) -> list[ExerciseTimes]:
    """Return one line per exercise that was ever attempted, by name."""
    v = t.verdict.c
    place = func.row_number().over(partition_by=v.exercise, order_by=v.cpu_s)
    n = func.count().over(partition_by=v.exercise)
    # What was not attempted costs nothing, and would hide what an answer costs.
    tried = select(v.exercise, v.status, v.cpu_s, place.label("place"), n.label("n")).where(v.status != Status.SKIPPED.value)
    ranked = tried.subquery().c

    def at_most(percent: int) -> object:
        # The nearest rank is the ceiling of percent * n / 100, so its place is below percent * n / 100 + 1.
        return func.max(case((ranked.place * 100 < ranked.n * percent + 100, ranked.cpu_s)))

    infra = func.count(case((ranked.status == Status.INFRA.value, 1)))
    query = select(ranked.exercise, func.max(ranked.n), at_most(50), at_most(95), infra)  # type: ignore[call-overload]
    return [ExerciseTimes(*row) for row in db.execute(query.group_by(ranked.exercise).order_by(ranked.exercise))]
