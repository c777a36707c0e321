"""Estimates are calibrated on simulated cohorts, better than total score, and sane on the smallest ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from autograder.progress import estimate, ranks
from autograder.progress.estimate import fit, target
from autograder.progress.posterior import normal
from autograder.progress.scores import Bools, Floats
from tests.progress_world import Cohort, simulate

SEED, N_COHORTS, SHARE = 20261001, 40, 0.1


@cache
def _evaluated() -> list[tuple[Cohort, Floats, Floats, Floats]]:
    """Cohort, mean, SD and chance per simulated cohort; cached, because three tests look at them."""
    found = []
    for n in range(N_COHORTS):
        cohort = simulate(np.random.default_rng([SEED, n]))
        model = fit(cohort.scores)
        assert model is not None
        mean, sd = target(model, model.weight, model.response)
        of = normal(mean, sd, mean)
        found.append((cohort, mean, sd, of.chances(ranks.bar(of, SHARE, 30))))
    return found


def _top(value: Floats) -> Bools:
    chosen = np.zeros(len(value), bool)
    chosen[np.argsort(-value, kind="stable")[: round(SHARE * len(value))]] = True
    return chosen


@pytest.mark.slow
def test_intervals_cover() -> None:
    """90 % and 50 % intervals of ability at the end hold the true value about that often (3,200 students, fixed seed).

    Bounds: the Monte-Carlo error of 40 cohorts is about 1 % and 2 %.
    """
    z = np.concatenate([(c.target - c.target.mean() - mean) / sd for c, mean, sd, _p in _evaluated()])

    assert 0.86 <= np.mean(np.abs(z) < 1.6449) <= 0.94
    assert 0.45 <= np.mean(np.abs(z) < 0.6745) <= 0.57


@pytest.mark.slow
def test_chances_come_true() -> None:
    """Of those with a chance of about p to be in the top tenth, about p are: expected calibration error at most .02."""
    p = np.concatenate([p for _c, _m, _s, p in _evaluated()])
    truth = np.concatenate([_top(c.target) for c, _m, _s, _p in _evaluated()])
    bins = np.minimum((p * 10).astype(int), 9)
    gaps = [abs(p[bins == b].mean() - truth[bins == b].mean()) * np.mean(bins == b) for b in range(10) if np.any(bins == b)]

    assert sum(gaps) <= 0.02
    assert p.mean() == pytest.approx(SHARE, abs=0.01)
    assert truth[p >= 0.8].mean() >= 0.8


@pytest.mark.slow
def test_late_joiners_are_found_where_total_score_overlooks_them() -> None:
    """Who joined late and is among the ablest is found as often as others, while the total score finds almost none."""
    ours, total = [], []
    on_time = []
    precision: dict[str, list[float]] = {"ours": [], "total": []}
    for cohort, _mean, _sd, p in _evaluated():
        truth = _top(cohort.target)
        by_p, by_total = _top(p), _top(np.where(cohort.seen, cohort.score, 0).sum(axis=1))
        ours += by_p[truth & cohort.late].tolist()
        on_time += by_p[truth & ~cohort.late].tolist()
        total += by_total[truth & cohort.late].tolist()
        precision["ours"].append(truth[by_p].mean())
        precision["total"].append(truth[by_total].mean())

    assert np.mean(ours) > np.mean(total) + 0.2
    assert np.mean(ours) > 0.75 * np.mean(on_time)
    assert np.mean(precision["ours"]) > np.mean(precision["total"]) + 0.05


@pytest.mark.slow
def test_variances_are_found_in_a_large_cohort() -> None:
    """The four spreads of the generator (1, .35, .35, .5; slopes about 1.16) are recovered within a third."""
    model = fit(simulate(np.random.default_rng(SEED), n=600, n_books=12, n_items=8, n_tracks=4).scores)

    assert model is not None
    v = model.variances
    assert (v.person, v.track, v.notebook) == pytest.approx((1.0, 0.35, 0.5), rel=0.34)
    assert v.noise == pytest.approx(1, rel=0.34)


def _by_hand(score: list[list[float]]) -> Cohort:
    values = np.array(score, dtype=float)
    n, j = values.shape
    books = np.minimum(np.arange(j) // 4, 1)
    return Cohort(
        np.nan_to_num(values), ~np.isnan(values), books, np.zeros(books.max() + 1, dtype=np.intp), np.zeros(n), np.zeros(n, bool)
    )


def assert_modest(cohort: Cohort, mean: Floats, sd: Floats) -> None:
    """Finite, neither certain nor less sure than the prior, not far off; students alike are estimated alike, near 0."""
    assert np.all(np.isfinite(mean))
    assert np.all((sd > 0.2) & (sd <= 1.001))
    assert np.all(np.abs(mean) < 2.5)
    if np.all(cohort.seen) and np.all(np.ptp(cohort.score, axis=0) == 0):
        assert np.all(np.abs(mean) < 0.75)
        assert np.ptp(mean) < 1e-6


NAN = float("nan")


@pytest.mark.parametrize(
    "score",
    [
        [[1.0]],
        [[0.0]],
        [[1.0] * 8],
        [[0.0] * 8],
        [[1.0] * 8, [0.0] * 8],
        [[1.0] * 8] * 20,
        [[0.0] * 8] * 20,
        [[1.0], [0.0], [0.5]],
        [[NAN] * 7 + [1.0], [1.0] + [NAN] * 7],
        [[NAN] * 8, [1.0, 0.0] * 4],
    ],
    ids=[
        "one right",
        "one wrong",
        "one student right",
        "one student wrong",
        "two",
        "all right",
        "all wrong",
        "one item",
        "disjoint",
        "empty",
    ],
)
def test_the_smallest_cohorts_get_finite_and_modest_estimates(score: list[list[float]]) -> None:
    """No data that exist give a NaN, a zero SD or certainty; students alike are estimated alike, near 0."""
    cohort = _by_hand(score)
    model = fit(cohort.scores)
    assert model is not None

    mean, sd = target(model, model.weight, model.response)

    assert_modest(cohort, mean, sd)


@pytest.mark.parametrize(("n", "j"), [(30, 60), (30, 20), (300, 4)])
def test_one_who_fails_where_all_others_pass_does_not_break_the_scale(n: int, j: int) -> None:
    """The outlier is low and not absurdly so (n draws of mean 0 and SD 1 reach sqrt(n) at most), the others stay together."""
    score = np.ones((n, j))
    score[0] = 0
    books = np.arange(j) * 2 // j
    model = fit(Cohort(score, np.ones((n, j), bool), books, np.zeros(2, np.intp), np.zeros(n), np.zeros(n, bool)).scores)
    assert model is not None

    mean, sd = target(model, model.weight, model.response)

    assert -min(7, n**0.5) < mean[0] < -2
    assert np.all(np.abs(mean[1:]) < 0.5)
    assert model.variances.person < 3
    assert np.all(sd > 0.2)


def test_the_fit_has_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renewing the responses more often moves no estimate by more than a ten-thousandth."""
    scores = simulate(np.random.default_rng(300), n=300).scores
    means = []
    for n_steps in (estimate.N_STEPS, 20):
        monkeypatch.setattr(estimate, "N_STEPS", n_steps)
        model = fit(scores)
        assert model is not None
        means.append(target(model, model.weight, model.response)[0])

    np.testing.assert_allclose(means[0], means[1], atol=1e-4)


