"""A course in, nbgrader's course folder out, with the instructor's notebooks that this room makes."""

from __future__ import annotations

from autograder.course import Assignment, Course
from autograder.home import Home
from autograder.nbgrader_bridge import course_dir


def prepare(course: Course, home: Home) -> tuple[str, ...]:
    """Bring nbgrader's course folder up to date; return the assignments that had changed. Quick when none had.

    Raises: CourseError when an assignment is not built, BootcampError when its release is stale.
    """
    return course_dir.prepare(course, home, _instructor_notebook)


def _instructor_notebook(assignment: Assignment) -> bytes:
    # jupytext costs 2 s of CPU to import: only what changed pays it.
    from autograder.authoring.build import instructor_notebook

    return instructor_notebook(assignment)
