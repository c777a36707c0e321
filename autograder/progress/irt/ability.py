"""A fitted hierarchy and levels in, posteriors of the target out; one new first try at a time, too."""

from __future__ import annotations

import numpy as np

from autograder.progress.irt import gpcm
from autograder.progress.irt.hierarchy import Hierarchy, likelihoods
from autograder.progress.irt.tree import CHUNK, Up
from autograder.progress.posterior import Posterior, joined
from autograder.progress.scores import Ints


def posteriors(model: Hierarchy, level: Ints) -> Posterior:
    """Return what the levels tell of the target, one row per student; rows need not be the cohort's. Shapes: level (n j)."""
    if not len(level):
        return summary(model, model.tree.up([None] * len(model.spans), 0))
    return joined([summary(model, ups(model, level[i : i + CHUNK])) for i in range(0, len(level), CHUNK)])


def ups(model: Hierarchy, level: Ints) -> Up:
    """Return the posterior of (growth, person) and the log-likelihood of the levels. Shapes: level (n j)."""
    likelihood, divided = likelihoods(gpcm.one_hot(level, model.curves.n_levels), model.curves, model.spans, model.tree.grid)
    up = model.tree.up(likelihood, len(level))
    return Up(up.joint, up.log_likelihood + divided)


def summary(model: Hierarchy, up: Up) -> Posterior:
    """Return mean, SD and chances of the target in prior SDs."""
    tree = model.tree
    joint = up.joint.reshape(len(up.joint), -1)
    target = tree.target.reshape(-1)
    mean = joint @ target
    square = joint @ target**2
    above = np.clip(joint @ model.above, 0.0, 1.0)
    growing = up.joint.sum(axis=2) @ ((tree.growth > 0) + 0.5 * (tree.growth == 0))
    return Posterior(
        (mean - model.middle) / model.unit,
        np.sqrt(np.maximum(square - mean**2, 1e-9)) / model.unit,
        np.minimum.accumulate(above, axis=1),
        growing,
    )
