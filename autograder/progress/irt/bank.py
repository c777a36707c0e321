"""A fitted hierarchy in, a bank of items that lasts out: plain data with a version; and a cohort's anchor to it.

The version is the hash of the content, so that a report that names it can be checked, and the same fit gives the same bank.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autograder.progress.irt import gpcm
from autograder.progress.irt.gpcm import Curves, Family
from autograder.progress.irt.hierarchy import ENGINE, Anchor, Hierarchy
from autograder.progress.irt.prediction import Prediction, predictions
from autograder.progress.irt.tree import Effects

_N_DIGITS = 9


@dataclass(frozen=True)
class BankItem:
    """One exercise: where its levels begin (fractions), its curve, and the covariance of (log slope, intercepts)."""

    exercise: str
    cuts: tuple[float, ...]
    log_slope: float
    intercepts: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    n_tries: int


@dataclass(frozen=True)
class Bank:
    """Items on one scale, and the population that they were fitted on."""

    engine: str
    source: str
    items: tuple[BankItem, ...]
    effects: Effects
    family: Family
    grader_builds: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Return the hash of everything in the bank."""
        text = json.dumps(self.as_json(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON data; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Bank:
        items = tuple(
            BankItem(**{**i, **{k: tuple(i[k]) for k in ("cuts", "intercepts")}, "covariance": tuple(map(tuple, i["covariance"]))})
            for i in data["items"]
        )
        builds = tuple(data["grader_builds"])
        return cls(data["engine"], data["source"], items, Effects(**data["effects"]), Family(**data["family"]), builds)


def bank_of(model: Hierarchy, source: str, grader_builds: Sequence[str] = ()) -> Bank:
    """Return the bank that a finished cohort's fit leaves behind."""
    items = [_item(model, j, expected) for j, expected in enumerate(predictions(model))]
    effects = Effects(**{k: _round(v) for k, v in asdict(model.effects).items()})
    family = Family(**{k: _round(v) for k, v in asdict(model.family).items()})
    return Bank(ENGINE, source, tuple(items), effects, family, tuple(sorted(set(grader_builds))))


def anchor(bank: Bank, exercises: Sequence[str]) -> Anchor:
    """Return what the bank fixes of these exercises, in their order; those that it lacks are left to be fitted."""
    by_id = {i.exercise: i for i in bank.items}
    found = [by_id.get(e) for e in exercises]
    width = max((len(i.intercepts) for i in found if i), default=1)
    n = len(found)
    curves = Curves(np.zeros(n), np.zeros((n, width)), np.full(n, 2, dtype=np.intp), np.zeros((n, width + 1, width + 1)))
    for j, item in enumerate(found):
        if item is not None:
            k = len(item.intercepts)
            curves.log_slope[j], curves.intercept[j, :k], curves.n_levels[j] = item.log_slope, item.intercepts, k + 1
            curves.covariance[j, : k + 1, : k + 1] = item.covariance
    known = np.array([i is not None for i in found], dtype=bool)
    return Anchor(curves, tuple(i.cuts if i else None for i in found), known, bank.effects, bank.family)


def _item(model: Hierarchy, j: int, expected: Prediction) -> BankItem:
    c = model.curves
    k = int(c.n_levels[j]) - 1
    precision = expected.information() + gpcm.prior_precision(model.family, k)
    covariance = tuple(tuple(_round(x) for x in row) for row in np.linalg.inv(precision))
    intercepts = tuple(_round(x) for x in c.intercept[j, :k])
    exercise = model.scores.exercises[j]
    return BankItem(exercise, model.cuts[j], _round(c.log_slope[j]), intercepts, covariance, len(expected.row))


def _round(x: float) -> float:
    # The last bits, in which two builds of the linear algebra may differ, would change the version.
    return round(float(x), _N_DIGITS) + 0.0
