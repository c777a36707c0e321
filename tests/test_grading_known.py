"""Only what changed runs again, and what comes out is what a full run says. Nobody can prepare a verdict."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.course import Course, load
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.draw import drawn_for, rng_for
from autograder.grading.fingerprint import _closure
from autograder.grading.grade import Grader
from autograder.grading.known import keyed
from autograder.grading.verdict import Graded, Status, Verdict
from autograder.sandbox.box import Box, Limits
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.compose import compose
from autograder.submission.model import Cell
from autograder.submission.names import read_code
from tests import tiny

D, Q, S = "x1_tiny.double", "x1_tiny.quadruple", "x1_tiny.scaler"
SEED = b"seed" * 8
RAISES = "def double(x):\n    raise KeyError('x')\n"
# Per exercise: right ones, wrong ones, one that raises, one that builds on another, an unreadable one, the stub.
CHOICES = {
    D: [tiny.DOUBLE, "def double(x):\n    return 2 * x\n", "def double(x):\n    return x\n", RAISES, "def double(x:\n", None],
    Q: [
        tiny.QUADRUPLE,
        "def quadruple(x):\n    return double(x)\n",
        "def quadruple(x):\n    return 4 * x\n",
        "def quadruple(x):\n    return double(x) + double(x)\n",
        None,
    ],
    S: [tiny.SCALER, tiny.SCALER.replace("self.factor * x", "self.factor + x"), tiny.SCALER.replace("forward", "backward"), None],
}


class Boxes:
    """Opens boxes in this process and counts the checks' calls of each name."""

    def __init__(self) -> None:
        self.n_opened = 0

    def __call__(self, program: Sequence[Cell], limits: Limits) -> Box:
        self.n_opened += 1
        return open_in_process(program, limits)


def grade(bundle: Bundle, answers: dict[str, str], known: Sequence[Verdict] = (), who: str = "s1", **more) -> Graded:
    boxes = more.pop("boxes", open_in_process)
    raw = compose(bundle.manifest, {k: v for k, v in answers.items() if v is not None})
    return Grader(bundle, boxes, more.pop("tier", "C"), more.pop("seed", SEED)).grade(raw, who, known, **more)


def without_cost(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [replace(v, cpu_s=0.0, checks=tuple(replace(c, cpu_s=0.0) for c in v.checks)) for v in verdicts]


@pytest.fixture
def bundle(tiny_course: Course) -> Bundle:
    return load_bundle(tiny_course.assignment(tiny.ASSIGNMENT))


def edited(course: Course, old: str, new: str) -> Bundle:
    path = course.assignment(tiny.ASSIGNMENT).folder / "hidden.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return load_bundle(course.assignment(tiny.ASSIGNMENT))


@pytest.mark.parametrize("seed", range(3))
def test_a_history_of_resubmissions_gives_what_full_runs_give(tiny_course: Course, bundle: Bundle, seed: int):
    """Twenty hand-ins of one student, each changing some exercise, and a check that changes on the way."""
    rng = random.Random(seed)
    answers, known = dict.fromkeys(CHOICES), []
    for n in range(20):
        if n == 10:
            bundle = edited(tiny_course, '2 * x, "double"', '2.0 * x, "double"')
        for e in rng.sample(list(CHOICES), rng.choice([0, 1, 1, 2])):
            answers[e] = rng.choice(CHOICES[e])
        full, quick = grade(bundle, answers), grade(bundle, answers, known)

        assert without_cost(quick.verdicts) == without_cost(full.verdicts), (seed, n, answers)
        known += quick.verdicts


def test_what_is_known_opens_no_box(bundle: Bundle):
    """The same notebook again costs nothing, right or wrong."""
    answers = {**tiny.REFERENCE, D: CHOICES[D][2], S: CHOICES[S][1]}
    first, boxes = grade(bundle, answers), Boxes()
    again = grade(bundle, answers, first.verdicts, boxes=boxes)

    assert boxes.n_opened == 0
    assert again.verdicts == first.verdicts


def test_one_changed_exercise_runs_alone_in_its_notebook(bundle: Bundle):
    """Its neighbours' checks are not asked again: one box, and the old passes."""
    first = grade(bundle, {**tiny.REFERENCE, S: CHOICES[S][1]})
    boxes = Boxes()
    quick = grade(bundle, tiny.REFERENCE, first.verdicts, boxes=boxes)

    assert (boxes.n_opened, quick.points) == (1, 12)
    assert quick.verdicts[:2] == first.verdicts[:2]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('"""Values are quadrupled."""', '"""Values are quadrupled, of course."""', {Q}),
        ('@hidden("x1_tiny.double")', '@hidden("x1_tiny.double", weight=2)', {D}),
        ("rng.integers(2, 9)", "rng.integers(2, 8)", {S}),
        ("return torch.from_numpy(rng.standard_normal(shape))", "return torch.from_numpy(rng.normal(size=shape))", {D, Q}),
        ("(found.dtype, found.shape) ==", "(found.dtype, found.shape) !=", {D, Q, S}),
        ("import torch\n", "import torch\ntorch.set_num_threads(1)\n", {D, Q, S}),
        ("def draw(rng", "from math import *\ndef draw(rng", {D, Q, S}),
    ],
)
def test_a_check_rests_on_its_own_lines_and_what_they_load(tiny_course: Course, bundle: Bundle, old: str, new: str, changed: set):
    """A changed helper changes the exercises whose checks call it; what cannot be told changes all of them."""
    after = edited(tiny_course, old, new)

    assert {e for e in CHOICES if after.fingerprints[e] != bundle.fingerprints[e]} == changed


