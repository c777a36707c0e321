"""A score and how late nbgrader thinks it is in; the points that course.toml's late policy takes away out.

nbgrader counts from the due date and the extension in its gradebook. The grace, each student's own due date and what a day
costs stand in course.toml, so lateness is counted again here. Only nbgrader loads this module; nbgrader_config.py names it.
"""

from __future__ import annotations

from datetime import timedelta

from nbgrader.plugins import BasePlugin

from autograder.nbgrader_bridge.in_course import InCourse
from autograder.records import Ledger
from autograder.records.extensions import Extensions


class CourseLatePolicy(InCourse, BasePlugin):
    """Late points by the course's own rule."""

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """Return the points that are taken away; None when it was in time."""
        course = self.course()
        assignment = course.assignment(str(getattr(self.parent, "assignment_id", "")))
        if assignment.due is None:
            return None
        with Ledger.open(self.home_folder().ledger_url) as ledger:
            student = ledger.student(student_id)
            granted = Extensions(ledger).of(student.pseudonym) if student else ()
        names = (student_id, student.pseudonym) if student else (student_id,)
        late = course.lateness(assignment, assignment.due + timedelta(seconds=total_seconds_late), *names, granted=granted)
        return score * (1.0 - late.share) if late.is_late else None
