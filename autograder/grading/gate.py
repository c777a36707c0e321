"""A bundle in, a report per exercise out: do its hidden checks accept what is right and reject what is wrong?

The gate runs in process: references, mutants and alternatives are our own code. It asks of every exercise that, over
all seeds, the reference and every alternative pass every check; that the stub and answers of a senseless kind earn
nothing; and that each mutant fails a check that names it on at least 95 % of the seeds (in a sample of fewer than 20,
on all but one).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from autograder.course import Exercise, load
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.checks import Check, Variant
from autograder.grading.compare import tolerances_used
from autograder.grading.draw import rng_for
from autograder.grading.run import Outcome, attempt
from autograder.grading.score import passed_share
from autograder.grading.verdict import CheckResult, Status
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.student import Student
from autograder.submission.model import Cell

_KILLED_SHARE = 0.95
_TOLERANCE_USED = 0.8  # more, and another processor's rounding may fail a right answer
# One draw is one grading: what the line may carry in it (link.py) is counted anew. In process no time is limited.
_PER_DRAW = (60.0, 360.0)
_GARBAGE = {
    "nothing": "None",
    "a text": "'wrong'",
    "an empty tuple": "()",
    "three numbers": "(1.0, 2.0, 3.0)",
    "a NaN tensor": "torch.full((2, 3), float('nan'))",
    "an empty tensor": "torch.empty(0)",
    "an empty dict": "{}",
}


@dataclass(frozen=True)
class VariantReport:
    """How one mutant or alternative fared: on how many seeds it was killed (mutant) or accepted (alternative)."""

    label: str
    place: str
    is_mutant: bool
    n_good: int
    n_seeds: int
    by: tuple[str, ...]  # the checks that killed it
    why: str = ""  # the first unexpected result

    @property
    def is_good(self) -> bool:
        # One survival says nothing about 95 % where there are fewer than 20 draws; none killed does.
        allowed = max(1.0, (1 - _KILLED_SHARE) * self.n_seeds) if self.is_mutant and self.n_seeds > 1 else 0.0
        return self.n_seeds - self.n_good <= allowed


@dataclass(frozen=True)
class ExerciseReport:
    """The gate's findings for one exercise. `faults` is empty exactly when it may be released."""

    exercise: str
    n_checks: int
    n_seeds: int
    n_reference: int
    stub_share: float
    garbage: tuple[str, ...]  # kinds of senseless answers that earned something
    variants: tuple[VariantReport, ...]
    reference_cpu_s: float
    tolerance_used: float  # the largest share of a tolerance that the reference or an alternative needed on any seed
    faults: tuple[str, ...]


def run_gate(
    course_root: Path, assignment_id: str, seed: bytes, n_seeds: int, n_workers: int, only: Sequence[str] = ()
) -> Iterator[ExerciseReport]:
    """Yield a report per exercise as it is ready. `only` limits the exercises (ids or names)."""
    bundle = load_bundle(load(course_root).assignment(assignment_id), variants=True)
    chosen = [e for e in bundle.manifest.exercises if not only or e.id in only or e.name in only]
    if n_workers <= 1:
        yield from (report(bundle, e, seed, n_seeds) for e in chosen)
        return
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_report_of, course_root, assignment_id, e.id, seed, n_seeds) for e in chosen]
        for job in as_completed(jobs):
            yield job.result()


def report(bundle: Bundle, exercise: Exercise, seed: bytes, n_seeds: int) -> ExerciseReport:
    """Put one exercise through the gate."""
    runs = _Runs(bundle, exercise, seed, n_seeds)
    started = time.process_time()
    with tolerances_used() as used:
        n_reference, why_not = runs.accepted(bundle.program())
    reference_s = (time.process_time() - started) / n_seeds
    variants = []
    for v in (v for v in bundle.variants if v.exercise == exercise.id):
        with tolerances_used() as needed:
            variants.append(runs.variant(v))
        used += needed if variants[-1].is_good and not v.caught_by else []
    stub_share = runs.share(bundle.stub_program())
    garbage = tuple(kind for kind, value in _GARBAGE.items() if runs.share(bundle.program(_senseless(exercise, value))) > 0)
    found = ExerciseReport(
        exercise=exercise.id,
        n_checks=len(runs.checks),
        n_seeds=n_seeds,
        n_reference=n_reference,
        stub_share=stub_share,
        garbage=garbage,
        variants=tuple(variants),
        reference_cpu_s=reference_s,
        tolerance_used=max(used, default=0.0),
        faults=(),
    )
    return replace(found, faults=tuple(_faults(found, why_not, runs)))


