"""A person's name and wishes in, what the exchange says about them as plain data out: the counter of the exchange.

Everything here is about the person who asks, but for `submissions`, which handlers guard with a scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autograder.pages.standing import Queued
from autograder.records import AssignmentResult, AttemptResult, Ledger
from autograder.service.exchange import Exchange, Refused
from autograder.service.feedback import Feedback

Data = dict[str, Any]


@dataclass(frozen=True)
class Counter:
    """Asks the exchange and the ledger. `prefix` is where the pages are. All methods block: call them from a thread."""

    exchange: Exchange
    render: Feedback
    prefix: str

    @property
    def ledger(self) -> Ledger:
        return self.exchange.ledger

    def releases(self, name: str) -> list[Data]:
        """Return what can be fetched, with the person's own due dates."""
        course, student = self.exchange.course, self.ledger.student(name)
        names = (name, student.pseudonym) if student else (name,)
        granted = self.exchange.extensions.of(student.pseudonym) if student else ()
        found = []
        for release in self.exchange.releases():
            assignment = course.assignment(release.assignment)
            due = course.lateness(assignment, release.at, *names, granted=granted).due
            found.append({"assignment_id": assignment.id, "title": assignment.title, "due": due.isoformat() if due else None})
        return found

    def released_files(self, assignment: str) -> dict[str, bytes]:
        return self.exchange.released_files(assignment)

    def hand_in(self, name: str, assignment: str, files: Mapping[str, bytes], is_staff: bool) -> Data:
        """Keep and queue an attempt; say which it is and where it stands. Raises: Refused."""
        taken = self.exchange.hand_in(name, assignment, files, is_staff)
        return {**self.attempt(name, taken.attempt.id), "is_new": taken.is_new, "number": taken.number}

    def attempts(self, name: str, assignment: str) -> list[Data]:
        """Return the person's own attempts, at everything or at one assignment, oldest first."""
        student = self.ledger.student(name)
        if student is None:
            return []
        found = [a for r in self.ledger.results(student.pseudonym, assignment or None) for a in r.attempts]
        states = Queued.of(self.ledger, found)
        return [self._data(name, a, states) for a in found]

    def attempt(self, name: str, attempt_id: str) -> Data:
        """Return one own attempt. Raises: Refused when there is none."""
        _, found = self._own(name, attempt_id)
        return self._data(name, found, Queued.of(self.ledger, [found]))

    def feedback(self, name: str, attempt_id: str) -> bytes:
        """Return the page about one own attempt. Raises: Refused when there is none."""
        result, found = self._own(name, attempt_id)
        return self.render.page(name, result, found, Queued.of(self.ledger, [found]))

    def submissions(self, assignment: str, student: str, before_due: bool) -> list[Data]:
        """Return everybody's newest attempts. For instructors."""
        found = self.exchange.newest(assignment, student, before_due)
        return [
            {
                "student_id": name,
                "assignment_id": attempt.assignment,
                "attempt": attempt.id,
                "received_at": attempt.received_at.isoformat(),
                "words": "handed in",
                "feedback": "",
            }
            for name, attempt in found
        ]

    def _own(self, name: str, attempt_id: str) -> tuple[AssignmentResult, AttemptResult]:
        attempt, student = self.ledger.attempt(attempt_id), self.ledger.student(name)
        if attempt is None or student is None or attempt.pseudonym != student.pseudonym:
            raise Refused("there is no such attempt of yours.", 404)
        (result,) = self.ledger.results(student.pseudonym, attempt.assignment)
        return result, next(a for a in result.attempts if a.attempt.id == attempt_id)

    def _data(self, name: str, found: AttemptResult, states: Queued) -> Data:
        return {
            "student_id": name,
            "assignment_id": found.attempt.assignment,
            "attempt": found.attempt.id,
            "number": found.number,
            "received_at": found.attempt.received_at.isoformat(),
            "state": self._state(found, states),
            "words": states.words(found),
            "feedback": states.version(found),
            "settled": states.is_settled(found),
            "page": f"{self.prefix}me/attempt/{found.attempt.id}",
        }

    def _state(self, found: AttemptResult, states: Queued) -> str:
        job = states.jobs.get(found.attempt.id)
        return "graded" if found.is_graded else job.state if job else "queued"
