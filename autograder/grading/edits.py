"""The course's files in; whether checks or references were edited since, and have passed the gate, out.

A worker that runs for weeks must not go on with checks that a person has mended, nor take up half-edited ones: what it
grades with changes when the gate has passed everything that was edited, and no sooner. The engine's own code counts as it
was when this process began.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autograder import course as courses
from autograder.course import Assignment
from autograder.errors import BootcampError
from autograder.grading.bundle import build_id
from autograder.grading.passed import Stamps


class Edits:
    """What was edited since this was made. `say` is told once of edits that wait for the gate."""

    def __init__(self, course_root: Path, gate_dir: Path, say: Callable[[str], None]) -> None:
        self._root, self._stamps, self._say = course_root, Stamps(gate_dir), say
        self._known = {a.id: build_id(a) for a in courses.load(course_root)}
        self._said: tuple[str, ...] = ()

    def are_fit(self) -> bool:
        """Return True when something was edited and all of it has passed the gate."""
        try:
            edited = [a for a in courses.load(self._root) if self._known.get(a.id) != build_id(a)]
            waiting = tuple(a.id for a in edited if not self._has_passed(a))
        except (BootcampError, OSError) as e:  # half-edited
            edited, waiting = [], (str(e),)
        if waiting and waiting != self._said:
            self._say(f"edited: {', '.join(waiting)}. Graded as before until the gate has passed. Run: bootcamp check")
        self._said = waiting
        return bool(edited) and not waiting

    def _has_passed(self, assignment: Assignment) -> bool:
        try:
            self._stamps.check(assignment)
        except BootcampError:
            return False
        return True
