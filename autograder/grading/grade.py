"""Notebook bytes, a bundle and a slot in, `Graded` out.

How it works. Every answer runs twice at most. First all of them share one box, as they share one notebook: that is
fast, and a pass there is a pass. Whatever did not pass is then graded alone in a fresh box that holds only the cells
it needs, so that no other exercise can have spoilt it; that verdict counts. Where it builds on other exercises that did
not pass, the course's own definitions of those are lent to it first, and its author's own are tried after: the better
verdict counts. So one broken exercise costs only itself.

A box that fails by our fault is opened once more; after that the exercise stays unscored.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autograder.course import Exercise
from autograder.errors import InfraError, SubmissionError
from autograder.grading.bundle import Bundle
from autograder.grading.checks import Check
from autograder.grading.draw import rng_for
from autograder.grading.run import Draw, judge_error, run_checks
from autograder.grading.score import score, skipped, unscored
from autograder.grading.verdict import CheckResult, Graded, Status, Verdict
from autograder.sandbox.box import Box, Limits
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.student import Student, StudentError
from autograder.submission.model import Answer, Cell, Submission
from autograder.submission.read import read

OpenBox = Callable[[Sequence[Cell], Limits], Box]
_OUTPUT_CHARS = 20_000


@dataclass(frozen=True)
class Budget:
    """CPU seconds that one exercise may use. The reference's own cost scales them; the floors forgive slow code."""

    shared_floor_s: float = 2.0
    alone_floor_s: float = 8.0
    shared_factor: float = 4.0
    alone_factor: float = 10.0
    wall_per_cpu: float = 6.0  # the backstop: what is slower than this is idle, or the machine is overloaded

    def shared(self, reference_s: float) -> float:
        return max(self.shared_floor_s, self.shared_factor * reference_s)

    def alone(self, reference_s: float) -> float:
        return max(self.alone_floor_s, self.alone_factor * reference_s)


@dataclass
class Grader:
    """Grades submissions of one assignment. `costs` maps exercise ids to the reference's CPU seconds on this worker."""

    bundle: Bundle
    open_box: OpenBox
    tier: str
    seed: bytes
    costs: Mapping[str, float] = field(default_factory=dict)
    budget: Budget = Budget()
    _reference: Box | None = None

    def grade(self, raw: bytes, student: str) -> Graded:
        """Grade one notebook of `student` (who only keys the draw). Never raises for what the bytes hold."""
        started = time.process_time()
        sha256 = hashlib.sha256(raw).hexdigest()
        try:
            submission = read(raw, self.bundle.manifest)
        except SubmissionError as e:
            return Graded(self.bundle.manifest.assignment, sha256, (), self.bundle.build, self.tier, error=str(e))
        job = _Job(self, raw, submission, f"{submission.assignment}/{student}/{sha256}")
        verdicts = job.run()
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
        if self._reference is None:
            self._reference = open_in_process(self.bundle.program())
        return self._reference.student


