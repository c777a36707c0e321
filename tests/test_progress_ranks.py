"""The bar, chances and rank intervals mean what they say, checked against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from autograder.progress import ranks
from autograder.progress.posterior import Posterior, normal
from autograder.progress.scores import Floats


def _normal(mean: Floats, sd: Floats) -> Posterior:
    return normal(mean, sd, np.full(len(mean), 0.5))


def test_without_students_the_bar_is_that_of_the_prior() -> None:
    """With nobody in the cohort the top tenth begins at the normal's .9 quantile."""
    assert ranks.bar(_normal(np.zeros(0), np.zeros(0)), 0.1, 30) == pytest.approx(norm.ppf(0.9))


def test_chances_add_up_to_the_top_share() -> None:
    """The expected number above the bar is the top share of cohort and reference together."""
    rng = np.random.default_rng(0)
    mean, sd = rng.exponential(size=200) - 1, rng.uniform(0.3, 1, 200)
    tau = ranks.bar(_normal(mean, sd), 0.1, 30)

    total = norm.sf((tau - mean) / sd).sum() + 30 * norm.sf(tau)

    assert total == pytest.approx(0.1 * 230, abs=0.01)


def test_intervals_hold_the_level() -> None:
    """The central 90 % of a normal lies within 1.645 SD."""
    low, high = _normal(np.array([1.0]), np.array([0.5])).interval(0.9)

    assert (low[0], high[0]) == pytest.approx((1 - 0.5 * 1.644854, 1 + 0.5 * 1.644854), abs=0.005)


def test_rank_intervals_agree_with_simulated_ranks() -> None:
    """The 5 % and 95 % quantiles of ranks in 20,000 draws of the posteriors, to within one rank."""
    rng = np.random.default_rng(2)
    mean, sd = rng.normal(size=25), rng.uniform(0.2, 0.9, 25)
    draws = mean + sd * rng.normal(size=(20_000, 25))
    simulated = 1 + (-draws).argsort(axis=1).argsort(axis=1)

    low, high = ranks.rank_interval(mean, sd, 0.9)

    assert np.max(np.abs(low - np.quantile(simulated, 0.05, axis=0, method="inverted_cdf"))) <= 1
    assert np.max(np.abs(high - np.quantile(simulated, 0.95, axis=0, method="inverted_cdf"))) <= 1


@pytest.mark.parametrize("n", [0, 1, 2])
def test_ranks_of_the_smallest_cohorts(n: int) -> None:
    """Nobody has no rank, one is first, and of two far apart each has their own."""
    low, high = ranks.rank_interval(np.arange(n) * -50.0, np.full(n, 0.5), 0.9)

    assert (low.tolist(), high.tolist()) == (list(range(1, n + 1)), list(range(1, n + 1)))
