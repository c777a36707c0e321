"""Exercises as generalized partial-credit curves: parameters to log-probabilities, expected counts to better parameters.

The log-odds of level v against v - 1 at ability x are slope * x + intercept[v - 1]; with two levels that is the 2PL.
    Shapes: j items, l levels (padded to the largest), q nodes, s = all levels of all items in one row after another.
Priors keep every item finite, also one that all got right: log slope ~ N(m, s), the mean intercept of an item ~ N(m', s'),
and the intercepts of one item around it with SD 1. m, s, m', s' are estimated from all items with weak priors of their own,
so that in a small cohort items borrow from each other and in a large one they stand alone.
Source: Muraki 1992; Fisher scoring of the multinomial logit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from autograder.progress.scores import Bools, Floats, Ints

_N_SCORING = 3
_MAX_LOG_SLOPE, _MAX_INTERCEPT = 1.7, 9.0
_MAX_MOVE = 1.0
_WITHIN_SD = 1.0
# Priors of the priors: where the mean log slope and intercept lie, how much items differ, and how many items that is worth.
_MEAN_SLOPE_SD, _MEAN_INTERCEPT_SD = 0.5, 3.0
_SLOPE_SD, _INTERCEPT_SD, _WORTH = 0.35, 1.2, 4.0


@dataclass(frozen=True)
class Family:
    """What the items have in common: mean and SD of log slopes and of intercepts."""

    log_slope: float = 0.0
    log_slope_sd: float = _SLOPE_SD
    intercept: float = 0.0
    intercept_sd: float = _INTERCEPT_SD


@dataclass(frozen=True)
class Curves:
    """Items. Shapes: log_slope (j); intercept (j l-1), 0 beyond an item's own levels; n_levels (j), at least 2.

    covariance (j l l) is that of (log slope, intercepts), once `fit_curves` has given it.
    """

    log_slope: Floats
    intercept: Floats
    n_levels: Ints
    covariance: Floats

    @property
    def valid(self) -> Bools:
        """Which of the padded levels there are. Shapes: (j l)."""
        return np.asarray(np.arange(self.intercept.shape[1] + 1) < self.n_levels[:, None])

    def log_p(self, nodes: Floats) -> Floats:
        """Return log P(level | ability), -inf for levels that an item lacks. Shapes: (j l q)."""
        score = np.concatenate([np.zeros((len(self.log_slope), 1)), np.cumsum(self.intercept, axis=1)], axis=1)
        slope = np.exp(self.log_slope)[:, None] * np.arange(score.shape[1])
        log = slope[:, :, None] * nodes + score[:, :, None]
        log = np.where(self.valid[:, :, None], log, -np.inf)
        top = log.max(axis=1, keepdims=True)
        return np.asarray(log - top - np.log(np.exp(log - top).sum(axis=1, keepdims=True)))

    def rows(self, nodes: Floats) -> Floats:
        """Return the log-probabilities of all levels of all items, in order. Shapes: (s q)."""
        return self.log_p(nodes)[self.valid]

    def information(self, nodes: Floats) -> Floats:
        """Return slope^2 * Var(level) at each ability. Shapes: (j q)."""
        _mean, variance = self.moments(nodes)
        return np.asarray(np.exp(2 * self.log_slope)[:, None] * variance)

    def moments(self, nodes: Floats) -> tuple[Floats, Floats]:
        """Return mean and variance of the level at each ability. Shapes: (j q), (j q)."""
        p = np.exp(self.log_p(nodes))
        level = np.arange(p.shape[1])[:, None]
        mean = (p * level).sum(axis=1)
        return mean, (p * level**2).sum(axis=1) - mean**2

    def derivatives(self, nodes: Floats) -> Floats:
        """Return dP(level)/d(log slope, intercepts) at each ability. Shapes: (j l parameter q)."""
        p = np.exp(self.log_p(nodes))
        level = np.arange(p.shape[1])
        # The score of a level grows by slope * ability at each step up, and by an intercept from its own step on.
        by_slope = np.exp(self.log_slope)[:, None, None, None] * level[:, None, None] * nodes
        by_step = (level[:, None] >= level[None, 1:]).astype(float)[None, :, :, None]
        score = np.concatenate([by_slope, np.broadcast_to(by_step, (len(p), *by_step.shape[1:3], len(nodes)))], axis=2)
        return np.asarray(p[:, :, None] * (score - (p[:, :, None] * score).sum(axis=1, keepdims=True)))


def one_hot(level: Ints, n_levels: Ints) -> Floats:
    """Return a column per level of every item, 1 where it was reached; level -1 is missing. Shapes: (n j) -> (n s)."""
    columns = np.concatenate([[0], np.cumsum(n_levels)[:-1]]).astype(np.intp)
    out = np.zeros((len(level), int(n_levels.sum())))
    row, item = np.nonzero(level >= 0)
    out[row, columns[item] + level[row, item]] = 1.0
    return out


def start_curves(level: Ints, n_levels: Ints) -> Curves:
    """Return curves with slope 1 that agree with the shares of the levels."""
    width = int(n_levels.max(initial=2)) - 1
    counts = np.stack([(level == v).sum(axis=0) for v in range(width + 1)], axis=1) + 0.5
    intercept = np.clip(np.diff(np.log(counts), axis=1), -3, 3) * 1.2
    inside = np.arange(1, width + 1) < n_levels[:, None]
    j = len(n_levels)
    return Curves(np.zeros(j), np.where(inside, intercept, 0.0), n_levels, np.zeros((j, width + 1, width + 1)))


def fit_curves(curves: Curves, counts: Floats, nodes: Floats, family: Family) -> Curves:
    """Return curves improved by Fisher scoring on expected counts of levels per node. Shapes: counts (s q)."""
    padded = np.zeros((*curves.valid.shape, len(nodes)))
    padded[curves.valid] = counts
    for _ in range(_N_SCORING):
        gradient, precision = _slopes_and_curvature(curves, padded, nodes, family)
        covariance = np.linalg.inv(precision)
        move = np.clip(np.einsum("jab,jb->ja", covariance, gradient), -_MAX_MOVE, _MAX_MOVE)
        log_slope = np.clip(curves.log_slope + move[:, 0], -3.0, _MAX_LOG_SLOPE)
        intercept = np.clip(curves.intercept + move[:, 1:], -_MAX_INTERCEPT, _MAX_INTERCEPT)
        curves = Curves(log_slope, np.where(curves.valid[:, 1:], intercept, 0.0), curves.n_levels, covariance)
    return curves


def fit_family(curves: Curves, family: Family) -> Family:
    """Return what the items have in common: an EM step with the items' own uncertainty, under weak priors."""
    own = curves.valid[:, 1:].astype(float)
    own /= own.sum(axis=1, keepdims=True)
    center = (curves.intercept * own).sum(axis=1)
    center_var = np.einsum("ja,jab,jb->j", own, curves.covariance[:, 1:, 1:], own)
    slope = _pool(curves.log_slope, curves.covariance[:, 0, 0], family.log_slope_sd, _MEAN_SLOPE_SD, _SLOPE_SD)
    level = _pool(center, center_var, family.intercept_sd, _MEAN_INTERCEPT_SD, _INTERCEPT_SD)
    return Family(*slope, *level)


