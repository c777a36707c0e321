"""The grade queue keeps its promises on both engines: nothing lost, nothing twice, our own faults tried again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from autograder.records import INTERACTIVE, REGRADE, Ledger, LedgerError, StaleLeaseError
from autograder.records.queue import Boot, Clocks, Policy, n_live
from tests.ledger_world import START, graded, minute
from tests.postgres_server import server

POLICY = Policy(lease_s=30.0, max_tries=3, first_pause_s=2.0)


class World:
    """A ledger with a queue whose time can be moved: by a fake boot clock, or by shifting what the server wrote."""

    def __init__(self, engine: str, folder: Path) -> None:
        self.engine, self.moment, self.boot = engine, 1000.0, "boot1"
        self.url = server().fresh() if engine == "postgresql" else f"sqlite:///{folder}/ledger.sqlite"
        self.opened: list[Ledger] = []
        self.ledger = self.open()
        self.ann = self.ledger.enrol("ann", "2026", START)

    def open(self) -> Ledger:
        """One more process's view: on PostgreSQL another worker."""
        clocks = Clocks(wall=lambda: START, boot=lambda: Boot(self.boot, self.moment))
        self.opened.append(Ledger.open(self.url, policy=POLICY, clocks=clocks))
        return self.opened[-1]

    def hand_in(self, content: str, at: float = 1.0, who: str = "", **more):
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        return self.ledger.hand_in(who or self.ann, "t1", sha256, minute(at), **more)

    def pass_time(self, seconds: float) -> None:
        """Let time go by for every lease and pause; negative is a step of the clock back."""
        self.moment += seconds
        if self.engine == "postgresql":
            shift = sa.text("SELECT make_interval(secs => :s)").bindparams(s=seconds)
            with self.ledger._engine.begin() as db:
                by = {"by": db.execute(shift).scalar()}
                db.execute(sa.text("UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - :by"), by)
                db.execute(sa.text("UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - :by"), by)

    def settle(self, lease, ledger: Ledger | None = None, build: str = "b1", **points):
        attempt = self.ledger.attempt(lease.attempt)
        return (ledger or self.ledger).settle(lease, graded(attempt, build, **(points or {"mask": 4})), minute(5))


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = World(request.param, tmp_path)
    yield made
    for ledger in made.opened:
        ledger.close()


def test_a_hand_in_waits_runs_and_is_graded(world: World) -> None:
    """One attempt's way through the queue, as its student may see it."""
    handed = world.hand_in("a")
    queue = world.ledger.queue
    assert (handed.number, handed.is_new, handed.is_queued) == (1, True, True)
    assert (queue.status(handed.attempt.id).state, queue.status(handed.attempt.id).position) == ("queued", 1)

    lease = queue.claim("w1")
    assert lease.attempt == handed.attempt.id
    assert (queue.status(lease.attempt).state, queue.status(lease.attempt).n_tries) == ("running", 1)
    assert queue.claim("w2") is None

    settled = world.settle(lease)

    assert settled.state == queue.status(lease.attempt).state == "graded"
    assert world.ledger.results(world.ann)[0].latest.points == 4
    assert queue.stats().n_done == 1


def test_attempt_event_and_job_stand_or_fall_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand-in whose job cannot be written leaves no attempt, and the other way round."""
    before = world.ledger.last_event()

    def refuse(*_: object) -> int:
        raise RuntimeError("the queue is not there")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.ledger.queue), "enqueue", refuse)
        with pytest.raises(RuntimeError, match="not there"):
            world.hand_in("a")

    assert world.ledger.last_event() == before
    assert world.ledger.attempts() == []
    with pytest.raises(LedgerError, match="enrolled"):
        world.hand_in("a", who="nobody")
    assert world.ledger.queue.claim("w1") is None


def test_the_same_bytes_again_are_the_same_attempt_unless_others_came_between(world: World) -> None:
    """A, A is one attempt; A, B, A are three, so that the latest is what was handed in last."""
    first, again = world.hand_in("a", 1), world.hand_in("a", 2)
    second, third = world.hand_in("b", 3), world.hand_in("a", 4)

    assert (again.is_new, again.attempt, again.number) == (False, first.attempt, 1)
    assert (second.number, third.number, third.is_new) == (2, 3, True)
    assert world.ledger.latest(world.ann, "t1") == third.attempt
    assert third.attempt.sha256 == first.attempt.sha256
    assert third.attempt.id != first.attempt.id
    with_file = world.hand_in("a", 5, files={"plot.png": "0" * 64})
    assert with_file.is_new
    assert world.ledger.files(with_file.attempt.id) == {"plot.png": "0" * 64}


def test_what_is_handed_in_later_is_later_whatever_the_clock_says(world: World) -> None:
    """After the server's clock was set back, the newest hand-in is still the latest."""
    world.hand_in("a", 60)
    handed = world.hand_in("b", 1)

    assert world.ledger.latest(world.ann, "t1") == handed.attempt


