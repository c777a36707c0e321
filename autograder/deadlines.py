"""A due date, extensions and a late policy in; how late something is, what it keeps, whether it is still taken, out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

_DAY_S = 86_400.0


@dataclass(frozen=True)
class LatePolicy:
    """What late work loses. Days are counted from the end of the grace, and a begun day counts whole.

    `closes_after_days` None means that late work is always taken.
    """

    grace_minutes: int = 0
    percent_per_day: float = 0.0
    closes_after_days: int | None = None


@dataclass(frozen=True)
class Extension:
    """One student's own due date. `student` is the pseudonym, or the Hub's name where the course is not public."""

    student: str
    assignment: str
    until: datetime


@dataclass(frozen=True)
class Lateness:
    """How one hand-in stands to its due date. `share` of its points is kept; `closed_at` is None while nothing closes."""

    due: datetime | None
    n_days: int = 0
    share: float = 1.0
    closed_at: datetime | None = None
    is_closed: bool = False

    @property
    def is_late(self) -> bool:
        return self.n_days > 0


def due_for(due: datetime | None, extensions: Iterable[Extension], assignment: str, names: Iterable[str]) -> datetime | None:
    """Return the later of the due date and the student's extensions; `names` are all that the student goes by."""
    known = set(names)
    granted = [e.until for e in extensions if e.assignment == assignment and e.student in known]
    return max([due, *granted]) if due is not None else None


def lateness(due: datetime | None, policy: LatePolicy, at: datetime) -> Lateness:
    """Return how late `at` (aware) is; without a due date nothing is."""
    if due is None:
        return Lateness(None)
    ends = due + timedelta(minutes=policy.grace_minutes)
    closed_at = ends + timedelta(days=policy.closes_after_days) if policy.closes_after_days is not None else None
    over_s = (at - ends).total_seconds()
    n_days = max(0, math.ceil(over_s / _DAY_S))
    share = max(0.0, 1.0 - n_days * policy.percent_per_day / 100.0)
    return Lateness(due, n_days, share, closed_at, closed_at is not None and at > closed_at)
