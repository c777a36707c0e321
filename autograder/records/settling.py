"""A lease and what its worker found in; a grading in the ledger and the job's end, out. One transaction, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from autograder.grading.verdict import Graded
from autograder.records import schema as t
from autograder.records.append import add_grading
from autograder.records.model import Appended, LedgerError
from autograder.records.queue import Lease, Queue
from autograder.records.results import attempts


@dataclass(frozen=True)
class Settled:
    """How a job ended. `state` is graded, queued (to be tried again) or dead.

    `appended` is None when nothing may be recorded: no build graded it, or another build spoke about the attempt while
    this worker was at it (`is_superseded`).
    """

    state: str
    appended: Appended | None
    is_superseded: bool = False


def settle(db: Connection, queue: Queue, lease: Lease, graded: Graded, at: datetime, actor: str) -> Settled:
    """See `Ledger.settle`."""
    found = attempts(db, t.attempt.c.id == lease.attempt)
    if not found:
        raise LedgerError(f'no attempt "{lease.attempt}" is recorded.')
    if _is_superseded(db, lease, graded):
        queue.finish(db, lease)
        return Settled("graded", None, True)
    # An assignment that was not admitted was graded by no build: there is nothing to record.
    appended = add_grading(db, found[0], graded, at, actor) if graded.grader_build else None
    if graded.error or graded.is_complete or (appended and appended.complete):
        queue.finish(db, lease)
        return Settled("graded", appended)
    return Settled(queue.fail(db, lease, _why(graded)), appended)


def _is_superseded(db: Connection, lease: Lease, graded: Graded) -> bool:
    """A build that was replaced while its worker was at it must not become the newest word on the attempt."""
    g = t.grading.c
    said_since = select(g.event).where(g.attempt == lease.attempt, g.event > lease.as_of, g.grader_build != graded.grader_build)
    return db.execute(said_since.limit(1)).first() is not None


def _why(graded: Graded) -> str:
    unscored = [v for v in graded.verdicts if v.points is None]
    return "; ".join(dict.fromkeys(f"{v.exercise}: {' '.join(v.notes)}" for v in unscored))[:2000]
