"""Sums on the grid agree with the algebra of normals, wherever everything is normal and algebra can say it exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from autograder.progress.irt.grid import Grid
from autograder.progress.irt.tree import Effects, Tree
from autograder.progress.scores import Floats

GRID = Grid(41)
EFFECTS = Effects(mean=0.1, person=1.0, growth=0.4, track=0.35, notebook=0.5, fan=0.2)
N_BOOKS, NOISE = 6, 0.7
TREE = Tree(GRID, EFFECTS, np.linspace(0, 1, N_BOOKS), np.arange(N_BOOKS) % 2)


@pytest.fixture(scope="module")
def observed() -> Floats:
    """Noisy sights of six notebooks' abilities by 40 students, drawn from the model itself."""
    rng = np.random.default_rng(3)
    return rng.multivariate_normal(np.full(N_BOOKS, EFFECTS.mean), _covariance() + NOISE**2 * np.eye(N_BOOKS), size=40)


def _covariance() -> Floats:
    e, t = EFFECTS, TREE.time
    k = e.person**2 + e.fan * e.person * e.growth * (t[:, None] + t) + e.growth**2 * np.outer(t, t)
    return k + e.track**2 * (TREE.track_of[:, None] == TREE.track_of) + e.notebook**2 * np.eye(N_BOOKS)


def _likelihood(z: Floats) -> list[Floats | None]:
    return [np.exp(-0.5 * ((GRID.nodes - z[:, [b]]) / NOISE) ** 2) for b in range(N_BOOKS)]


def test_the_target_is_the_conditional_normal(observed: Floats) -> None:
    """Mean and SD of T = person + growth agree with the textbook's to a hundredth; P(T > bar) to half a per cent."""
    e, v = EFFECTS, _covariance() + NOISE**2 * np.eye(N_BOOKS)
    c = e.person**2 + e.fan * e.person * e.growth * (1 + TREE.time) + e.growth**2 * TREE.time
    mean = e.mean + (observed - e.mean) @ np.linalg.solve(v, c)
    sd = np.sqrt(e.target_sd**2 - c @ np.linalg.solve(v, c))

    joint = TREE.up(_likelihood(observed), len(observed)).joint
    found = (joint * TREE.target).sum(axis=(1, 2))
    above = (joint * np.stack([GRID.above(1.2 - g) for g in TREE.growth])).sum(axis=(1, 2))

    np.testing.assert_allclose(found, mean, atol=0.01)
    np.testing.assert_allclose(np.sqrt((joint * TREE.target**2).sum(axis=(1, 2)) - found**2), sd, atol=0.01)
    np.testing.assert_allclose(above, norm.sf((1.2 - mean) / sd), atol=0.005)


def test_the_likelihood_is_that_of_the_multivariate_normal(observed: Floats) -> None:
    """To a hundredth of a nat per student; the search for the spreads rests on it."""
    v = _covariance() + NOISE**2 * np.eye(N_BOOKS)
    expected = multivariate_normal(np.full(N_BOOKS, EFFECTS.mean), v).logpdf(observed) + N_BOOKS * np.log(
        NOISE * np.sqrt(2 * np.pi)
    )

    np.testing.assert_allclose(TREE.up(_likelihood(observed), len(observed)).log_likelihood, expected, atol=0.01)


def test_the_way_down_gives_every_notebooks_ability(observed: Floats) -> None:
    """Mean and SD of the ability in each notebook are the conditional normal's."""
    k = _covariance()
    gain = k @ np.linalg.inv(k + NOISE**2 * np.eye(N_BOOKS))
    mean, cov = EFFECTS.mean + (observed - EFFECTS.mean) @ gain.T, k - gain @ k

    _up, abilities = TREE.down(_likelihood(observed), len(observed))

    for b, weight in enumerate(abilities):
        assert weight is not None
        found = weight @ GRID.nodes
        np.testing.assert_allclose(found, mean[:, b], atol=0.01)
        np.testing.assert_allclose(np.sqrt(weight @ GRID.nodes**2 - found**2), np.sqrt(cov[b, b]), atol=0.01)


def test_a_notebook_that_was_not_tried_is_a_factor_of_one(observed: Floats) -> None:
    """None and a likelihood of 1 are the same, also for the only notebook of a track."""
    likelihood = _likelihood(observed)
    lonely = replace(TREE, track_of=np.array([0, 0, 0, 0, 0, 1]))
    flat: list[Floats | None] = [*likelihood[:5], np.ones_like(GRID.normal(np.zeros(len(observed)), 1.0))]

    a, b = (lonely.up(one, len(observed)) for one in ([*likelihood[:5], None], flat))

    np.testing.assert_allclose(a.joint, b.joint, atol=1e-12)
    np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, atol=1e-9)


def test_nothing_tried_leaves_the_prior() -> None:
    """The posterior is the prior, with its SD."""
    joint = TREE.up([None] * N_BOOKS, 2).joint

    np.testing.assert_allclose(joint[0], TREE.prior, atol=1e-12)
    mean = float((joint[0] * TREE.target).sum())
    assert mean == pytest.approx(EFFECTS.mean, abs=1e-6)
    assert np.sqrt((joint[0] * TREE.target**2).sum() - mean**2) == pytest.approx(EFFECTS.target_sd, rel=0.02)


def test_extreme_evidence_gives_no_nan() -> None:
    """Sure that ability is at both ends of the grid at once: finite, and nothing below zero."""
    z = np.array([[-6.0, 6.0, -6.0, 6.0, -6.0, 6.0], [6.0] * 6])
    sharp: list[Floats | None] = [np.exp(np.maximum(-50 * (GRID.nodes - z[:, [b]]) ** 2, -60)) for b in range(N_BOOKS)]

    up, abilities = TREE.down(sharp, 2)

    assert np.all(np.isfinite(up.joint))
    assert np.all(np.isfinite(up.log_likelihood))
    assert all(a is not None and np.all(np.isfinite(a)) for a in abilities)


def test_kernels_move_and_spread_by_what_they_say() -> None:
    """Mean shift and SD of a kernel at the grid's middle; a row sums to 1, also at the grid's end."""
    (kernel,) = GRID.kernel(0.5, np.array([0.37]))
    middle = kernel[20]

    np.testing.assert_allclose(kernel.sum(axis=1), 1)
    assert middle @ GRID.nodes == pytest.approx(0.37, abs=1e-6)
    assert np.sqrt(middle @ GRID.nodes**2 - 0.37**2) == pytest.approx(0.5, abs=1e-6)
