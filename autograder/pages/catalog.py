"""The course in, titles and points of assignments and exercises out, re-read when a release is rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from autograder.course import MANIFEST, Assignment, Course, Exercise, Manifest
from autograder.deadlines import Extension, Lateness
from autograder.errors import BootcampError


class Catalog:
    """What the pages call things. A missing or damaged release is no reason to hide results: ids then stand for titles."""

    def __init__(self, course: Course, granted: Callable[[], Iterable[Extension]] = tuple) -> None:
        """`granted` returns extensions besides those of course.toml."""
        self._course, self._granted = course, granted
        self.problem = ""  # why an edit of course.toml does not hold
        self._read: dict[str, tuple[int, Manifest]] = {}

    def use(self, course: Course) -> None:
        """Speak of this course from now on."""
        self._course, self.problem = course, ""

    def settled(self) -> Catalog:
        """Return the same catalogue with the extensions as they are now: a page asks for them once, and not for every line."""
        granted = tuple(self._granted())
        now = Catalog(self._course, lambda: granted)
        now.problem, now._read = self.problem, self._read
        return now

    @property
    def title(self) -> str:
        return self._course.title

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        return self._course.assignments

    def assignment(self, assignment_id: str) -> Assignment | None:
        """Return the assignment, or None when the course no longer has it."""
        return next((a for a in self._course if a.id == assignment_id), None)

    def lateness(self, assignment_id: str, at: datetime, *names: str) -> Lateness:
        """Return how late something is for a student who goes by these names; nothing is where the course has no such work."""
        assignment = self.assignment(assignment_id)
        return self._course.lateness(assignment, at, *names, granted=self._granted()) if assignment else Lateness(None)

    def name(self, assignment_id: str) -> str:
        """Return the assignment's title, or its id when the course no longer has it."""
        assignment = self.assignment(assignment_id)
        return assignment.title if assignment else assignment_id

    def manifest(self, assignment_id: str) -> Manifest | None:
        """Return what is released under this id, or None when nothing readable is."""
        assignment = self.assignment(assignment_id)
        if assignment is None:
            return None
        try:
            changed = (assignment.release / MANIFEST).stat().st_mtime_ns
            known = self._read.get(assignment_id)
            if known is None or known[0] != changed:
                known = self._read[assignment_id] = (changed, assignment.manifest())
            return known[1]
        except (OSError, BootcampError):
            return None

    def exercises(self, assignment_id: str) -> dict[str, Exercise]:
        manifest = self.manifest(assignment_id)
        return {e.id: e for e in manifest.exercises} if manifest else {}
