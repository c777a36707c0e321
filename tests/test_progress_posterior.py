"""Chances between the bars, quantiles and mixtures are those of the distribution that was put in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from autograder.progress.posterior import joined, normal

MEAN, SD = np.array([-1.2, 0.0, 0.9]), np.array([0.3, 0.6, 1.0])
FOUND = normal(MEAN, SD, np.full(3, 0.5))


@pytest.mark.parametrize("bar", [-3.97, -0.03, 0.05, 1.2816, 2.449])
def test_chances_between_bars(bar: float) -> None:
    """To two parts in ten thousand, for SDs down to 0.3."""
    np.testing.assert_allclose(FOUND.chances(bar), norm.sf((bar - MEAN) / SD), atol=2e-4)


def test_intervals_hold_the_level() -> None:
    """Quantiles of the normals."""
    low, high = FOUND.interval(0.9)

    np.testing.assert_allclose(low, MEAN - 1.6449 * SD, atol=0.01)
    np.testing.assert_allclose(high, MEAN + 1.6449 * SD, atol=0.01)


def test_chances_stay_chances_beyond_the_bars() -> None:
    """0 to 1 at any bar, and joined students keep their order."""
    two = joined([FOUND, FOUND])

    assert len(two) == 6
    for bar in (-9.0, -5.0, 5.0, 9.0):
        assert np.all((two.chances(bar) >= 0) & (two.chances(bar) <= 1))
