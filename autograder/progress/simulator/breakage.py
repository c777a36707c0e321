"""A cohort's fit against a bank in; which of its sound checks are suspected, and which broken ones are found, out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from autograder.progress.irt.drift import surprise
from autograder.progress.irt.hierarchy import Hierarchy
from autograder.progress.irt.prediction import Prediction, predictions
from autograder.progress.policy import Policy
from autograder.progress.scores import Bools, Floats, Ints

N_SUBMISSIONS = 60
_N_BROKEN = 24
Broken = Callable[[Ints, Floats], Ints]


def _rejects(share: float) -> Broken:
    return lambda level, coin: np.where(coin < share, 0, level)


def _passes(share: float) -> Broken:
    return lambda level, coin: np.where(coin < share, 1, level)


# How a check is broken: what it says instead of its levels (0 or 1), given a coin for each.
HEADLINE = "rejects 3 of 5 right answers"
WAYS: Mapping[str, Broken] = {
    "rejects 1 of 3 right answers": _rejects(1 / 3),
    HEADLINE: _rejects(0.6),
    "rejects 4 of 5 right answers": _rejects(0.8),
    "rejects every answer": _rejects(1.0),
    "passes half of the wrong answers": _passes(0.5),
    "passes every answer": _passes(1.0),
    "throws a coin": lambda level, coin: (coin < 0.5).astype(np.intp),
    "is upside down": lambda level, coin: 1 - level,
}


@dataclass(frozen=True)
class Breakage:
    """Per way of being broken: which are caught by N_SUBMISSIONS, and by all there are. Of sound checks, (j): which are suspected
    at the end, and which were in some week.
    """

    caught: Mapping[str, Bools]
    caught_by_all: Mapping[str, Bools]
    alarms: Bools
    ever_alarms: Bools


def alarmed(model: Hierarchy, policy: Policy) -> Bools:
    """Return which exercises would be left out. Shapes: (j)."""
    return np.array([_is_caught(one, model, j, policy) for j, one in enumerate(predictions(model))], dtype=bool)


def breakage(rng: np.random.Generator, model: Hierarchy, policy: Policy, ever_alarms: Bools) -> Breakage:
    """Break some of the checks in every way, one at a time; the others stay sound."""
    expected = predictions(model)
    chosen = rng.choice(len(expected), size=_N_BROKEN, replace=False).tolist()
    caught: dict[str, list[bool]] = {way: [] for way in WAYS}
    by_all: dict[str, list[bool]] = {way: [] for way in WAYS}
    for way, broken in WAYS.items():
        for j in chosen:
            whole = expected[j].of(rng.permutation(len(expected[j].row)))
            whole = replace(whole, level=broken(whole.level, rng.random(len(whole.row))))
            by_all[way].append(_is_caught(whole, model, j, policy))
            if len(whole.row) >= N_SUBMISSIONS:
                caught[way].append(_is_caught(whole.of(np.arange(N_SUBMISSIONS)), model, j, policy))
    alarms = np.array([_is_caught(one, model, j, policy) for j, one in enumerate(expected)], dtype=bool)
    return Breakage(_arrays(caught), _arrays(by_all), alarms, ever_alarms)


def _is_caught(of: Prediction, model: Hierarchy, j: int, policy: Policy) -> bool:
    need, k = policy.evidence, of.p.shape[1]
    return len(of.row) >= need.min_residual_tries and surprise(of, model.curves.covariance[j, :k, :k])[0] > need.max_residual_z


def _arrays(found: Mapping[str, list[bool]]) -> dict[str, Bools]:
    return {way: np.array(own, dtype=bool) for way, own in found.items()}
