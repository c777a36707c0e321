"""Results in; nbgrader's gradebook brought up to date; how many it shows now out."""

from __future__ import annotations

from collections.abc import Sequence

from autograder.commands.batch import Result
from autograder.course import Course
from autograder.home import Home


def publish(home: Home, course: Course, results: Sequence[Result]) -> int:
    """Publish what was graded, after making sure that nbgrader's course folder fits the release."""
    from autograder.authoring.course_folder import prepare
    from autograder.nbgrader_bridge.publish import publish_results

    prepare(course, home)
    return publish_results(home, course, results)