def test_interactive_goes_before_regrade_and_older_before_newer(world: World) -> None:
    """Order of claims; the position counts only what goes ahead."""
    regrade, one, two = world.hand_in("a", 1, priority=REGRADE), world.hand_in("b", 2), world.hand_in("c", 3)
    queue = world.ledger.queue
    ids = [h.attempt.id for h in (one, two, regrade)]

    assert [queue.status(i).position for i in ids] == [1, 2, 3]
    assert (n_live(queue, REGRADE), n_live(queue, INTERACTIVE)) == (1, 2)
    leases = [queue.claim("w") for _ in ids]
    assert [lease.attempt for lease in leases] == ids
    assert n_live(queue, REGRADE) == 1
    with world.ledger.writing() as db:
        queue.finish(db, leases[-1])
    assert n_live(queue, REGRADE) == 0


def test_queueing_twice_queues_once_and_never_back(world: World) -> None:
    """An attempt has at most one live job; a later wish can only move it ahead."""
    regrade, other = world.hand_in("a", 1, priority=REGRADE), world.hand_in("b", 2)

    assert world.ledger.enqueue([regrade.attempt.id, other.attempt.id], REGRADE, minute(3)) == 0
    assert world.ledger.queue.status(other.attempt.id).position == 1
    assert world.ledger.enqueue([regrade.attempt.id], INTERACTIVE + 1, minute(3)) == 0
    assert world.ledger.queue.claim("w").attempt == regrade.attempt.id


def test_a_late_worker_is_refused_and_leaves_nothing(world: World) -> None:
    """Whose lease ran out records nothing, whichever way it ends; the second worker's word counts, once."""
    world.hand_in("a")
    late, second = world.open(), world.open()
    old = late.queue.claim("late")
    world.pass_time(POLICY.lease_s + 1)
    new = second.queue.claim("second")
    assert new.attempt == old.attempt
    assert new.fence > old.fence
    before = world.ledger.last_event()

    with pytest.raises(StaleLeaseError):
        world.settle(old, late, "older build", mask=0)
    for end in (late.queue.heartbeat, late.give_back, lambda lease: late.fail(lease, "x")):
        with pytest.raises(StaleLeaseError):
            end(old)

    assert world.ledger.last_event() == before
    world.settle(new, second)
    assert [g.grader_build for g in world.ledger.gradings(new.attempt)] == ["b1"]
    with pytest.raises(StaleLeaseError):
        world.settle(new, second)


def test_a_heartbeat_keeps_the_lease(world: World) -> None:
    """A slow worker that is alive is not robbed."""
    world.hand_in("a")
    slow, other = world.open(), world.open()
    lease = slow.queue.claim("slow")
    for _ in range(3):
        world.pass_time(POLICY.lease_s * 0.8)
        slow.queue.heartbeat(lease)
        other.queue.recover()
        assert other.queue.claim("other") is None

    assert world.settle(lease, slow).state == "graded"


def test_our_own_fault_is_tried_again_after_a_pause_and_dies_visibly(world: World) -> None:
    """Three tries with growing pauses, then a dead letter with its reason; a person can revive it."""
    attempt = world.hand_in("a").attempt
    queue = world.ledger.queue
    for n in (1, 2, 3):
        lease = queue.claim("w")
        assert lease.n_tries == n
        state = world.ledger.fail(lease, "no box could be opened")
        assert state == ("dead" if n == 3 else "queued")
        assert queue.claim("w") is None, "it must rest first"
        assert queue.status(attempt.id).is_our_fault
        world.pass_time(POLICY.pause_s(n) + 0.5)

    (dead,) = queue.dead_letters()
    assert (dead.attempt, dead.state, dead.n_tries, dead.reason) == (attempt.id, "dead", 3, "no box could be opened")
    assert queue.stats().n_dead == 1
    assert world.hand_in("a").is_queued, "who hands in again after a fault of ours is graded again"
    assert queue.claim("w").n_tries == 1
    assert not queue.dead_letters()


