"""Every attack of the list, as a real submission: it scores 0, costs nobody else anything, and leaves nothing."""

from __future__ import annotations

import os
import re
import select
import time
from pathlib import Path

import pytest
import torch

from autograder.grading.verdict import Status
from autograder.submission.model import Cell
from tests.hostile import attacks, catalogue, world

UNSAFE = re.compile(
    r"[^\x20-\x7e\n\t\u00a0-\u061b\u061d-\u200a\u2010-\u2027\u202f-\u205f\u2070-\ud7ff\ue000-\ufefe\uff00-\uffef\ufffd]"
)
FOLDERS_BEFORE = set(Path("/tmp").glob("box-job-*"))  # of a suite that was killed by hand
NEIGHBOUR = [Cell("n", "def half(x):\n    return x / 2")]


def points(graded):
    return {v.exercise: v.points for v in graded.verdicts}


@pytest.mark.parametrize("name", catalogue.sample(catalogue.ALL, 0.35))
def test_the_attack_is_held(slot, name):
    """Score 0; the honest answers beside it, the neighbour and the next job are whole; the feedback is clean."""
    if (name, slot.tier) in catalogue.NOT_HELD:
        pytest.skip(f"not held in tier {slot.tier}: {catalogue.NOT_HELD[name, slot.tier]}")
    with slot.open_box(NEIGHBOUR) as neighbour:
        graded = world.grade(slot, catalogue.ALL[name])
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


COLLUDER = """
import ctypes, mmap, os, socket, tempfile
servers = []
def leave():
    for name in ("\\0blackboard", "/tmp/blackboard.sock", "/dev/shm/blackboard.sock"):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.bind(name)
            s.listen()
            servers.append(s)
        except OSError: pass
    for call in (29, 64, 68):
        ctypes.CDLL(None).syscall(call, 4242, 4096, 0o1666)
    for folder in ("/tmp", "/dev/shm", "."):
        try: open(os.path.join(folder, "blackboard"), "w").write("2x")
        except OSError: pass
    return len(servers)
def find():
    found = []
    for name in ("\\0blackboard", "/tmp/blackboard.sock", "/dev/shm/blackboard.sock"):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(name)
            found.append(name)
        except OSError: pass
    found += [f for f in ("/tmp/blackboard", "/dev/shm/blackboard", "./blackboard") if os.path.exists(f)]
    found += [c for c in (29, 64, 68) if ctypes.CDLL(None).syscall(c, 4242, 0, 0) >= 0]
    return found
"""


def test_two_submissions_cannot_meet(slot):
    """Side by side in one slot, neither sockets, files nor System V objects of the one are there for the other."""
    with slot.open_box([Cell("c", COLLUDER)]) as one, slot.open_box([Cell("c", COLLUDER)]) as other:
        assert one.failures == other.failures == {}
        assert one.student.fn("leave")() == (3 if slot.has_namespaces else 0)
        assert other.student.fn("find")() == []


def test_the_slot_is_whole_after_all_of_them(slot):
    """The reference earns full marks, and no file of an attack stands on the host."""
    graded = world.grade_honest(slot)
    assert points(graded) == {world.DOUBLE: 4.0, world.QUADRUPLE: 4.0, world.SCALER: 4.0}
    assert not [p for folder in ("/tmp", "/dev/shm", "/var/tmp") for p in Path(folder).glob("blackboard")]
    assert not Path("/tmp/pwned").exists()
    if not slot.has_namespaces:
        # Those of a suite that runs beside this one as the same user go with their jobs; what an attack left stays.
        left, ends = set(Path("/tmp").glob("box-job-*")) - FOLDERS_BEFORE, time.monotonic() + 30.0
        while (mine := [p for p in left if owner(p) == os.getuid()]) and time.monotonic() < ends:
            time.sleep(0.1)
        assert not mine, "a job's folder is left"
    for pid in players(slot):
        fd = os.pidfd_open(pid)
        ended, _, _ = select.select([fd], [], [], 10)
        os.close(fd)
        assert ended, "a process of an attack lives on"


def owner(path: Path) -> int | None:
    """Return the uid of whom it belongs to; None when it is gone."""
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None


def players(slot) -> list[int]:
    """Return the pids below the slot's zygote, which stands below bubblewrap and the keeper that it took the place of."""
    above = [slot.opener.server.process.pid]
    for _ in range(2 if slot.has_namespaces else 0):
        above = children(above[0])
    return children(above[0])


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
