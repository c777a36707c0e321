"""Our own processes, killed at random points: every job is scored right or left unscored, never zero by our fault."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from autograder.errors import InfraError
from autograder.grading.verdict import Status
from tests.hostile import world

N_JOBS = 100
MAX_STARTS = 2  # of each kind: a new one costs seconds
FULL = [4.0, 4.0, 4.0]


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def victims(slot) -> dict[str, list[int]]:
    """Return the pids below a slot, by what they are."""
    jail = slot.opener.server.process.pid
    keepers = [k for p in children(jail) for k in children(p)]
    return {"jail": [jail], "zygote": keepers, "player": [p for k in keepers for p in children(k)]}


@pytest.mark.slow
def test_no_job_is_zero_by_our_fault(slot):
    """While honest notebooks are graded, something of ours is killed again and again: full marks or unscored."""
    draw = random.Random(7)
    stop = threading.Event()
    killed: list[str] = []
    first = ["player", "zygote", "jail"]  # each kind once, however few draws a busy machine leaves time for

    def assassin() -> None:
        while not stop.wait(draw.uniform(0.02, 0.4)):
            missing = [kind for kind in first if kind not in killed]
            what = missing[0] if missing else draw.choices(["jail", "zygote", "player"], [1, 2, 20])[0]
            if what != "player" and killed.count(what) == MAX_STARTS:
                continue
            for pid in victims(slot)[what][:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(what)
                except ProcessLookupError:
                    continue

    thread = threading.Thread(target=assassin)
    thread.start()
    unscored = 0
    try:
        for _ in range(N_JOBS):
            try:
                graded = world.grade_honest(slot)
            except InfraError:
                unscored += 1
                continue
            for v in graded.verdicts:
                assert v.points == 4.0 or (v.points is None and v.status is Status.INFRA), v
            unscored += not graded.is_complete
    finally:
        stop.set()
        thread.join()

    assert {"jail", "zygote", "player"} == set(killed)
    assert unscored < N_JOBS / 2, "retries should save most of them"
    assert [v.points for v in world.grade_honest(slot).verdicts] == FULL
