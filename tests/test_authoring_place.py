"""A notebook says where it stands in the course, from course.toml and its exercises; it names nothing that is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autograder.authoring.header import Options
from autograder.authoring.lesson import Lesson, LessonCell
from autograder.authoring.place import placed
from autograder.course import Assignment, Course

LESSON = Lesson(
    Path("lesson.py"),
    (
        LessonCell("setup", 1, "import math"),
        LessonCell("text", 3, "# Sums\n"),
        LessonCell("exercise", 5, "", Options(points=7.5, minutes=60, difficulty=1, importance=1, title="A total")),
        LessonCell("exercise", 7, "", Options(points=0, minutes=30, difficulty=1, importance=1, title="More", bonus=True)),
        LessonCell("text", 9, "The end."),
    ),
)


def course(**requires: tuple[str, ...]) -> Course:
    """Return a course of these assignments, with what each requires."""
    found = (Assignment(id, f"All about {id[0]}", "basics", 3, needed, None, Path(), 1) for id, needed in requires.items())
    return Course(Path(), "Small", "B", tuple(found))


@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("a1_sums", "before everything else; B1 (All about b) and C1 (All about c) build on it."),
        ("b1_means", "after A1 (All about a); C1 (All about c) builds on it."),
        ("c1_ends", "after A1 (All about a) and B1 (All about b); no other notebook builds on it."),
    ],
)
def test_the_first_prose_says_what_comes_before_and_after(id, said):
    """Neighbours of the prerequisite graph by short name and title; sums of the exercises' points and minutes."""
    its = course(a1_sums=(), b1_means=("a1_sums",), c1_ends=("a1_sums", "b1_means"))
    cells = placed(LESSON, its, its.assignment(id)).cells

    amount = "2 exercises, 7.5 points, 1.5 hours."
    assert cells[1].source == f"# Sums\n\n**In this course.** Week 3, {said} {amount}"
    assert (cells[0], *cells[2:]) == (LESSON.cells[0], *LESSON.cells[2:])


def test_a_lesson_without_prose_stays_as_it_is():
    """No cell is made up: its id would move every other one's."""
    bare = replace(LESSON, cells=LESSON.cells[:1])

    assert placed(bare, course(a1_sums=()), course(a1_sums=()).assignment("a1_sums")) == bare
