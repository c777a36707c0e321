"""The flat model agrees with R's mirt and with PyPI's, in two levels and in four."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from autograder.progress.irt.flat import Flat
from autograder.progress.simulator.numbers import agreement


@cache
def _fit(kind: str) -> Flat:
    return agreement.fitted(kind)


@pytest.mark.parametrize("kind", ["2pl", "gpcm"])
def test_abilities_are_those_of_r_mirt(kind: str) -> None:
    """EAPs correlate at least .999 with R mirt 1.46.1's and lie within 2 % of an SD (RMSE); posterior SDs agree to 2 %."""
    theirs, found = agreement.reference(kind), _fit(kind)

    assert np.corrcoef(found.mean, theirs.eap)[0, 1] >= 0.999
    assert np.sqrt(np.mean((found.mean - theirs.eap) ** 2)) <= 0.02 * theirs.eap.std()
    assert np.mean(found.sd / theirs.sd) == pytest.approx(1, abs=0.02)


def test_the_simulation_says_how_well_they_agree() -> None:
    """Correlation and RMSE are those of the abilities; the error is what other persons would have given: under a tenth of it."""
    found = agreement.agreement("2pl", np.random.default_rng(1))

    theirs = agreement.reference("2pl").eap
    assert found.correlation.value == pytest.approx(np.corrcoef(_fit("2pl").mean, theirs)[0, 1])
    assert found.rmse.value == pytest.approx(np.sqrt(np.mean((_fit("2pl").mean - theirs) ** 2)) / theirs.std())
    assert 0 < found.rmse.error < found.rmse.value / 10


@pytest.mark.parametrize("kind", ["2pl", "gpcm"])
def test_slopes_are_those_of_r_mirt(kind: str) -> None:
    """Ours are shrunk a little towards each other by their prior: r >= .99, and the same on average to 2 %."""
    slope = np.exp(_fit(kind).curves.log_slope)

    assert np.corrcoef(slope, agreement.reference(kind).slope)[0, 1] >= 0.99
    assert np.mean(slope / agreement.reference(kind).slope) == pytest.approx(1, abs=0.02)


def test_abilities_are_those_of_the_python_package_mirt() -> None:
    """A second opinion, PyPI's mirt 1.2 with 41 points: r >= .999 and an RMSE of at most 2 % of an SD (2PL only)."""
    mirt = pytest.importorskip("mirt", reason="PyPI's mirt is a development dependency: pip install -e '.[dev]'")
    responses = agreement.reference("2pl").responses

    fitted = mirt.fit_mirt(responses, model="2PL", n_quadpts=41, compute_standard_errors=False)
    theirs = np.ravel(mirt.fscores(fitted, responses, method="EAP").theta)

    assert np.corrcoef(_fit("2pl").mean, theirs)[0, 1] >= 0.999
    assert np.sqrt(np.mean((_fit("2pl").mean - theirs) ** 2)) <= 0.02 * theirs.std()
