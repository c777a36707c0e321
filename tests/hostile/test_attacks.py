"""Every attack of the list, as a real submission: it scores 0, costs nobody else anything, and leaves nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from autograder.grading.verdict import Status
from autograder.submission.model import Cell
from tests.hostile import attacks, world

UNSAFE = re.compile(
    r"[^\x20-\x7e\n\t\u00a0-\u061b\u061d-\u200a\u2010-\u2027\u202f-\u205f\u2070-\ud7ff\ue000-\ufefe\uff00-\uffef\ufffd]"
)
NEIGHBOUR = [Cell("n", "def half(x):\n    return x / 2")]
NEEDS_CGROUP = ("memory: memory of many processes",)


def points(graded):
    return {v.exercise: v.points for v in graded.verdicts}


@pytest.mark.parametrize("name", attacks.ALL)
def test_the_attack_is_held(slot, name):
    """Score 0; the honest answers beside it, the neighbour and the next job are whole; the feedback is clean."""
    if name in NEEDS_CGROUP and not slot.has_cgroup:
        pytest.skip("no cgroup here, so tier B or C: only an outer memory cap holds the memory of many processes together")
    with slot.open_box(NEIGHBOUR) as neighbour:
        graded = world.grade(slot, attacks.ALL[name])
        assert neighbour.student.fn("half")(torch.ones(1)) == 0.5

    assert points(graded) == {world.DOUBLE: 0.0, world.QUADRUPLE: 4.0, world.SCALER: 4.0}, graded
    assert graded.verdicts[0].status is not Status.INFRA
    told = " ".join([v.hint for v in graded.verdicts] + [n for v in graded.verdicts for n in v.notes])
    assert not UNSAFE.search(told), told
    assert not UNSAFE.search(graded.output)
    # Ended in time: a handful of boxes, each stopped at its budget.
    assert graded.cpu_s < 30


@pytest.mark.parametrize("name", attacks.LEAVING)
def test_the_next_job_finds_nothing(slot, name):
    """Run twice: the second run would score if the first had left anything."""
    for _ in range(2):
        assert points(world.grade(slot, attacks.LEAVING[name]))[world.DOUBLE] == 0.0


@pytest.mark.parametrize("name", attacks.LEAKING)
def test_hidden_inputs_stay_out_of_the_feedback(slot, name):
    """What a student prints or raises during a hidden call reaches the instructor's view only."""
    graded = world.grade(slot, attacks.LEAKING[name])
    told = " ".join([v.hint for v in graded.verdicts] + [n for v in graded.verdicts for n in v.notes])
    assert "HIDDEN-INPUT" not in told


def test_the_slot_is_whole_after_all_of_them(slot):
    """The reference earns full marks, and no file of an attack stands on the host."""
    graded = world.grade_honest(slot)
    assert points(graded) == {world.DOUBLE: 4.0, world.QUADRUPLE: 4.0, world.SCALER: 4.0}
    assert not [p for folder in ("/tmp", "/dev/shm", "/var/tmp") for p in Path(folder).glob("blackboard")]
    assert not Path("/tmp/pwned").exists()
