"""A pseudonym in; what that student ever passed, and the badges that follow, out. Nothing that is appended takes one away.

A badge looks at everything that any grader ever said, not at what stands now: the log only grows, so a regrade can give a badge
and never take one back. None counts speed, hours or days in a row, and none compares people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from operator import attrgetter

from sqlalchemy import case, func, select

from autograder.grading.verdict import Status
from autograder.records import schema as t
from autograder.records.ledger import Ledger

MILESTONES = (1, 10, 25, 50, 100, 200)
KEPT_AT_IT = 3  # tries that failed before one passed


class Kind(StrEnum):
    """What a badge is for."""

    COUNT = "count"  # so many exercises passed; `about` is the number
    NOTEBOOK = "notebook"  # every exercise of one hand-in passed; `about` is the assignment
    KEPT_AT_IT = "kept at it"  # passed after so many tries that failed; `about` is the exercise


@dataclass(frozen=True)
class Badge:
    """`at` is when the work arrived that earned it."""

    kind: Kind
    about: str
    at: datetime


@dataclass(frozen=True)
class Seen:
    """One exercise of one attempt: whether any grader ever passed it, ever failed it."""

    attempt: str
    assignment: str
    received_at: datetime
    exercise: str
    passed: bool
    failed: bool


def seen(ledger: Ledger, pseudonym: str) -> list[Seen]:
    """Return what was ever said of the student's exercises, oldest attempt first."""
    a, v = t.attempt.c, t.verdict.c
    silent = (Status.PASS.value, Status.SKIPPED.value, Status.INFRA.value)
    passed, failed = (func.max(case((one, 1), else_=0)) for one in (v.status == Status.PASS.value, v.status.not_in(silent)))
    query = (
        select(a.id, a.assignment, a.received_at, v.exercise, passed, failed)
        .join(t.grading, t.grading.c.attempt == a.id)
        .join(t.verdict, v.grading == t.grading.c.event)
        .where(a.pseudonym == pseudonym)
        .group_by(a.id, a.assignment, a.received_at, a.event, v.exercise)
        .order_by(a.received_at, a.event, v.exercise)
    )
    with ledger.reading() as db:
        return [Seen(*row[:4], bool(row[4]), bool(row[5])) for row in db.execute(query)]


def badges(rows: Sequence[Seen]) -> list[Badge]:
    """Return the badges that follow, oldest first."""
    return sorted((*_counts(rows), *_notebooks(rows), *_kept_at_it(rows)), key=lambda b: (b.at, b.kind, b.about))


def _counts(rows: Sequence[Seen]) -> Iterator[Badge]:
    first: dict[str, datetime] = {}
    for row in rows:
        if row.passed:
            first.setdefault(row.exercise, row.received_at)
    times = sorted(first.values())
    return (Badge(Kind.COUNT, str(n), times[n - 1]) for n in MILESTONES if n <= len(times))


def _notebooks(rows: Sequence[Seen]) -> Iterator[Badge]:
    done: dict[str, datetime] = {}
    for _, group in groupby(rows, key=attrgetter("attempt")):
        of = list(group)
        if all(row.passed for row in of):
            done.setdefault(of[0].assignment, of[0].received_at)
    return (Badge(Kind.NOTEBOOK, assignment, at) for assignment, at in done.items())


def _kept_at_it(rows: Sequence[Seen]) -> Iterator[Badge]:
    n_failed: dict[str, int] = defaultdict(int)
    found: dict[str, datetime] = {}
    for row in rows:
        if row.passed and n_failed[row.exercise] >= KEPT_AT_IT:
            found.setdefault(row.exercise, row.received_at)
        n_failed[row.exercise] += row.failed
    return (Badge(Kind.KEPT_AT_IT, exercise, at) for exercise, at in found.items())
