"""T1's hidden checks: they accept the reference and its like, reject every listed slip, and say something useful.

The full proof is `bootcamp check t1_attention` (20 seeds); here one draw stands for them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder.course import load
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.checks import Check, Variant
from autograder.grading.draw import rng_for
from autograder.grading.gate import report
from autograder.grading.run import Outcome, attempt
from autograder.grading.verdict import Status
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.student import Call

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "assignments" / "t1_attention"
EXERCISES = (
    "causal_mask",
    "attention",
    "multi_head_attention",
    "sinusoidal",
    "rope",
    "mlp",
    "rms_norm",
    "gpt",
    "param_count",
    "hand_set_previous_token_head",
    "online_softmax_attention",
)
ALLOWED_IMPORTS = {
    "collections.abc",
    "itertools",
    "__future__",
    "math",
    "typing",
    "numpy",
    "torch",
    "autograder.grading.checks",
    "autograder.grading.compare",
    "autograder.sandbox.student",
}
HINT_CHARS = 600  # what a verdict keeps of a hint


@cache
def bundle() -> Bundle:
    return load_bundle(load(ROOT).assignment("t1_attention"), variants=True)


def checks(exercise: str) -> tuple[Check, ...]:
    return bundle().checks[f"t1_attention.{exercise}"]


def mutants(exercise: str) -> list[Variant]:
    return [v for v in bundle().variants if v.exercise == f"t1_attention.{exercise}" and v.caught_by]


def outcome(student: Any, check: Check, seed: str) -> Outcome:
    found = attempt(student, check, rng_for(b"sample", seed, check.exercise, check.name))
    return found if isinstance(found, Outcome) else Outcome(Status.FAIL, f"{type(found).__name__}: {found}")


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_gate_is_passed(exercise: str) -> None:
    """Reference and alternatives pass, mutants die, the stub and senseless answers earn nothing: on one draw."""
    found = report(bundle(), bundle().manifest.exercise(f"t1_attention.{exercise}"), b"sample", 1)

    assert found.faults == ()
    assert sum(v.is_mutant for v in found.variants) >= 14
    assert sum(not v.is_mutant for v in found.variants) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES)
def test_every_named_check_kills_alone_and_says_why(exercise: str) -> None:
    """Each check that a mutant names rejects it by itself, in words that fit a verdict, without a line of the answer."""
    secret = _lines(bundle().reference[f"t1_attention.{exercise}"])
    for mutant in mutants(exercise):
        with open_in_process(bundle().program({mutant.exercise: bundle().variant_source(mutant)})) as box:
            for check in checks(exercise):
                if check.name not in mutant.caught_by:
                    continue
                found = outcome(box.student, check, "alone")
                assert found.status is not Status.PASS, f"{check.name} accepts: {mutant.label}"
                said = found.hint + mutant.hint
                assert found.hint
                assert len(found.hint) <= HINT_CHARS, found.hint
                assert not any(line in said for line in secret), said


def _lines(source: str) -> set[str]:
    """Return what is code in the definitions and long enough to give something away."""
    bodies = [node.body for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    statements = [s for body in bodies for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return {line for s in statements for line in ast.unparse(s).splitlines() if len(line.strip()) > 12}


def test_there_are_eleven_exercises() -> None:
    """The release, the hidden checks and this file speak of the same exercises."""
    assert {e.id for e in bundle().manifest.exercises} == {f"t1_attention.{name}" for name in EXERCISES}


@pytest.mark.parametrize("exercise", EXERCISES)
def test_checks_are_few_and_say_what_they_hold(exercise: str) -> None:
    """Three to seven scored checks, a core one among them and others for the edges; each has a sentence that may be shown."""
    scored = [c for c in checks(exercise) if c.evidence == "verified"]

    assert 3 <= len(scored) <= 7
    assert any(c.core for c in scored)
    assert any(not c.core for c in scored)
    assert all(c.doc.endswith(".") and "\n" not in c.doc for c in checks(exercise))


def test_mutants_have_hints_of_their_own() -> None:
    """A hint is what a student reads whose outputs match: a sentence, and not the same for two slips of one exercise."""
    for exercise in EXERCISES:
        hints = [m.hint for m in mutants(exercise)]
        assert all(h.endswith((".", "?")) and 15 < len(h) <= HINT_CHARS for h in hints)
        labels = [m.label for m in mutants(exercise)]
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("hidden*.py")), ids=lambda p: p.stem)
def test_oracles_stand_alone(path: Path) -> None:
    """Hidden checks import no solution: an oracle that shares the reference's code would share its mistakes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert all(n in ALLOWED_IMPORTS or n.startswith("torch.") for n in names), names