def test_a_worker_that_dies_each_time_buries_the_job(world: World) -> None:
    """A notebook that kills every grader must not go round for ever."""
    world.hand_in("a")
    for _ in range(POLICY.max_tries):
        assert world.open().queue.claim("doomed") is not None
        world.pass_time(POLICY.lease_s + 1)

    assert world.open().queue.claim("next") is None
    (dead,) = world.ledger.queue.dead_letters()
    assert "silent" in dead.reason


def test_what_is_unscored_by_our_fault_is_recorded_and_tried_again(world: World) -> None:
    """INFRA verdicts stand, without points, until the retry completes them."""
    world.hand_in("a")
    settled = world.settle(world.ledger.queue.claim("w"), mask=4, rope=None)
    assert (settled.state, settled.appended.complete) == ("queued", False)
    world.pass_time(POLICY.pause_s(1) + 0.5)

    settled = world.settle(world.ledger.queue.claim("w"), mask=0, rope=3)

    assert settled.state == "graded"
    assert world.ledger.results(world.ann)[0].latest.points == 4 + 3


def test_a_worker_that_leaves_gives_its_job_back_untried(world: World) -> None:
    """A restart of the workers, however often, costs no try."""
    world.hand_in("a")
    for _ in range(POLICY.max_tries + 1):
        lease = world.ledger.queue.claim("w")
        assert lease.n_tries == 1
        world.ledger.give_back(lease)
        assert not world.ledger.queue.status(lease.attempt).is_our_fault


def test_a_build_that_was_replaced_meanwhile_is_not_the_newest_word(world: World) -> None:
    """A worker of an older build, overtaken by a regrade, ends its job and says nothing."""
    attempt = world.hand_in("a").attempt
    lease = world.ledger.queue.claim("old")
    world.ledger.append(attempt, graded(attempt, "new build", mask=4), minute(3))

    settled = world.settle(lease, build="old build", mask=0)

    assert settled.is_superseded
    assert world.ledger.queue.status(attempt.id).state == "graded"
    assert world.ledger.results(world.ann)[0].latest.points == 4


def test_a_duplicate_delivery_changes_nothing(world: World) -> None:
    """Killed after the commit of a grading and before its acknowledgement: the second run is recognised."""
    attempt = world.hand_in("a").attempt
    world.open().queue.claim("killed")
    world.ledger.append(attempt, graded(attempt, mask=4), minute(3))
    world.pass_time(POLICY.lease_s + 1)
    before = world.ledger.last_event()

    settled = world.settle(world.open().queue.claim("second"), mask=4)

    assert settled.state == "graded"
    assert not settled.appended.is_new
    assert world.ledger.last_event() == before


def test_clock_steps_neither_rob_nor_strand(world: World) -> None:
    """A step forward costs at most a second run; after a step back a dead worker's job still comes back in time."""
    world.hand_in("a")
    lease = world.open().queue.claim("w")
    if world.engine == "sqlite":
        # Leases count the machine's seconds: the wall clock is not asked, and a new boot ends every lease.
        assert world.open().queue.claim("other") is None
        world.boot, world.moment = "boot2", 3.0
    else:
        world.pass_time(-7200)
        world.open().queue.recover()
        world.pass_time(POLICY.lease_s + 1)
    again = world.open().queue.claim("other")

    assert again.attempt == lease.attempt
    assert world.settle(again, world.opened[-1]).state == "graded"


def test_lanes_tell_what_waits_and_runs(world: World) -> None:
    """By priority, highest first; what is over is in none; an empty queue has no lane."""
    queue = world.ledger.queue
    assert queue.lanes() == []
    for n in range(3):
        world.hand_in(f"h{n}", at=n, who=world.ledger.enrol(f"s{n}", "2026", START))
    world.hand_in("r", priority=REGRADE)
    world.settle(queue.claim("w1"))
    queue.claim("w1")

    lanes = queue.lanes()

    assert [(x.priority, x.n_queued, x.n_running) for x in lanes] == [(INTERACTIVE, 1, 1), (REGRADE, 1, 0)]
    assert sum(x.n_queued for x in lanes) == queue.stats().n_queued
    assert max(x.oldest_s for x in lanes) == pytest.approx(queue.stats().oldest_s, abs=1.0)
