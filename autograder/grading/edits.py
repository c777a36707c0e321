"""The course's files in; whether checks or references were edited since, and have passed the gate, out.

A worker that runs for weeks must not go on with checks that a person has mended, nor take up half-edited ones: what it
grades with changes when the gate has passed everything that was edited, and no sooner. The engine's own code counts as it
was when this process began.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autograder import course as courses
from autograder.errors import BootcampError
from autograder.grading.bundle import build_id
from autograder.grading.passed import Stamps


class Edits:
    """What was edited since this was made. `say` is told once of edits that wait for the gate."""

    def __init__(self, course_root: Path, gate_dir: Path, say: Callable[[str], None]) -> None:
        self._root, self._stamps, self._say = course_root, Stamps(gate_dir), say
        self._known = self._builds()
        self._said: tuple[str, ...] = ()

    def are_fit(self) -> bool:
        """Return True when something was edited and all of it has passed the gate."""
        try:
            now = self._builds()
            edited = [id for id, build in now.items() if self._known.get(id) != build]
            waiting = tuple(id for id in edited if not self._has_passed(id))
        except (BootcampError, OSError) as e:  # half-edited
            edited, waiting = [], (str(e),)
        if waiting and waiting != self._said:
            self._say(f"edited: {', '.join(waiting)}. Graded as before until the gate has passed. Run: bootcamp check")
        self._said = waiting
        return bool(edited) and not waiting

    def _builds(self) -> dict[str, str]:
        return {a.id: build_id(a) for a in courses.load(self._root)}

    def _has_passed(self, assignment_id: str) -> bool:
        try:
            self._stamps.check(courses.load(self._root).assignment(assignment_id))
        except BootcampError:
            return False
        return True
