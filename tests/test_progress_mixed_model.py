"""The mixed model agrees with dense linear algebra, and its gradient with differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autograder.progress import estimate
from autograder.progress.mixed_model import Layout, Variances, covariance, layout, notebook_posterior, posterior, solve
from autograder.progress.scores import Floats

V = Variances(person=0.9, growth=0.5, track=0.4, notebook=0.6, noise=0.8, correlation=0.3)


@pytest.fixture
def world() -> tuple[Layout, Floats, Floats, Floats]:
    """Layout, weights (some 0, one student without any), responses, precision of beta."""
    rng = np.random.default_rng(5)
    at = layout(np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0.0, 0.5, 1.0]), np.array([0, 1, 0]))
    w = np.where(rng.random((6, 7)) < 0.7, rng.uniform(0.05, 0.25, (6, 7)), 0.0)
    w[2] = 0.0
    w[3, 3:5] = 0.0
    return at, w, np.where(w > 0, rng.normal(0.3, 2, (6, 7)), 0.0), np.linalg.inv(4 * np.eye(7) + 9)


def _dense(at: Layout, w: Floats, z: Floats, prior: Floats) -> dict[str, Floats]:
    """The same model as one big Gaussian: vec(z) ~ N(0, X prior^-1 X' + V), by the textbook formulas."""
    k, c = covariance(V, at)
    n, j = w.shape
    rows, columns = np.nonzero(w)
    x = np.eye(j)[columns]
    same = rows[:, None] == rows[None, :]
    books = at.notebook_of[columns]
    v = same * k[np.ix_(books, books)] + np.diag(V.noise / w[rows, columns])
    total = v + x @ np.linalg.inv(prior) @ x.T
    y = z[rows, columns]
    to_target = (rows[None, :] == np.arange(n)[:, None]) * c[books][None, :]
    mean = to_target @ np.linalg.solve(total, y)
    variance = V.target_sd**2 - np.einsum("nm,mn->n", to_target, np.linalg.solve(total, to_target.T))
    beta = np.linalg.inv(prior) @ x.T @ np.linalg.solve(total, y)
    value = -0.5 * (np.linalg.slogdet(total)[1] + y @ np.linalg.solve(total, y))
    return {"mean": mean, "variance": variance, "beta": beta, "value": np.asarray(value)}


def test_likelihood_beta_and_posterior_agree_with_dense_algebra(world: tuple[Layout, Floats, Floats, Floats]) -> None:
    """Sums per notebook and A = I + S K S give what the full covariance matrix gives.

    The likelihoods differ by what does not depend on the variances: the weights and the prior of beta.
    """
    at, w, z, prior = world
    expected = _dense(at, w, z, prior)
    k, c = covariance(V, at)

    solved = solve(k, V.noise, w, z, at, prior)
    mean, variance = posterior(solved, c, V.target_sd**2, w, z, at)

    constant = 0.5 * np.log(w[w > 0]).sum() - 0.5 * -np.linalg.slogdet(prior)[1]
    assert solved.log_likelihood + constant == pytest.approx(float(expected["value"]), abs=1e-9)
    np.testing.assert_allclose(solved.beta, expected["beta"], atol=1e-10)
    np.testing.assert_allclose(mean, expected["mean"], atol=1e-10)
    np.testing.assert_allclose(variance, expected["variance"], atol=1e-10)
    assert (mean[2], variance[2]) == (0, pytest.approx(V.target_sd**2))


def test_the_gradient_agrees_with_differences(world: tuple[Layout, Floats, Floats, Floats]) -> None:
    """The gradient by all six parameters is that of the value; the curve is smooth enough for steps of 1e-5."""
    at, w, z, prior = world
    par = np.array([0.1, -0.5, -0.7, -0.3, -0.2, 0.3])

    def value(p: Floats) -> float:
        return estimate._minus_log_posterior(p, w, z, at, prior)[0]

    gradient = estimate._minus_log_posterior(par, w, z, at, prior)[1]
    steps = np.eye(6) * 1e-5
    np.testing.assert_allclose(gradient, [(value(par + e) - value(par - e)) / 2e-5 for e in steps], atol=1e-6)


def test_the_covariance_is_that_of_the_effects_it_is_made_of() -> None:
    """Cov(f) and Cov(f, T) agree with the sum of simulated effects (100,000 draws, so to about 0.01)."""
    at = layout(np.array([0, 1, 2]), np.array([0.0, 0.5, 1.0]), np.array([0, 1, 0]))
    rng = np.random.default_rng(0)
    n = 100_000
    person = V.person * rng.normal(size=n)
    growth = V.growth * (V.correlation * person / V.person + np.sqrt(1 - V.correlation**2) * rng.normal(size=n))
    track = V.track * rng.normal(size=(n, 2))[:, [0, 1, 0]]
    f = person[:, None] + growth[:, None] * at.time + track + V.notebook * rng.normal(size=(n, 3))

    k, c = covariance(V, at)

    both = np.cov(np.column_stack([f, person + growth]).T)
    np.testing.assert_allclose(both[:3, :3], k, atol=0.03)
    np.testing.assert_allclose(both[:3, 3], c, atol=0.03)
    assert both[3, 3] == pytest.approx(V.target_sd**2, abs=0.03)


def test_a_notebook_without_tries_changes_nothing(world: tuple[Layout, Floats, Floats, Floats]) -> None:
    """The model with an untouched notebook more gives the same value and posterior as without it."""
    at, w, z, _prior = world
    w, z = w.copy(), z.copy()
    w[:, 5:], z[:, 5:] = 0, 0
    small = layout(at.notebook_of[:5], at.time[:2], np.array([0, 1]))
    results = []
    for here, n in ((at, 7), (small, 5)):
        k, c = covariance(V, here)
        solved = solve(k, V.noise, w[:, :n], z[:, :n], here, np.eye(n) / 4)
        results.append((solved.beta[:5], *posterior(solved, c, V.target_sd**2, w[:, :n], z[:, :n], here)))

    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_notebook_effects_are_the_conditional_normal_of_the_textbook(world: tuple[Layout, Floats, Floats, Floats]) -> None:
    """Given beta, mean and covariance of f agree with (K^-1 + D)^-1."""
    at, w, z, prior = world
    k, _c = covariance(replace(V, correlation=0.0), at)
    solved = solve(k, V.noise, w, z, at, prior)

    mean, cov = notebook_posterior(solved, w, z, at)

    q = w / V.noise
    for i in range(len(w)):
        expected = np.linalg.inv(np.linalg.inv(k) + np.diag(at.per_notebook(q)[i]))
        np.testing.assert_allclose(cov[i], expected, atol=1e-10)
        np.testing.assert_allclose(mean[i], expected @ at.per_notebook(q * (z - solved.beta))[i], atol=1e-10)
