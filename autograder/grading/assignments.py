"""A course's folder in, its assignments out, each loaded when its first submission comes: what referees inherit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from autograder.course import load
from autograder.errors import BootcampError
from autograder.grading import referee
from autograder.grading.bundle import Bundle, load_bundle
from autograder.sandbox.box import Box
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.jail.spec import JobSpec
from autograder.submission.read import course_code


@dataclass(frozen=True)
class Loaded:
    """One assignment, ready, with its reference in this process; or why it is not."""

    bundle: Bundle | None
    reference: Box | None = None
    fault: str = ""


@dataclass
class Assignments:
    """The assignments that were asked for, by id."""

    course_root: Path
    loaded: dict[str, Loaded] = field(default_factory=dict)

    def load(self, assignment_id: str) -> bool:
        """Load the assignment and say whether that was news."""
        if not assignment_id or assignment_id in self.loaded:
            return False
        try:
            bundle = load_bundle(load(self.course_root).assignment(assignment_id), variants=True)
        except BootcampError as e:
            self.loaded[assignment_id] = Loaded(None, None, str(e))
        else:
            course_code(bundle.manifest)  # parsed here, once, for every referee
            self.loaded[assignment_id] = Loaded(bundle, open_in_process(bundle.program()))
        return True

    def play(self, spec: JobSpec) -> NoReturn:
        """Be a referee of the assignment, in a forked child that stands behind its walls."""
        found = self.loaded.get(spec.topic, Loaded(None))
        referee.serve(found.bundle, found.reference, found.fault)
