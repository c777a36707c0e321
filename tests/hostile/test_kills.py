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
MAX_ZYGOTES = 4  # each new one costs seconds
FULL = [4.0, 4.0, 4.0]


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def victims(slot) -> dict[str, list[int]]:
    """Return the pids of zygote, monitors and players below a slot, by what they are."""
    found: dict[str, list[int]] = {"zygote": [], "monitor": [], "player": []}
    level = [slot._zygote.process.pid]
    chain = children(level[0]) or level  # bubblewrap's own process stands above the zygote
    found["zygote"] = chain
    found["monitor"] = [m for z in chain for m in children(z)]
    found["player"] = [p for m in found["monitor"] for p in children(m)]
    return found


@pytest.mark.slow
def test_no_job_is_zero_by_our_fault(slot):
    """While honest notebooks are graded, something of ours is killed again and again: full marks or unscored."""
    draw = random.Random(7)
    stop = threading.Event()
    killed = []

    def assassin() -> None:
        while not stop.wait(draw.uniform(0.02, 0.4)):
            what = draw.choices(["zygote", "monitor", "player"], [1, 5, 5])[0]
            if what == "zygote" and killed.count(what) == MAX_ZYGOTES:
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

    assert {"zygote", "monitor", "player"} <= set(killed)
    assert unscored < N_JOBS / 2, "retries should save most of them"
    assert [v.points for v in world.grade_honest(slot).verdicts] == FULL
