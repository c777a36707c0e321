"""What is compared: a cohort at the end of a week in; scores of the naive rules and chances of the engines out."""

from __future__ import annotations

import numpy as np

from autograder.progress import estimate, ranks
from autograder.progress.irt import ability, flat, hierarchy
from autograder.progress.irt.hierarchy import Anchor, Hierarchy
from autograder.progress.posterior import Posterior, normal
from autograder.progress.scores import Floats, Scores
from autograder.progress.simulator.cohort import Cohort

SHARE, N_REFERENCE = 0.1, 30


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


def chances(of: Posterior) -> Floats:
    """Return p, with the bar of the cohort and the reference population."""
    return of.chances(ranks.bar(of, SHARE, N_REFERENCE))
