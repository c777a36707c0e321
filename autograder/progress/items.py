"""A course and its built manifests in, what the tracker knows of every exercise out: assignment, track, week, points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autograder.course import MANIFEST, Course


@dataclass(frozen=True)
class Item:
    """One exercise as the tracker sees it. `place` is its position in teaching order."""

    exercise: str
    assignment: str
    track: str
    week: int
    max_points: float
    title: str
    place: int


@dataclass(frozen=True)
class CourseItems:
    """All exercises by id, and the week in which the course ends (built or not): what growth is extrapolated to."""

    items: Mapping[str, Item]
    end_week: int


def course_items(course: Course) -> CourseItems:
    """Return the exercises of every assignment that is built. Raises: CourseError when a manifest is damaged."""
    built = [a for a in course if (a.release / MANIFEST).is_file()]
    pairs = [(a, e) for a in built for e in a.manifest().exercises]
    items = {e.id: Item(e.id, a.id, a.track, a.week, e.points, e.title, n) for n, (a, e) in enumerate(pairs)}
    return CourseItems(items, max((a.week for a in course), default=1))
