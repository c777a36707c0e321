"""A statistic and replicates in; its value with the jackknife's Monte-Carlo error over cohorts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autograder.progress.simulator.replicate import Replicate

Replicates = Sequence[Replicate]


@dataclass(frozen=True)
class Number:
    """A value and its standard error over cohorts; nan for what did not occur."""

    value: float
    error: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "–"
        return f"{self.value:.3f}" if np.isnan(self.error) else f"{self.value:.3f} ± {self.error:.3f}"


def number(of: Callable[[Replicates], float], replicates: Replicates) -> Number:
    """Return a statistic of all cohorts, with the jackknife's standard error."""
    k = len(replicates)
    value = of(replicates)
    if k < 2:
        return Number(value, float("nan"))
    without = np.array([of([*replicates[:i], *replicates[i + 1 :]]) for i in range(k)])
    known = without[~np.isnan(without)]
    if len(known) < 2:
        return Number(value, float("nan"))
    return Number(value, float(np.sqrt((k - 1) / k * ((known - known.mean()) ** 2).sum())))


def less(one: Callable[[Replicates], float], other: Callable[[Replicates], float]) -> Callable[[Replicates], float]:
    """The difference of two statistics of the same cohorts: its error is smaller than theirs."""
    return lambda replicates: one(replicates) - other(replicates)
