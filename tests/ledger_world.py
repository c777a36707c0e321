"""A small world for tests of the ledger: a clock, hand-ins and gradings with one line each, and a ledger per test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autograder.grading.verdict import Graded, Status, Verdict
from autograder.records import Attempt, Ledger
from tests.postgres_server import server

START = datetime(2026, 9, 1, 12, tzinfo=UTC)


def minute(n: float) -> datetime:
    return START + timedelta(minutes=n)


def handed_in(pseudonym: str, at: float, content: str = "", assignment: str = "t1") -> Attempt:
    """A hand-in at that minute; different content has a different hash."""
    return Attempt.of(pseudonym, assignment, hashlib.sha256(f"{content}{at}".encode()).hexdigest(), minute(at))


def verdict(exercise: str, points: float | str | None, max_points: float = 4.0) -> Verdict:
    """points: a number, None for INFRA, "skipped"."""
    if points is None:
        return Verdict(exercise, Status.INFRA, None, max_points)
    if points == "skipped":
        return Verdict(exercise, Status.SKIPPED, 0.0, max_points)
    assert not isinstance(points, str)
    return Verdict(exercise, Status.PASS if points == max_points else Status.FAIL, float(points), max_points)


def graded(attempt: Attempt, build: str = "b1", tier: str = "B", error: str = "", **points: float | str | None) -> Graded:
    """What a build says of the attempt: graded(a, causal_mask=4, rope=None)."""
    verdicts = tuple(verdict(f"T1.{name}", p) for name, p in points.items())
    return Graded(attempt.assignment, attempt.sha256, verdicts, build, tier, error=error)


@contextmanager
def sqlite_ledger(folder: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}") as ledger:
        yield ledger


@contextmanager
def postgres_ledger() -> Iterator[Ledger]:
    """A ledger in a database of its own on this test process's PostgreSQL server."""
    with Ledger.open(server().fresh()) as ledger:
        yield ledger
