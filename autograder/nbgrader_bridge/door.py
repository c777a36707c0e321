"""What nbgrader's process grades with: `Door` (bytes in, verdicts out, recorded on the way), and the real one.

GradeInBox names a factory of doors in its configuration; a test may name its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Protocol

from autograder.grading.pool import Pool
from autograder.grading.verdict import Graded
from autograder.home import Home
from autograder.records import Blobs, Ledger
from autograder.records.recording import pseudonym_of, record

COHORT = "default"  # of students whom nobody has enrolled before nbgrader met them


class Door(Protocol):
    """Grades one submission and records it as `bootcamp grade` does: same draws, same ledger, same verdicts."""

    def grade(self, raw: bytes, assignment: str, student: str, received_at: datetime) -> Graded: ...


class OpenDoor(Protocol):
    """A factory of doors."""

    def __call__(self, home: Home) -> AbstractContextManager[Door]: ...


@contextmanager
def open_door(home: Home) -> Iterator[Door]:
    """Open a box and the ledger for as long as the context lasts.

    Raises: InfraError when no box of the required tier can be opened; BootcampError when there is no seed.
    """
    pool = Pool(home.course_root, home.seed(), home.path / "admitted", 1, os.environ)
    with pool, Ledger.open(home.ledger_url) as ledger:
        yield _RealDoor(pool, ledger, Blobs(home.blobs))


class _RealDoor:
    def __init__(self, pool: Pool, ledger: Ledger, blobs: Blobs) -> None:
        self.pool, self.ledger, self.blobs = pool, ledger, blobs

    def grade(self, raw: bytes, assignment: str, student: str, received_at: datetime) -> Graded:
        pseudonym = pseudonym_of(self.ledger, student, COHORT, datetime.now(UTC))
        graded = self.pool.grade(raw, assignment, pseudonym)
        # An assignment that was not admitted was graded by no build: there is nothing to record.
        if graded.grader_build:
            self.blobs.put(raw)  # a regrade needs the bytes again
            record(self.ledger, pseudonym, graded, received_at, datetime.now(UTC))
        return graded
