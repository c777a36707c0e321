"""The grade queue in, graded attempts in the ledger out: claim, grade in the box, record; for as long as it is wanted.

One process holds the leases, sends their heartbeats and writes to the ledger; its grading processes know neither. So a
hung grader cannot keep a lease alive by accident, and whoever kills this process loses nothing: the leases run out.
While the database is away, what was found is kept and offered again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.exc import DBAPIError

from autograder.errors import BootcampError
from autograder.grading.pool import Finished, Job
from autograder.grading.verdict import Graded
from autograder.records.blobs import Blobs
from autograder.records.ledger import Ledger
from autograder.records.model import Attempt, LedgerError
from autograder.records.queue import REGRADE, Lease, StaleLeaseError
from autograder.records.settling import Settled

_IDLE_S = 0.1  # between two looks at an empty queue
_KNOWN_AT_ONCE = 50  # so that heartbeats are not forgotten over what is known already
_AWAY_S = 1.0  # between two tries to reach the database


class Graders(Protocol):
    """What grades: `grading.pool.Pool`, or a stand-in."""

    @property
    def n_free(self) -> int: ...
    def submit(self, job: Job) -> None: ...
    def ends(self, timeout_s: float) -> list[Finished]: ...
    def drop(self, key: int) -> None: ...


class Replays(Protocol):
    """Where results of a regrade's jobs go: nothing of them is recorded before it is committed as a whole."""

    def is_known(self, attempt: Attempt) -> bool: ...
    def keep(self, attempt: Attempt, graded: Graded) -> str:
        """Keep the result; return why it cannot be kept, "" when it was."""
        ...


@dataclass(frozen=True)
class Done:
    """One try's end, for who watches: `settled` is None when it failed by our fault, and `fault` says how.

    `state` is what became of the job: graded, queued (to be tried again) or dead.
    """

    attempt: Attempt
    lease: Lease
    state: str
    settled: Settled | None
    fault: str = ""
    graded: Graded | None = None
    wall_s: float = 0.0


class Worker:
    """Works the queue. `watch` is told of every job's end; it must not raise."""

    def __init__(
        self,
        ledger: Ledger,
        blobs: Blobs,
        graders: Graders,
        name: str,
        now: Callable[[], datetime],
        watch: Callable[[Done], None] = lambda done: None,
        say: Callable[[str], None] = lambda text: None,
        replays: Replays | None = None,
    ) -> None:
        """Without `replays` a regrade's jobs are recorded like all others."""
        self.ledger, self.blobs, self.graders, self.name = ledger, blobs, graders, name
        self.now, self.watch, self.say, self.replays = now, watch, say, replays
        self.n_leases_lost = 0
        self._held: dict[int, tuple[Lease, Attempt]] = {}
        self._found: list[Finished] = []
        self._beat_at = 0.0
        self._is_away = False

    @property
    def is_idle(self) -> bool:
        return not self._held

    @property
    def n_held(self) -> int:
        return len(self._held)

    def step(self, *, claim: bool = True) -> bool:
        """Do what there is to do now, waiting a moment when there is nothing; return whether anything was found.

        Raises: InfraError when no box can start on this machine (call `leave` then).
        """
        try:
            claimed = claim and self._claim()
            self._found += self.graders.ends(_IDLE_S if self._held else 0.0)
            settled = self._settle_found()
            self._beat()
        except DBAPIError as e:
            self._say_away(e)
            time.sleep(_AWAY_S)
            return False
        if self._is_away:
            self.say("the database is back")
            self._is_away = False
        if not (claimed or settled or self._held):
            time.sleep(_IDLE_S)
        return bool(claimed or settled)

    def leave(self) -> None:
        """Give back what is still held, untried. A lease that cannot be given back runs out."""
        for key, (lease, _) in list(self._held.items()):
            self.graders.drop(key)
            self._held.pop(key)
            try:
                self.ledger.give_back(lease)
            except (StaleLeaseError, DBAPIError) as e:
                self.say(f"attempt {lease.attempt} could not be given back; its lease runs out ({e})")

    def _claim(self) -> bool:
        n = 0
        while self.graders.n_free > 0 and n < _KNOWN_AT_ONCE and (lease := self.ledger.queue.claim(self.name)):
            n += 1
            attempt, known = self.ledger.to_grade(lease.attempt)
            if (replays := self._replays(lease)) and replays.is_known(attempt):
                self._finish(lease)
                continue
            try:
                raw = self.blobs.get(attempt.sha256)
            except BootcampError as e:
                self._fail(lease, attempt, str(e))
                continue
            self._held[lease.job] = (lease, attempt)
            self.graders.submit(Job(lease.job, attempt.assignment, attempt.pseudonym, raw, tuple(known)))
        return n > 0

    def _settle_found(self) -> bool:
        n = 0
        while self._found:
            end = self._found[0]
            if end.key in self._held:
                self._settle(end, *self._held[end.key])
                self._held.pop(end.key)
            # Only now: an exception above leaves it here, to be offered again.
            self._found.pop(0)
            n += 1
        return n > 0

    def _settle(self, end: Finished, lease: Lease, attempt: Attempt) -> None:
        if end.graded is None:
            self._fail(lease, attempt, end.fault)
            return
        if replays := self._replays(lease):
            if fault := replays.keep(attempt, end.graded):
                self._fail(lease, attempt, fault)
            elif self._finish(lease):
                self.watch(Done(attempt, lease, "graded", Settled("graded", None), "", end.graded, end.wall_s))
            return
        try:
            settled = self.ledger.settle(lease, end.graded, self.now())
        except StaleLeaseError as e:
            self._say_lost(str(e))
            return
        except LedgerError as e:  # what was found contradicts the attempt: a fault of ours, to be seen by a person
            self._fail(lease, attempt, str(e))
            return
        self.watch(Done(attempt, lease, settled.state, settled, "", end.graded, end.wall_s))

    def _replays(self, lease: Lease) -> Replays | None:
        return self.replays if lease.priority == REGRADE else None

    def _finish(self, lease: Lease) -> bool:
        """Take the job off the queue, and say whether it was still ours: else who has it now tells its end."""
        try:
            with self.ledger.writing() as db:
                self.ledger.queue.finish(db, lease)
        except StaleLeaseError as e:
            self._say_lost(str(e))
            return False
        return True

    def _fail(self, lease: Lease, attempt: Attempt, fault: str) -> None:
        try:
            state = self.ledger.fail(lease, fault)
        except StaleLeaseError as e:
            self._say_lost(str(e))
            return
        self.watch(Done(attempt, lease, state, None, fault))

    def _beat(self) -> None:
        if time.monotonic() - self._beat_at < self.ledger.queue.policy.lease_s / 4:
            return
        self._beat_at = time.monotonic()
        for key, (lease, _) in list(self._held.items()):
            try:
                self.ledger.queue.heartbeat(lease)
            except StaleLeaseError as e:
                self._say_lost(f"{e} Its grading is dropped.")
                self._held.pop(key)
                self.graders.drop(key)

    def _say_lost(self, text: str) -> None:
        self.n_leases_lost += 1
        self.say(text)

    def _say_away(self, error: DBAPIError) -> None:
        if not self._is_away:
            self.say(f"the database is away ({error.orig}); waiting for it, with {len(self._found)} results in hand")
            self._is_away = True
