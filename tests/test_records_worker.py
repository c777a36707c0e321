"""The worker claims, grades and records; leaving, dying graders, lost leases and an absent database lose nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from autograder.grading.pool import Finished, Job
from autograder.grading.verdict import Graded, Status, Verdict
from autograder.records import REGRADE, Attempt, Blobs, Ledger
from autograder.records.queue import Boot, Clocks, Policy
from autograder.records.worker import Done, Worker
from tests.ledger_world import START, minute


class Graders:
    """Grades at once, in `n` places: the points are the number that the bytes spell; b"die" loses its process."""

    def __init__(self, n: int = 2) -> None:
        self.n, self.jobs, self.dropped = n, list[Job](), list[int]()
        self.held_back = False

    @property
    def n_free(self) -> int:
        return self.n - len(self.jobs)

    def submit(self, job: Job) -> None:
        assert self.n_free > 0
        self.jobs.append(job)

    def ends(self, timeout_s: float) -> list[Finished]:
        if self.held_back:
            return []
        found, self.jobs = [self._grade(j) for j in self.jobs], []
        return found

    def drop(self, key: int) -> None:
        self.dropped.append(key)
        self.jobs = [j for j in self.jobs if j.key != key]

    def _grade(self, job: Job) -> Finished:
        if job.raw == b"die":
            return Finished(job.key, None, "the grader's process ended", lost=True)
        verdict = Verdict("T1.mask", Status.PASS, float(job.raw), 4.0)
        return Finished(job.key, Graded(job.assignment, hashlib.sha256(job.raw).hexdigest(), (verdict,), "b1", "B"))


class Kept:
    """Where the results of a regrade go: each is kept, however often it comes."""

    def __init__(self) -> None:
        self.attempts: list[str] = []

    def is_known(self, attempt: Attempt) -> bool:
        return False

    def keep(self, attempt: Attempt, graded: Graded) -> str:
        self.attempts.append(attempt.id)
        return ""


class World:
    def __init__(self, folder: Path) -> None:
        self.moment = 1000.0
        clocks = Clocks(wall=lambda: START, boot=lambda: Boot("b", self.moment))
        self.ledger = Ledger.open(f"sqlite:///{folder}/ledger.sqlite", policy=Policy(max_tries=2), clocks=clocks)
        self.blobs, self.graders = Blobs(folder / "blobs"), Graders()
        self.ann = self.ledger.enrol("ann", "2026", START)
        self.done: list[Done] = []
        self.said: list[str] = []
        self.n = 0

    def hand_in(self, raw: bytes) -> str:
        self.n += 1
        return self.ledger.hand_in(self.ann, "t1", self.blobs.put(raw), minute(self.n)).attempt.id

    def worker(self, replays: Kept | None = None) -> Worker:
        said, done = self.said.append, self.done.append
        return Worker(self.ledger, self.blobs, self.graders, "w", lambda: minute(60), done, said, replays)

    def points(self) -> list[float]:
        return [a.points for a in self.ledger.results(self.ann)[0].attempts]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.ledger.close()


def work(worker: Worker) -> None:
    while worker.step():
        pass


def test_everything_that_waits_is_graded_once(world: World) -> None:
    """Each hand-in gets its own verdict, and the queue is empty after."""
    for n in range(5):
        world.hand_in(str(n % 5).encode())
    work(world.worker())

    assert world.points() == [0, 1, 2, 3, 4]
    assert world.ledger.queue.stats().n_done == len(world.done) == 5


def test_a_grader_that_dies_costs_a_try_and_then_shows(world: World) -> None:
    """The others go on; the doomed one is a dead letter with its reason, and nothing is said of the answer."""
    dead, fine = world.hand_in(b"die"), world.hand_in(b"3")
    worker = world.worker()
    work(worker)
    world.moment += 100
    work(worker)

    (letter,) = world.ledger.queue.dead_letters()
    assert (letter.attempt, letter.reason) == (dead, "the grader's process ended")
    assert world.ledger.queue.status(fine).state == "graded"
    assert world.ledger.gradings(dead) == []
    assert [d.fault for d in world.done if d.settled is None] == ["the grader's process ended"] * 2


def test_who_leaves_gives_back_what_is_held(world: World) -> None:
    """The next worker starts at once, with all tries left."""
    attempt = world.hand_in(b"4")
    world.graders.held_back = True
    worker = world.worker()
    worker.step()
    assert world.ledger.queue.status(attempt).state == "running"
    worker.leave()
    assert world.graders.dropped
    assert (world.ledger.queue.status(attempt).state, world.ledger.queue.status(attempt).n_tries) == ("queued", 0)

    world.graders.held_back = False
    work(world.worker())
    assert world.points() == [4]


def test_a_lost_lease_ends_the_grading_and_records_nothing(world: World) -> None:
    """A worker that slept through its lease drops the job when it wakes: another one has it."""
    world.hand_in(b"4")
    world.graders.held_back = True
    sleeper = world.worker()
    sleeper.step()
    world.moment += 1000
    other = world.ledger.queue.claim("other")
    sleeper._beat_at = 0.0
    sleeper.step(claim=False)

    assert world.graders.dropped == [other.job]
    assert "lost" in world.said[0]
    assert world.ledger.gradings(other.attempt) == []


def test_a_replay_whose_lease_ran_out_is_told_by_one_worker(world: World) -> None:
    """What a sleeper found for a regrade is kept, but its end is told by the worker that has the job now: metrics count ends."""
    attempt = world.hand_in(b"4")
    work(world.worker())
    world.ledger.enqueue([attempt], REGRADE, minute(30))
    kept = Kept()
    sleeper, world.graders.held_back = world.worker(kept), True
    sleeper.step()
    world.moment += 1000
    world.done.clear()
    assert world.ledger.queue.claim("other") is not None

    world.graders.held_back = False
    sleeper.step(claim=False)

    assert kept.attempts == [attempt]
    assert world.done == []
    assert sleeper.n_leases_lost == 1


def test_results_wait_in_hand_while_the_database_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is graded twice because of a restart of the database; it is said once, and once that it is back."""
    world.hand_in(b"4")
    monkeypatch.setattr("autograder.records.worker._AWAY_S", 0.0)
    n_calls = 0
    settle = world.ledger.settle

    def away(*args):
        nonlocal n_calls
        n_calls += 1
        if n_calls < 4:
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))
        return settle(*args)

    monkeypatch.setattr(world.ledger, "settle", away)
    worker = world.worker()
    for _ in range(8):
        worker.step()

    assert world.points() == [4]
    assert len(world.done) == 1
    assert ["away" in world.said[0], *world.said[1:]] == [True, "the database is back"]


def test_bytes_that_are_gone_are_our_fault(world: World) -> None:
    """An attempt whose bytes are missing is a visible fault, never a zero."""
    attempt = world.hand_in(b"4")
    world.blobs.remove(world.ledger.attempt(attempt).sha256)
    worker = world.worker()
    work(worker)

    assert world.ledger.queue.status(attempt).is_our_fault
    assert "not found" in world.ledger.queue.status(attempt).reason
