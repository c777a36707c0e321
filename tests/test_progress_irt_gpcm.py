"""Curves are the partial-credit model's, their fit climbs the likelihood it says, and priors hold what data cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autograder.progress.irt import gpcm
from autograder.progress.irt.gpcm import Curves, Family
from autograder.progress.scores import Floats

NODES = np.linspace(-4, 4, 33)
CURVES = Curves(np.array([0.2, -0.3]), np.array([[0.5, 0.0, 0.0], [1.0, -0.4, -1.2]]), np.array([2, 4]), np.zeros((2, 4, 4)))


def test_two_levels_are_the_two_parameter_logistic() -> None:
    """P = 1 / (1 + e^-(slope x + intercept)), and nothing at levels that the item lacks."""
    p = np.exp(CURVES.log_p(NODES))

    np.testing.assert_allclose(p[0, 1], 1 / (1 + np.exp(-(np.exp(0.2) * NODES + 0.5))))
    assert np.all(p[0, 2:] == 0)


def test_four_levels_follow_murakis_formula() -> None:
    """Neighbouring levels' log-odds are slope x + intercept; all levels sum to 1."""
    log = CURVES.log_p(NODES)[1]

    np.testing.assert_allclose(np.exp(log).sum(axis=0), 1)
    for v, intercept in enumerate([1.0, -0.4, -1.2], 1):
        np.testing.assert_allclose(log[v] - log[v - 1], np.exp(-0.3) * NODES + intercept)


def test_derivatives_are_the_slopes_of_the_chances() -> None:
    """Against differences over a step of 1e-5 in every parameter, for two levels and for four."""
    found = CURVES.derivatives(NODES)

    for a in range(4):
        step = np.zeros((2, 4))
        step[:, a] = np.where(CURVES.valid[:, a], 1e-5, 0.0)
        up, down = (
            replace(CURVES, log_slope=CURVES.log_slope + s * step[:, 0], intercept=CURVES.intercept + s * step[:, 1:])
            for s in (1, -1)
        )
        slope = (np.exp(up.log_p(NODES)) - np.exp(down.log_p(NODES))) / 2e-5
        np.testing.assert_allclose(found[:, :, a], slope, atol=1e-8)


def _objective(curves: Curves, counts: Floats, family: Family) -> float:
    value = float((counts * curves.rows(NODES)).sum()) - 0.5 * float(
        (((curves.log_slope - family.log_slope) / family.log_slope_sd) ** 2).sum()
    )
    for j, n in enumerate(curves.n_levels.tolist()):
        away = curves.intercept[j, : n - 1] - family.intercept
        value -= 0.5 * float(away @ gpcm.prior_precision(family, n - 1)[1:, 1:] @ away)
    return value


def test_fitted_curves_are_the_mode() -> None:
    """Expected counts of the true curves give curves from which no small step improves the log posterior."""
    rng = np.random.default_rng(0)
    weight = 200 * np.exp(-0.5 * NODES**2)
    counts = np.exp(CURVES.rows(NODES)) * weight + 0.01 * rng.random((6, len(NODES)))
    family, found = Family(), gpcm.start_curves(np.array([[0, 0], [1, 3]]), CURVES.n_levels)
    for _ in range(10):
        found = gpcm.fit_curves(found, counts, NODES, family)

    best = _objective(found, counts, family)
    for step in (-1e-3, 1e-3):
        for j in range(2):
            moved = found.log_slope.copy()
            moved[j] += step
            assert _objective(replace(found, log_slope=moved), counts, family) < best
            for u in range(int(found.n_levels[j]) - 1):
                shifted = found.intercept.copy()
                shifted[j, u] += step
                assert _objective(replace(found, intercept=shifted), counts, family) < best
    np.testing.assert_allclose(found.log_slope, CURVES.log_slope, atol=0.1)


def test_what_everybody_got_right_stays_finite() -> None:
    """No counts below the top: the prior holds slope and intercept."""
    counts = np.zeros((6, len(NODES)))
    counts[1], counts[5] = 50 * np.exp(-0.5 * NODES**2), 50 * np.exp(-0.5 * NODES**2)
    found = gpcm.start_curves(np.array([[1, 3]]), CURVES.n_levels)
    for _ in range(30):
        found = gpcm.fit_curves(found, counts, NODES, Family())

    assert np.all(np.abs(found.intercept) < 9)
    assert np.all(np.isfinite(found.covariance))


def test_rescaling_changes_the_unit_and_no_probability() -> None:
    """Curves of ability measured from 0.3 in units of 1.7 give the same probabilities at the same abilities."""
    moved = gpcm.rescaled(CURVES, 0.3, 1.7)

    np.testing.assert_allclose(moved.rows((NODES - 0.3) / 1.7), CURVES.rows(NODES))


def test_information_is_the_slope_of_the_expected_level() -> None:
    """slope^2 Var(level) = slope * d E(level) / d ability."""
    mean = CURVES.moments(np.array([0.4 - 1e-5, 0.4 + 1e-5]))[0]

    np.testing.assert_allclose(
        CURVES.information(np.array([0.4]))[:, 0], np.exp(CURVES.log_slope) * (mean[:, 1] - mean[:, 0]) / 2e-5, rtol=1e-6
    )


def test_items_borrow_from_each_other() -> None:
    """The family's mean is that of the items; its spread counts what is uncertain in each of them."""
    n = 400
    rng = np.random.default_rng(2)
    curves = Curves(rng.normal(0.3, 0.2, n), rng.normal(-1, 0.8, (n, 1)), np.full(n, 2), np.full((n, 2, 2), 0.0))

    found = gpcm.fit_family(curves, Family())

    assert (found.log_slope, found.log_slope_sd) == pytest.approx((0.3, 0.2), abs=0.03)
    assert (found.intercept, found.intercept_sd) == pytest.approx((-1, 0.8), abs=0.08)
