"""The grade queue on PostgreSQL: Procrastinate's tables and functions, called on the ledger's own connections.

Procrastinate's Python side runs coroutines in a worker of its own; a grade must be acknowledged in the transaction that
records it. So we call the SQL functions that its Python side calls: defer, fetch, finish, retry, heartbeat, prune.
Its command line and its shell see the same jobs.

A job's `lock` is its attempt: at most one job of an attempt runs. `attempts` grows with every retry: it is the fence.
Priorities: higher first, as there. Recovery of stalled jobs is ours to schedule: `recover`, which every claim that finds
nothing and every worker calls now and then.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from autograder.records.queue import Clocks, JobStatus, Lane, Lease, Policy, QueueStats, StaleLeaseError

QUEUE, TASK = "grade", "bootcamp.grade"
_STATES = {"todo": "queued", "doing": "running", "succeeded": "graded"}

_DEFER = text("""
    SELECT count(*) FROM unnest(procrastinate_defer_jobs_v1(ARRAY(
        SELECT ROW(:queue, :task, :priority, attempt, NULL, jsonb_build_object('attempt', attempt, 'at', CAST(:at AS text)), NULL)
            ::procrastinate_job_to_defer_v1
        FROM jsonb_array_elements_text(CAST(:attempts AS jsonb)) WITH ORDINALITY AS wanted(attempt, place)
        WHERE NOT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.lock = attempt AND j.status IN ('todo', 'doing'))
        ORDER BY place
    )))""")
_RAISE = text("""
    UPDATE procrastinate_jobs SET priority = :priority WHERE status = 'todo' AND priority < :priority
        AND lock IN (SELECT jsonb_array_elements_text(CAST(:attempts AS jsonb)))""")
_FETCH = text(
    "SELECT id, lock, attempts, priority, args, (SELECT COALESCE(max(e.id), 0) FROM event e) AS newest"
    " FROM procrastinate_fetch_job_v2(ARRAY[CAST(:queue AS varchar)], :worker)"
)
_MINE = text("""
    SELECT 1 FROM procrastinate_jobs
    WHERE id = :job AND status = 'doing' AND attempts = :fence AND worker_id = :worker FOR UPDATE""")
_STALLED = text("""
    SELECT j.id, j.attempts, j.args FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
    WHERE j.status = 'doing' AND j.queue_name = :queue
        AND (w.id IS NULL OR w.last_heartbeat < now() - make_interval(secs => :lease_s))
    FOR UPDATE OF j SKIP LOCKED""")
_SELECT = """
    SELECT j.id, j.lock AS attempt, j.status::text AS status, j.attempts, j.args, j.priority,
        (SELECT max(at) FROM procrastinate_events e WHERE e.job_id = j.id AND e.type <> 'scheduled') AS since
    FROM procrastinate_jobs j"""
_AHEAD = text("""
    SELECT count(*) FROM procrastinate_jobs
    WHERE status = 'todo' AND queue_name = :queue AND (priority > :priority OR (priority = :priority AND id < :id))""")
_OLDEST_S = "COALESCE(extract(epoch FROM now() - min((args->>'at')::timestamptz) FILTER (WHERE status = 'todo')), 0)"
_LANES = text(f"""
    SELECT priority, count(*) FILTER (WHERE status = 'todo'), count(*) FILTER (WHERE status = 'doing'), {_OLDEST_S}
    FROM procrastinate_jobs WHERE queue_name = :queue AND status IN ('todo', 'doing') GROUP BY priority ORDER BY priority DESC""")
_STATS = text(f"""
    SELECT count(*) FILTER (WHERE status = 'todo'), count(*) FILTER (WHERE status = 'doing'),
        count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'succeeded'),
        count(*) FILTER (WHERE attempts > (status = 'succeeded')::int),
        {_OLDEST_S}
    FROM procrastinate_jobs WHERE queue_name = :queue""")


class ProcrastinateQueue:
    """See `queue.Queue`. One object is one worker of Procrastinate's; give each grading process its own."""

    def __init__(self, engine: Engine, policy: Policy, clocks: Clocks) -> None:
        self.engine, self.policy, self.clocks = engine, policy, clocks
        self._worker_id = 0
        self._swept_s = self._beat_s = -1e9

    def enqueue(self, db: Connection, attempts: Sequence[str], priority: int, at: datetime) -> int:
        """Queue the attempts that have no live job; return how many. A waiting job is never moved back."""
        given = {"attempts": json.dumps(list(dict.fromkeys(attempts))), "priority": priority}
        db.execute(_RAISE, given)
        return int(db.execute(_DEFER, {**given, "queue": QUEUE, "task": TASK, "at": at.isoformat()}).scalar_one())

    def claim(self, worker: str) -> Lease | None:
        """Lease the next job; now and then, and whenever there is none, take back what silent workers held."""
        lease = None if self._sweep_is_due() else self._fetch()
        if lease is None:
            self._swept_s = time.monotonic()
            self.recover()
            lease = self._fetch()
        return lease

    def heartbeat(self, lease: Lease) -> None:
        """Keep the lease. Raises: StaleLeaseError when it is lost."""
        with self.engine.begin() as db:
            self._mine(db, lease)
            db.execute(text("SELECT procrastinate_update_heartbeat_v1(:id)"), {"id": int(lease.worker)})

    def finish(self, db: Connection, lease: Lease) -> None:
        """Take the job off the queue. Raises: StaleLeaseError."""
        self._mine(db, lease)
        db.execute(text("SELECT procrastinate_finish_job_v1(:job, 'succeeded', false)"), {"job": lease.job})

    def fail(self, db: Connection, lease: Lease, reason: str) -> str:
        """Count a failed try; return "queued" (after a pause) or "dead". Raises: StaleLeaseError."""
        self._mine(db, lease)
        return self._count_failure(db, lease.job, lease.n_tries, reason, self.policy.pause_s(lease.n_tries))

    def give_back(self, db: Connection, lease: Lease) -> None:
        """Put the job back untried. Raises: StaleLeaseError."""
        self._mine(db, lease)
        # Procrastinate counts every return as an attempt, which is the fence; so the untried ones are counted beside it.
        self._note(db, lease.job, {"untried": lease.fence + 1 - (lease.n_tries - 1)})
        self._retry(db, lease.job, 0.0)

    def recover(self) -> int:
        """Queue again, or bury, what silent workers held; return how many jobs."""
        with self.engine.begin() as db:
            # After the server's clock was set back, heartbeats and pauses lie in the future: they would last too long.
            db.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() WHERE last_heartbeat > now()"))
            latest = {"queue": QUEUE, "longest_s": self.policy.longest_pause_s}
            db.execute(
                text(
                    "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND queue_name = :queue"
                    " AND scheduled_at > now() + make_interval(secs => :longest_s)"
                ),
                latest,
            )
            stalled = db.execute(_STALLED, {"queue": QUEUE, "lease_s": self.policy.lease_s}).all()
            for row in stalled:
                n_tries = row.attempts - row.args.get("untried", 0) + 1
                self._count_failure(db, row.id, n_tries, "the worker fell silent: killed, hung, or its machine stopped", 0.0)
            db.execute(text("SELECT procrastinate_prune_stalled_workers_v1(:s)"), {"s": 2 * self.policy.lease_s})
            return len(stalled)

    def revive(self, db: Connection, attempt: str) -> bool:
        """Give a dead letter all its tries again; False when there is none of that attempt."""
        query = f"{_SELECT} WHERE j.lock = :attempt ORDER BY j.id DESC LIMIT 1 FOR UPDATE"
        row = db.execute(text(query), {"attempt": attempt}).first()
        if row is None or row.status != "failed":
            return False
        self._note(db, row.id, {"untried": row.attempts + 1})
        self._retry(db, row.id, 0.0)
        return True

    def status(self, attempt: str) -> JobStatus | None:
        """Return where the attempt's newest job stands; None when it never had one."""
        with self.engine.connect() as db:
            row = db.execute(text(f"{_SELECT} WHERE j.lock = :attempt ORDER BY j.id DESC LIMIT 1"), {"attempt": attempt}).first()
            if row is None:
                return None
            ahead = {"queue": QUEUE, "priority": row.priority, "id": row.id}
            return _status(row, 1 + db.execute(_AHEAD, ahead).scalar_one() if row.status == "todo" else None)

    def dead_letters(self, limit: int = 100) -> list[JobStatus]:
        """Return the dead jobs, newest first."""
        query = f"{_SELECT} WHERE j.status = 'failed' AND j.queue_name = :queue ORDER BY j.id DESC LIMIT :n"
        with self.engine.connect() as db:
            return [_status(row, None) for row in db.execute(text(query), {"queue": QUEUE, "n": limit})]

    def stats(self) -> QueueStats:
        """Return the queue's health."""
        with self.engine.connect() as db:
            row = db.execute(_STATS, {"queue": QUEUE}).one()
        return QueueStats(row[0], row[1], row[2], row[3], row[4], max(0.0, float(row[5])))

    def lanes(self) -> list[Lane]:
        """Return what waits and runs, by priority."""
        with self.engine.connect() as db:
            return [Lane(row[0], row[1], row[2], max(0.0, float(row[3]))) for row in db.execute(_LANES, {"queue": QUEUE})]

    def _fetch(self) -> Lease | None:
        with self.engine.begin() as db:
            worker = self._registered(db)
            row = db.execute(_FETCH, {"queue": QUEUE, "worker": worker}).one()
            if row.id is None:
                return None
            n_tries = row.attempts - row.args.get("untried", 0) + 1
            return Lease(row.id, row.lock, row.attempts, str(worker), n_tries, row.priority, row.newest)

    def _registered(self, db: Connection) -> int:
        """Return our worker's number, its heartbeat fresh; register again when a recovery has pruned it."""
        if self._worker_id and time.monotonic() - self._beat_s < self.policy.lease_s / 4:
            return self._worker_id
        self._beat_s = time.monotonic()
        fresh = text("UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = :id")
        if not self._worker_id or db.execute(fresh, {"id": self._worker_id}).rowcount == 0:
            self._worker_id = db.execute(text("SELECT worker_id FROM procrastinate_register_worker_v1()")).scalar_one()
        return self._worker_id

    def _sweep_is_due(self) -> bool:
        return time.monotonic() - self._swept_s > self.policy.lease_s / 3

    def _mine(self, db: Connection, lease: Lease) -> None:
        mine = {"job": lease.job, "fence": lease.fence, "worker": int(lease.worker)}
        if db.execute(_MINE, mine).first() is None:
            raise StaleLeaseError.of(lease)

    def _count_failure(self, db: Connection, job: int, n_tries: int, reason: str, pause_s: float) -> str:
        self._note(db, job, {"reason": reason})
        if n_tries >= self.policy.max_tries:
            db.execute(text("SELECT procrastinate_finish_job_v1(:job, 'failed', false)"), {"job": job})
            return "dead"
        self._retry(db, job, pause_s)
        return "queued"

    def _retry(self, db: Connection, job: int, pause_s: float) -> None:
        at = "clock_timestamp() + make_interval(secs => :pause_s)" if pause_s else "NULL"
        query = f"SELECT procrastinate_retry_job_v2(:job, {at}, NULL, NULL, NULL)"
        db.execute(text(query), {"job": job, **({"pause_s": pause_s} if pause_s else {})})

    def _note(self, db: Connection, job: int, said: dict[str, Any]) -> None:
        query = "UPDATE procrastinate_jobs SET args = args || CAST(:said AS jsonb) WHERE id = :job"
        db.execute(text(query), {"said": json.dumps(said), "job": job})


def _status(row: Any, position: int | None) -> JobStatus:
    running = row.status == "doing"
    n_tries = row.attempts - row.args.get("untried", 0) + running
    state = _STATES.get(row.status, "dead")
    return JobStatus(row.attempt, state, position, n_tries, row.since, row.args.get("reason", ""))
