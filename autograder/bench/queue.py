"""10,000 trivial jobs on PostgreSQL, three workers, one of them killed in: what the queue does per second out."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from autograder.bench.postgres import Server, binaries
from autograder.bench.row import Bench, Row, Watch
from autograder.grading.pool import Finished, Job
from autograder.grading.verdict import Graded, Status, Verdict
from autograder.records import REGRADE, Attempt, Blobs, Ledger
from autograder.records import schema as t
from autograder.records.append import add_attempt
from autograder.records.queue import Policy
from autograder.records.worker import Worker

_START = datetime(2026, 9, 1, tzinfo=UTC)
_RAW = b"a trivial notebook"
_POLICY = Policy(lease_s=6.0)


class Trivial:
    """Graders that give every job full marks at once, in this process."""

    n_free = 1

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self._jobs.append(job)
        self.n_free = 0

    def ends(self, timeout_s: float) -> list[Finished]:
        found, self._jobs, self.n_free = self._jobs, [], 1
        return [Finished(j.key, Graded(j.assignment, hashlib.sha256(j.raw).hexdigest(), (_VERDICT,), "b1", "B")) for j in found]

    def drop(self, key: int) -> None:
        self._jobs, self.n_free = [], 1


_VERDICT = Verdict("a1.trivial", Status.PASS, 1.0, 1.0)


def measure(bench: Bench) -> Row:
    """Enqueue, drain with three workers of which one is killed after a tenth, and count scores."""
    promised = "10,000 scores; enqueue 1000/s; drain 80/s"
    bin = binaries()
    if bin is None:
        return Row(promised, False, "not measured: PostgreSQL is not installed (no initdb)")
    server = Server(bin)
    try:
        return _measure(bench, server, max(30, int(10_000 * bench.scale)), promised)
    finally:
        server.remove()


def _measure(bench: Bench, server: Server, n: int, promised: str) -> Row:
    url = server.empty()
    blobs = Blobs(bench.folder / "blobs")
    with Ledger.open(url) as ledger:
        attempts = _attempts(ledger, blobs.put(_RAW), n)
        watch = Watch()
        ledger.enqueue([a.id for a in attempts], REGRADE, datetime.now(UTC))
        per_s_in, watch, served = n / watch.wall_s, Watch(), Watch(server.cpu_s)
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_work, args=(url, str(blobs.folder))) for _ in range(3)]
        for worker in workers:
            worker.start()
        while ledger.queue.stats().n_done < n / 10:
            time.sleep(0.05)
        os.kill(workers[0].pid or 0, signal.SIGKILL)
        for worker in workers:
            worker.join()
        wall_s, cpu_s, server_s = watch.wall_s, watch.cpu_s, served.cpu_s
        n_scores, n_attempts = _scores(ledger)
    exact = n_scores == n_attempts == n
    # What two cores would drain if they did nothing else; the wall of a busy machine says little.
    per_s_out = n / ((cpu_s + server_s) / 2)
    kept = exact and per_s_in >= 1000 and per_s_out >= 80
    scores = f"{n_scores} scores of {n_attempts} attempts"
    drained = f"drain {per_s_out:.0f}/s per two cores ({cpu_s:.0f} + {server_s:.0f} CPU s; {n / wall_s:.0f}/s by wall)"
    return Row(promised, kept, f"{scores}; enqueue {per_s_in:.0f}/s; {drained}")


def _attempts(ledger: Ledger, sha256: str, n: int) -> list[Attempt]:
    pseudonyms = [ledger.enrol(f"student {i}", "bench", _START) for i in range(min(n, 100))]
    found = [Attempt.of(pseudonyms[i % len(pseudonyms)], "a1", sha256, _START + timedelta(seconds=i)) for i in range(n)]
    with ledger.writing() as db:
        for attempt in found:
            add_attempt(db, attempt, "bench")
    return found


def _work(url: str, blobs: str) -> None:
    with Ledger.open(url, policy=_POLICY) as ledger:
        worker = Worker(ledger, Blobs(Path(blobs)), Trivial(), f"bench {os.getpid()}", lambda: datetime.now(UTC))
        while True:
            stats = None if worker.step() else ledger.queue.stats()
            if stats and not stats.n_queued and not stats.n_running:
                return


def _scores(ledger: Ledger) -> tuple[int, int]:
    with ledger.reading() as db:
        g, v = t.grading.c, t.verdict.c
        query = select(func.count(), func.count(g.attempt.distinct())).select_from(t.verdict).join(t.grading, v.grading == g.event)
        n_scores, n_attempts = db.execute(query).one()
    return int(n_scores), int(n_attempts)