def rescaled(curves: Curves, mean: float, sd: float) -> Curves:
    """Return the same curves of an ability that is measured from `mean` in units of `sd`."""
    slope = np.exp(curves.log_slope)[:, None]
    intercept = np.where(curves.valid[:, 1:], curves.intercept + slope * mean, 0.0)
    return replace(curves, log_slope=curves.log_slope + np.log(sd), intercept=intercept)


def select(curves: Curves, items: Ints | Bools) -> Curves:
    """Return some of the items."""
    return replace(
        curves,
        log_slope=curves.log_slope[items],
        intercept=curves.intercept[items],
        n_levels=curves.n_levels[items],
        covariance=curves.covariance[items],
    )


def prior_precision(family: Family, n_steps: int) -> Floats:
    """Return the prior's precision of one item's (log slope, intercepts). Shapes: (k k)."""
    out = np.zeros((n_steps + 1, n_steps + 1))
    out[0, 0] = family.log_slope_sd**-2
    within = _WITHIN_SD**2 if n_steps > 1 else 0.0
    out[1:, 1:] = np.linalg.inv(family.intercept_sd**2 * np.ones((n_steps, n_steps)) + within * np.eye(n_steps))
    return out


def _pool(value: Floats, variance: Floats, sd: float, mean_sd: float, prior_sd: float) -> tuple[float, float]:
    mean = float(value.sum() / (len(value) + sd**2 / mean_sd**2))
    spread = float(((value - mean) ** 2 + variance).sum())
    return mean, float(np.sqrt((_WORTH * prior_sd**2 + spread) / (_WORTH + len(value))))


def _slopes_and_curvature(curves: Curves, counts: Floats, nodes: Floats, family: Family) -> tuple[Floats, Floats]:
    """Return gradient (j l) and precision (j l l) of the log posterior of (log slope, intercepts)."""
    p = np.exp(curves.log_p(nodes))
    total = counts.sum(axis=1)
    n_levels = p.shape[1]
    residual = counts - total[:, None, :] * p
    slope = np.exp(curves.log_slope)
    level = np.arange(n_levels)
    # d log-odds of level v / d parameters: v * slope * x for the log slope, 1 for every intercept up to v.
    reached = (level[:, None] >= level[None, 1:]).astype(float)
    by_slope = slope * np.einsum("jvq,v,q->j", residual, level, nodes)
    gradient = np.concatenate([by_slope[:, None], np.einsum("jvq,vu->ju", residual, reached)], axis=1)
    x = np.concatenate([level[:, None], reached], axis=1)  # (l parameter); the first column still lacks slope * ability
    mean = np.einsum("jvq,va->jaq", p, x)
    cov = np.einsum("jvq,vab->jabq", p, x[:, :, None] * x[:, None, :]) - mean[:, :, None] * mean[:, None, :]
    weight = np.ones((len(slope), n_levels, len(nodes)))
    weight[:, 0] = slope[:, None] * nodes
    precision = np.einsum("jabq,jaq,jbq,jq->jab", cov, weight, weight, total, optimize=True)
    return _with_priors(gradient, precision, curves, family)


def _with_priors(gradient: Floats, precision: Floats, curves: Curves, family: Family) -> tuple[Floats, Floats]:
    gradient[:, 0] -= (curves.log_slope - family.log_slope) / family.log_slope_sd**2
    away = curves.intercept - family.intercept
    for n_levels in np.unique(curves.n_levels):
        of, own = np.flatnonzero(curves.n_levels == n_levels), np.arange(n_levels)
        prior, steps = prior_precision(family, len(own) - 1), own[1:]
        precision[np.ix_(of, own, own)] += prior
        gradient[np.ix_(of, steps)] -= away[np.ix_(of, steps - 1)] @ prior[1:, 1:]
    # A level that an item lacks has no data and no curvature: any precision keeps it at 0.
    lonely, index = ~curves.valid[:, 1:], np.arange(1, curves.intercept.shape[1] + 1)
    precision[:, index, index] += lonely
    return gradient, precision
