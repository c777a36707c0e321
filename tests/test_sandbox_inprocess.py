"""A trusted program in this process: its output, random numbers and leftovers stay apart from ours."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import torch

from autograder.sandbox.inprocess import open_in_process
from autograder.submission.model import Cell

NOISE = """
import random
import numpy as np, torch
print("hello")
def noise():
    return torch.rand(2), float(np.random.rand()), random.random()
def double(x):
    return x * 2
"""


def test_nothing_the_program_draws_moves_our_generators():
    """A check's own draws do not depend on how much the student drew."""
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with open_in_process([Cell("c", NOISE)]) as box:
        first, again = box.student.fn("noise")(), box.student.fn("noise")()
    assert first[1] != again[1]
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])
    assert random.getstate() == state[2]


def test_nothing_is_printed_here(capsys):
    """Output is kept, not shown."""
    with open_in_process([Cell("c", NOISE)]) as box:
        assert box.output == "hello\n"
    assert capsys.readouterr().out == ""


def test_nothing_is_left_behind():
    """Closing removes the module and the folder, and closing twice is no error."""
    before = {m for m in sys.modules if m.startswith("submission_")}
    with open_in_process([Cell("c", "def here(): return __name__")]) as box:
        name, path = box.student.fn("here")(), Path(box.student.file("x", b"1"))
        assert path.read_bytes() == b"1"
        assert name in sys.modules
    box.close()
    assert not path.parent.exists()
    assert {m for m in sys.modules if m.startswith("submission_")} == before
    assert not box.alive


def test_a_graph_is_let_go_when_the_referees_is():
    """Many calls with gradients leave only the last graphs in the player."""
    x = torch.ones(2, requires_grad=True)
    with open_in_process([Cell("c", NOISE)]) as box:
        for _ in range(50):
            box.student.fn("double")(x).sum().backward()
        box.student.fn("double")(x)
        assert len(box._engine._player.graphs.kept) < 5
