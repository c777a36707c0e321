"""The flat model agrees with R's mirt and with PyPI's, in two levels and in four."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from autograder.progress.irt import flat
from autograder.progress.irt.flat import Flat
from autograder.progress.scores import Floats, Ints

REFERENCE = Path(__file__).parent / "data" / "irt" / "mirt_1.46.1.npz"


@cache
def _case(kind: str) -> tuple[Ints, Floats, Floats, Floats]:
    with np.load(REFERENCE, allow_pickle=False) as data:
        responses, *values = (data[f"{kind}_{name}"] for name in ("responses", "eap", "sd", "slope"))
    return responses.astype(np.intp), values[0], values[1], values[2]


@cache
def _fit(kind: str) -> Flat:
    return flat.fit(_case(kind)[0], np.full(120, 2 if kind == "2pl" else 4))


@pytest.mark.parametrize("kind", ["2pl", "gpcm"])
def test_abilities_are_those_of_r_mirt(kind: str) -> None:
    """EAPs correlate at least .999 with R mirt 1.46.1's and lie within 2 % of an SD (RMSE); posterior SDs agree to 2 %."""
    _responses, eap, sd, _slope = _case(kind)
    found = _fit(kind)

    assert np.corrcoef(found.mean, eap)[0, 1] >= 0.999
    assert np.sqrt(np.mean((found.mean - eap) ** 2)) <= 0.02 * eap.std()
    assert np.mean(found.sd / sd) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("kind", ["2pl", "gpcm"])
def test_slopes_are_those_of_r_mirt(kind: str) -> None:
    """Ours are shrunk a little towards each other by their prior: r >= .99, and the same on average to 2 %."""
    slope = np.exp(_fit(kind).curves.log_slope)

    assert np.corrcoef(slope, _case(kind)[3])[0, 1] >= 0.99
    assert np.mean(slope / _case(kind)[3]) == pytest.approx(1, abs=0.02)


def test_abilities_are_those_of_the_python_package_mirt() -> None:
    """A second opinion, PyPI's mirt 1.2 with 41 points: r >= .999 and an RMSE of at most 2 % of an SD (2PL only)."""
    mirt = pytest.importorskip("mirt", reason="PyPI's mirt is a development dependency: pip install -e '.[dev]'")
    responses = _case("2pl")[0]

    fitted = mirt.fit_mirt(responses, model="2PL", n_quadpts=41, compute_standard_errors=False)
    theirs = np.ravel(mirt.fscores(fitted, responses, method="EAP").theta)

    assert np.corrcoef(_fit("2pl").mean, theirs)[0, 1] >= 0.999
    assert np.sqrt(np.mean((_fit("2pl").mean - theirs) ** 2)) <= 0.02 * theirs.std()