class Recorder:
    """A student that notes what it is asked, and asks the real one."""

    def __init__(self, student: Any) -> None:
        self._student = student
        self.names: set[str] = set()
        self.inputs: list[torch.Tensor] = []

    def fn(self, name: str, **options: Any) -> Callable[..., Any]:
        self.names.add(name)
        call = self._student.fn(name, **options)
        return lambda *a, **k: call(*self._noted(a), **k)

    def each(self, name: str, calls: Sequence[Call]) -> Iterator[Any]:
        self.names.add(name)
        for call in calls:
            self._noted(call.args)
        return self._student.each(name, calls)

    def together(self, asked: Sequence[tuple[Any, Call]]) -> Iterator[Any]:
        self.names |= {what for what, _ in asked if isinstance(what, str)}
        return self._student.together(asked)

    def __getattr__(self, way: str) -> Callable[..., Any]:
        """The four ways to make an object."""
        assert way in ("make", "make_soon", "module", "module_soon")

        def make(name: str, *args: Any, **kwargs: Any) -> Any:
            self.names.add(name)
            return getattr(self._student, way)(name, *args, **kwargs)

        return make

    def observe(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self.names.add(name)
        return self._student.observe(name, *self._noted(args), **kwargs)

    def _noted(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.inputs += [x.detach().clone() for x in args if isinstance(x, torch.Tensor)]
        return args


@pytest.fixture(scope="module")
def reference() -> Iterator[Any]:
    with open_in_process(bundle().program()) as box:
        assert not box.failures
        yield box.student


@pytest.mark.parametrize("exercise", EXERCISES)
def test_checks_ask_for_their_own_exercise_only(reference: Any, exercise: str) -> None:
    """A check names the exercise's definitions and the given config: another exercise's failure is not this one's."""
    own = {*bundle().manifest.exercise(f"t1_attention.{exercise}").names, "GPTConfig"}
    for check in checks(exercise):
        recorder = Recorder(reference)
        assert outcome(recorder, check, "own").status is Status.PASS
        assert recorder.names <= own, check.name


ALL_AT_ONCE = """
def online_softmax_attention(q, k, v, block):
    return ((q @ k.mT) * q.shape[-1] ** -0.5).softmax(-1) @ v
"""
TRAINED = """
def hand_set_previous_token_head(cfg):
    model = GPT(cfg)
    model(torch.zeros(1, 2, dtype=torch.int64)).sum().backward()
    return model.state_dict()
"""


@pytest.mark.parametrize(
    ("exercise", "name", "source"),
    [
        ("online_softmax_attention", "no_tensor_of_all_scores", ALL_AT_ONCE),
        ("hand_set_previous_token_head", "set_by_hand", TRAINED),
    ],
)
def test_evidence_is_seen(exercise: str, name: str, source: str) -> None:
    """All scores at once, and a backward pass, are noted for a person; neither note is worth points."""
    check = next(c for c in checks(exercise) if c.name == name)
    with open_in_process(bundle().program({check.exercise: source})) as box:
        assert outcome(box.student, check, "evidence").status is Status.FAIL
    assert check.evidence == "observed"


@pytest.mark.parametrize("exercise", ["attention", "rope", "online_softmax_attention"])
def test_inputs_follow_from_the_draw(reference: Any, exercise: str) -> None:
    """The same draw asks the same questions, whatever torch's own generator holds; another draw asks others."""
    for check in checks(exercise):
        first, again, other = (Recorder(reference) for _ in range(3))
        for recorder, seed in ((first, "a"), (again, "a"), (other, "b")):
            torch.rand(1)
            assert outcome(recorder, check, seed).status is Status.PASS
        assert len(first.inputs) == len(again.inputs) > 0
        assert all(torch.equal(x, y) for x, y in zip(first.inputs, again.inputs, strict=True))
        assert not all(torch.equal(x, y) for x, y in zip(first.inputs, other.inputs, strict=False))
