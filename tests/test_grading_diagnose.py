"""An answer that behaves like a known mutant is told that mutant's hint, and no other answer is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
import torch

from autograder.course import Course, load
from autograder.grading import diagnose
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.checks import Check
from autograder.grading.diagnose import Transcript, diagnosed, match
from autograder.grading.draw import rng_for
from autograder.grading.grade import Grader
from autograder.grading.run import Outcome, attempt, run_checks
from autograder.grading.score import score
from autograder.grading.verdict import Status, Verdict
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.compose import compose
from tests import tiny
from tests.sample import SEED, sampled

ROOT = Path(__file__).parents[1]
D, Q, S = "x1_tiny.double", "x1_tiny.quadruple", "x1_tiny.scaler"
COURSE = load(ROOT)
EXERCISES = sampled([e.id for a in COURSE for e in a.manifest().exercises if e.points], 2)


@pytest.fixture
def bundle(tiny_course: Course) -> Bundle:
    return load_bundle(tiny_course.assignment("x1_tiny"), variants=True)


def verdict(bundle: Bundle, exercise: str, source: str) -> Verdict:
    grader = Grader(bundle, open_in_process, "C", b"seed" * 8)
    graded = grader.grade(compose(bundle.manifest, {**tiny.REFERENCE, exercise: source}), "s1")
    return next(v for v in graded.verdicts if v.exercise == exercise)


@pytest.mark.parametrize(
    ("exercise", "source", "hint"),
    [
        (D, "def double(x):\n    return x**2\n", "That is the square."),
        (D, "def double(x):\n    return x.square() * 1.0000001\n", "That is the square."),  # up to rounding
        (D, "def double(x):\n    return 2 * x if len(x.shape) else abs(2 * x)\n", "What of negative numbers?"),
        (Q, "def quadruple(x):\n    return x + x\n", "Once more."),
    ],
)
def test_the_same_slip_written_otherwise_is_recognised(bundle, exercise, source, hint):
    """What counts is what an answer says, not how it is written; the points are those of the checks."""
    found = verdict(bundle, exercise, source)

    assert found.hint == hint
    assert found.status is Status.FAIL


@pytest.mark.parametrize("source", ["def double(x):\n    return 3 * x\n", "def double(x):\n    return x * x + 1\n"])
def test_another_slip_gets_the_checks_own_words(bundle, source):
    """A hint that does not fit misleads: the check's text says what was found."""
    found = verdict(bundle, D, source)

    assert "other values than expected" in found.hint


def test_a_right_answer_is_not_diagnosed(bundle):
    """No mutant is run for what passed."""
    assert verdict(bundle, D, tiny.REFERENCE[D]).hint == ""


def test_a_check_that_is_too_dear_is_not_repeated(bundle):
    """An author may keep a check that trains out of this."""
    checks = {id: tuple(Check(**{**vars(c), "diagnose": False}) for c in some) for id, some in bundle.checks.items()}
    kept = Bundle(**{**vars(bundle), "checks": checks})

    assert "other values than expected" in verdict(kept, D, "def double(x):\n    return x * x\n").hint


def test_a_diagnosis_costs_less_than_the_student_would_wait(bundle):
    """A check that took long is not repeated on every mutant: the result is due in seconds."""
    grader = Grader(bundle, open_in_process, "C", b"seed" * 8)
    with open_in_process(bundle.program({D: "def double(x):\n    return x * x\n"})) as box:
        results = run_checks(box.student, bundle.checks[D], grader.draw("a"), grader.reference)
        quick = score(bundle.manifest.exercise(D), results)
        slow = replace(quick, checks=tuple(replace(r, cpu_s=2.0) for r in quick.checks))

        assert diagnosed(quick, box, bundle, grader.draw("a")).hint == "That is the square."
        assert diagnosed(slow, box, bundle, grader.draw("a")) == slow


def test_what_is_not_heard_tells_apart_too():
    """A result without its graph is another slip than a wrong one, and so are two gradients that the check finds wrong."""
    x = torch.ones(2)
    said = Transcript((x,), Status.FAIL, "gradient of #")

    assert said.agrees(Transcript((x + 1e-7,), Status.FAIL, "gradient of #"))
    assert not said.agrees(Transcript((x.clone().requires_grad_(),), Status.FAIL, "gradient of #"))
    assert not said.agrees(Transcript((x,), Status.FAIL, "gradient of the weight"))
    assert not said.agrees(Transcript((x,), Status.ERROR, "gradient of #"))


@pytest.mark.slow
@pytest.mark.parametrize("exercise", sorted(EXERCISES))
def test_the_right_hint_comes_back_for_each_mutant(exercise, monkeypatch):
    """Each mutant of a sample, as an answer, gets its own hint, or that of one that nothing tells apart from it."""
    real = load_bundle(COURSE.assignment(exercise.split(".")[0]), variants=True)
    mutants = {v.label: v for v in real.variants if v.exercise == exercise and v.caught_by}

    def draw(check: Check):
        return rng_for(SEED.encode(), "diagnosis", check.exercise, check.name)

    # One draw for all: what a mutant says is the same whoever it is compared with.
    say = cache(partial(diagnose._of_mutant, real, draw=draw))
    monkeypatch.setattr(diagnose, "_of_mutant", lambda bundle, mutant, check, draw: say(mutant, check))
    with open_in_process(real.program()) as box:
        costs = {r.name: r.cpu_s for r in run_checks(box.student, real.checks[exercise], draw, lambda: box.student)}
    scored = [c for c in real.checks[exercise] if c.evidence == "verified"]
    cheap = [c for c in scored if c.diagnose and costs[c.name] * len(mutants) <= 2.0]
    wrong = []
    drawn = sampled(list(mutants), 8)
    for label in sorted(drawn):
        with open_in_process(real.program({exercise: real.variant_source(mutants[label])})) as box:
            ends = {c.name: attempt(box.student, c, draw(c)) for c in cheap}
            failed = {name for name, end in ends.items() if not isinstance(end, Outcome) or end.status is not Status.PASS}
            found = match(box, real, cheap, failed, draw)
            own = mutants[label]
            if not failed & set(own.caught_by) or (found is not None and found.hint == own.hint):
                continue
            # Nothing tells the two apart; or the mutant is one of chance or memory, and says something else when asked again.
            is_same = found is not None and all(say(own, c).agrees(say(found, c)) for c in cheap)
            is_fickle = any(not say(own, c).agrees(diagnose._transcript(box, c, draw(c))) for c in cheap)
        if not is_same and not is_fickle:
            wrong.append(f"{label} -> {found.label if found else 'none'}")
    assert len(wrong) <= len(drawn) // 8, wrong  # a pair may differ where no check listens
