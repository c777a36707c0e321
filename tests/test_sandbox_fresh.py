"""Three ways to execute a program, one verdict: this process, a warm fork, a fresh interpreter."""

from __future__ import annotations

import pytest

from autograder.grading.grade import Budget, Grader
from autograder.sandbox.box import Slot
from autograder.sandbox.fresh import FreshSlot
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.compose import compose
from tests import tiny
from tests.hostile import catalogue, rich, world
from tests.sample import sampled

SECRET = b"secret" * 8
TRUSTED = {
    "reference": tiny.DOUBLE,
    "squares": "def double(x):\n    return x * x\n",
    "a partial answer": "def double(x):\n    return 2 * x if x.ndim else 2 * x.abs()\n",
    "a syntax error": "def double(x:\n    return 2 * x\n",
    "an exception": "def double(x):\n    raise ValueError('no')\n",
    "an optimizer": tiny.DOUBLE + "p = torch.nn.Parameter(torch.ones(1))\ntorch.optim.AdamW([p]).step()\n",
}
# Those whose verdict does not hang on what the machine has left, and that need no more than a fresh interpreter's start.
SAME = ("forging: ", "deceiving: ", "line: ", "player: ", "state: ", "reading: ")
HOSTILE = {name: source for name, source in catalogue.ALL.items() if name.startswith(SAME)}
TOGETHER = {**TRUSTED, **HOSTILE}
N_SAMPLED = 2  # of each kind in one run of the tests; all of them with everything
# A fresh interpreter imports torch on the student's time.
FRESH = Budget(alone_floor_s=5.0, notebook_floor_s=0.0, wall_per_cpu=3.0)


def verdicts(open_box, double: str, budget: Budget = FRESH) -> list[tuple]:
    """Return (status, points, statuses of the checks) by exercise."""
    grader = Grader(world.bundle(), open_box, "C", SECRET, budget=budget)
    graded = grader.grade(compose(world.bundle().manifest, {**tiny.REFERENCE, world.DOUBLE: double}), "s")
    return [(v.status, v.points, tuple(c.status for c in v.checks)) for v in graded.verdicts]


@pytest.fixture(scope="module")
def slot():
    with Slot.start() as slot:
        yield slot


@pytest.fixture(scope="module")
def fresh():
    with FreshSlot.start() as slot:
        yield slot


@pytest.mark.parametrize("name", TRUSTED)
def test_the_box_says_what_this_process_says(slot, name):
    """A reference, mutants and accidents get the same verdicts without and with a jail."""
    assert verdicts(slot.open_box, TRUSTED[name]) == verdicts(open_in_process, TRUSTED[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for kind in (TRUSTED, HOSTILE) for name in sampled(list(kind), N_SAMPLED)])
def test_a_fresh_interpreter_says_what_a_warm_fork_says(slot, fresh, name):
    """What the fork inherits changes no verdict: reference, mutants and hostile samples."""
    source = TOGETHER[name]
    ours, theirs = verdicts(slot.open_box, source, world.BUDGET), verdicts(fresh.open_box, source)
    if name in HOSTILE:
        # Its own checks may end in another way: how soon a loop is stopped, say. What it earns is the same.
        ours, theirs = ([(points, status if points else None) for status, points, _ in v] for v in (ours, theirs))
    assert ours == theirs
    assert fresh.tier == slot.tier


@pytest.mark.slow
def test_both_paths_serve_the_whole_of_what_a_check_may_ask(slot, fresh):
    """Callbacks, generators, gradients and hooks: right answers and one mutant of each get the same verdicts."""
    mutants = {
        "attack": rich.REFERENCE["attack"].replace("x + 1", "x + 2"),
        "rows": rich.REFERENCE["rows"].replace("range(n)", "range(n + 1)"),
        "Net": rich.REFERENCE["Net"].replace("* 3", "* 2"),
    }
    for answers in ({}, mutants):
        named = {f"{rich.NAME}.{name}": source for name, source in {**rich.REFERENCE, **answers}.items()}
        raw = compose(rich.bundle().manifest, named)
        said = [
            [
                (v.status, v.points, tuple(c.status for c in v.checks))
                for v in Grader(rich.bundle(), s.open_box, "C", SECRET).grade(raw, "s").verdicts
            ]
            for s in (slot, fresh)
        ]
        assert said[0] == said[1]
        assert [points for _, points, _ in said[0]] == [0.0 if name in answers else 4.0 for name in rich.REFERENCE]
