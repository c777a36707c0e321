"""A hand-in, in; attempt, event and job in one transaction, out. Same bytes as last time are recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select

from autograder.records import schema as t
from autograder.records.append import add_attempt
from autograder.records.model import Attempt
from autograder.records.queue import Queue
from autograder.records.results import attempts

_LATER = timedelta(microseconds=1)


@dataclass(frozen=True)
class HandedIn:
    """What a hand-in became. `number` counts the student's attempts at the assignment from 1.

    `is_new` is False when the latest attempt holds the same bytes; `is_queued` says that it was queued now.
    """

    attempt: Attempt
    number: int
    is_new: bool
    is_queued: bool


def hand_in(
    db: Connection,
    queue: Queue,
    pseudonym: str,
    assignment: str,
    sha256: str,
    received_at: datetime,
    files: Mapping[str, str],
    priority: int,
    actor: str,
) -> HandedIn:
    """Record and queue the hand-in inside the caller's transaction; see `Ledger.hand_in`."""
    mine = attempts(db, t.attempt.c.pseudonym == pseudonym, t.attempt.c.assignment == assignment)
    latest = mine[-1] if mine else None
    if latest and latest.sha256 == sha256 and files_of(db, latest.id) == dict(files):
        return HandedIn(latest, len(mine), False, _queue_again(db, queue, latest, priority, received_at))
    if latest and received_at <= latest.received_at:
        # The server's clock was set back. What is handed in later is later.
        received_at = latest.received_at + _LATER
    attempt = Attempt.of(pseudonym, assignment, sha256, received_at)
    add_attempt(db, attempt, actor)
    if files:
        db.execute(insert(t.attempt_file), [{"attempt": attempt.id, "name": n, "sha256": h} for n, h in sorted(files.items())])
    queue.enqueue(db, [attempt.id], priority, received_at)
    return HandedIn(attempt, len(mine) + 1, True, True)


def files_of(db: Connection, attempt_id: str) -> dict[str, str]:
    """Return what was handed in beside the notebook: name -> sha256."""
    f = t.attempt_file.c
    return {row.name: row.sha256 for row in db.execute(select(f.name, f.sha256).where(f.attempt == attempt_id))}


def _queue_again(db: Connection, queue: Queue, latest: Attempt, priority: int, at: datetime) -> bool:
    """Queue an attempt again that was never fully graded: whoever hands in twice after a fault of ours wants that."""
    g = t.grading.c
    said = db.execute(select(g.complete, g.error).where(g.attempt == latest.id)).all()
    if any(row.complete or row.error for row in said):
        return False
    return queue.revive(db, latest.id) or queue.enqueue(db, [latest.id], priority, at) > 0
