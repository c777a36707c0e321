"""A lesson and the course it stands in, in; out: the lesson whose first prose ends by saying where it stands. Pure text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autograder.authoring.lesson import Lesson
from autograder.course import Assignment, Course, short_name


def placed(lesson: Lesson, course: Course, assignment: Assignment) -> Lesson:
    """Append a paragraph to the first cell of prose: the week, what it requires, what requires it, and how long it takes.

    It is made from course.toml and the exercises' headers, so it names no assignment that the course does not have.
    """
    cells = list(lesson.cells)
    first = next((i for i, cell in enumerate(cells) if cell.kind == "text"), None)
    if first is None:
        return lesson
    cells[first] = replace(cells[first], source=f"{cells[first].source.rstrip()}\n\n{_paragraph(lesson, course, assignment)}")
    return replace(lesson, cells=tuple(cells))


def _paragraph(lesson: Lesson, course: Course, assignment: Assignment) -> str:
    required = [a for a in course if a.id in assignment.requires]
    following = [a for a in course if assignment.id in a.requires]
    exercises = [cell.options for cell in lesson.cells if cell.options]
    points, hours = sum(o.points for o in exercises), sum(o.minutes for o in exercises) / 60
    after = f"after {_names(required)}" if required else "before everything else"
    verb = "build" if len(following) > 1 else "builds"
    before = f"{_names(following)} {verb} on it" if following else "no other notebook builds on it"
    amount = f"{len(exercises)} exercise{'s' if len(exercises) > 1 else ''}, {points:g} points, {hours:.1f} hours"
    return f"**In this course.** Week {assignment.week}, {after}; {before}. {amount}."


def _names(assignments: Sequence[Assignment]) -> str:
    """Return "F1 (Tensors) and T1 (Attention)"."""
    *some, last = [f"{short_name(a.id)} ({a.title})" for a in assignments]
    return f"{', '.join(some)} and {last}" if some else last
