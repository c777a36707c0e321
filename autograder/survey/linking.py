"""Two cohorts' fitted items in, the line that puts one cohort's abilities on the other's scale out.

Each cold fit calls its own cohort's middle 0, so two cohorts cannot be compared by their numbers. Exercises that both have tried
can: what was as hard for one as for the other lies at the same place of a common scale. The line is fixed by mean and SD of
the common exercises' places (mean-sigma linking), after places that lie more than 3 robust SDs off the line of median slopes have
been left out: those are exercises that changed, not cohorts. Its uncertainty is the jackknife over exercises.
Source: Kolen & Brennan 2014, section 6.3.1; Sen 1968 for the line that outliers do not move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from autograder.progress.irt.bank import Bank, BankItem

MIN_COMMON = 5
_MAX_MOVE = 3.0
_ROBUST = 1.4826  # of a median absolute deviation, for the SD of a normal


@dataclass(frozen=True)
class Link:
    """ability on the base's scale = slope * ability + shift, in reported units. `n_used` of `n_common` exercises fix it."""

    slope: float
    shift: float
    shift_se: float
    n_common: int
    n_used: int


def link(of: Bank, base: Bank) -> Link | None:
    """Return how `of`'s reported abilities become `base`'s; None with fewer than MIN_COMMON common exercises."""
    here, there = ({i.exercise: _place(i, b) for i in b.items} for b in (of, base))
    common = sorted(here.keys() & there.keys())
    if len(common) < MIN_COMMON:
        return None
    x, y = np.array([here[e] for e in common]), np.array([there[e] for e in common])
    rest = y - theilslopes(y, x).slope * x
    spread = _ROBUST * float(np.median(np.abs(rest - np.median(rest))))
    kept = np.abs(rest - np.median(rest)) <= max(_MAX_MOVE * spread, 1e-9)
    x, y = x[kept], y[kept]
    slope, shift = _line(x, y)
    n = len(x)
    again = np.array([_line(np.delete(x, k), np.delete(y, k))[1] for k in range(n)])
    se = float(np.sqrt((n - 1) / n * ((again - again.mean()) ** 2).sum()))
    return Link(slope, shift, se, len(common), n)


def _place(item: BankItem, bank: Bank) -> float:
    """Return the ability, in reported units, at which the lowest and the highest level are equally likely."""
    raw = -float(np.mean(item.intercepts)) / float(np.exp(item.log_slope))
    return (raw - bank.effects.mean) / bank.effects.target_sd


def _line(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[float, float]:
    slope = float(y.std() / x.std()) if x.std() > 1e-9 else 1.0
    return slope, float(y.mean() - slope * x.mean())
