"""A regrade that is ordered: the workers replay, one of them commits once, and what cannot be made is refused with its reason."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from autograder.commands import replaying
from autograder.grading.pool import Finished, Job
from autograder.records import REGRADE, Blobs, Ledger, LedgerError
from autograder.records.queue import Boot, Clocks, Policy, n_live
from autograder.records.regrading import COMMITTED, ORDERED, REFUSED
from autograder.records.worker import Worker
from autograder.regrades import previews
from autograder.regrades.orders import Orders, order
from autograder.regrades.previews import Preview
from tests import tiny
from tests.ledger_world import minute
from tests.test_commands_regrade import SEED, WRONG_CHECK, World, grade_here

A = tiny.ASSIGNMENT


class Graders:
    """Grades in this process; `asked` are the attempts' bytes that it was given."""

    n_free = 1

    def __init__(self, root: Path) -> None:
        self.root, self.asked, self.waiting = root, list[str](), list[Job]()
        self.is_broken = False

    def submit(self, job: Job) -> None:
        self.asked.append(job.student)
        self.waiting.append(job)

    def ends(self, timeout_s: float) -> list[Finished]:
        jobs, self.waiting = self.waiting, []
        if self.is_broken:
            return [Finished(j.key, None, "the grader's process ended", lost=True) for j in jobs]
        return list(grade_here(jobs, self.root, SEED.encode(), self.root, 1))

    def drop(self, key: int) -> None:
        raise AssertionError(key)


class Room(World):
    """The world of `bootcamp regrade`, with a preview of the mended check, an open ledger and a worker."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.edit(WRONG_CHECK[1], WRONG_CHECK[0])
        self.bootcamp("regrade", A)
        self.moment = 1000.0
        clocks = Clocks(boot=lambda: Boot("b", self.moment))
        self.ledger = Ledger.open(self.home.ledger_url, policy=Policy(max_tries=2), clocks=clocks)
        self.graders = Graders(folder)
        for _ in self.ledger.attempts():  # the hand-ins' own jobs: graded before
            lease = self.ledger.queue.claim("before")
            assert lease
            with self.ledger.writing() as db:
                self.ledger.queue.finish(db, lease)

    @property
    def preview(self) -> Preview:
        found = previews.kept(self.home.previews, A)
        assert found
        return found

    def orders(self) -> Orders:
        return Orders(self.ledger, self.home.replays, lambda: minute(90), partial(previews.forget, self.home.previews))

    def work(self, orders: Orders) -> None:
        worker = Worker(self.ledger, Blobs(self.home.blobs), self.graders, "w", lambda: minute(60), replays=orders)
        while worker.step() or not worker.is_idle:
            pass

    def kinds(self) -> list[str]:
        return [e.kind for e in self.ledger.events(0, (ORDERED, COMMITTED, REFUSED))]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replaying, "grade_all", grade_here)
    for name, value in {"BOOTCAMP_COURSE": "", "BOOTCAMP_HOME": "", "BOOTCAMP_SEED": SEED}.items():
        monkeypatch.setenv(name, value)
    made = Room(tmp_path)
    yield made
    made.ledger.close()


def test_what_was_previewed_is_committed_by_the_workers_once(room: Room) -> None:
    """Nothing changes before all is replayed; what the preview replayed does not run again; the instructor's name stands on it."""
    said = order(room.ledger, room.preview, " the check asked for too much ", minute(70), "ines")
    orders = room.orders()

    assert (n_live(room.ledger.queue, REGRADE), orders.finish()) == (3, "")
    room.work(orders)
    assert room.graders.asked == []
    assert room.points() == {"ann": 8, "bob": 12, "eve": 8}
    assert "is made as event" in orders.finish()
    assert room.points() == {"ann": 12, "bob": 12, "eve": 8}
    assert room.orders().finish() == orders.finish() == ""  # nobody else makes it again
    assert room.kinds() == [ORDERED, COMMITTED]
    (event,) = room.ledger.events(0, (COMMITTED,))
    assert (event.actor, event.payload["order"], event.payload["reason"]) == ("ines", said.event, "the check asked for too much")
    assert previews.kept(room.home.previews, A) is None
    assert "undone by event" in room.bootcamp("regrade", "--undo", str(event.id), "--reason", "no")
    assert room.points() == {"ann": 8, "bob": 12, "eve": 8}


def test_what_is_not_remembered_is_replayed_by_the_queue(room: Room) -> None:
    """A hand-in after the preview, or a lost file: the workers grade it again, and only that."""
    (file,) = room.home.replays.glob("*.jsonl")
    kept = file.read_text().splitlines(keepends=True)
    file.write_text("".join(kept[1:]))
    order(room.ledger, room.preview, "too much", minute(70), "ines")
    orders = room.orders()
    room.work(orders)

    assert len(room.graders.asked) == 1
    assert orders.finish()
    assert room.points() == {"ann": 12, "bob": 12, "eve": 8}


def test_an_order_given_twice_is_one(room: Room) -> None:
    """The same preview again is the same order; another one has to wait; nothing is queued twice."""
    first = order(room.ledger, room.preview, "too much", minute(70), "ines")
    again = order(room.ledger, room.preview, "pressed twice", minute(71), "ines")
    other = previews.Preview("x2_other", minute(0), "ines", 1, "true", "b", 0, 0, 0)

    assert again == first
    with pytest.raises(LedgerError, match="another regrade, of x1_tiny, is under way"):
        order(room.ledger, other, "too much", minute(71), "ines")
    with pytest.raises(LedgerError, match="say why"):
        order(room.ledger, room.preview, " a ", minute(71), "ines")
    assert (room.kinds(), n_live(room.ledger.queue, REGRADE)) == ([ORDERED], 3)


def test_edited_checks_are_not_committed_as_what_was_previewed(room: Room) -> None:
    """With another build than the preview's nothing is recorded, and the refusal says what to do."""
    for file in room.home.replays.glob("*.jsonl"):
        file.unlink()
    order(room.ledger, room.preview, "too much", minute(70), "ines")
    room.edit(*WRONG_CHECK)
    orders = room.orders()
    for _ in range(2):
        room.work(orders)
        room.moment += 100

    assert "Make a new preview: bootcamp regrade x1_tiny" in orders.finish()
    assert room.kinds() == [ORDERED, REFUSED]
    assert room.points() == {"ann": 8, "bob": 12, "eve": 8}
    assert "was previewed with" in room.ledger.queue.dead_letters()[0].reason
    assert orders.open() is None


def test_a_grader_of_ours_that_breaks_leaves_its_attempt_alone(room: Room) -> None:
    """The others are committed; the broken one keeps its result and stands among what was given up."""
    (file,) = room.home.replays.glob("*.jsonl")
    kept = file.read_text().splitlines(keepends=True)
    file.write_text(kept[0])
    order(room.ledger, room.preview, "too much", minute(70), "ines")
    room.graders.is_broken = True
    orders = room.orders()
    for _ in range(2):
        room.work(orders)
        room.moment += 100

    assert orders.finish()
    (event,) = room.ledger.events(0, (COMMITTED,))
    assert (event.payload["n_attempts"], len(room.ledger.queue.dead_letters())) == (1, 2)
