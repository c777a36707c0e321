"""Fractions of points in, ordered levels per exercise out: at most four, and fewer where the cohort shows fewer."""

from __future__ import annotations

import numpy as np

from autograder.progress.scores import Bools, Floats, Ints

# Nothing, less than half, at least half, all.
CUTS = (1e-9, 0.5, 1.0 - 1e-9)
# A level that fewer first tries reached is joined to its neighbour: a curve cannot be fitted to it.
MIN_TRIES = 4

Cuts = tuple[float, ...]


def cuts_of(score: Floats, seen: Bools) -> tuple[Cuts, ...]:
    """Return per exercise the fractions at which a higher level begins; always "all right" against the rest.

    Shapes: score, seen (n j). What is between is kept where at least `MIN_TRIES` first tries lie on each side of it.
    """
    return tuple(_cuts(score[seen[:, j], j]) for j in range(score.shape[1]))


def levels_of(score: Floats, seen: Bools, cuts: tuple[Cuts, ...]) -> Ints:
    """Return the level of every first try, -1 where there is none. Shapes: (n j)."""
    out = np.full(score.shape, -1, dtype=np.intp)
    for j, own in enumerate(cuts):
        out[seen[:, j], j] = np.searchsorted(own, score[seen[:, j], j], side="right")
    return out


def _cuts(score: Floats) -> Cuts:
    kept: list[float] = []
    last = -1.0
    for cut in CUTS[:-1]:
        below, inside = np.sum((score >= last) & (score < cut)), np.sum((score >= cut) & (score < CUTS[-1]))
        if below >= MIN_TRIES and inside >= MIN_TRIES:
            kept.append(cut)
            last = cut
    return (*kept, CUTS[-1])
