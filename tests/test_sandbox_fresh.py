"""Three ways to execute a program, one verdict: this process, a warm fork, a fresh interpreter."""

from __future__ import annotations

import pytest

from autograder.grading.grade import Grader
from autograder.sandbox.box import Slot
from autograder.sandbox.fresh import FreshSlot
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.compose import compose
from tests import tiny
from tests.hostile import attacks, world

TRUSTED = {
    "reference": tiny.DOUBLE,
    "squares": "def double(x):\n    return x * x\n",
    "a partial answer": "def double(x):\n    return 2 * x if x.ndim else 2 * x.abs()\n",
    "a syntax error": "def double(x:\n    return 2 * x\n",
    "an exception": "def double(x):\n    raise ValueError('no')\n",
    "an optimizer": tiny.DOUBLE + "p = torch.nn.Parameter(torch.ones(1))\ntorch.optim.AdamW([p]).step()\n",
}
HOSTILE = {name: attacks.ALL[name] for name in ("ending: os._exit(0)", "forging: deep JSON", "deceiving: always equal")}


def verdicts(open_box, double: str) -> list[tuple]:
    """Return (status, points, statuses of the checks) by exercise."""
    grader = Grader(world.bundle(), open_box, "C", b"secret" * 8)
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
@pytest.mark.parametrize("name", [*TRUSTED, *HOSTILE])
def test_a_fresh_interpreter_says_what_a_warm_fork_says(slot, fresh, name):
    """What the fork inherits changes no verdict."""
    source = {**TRUSTED, **HOSTILE}[name]
    assert verdicts(fresh.open_box, source) == verdicts(slot.open_box, source)
    assert fresh.tier == slot.tier
