"""The flat model, one ability per student and nothing else: levels in; items, abilities and SDs out.

It is what item response theory means to most programs, and what the hierarchy is compared with: it agrees with R's mirt, and
it takes ten exercises of one notebook for ten independent pieces of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autograder.progress.irt import gpcm
from autograder.progress.irt.gpcm import Curves, Family
from autograder.progress.irt.grid import Grid
from autograder.progress.scores import Floats, Ints

_CLIP = -60.0
_CHUNK = 2048
_TOLERANCE, _MAX_STEPS = 1e-3, 60


@dataclass(frozen=True)
class Flat:
    """Items and abilities. Shapes: mean, sd (n), the posterior's."""

    curves: Curves
    mean: Floats
    sd: Floats


def fit(level: Ints, n_levels: Ints) -> Flat:
    """Fit items by EM until no parameter moves by more than a thousandth, and score everybody. Shapes: level (n j)."""
    grid = Grid(81 if n_levels.max(initial=2) > 2 else 41)
    curves, family = gpcm.start_curves(level, n_levels), Family()
    for _ in range(_MAX_STEPS):
        before = curves
        counts, middle, unit = _counts(level, curves, grid)
        # Parameter expansion: let the abilities have a mean and an SD, and move both into the items at once. Without it the
        # common scale of all slopes creeps, ten times as long as the rest.
        curves = gpcm.rescaled(gpcm.fit_curves(curves, counts, grid.nodes, family), middle, unit)
        family = gpcm.fit_family(curves, family)
        moved = max(np.abs(curves.log_slope - before.log_slope).max(), np.abs(curves.intercept - before.intercept).max())
        if moved < _TOLERANCE:
            break
    weight = np.concatenate([_posterior(level[i : i + _CHUNK], curves, grid)[1] for i in range(0, len(level), _CHUNK)])
    mean = weight @ grid.nodes
    return Flat(curves, mean, np.sqrt(weight @ grid.nodes**2 - mean**2))


def _counts(level: Ints, curves: Curves, grid: Grid) -> tuple[Floats, float, float]:
    """Return expected counts (s q), and mean and SD of the abilities."""
    total, abilities = np.zeros((int(curves.n_levels.sum()), grid.n_nodes)), np.zeros(grid.n_nodes)
    for i in range(0, len(level), _CHUNK):
        reached, weight = _posterior(level[i : i + _CHUNK], curves, grid)
        total += reached.T @ weight
        abilities += weight.sum(axis=0)
    mean = float(abilities @ grid.nodes) / len(level)
    return total, mean, float(np.sqrt(abilities @ grid.nodes**2 / len(level) - mean**2))


def _posterior(level: Ints, curves: Curves, grid: Grid) -> tuple[Floats, Floats]:
    reached = gpcm.one_hot(level, curves.n_levels)
    log = reached @ curves.rows(grid.nodes)
    weight = np.exp(np.maximum(log - log.max(axis=1, keepdims=True), _CLIP)) * grid.normal(0.0, 1.0)
    return reached, weight / weight.sum(axis=1, keepdims=True)
