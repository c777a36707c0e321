"""The grade queue in the ledger's SQLite file: leases with fencing, by the machine's own seconds since boot.

One machine, any number of worker processes. A claim also takes back the leases that ran out, so nothing else has to
run. An empty queue is seen by a read, which never waits for the ledger's writer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Engine, func, select

from autograder.records import database
from autograder.records import schema as t
from autograder.records.queue import Clocks, JobStatus, Lane, Lease, Policy, QueueStats, StaleLeaseError

QUEUED, RUNNING, DONE, DEAD = "queued", "running", "done", "dead"
_LIVE = (QUEUED, RUNNING)
_OLDEST = func.min(sa.case((t.job.c.state == QUEUED, t.job.c.enqueued_at))).label("since")
_NEW = {
    "state": QUEUED,
    "n_tries": 0,
    "fence": 0,
    "worker": "",
    "boot": "",
    "not_before_s": 0.0,
    "lease_until_s": 0.0,
    "reason": "",
}


class SqliteQueue:
    """See `queue.Queue`."""

    def __init__(self, engine: Engine, policy: Policy, clocks: Clocks) -> None:
        self.engine, self.policy, self.clocks = engine, policy, clocks

    def enqueue(self, db: Connection, attempts: Sequence[str], priority: int, at: datetime) -> int:
        """Queue the attempts that have no live job; return how many. A waiting job is never moved back."""
        j, n_new = t.job.c, 0
        for attempt in attempts:
            mine = (j.attempt == attempt, j.state.in_(_LIVE))
            live = db.execute(select(j.id, j.rank).where(*mine)).first()
            if live is None:
                db.execute(
                    sa.insert(t.job).values(_NEW | {"attempt": attempt, "rank": -priority, "enqueued_at": at, "changed_at": at})
                )
                n_new += 1
            elif live.rank > -priority:
                db.execute(sa.update(t.job).where(j.id == live.id).values(rank=-priority))
        return n_new

    def claim(self, worker: str) -> Lease | None:
        """Lease the next job, after taking back what silent workers held; None when nothing may run now."""
        with self.engine.connect() as db:
            if db.execute(select(t.job.c.id).where(self._ready() | self._lapsed()).limit(1)).first() is None:
                return None
        with self._writing() as db:
            self._take_back(db)
            j, until = t.job.c, self.clocks.boot().s + self.policy.lease_s
            following = select(j.id).where(self._ready()).order_by(j.rank, j.id).limit(1).scalar_subquery()
            new = {"state": RUNNING, "worker": worker, "lease_until_s": until, **self._changed()}
            query = sa.update(t.job).where(j.id == following).values(**new, fence=j.fence + 1, n_tries=j.n_tries + 1)
            row = db.execute(query.returning(j.id, j.attempt, j.fence, j.n_tries, j.rank)).first()
            if row is None:
                return None
            newest = db.execute(select(func.max(t.event.c.id))).scalar() or 0
            return Lease(row.id, row.attempt, row.fence, worker, row.n_tries, -row.rank, newest)

    def heartbeat(self, lease: Lease) -> None:
        """Keep the lease. Raises: StaleLeaseError when it is lost."""
        with self._writing() as db:
            moment = self.clocks.boot()
            self._end(db, lease, lease_until_s=moment.s + self.policy.lease_s, boot=moment.id)

    def finish(self, db: Connection, lease: Lease) -> None:
        """Take the job off the queue. Raises: StaleLeaseError."""
        self._end(db, lease, state=DONE, **self._changed())

    def fail(self, db: Connection, lease: Lease, reason: str) -> str:
        """Count a failed try; return "queued" (after a pause) or "dead". Raises: StaleLeaseError."""
        state = DEAD if lease.n_tries >= self.policy.max_tries else QUEUED
        not_before = self.clocks.boot().s + self.policy.pause_s(lease.n_tries)
        self._end(db, lease, state=state, reason=reason, not_before_s=not_before, **self._changed())
        return state

    def give_back(self, db: Connection, lease: Lease) -> None:
        """Put the job back untried. Raises: StaleLeaseError."""
        self._end(db, lease, state=QUEUED, n_tries=lease.n_tries - 1, not_before_s=0.0, **self._changed())

    def recover(self) -> int:
        """Queue again, or bury, what silent workers held; return how many jobs."""
        with self._writing() as db:
            return self._take_back(db)

    def revive(self, db: Connection, attempt: str) -> bool:
        """Give a dead letter all its tries again; False when there is none of that attempt."""
        j = t.job.c
        live = select(j.attempt).where(j.attempt == attempt, j.state.in_(_LIVE)).exists()
        newest = select(func.max(j.id)).where(j.attempt == attempt, j.state == DEAD, ~live).scalar_subquery()
        values = {"state": QUEUED, "n_tries": 0, "not_before_s": 0.0, **self._changed()}
        return db.execute(sa.update(t.job).where(j.id == newest).values(values)).rowcount == 1

    def status(self, attempt: str) -> JobStatus | None:
        """Return where the attempt's newest job stands; None when it never had one."""
        with self.engine.connect() as db:
            row = db.execute(select(t.job).where(t.job.c.attempt == attempt).order_by(t.job.c.id.desc()).limit(1)).first()
            return _status(row, self._position(db, row) if row.state == QUEUED else None) if row else None

    def dead_letters(self, limit: int = 100) -> list[JobStatus]:
        """Return the dead jobs, newest first."""
        query = select(t.job).where(t.job.c.state == DEAD).order_by(t.job.c.id.desc()).limit(limit)
        with self.engine.connect() as db:
            return [_status(row, None) for row in db.execute(query)]

    def stats(self) -> QueueStats:
        """Return the queue's health."""
        j = t.job.c
        counts = [func.count(sa.case((j.state == state, 1))) for state in (QUEUED, RUNNING, DEAD, DONE)]
        with self.engine.connect() as db:
            row = db.execute(select(*counts, func.count(sa.case((j.fence > 1, 1))), _OLDEST)).one()
        return QueueStats(row[0], row[1], row[2], row[3], row[4], self._age_s(row.since))

    def lanes(self) -> list[Lane]:
        """Return what waits and runs, by priority."""
        j = t.job.c
        counts = [func.count(sa.case((j.state == state, 1))) for state in _LIVE]
        query = select(j.rank, *counts, _OLDEST).where(j.state.in_(_LIVE)).group_by(j.rank).order_by(j.rank)
        with self.engine.connect() as db:
            return [Lane(-row.rank, row[1], row[2], self._age_s(row.since)) for row in db.execute(query)]

    def _age_s(self, since: datetime | None) -> float:
        return max(0.0, (self.clocks.wall() - since).total_seconds()) if since else 0.0

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with database.writing(self.engine) as db:
            yield db

    def _changed(self) -> dict[str, Any]:
        return {"changed_at": self.clocks.wall(), "boot": self.clocks.boot().id}

    def _ready(self) -> ColumnElement[bool]:
        j, moment = t.job.c, self.clocks.boot()
        # A pause that was written before the machine's last start is over.
        return (j.state == QUEUED) & ((j.not_before_s <= moment.s) | (j.boot != moment.id))

    def _lapsed(self) -> ColumnElement[bool]:
        j, moment = t.job.c, self.clocks.boot()
        return (j.state == RUNNING) & ((j.lease_until_s < moment.s) | (j.boot != moment.id))

    def _take_back(self, db: Connection) -> int:
        j = t.job.c
        state = sa.case((j.n_tries >= self.policy.max_tries, DEAD), else_=QUEUED)
        reason = "the worker fell silent: killed, hung, or its machine stopped"
        values = {"state": state, "reason": reason, "not_before_s": 0.0, **self._changed()}
        return db.execute(sa.update(t.job).where(self._lapsed()).values(values)).rowcount

    def _end(self, db: Connection, lease: Lease, **values: Any) -> None:
        j = t.job.c
        mine = (j.id == lease.job, j.state == RUNNING, j.fence == lease.fence)
        if db.execute(sa.update(t.job).where(*mine).values(**values)).rowcount != 1:
            raise StaleLeaseError.of(lease)

    def _position(self, db: Connection, row: Any) -> int:
        j = t.job.c
        ahead = (j.rank < row.rank) | ((j.rank == row.rank) & (j.id < row.id))
        return 1 + (db.execute(select(func.count()).select_from(t.job).where(j.state == QUEUED, ahead)).scalar() or 0)


def _status(row: Any, position: int | None) -> JobStatus:
    state = "graded" if row.state == DONE else row.state
    return JobStatus(row.attempt, state, position, row.n_tries, row.changed_at, row.reason)
