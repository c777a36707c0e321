"""Our own processes, killed at random points of real batches: every job is scored right or left unscored, once."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from autograder.grading.pool import Job, Pool
from autograder.grading.verdict import Status
from autograder.submission.compose import compose
from tests import sample, tiny

SEED = b"a secret of the course, long enough"
N_JOBS = 200 if sample.ALL else 40
N_WORKERS = 2
# How often each kind dies. What takes seconds to start again dies less often; the monitor is the zygote itself.
MANY, FEW = (16, 3) if sample.ALL else (4, 1)
KILLS = {"player": MANY, "referee": MANY, "zygote (and monitor)": FEW, "slot's jail": FEW, "trunk": FEW, "trunk's jail": FEW}

RIGHT = compose(tiny.manifest(), tiny.REFERENCE)
PARTLY = compose(tiny.manifest(), {**tiny.REFERENCE, "x1_tiny.double": "def double(x):\n    return x * x\n"})
POINTS = {RIGHT: [4.0, 4.0, 4.0], PARTLY: [0.0, 4.0, 4.0]}


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Assassin(threading.Thread):
    """Kills each kind as often as planned, in an order and at moments that the seed draws."""

    def __init__(self, pool: Pool, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self.pool, self.rng = pool, rng
        self.todo = [kind for kind, n in KILLS.items() for _ in range(n)]
        self.rng.shuffle(self.todo)
        self.over = threading.Event()

    def run(self) -> None:
        while self.todo and not self.over.wait(self.rng.uniform(0.0, 0.15)):
            found = self.victims(self.todo[0])
            if found and self.kill(self.rng.choice(found)):
                self.todo.pop(0)

    def victims(self, kind: str) -> list[int]:
        """Return the pids of a kind that are alive now: a player or a referee may not be."""
        slots = [w.warden.result().server.process.pid for w in self.pool.workers]
        trunk = self.pool.referees.trunk.result().server.process.pid
        # bubblewrap, the keeper that only waits, and the server that forks.
        servers = [[s for k in children(jail) for s in children(k)] for jail in slots]
        return {
            "player": [p for found in servers for s in found for p in children(s)],
            "referee": [w.referee_pid for w in self.pool.workers if w.referee_pid],
            "zygote (and monitor)": [s for found in servers for s in found],
            "slot's jail": slots,
            "trunk": [s for k in children(trunk) for s in children(k)],
            "trunk's jail": [trunk],
        }[kind]

    @staticmethod
    def kill(pid: int) -> bool:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True


@pytest.mark.slow
def test_no_job_is_zero_by_our_fault(tmp_path: Path):
    """Everything of ours dies while a batch runs: right scores or none, no job twice, none lost, and the pool lives on."""
    course = tiny.write(tmp_path)
    rng = random.Random(f"kills {sample.SEED}")
    jobs = [Job(i, tiny.ASSIGNMENT, f"s{i}", rng.choice([RIGHT, PARTLY])) for i in range(N_JOBS)]
    ends = []
    with Pool(course.root, SEED, tmp_path / "admitted", N_WORKERS, os.environ) as pool:
        assert pool.grade(RIGHT, tiny.ASSIGNMENT, "first").points == 12.0  # admitted before the killing begins
        assassin = Assassin(pool, rng)
        assassin.start()
        try:
            # Goes on until every kind has died as often as planned, however fast the machine is.
            while len(ends) < N_JOBS or (assassin.is_alive() and len(ends) < 10 * N_JOBS):
                ends += pool.run(jobs)
        finally:
            assassin.over.set()
            assassin.join()
        after = [pool.grade(raw, tiny.ASSIGNMENT, "after") for raw in (RIGHT, PARTLY)]

    assert not assassin.todo, f"seed {sample.SEED}: {assassin.todo} were not killed in {len(ends)} jobs"
    n_batches = len(ends) // N_JOBS
    assert sorted(e.key for e in ends) == sorted([j.key for j in jobs] * n_batches), "each job ends once in a batch"
    unscored = 0
    for end in ends:
        if end.graded is None:
            assert end.fault
            unscored += 1
            continue
        for verdict, points in zip(end.graded.verdicts, POINTS[jobs[end.key].raw], strict=True):
            right = verdict.points == points and verdict.status in (Status.PASS, Status.FAIL)
            ours = verdict.points is None and verdict.status is Status.INFRA
            assert right or ours, f"seed {sample.SEED}: {verdict}"
        unscored += not end.graded.is_complete
    assert unscored < len(ends) / 3, "a second try saves most of them"
    assert [[v.points for v in g.verdicts] for g in after] == [POINTS[RIGHT], POINTS[PARTLY]]
