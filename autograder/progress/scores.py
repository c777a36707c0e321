"""First tries and course items in, the arrays that the estimator works on out, in one canonical order.

Students are ordered by pseudonym, notebooks by week and id, exercises by notebook and id. So no result depends on the
order in which first tries arrive, to the last bit: floating-point sums do depend on order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograder.errors import BootcampError
from autograder.grading.verdict import Status
from autograder.progress.decisions import Decisions
from autograder.progress.items import CourseItems
from autograder.progress.policy import Policy
from autograder.records.model import FirstTry

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]
_NOTHING = Decisions()


@dataclass(frozen=True)
class Scores:
    """What counts, as arrays. Exercises and notebooks that nobody tried are not in them.

    Shapes: score, seen, passed (n j); notebook_of (j); time, track_of (b); n_skipped (n).
    `score` is 0 to 1, and 0 where not `seen`. `time` is 0 in week 1 and 1 in the course's last week.
    The exercises of a notebook stand side by side. `left_out` counts first tries that did not count, by reason.
    `build_of` (n j) says which of the grader builds `builds` scored each first try, -1 where there is none.
    """

    pseudonyms: tuple[str, ...]
    exercises: tuple[str, ...]
    notebooks: tuple[str, ...]
    score: Floats
    seen: Bools
    passed: Bools
    notebook_of: Ints
    time: Floats
    track_of: Ints
    n_skipped: Ints
    left_out: Mapping[str, int]
    build_of: Ints | None = None
    builds: tuple[str, ...] = ()

    @cached_property
    def per_exercise(self) -> tuple[Ints, Ints]:
        """How many tried each exercise, and how many of them passed. Shapes: (j), (j)."""
        return self.seen.sum(axis=0), (self.passed & self.seen).sum(axis=0)


def collect(
    first_tries: Iterable[FirstTry],
    course: CourseItems,
    policy: Policy,
    students: Iterable[str] = (),
    decided: Decisions = _NOTHING,
    suspects: frozenset[tuple[str, str]] = frozenset(),
) -> Scores:
    """Return the scores of all first tries that count, and a row for everybody in `students` even without any.

    `suspects` are (exercise, grader build) whose check is under suspicion.

    Raises: BootcampError on two first tries of one exercise by one student, or a fraction outside 0 to 1.
    """
    tries = sorted(first_tries, key=lambda f: (f.pseudonym, f.exercise))
    _check(tries)
    reasons = [_why_not(f, course, policy) or _set_aside(f, decided, suspects) for f in tries]
    kept = [f for f, reason in zip(tries, reasons, strict=True) if not reason]
    rows = sorted({f.pseudonym for f in tries} | set(students))
    columns = sorted({f.exercise for f in kept}, key=lambda e: (course.items[e].week, course.items[e].assignment, e))
    books = list(dict.fromkeys(course.items[e].assignment for e in columns))
    skipped = Counter(f.pseudonym for f in tries if f.status is Status.SKIPPED)
    items_of = {course.items[e].assignment: course.items[e] for e in columns}
    tracks = sorted({i.track for i in items_of.values()})
    score, seen, passed = _fill(kept, rows, columns)
    builds = tuple(sorted({f.grader_build for f in kept}))
    return Scores(
        pseudonyms=tuple(rows),
        exercises=tuple(columns),
        notebooks=tuple(books),
        score=score,
        seen=seen,
        passed=passed,
        notebook_of=np.array([books.index(course.items[e].assignment) for e in columns], dtype=np.intp),
        time=np.array([time_of(items_of[b].week, course.end_week) for b in books]),
        track_of=np.array([tracks.index(items_of[b].track) for b in books], dtype=np.intp),
        n_skipped=np.array([skipped[r] for r in rows], dtype=np.intp),
        left_out=dict(sorted(Counter(r for r in reasons if r).items())),
        build_of=_builds(kept, rows, columns, builds),
        builds=builds,
    )


def time_of(week: int, end_week: int) -> float:
    """Return where a week lies in the course: 0 in week 1, 1 at the end."""
    return (week - 1) / max(end_week - 1, 1)


def _why_not(f: FirstTry, course: CourseItems, policy: Policy) -> str:
    """Return why a first try does not count, "" when it does."""
    need = policy.evidence
    if f.exercise not in course.items:
        return "not an exercise of the course"
    if f.exercise in need.excluded_exercises or course.items[f.exercise].assignment in need.excluded_assignments:
        return "excluded by the policy"
    if f.tier not in need.tiers:
        return f"graded in a box of tier {f.tier or 'unknown'}"
    if f.evidence not in need.kinds:
        return f"only {f.evidence}"
    if f.status is Status.SKIPPED and need.skipped == "missing":
        return "skipped"
    return ""


def _set_aside(f: FirstTry, decided: Decisions, suspects: frozenset[tuple[str, str]]) -> str:
    if (f.pseudonym, f.assignment) in decided.set_aside:
        return "of a notebook that was set aside"
    if f.exercise in decided.excluded:
        return "excluded by a decision"
    if (f.exercise, f.grader_build) in suspects - decided.cleared:
        return "of an exercise whose hidden check is under suspicion"
    left = decided.left.get(f.pseudonym)
    return "handed in after leaving" if left is not None and f.received_at > left else ""


def _builds(kept: list[FirstTry], rows: list[str], columns: list[str], builds: tuple[str, ...]) -> Ints:
    out = np.full((len(rows), len(columns)), -1, dtype=np.intp)
    row_of, column_of = {r: n for n, r in enumerate(rows)}, {c: n for n, c in enumerate(columns)}
    build_of = {b: n for n, b in enumerate(builds)}
    for f in kept:
        out[row_of[f.pseudonym], column_of[f.exercise]] = build_of[f.grader_build]
    return out


def _fill(kept: list[FirstTry], rows: list[str], columns: list[str]) -> tuple[Floats, Bools, Bools]:
    shape = (len(rows), len(columns))
    score, seen, passed = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
    row_of, column_of = {r: n for n, r in enumerate(rows)}, {c: n for n, c in enumerate(columns)}
    for f in kept:
        at = row_of[f.pseudonym], column_of[f.exercise]
        score[at], seen[at], passed[at] = f.fraction or 0.0, True, f.status is Status.PASS
    return score, seen, passed


def _check(tries: list[FirstTry]) -> None:
    for a, b in pairwise(tries):
        if (a.pseudonym, a.exercise) == (b.pseudonym, b.exercise):
            raise BootcampError(f"two first tries of {a.exercise} by {a.pseudonym}: events {a.event} and {b.event}.")
    for f in tries:
        if (f.fraction is None) != (f.status is Status.SKIPPED):
            raise BootcampError(f"first try of {f.exercise} by {f.pseudonym}: status {f.status}, fraction {f.fraction}.")
        if f.fraction is not None and not (0 <= f.fraction <= 1 and math.isfinite(f.fraction)):
            raise BootcampError(f"first try of {f.exercise} by {f.pseudonym}: fraction {f.fraction} is not from 0 to 1.")