def test_a_changed_reference_changes_what_builds_on_it(tiny_course: Course, bundle: Bundle):
    """It is lent, and it settles whether a check is wrong."""
    path = tiny_course.assignment(tiny.ASSIGNMENT).solution
    path.write_text(path.read_text().replace("return x + x", "return 2 * x"))
    after = load_bundle(tiny_course.assignment(tiny.ASSIGNMENT))

    assert {e for e in CHOICES if after.fingerprints[e] != bundle.fingerprints[e]} == {D, Q}


@pytest.mark.parametrize("other", [{"who": "s2"}, {"tier": "B"}, {"seed": b"another" * 8}])
def test_a_verdict_is_of_one_student_seed_and_tier(bundle: Bundle, other: dict):
    """Someone else's pass, another course's, or one of a weaker box is not taken."""
    first, boxes = grade(bundle, tiny.REFERENCE), Boxes()
    grade(bundle, tiny.REFERENCE, first.verdicts, boxes=boxes, **other)

    assert boxes.n_opened > 0


def test_our_fault_and_the_machines_state_are_never_used_again(bundle: Bundle):
    """INFRA, a timeout, a crash, and a verdict in which one check ended so carry no key."""
    (passed, *_) = grade(bundle, tiny.REFERENCE).verdicts
    for status in (Status.INFRA, Status.TIMEOUT, Status.CRASHED, Status.TAMPERED):
        bad_check = (replace(passed.checks[0], status=status),)
        assert keyed(replace(passed, status=status), "s:x").key == ""
        assert keyed(replace(passed, status=Status.FAIL, checks=bad_check), "a:x:y:z").key == ""
    assert keyed(passed, "s:x").key == "s:x"


def test_a_verdict_survives_its_way_through_json(bundle: Bundle):
    """Keys cross the pipe and the ledger."""
    verdicts = grade(bundle, {**tiny.REFERENCE, D: CHOICES[D][2]}).verdicts

    assert [Verdict.from_json(v.as_json()) for v in verdicts] == list(verdicts)
    assert [v.key[:2] for v in verdicts] == ["a:", "s:", "s:"] or verdicts[1].key[:2] == "a:"


def test_one_exercise_can_be_asked_about(bundle: Bundle):
    """Only it is spoken of; what it builds on is graded too, so that a broken one can be lent."""
    answers = {**tiny.REFERENCE, D: CHOICES[D][2], S: CHOICES[S][1]}
    (verdict,) = grade(bundle, answers, only=(Q,)).verdicts
    full = grade(bundle, answers)

    assert without_cost([verdict]) == without_cost([full.verdicts[1]])


def test_draws_follow_from_the_code_and_not_from_the_file(bundle: Bundle):
    """A remark elsewhere draws nothing anew; a change of the answer does, and the two kinds of box differ."""
    program = (Cell("cell 1", "def double(x): return x"),)
    same = drawn_for("a", "s", (Cell("cell 7", program[0].source),), shared=True)
    names = {
        drawn_for("a", "s", program, shared=True),
        drawn_for("a", "s", program, shared=False),
        drawn_for("a", "t", program, shared=True),
        drawn_for("a", "s", (Cell("cell 1", program[0].source + " "),), shared=True),
        drawn_for("a", "s", (*program, Cell("cell 2", "")), shared=True),
    }

    assert same in names
    assert len({int(rng_for(SEED, n, "e", "c").integers(2**62)) for n in names}) == 5


def test_every_check_of_the_course_has_a_footprint_of_its_own():
    """No exercise of the real course falls back to hashing whole files, or one edit would regrade everything."""
    for assignment in load(Path(__file__).parents[1]):
        checks = [c for cs in load_bundle(assignment).checks.values() for c in cs]
        code = {f: read_code(Path(f).read_text("utf-8")) for f in {c.run.__code__.co_filename for c in checks}}
        assert [c.name for c in checks if _closure(c, code[c.run.__code__.co_filename]) is None] == []
