"""A cohort's results against a bank in; how surprising every exercise is, per grader build, and in which way, out.

Theory of operation
-------------------
For every first try the chances of its levels are predicted from all other first tries of the same student (`prediction`).
A check may break in three ways, and each says what those chances would be then: it rejects half of what is right, it passes
half of what is wrong, or it says the same whoever asks. The statistic of a way is its log-likelihood ratio against the bank,
the most powerful one there is: a failure of somebody who would hardly fail counts for much, where observed minus expected
counts all failures alike. "Half" is the middle, not a guess: a check that rejects all or a fifth of what is right moves the
same sum.

The ratio is a sum over students of what their level weighs. Its tail is Barndorff-Nielsen's r*, the saddlepoint
approximation with the sum's own skewness, given as standard errors of a normal. A normal's own tail would be wrong by
factors here: most of such a sum comes from few unlikely answers. The bank's curve is itself an estimate, and what its
covariance adds is in the tail, too: without it an exercise that 300 students fitted looks broken as soon as 300 more tried.
Three ways are three chances to be wrong, so each has its share of them: half goes to rejecting, which costs students their
points. What comes out, z, is thus exceeded by a sound check with a chance of one normal tail at most.
Source: Neyman & Pearson 1933; Barndorff-Nielsen 1986; Lord 1980 and Barton & Lord 1981 (lower and upper asymptotes).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from autograder.progress.irt.hierarchy import Hierarchy
from autograder.progress.irt.prediction import Prediction, predictions
from autograder.progress.scores import Floats, Ints

_SEVERITY = 0.5
_LEAST = 1e-9
# Below this a sum is not surprising, and its exact tail is of no interest; near 0 the approximation is 0 / 0.
_DULL = 0.5
# A trace of noise: the sum's largest value (everybody passes) has a tail, but no tilt has it for its mean.
_BLUR = 1e-3
_MAX_TILT, _MAX_Z = 60.0, 30.0


class Way(StrEnum):
    """What a check may do wrong."""

    REJECTS = "rejects right answers"
    ACCEPTS = "passes wrong answers"
    BLIND = "does not tell right from wrong"

    @property
    def share(self) -> float:
        """Return this way's share of the false alarms."""
        return 0.5 if self is Way.REJECTS else 0.25

    def chances(self, p: Floats) -> Floats:
        """Return the chances of the levels if the check were broken like this, from those of a sound one. Shapes: (m l)."""
        if self is Way.BLIND:
            return np.broadcast_to(p.mean(axis=0), p.shape)
        out = (1 - _SEVERITY) * p
        out[:, 0 if self is Way.REJECTS else -1] += _SEVERITY
        return np.asarray(out)


@dataclass(frozen=True)
class Residual:
    """One exercise under one grader build: `z` standard errors further from the bank than expected, in the way `way`."""

    exercise: str
    grader_build: str
    n_tries: int
    z: float
    way: Way


def residuals(model: Hierarchy, build_of: Ints, builds: tuple[str, ...]) -> list[Residual]:
    """Return the residual of every exercise under every build that graded it. Shapes: build_of (n j), -1 where not tried."""
    out = []
    for j, (exercise, expected) in enumerate(zip(model.scores.exercises, predictions(model), strict=True)):
        graded = build_of[expected.row, j]
        k = expected.p.shape[1]
        for g in np.unique(graded[graded >= 0]).tolist():
            of = graded == g
            z, way = surprise(expected.of(of), model.curves.covariance[j, :k, :k])
            out.append(Residual(exercise, builds[g], int(of.sum()), z, way))
    return out


def surprise(of: Prediction, covariance: Floats) -> tuple[float, Way]:
    """Return by how many standard errors the results of one exercise speak for a broken check, and for which way."""
    z = {way: min(_surprise(of, way, covariance), _MAX_Z) for way in Way}
    tail = {way: float(ndtr(-z[way])) / way.share for way in Way}
    way = min(tail, key=lambda w: tail[w])
    return -float(ndtri(min(tail[way], 1 - _LEAST))), way


def _surprise(of: Prediction, way: Way, covariance: Floats) -> float:
    """Return how many standard errors of a normal are as rare as a log-likelihood ratio like this one."""
    p = np.maximum(of.p, _LEAST)
    weight = np.log(np.maximum(way.chances(p), _LEAST) / p)
    weight = weight - (p * weight).sum(axis=1, keepdims=True)
    observed = float(weight[np.arange(len(p)), of.level].sum())
    pull = np.einsum("ml,mlk->k", weight, of.by_curve)
    own = float((p * weight**2).sum())
    of_curve = float(pull @ covariance @ pull) + _BLUR * own
    total = own + of_curve
    if total < _LEAST or observed < _DULL * np.sqrt(total):
        return observed / float(np.sqrt(max(total, _LEAST)))
    return _r_star(p, weight, of_curve, observed, observed / total)


def _r_star(p: Floats, weight: Floats, of_curve: float, observed: float, first_guess: float) -> float:
    """The sum's cumulant function at the tilt where its mean is what was observed gives the tail."""

    def cumulants(t: float) -> tuple[float, float, float]:
        tilted = p * np.exp(t * weight)
        total = tilted.sum(axis=1)
        mean = (tilted * weight).sum(axis=1) / total
        spread = (tilted * weight**2).sum(axis=1) / total - mean**2
        return float(np.log(total).sum()) + of_curve * t**2 / 2, float(mean.sum()) + of_curve * t, float(spread.sum()) + of_curve

    high = first_guess
    while cumulants(high)[1] < observed and high < _MAX_TILT:
        high *= 2
    t = brentq(lambda t: cumulants(t)[1] - observed, 0.0, high, xtol=1e-10) if cumulants(high)[1] > observed else high
    value, _mean, spread = cumulants(t)
    r = np.sqrt(max(2 * (t * observed - value), _LEAST))
    return float(r + np.log(t * np.sqrt(spread) / r) / r)
