"""A model and its report in, curves out: the cohort's density of ability, and every student's path over the weeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from autograder.progress import CourseItems, Finding
from autograder.progress.engine import Model
from autograder.progress.report import LEVELS

GRID = tuple(round(-4 + 0.1 * k, 1) for k in range(81))


@dataclass(frozen=True)
class Density:
    """Densities on `GRID`, per unit of ability: of those who have a first try that counts, and of the reference, N(0, 1)."""

    cohort: tuple[float, ...]
    reference: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Paths:
    """What today's model reads from each student's first tries up to a week, as if the later ones were not known yet.

    Shapes: p and mid (n w), low and high (n w levels), with the levels 50 and 90 %. Rows follow `pseudonyms`.
    """

    pseudonyms: tuple[str, ...]
    weeks: tuple[int, ...]
    p: NDArray[np.float32]
    mid: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def density(findings: Sequence[Finding]) -> Density:
    """Return the mean of the students' posteriors, taken as normal, beside the prior that all of them began with."""
    known = [f for f in findings if f.n_items]
    grid = np.array(GRID)
    total = np.zeros(len(grid))
    for f in known:
        total += norm.pdf(grid, f.mean, max(f.sd, 1e-3))
    cohort = total / max(len(known), 1)
    return Density(_rounded(cohort), _rounded(norm.pdf(grid)), len(known))


def paths(model: Model, course: CourseItems, bar: float) -> Paths:
    """Return the paths of everybody in the model, over the weeks that have a first try that counts."""
    s = model.scores
    weeks_of = np.array([course.items[e].week for e in s.exercises], dtype=np.intp)
    weeks = tuple(int(w) for w in np.unique(weeks_of))
    n = len(s.pseudonyms)
    p, mid = np.zeros((n, len(weeks)), np.float32), np.zeros((n, len(weeks)), np.float32)
    low, high = (np.zeros((n, len(weeks), len(LEVELS)), np.float32) for _ in range(2))
    for k, week in enumerate(weeks):
        known = model.cohort if week == weeks[-1] else model.only(weeks_of <= week)
        p[:, k], mid[:, k] = known.chances(bar), known.mean
        for j, level in enumerate(LEVELS):
            low[:, k, j], high[:, k, j] = known.interval(level)
    return Paths(s.pseudonyms, weeks, p, mid, low, high)


def _rounded(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(round(float(v), 5) for v in values)
