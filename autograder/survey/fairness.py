"""A model, its report and who began when in; whether chances come true, for everybody and group by group, out.

The check needs no truth: what the model expected of every first try from the same student's earlier notebooks, against what came.
Groups are what the ledger knows and the estimate does not use: who began late, and how much of what was open somebody tried.
No name, institution, country, gender or age is in the ledger, so nothing can be said about those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from autograder.progress import Finding, Report
from autograder.progress.engine import Hierarchical, Model
from autograder.progress.policy import FLAGS
from autograder.progress.prospective import bins, calibration_error, foreseen

# Beyond this the check rests on evenly picked students: a sample of a thousand tells calibration to a per cent.
MAX_CHECKED = 1000
_LATE = timedelta(days=10)


@dataclass(frozen=True)
class Group:
    """Some students: how many are flagged, their mean chance, and expected beside passed shares of their later first tries."""

    by: str
    name: str
    n_students: int
    n_flagged: int
    mean_p: float
    n_tries: int
    expected: float
    passed: float
    error: float


@dataclass(frozen=True)
class Fairness:
    """The reliability of everybody's first tries in tenths (expected, passed, how many), and the groups."""

    bins: tuple[tuple[float, float, int], ...]
    error: float
    n_tries: int
    n_checked: int
    groups: tuple[Group, ...]


def fairness(report: Report, model: Model | None, began: Mapping[str, datetime]) -> Fairness:
    """Return the check; without the hierarchy, which alone can be asked this, only the groups' flags are counted."""
    whose: NDArray[np.intp] = np.zeros(0, np.intp)
    expected: NDArray[np.floating] = np.zeros(0)
    passed, checked = np.zeros(0, dtype=bool), whose
    if isinstance(model, Hierarchical):
        n = len(model.scores.pseudonyms)
        checked = np.unique(np.linspace(0, n - 1, min(n, MAX_CHECKED)).astype(np.intp)) if n else whose
        expected, passed, whose = foreseen(model.fitted, checked)
    found = bins((expected, passed))
    row_of = {p: k for k, p in enumerate(model.scores.pseudonyms)} if model else {}
    groups = []
    for by, name, members in _groups(report.students, began):
        inside = np.isin(whose, [row_of[f.pseudonym] for f in members if f.pseudonym in row_of])
        mine = (expected[inside], passed[inside])
        groups.append(_group(by, name, members, mine))
    return Fairness(tuple(found), calibration_error(found), len(expected), len(checked), tuple(groups))


def _group(by: str, name: str, members: Sequence[Finding], tries: tuple[NDArray[np.floating], NDArray[np.bool_]]) -> Group:
    n = len(tries[0])
    return Group(
        by,
        name,
        len(members),
        sum(f.state in FLAGS for f in members),
        float(np.mean([f.p for f in members])) if members else 0.0,
        n,
        float(tries[0].mean()) if n else 0.0,
        float(tries[1].mean()) if n else 0.0,
        calibration_error(bins(tries)),
    )


def _groups(findings: Sequence[Finding], began: Mapping[str, datetime]) -> list[tuple[str, str, list[Finding]]]:
    known = [f for f in findings if f.n_items]
    start = min(began.values(), default=None)
    late = {f.pseudonym for f in known if start and began.get(f.pseudonym, start) - start > _LATE}
    by_tries = sorted(known, key=lambda f: (f.n_items, f.pseudonym))
    third = -(-len(known) // 3)
    return [
        ("when they began", "in the first ten days", [f for f in known if f.pseudonym not in late]),
        ("when they began", "later", [f for f in known if f.pseudonym in late]),
        ("how much they tried", "least", by_tries[:third]),
        ("how much they tried", "some", by_tries[third : 2 * third]),
        ("how much they tried", "most", by_tries[2 * third :]),
    ]
