"""What the ledger takes and gives: frozen records, and the one error that it raises. Plain data, no database."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from autograder.errors import BootcampError
from autograder.grading.verdict import Status, Verdict

_SHA256 = re.compile(r"[0-9a-f]{64}")


class LedgerError(BootcampError):
    """The ledger refuses: a contradiction in what it was given, or a database that it cannot use."""


@dataclass(frozen=True)
class Student:
    """Who is enrolled, as the log knows them. Names are asked for separately: `Ledger.names`."""

    pseudonym: str
    cohort: str
    joined_at: datetime
    left_at: datetime | None = None


@dataclass(frozen=True)
class Attempt:
    """One hand-in. `sha256` is of the notebook's bytes, `received_at` is the server's time (aware).

    Raises: LedgerError on a naive time, an empty id or a hash that is none.
    """

    id: str
    pseudonym: str
    assignment: str
    sha256: str
    received_at: datetime

    def __post_init__(self) -> None:
        if not self.id:
            raise LedgerError("an attempt needs an id. Use Attempt.of to derive one.")
        if self.received_at.tzinfo is None:
            raise LedgerError(f"attempt {self.id}: received_at {self.received_at} has no time zone. Pass an aware time (UTC).")
        if not _SHA256.fullmatch(self.sha256):
            raise LedgerError(f"attempt {self.id}: sha256 is {self.sha256[:80]!r}, expected 64 hexadecimal digits.")

    @classmethod
    def of(cls, pseudonym: str, assignment: str, sha256: str, received_at: datetime) -> Attempt:
        """Return the attempt with an id that follows from the four facts, so that recording it twice is recognised."""
        at = received_at.astimezone(UTC) if received_at.tzinfo else received_at
        text = "\n".join((pseudonym, assignment, sha256, at.isoformat()))
        return cls(hashlib.sha256(text.encode()).hexdigest()[:32], pseudonym, assignment, sha256, received_at)


class Outcome(StrEnum):
    """What an append did."""

    RECORDED = "recorded"  # the first word of this build on this attempt
    COMPLETED = "completed"  # a retry of the same build added verdicts that were missing
    DUPLICATE = "duplicate"  # nothing new: nothing was written


@dataclass(frozen=True)
class Appended:
    """What `Ledger.append` did. `grading` is the event number of the grading that holds now for this build."""

    attempt: str
    outcome: Outcome
    grading: int
    n_verdicts: int
    complete: bool

    @property
    def is_new(self) -> bool:
        return self.outcome is not Outcome.DUPLICATE

    def __str__(self) -> str:
        if not self.is_new:
            return f"attempt {self.attempt}: already recorded as event {self.grading}; nothing changed"
        left = "" if self.complete else ", some exercises still unscored"
        return f"attempt {self.attempt}: {self.outcome} as event {self.grading}, {self.n_verdicts} verdicts{left}"


@dataclass(frozen=True)
class Grading:
    """One grader build's word on one attempt, for instructors: `output` is what the player printed.

    `origin` is "graded" or "restored"; `complete` says that after it every exercise was scored.
    """

    event: int
    attempt: str
    grader_build: str
    tier: str
    graded_at: datetime
    origin: str
    try_no: int
    complete: bool
    error: str
    notes: tuple[str, ...]
    output: str
    cpu_s: float


@dataclass(frozen=True)
class AttemptResult:
    """One attempt with its standing verdicts, in the order of the exercises; for a student's page (no `output` here).

    `number` counts the student's attempts at this assignment from 1. `grader_build`, `tier`, `graded_at` and `notes`
    are of the newest grading; None, "" and () while there is none. `error` says why the file could not be read.
    """

    attempt: Attempt
    number: int
    verdicts: tuple[Verdict, ...]
    grader_build: str = ""
    tier: str = ""
    graded_at: datetime | None = None
    notes: tuple[str, ...] = ()
    error: str = ""

    @property
    def is_graded(self) -> bool:
        return self.graded_at is not None

    @property
    def points(self) -> float:
        return sum(v.points or 0.0 for v in self.verdicts)

    @property
    def max_points(self) -> float:
        return sum(v.max_points for v in self.verdicts)

    @property
    def n_infra(self) -> int:
        """How many exercises are unscored by our own fault."""
        return sum(v.status is Status.INFRA for v in self.verdicts)


@dataclass(frozen=True)
class Tries:
    """How often one exercise was handed in (not skipped, not our fault), and at which of these tries it first passed."""

    exercise: str
    n_tries: int
    n_tries_to_pass: int | None


@dataclass(frozen=True)
class AssignmentResult:
    """All attempts of one student at one assignment, oldest first, never empty."""

    assignment: str
    attempts: tuple[AttemptResult, ...]
    tries: tuple[Tries, ...]

    @property
    def latest(self) -> AttemptResult:
        return self.attempts[-1]


@dataclass(frozen=True)
class CohortRow:
    """The latest attempt of one student at one assignment, for the cohort table; points are of standing verdicts."""

    pseudonym: str
    cohort: str
    assignment: str
    n_attempts: int
    attempt: str
    received_at: datetime
    is_graded: bool
    points: float
    max_points: float
    n_exercises: int
    n_pass: int
    n_skipped: int
    n_infra: int
    error: str


@dataclass(frozen=True)
class FirstTry:
    """The first try of one exercise by one student. `event` is the event that received the attempt.

    `fraction` is points over max_points, for an exercise of 0 points the share of check weight that passed, and None
    exactly when the status is SKIPPED (handed in unchanged in every attempt so far). INFRA never appears.
    `evidence` is "verified", or "observed" when no verified check spoke. `grader_build` gave the standing verdict.
    """

    pseudonym: str
    exercise: str
    assignment: str
    event: int
    received_at: datetime
    fraction: float | None
    status: Status
    n_tries: int
    n_tries_to_pass: int | None
    max_points: float = 0.0
    tier: str = ""
    evidence: str = "verified"
    attempt: str = ""
    grader_build: str = ""


@dataclass(frozen=True)
class Event:
    """One line of the log. `subject` is a pseudonym; names never stand here."""

    id: int
    kind: str
    at: datetime
    actor: str
    subject: str | None
    payload: Mapping[str, Any] = field(default_factory=dict)