def test_nothing_is_estimated_from_nothing() -> None:
    """Without a single first try there is no model."""
    empty = Cohort(
        np.zeros((3, 0)), np.zeros((3, 0), bool), np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(3), np.zeros(3, bool)
    )

    assert fit(empty.scores) is None


def test_what_nobody_was_asked_leaves_the_prior() -> None:
    """A student without a first try has mean 0 and SD 1, whatever the others did."""
    cohort = _by_hand([[NAN] * 8, [1.0] * 8, [0.0, 1.0] * 4])
    model = fit(cohort.scores)
    assert model is not None

    mean, sd = target(model, model.weight, model.response)

    assert (mean[0], sd[0]) == (0, pytest.approx(1))
    assert mean[1] > mean[2]


def test_more_evidence_makes_surer() -> None:
    """The SD falls with every notebook; ten exercises of one notebook tell less than five each of two."""
    cohort = simulate(np.random.default_rng(1), n=100)
    model = fit(cohort.scores)
    assert model is not None
    books, everything = cohort.notebook_of, np.full(cohort.score.shape[1], 0.2)
    rows = np.array(
        [everything * (books < n) for n in range(9)]
        + [everything * (books == 7), everything * (np.arange(48) % 6 < 3) * (books > 5)]
    )

    _mean, sd = target(model, rows, np.zeros_like(rows))

    assert np.all(np.diff(sd[:9]) < 0)
    assert sd[0] == pytest.approx(1)
    assert sd[10] < sd[9]
