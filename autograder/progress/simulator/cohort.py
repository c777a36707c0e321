"""A setting, a seed and a size in; a cohort with true abilities and what it hands in week by week out.

Twelve notebooks of ten exercises in four tracks, one notebook a week. The constants are those of the tracker's design note;
nothing of the estimators knows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from autograder.progress.scores import Bools, Floats, Ints, Scores, time_of

N_WEEKS, N_ITEMS, N_TRACKS = 12, 10, 4
NEVER = 99
# Spreads of growth, track and notebook, and the correlation of growth with ability.
GROWTH_SD, TRACK_SD, NOTEBOOK_SD, FAN = 0.35, 0.35, 0.5, 0.2
_MAX_TRIES, _LEARNED = 8, 0.25


class Setting(StrEnum):
    """Which troubles a cohort has."""

    BENIGN = "S0"  # nobody joins late or leaves; no growth, no dependence within notebooks; skipping at random
    MISSING = "S1"  # late joiners, leavers, skipping that depends on the student
    ALL = "S2"  # and growth, track and notebook effects
    COPIERS = "S3"  # and 3 % copy
    SHAPED = "S4"  # S2 with skewed or two-humped abilities

    @property
    def depends(self) -> bool:
        """Return whether there are growth, track and notebook effects."""
        return self not in (Setting.BENIGN, Setting.MISSING)


@dataclass(frozen=True)
class Items:
    """Shapes: (j)."""

    slope: Floats
    difficulty: Floats

    @property
    def notebook_of(self) -> Ints:
        return np.repeat(np.arange(N_WEEKS), N_ITEMS)


@dataclass(frozen=True)
class Truth:
    """What only the simulator knows of a cohort. Shapes: target, engaged (n): true T and engagement; late (n)."""

    target: Floats
    engaged: Floats
    late: Bools

    def top(self, share: float = 0.1) -> Bools:
        """Return who is in the top share by T."""
        return top_of(self.target, share)


@dataclass(frozen=True)
class Cohort:
    """Shapes: first, passed_at (n j): whether the first try passed, and at which try (0: never); week (n j): of the first
    try, from 1, NEVER when there is none. target, engaged (n): true T and engagement; joined, left (n): weeks.
    """

    first: Bools
    passed_at: Ints
    week: Ints
    target: Floats
    engaged: Floats
    joined: Ints
    left: Ints
    copies: Bools

    @property
    def truth(self) -> Truth:
        return Truth(self.target, self.engaged, np.asarray(self.joined > 1))

    def scores(self, week: int) -> Scores:
        """Return what the tracker sees at the end of a week."""
        seen = self.week <= week
        columns = np.flatnonzero(seen.any(axis=0))
        books = np.unique(columns // N_ITEMS)
        n = len(self.target)
        return Scores(
            pseudonyms=tuple(f"s{i:05d}" for i in range(n)),
            exercises=tuple(f"E{j:03d}" for j in columns),
            notebooks=tuple(f"b{b:02d}" for b in books),
            score=np.where(seen, self.first, 0.0)[:, columns],
            seen=seen[:, columns],
            passed=(seen & self.first)[:, columns],
            notebook_of=np.searchsorted(books, columns // N_ITEMS),
            time=np.array([time_of(int(b) + 1, N_WEEKS) for b in books]),
            track_of=np.unique(books % N_TRACKS, return_inverse=True)[1],
            n_skipped=np.zeros(n, dtype=np.intp),
            left_out={},
        )


def top_of(value: Floats, share: float) -> Bools:
    """Return who is among the top share; ties by place."""
    chosen = np.zeros(len(value), dtype=bool)
    chosen[np.argsort(-value, kind="stable")[: round(share * len(value))]] = True
    return chosen


def draw_items(rng: np.random.Generator) -> Items:
    """Draw the exercises of a course."""
    j = N_WEEKS * N_ITEMS
    return Items(np.exp(rng.normal(0.1, 0.3, j)), rng.normal(-0.4, 0.9, j))


def draw_cohort(rng: np.random.Generator, items: Items, n: int, setting: Setting) -> Cohort:
    """Draw a cohort of n students at these exercises."""
    person = _abilities(rng, n, setting)
    depends = setting.depends
    growth = depends * GROWTH_SD * (FAN * person + np.sqrt(1 - FAN**2) * rng.normal(size=n))
    engaged = 0.2 * person + np.sqrt(1 - 0.2**2) * rng.normal(size=n)
    week = np.arange(N_WEEKS)
    ability = person[:, None] + growth[:, None] * week / (N_WEEKS - 1)
    ability = ability + depends * TRACK_SD * rng.normal(size=(n, N_TRACKS))[:, week % N_TRACKS]
    ability = ability + depends * NOTEBOOK_SD * rng.normal(size=(n, N_WEEKS))
    margin = ability[:, items.notebook_of] - items.difficulty
    copies = (rng.random(n) < 0.03) & (setting is Setting.COPIERS)
    first, passed_at = _tries(rng, items.slope * margin, engaged, copies)
    joined, left = _comings_and_goings(rng, person, engaged, setting)
    at = _when(rng, margin, engaged, joined, left, setting)
    return Cohort(first, passed_at, at, person + growth, engaged, joined, left, copies)


def _abilities(rng: np.random.Generator, n: int, setting: Setting) -> Floats:
    if setting is not Setting.SHAPED:
        return rng.normal(size=n)
    if rng.random() < 0.5:  # a long tail to the right
        return (rng.normal(size=n) + rng.exponential(1.5, size=n) - 1.5) / np.sqrt(1 + 1.5**2)
    hump = np.where(rng.random(n) < 0.3, 1.4, -0.6)
    return (hump + 0.6 * rng.normal(size=n)) / np.sqrt(0.36 + 0.84)


def _tries(rng: np.random.Generator, logit: Floats, engaged: Floats, copies: Bools) -> tuple[Bools, Ints]:
    passed_at = np.zeros(logit.shape, dtype=np.intp)
    goes_on = np.ones(logit.shape, dtype=bool)
    for k in range(_MAX_TRIES):
        p = 1 / (1 + np.exp(-(logit + _LEARNED * k)))
        p = np.where(copies[:, None], 0.95, p)
        passed_at[goes_on & (passed_at == 0) & (rng.random(logit.shape) < p)] = k + 1
        goes_on &= rng.random(logit.shape) < 1 / (1 + np.exp(-(1.6 + 0.8 * engaged[:, None])))
    return passed_at == 1, passed_at


def _comings_and_goings(rng: np.random.Generator, person: Floats, engaged: Floats, setting: Setting) -> tuple[Ints, Ints]:
    """Return week of joining (1 for most) and the first week without the student."""
    n = len(person)
    joined, left = np.ones(n, dtype=np.intp), np.full(n, NEVER, dtype=np.intp)
    if setting is Setting.BENIGN:
        return joined, left
    late = rng.random(n) < 0.2
    joined[late] = rng.integers(2, 7, size=int(late.sum()))
    hazard = 0.019 * np.exp(-0.5 * person - 0.5 * engaged)
    for week in range(2, N_WEEKS + 1):
        left[(left == NEVER) & (joined < week) & (rng.random(n) < hazard)] = week
    return joined, left


def _when(rng: np.random.Generator, margin: Floats, engaged: Floats, joined: Ints, left: Ints, setting: Setting) -> Ints:
    """Return the week of every first try."""
    opens = np.repeat(np.arange(1, N_WEEKS + 1), N_ITEMS)
    lean = 0.0 if setting is Setting.BENIGN else 1.0
    tried = rng.random(margin.shape) < 1 / (1 + np.exp(-(0.9 + lean * (0.9 * engaged[:, None] + 0.3 * margin))))
    caught_up = rng.random(margin.shape) < 0.3
    there = (opens >= joined[:, None]) | caught_up
    week = np.maximum(opens, joined[:, None])
    return np.where(tried & there & (week < left[:, None]), week, NEVER)
