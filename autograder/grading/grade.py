"""Notebook bytes, a bundle and a slot in, `Graded` out.

How it works. Every answer runs twice at most. First all of them share one box, as they share one notebook: that is
fast, and a pass there is a pass. Whatever did not pass is then graded alone in a fresh box that holds only the cells
it needs, so that no other exercise can have spoilt it; that verdict counts. Where it builds on other exercises that did
not pass, the course's own definitions of those are lent to it first, and its author's own are tried after: the better
verdict counts. So one broken exercise costs only itself.

A box that fails by our fault is opened once more; after that the exercise stays unscored. How one notebook goes through
this is job.py's; what need not run again is known.py's.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autograder.errors import SubmissionError
from autograder.grading.budget import Budget
from autograder.grading.bundle import Bundle
from autograder.grading.draw import rng_for
from autograder.grading.job import Grading
from autograder.grading.known import Known
from autograder.grading.run import Draw
from autograder.grading.verdict import Graded, Verdict
from autograder.sandbox.box import Box, Limits
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.student import Student
from autograder.submission.model import Cell
from autograder.submission.read import read

OpenBox = Callable[[Sequence[Cell], Limits], Box]
_OUTPUT_CHARS = 20_000


@dataclass
class Grader:
    """Grades submissions of one assignment. `costs` maps exercise ids to the reference's CPU seconds on this worker."""

    bundle: Bundle
    open_box: OpenBox
    tier: str
    seed: bytes
    costs: Mapping[str, float] = field(default_factory=dict)
    budget: Budget = Budget()  # noqa: RUF009 - frozen
    reference_box: Box | None = None  # opened when it is first needed

    def grade(self, raw: bytes, student: str, known: Iterable[Verdict] = (), only: Collection[str] = ()) -> Graded:
        """Grade one notebook of `student` (who only keys the draw). Never raises for what the bytes hold.

        `known` are earlier verdicts on this student's exercises: what would come out again does not run. `only` names
        the exercises to speak about (and with them those that they build on are graded); none: all of them.
        """
        started = time.process_time()
        sha256 = hashlib.sha256(raw).hexdigest()
        try:
            submission = read(raw, self.bundle.manifest)
        except SubmissionError as e:
            return Graded(self.bundle.manifest.assignment, sha256, (), self.bundle.build, self.tier, error=str(e))
        job = Grading(self, raw, submission, student, Known(known))
        verdicts = job.run(only)
        cpu_s = time.process_time() - started + job.player_cpu_s
        output = job.output[:_OUTPUT_CHARS]
        return Graded(
            submission.assignment, sha256, verdicts, self.bundle.build, self.tier, submission.notes, output, "", round(cpu_s, 4)
        )

    def draw(self, attempt: str) -> Draw:
        """Return what gives each check of one attempt its generator."""
        return lambda check: rng_for(self.seed, attempt, check.exercise, check.name)

    def reference(self) -> Student:
        """Return the reference, in this process and without a jail: it is our own code."""
        if self.reference_box is None:
            self.reference_box = open_in_process(self.bundle.program())
        return self.reference_box.student
