"""The ledger: attempts and what grading said of them in, results, cohort tables and first tries out. Append-only.

Doors: `Ledger` (ledger.py) and the plain records that it takes and returns (model.py). Importing this package loads
SQLAlchemy's core, and neither torch, nbformat nor alembic.

Theory of operation
-------------------
*Facts are appended, never changed.* Every fact is one `event` with a growing number, written in one transaction with
the rows that it explains: `attempt` (bytes were handed in), `grading` (one grader build spoke about one attempt; its
key is its event) and `verdict` (what it said of one exercise). Triggers in the database refuse UPDATE, DELETE and
REPLACE on these four tables, so a bug of ours cannot rewrite them either. Writers are serialised (BEGIN IMMEDIATE on
SQLite, an advisory lock on PostgreSQL), therefore event numbers grow in the order of commits and "as of event N" is a
stable view: it reads rows whose event is at most N, and nothing can slip in below N later.

*The standing verdict* of an exercise in an attempt is the newest scored one, whatever build said it; only where no
build ever scored it does the newest INFRA verdict stand, visible and without points. A regrade (another build) is one
more grading, and it wins by being newer. Taking a regrade back is again an append: `restore` says the older build's
verdicts once more.

*Duplicates.* For one attempt, grader build and tier, an exercise is scored once. A grading that scores nothing new is
reported as a duplicate and leaves no trace. A grading with INFRA verdicts (or of an unreadable file) is recorded as
incomplete; a retry of the same build adds one more try that carries only what was still missing, so what was earned
in the first try cannot be lost in the second. At most one try is complete, which a partial unique index also holds.
A weaker tier never repeats what a stronger one settled; a stronger one may repeat what a weaker one said.

*The first try* of an exercise is the first attempt, by the server's time of receipt and then by event, in which the
exercise was handed in (a stub handed in unchanged is "skipped" and not a try). Its content never changes; its score is
the standing verdict of that attempt, as of any event. While that verdict is INFRA there is no first try: a later
attempt does not take its place, or a repaired grader would change what was measured.

*People.* The log knows pseudonyms, which are random. Names live in a table of their own (`identity`), that can be
emptied without touching the log.

*The chain.* At the end of every write transaction each new event is linked, with the rows that it explains, into the
hash chain of its student's cohort (chain.py). Texts that may hold personal data are left out of it: an erasure
(subjects.py) removes them and the name, and the facts still prove themselves. Remarks stand beside the log (remarks.py).

*The queue* (queue.py: the seam, its promises and its two engines) lives in the same database: a hand-in is attempt, event
and job in one transaction (handing_in.py), a result is grading, verdicts and the job's end in another (settling.py). The
bytes themselves are content-addressed files (blobs.py), put down before the transaction that names them.

*A regrade* (regrading.py) appends, and so does its undo.
"""

from __future__ import annotations

from autograder.records.blobs import Blobs
from autograder.records.handing_in import HandedIn
from autograder.records.ledger import Ledger
from autograder.records.model import (
    Appended,
    AssignmentResult,
    Attempt,
    AttemptResult,
    CohortRow,
    Event,
    FirstTry,
    Grading,
    LedgerError,
    Outcome,
    Student,
    Tries,
)
from autograder.records.queue import INTERACTIVE, REGRADE, JobStatus, Lease, QueueStats, StaleLeaseError
from autograder.records.settling import Settled
from autograder.records.times import ExerciseTimes

__all__ = [
    "INTERACTIVE",
    "REGRADE",
    "Appended",
    "AssignmentResult",
    "Attempt",
    "AttemptResult",
    "Blobs",
    "CohortRow",
    "Event",
    "ExerciseTimes",
    "FirstTry",
    "Grading",
    "HandedIn",
    "JobStatus",
    "Lease",
    "Ledger",
    "LedgerError",
    "Outcome",
    "QueueStats",
    "Settled",
    "StaleLeaseError",
    "Student",
    "Tries",
]
