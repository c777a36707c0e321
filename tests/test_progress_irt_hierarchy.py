"""The hierarchy finds what made the data, is calibrated, foresees the next notebook, and is sane on the smallest cohorts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from autograder.progress import prospective
from autograder.progress.irt import ability, hierarchy
from autograder.progress.irt.bank import anchor, bank_of
from autograder.progress.irt.hierarchy import Hierarchy, fit
from autograder.progress.posterior import Posterior
from autograder.progress.scores import Scores
from autograder.progress.simulator.cohort import Setting, draw_cohort, draw_items
from tests.progress_world import Cohort, simulate
from tests.test_progress_estimate import _by_hand, assert_modest

NAN = float("nan")


def _fitted(scores: Scores) -> tuple[Hierarchy, Posterior]:
    model = fit(scores)
    assert model is not None
    return model, ability.posteriors(model, model.level)


@cache
def _large() -> tuple[Cohort, Hierarchy, Posterior]:
    cohort = simulate(np.random.default_rng(20261125), n=500, n_books=12, n_items=8, n_tracks=4)
    return cohort, *_fitted(cohort.scores)


@pytest.mark.slow
def test_the_spreads_that_made_the_data_are_found() -> None:
    """Growth .35, track .35, notebook .5: estimated from 500 students, within .1 (growth: .15)."""
    e = _large()[1].effects

    assert (e.mean, e.person) == (0, 1)
    assert (e.track, e.notebook) == pytest.approx((0.35, 0.5), abs=0.1)
    assert e.growth == pytest.approx(0.35, abs=0.15)


@pytest.mark.slow
def test_the_spreads_of_a_large_cohort_are_found_half_way() -> None:
    """After five of twelve notebooks 300 students cannot tell growth from fan; 1,500 can, and no fewer may be asked."""
    model = fit(draw_cohort(np.random.default_rng(6), draw_items(np.random.default_rng(6)), 1500, Setting.ALL).scores(5))
    assert model is not None
    e = model.effects

    assert (e.growth, e.track, e.notebook) == pytest.approx((0.35, 0.35, 0.5), abs=0.15)
    assert e.fan == pytest.approx(0.2, abs=0.35)


@pytest.mark.slow
def test_posteriors_cover_the_truth() -> None:
    """90 % and 50 % intervals hold the true target about that often (500 students: Monte-Carlo error 1.3 % and 2.2 %)."""
    cohort, _model, found = _large()
    truth = cohort.target - cohort.target.mean()
    low, high = found.interval(0.9)
    inner = found.interval(0.5)

    assert 0.86 <= np.mean((low < truth) & (truth < high)) <= 0.94
    assert 0.43 <= np.mean((inner[0] < truth) & (truth < inner[1])) <= 0.57


@pytest.mark.slow
def test_simulation_based_calibration() -> None:
    """Students drawn from a fitted model itself: the truth's place in its posterior is uniform.

    Kolmogorov's distance of 600 draws stays below 1.63 / sqrt(600), its 1 % point (Talts et al. 2018).
    """
    model = _large()[1]
    rng = np.random.default_rng(4)
    n, tree, s = 600, model.tree, model.scores
    at = rng.choice(tree.prior.size, size=n, p=(tree.prior / tree.prior.sum()).ravel())
    growth, person = tree.growth[at // tree.grid.n_nodes], tree.grid.nodes[at % tree.grid.n_nodes]
    # Within the cells of the grid, so that the truth is continuous.
    person = person + tree.grid.step * (rng.random(n) - 0.5)
    track = model.effects.track * rng.normal(size=(n, s.track_of.max() + 1))
    x = (
        person[:, None]
        + growth[:, None] * s.time
        + track[:, s.track_of]
        + model.effects.notebook * rng.normal(size=(n, len(s.time)))
    )
    slope, intercept = np.exp(model.curves.log_slope), model.curves.intercept[:, 0]
    level = (rng.random((n, len(slope))) < 1 / (1 + np.exp(-(slope * x[:, s.notebook_of] + intercept)))).astype(np.intp)
    level[rng.random(level.shape) < 0.4] = -1

    found = ability.posteriors(model, level)
    target = (person + growth - model.middle) / model.unit
    place = np.sort([float(found.chances(float(t))[i]) for i, t in enumerate(target)])

    assert np.max(np.abs(place - (np.arange(n) + 0.5) / n)) < 1.63 / np.sqrt(n) + 0.5 / n


@pytest.mark.slow
def test_the_next_notebook_is_foreseen() -> None:
    """Prospective and without any truth: of first tries expected to pass with p, about p passed (some 20,000 first tries)."""
    found = prospective.bins(prospective.predictions(_large()[0].scores))

    assert sum(n for _p, _share, n in found) > 15_000
    assert prospective.calibration_error(found) < 0.03
    assert found[-1][1] - found[0][1] > 0.6


@pytest.mark.slow
def test_a_later_cohort_is_measured_against_the_bank() -> None:
    """Known items stay as they are, a stronger cohort is found to be stronger, and new items join."""
    rng = np.random.default_rng(5)
    first = simulate(rng, n=300, n_books=6, n_items=8)
    model, _found = _fitted(first.scores)
    bank = bank_of(model, "first")
    able = np.flatnonzero(first.target > np.quantile(first.target, 0.4))
    s = first.scores
    stronger = replace(
        s, score=s.score[able], seen=s.seen[able], passed=s.passed[able], pseudonyms=tuple(s.pseudonyms[i] for i in able)
    )
    known = replace(bank, items=bank.items[:-8])

    again = fit(stronger, anchor(known, s.exercises))

    assert again is not None
    assert again.effects.mean > 0.3
    np.testing.assert_allclose(again.curves.log_slope[:-8], model.curves.log_slope[:-8], atol=1e-8)
    np.testing.assert_allclose(again.curves.intercept[-8:], model.curves.intercept[-8:], atol=0.8)
    found = ability.posteriors(again, again.level)
    truth = first.target[able] - first.target.mean()
    assert np.abs(np.mean(found.mean - truth)) < 0.15


def test_partial_credit_tells_more_than_pass_or_fail() -> None:
    """Four levels of the same answers give sharper estimates than two."""
    rng = np.random.default_rng(6)
    cohort = simulate(rng, n=120, n_books=4, n_items=6)
    shades = replace(cohort.scores, score=np.where(cohort.score == 1, 1.0, rng.choice([0.0, 0.25, 0.75], size=cohort.score.shape)))
    ordered = np.sort(shades.score, axis=0)  # abilities in order of the row: partial credit that means something
    model, found = _fitted(replace(shades, score=ordered, seen=np.ones_like(shades.seen)))
    _plain, plain = _fitted(replace(shades, score=(ordered == 1).astype(float), seen=np.ones_like(shades.seen)))

    assert model.curves.n_levels.max() == 4
    assert model.tree.grid.n_nodes == 81
    assert found.sd.mean() < plain.sd.mean()


@pytest.mark.parametrize(
    "score",
    [
        [[1.0]],
        [[0.0]],
        [[1.0] * 8],
        [[1.0] * 8, [0.0] * 8],
        [[1.0] * 8] * 20,
        [[0.0] * 8] * 20,
        [[1.0], [0.0], [0.5]],
        [[NAN] * 7 + [1.0], [1.0] + [NAN] * 7],
        [[NAN] * 8, [1.0, 0.0] * 4],
        [[0.0, 0.3, 0.6, 1.0] * 2] * 5,
    ],
)
def test_the_smallest_cohorts_get_finite_and_modest_estimates(score: list[list[float]]) -> None:
    """No data that exist give a NaN, a zero SD or certainty; students alike are estimated alike, near 0."""
    cohort = _by_hand(score)

    model, found = _fitted(cohort.scores)

    assert_modest(cohort, found.mean, found.sd)
    assert np.all(np.isfinite(found.above))
    assert 0.04 < model.effects.growth < 1.7


def test_nothing_is_estimated_from_nothing() -> None:
    """Without a single first try there is no model; a student without one keeps the prior."""
    empty = _by_hand([[NAN], [NAN]]).scores
    assert fit(replace(empty, exercises=(), notebook_of=np.zeros(0, np.intp))) is None

    _model, found = _fitted(_by_hand([[NAN] * 8, [1.0] * 8, [0.0, 1.0] * 4]).scores)

    assert (found.mean[0], found.sd[0]) == pytest.approx((0, 1), abs=0.02)
    assert found.mean[1] > found.mean[2]


def test_the_fit_has_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five times as many EM steps move no chance by more than a hundredth."""
    scores = simulate(np.random.default_rng(8), n=60).scores
    chances = []
    for steps in (hierarchy._EM_STEPS, (40, 40)):
        monkeypatch.setattr(hierarchy, "_EM_STEPS", steps)
        chances.append(_fitted(scores)[1].chances(1.28))

    np.testing.assert_allclose(chances[0], chances[1], atol=0.01)


def test_permuting_students_or_items_changes_nothing() -> None:
    """Rows in another order give the same estimates to 1e-8, before the report sorts them; so do exercises of a notebook."""
    s = simulate(np.random.default_rng(9), n=40, n_books=4).scores
    rows = np.random.default_rng(0).permutation(40)
    columns = np.concatenate([b * 6 + np.random.default_rng(b).permutation(6) for b in range(4)])
    moved = replace(
        s, score=s.score[rows][:, columns], seen=s.seen[rows][:, columns], exercises=tuple(s.exercises[j] for j in columns)
    )

    a, b = _fitted(s)[1], _fitted(moved)[1]

    np.testing.assert_allclose(a.mean[rows], b.mean, atol=1e-6)
    np.testing.assert_allclose(a.sd[rows], b.sd, atol=1e-6)
