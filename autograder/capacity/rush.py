"""A deadline and a number of graders in, how long everybody waits out: a simulation of every single hand-in.

Hand-ins come faster and faster towards a deadline: their rate grows exponentially, e-fold in a third of the time that is
looked at, which puts 67 % of them into the last third and the peak at the end at 3.2 times the mean. Graders take one
notebook each, in the order in which they came (a queue with c servers); how long one takes is drawn from what was measured.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autograder.errors import BootcampError

Times = NDArray[np.float64]
_E_FOLDS = 3.0
_MAX_GRADERS = 4096


@dataclass(frozen=True)
class Waits:
    """What people wait from hand-in to result, in seconds, under `n_graders`."""

    n_graders: int
    median_s: float
    p95_s: float
    longest_s: float
    busy_share: float  # of the graders' time, from the first hand-in to the last result


def arrivals(n: int, hours: float, rng: np.random.Generator) -> Times:
    """Draw when n hand-ins come, in seconds before a deadline after `hours`, in order."""
    share = rng.random(n)
    # The inverse of the distribution function of a rate that grows as exp(3 t / hours).
    return np.sort(np.log1p(share * np.expm1(_E_FOLDS)) / _E_FOLDS) * hours * 3600


def services(measured_s: Times, n: int, rng: np.random.Generator) -> Times:
    """Draw n service times from those that were measured."""
    return rng.choice(measured_s, n)


def results_after(come: Times, take: Times, n_graders: int) -> Times:
    """Let every hand-in through, in the order in which they came, and return after how long each had its result."""
    free = [0.0] * n_graders
    results = np.empty(len(come))
    for n, (at, takes) in enumerate(zip(come.tolist(), take.tolist(), strict=True)):
        done = max(at, free[0]) + takes
        heapq.heapreplace(free, done)
        results[n] = done - at
    return results


def wait(come: Times, take: Times, n_graders: int) -> Waits:
    """Return what people wait under so many graders."""
    results = results_after(come, take, n_graders)
    span = float((come + results).max() - come[0])
    median, p95 = np.quantile(results, [0.5, 0.95])
    return Waits(n_graders, float(median), float(p95), float(results.max()), float(take.sum()) / (span * n_graders))


def graders_for(come: Times, take: Times, within_s: float) -> Waits:
    """Return the fewest graders under which 95 of 100 people have their result within the time.

    Raises: BootcampError when no number is enough, because grading alone takes longer.
    """
    if float(np.quantile(take, 0.95)) > within_s:
        raise BootcampError(
            f"5 of 100 notebooks take more than {within_s:g} s to grade, whatever the number of graders. Name a longer --within-s."
        )
    low, high = 0, 1
    while (found := wait(come, take, high)).p95_s > within_s:
        if high >= _MAX_GRADERS:
            raise BootcampError(f"{high} graders are not enough. Name a longer --within-s, or more hours.")
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        tried = wait(come, take, middle)
        if tried.p95_s > within_s:
            low = middle
        else:
            high, found = middle, tried
    return found
