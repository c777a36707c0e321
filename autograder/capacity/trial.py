"""A rush that really happened in, and the simulation's word on the same rush out: how far the plan can be believed.

The arrivals are those that came. The service times are not: the simulation draws its own from what a batch before the rush
took, as `bootcamp plan` draws from the ledger's, again and again; so what is compared is a forecast with what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autograder.capacity.rush import Times, results_after, services

_N = 400


@dataclass(frozen=True)
class Compared:
    """One number of a rush, measured and forecast; `low` and `high` hold 95 of 100 simulations."""

    what: str
    measured_s: float
    forecast_s: float
    low_s: float
    high_s: float

    @property
    def error(self) -> float:
        """How far the forecast is above what was measured, as a share of it."""
        return self.forecast_s / self.measured_s - 1

    @property
    def holds(self) -> bool:
        return self.low_s <= self.measured_s <= self.high_s


def fitted(walls_s: Sequence[float], makespan_s: float, n_graders: int) -> Times:
    """Return service times from a batch that kept every grader busy: each slot's own, and beside it what else a job cost.

    Claiming and recording happen between two jobs of a slot; over a batch they are what the slots' times leave of the whole.
    """
    beside = (n_graders * makespan_s - sum(walls_s)) / len(walls_s)
    return np.asarray(walls_s) + max(0.0, beside)


def compare(come: Times, measured: Times, fit: Times, n_graders: int, rng: np.random.Generator) -> tuple[Compared, ...]:
    """Return median, 95th percentile, longest and mean wait: measured, and forecast for the same arrivals."""
    order = np.argsort(come)
    come, measured = come[order], measured[order]
    drawn = np.array([_numbers(results_after(come, services(fit, len(come), rng), n_graders)) for _ in range(_N)])
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975], axis=0)
    names = ("half have it within", "95 of 100 within", "the longest waits", "the mean wait")
    return tuple(Compared(*row) for row in zip(names, _numbers(measured), middle, low, high, strict=True))


def _numbers(results: Times) -> list[float]:
    return [*np.quantile(results, [0.5, 0.95, 1.0]).tolist(), float(results.mean())]
