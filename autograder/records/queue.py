"""Attempts in, leases on them out: the grade queue's seam. Two engines keep it, in the ledger's own database.

How it works. A job is an attempt that waits to be graded. It is written in the transaction that records the attempt, so
neither exists without the other. A worker claims a job and holds a lease; who stops sending heartbeats loses it, and
the job is handed out again. Every claim has a fence, a number that only grows: an end reported with an older fence is
refused, in the same transaction that would have recorded the grading. So a job may run twice, but counts once.

Retries are for faults of ours, with growing pauses; after the last one the job is a dead letter, visible to instructors.
What the student's code does wrong is a verdict and never a retry.

Time. Leases on SQLite count the machine's seconds since boot, which no step of the wall clock moves; Procrastinate
counts the database server's clock, and a recovery there mends what a step back would delay.

The engines: queue_sqlite (default) and queue_procrastinate (postgresql: URLs). `queue_for` chooses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine

from autograder.records.model import LedgerError

# Higher goes first.
INTERACTIVE, REGRADE = 10, 0


class StaleLeaseError(LedgerError):
    """The lease was lost: the job was handed to another worker meanwhile, or is over. Drop what you found."""

    @classmethod
    def of(cls, lease: Lease) -> StaleLeaseError:
        return cls(f"the lease {lease.fence} on attempt {lease.attempt} is lost: another worker has it, or it is over.")


@dataclass(frozen=True)
class Policy:
    """How patient the queue is. A worker should send a heartbeat at least every third of `lease_s`."""

    lease_s: float = 30.0
    max_tries: int = 5
    first_pause_s: float = 2.0
    longest_pause_s: float = 300.0

    def pause_s(self, n_tries: int) -> float:
        """Return how long a job rests after its n-th try failed by our fault."""
        return min(self.longest_pause_s, self.first_pause_s * 2.0 ** (n_tries - 1))


@dataclass(frozen=True)
class Boot:
    """A moment of one machine: seconds since its start, and which start that was. No step of the wall clock moves it."""

    id: str
    s: float


def boot_now() -> Boot:
    """Return this machine's moment; it goes on while the machine sleeps."""
    return Boot(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(), time.clock_gettime(time.CLOCK_BOOTTIME))


@dataclass(frozen=True)
class Clocks:
    """What the queue reads time from: the wall for people, the boot for leases."""

    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    boot: Callable[[], Boot] = boot_now


@dataclass(frozen=True)
class Lease:
    """A claimed job. `as_of` is the newest event of the log when it was claimed; `n_tries` counts this one, from 1."""

    job: int
    attempt: str
    fence: int
    worker: str
    n_tries: int
    priority: int
    as_of: int


@dataclass(frozen=True)
class JobStatus:
    """Where an attempt stands: queued, running, graded or dead (a fault of ours that retries did not mend).

    `position` counts from 1 among those that wait; None when it does not wait. `n_tries` counts failed and running
    tries. `reason` is what went wrong last, for instructors.
    """

    attempt: str
    state: str
    position: int | None = None
    n_tries: int = 0
    since: datetime | None = None
    reason: str = ""

    @property
    def is_our_fault(self) -> bool:
        return self.state == "dead" or (self.state == "queued" and self.n_tries > 0)


@dataclass(frozen=True)
class QueueStats:
    """The queue's health. `oldest_s` is the age of the oldest job that waits; `n_retried` of those ever tried again."""

    n_queued: int
    n_running: int
    n_dead: int
    n_done: int
    n_retried: int
    oldest_s: float


@dataclass(frozen=True)
class Lane:
    """The live jobs of one priority. `oldest_s` is the age of the oldest that waits, 0 when none does."""

    priority: int
    n_queued: int
    n_running: int
    oldest_s: float


class Queue(Protocol):
    """What both engines do. `db` is the caller's write transaction of the ledger; without it a method makes its own."""

    policy: Policy

    def enqueue(self, db: Connection, attempts: Sequence[str], priority: int, at: datetime) -> int:
        """Queue the attempts that have no live job; return how many. A waiting job is never moved back."""
        ...

    def claim(self, worker: str) -> Lease | None:
        """Lease the next job, highest priority first, then oldest; None when nothing may run now."""
        ...

    def heartbeat(self, lease: Lease) -> None:
        """Keep the lease. Raises: StaleLeaseError when it is lost."""
        ...

    def finish(self, db: Connection, lease: Lease) -> None:
        """Take the job off the queue. Raises: StaleLeaseError, and then nothing of the transaction may stay."""
        ...

    def fail(self, db: Connection, lease: Lease, reason: str) -> str:
        """Count a failed try; return "queued" (after a pause) or "dead". Raises: StaleLeaseError."""
        ...

    def give_back(self, db: Connection, lease: Lease) -> None:
        """Put the job back untried: the worker is leaving. Raises: StaleLeaseError."""
        ...

    def recover(self) -> int:
        """Queue again what silent workers held; return how many jobs. `claim` does not do this on every engine."""
        ...

    def revive(self, db: Connection, attempt: str) -> bool:
        """Give a dead letter all its tries again; False when there is none of that attempt."""
        ...

    def status(self, attempt: str) -> JobStatus | None:
        """Return where the attempt's newest job stands; None when it never had one."""
        ...

    def dead_letters(self, limit: int = 100) -> list[JobStatus]:
        """Return the dead jobs, newest first."""
        ...

    def stats(self) -> QueueStats:
        """Return the queue's health."""
        ...

    def lanes(self) -> list[Lane]:
        """Return what waits and runs, by priority; a lane without a live job may be absent."""
        ...


def n_live(queue: Queue, priority: int) -> int:
    """Return how many jobs of this priority wait or run."""
    return sum(lane.n_queued + lane.n_running for lane in queue.lanes() if lane.priority == priority)


def queue_for(engine: Engine, policy: Policy | None = None, clocks: Clocks | None = None) -> Queue:
    """Return the queue in the ledger's database. Raises: LedgerError when its engine is not installed."""
    policy, clocks = policy or Policy(), clocks or Clocks()
    if engine.dialect.name == "sqlite":
        from autograder.records.queue_sqlite import SqliteQueue

        return SqliteQueue(engine, policy, clocks)
    from autograder.records.queue_procrastinate import ProcrastinateQueue

    return ProcrastinateQueue(engine, policy, clocks)
