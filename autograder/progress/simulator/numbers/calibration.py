"""Replicates in; do chances come true, and by how much would exact ones miss in so few students, out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autograder.progress.scores import Bools, Floats
from autograder.progress.simulator.cohort import N_WEEKS
from autograder.progress.simulator.numbers.number import Replicates

N_BINS, SHARE = 10, 0.1


def calibration_error(p: Floats, truth: Bools) -> float:
    """Return the expected calibration error: |mean of p - share that came true| in tenths of p, weighted by their size."""
    bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(bins, p - truth, minlength=N_BINS)
    return float(np.abs(gaps).sum() / len(p))


def ece(rule: str, week: int) -> Callable[[Replicates], float]:
    """Calibration error of a rule's chances at a week, all cohorts pooled."""

    def of(replicates: Replicates) -> float:
        p = np.concatenate([r.p[rule][week - 1] for r in replicates])
        return calibration_error(p, np.concatenate([r.truth.top(SHARE) for r in replicates]))

    return of


def ece_of_exact_chances(rule: str, week: int) -> Callable[[Replicates], float]:
    """What the calibration error would be on average if the chances were exact: its floor in so few students.

    Every tenth of p has a sum of independent coins; the mean of its absolute error is that of a normal.
    """

    def of(replicates: Replicates) -> float:
        p = np.concatenate([r.p[rule][week - 1] for r in replicates])
        bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
        variance = np.bincount(bins, p * (1 - p), minlength=N_BINS)
        return float(np.sqrt(2 * variance / np.pi).sum() / len(p))

    return of


def reliability(rule: str, week: int, replicates: Replicates) -> list[tuple[float, float, int]]:
    """Return per tenth of p: its mean, the share that came true, and how many they are."""
    p = np.concatenate([r.p[rule][week - 1] for r in replicates])
    truth = np.concatenate([r.truth.top(SHARE) for r in replicates])
    bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    at = [bins == b for b in range(N_BINS)]
    return [(float(p[b].mean()), float(truth[b].mean()), int(b.sum())) for b in at if b.any()]


def worst(of_week: Callable[[int], Callable[[Replicates], float]]) -> Callable[[Replicates], float]:
    """The largest value of any week from the second on."""
    return lambda replicates: max(of_week(week)(replicates) for week in range(2, N_WEEKS + 1))


def mean_excess(rule: str) -> Callable[[Replicates], float]:
    """Calibration error above that of exact chances, mean of the weeks: about 0 where the chances are exact, however few the
    students.
    """

    def of(replicates: Replicates) -> float:
        weeks = range(1, N_WEEKS + 1)
        return float(np.mean([ece(rule, w)(replicates) - ece_of_exact_chances(rule, w)(replicates) for w in weeks]))

    return of
