"""The rule that every question reads through: the standing verdict of every exercise of every attempt, as of an event."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Subquery, func, select

from autograder.records import schema as t

# Larger than any event number: "as of now".
NOW = 2**31 - 1

# Which of several verdicts on one exercise of one attempt stands: the first in this order.
NEWEST_SCORED_FIRST = (t.verdict.c.points.is_(None), t.grading.c.event.desc())

_SHORT = ("exercise", "position", "status", "points", "max_points", "fraction", "evidence", "cpu_s")
_LONG = ("hint", "notes", "checks", "key")


def standing(as_of: int | None, *attempts: ColumnElement[bool], with_texts: bool = False) -> Subquery:
    """Return rows (attempt, grading, tier, exercise, status, points, ...): newest scored verdict, else the newest INFRA.

    `attempts` are conditions on the attempt table. The texts (hint, notes, checks) are read on request only.
    """
    place = func.row_number().over(partition_by=(t.grading.c.attempt, t.verdict.c.exercise), order_by=NEWEST_SCORED_FIRST)
    columns = [t.verdict.c[name] for name in (*_SHORT, *(_LONG if with_texts else ()))]
    ranked = (
        select(t.grading.c.attempt, t.grading.c.event.label("grading"), t.grading.c.tier, t.grading.c.grader_build)
        .add_columns(*columns, place.label("place"))
        .join(t.grading, t.verdict.c.grading == t.grading.c.event)
        .join(t.attempt, t.grading.c.attempt == t.attempt.c.id)
        .where(t.grading.c.event <= bound(as_of), *attempts)
        .subquery()
    )
    return select(ranked).where(ranked.c.place == 1).subquery()


def newest_grading(as_of: int | None, *attempts: ColumnElement[bool]) -> Subquery:
    """Return (attempt, event): the newest grading of every attempt that has one."""
    return (
        select(t.grading.c.attempt, func.max(t.grading.c.event).label("event"))
        .join(t.attempt, t.grading.c.attempt == t.attempt.c.id)
        .where(t.grading.c.event <= bound(as_of), *attempts)
        .group_by(t.grading.c.attempt)
        .subquery()
    )


def bound(as_of: int | None) -> int:
    return NOW if as_of is None else as_of