class _Job:
    def __init__(self, grader: Grader, raw: bytes, submission: Submission, attempt: str) -> None:
        self.g, self.raw, self.submission, self.attempt = grader, raw, submission, attempt
        self.output = ""
        self.player_cpu_s = 0.0

    def run(self) -> tuple[Verdict, ...]:
        exercises = self.g.bundle.manifest.exercises
        attempted = [e for e in exercises if self.submission.answers[e.id].attempted]
        verdicts = {e.id: skipped(e, self.submission.answers[e.id].notes) for e in exercises}
        verdicts |= self._together(attempted) if attempted else {}
        for e in attempted:
            if verdicts[e.id].status is not Status.PASS:
                verdicts[e.id] = self._apart(e, verdicts)
        return tuple(self._with_notes(verdicts[e.id]) for e in exercises)

    def _together(self, exercises: Sequence[Exercise]) -> dict[str, Verdict]:
        """Grade all in one box; what it does not reach stays out of the answer as "unscored"."""
        found = {e.id: unscored(e, "not reached") for e in exercises}
        budget = self.g.budget
        start_s = sum(budget.shared(0.0) for _ in exercises[:2])
        try:
            with self._open(self.submission.program, start_s) as box:
                for e in exercises:
                    if not box.alive:
                        break
                    found[e.id] = self._checked(box, e, budget.shared(self.g.costs.get(e.id, 0.0)))
        except (InfraError, StudentError):
            pass  # whoever is at fault: each exercise is now graded alone
        return found

    def _alone(self, exercise: Exercise, answer: Answer, note: str = "") -> Verdict:
        """Grade in a box of its own. What may have been our fault is tried once more."""
        verdict, maybe_ours = self._try_alone(exercise, answer, note)
        return self._try_alone(exercise, answer, note)[0] if maybe_ours else verdict

    def _try_alone(self, exercise: Exercise, answer: Answer, note: str) -> tuple[Verdict, bool]:
        allowed_s = self.g.budget.alone(self.g.costs.get(exercise.id, 0.0))
        used_before_s = self.player_cpu_s
        try:
            with self._open(answer.program, allowed_s) as box:
                verdict = self._checked(box, exercise, allowed_s, note)
        except StudentError as e:
            checks = self.g.bundle.checks[exercise.id]
            verdict = score(exercise, [_result(c, e) for c in checks], notes=(str(e),))
        except InfraError as e:
            verdict = unscored(exercise, str(e))
        # Out of time with little CPU used: the machine was busy, or the code sleeps. A second try tells which.
        idle = verdict.status is Status.TIMEOUT and self.player_cpu_s - used_before_s < allowed_s / 2
        return verdict, idle or verdict.status is Status.INFRA

    def _apart(self, exercise: Exercise, verdicts: Mapping[str, Verdict]) -> Verdict:
        """Grade away from the rest of the notebook, with what it builds on and what is broken lent to it."""
        answer = self.submission.answers[exercise.id]
        broken = [u for u in answer.uses if verdicts[u].status is not Status.PASS]
        if not broken:
            return self._alone(exercise, answer)
        lent = self._lending(exercise, broken)
        if lent.status is Status.PASS:
            return lent
        own = self._alone(exercise, answer)
        # On a tie the lent one speaks: it is about this exercise, and not about what is broken before it.
        return max((lent, own), key=lambda v: -1.0 if v.points is None else v.points)

    def _lending(self, exercise: Exercise, broken: Sequence[str]) -> Verdict:
        bundle = self.g.bundle
        wanted = {*broken, *(n for b in broken for n in bundle.needed_by(b))} - {exercise.id}
        lent = {e.id: bundle.reference[e.id] for e in bundle.manifest.exercises if e.id in wanted}
        answer = read(self.raw, bundle.manifest, lent).answers[exercise.id]
        names = ", ".join(bundle.manifest.exercise(b).name for b in broken)
        return self._alone(exercise, answer, f"Graded with the course's own {names}, since yours did not pass yet.")

    def _open(self, program: Sequence[Cell], allowed_s: float) -> _Opened:
        return _Opened(self, program, Limits(cpu_s=allowed_s, wall_s=allowed_s * self.g.budget.wall_per_cpu))

    def _checked(self, box: Box, exercise: Exercise, allowed_s: float, note: str = "") -> Verdict:
        box.allow(allowed_s, allowed_s * self.g.budget.wall_per_cpu)
        before_s = box.cpu_s
        checks = self.g.bundle.checks[exercise.id]
        results = run_checks(box.student, checks, self.g.draw(self.attempt), self.g.reference)
        player_s = box.cpu_s - before_s
        results = [replace(r, cpu_s=round(r.cpu_s + player_s / len(results), 5)) for r in results]
        verdict = score(exercise, results, notes=(note,) if note else (), cpu_s=sum(r.cpu_s for r in results))
        return self._explain(verdict, box)

    def _explain(self, verdict: Verdict, box: Box) -> Verdict:
        """Say which cell did not even run, when that is why the checks found nothing."""
        if verdict.status is Status.PASS or not box.failures:
            return verdict
        label, error = next(iter(box.failures.items()))
        # Cells run before any hidden input is drawn, so the whole message may be shown.
        hint = f"{label} stops with {error}" if verdict.status is Status.ERROR else verdict.hint
        return replace(verdict, hint=hint, notes=(*verdict.notes, f"{label} stops with {error}"))

    def _with_notes(self, verdict: Verdict) -> Verdict:
        notes = dict.fromkeys((*self.submission.answers[verdict.exercise].notes, *verdict.notes))
        return replace(verdict, notes=tuple(notes))


class _Opened:
    """A box of this job: what it printed and used is kept when it closes."""

    def __init__(self, job: _Job, program: Sequence[Cell], limits: Limits) -> None:
        self.job, self.program, self.limits = job, program, limits

    def __enter__(self) -> Box:
        self.box = self.job.g.open_box(self.program, self.limits)
        return self.box

    def __exit__(self, *exc: object) -> None:
        usage = self.box.close()
        self.job.player_cpu_s += usage.cpu_s
        self.job.output += self.box.output


def _result(check: Check, error: StudentError) -> CheckResult:
    outcome = judge_error(error, check)
    return CheckResult(check.name, outcome.status, check.weight, check.core, check.evidence, outcome.hint)
