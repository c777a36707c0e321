"""A fitted hierarchy in; what every first try was expected to be, from all other first tries of its student, out.

The ability in that notebook is taken with this answer taken out again: its likelihood is divided out of the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autograder.progress.irt import gpcm
from autograder.progress.irt.hierarchy import Hierarchy, likelihoods
from autograder.progress.irt.tree import CHUNK
from autograder.progress.scores import Bools, Floats, Ints

_LEAST = 1e-12


@dataclass(frozen=True)
class Prediction:
    """What was expected at one exercise. Shapes: row, level (m); p (m l); by_curve (m l k), by log slope and intercepts."""

    row: Ints
    level: Ints
    p: Floats
    by_curve: Floats

    def of(self, which: Bools | Ints) -> Prediction:
        """Return what was expected of some of the first tries."""
        return Prediction(self.row[which], self.level[which], self.p[which], self.by_curve[which])

    def information(self) -> Floats:
        """Return what these first tries tell of the curve, as the precision of (log slope, intercepts). Shapes: (k k).

        Fisher's information of a level given the student's other answers. What an EM step inverts is more: it takes the
        abilities for known.
        """
        return np.asarray(np.einsum("mla,mlb->ab", self.by_curve / np.maximum(self.p, _LEAST)[:, :, None], self.by_curve))


def predictions(model: Hierarchy) -> list[Prediction]:
    """Return what the other first tries of its student make expect of every first try, exercise by exercise."""
    nodes, curves = model.tree.grid.nodes, model.curves
    p, by_curve = np.exp(curves.log_p(nodes)), curves.derivatives(nodes)
    found: list[list[Prediction]] = [[] for _ in model.scores.exercises]
    for first in range(0, len(model.level), CHUNK):
        level = model.level[first : first + CHUNK]
        likelihood, _divided = likelihoods(gpcm.one_hot(level, curves.n_levels), curves, model.spans, model.tree.grid)
        _up, abilities = model.tree.down(likelihood, len(level))
        for (start, end), known in zip(model.spans, abilities, strict=True):
            if known is None:
                continue
            for j in range(start, end):
                k, tried = int(curves.n_levels[j]), np.flatnonzero(level[:, j] >= 0)
                without = known[tried] / np.maximum(p[j, level[tried, j]], _LEAST)
                without /= without.sum(axis=1, keepdims=True)
                slopes = np.einsum("mq,lkq->mlk", without, by_curve[j, :k, :k])
                found[j].append(Prediction(first + tried, level[tried, j], without @ p[j, :k].T, slopes))
    return [_joined(parts, int(k)) for parts, k in zip(found, curves.n_levels, strict=True)]


def _joined(parts: list[Prediction], k: int) -> Prediction:
    nothing = np.zeros(0, dtype=np.intp)
    whole = [Prediction(nothing, nothing, np.zeros((0, k)), np.zeros((0, k, k))), *parts]
    return Prediction(*(np.concatenate([getattr(one, name) for one in whole]) for name in ("row", "level", "p", "by_curve")))
