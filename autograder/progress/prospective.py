"""Scores in, what the model expected of every notebook from the ones before it, beside what came, out: a check without truth.

For each first try in a notebook, the chance to pass given the same student's earlier notebooks only: the ratio of two marginal
likelihoods, exact on the grid. Exercises and spreads come from the whole cohort's fit (or the bank), so this checks what is
said of students, notebook by notebook, and not how well an exercise is known before anybody has tried it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograder.progress.irt import ability, hierarchy
from autograder.progress.irt.bank import Bank, anchor
from autograder.progress.scores import Bools, Floats, Ints, Scores

N_BINS = 10


def predictions(scores: Scores, bank: Bank | None = None) -> tuple[Floats, Bools]:
    """Return expected chance and outcome of all first tries in notebooks after the student's first. Shapes: (m), (m)."""
    model = hierarchy.fit(scores, anchor(bank, scores.exercises) if bank else None)
    everybody = np.arange(len(scores.pseudonyms))
    expected, passed, _rows = foreseen(model, everybody) if model else (np.zeros(0), np.zeros(0, dtype=bool), everybody)
    return expected, passed


def foreseen(model: hierarchy.Hierarchy, among: Ints) -> tuple[Floats, Bools, Ints]:
    """Return the same of a fitted model and some students, and whose first tries they are. Shapes: among (k); all out (m)."""
    scores = model.scores
    expected, passed, whose = [np.zeros(0)], [np.zeros(0, dtype=bool)], [np.zeros(0, dtype=np.intp)]
    for b, (first, last) in enumerate(model.spans):
        earlier = scores.time[scores.notebook_of] < scores.time[b]
        known = np.where(earlier, model.level, -1)
        rows = among[(known[among] >= 0).any(axis=1)]
        if not len(rows):
            continue
        base = ability.ups(model, known[rows]).log_likelihood
        for j in range(first, last):
            tried = model.level[rows, j] >= 0
            if not tried.any():
                continue
            level = known[rows[tried]].copy()
            top = int(model.curves.n_levels[j]) - 1
            level[:, j] = top
            expected.append(np.exp(ability.ups(model, level).log_likelihood - base[tried]))
            passed.append(model.level[rows[tried], j] == top)
            whose.append(rows[tried])
    return np.clip(np.concatenate(expected), 0.0, 1.0), np.concatenate(passed), np.concatenate(whose)


def bins(found: tuple[Floats, Bools]) -> list[tuple[float, float, int]]:
    """Return per tenth of the expectation: its mean, the share that passed, and how many they are."""
    p, passed = found
    at = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    return [
        (float(p[at == b].mean()), float(passed[at == b].mean()), int((at == b).sum())) for b in range(N_BINS) if np.any(at == b)
    ]


def calibration_error(found: Sequence[tuple[float, float, int]]) -> float:
    """Return |expected - observed|, weighted by the number of first tries."""
    n = sum(k for _p, _share, k in found)
    return sum(abs(p - share) * k for p, share, k in found) / max(n, 1)
