"""R mirt's reference values in, how well the flat model agrees with them out, with errors by drawing persons anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autograder.progress.irt import flat
from autograder.progress.irt.flat import Flat
from autograder.progress.scores import Floats, Ints
from autograder.progress.simulator.numbers.number import Number

REFERENCE = Path(__file__).parent / "reference" / "mirt_1.46.1.npz"
KINDS = {"2pl": 2, "gpcm": 4}
_N_DRAWS = 200


@dataclass(frozen=True)
class Reference:
    """Shapes: responses (n j), -1 where missing; eap, sd (n); slope (j)."""

    responses: Ints
    eap: Floats
    sd: Floats
    slope: Floats


@dataclass(frozen=True)
class Agreement:
    """Correlation of abilities with R mirt's, and the RMSE in SDs of theirs."""

    kind: str
    correlation: Number
    rmse: Number


def reference(kind: str) -> Reference:
    """Return what R's mirt was given and what it estimated."""
    with np.load(REFERENCE, allow_pickle=False) as data:
        responses, *values = (data[f"{kind}_{name}"] for name in ("responses", "eap", "sd", "slope"))
    return Reference(responses.astype(np.intp), *values)


def fitted(kind: str) -> Flat:
    """Fit the same responses."""
    responses = reference(kind).responses
    return flat.fit(responses, np.full(responses.shape[1], KINDS[kind]))


def agreement(kind: str, rng: np.random.Generator) -> Agreement:
    """Compare abilities; the errors are standard deviations over bootstrap samples of persons."""
    theirs, ours = reference(kind).eap, fitted(kind).mean
    draws = [_measures(ours[rows], theirs[rows]) for rows in rng.integers(len(ours), size=(_N_DRAWS, len(ours)))]
    errors = np.std(draws, axis=0, ddof=1)
    values = _measures(ours, theirs)
    return Agreement(kind, *(Number(v, float(e)) for v, e in zip(values, errors, strict=True)))


def _measures(ours: Floats, theirs: Floats) -> tuple[float, float]:
    return float(np.corrcoef(ours, theirs)[0, 1]), float(np.sqrt(np.mean((ours - theirs) ** 2)) / theirs.std())
