"""Why a student is flagged: as data, and in words for a mentor. The counter-evidence stands beside it."""

from __future__ import annotations

import numpy as np

from autograder.numerals import whole
from autograder.progress.engine import Model
from autograder.progress.items import CourseItems
from autograder.progress.policy import Policy
from autograder.progress.report import N_DIGITS, Share, Why, Without

N_SHOWN = 3


def why(model: Model, row: int, tau: float, course: CourseItems) -> Why:
    """Return what carries the estimate of one student, and what speaks against it."""
    s = model.scores
    tried = s.seen[row]
    n_tried, n_passed = s.per_exercise
    shares = [
        (n_passed[j] / n_tried[j], Share(s.exercises[j], course.items[s.exercises[j]].title, int(n_passed[j]), int(n_tried[j])), j)
        for j in np.flatnonzero(tried)
    ]
    # What everybody solved, or nobody, tells nothing about this student.
    solved = sorted((x for x in shares if s.passed[row, x[2]] and x[0] < 1), key=lambda x: (x[0], x[1].exercise))
    missed = sorted((x for x in shares if not s.passed[row, x[2]] and x[0] > 0), key=lambda x: (-x[0], x[1].exercise))
    return Why(_without(model, row, tau), tuple(x[1] for x in solved[:N_SHOWN]), tuple(x[1] for x in missed[:N_SHOWN]))


def in_words(why: Why, p: float) -> tuple[str, ...]:
    """Return the reasons as sentences."""
    lines = [f"The chance is {_percent(p)} with all evidence."]
    by_p = sorted(why.without, key=lambda x: (x.p, x.assignment))
    if by_p and _percent(by_p[0].p) != _percent(p) and by_p[0].p < p:
        lines.append(f"For: without {by_p[0].assignment} it would be {_percent(by_p[0].p)}.")
    lines += [f"For: solved {s.title} ({s.exercise}) at the first try, as {_of(s)} did." for s in why.hardest]
    lines += [f"Against: missed {s.title} ({s.exercise}) at the first try; {_of(s)} solved it." for s in why.against]
    if by_p and _percent(by_p[-1].p) != _percent(p) and by_p[-1].p > p:
        lines.append(f"Against: without {by_p[-1].assignment} it would be {_percent(by_p[-1].p)}.")
    return tuple(lines)


def doubts(p: float, p_other: float | None, on_hold: bool, policy: Policy) -> tuple[str, ...]:
    """Return what a mentor should know beside the reasons: engines that disagree, a notebook that waits for a human."""
    lines = []
    if p_other is not None and abs(p - p_other) > policy.engine.max_gap:
        lines.append(f"Doubt: the simpler engine, which checks this one, says {_percent(p_other)}. Read the work before you act.")
    if on_hold:
        lines.append("On hold: a notebook was set aside. A person decides, and the student is told and heard first.")
    return tuple(lines)


def _without(model: Model, row: int, tau: float) -> tuple[Without, ...]:
    s = model.scores
    books = np.unique(s.notebook_of[s.seen[row]])
    if not len(books):
        return ()
    left = s.notebook_of[None, :] != books[:, None]
    counts = [int((s.seen[row] & (s.notebook_of == b)).sum()) for b in books]
    p = model.keeping(row, left).chances(tau)
    return tuple(Without(s.notebooks[b], n, round(float(x), N_DIGITS)) for b, n, x in zip(books, counts, p, strict=True))


def _of(share: Share) -> str:
    return f"{whole(share.n_passed)} of {whole(share.n_tried)}"


def _percent(p: float) -> str:
    if p > 0.99:
        return "over 99 %"
    return "under 1 %" if p < 0.01 else f"{100 * p:.0f} %"
