"""First tries and newest attempts in, counts per exercise and per assignment out. Nothing of a single student comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from autograder.grading.verdict import Status
from autograder.progress import CourseItems
from autograder.records import CohortRow, FirstTry

# The last bin holds what took longer.
N_TRIES_SHOWN = 5
# Where bands of an assignment's points begin, as shares. What was not handed in is a band of its own.
BANDS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_ACTIVE = timedelta(days=7)


@dataclass(frozen=True)
class ExerciseCount:
    """What became of one exercise. `by_tries`: who passed at the 1st, 2nd … try, the last one and later together."""

    exercise: str
    title: str
    assignment: str
    place: int
    n_tried: int
    n_passed_first: int
    n_passed: int
    n_skipped: int
    by_tries: tuple[int, ...]


@dataclass(frozen=True)
class AssignmentCount:
    """How far students are with one assignment: `bands` counts newest attempts by their share of the points (see BANDS)."""

    assignment: str
    n_handed_in: int
    n_graded: int
    n_half: int
    n_whole: int
    n_ours: int
    bands: tuple[int, ...]


@dataclass(frozen=True)
class Activity:
    """Who did something lately. `n_depth` counts students by the number of assignments handed in, from 0."""

    n_students: int
    n_left: int
    n_active: int
    n_attempts: int
    n_depth: tuple[int, ...]


def exercises(tries: Iterable[FirstTry], course: CourseItems) -> tuple[ExerciseCount, ...]:
    """Return a line per exercise of the course, in teaching order; those that nobody met yet have zeros."""
    tried, first, passed, skipped, at = (Counter[str]() for _ in range(5))
    by: dict[str, Counter[int]] = {}
    for f in tries:
        if f.status is Status.SKIPPED:
            skipped[f.exercise] += 1
            continue
        tried[f.exercise] += 1
        first[f.exercise] += f.status is Status.PASS
        if f.n_tries_to_pass is not None:
            passed[f.exercise] += 1
            by.setdefault(f.exercise, Counter())[min(f.n_tries_to_pass, N_TRIES_SHOWN)] += 1
    at.update(tried.keys() | skipped.keys())
    return tuple(
        ExerciseCount(
            e,
            item.title,
            item.assignment,
            item.place,
            tried[e],
            first[e],
            passed[e],
            skipped[e],
            tuple(by.get(e, Counter())[k] for k in range(1, N_TRIES_SHOWN + 1)),
        )
        for e, item in sorted(course.items.items(), key=lambda pair: pair[1].place)
    )


def assignments(rows: Sequence[CohortRow], order: Sequence[str]) -> tuple[AssignmentCount, ...]:
    """Return a line per assignment, in this order."""
    of: dict[str, list[CohortRow]] = {a: [] for a in order}
    for r in rows:
        of.setdefault(r.assignment, []).append(r)
    return tuple(_assignment(a, of[a]) for a in order)


def _assignment(assignment: str, rows: Sequence[CohortRow]) -> AssignmentCount:
    shares = [r.points / r.max_points for r in rows if r.is_graded and not r.error and r.max_points]
    bands = Counter(max(k for k, low in enumerate(BANDS) if share >= low - 1e-9) for share in shares)
    return AssignmentCount(
        assignment,
        n_handed_in=len(rows),
        n_graded=len(shares),
        n_half=sum(s >= 0.5 for s in shares),
        n_whole=sum(s >= 1 - 1e-9 for s in shares),
        n_ours=sum(r.n_infra > 0 for r in rows),
        bands=tuple(bands[k] for k in range(len(BANDS))),
    )


def activity(rows: Sequence[CohortRow], n_students: int, n_left: int, n_assignments: int, at: datetime) -> Activity:
    """Return who did something in the last week, and how many assignments students handed in."""
    active = {r.pseudonym for r in rows if at - r.received_at <= _ACTIVE}
    depth = Counter(Counter(r.pseudonym for r in rows).values())
    n_none = n_students - sum(depth.values())
    counts = (n_none, *(depth[k] for k in range(1, n_assignments + 1)))
    return Activity(n_students, n_left, len(active), sum(r.n_attempts for r in rows), counts)
