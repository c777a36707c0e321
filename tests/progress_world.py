"""Simulated cohorts with known abilities, and shorthands for first tries, for tests of the tracker.

The generator is of another family than the estimator: pass or fail by a two-parameter logistic curve with a slope per
exercise, late joiners who catch up little, leavers, and skipping that depends on ability and difficulty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from autograder.grading.verdict import Status
from autograder.progress import CourseItems, Item
from autograder.progress.scores import Bools, Floats, Scores, time_of
from autograder.records import FirstTry

AT = datetime(2026, 10, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cohort:
    """Shapes: score, seen (n j); target, late (n). `target` is the ability at the end, in population SDs."""

    score: Floats
    seen: Bools
    notebook_of: np.ndarray
    track_of: np.ndarray
    target: Floats
    late: Bools

    @property
    def scores(self) -> Scores:
        """What the estimator works on."""
        n, j = self.score.shape
        n_books = len(self.track_of)
        return Scores(
            pseudonyms=tuple(f"s{i:04d}" for i in range(n)),
            exercises=tuple(f"E{k:03d}" for k in range(j)),
            notebooks=tuple(f"b{b:02d}" for b in range(n_books)),
            score=np.where(self.seen, self.score, 0.0),
            seen=self.seen,
            passed=self.seen & (self.score == 1),
            notebook_of=self.notebook_of,
            time=np.array([time_of(b + 1, n_books) for b in range(n_books)]),
            track_of=self.track_of,
            n_skipped=np.zeros(n, dtype=np.intp),
            left_out={},
        )


def simulate(rng: np.random.Generator, n: int = 80, n_books: int = 8, n_items: int = 6, n_tracks: int = 3) -> Cohort:
    """Draw one cohort at the end of its course."""
    person = rng.normal(size=n)
    growth = 0.35 * (0.2 * person + np.sqrt(0.96) * rng.normal(size=n))
    track_of, notebook_of = np.arange(n_books) % n_tracks, np.repeat(np.arange(n_books), n_items)
    week = np.arange(n_books)
    ability = person[:, None] + growth[:, None] * week / (n_books - 1)
    ability = ability + 0.35 * rng.normal(size=(n, n_tracks))[:, track_of] + 0.5 * rng.normal(size=(n, n_books))
    slope, difficulty = np.exp(rng.normal(0.1, 0.3, notebook_of.size)), rng.normal(-0.4, 0.9, notebook_of.size)
    margin = ability[:, notebook_of] - difficulty
    score = (rng.random(margin.shape) < 1 / (1 + np.exp(-slope * margin))).astype(float)
    late = rng.random(n) < 0.2
    joined = np.where(late, rng.integers(1, n_books // 2 + 1, n), 0)
    left = np.where(rng.random(n) < 0.2 * np.exp(-0.5 * person), rng.integers(2, n_books + 1, n), n_books)
    there = (week >= joined[:, None]) | (rng.random((n, n_books)) < 0.3)
    there &= week < left[:, None]
    engaged = 0.2 * person + np.sqrt(0.96) * rng.normal(size=n)
    handed_in = rng.random(margin.shape) < 1 / (1 + np.exp(-(1.5 + 0.6 * engaged[:, None] + 0.4 * margin)))
    target = (person + growth) / np.sqrt(1 + 2 * 0.2 * 0.35 + 0.35**2)
    return Cohort(score, handed_in & there[:, notebook_of], notebook_of, track_of, target, late)


def course(n_books: int = 3, n_items: int = 8, n_tracks: int = 2) -> CourseItems:
    """A course of assignments a01, a02, ... with exercises A01.e1, A01.e2, ..., one assignment a week."""
    pairs = [(b, k) for b in range(1, n_books + 1) for k in range(1, n_items + 1)]
    items = [
        Item(f"A{b:02d}.e{k}", f"a{b:02d}", f"track {b % n_tracks}", b, 4.0, f"Exercise {b}.{k}", n)
        for n, (b, k) in enumerate(pairs)
    ]
    return CourseItems({i.exercise: i for i in items}, n_books)


def first_try(student: str, item: Item, fraction: float | None, tier: str = "B", evidence: str = "verified") -> FirstTry:
    """One first try; fraction None is a stub handed in unchanged."""
    status = Status.SKIPPED if fraction is None else Status.PASS if fraction == 1 else Status.FAIL
    return FirstTry(student, item.exercise, item.assignment, 1, AT, fraction, status, 1, None, item.max_points, tier, evidence)


def first_tries(cohort: Cohort, of: CourseItems) -> list[FirstTry]:
    """The simulated cohort's first tries of a course with as many notebooks and exercises."""
    items = sorted(of.items.values(), key=lambda i: i.place)
    n, j = cohort.score.shape
    return [first_try(f"s{i:04d}", items[k], float(cohort.score[i, k])) for i in range(n) for k in range(j) if cohort.seen[i, k]]


def everyone(students: Iterable[str], of: CourseItems, fraction: float) -> list[FirstTry]:
    """Every student tried everything with the same result."""
    return [first_try(s, i, fraction) for s in students for i in of.items.values()]
