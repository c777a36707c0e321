"""A graded notebook of a named student in, one append out: the one way in which results enter the ledger."""

from __future__ import annotations

from datetime import datetime

from autograder.grading.verdict import Graded
from autograder.records.ledger import Ledger
from autograder.records.model import Appended, Attempt


def pseudonym_of(ledger: Ledger, student: str, cohort: str, now: datetime) -> str:
    """Return the student's pseudonym; who is unknown is enrolled into the cohort first."""
    known = ledger.student(student)
    return known.pseudonym if known else ledger.enrol(student, cohort, now)


def record(ledger: Ledger, pseudonym: str, graded: Graded, received_at: datetime, now: datetime) -> Appended:
    """Append what grading said. The same bytes by the same student are the same attempt, whenever they come again."""
    known = ledger.find(pseudonym, graded.assignment, graded.sha256)
    attempt = known or Attempt.of(pseudonym, graded.assignment, graded.sha256, received_at)
    return ledger.append(attempt, graded, now)
