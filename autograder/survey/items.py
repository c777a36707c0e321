"""A fitted model and its report in; how every exercise measures out: difficulty, discrimination, and its curve in groups.

The groups are of students of like estimated ability. What the model expects of a group is the mean of what it expects of each
student from all their *other* first tries, so that an exercise cannot agree with itself. Scores may be partial; the bars are
Wilson's for a share of their mean, which is a little too wide for them: a partial score varies less than pass or fail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autograder.progress.engine import Hierarchical, Model
from autograder.progress.irt.drift import residuals
from autograder.progress.irt.hierarchy import Hierarchy
from autograder.progress.irt.prediction import Prediction, predictions
from autograder.progress.report import Finding
from autograder.progress.scores import Floats

N_GROUPS, LEAST_IN_GROUP = 6, 5
_Z = 1.959963984540054  # 95 %


@dataclass(frozen=True)
class Group:
    """Students of like ability at one exercise: mean ability, mean score, Wilson's bar around it, and what was expected."""

    ability: float
    n: int
    score: float
    low: float
    high: float
    expected: float


@dataclass(frozen=True)
class ItemFit:
    """One exercise. `difficulty`: the ability, in the report's units, at which half the points are expected; None when no
    ability near the cohort's has them. `discrimination`: the slope there, per unit of ability. `drift`: standard errors by
    which results are further from what was expected than they should be, with the worst grader build, and in which way.
    """

    exercise: str
    n: int
    difficulty: float | None
    discrimination: float
    groups: tuple[Group, ...]
    drift: float
    drift_build: str
    drift_way: str


def item_fits(model: Model | None, findings: Sequence[Finding]) -> tuple[ItemFit, ...]:
    """Return a line per exercise that somebody tried; nothing without the hierarchy, which alone has curves."""
    if not isinstance(model, Hierarchical):
        return ()
    fitted = model.fitted
    means = {f.pseudonym: f.mean for f in findings}
    ability = np.array([means[p] for p in fitted.scores.pseudonyms])
    drift: dict[str, tuple[float, str, str]] = {}
    if fitted.scores.build_of is not None:
        for r in residuals(fitted, fitted.scores.build_of, fitted.scores.builds):
            drift[r.exercise] = max(drift.get(r.exercise, (-math.inf, "", "")), (r.z, r.grader_build, r.way.value))
    half = _half(fitted)
    slope = np.exp(fitted.curves.log_slope) * fitted.unit
    found = []
    for j, (exercise, said) in enumerate(zip(fitted.scores.exercises, predictions(fitted), strict=True)):
        z, build, way = drift.get(exercise, (0.0, "", ""))
        groups = _groups(said, ability)
        found.append(ItemFit(exercise, len(said.row), half[j], round(float(slope[j]), 3), groups, round(z, 2), build, way))
    return tuple(found)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the ends of Wilson's 95 % interval. Source: Wilson 1927."""
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _half(fitted: Hierarchy) -> list[float | None]:
    nodes = fitted.tree.grid.nodes
    mean, _variance = fitted.curves.moments(nodes)
    share = mean / (fitted.curves.n_levels - 1)[:, None]
    at: list[float | None] = []
    for row in share:
        # Expected scores grow with ability, so the crossing is the one place where the sign changes.
        inside = row[0] < 0.5 < row[-1]
        at.append(round(float((np.interp(0.5, row, nodes) - fitted.middle) / fitted.unit), 3) if inside else None)
    return at


def _groups(said: Prediction, ability: Floats) -> tuple[Group, ...]:
    n = len(said.row)
    if n < LEAST_IN_GROUP:
        return ()
    most = said.p.shape[1] - 1
    observed, expected = said.level / most, said.p @ np.arange(most + 1) / most
    order = np.argsort(ability[said.row], kind="stable")
    parts = np.array_split(order, max(1, min(N_GROUPS, n // LEAST_IN_GROUP)))
    return tuple(_group(ability[said.row[of]], observed[of], expected[of]) for of in parts)


def _group(ability: Floats, observed: Floats, expected: Floats) -> Group:
    score = float(observed.mean())
    low, high = wilson(score, len(observed))
    means = (float(ability.mean()), score, low, high, float(expected.mean()))
    a, s, lo, hi, e = (round(x, 4) for x in means)
    return Group(a, len(observed), s, lo, hi, e)
