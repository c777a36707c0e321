"""A cohort's results against a bank in; how far every exercise, per grader build, is from what the bank expects, out.

For every first try the level is predicted from all other first tries of the same student: the ability in that notebook, with
this answer taken out again (its likelihood is divided out of the posterior). Observed minus expected, summed and divided by
its standard deviation, is about N(0, 1) for a check that measures what it did. The variance has three parts: the answer's own,
that of the student's ability, and that of the bank's curve, which is itself an estimate. Without the third, an exercise that
300 students fitted looks broken as soon as 300 more have tried it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autograder.progress.irt import gpcm
from autograder.progress.irt.hierarchy import Hierarchy, likelihoods
from autograder.progress.irt.tree import CHUNK
from autograder.progress.scores import Floats, Ints


@dataclass(frozen=True)
class Residual:
    """One exercise under one grader build: `z` standard errors above (easier) or below (harder) what the bank expects."""

    exercise: str
    grader_build: str
    n_tries: int
    z: float


def residuals(model: Hierarchy, build_of: Ints, builds: tuple[str, ...]) -> list[Residual]:
    """Return the residual of every exercise under every build that graded it. Shapes: build_of (n j), -1 where not tried."""
    expected, variance, by_slope, by_ease = _predictions(model)
    out = []
    for j, exercise in enumerate(model.scores.exercises):
        graded = np.where(model.level[:, j] >= 0, build_of[:, j], -1)
        for g in np.unique(graded[graded >= 0]).tolist():
            of = graded == g
            k = int(model.curves.n_levels[j])
            covariance = model.curves.covariance[j]
            pull = np.concatenate([[by_slope[of, j].sum()], np.full(k - 1, by_ease[of, j].sum() / (k - 1))])
            total = variance[of, j].sum() + pull @ covariance[:k, :k] @ pull
            z = float((model.level[of, j] - expected[of, j]).sum() / np.sqrt(max(total, 1e-9)))
            out.append(Residual(exercise, builds[g], int(of.sum()), z))
    return out


def _predictions(model: Hierarchy) -> tuple[Floats, Floats, Floats, Floats]:
    """Return expected level, its variance, and the slopes of the expectation by log slope and by intercepts. Shapes: (n j)."""
    out = np.zeros((4, *model.level.shape))
    nodes = model.tree.grid.nodes
    p = np.exp(model.curves.log_p(nodes))
    mean, var = model.curves.moments(nodes)
    slope = np.exp(model.curves.log_slope)
    for first in range(0, len(model.level), CHUNK):
        level = model.level[first : first + CHUNK]
        likelihood, _divided = likelihoods(gpcm.one_hot(level, model.curves.n_levels), model.curves, model.spans, model.tree.grid)
        _up, abilities = model.tree.down(likelihood, len(level))
        for (start, end), known in zip(model.spans, abilities, strict=True):
            if known is None:
                continue
            for j in range(start, end):
                tried = np.flatnonzero(level[:, j] >= 0)
                without = known[tried] / np.maximum(p[j, level[tried, j]], 1e-12)
                without /= without.sum(axis=1, keepdims=True)
                at = first + tried
                out[0, at, j] = without @ mean[j]
                out[1, at, j] = without @ (var[j] + mean[j] ** 2) - out[0, at, j] ** 2
                out[2, at, j] = without @ (slope[j] * nodes * var[j])
                out[3, at, j] = without @ var[j]
    return out[0], out[1], out[2], out[3]