def _report_of(course_root: Path, assignment_id: str, exercise_id: str, seed: bytes, n_seeds: int) -> ExerciseReport:
    bundle = load_bundle(load(course_root).assignment(assignment_id), variants=True)
    return report(bundle, bundle.manifest.exercise(exercise_id), seed, n_seeds)


class _Runs:
    def __init__(self, bundle: Bundle, exercise: Exercise, seed: bytes, n_seeds: int) -> None:
        self.bundle, self.exercise, self.seed, self.n_seeds = bundle, exercise, seed, n_seeds
        self.checks = [c for c in bundle.checks[exercise.id] if c.evidence == "verified"]

    def accepted(self, program: Sequence[Cell]) -> tuple[int, str]:
        """Return on how many seeds every check passes, and the first reason where one does not."""
        why = ""
        n_good = 0
        with open_in_process(program) as box:
            for k in range(self.n_seeds):
                box.allow(*_PER_DRAW)
                bad = [(c.name, o) for c in self.checks if (o := self._run(box.student, c, k)).status is not Status.PASS]
                n_good += not bad
                why = why or (f"seed {k}, {bad[0][0]}: {bad[0][1].status}: {bad[0][1].hint}" if bad else "")
        return n_good, why

    def share(self, program: Sequence[Cell]) -> float:
        """Return the share of the points that the program earns on the first seed."""

        with open_in_process(program) as box:
            ran = [(c, self._run(box.student, c, 0).status) for c in self.checks]
        return passed_share([CheckResult(c.name, status, c.weight, c.core) for c, status in ran])

    def variant(self, variant: Variant) -> VariantReport:
        program = self.bundle.program({self.exercise.id: self.bundle.variant_source(variant)})
        if not variant.caught_by:
            n_good, why = self.accepted(program)
            return VariantReport(variant.label, variant.place, False, n_good, self.n_seeds, (), why)
        return self._mutant(variant, program)

    def _mutant(self, variant: Variant, program: Sequence[Cell]) -> VariantReport:
        named = [c for c in self.checks if c.name in variant.caught_by]
        by: dict[str, None] = {}
        why = "" if len(named) == len(variant.caught_by) else f"caught_by names {variant.caught_by}; not all are verified checks"
        n_good = 0
        with open_in_process(program) as box:
            for k in range(self.n_seeds):
                box.allow(*_PER_DRAW)
                killer = next((c.name for c in named if self._run(box.student, c, k).status is not Status.PASS), None)
                n_good += killer is not None
                by |= {killer: None} if killer else {}
                why = why or ("" if killer else f"seed {k}: passes {', '.join(c.name for c in named)}")
        return VariantReport(variant.label, variant.place, True, n_good, self.n_seeds, tuple(by), why)

    def _run(self, student: Student, check: Check, k: int) -> Outcome:
        found = attempt(student, check, rng_for(self.seed, f"gate/{k}", check.exercise, check.name))
        # A check that breaks on a strange answer rejects it; on the reference the status shows in the report.
        return found if isinstance(found, Outcome) else Outcome(Status.FAIL, f"{type(found).__name__}: {found}")


def _senseless(exercise: Exercise, value: str) -> dict[str, str]:
    """Return definitions of the exercise's names that give `value`, whatever they are asked."""
    lines = []
    for name in exercise.names:
        if name[0].isupper():
            lines.append(f"class {name}(nn.Module):\n    def __init__(self, *a, **k):\n        super().__init__()\n")
            lines.append(f"    def forward(self, *a, **k):\n        return {value}\n")
        else:
            lines.append(f"def {name}(*a, **k):\n    return {value}\n")
    return {exercise.id: "\n".join(lines)}


def _faults(found: ExerciseReport, why_not: str, runs: _Runs) -> Iterator[str]:
    if found.n_reference < found.n_seeds:
        yield f"the reference passes on {found.n_reference} of {found.n_seeds} seeds ({why_not})"
    if found.tolerance_used > _TOLERANCE_USED:
        yield f"a right answer needs {found.tolerance_used:.0%} of a tolerance: another machine may fail it"
    if found.stub_share > 0:
        yield f"the stub earns {found.stub_share:.0%}"
    for kind in found.garbage:
        yield f"an answer that always gives {kind} earns points"
    mutants = [v for v in found.variants if v.is_mutant]
    if not mutants:
        yield "no mutant: nothing shows that the checks can fail"
    for v in found.variants:
        if not v.is_good:
            what = "mutant survives" if v.is_mutant else "alternative is refused"
            yield f"{v.place}: {what} on {v.n_seeds - v.n_good} of {v.n_seeds} seeds: {v.label} ({v.why})"
    unused = {c.name for c in runs.checks} - {name for v in runs.bundle.variants for name in v.caught_by}
    for name in sorted(unused):
        yield f'no mutant names the check "{name}": nothing shows that it can fail'
