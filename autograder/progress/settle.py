"""Where evidence is missing: what is missing, and the exercises whose first try would tell most about the student."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograder.progress.engine import Model
from autograder.progress.items import CourseItems, Item
from autograder.progress.policy import Policy
from autograder.progress.report import N_DIGITS, NextItem, Settle

N_SHOWN = 3
_LEAST = 1e-6


def settle(model: Model | None, row: int, course: CourseItems, policy: Policy, lacking: Sequence[str]) -> Settle:
    """Return what evidence is missing, and the exercises whose first try would sharpen the estimate most.

    Only notebooks that somebody of the cohort has tried are looked at, for they are open; after them the next ones in
    teaching order.
    """
    scores = model.scores if model else None
    tried = {e for e, seen in zip(scores.exercises, scores.seen[row], strict=True) if seen} if scores else set()
    left = sorted(
        (i for i in course.items.values() if i.exercise not in tried and not _is_excluded(i, policy)), key=lambda i: i.place
    )
    if model and (open_ := [i for i in left if i.assignment in model.scores.notebooks]):
        return Settle(tuple(lacking), _most_informative(model, row, open_))
    return Settle(tuple(lacking), tuple(NextItem(i.exercise, i.title, i.assignment, None) for i in left[:N_SHOWN]))


def in_words(settle: Settle) -> tuple[str, ...]:
    """Return what is missing as sentences."""
    lines = [f"{text[0].upper()}{text[1:]}." for text in settle.lacking]
    if settle.next:
        names = ", ".join(f"{i.title} ({i.exercise})" for i in settle.next)
        lines.append(f"Most would be learned from a first try of: {names}.")
    return tuple(lines)


def _is_excluded(item: Item, policy: Policy) -> bool:
    return item.exercise in policy.evidence.excluded_exercises or item.assignment in policy.evidence.excluded_assignments


def _most_informative(model: Model, row: int, items: Sequence[Item]) -> tuple[NextItem, ...]:
    """Choose greedily: each next exercise given that the ones before it were tried."""
    known, now = model.local(row), float(model.cohort.sd[row])
    at = np.array([model.scores.notebooks.index(i.assignment) for i in items])
    noise = np.array([1 / max(known.information(i.exercise, b), _LEAST) for i, b in zip(items, at.tolist(), strict=True)])
    m, c, variance = known.spread, known.with_target, known.variance
    left, chosen = np.ones(len(items), bool), []
    for _ in range(min(N_SHOWN, len(items))):
        gain = np.where(left, c[at] ** 2 / (m[at, at] + noise), -1.0)
        best = int(np.flatnonzero(gain >= gain.max() * (1 - 1e-9))[0])  # of equals the first in teaching order
        b, total = at[best], m[at[best], at[best]] + noise[best]
        variance -= c[b] ** 2 / total
        c, m = c - m[b] * c[b] / total, m - np.outer(m[b], m[b]) / total
        left[best] = False
        # The normal around the estimate says by which share the SD falls; the estimate's own SD falls by that share.
        sd = now * float(np.sqrt(max(variance, 0.0) / known.variance))
        chosen.append(NextItem(items[best].exercise, items[best].title, items[best].assignment, round(sd, N_DIGITS)))
    return tuple(chosen)
