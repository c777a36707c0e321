"""A course and its seed in; a session that grades notebooks out: one slot, warm, and every assignment admitted first.

An assignment is admitted when, under this very engine and in this very box, its reference earns full marks and its
stub none. What the reference costs is kept beside the admission: it scales the limits for students.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from autograder.course import Course
from autograder.errors import InfraError
from autograder.grading.bundle import load_bundle
from autograder.grading.grade import Grader
from autograder.grading.run import run_checks
from autograder.grading.score import passed_share, unscored
from autograder.grading.verdict import Graded, Status, Verdict
from autograder.sandbox.box import Limits, Slot
from autograder.sandbox.tiers import meets
from autograder.submission.compose import compose


class Session:
    """Grades notebooks one after the other in one warm slot. Use as a context manager.

    `admitted_dir` keeps the admissions, so that a second start is quick. `slot` is opened by `start_slot`.
    """

    def __init__(self, course: Course, seed: bytes, admitted_dir: Path, start_slot: Callable[[], Slot] = Slot.start) -> None:
        self.course, self.seed, self.admitted_dir = course, seed, admitted_dir
        self._start_slot = start_slot
        self._graders: dict[str, Grader] = {}
        self._refused: dict[str, str] = {}

    def __enter__(self) -> Self:
        # Two threads on a busy core cost up to three times the CPU, whoever started this process.
        torch.set_num_threads(1)
        self.slot = self._start_slot()
        if not meets(self.slot.tier, self.course.require_tier):
            self.slot.close()
            why = f" {self.slot.weaker_because}" if self.slot.weaker_because else ""
            raise InfraError(
                f"this machine's box reaches tier {self.slot.tier}; the course requires {self.course.require_tier} "
                f"(assignments/course.toml). Nothing is graded.{why} Run: bootcamp doctor"
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.slot.close()

    def grade(
        self, raw: bytes, assignment_id: str, student: str, known: Iterable[Verdict] = (), only: Collection[str] = ()
    ) -> Graded:
        """Grade one notebook. An assignment that is not admitted leaves every exercise unscored, with the reason.

        `known` and `only` as `Grader.grade` takes them.
        """
        try:
            grader = self.grader(assignment_id)
        except InfraError as e:
            return self._unscored(raw, assignment_id, str(e))
        return grader.grade(raw, student, known, only)

    def grader(self, assignment_id: str) -> Grader:
        """Return the grader of an admitted assignment. Raises: InfraError with the reason when it is not admitted."""
        if assignment_id in self._refused:
            raise InfraError(self._refused[assignment_id])
        if assignment_id not in self._graders:
            bundle = load_bundle(self.course.assignment(assignment_id))
            grader = Grader(bundle, self.slot.open_box, self.slot.tier, self.seed)
            try:
                grader.costs = self._admitted(grader)
            except InfraError as e:
                self._refused[assignment_id] = str(e)
                raise
            self._graders[assignment_id] = grader
        return self._graders[assignment_id]

    def _admitted(self, grader: Grader) -> dict[str, float]:
        path = self.admitted_dir / f"{grader.bundle.manifest.assignment}-{grader.bundle.build}-{self.slot.tier}.json"
        try:
            costs = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            costs = admit(grader)
            self.admitted_dir.mkdir(parents=True, exist_ok=True)
            # Two workers may admit at once: each writes a whole file of its own and renames it.
            part = path.with_suffix(f".{id(self)}.part")
            part.write_text(json.dumps(costs), "utf-8")
            part.replace(path)
        return {str(k): float(v) for k, v in costs.items()}

    def _unscored(self, raw: bytes, assignment_id: str, reason: str) -> Graded:
        manifest = self.course.assignment(assignment_id).manifest()
        verdicts = tuple(unscored(e, reason) for e in manifest.exercises)
        return Graded(assignment_id, hashlib.sha256(raw).hexdigest(), verdicts, "", self.slot.tier)


def admit(grader: Grader) -> dict[str, float]:
    """Return the reference's CPU seconds by exercise. Raises: InfraError unless reference is full and stub zero."""
    bundle = grader.bundle
    graded = grader.grade(compose(bundle.manifest, bundle.reference), "reference")
    short = [v for v in graded.verdicts if v.status is not Status.PASS]
    name = bundle.manifest.assignment
    if graded.error or short:
        why = graded.error or f"{short[0].exercise}: {short[0].status}, {short[0].hint} {' '.join(short[0].notes)}"
        raise InfraError(f"{name} is not graded: its reference does not earn full marks in this box ({why}).")
    generous = Limits(cpu_s=60.0, wall_s=360.0)
    with grader.open_box(bundle.stub_program(), generous) as box:
        for e in bundle.manifest.exercises:
            results = run_checks(box.student, bundle.checks[e.id], grader.draw("stub"), grader.reference)
            if passed_share(results) > 0:
                raise InfraError(f"{name} is not graded: its stub earns points for {e.id}.")
    return {v.exercise: v.cpu_s for v in graded.verdicts}
