"""What handlers work with: the course, its ledger and a clock in; page models out. No HTTP here, and no template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from autograder.records import Ledger
from autograder.service import student
from autograder.service.catalog import Catalog
from autograder.service.pages import AttemptPage, Snapshot, StudentPage
from autograder.service.wording import Moment


@dataclass(frozen=True)
class Desk:
    """Everything a page may ask for. All methods read the database and block: call them from a thread."""

    catalog: Catalog
    ledger: Ledger
    clock: Callable[[], datetime]

    def snapshot(self) -> Snapshot:
        return Snapshot(self.ledger.last_event(), Moment.of(self.clock()))

    def own_work(self, name: str) -> StudentPage:
        """Return the page of the person whom the Hub calls by this name; who is not enrolled has handed in nothing."""
        snapshot = self.snapshot()
        found = self.ledger.student(name)
        results = self.ledger.results(found.pseudonym) if found else []
        return StudentPage(name, student.cards(self.catalog, results), snapshot)

    def own_attempt(self, name: str, attempt_id: str) -> AttemptPage | None:
        """Return the page of one attempt, None when there is none or it is somebody else's."""
        found = self.ledger.student(name)
        return self.attempt(found.pseudonym, name, attempt_id) if found else None

    def attempt(self, pseudonym: str, name: str, attempt_id: str) -> AttemptPage | None:
        """Return the page of one attempt of this student, None when the student has no such attempt."""
        snapshot = self.snapshot()
        for result in self.ledger.results(pseudonym):
            for attempt in result.attempts:
                if attempt.attempt.id == attempt_id:
                    view = student.attempt_view(self.catalog, result, attempt)
                    return AttemptPage(name, self.catalog.name(result.assignment), view, len(result.attempts), snapshot)
        return None
