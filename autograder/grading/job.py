"""One parsed notebook through its boxes: together first, apart what did not pass, nothing that is known already."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from autograder.course import Exercise
from autograder.errors import InfraError
from autograder.grading.checks import Check
from autograder.grading.diagnose import diagnosed
from autograder.grading.draw import drawn_for, hash_program
from autograder.grading.known import Keyring, Known, apart_key, keyed, slice_key
from autograder.grading.run import judge_error, run_checks
from autograder.grading.score import score, skipped, unscored
from autograder.grading.verdict import CheckResult, Status, Verdict
from autograder.sandbox.box import Box, Limits
from autograder.sandbox.student import StudentError
from autograder.submission.model import Answer, Cell, Submission
from autograder.submission.read import read

if TYPE_CHECKING:
    from autograder.grading.grade import Grader


class Grading:
    """The grading of one notebook; see grade.py for how it works. `output` and `player_cpu_s` add up over its boxes."""

    def __init__(self, grader: Grader, raw: bytes, submission: Submission, student: str, known: Known) -> None:
        self.g, self.raw, self.submission, self.student, self.known = grader, raw, submission, student, known
        self.keys = Keyring(grader.seed, grader.tier, student, grader.bundle.fingerprints)
        self.bases = {id: self.keys.base(id, hash_program(a.program)) for id, a in submission.answers.items()}
        self.context = hash_program(submission.program)
        self.output = ""
        self.player_cpu_s = 0.0

    def run(self, only: Collection[str] = ()) -> tuple[Verdict, ...]:
        """Return the verdicts in the course's order; of the exercises in `only`, or of all."""
        exercises, answers = self.g.bundle.manifest.exercises, self.submission.answers
        wanted = {*only, *(u for o in only for u in answers[o].uses)} or {e.id for e in exercises}
        attempted = [e for e in exercises if e.id in wanted and answers[e.id].attempted]
        verdicts = {e.id: skipped(e, answers[e.id].notes) for e in exercises}
        verdicts |= {e.id: unscored(e, "not reached") for e in attempted}
        verdicts |= self._passed_before(attempted)
        todo = [e for e in attempted if verdicts[e.id].status is not Status.PASS]
        fresh = [e for e in todo if not self.known.failed_in(self.bases[e.id], self.context)]
        together = self._together(fresh) if fresh else {}
        reached = {id for id, v in together.items() if v.status is not Status.INFRA} | {e.id for e in todo if e not in fresh}
        verdicts |= {id: keyed(v, slice_key(self.bases[id])) for id, v in together.items()}
        # What others build on comes first, so that it is settled what is broken: `uses` lists all that an answer rests on.
        for e in sorted(todo, key=lambda e: len(answers[e.id].uses)):
            if verdicts[e.id].status is not Status.PASS:
                verdicts[e.id] = self._apart(e, verdicts, e.id in reached)
        return tuple(self._with_notes(verdicts[e.id]) for e in exercises if not only or e.id in only)

    def _passed_before(self, attempted: Sequence[Exercise]) -> dict[str, Verdict]:
        found = {e.id: self.known.passed(self.bases[e.id]) for e in attempted}
        return {id: replace(v, notes=()) for id, v in found.items() if v is not None}

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
                    found[e.id] = self._checked(box, e, budget.shared(self.g.costs.get(e.id, 0.0)), self._drawn(e, shared=True))
        except (InfraError, StudentError):
            pass  # whoever is at fault: each exercise is now graded alone
        return found

    def _alone(self, exercise: Exercise, answer: Answer, note: str = "") -> Verdict:
        """Grade in a box of its own. What may have been our fault is tried once more."""
        verdict, maybe_ours = self._try_alone(exercise, answer, note)
        return self._try_alone(exercise, answer, note)[0] if maybe_ours else verdict

    def _try_alone(self, exercise: Exercise, answer: Answer, note: str) -> tuple[Verdict, bool]:
        allowed_s = self.g.budget.alone(self.g.costs.get(exercise.id, 0.0), len(self.g.bundle.manifest.exercises))
        used_before_s = self.player_cpu_s
        try:
            with self._open(answer.program, allowed_s) as box:
                drawn = self._drawn(exercise, answer)
                verdict = self._checked(box, exercise, allowed_s, drawn, note)
                # Here alone: what fails in the shared box is graded again in one of its own, and that hint is told.
                verdict = diagnosed(verdict, box, self.g.bundle, self.g.draw(drawn))
        except StudentError as e:
            checks = self.g.bundle.checks[exercise.id]
            verdict = score(exercise, [_result(c, e) for c in checks], notes=(str(e),))
        except InfraError as e:
            verdict = unscored(exercise, str(e))
        # Out of time with little CPU used: the machine was busy, or the code sleeps. A second try tells which.
        idle = verdict.status is Status.TIMEOUT and self.player_cpu_s - used_before_s < allowed_s / 2
        return verdict, idle or verdict.status is Status.INFRA

    def _apart(self, exercise: Exercise, verdicts: Mapping[str, Verdict], reached: bool) -> Verdict:
        """Grade away from the rest of the notebook, with what it builds on and what is broken lent to it."""
        answer, base = self.submission.answers[exercise.id], self.bases[exercise.id]
        broken = [u for u in answer.uses if verdicts[u].status is not Status.PASS]
        lending = self._lending(exercise, broken) if broken else None
        programs = [hash_program(a.program, labels=True) for a in (answer, lending) if a]
        apart = self.keys.digest("apart", base, *programs, *broken, "", *answer.notes)
        key = apart_key(base, self.context if reached else "-", apart)
        if (before := self.known.apart(apart)) is not None:
            return replace(before, key=key, notes=tuple(n for n in before.notes if n not in answer.notes))
        own_passed, verdict = self._best(exercise, answer, lending, broken)
        return keyed(verdict, slice_key(base) if own_passed else key)

    def _best(self, exercise: Exercise, answer: Answer, lending: Answer | None, broken: Sequence[str]) -> tuple[bool, Verdict]:
        """Return the better of two verdicts, with and without what is lent, and whether the answer passed without."""
        if lending is None:
            own = self._alone(exercise, answer)
            return own.status is Status.PASS, own
        names = ", ".join(self.g.bundle.manifest.exercise(b).name for b in broken)
        lent = self._alone(exercise, lending, f"Graded with the course's own {names}, since yours did not pass yet.")
        if lent.status is Status.PASS:
            return False, lent
        own = self._alone(exercise, answer)
        if own.status is Status.PASS:
            return True, own
        # With one of both unscored by our fault nothing is settled, or it would cost points.
        # On a tie the lent one speaks: it is about this exercise, and not about what is broken before it.
        return False, max((lent, own), key=lambda v: math.inf if v.points is None else v.points)

    def _lending(self, exercise: Exercise, broken: Sequence[str]) -> Answer:
        """Return the answer as it reads with the course's own definitions of what is broken."""
        bundle = self.g.bundle
        wanted = {*broken, *(n for b in broken for n in bundle.needed_by(b))} - {exercise.id}
        lent = {e.id: bundle.reference[e.id] for e in bundle.manifest.exercises if e.id in wanted}
        return read(self.raw, bundle.manifest, lent).answers[exercise.id]

    def _open(self, program: Sequence[Cell], allowed_s: float) -> _Opened:
        return _Opened(self, program, Limits(cpu_s=allowed_s, wall_s=allowed_s * self.g.budget.wall_per_cpu))

    def _drawn(self, exercise: Exercise, answer: Answer | None = None, *, shared: bool = False) -> str:
        program = (answer or self.submission.answers[exercise.id]).program
        return drawn_for(self.submission.assignment, self.student, program, shared=shared)

    def _checked(self, box: Box, exercise: Exercise, allowed_s: float, drawn: str, note: str = "") -> Verdict:
        box.allow(allowed_s, allowed_s * self.g.budget.wall_per_cpu)
        before_s = box.cpu_s
        checks = self.g.bundle.checks[exercise.id]
        results = run_checks(box.student, checks, self.g.draw(drawn), self.g.reference)
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

    def __init__(self, job: Grading, program: Sequence[Cell], limits: Limits) -> None:
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
