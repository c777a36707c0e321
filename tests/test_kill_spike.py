"""kill -9 of any process during a spike, at random times: after it, nothing is lost and nothing counts twice.

The processes are real: some hand in, some work the queue (with graders that answer at once: the box is tested elsewhere),
and one kills whichever it likes. Pytest's header prints the seed; `make test` kills a few, `make test-all` a hundred.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from autograder.bench.queue import Trivial
from autograder.records import Blobs, Ledger, chain
from autograder.records.queue import Policy
from autograder.records.worker import Worker
from tests.ledger_world import START, minute
from tests.postgres_server import server
from tests.sample import ALL, SEED

_SPAWN = multiprocessing.get_context("spawn")
POLICY = Policy(lease_s=1.5, max_tries=1000)
N_KILLS = 100 if ALL else 6
N_STUDENTS, N_PROCESSES = 5, 2


def _hand_in(url: str, folder: str, first: int, n: int) -> None:
    """Hand in n notebooks per student; whoever is restarted begins again, and what was taken is recognised."""
    blobs, done = Blobs(Path(folder) / "blobs"), Path(folder) / "acknowledged"
    with Ledger.open(url, policy=POLICY) as ledger:
        for i in range(n):
            for student in range(first, N_STUDENTS, N_PROCESSES):
                name = f"{student}-{i}"
                if (done / name).exists():
                    continue
                pseudonym = ledger.enrol(f"student {student}", "2026", START)
                handed = ledger.hand_in(pseudonym, "a1", blobs.put(name.encode()), minute(i + 1))
                (done / name).write_text(handed.attempt.id)  # the answer to the student


def _work(url: str, folder: str) -> None:
    with Ledger.open(url, policy=POLICY) as ledger:
        worker = Worker(ledger, Blobs(Path(folder) / "blobs"), Trivial(), str(os.getpid()), lambda: datetime.now(UTC))
        while not (Path(folder) / "over").exists():
            worker.step()


class Spike:
    """Processes that are started again when they die."""

    def __init__(self, url: str, folder: Path, n_each: int) -> None:
        self.folder = folder
        (folder / "acknowledged").mkdir()
        self.makers = [
            *(lambda i=i: _SPAWN.Process(target=_hand_in, args=(url, str(folder), i, n_each)) for i in range(N_PROCESSES)),
            *(lambda: _SPAWN.Process(target=_work, args=(url, str(folder))) for _ in range(N_PROCESSES)),
        ]
        self.processes: list[BaseProcess] = [self.start(make) for make in self.makers]

    def start(self, make) -> BaseProcess:
        process = make()
        process.start()
        return process

    def kill_one(self, rng: random.Random) -> None:
        i = rng.randrange(len(self.processes))
        if self.processes[i].is_alive():
            os.kill(self.processes[i].pid or 0, signal.SIGKILL)
        self.processes[i].join()
        self.processes[i] = self.start(self.makers[i])

    def finish(self, ledger: Ledger) -> None:
        """Let everybody who hands in finish, then the queue."""
        for i in range(N_PROCESSES):
            self.processes[i].join(300)
            assert self.processes[i].exitcode == 0
        for _ in range(3000):
            stats = ledger.queue.stats()
            if not stats.n_queued and not stats.n_running:
                break
            time.sleep(0.1)
        (self.folder / "over").touch()
        for process in self.processes:
            process.join(60)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_kills_at_random_times_lose_nothing_and_repeat_nothing(engine: str, tmp_path: Path) -> None:
    """Every acknowledged hand-in is an attempt with exactly one score; no attempt without its student's doing."""
    rng = random.Random(f"{SEED} {engine}")
    url = server().fresh() if engine == "postgresql" else f"sqlite:///{tmp_path}/ledger.sqlite"
    n_each = max(10, N_KILLS)
    with Ledger.open(url, policy=POLICY) as ledger:
        spike = Spike(url, tmp_path, n_each)
        try:
            for _ in range(N_KILLS):
                time.sleep(rng.uniform(0.0, 1.0))
                spike.kill_one(rng)
            spike.finish(ledger)
        finally:
            spike.stop()
        _check(ledger, tmp_path, n_each)


def _check(ledger: Ledger, folder: Path, n_each: int) -> None:
    acknowledged = {p.name: p.read_text() for p in (folder / "acknowledged").iterdir()}
    attempts = {a.id: a for a in ledger.attempts()}
    names = {hashlib.sha256(name.encode()).hexdigest(): name for name in acknowledged}

    assert len(acknowledged) == n_each * N_STUDENTS
    # An answer that was cut off in the middle of its file tells the student nothing: only whole ones are promises.
    assert {i for i in acknowledged.values() if len(i) == 32} <= set(attempts), "an acknowledged hand-in is lost"
    assert Counter(names[a.sha256] for a in attempts.values()) == Counter(acknowledged.keys()), "a hand-in counts twice"
    for attempt in attempts.values():
        assert Blobs(folder / "blobs").get(attempt.sha256) == names[attempt.sha256].encode()
        (grading,) = ledger.gradings(attempt.id)
        assert grading.complete
        assert ledger.queue.status(attempt.id).state == "graded"
    with ledger.reading() as db:
        assert chain.verify(db).broken is None
