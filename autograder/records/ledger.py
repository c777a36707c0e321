"""The ledger's door: a database URL in, appends and questions out. One write transaction per append.

Keep one `Ledger` per process and do not carry one across a fork. All methods may be called from any thread.
Times and ids come from the caller; only pseudonyms are drawn here, from `draw`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError

from autograder.grading.verdict import Graded, Verdict
from autograder.records import append, chain, database, handing_in, migrate, people, results, settling, tables, times
from autograder.records import schema as t
from autograder.records.first_tries import first_tries
from autograder.records.handing_in import HandedIn
from autograder.records.model import (
    Appended,
    AssignmentResult,
    Attempt,
    CohortRow,
    Event,
    FirstTry,
    Grading,
    LedgerError,
    Student,
)
from autograder.records.queue import INTERACTIVE, Clocks, Lease, Policy, Queue, queue_for
from autograder.records.settling import Settled
from autograder.records.times import ExerciseTimes


def random_pseudonym() -> str:
    """Draw a pseudonym that nothing can be derived from."""
    return f"s{secrets.token_hex(8)}"


class Ledger:
    """An open ledger. Use as a context manager, or call `close`."""

    def __init__(
        self,
        engine: Engine,
        draw: Callable[[], str] = random_pseudonym,
        policy: Policy | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self._engine, self._draw = engine, draw
        self.queue: Queue = queue_for(engine, policy, clocks)

    @classmethod
    def open(
        cls,
        url: str,
        draw: Callable[[], str] = random_pseudonym,
        policy: Policy | None = None,
        clocks: Clocks | None = None,
    ) -> Self:
        """Open the ledger at a sqlite: or postgresql: URL, create it or bring it to the newest revision.

        Raises: LedgerError when the database cannot be reached, is none, or is newer than this program.
        """
        engine = database.connect(url)
        try:
            with engine.connect() as db:
                current = migrate.revision(db) == t.HEAD
            if not current:
                with database.writing(engine) as db:
                    migrate.upgrade(db)
        except DBAPIError as e:
            engine.dispose()
            shown = engine.url.render_as_string(hide_password=True)
            raise LedgerError(f"cannot open the ledger {shown}: {e.orig}. Name another one in BOOTCAMP_LEDGER.") from None
        except LedgerError:
            engine.dispose()
            raise
        return cls(engine, draw, policy, clocks)

    def close(self) -> None:
        """Give the database connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def enrol(self, name: str, cohort: str, at: datetime, actor: str = "system") -> str:
        """Enrol the person and return a random pseudonym; who is enrolled in this cohort already keeps theirs.

        Raises: LedgerError when the name is enrolled in another cohort.
        """
        with self.writing() as db:
            return people.enrol(db, name, cohort, at, self._draw(), actor)

    def leave(self, pseudonym: str, at: datetime, actor: str = "system") -> int:
        """Record that the student left; return the event. Raises: LedgerError when there is no such student."""
        with self.writing() as db:
            return people.leave(db, pseudonym, at, actor)

    def student(self, name: str) -> Student | None:
        """Return who bears the name, None when nobody is enrolled under it."""
        with self._engine.connect() as db:
            return people.named(db, name)

    def students(self, cohort: str | None = None, as_of: int | None = None) -> list[Student]:
        """Return everyone, or everyone of one cohort, who was enrolled by event `as_of` (None: now), by pseudonym."""
        with self._engine.connect() as db:
            return people.students(db, cohort, as_of)

    def names(self, cohort: str | None = None) -> dict[str, str]:
        """Return pseudonym -> name; for pages whose reader may see names."""
        with self._engine.connect() as db:
            return people.names(db, cohort)

    def receive(self, attempt: Attempt, actor: str = "system") -> bool:
        """Record that bytes were handed in, before anything grades them; False when this attempt is known.

        Raises: LedgerError when the id is taken by another hand-in or the student is not enrolled.
        """
        with self.writing() as db:
            return append.add_attempt(db, attempt, actor)

    def hand_in(
        self,
        pseudonym: str,
        assignment: str,
        sha256: str,
        received_at: datetime,
        *,
        files: Mapping[str, str] | None = None,
        priority: int = INTERACTIVE,
        actor: str = "system",
    ) -> HandedIn:
        """Record a hand-in and queue it, in one transaction: attempt, event and job, or nothing.

        `sha256` is of the notebook; `files` maps the names of what came with it to hashes. Put the bytes into `Blobs` first.
        The same bytes as the latest attempt's are recognised (and queued again if that one was never fully graded, by our
        fault); bytes equal to an older attempt's are a new one. Raises: LedgerError when the student is not enrolled.
        """
        with self.writing() as db:
            return handing_in.hand_in(db, self.queue, pseudonym, assignment, sha256, received_at, files or {}, priority, actor)

    def files(self, attempt_id: str) -> dict[str, str]:
        """Return what was handed in beside the notebook: name -> sha256."""
        with self._engine.connect() as db:
            return handing_in.files_of(db, attempt_id)

    def enqueue(self, attempts: Sequence[str], priority: int, at: datetime) -> int:
        """Queue recorded attempts that have no live job, in one transaction; return how many."""
        with self.writing() as db:
            return self.queue.enqueue(db, attempts, priority, at)

    def settle(self, lease: Lease, graded: Graded, graded_at: datetime, actor: str = "grader") -> Settled:
        """Record what a worker's job found and take the job off the queue, in one transaction.

        What is unscored by our fault is recorded, and the job waits for another try.
        Raises: StaleLeaseError when the lease is lost: then nothing is recorded.
        """
        with self.writing() as db:
            return settling.settle(db, self.queue, lease, graded, graded_at, actor)

    def fail(self, lease: Lease, reason: str) -> str:
        """Count a try that failed by our fault, without a word on the attempt; return "queued" or "dead"."""
        with self.writing() as db:
            return self.queue.fail(db, lease, reason)

    def give_back(self, lease: Lease) -> None:
        """Put a claimed job back untried. Raises: StaleLeaseError."""
        with self.writing() as db:
            self.queue.give_back(db, lease)

    def retry(self, attempt_id: str, at: datetime, actor: str) -> bool:
        """Give a dead letter all its tries again and record who did; False when no job of that attempt is dead."""
        attempt = self.attempt(attempt_id)
        if attempt is None:
            return False
        with self.writing() as db:
            revived = self.queue.revive(db, attempt_id)
            if revived:
                append.add_event(db, "attempt.retried", at, actor, attempt.pseudonym, {"attempt": attempt_id})
            return revived

    def append(self, attempt: Attempt, graded: Graded, graded_at: datetime, actor: str = "grader") -> Appended:
        """Record one grading, and the attempt if it is new, in one transaction; a duplicate changes nothing and says so.

        Raises: LedgerError when grading and attempt contradict each other, see `append.add_grading`.
        """
        with self.writing() as db:
            append.add_attempt(db, attempt, actor)
            return append.add_grading(db, attempt, graded, graded_at, actor)

    def restore(self, attempt_id: str, grader_build: str, at: datetime, actor: str, reason: str) -> int:
        """Let an earlier build's verdicts on the attempt stand again; return the event. This is how a regrade is undone.

        Raises: LedgerError when the attempt or that build's word on it is unknown.
        """
        attempt = self.attempt(attempt_id)
        if attempt is None:
            raise LedgerError(f'no attempt "{attempt_id}" is recorded.')
        with self.writing() as db:
            return append.add_restoration(db, attempt, grader_build, at, actor, reason)

    def record(self, kind: str, at: datetime, actor: str, subject: str | None, payload: Mapping[str, Any]) -> int:
        """Append an event that is neither attempt nor grading (an evaluation, a human's decision); return its number."""
        with self.writing() as db:
            return append.add_event(db, kind, at, actor, subject, payload)

    def record_all(self, events: Iterable[tuple[str, str | None, Mapping[str, Any]]], at: datetime, actor: str) -> list[int]:
        """Append events (kind, subject, payload) in one transaction, all or none; return their numbers, in order."""
        with database.writing(self._engine) as db:
            return [append.add_event(db, kind, at, actor, subject, payload) for kind, subject, payload in events]

    def attempt(self, attempt_id: str) -> Attempt | None:
        """Return the attempt with this id."""
        found = self._attempts(t.attempt.c.id == attempt_id)
        return found[0] if found else None

    def attempts(self, pseudonym: str | None = None, assignment: str | None = None) -> list[Attempt]:
        """Return attempts, oldest first."""
        a = t.attempt.c
        wanted = ((a.pseudonym, pseudonym), (a.assignment, assignment))
        return self._attempts(*(column == value for column, value in wanted if value is not None))

    def latest(self, pseudonym: str, assignment: str) -> Attempt | None:
        """Return the student's newest attempt at the assignment."""
        found = self.attempts(pseudonym, assignment)
        return found[-1] if found else None

    def find(self, pseudonym: str, assignment: str, sha256: str) -> Attempt | None:
        """Return the student's newest attempt with exactly these bytes, so that a repeated hand-in is recognised."""
        a = t.attempt.c
        found = self._attempts(a.pseudonym == pseudonym, a.assignment == assignment, a.sha256 == sha256)
        return found[-1] if found else None

    def results(self, pseudonym: str, assignment: str | None = None) -> list[AssignmentResult]:
        """Return a student's own results: per assignment the attempts, per attempt the standing verdicts, and tries."""
        with self._engine.connect() as db:
            return results.results(db, pseudonym, assignment)

    def to_grade(self, attempt_id: str) -> tuple[Attempt, list[Verdict]]:
        """Return a recorded attempt and its student's verdicts that may be used again (grading/known.py). Raises: LedgerError."""
        with self._engine.connect() as db:
            return results.to_grade(db, attempt_id)

    def gradings(self, attempt_id: str) -> list[Grading]:
        """Return everything that graders said of the attempt, oldest first, with the player's output: instructors only."""
        with self._engine.connect() as db:
            return results.gradings(db, attempt_id)

    def cohort_table(self, cohort: str | None = None, assignment: str | None = None, as_of: int | None = None) -> list[CohortRow]:
        """Return the latest attempt of every student at every assignment; who handed in nothing is absent."""
        with self._engine.connect() as db:
            return tables.cohort_table(db, cohort, assignment, as_of)

    def first_tries(self, as_of: int | None = None, cohort: str | None = None, pseudonym: str | None = None) -> list[FirstTry]:
        """Return the first try of every exercise by every student, or by one, as of event `as_of` (None: now)."""
        with self._engine.connect() as db:
            return first_tries(db, as_of, cohort, pseudonym)

    def exercise_times(self) -> list[ExerciseTimes]:
        """Return what grading each exercise costs and how often it failed by our fault; for instructors."""
        with self._engine.connect() as db:
            return times.exercise_times(db)

    def events(self, after: int = 0, kinds: Iterable[str] = (), subject: str | None = None, limit: int = 1000) -> list[Event]:
        """Return at most `limit` events after the given number, in order."""
        with self._engine.connect() as db:
            return tables.events(db, after, list(kinds), subject, limit)

    def last_event(self) -> int:
        """Return the number of the newest event, 0 for an empty log."""
        with self._engine.connect() as db:
            return db.execute(select(func.max(t.event.c.id))).scalar() or 0

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Hold one read transaction, for the rooms beside this module."""
        with self._engine.connect() as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold the one write transaction, for the rooms beside this module: every event in it is linked at its end."""
        with database.writing(self._engine) as db:
            yield db
            chain.seal(db)

    def _attempts(self, *conditions: Any) -> list[Attempt]:
        with self._engine.connect() as db:
            return results.attempts(db, *conditions)
