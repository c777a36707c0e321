"""What is compared: a cohort at the end of a week in; scores of the naive rules and chances of the engines out."""

from __future__ import annotations

import numpy as np

from autograder.progress import estimate, ranks
from autograder.progress.irt import ability, flat, hierarchy
from autograder.progress.irt.gpcm import Curves, Family
from autograder.progress.irt.grid import Grid
from autograder.progress.irt.hierarchy import Anchor, Hierarchy
from autograder.progress.irt.levels import CUTS
from autograder.progress.irt.tree import Effects, Tree
from autograder.progress.posterior import Posterior, normal
from autograder.progress.scores import Floats, Scores
from autograder.progress.simulator.cohort import FAN, GROWTH_SD, NOTEBOOK_SD, TRACK_SD, Cohort, Items, Setting

SHARE, N_REFERENCE = 0.1, 30
_N_NODES = 41


def total_score(cohort: Cohort, week: int) -> Floats:
    """Exercises passed by now, at whatever try: what a gradebook adds up."""
    return np.asarray(((cohort.week <= week) & (cohort.passed_at > 0)).sum(axis=1), dtype=float)


def mean_of_attempted(cohort: Cohort, week: int) -> Floats:
    """Share passed of what was attempted, at whatever try."""
    seen = cohort.week <= week
    return np.asarray((seen & (cohort.passed_at > 0)).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))


def adjusted_first_tries(scores: Scores) -> Floats:
    """Mean of first tries less the exercise's own mean, shrunk as if there were ten average ones more."""
    n = scores.seen.sum(axis=0)
    mean = np.divide(scores.score.sum(axis=0), n, out=np.zeros(len(n)), where=n > 0)
    return np.asarray(np.where(scores.seen, scores.score - mean, 0.0).sum(axis=1) / (scores.seen.sum(axis=1) + 10))


def flat_irt(scores: Scores) -> Posterior:
    """The flat 2PL's posterior, taken as normal."""
    fitted = flat.fit(np.where(scores.seen, scores.score, -1).astype(int), np.full(len(scores.exercises), 2))
    return normal(fitted.mean, fitted.sd, fitted.mean)


def gaussian(scores: Scores) -> Posterior:
    """The simple engine."""
    fitted = estimate.fit(scores)
    assert fitted is not None
    mean, sd = estimate.target(fitted, fitted.weight, fitted.response)
    return normal(mean, sd, mean)


def hierarchical(scores: Scores, anchor: Anchor | None, start: Hierarchy | None) -> tuple[Posterior, Hierarchy]:
    """The hierarchy, cold (anchor is None) or against a bank."""
    fitted = hierarchy.fit(scores, anchor, start)
    assert fitted is not None
    return ability.posteriors(fitted, fitted.level), fitted


def oracle(scores: Scores, items: Items, setting: Setting) -> Posterior:
    """What somebody would know who was told the exercises' curves and all spreads: no engine can do better by much."""
    at = np.array([int(e[1:]) for e in scores.exercises])
    n = len(at)
    intercept = -items.slope[at] * items.difficulty[at]
    curves = Curves(np.log(items.slope[at]), intercept[:, None], np.full(n, 2), np.zeros((n, 2, 2)))
    growth, track, notebook = (setting.depends * sd for sd in (GROWTH_SD, TRACK_SD, NOTEBOOK_SD))
    tree = Tree(Grid(_N_NODES), Effects(0.0, 1.0, growth, track, notebook, FAN * setting.depends), scores.time, scores.track_of)
    level = np.where(scores.seen, scores.score, -1).astype(int)
    cuts = tuple((CUTS[-1],) for _ in at)
    return ability.posteriors(Hierarchy(scores, cuts, level, curves, Family(), tree, 0.0, tree.effects.target_sd), level)


def chances(of: Posterior) -> Floats:
    """Return p, with the bar of the cohort and the reference population."""
    return of.chances(ranks.bar(of, SHARE, N_REFERENCE))
