"""Posteriors of a cohort in; the bar of the top share and rank intervals out.

Given the data, the posteriors are taken as independent between students, and for ranks as normal.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from autograder.progress.posterior import BARS, Posterior
from autograder.progress.scores import Floats, Ints

# Equally likely values of one student's own target, over which the rank is averaged.
_N_NODES = 41
_N_GRID = 2001
_BISECTIONS = 60


def bar(posterior: Posterior, top_share: float, n_reference: int) -> float:
    """Return tau, above which the top share of the reference population lies.

    The reference population is the cohort, everyone with their uncertainty, and `n_reference` draws of the prior N(0, 1).
    So chances are right on average, whatever the shape of the cohort; and with nobody in it tau is the prior's.
    """
    low, high = float(BARS[1]), float(BARS[-2])
    for _ in range(_BISECTIONS):
        tau = (low + high) / 2
        above = posterior.chances(tau).sum() + n_reference * ndtr(-tau)
        low, high = (tau, high) if above > top_share * (len(posterior) + n_reference) else (low, tau)
    return (low + high) / 2


def rank_interval(mean: Floats, sd: Floats, level: float) -> tuple[Ints, Ints]:
    """Return the lowest and highest rank (1 is the ablest) of a central interval of probability `level`.

    Given their own target, a student's rank is 1 + a sum of independent coins, taken as normal; that is averaged over
    the student's own uncertainty.
    """
    if not len(mean):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    grid = np.linspace((mean - 6 * sd).min(), (mean + 6 * sd).max(), _N_GRID)
    ahead, spread = np.zeros(_N_GRID), np.zeros(_N_GRID)
    for m, s in zip(mean, sd, strict=True):
        p = ndtr((m - grid) / s)
        ahead += p
        spread += p * (1 - p)
    nodes = mean[:, None] + sd[:, None] * ndtri((np.arange(_N_NODES) + 0.5) / _N_NODES)
    # Nobody competes with themselves.
    own = ndtr((mean[:, None] - nodes) / sd[:, None])
    center = 1 + np.interp(nodes, grid, ahead) - own
    width = np.sqrt(np.maximum(np.interp(nodes, grid, spread) - own * (1 - own), 1e-6))
    return _quantile(center, width, (1 - level) / 2), _quantile(center, width, (1 + level) / 2)


def _quantile(center: Floats, width: Floats, share: float) -> Ints:
    """Return the smallest rank r with P(rank <= r) >= share, by bisection for all students at once."""
    n = len(center)
    low, high = np.zeros(n, dtype=np.intp), np.full(n, n, dtype=np.intp)  # P(rank <= low) < share <= P(rank <= high)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        below = ndtr((middle[:, None] + 0.5 - center) / width).mean(axis=1) >= share
        low, high = np.where(below, low, middle), np.where(below, middle, high)
    return high
