"""What handlers work with: the course, its ledger and a clock in; page models out. No HTTP here, and no template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from autograder.course import Course
from autograder.progress import Policy, load_policy
from autograder.records import Ledger, Student
from autograder.service import estimates, student
from autograder.service.catalog import Catalog
from autograder.service.cohort import View, cohort_page
from autograder.service.pages import AttemptPage, CohortPage, PersonPage, Snapshot, StudentPage
from autograder.service.tracker import Tracker
from autograder.service.wording import Moment


@dataclass(frozen=True)
class Desk:
    """Everything a page may ask for. All methods read the database and block: call them from a thread."""

    catalog: Catalog
    ledger: Ledger
    clock: Callable[[], datetime]
    policy: Policy
    tracker: Tracker

    @classmethod
    def of(cls, course: Course, ledger: Ledger, clock: Callable[[], datetime], policy: Policy | None = None) -> Desk:
        """Return a desk with a catalogue and a tracker of this course."""
        policy = policy or load_policy()
        return cls(Catalog(course), ledger, clock, policy, Tracker(course, ledger, policy))

    def snapshot(self) -> Snapshot:
        return Snapshot(self.ledger.last_event(), Moment.of(self.clock()))

    def own_work(self, name: str) -> StudentPage:
        """Return the page of the person whom the Hub calls by this name; who is not enrolled has handed in nothing."""
        snapshot = self.snapshot()
        found = self.ledger.student(name)
        results = self.ledger.results(found.pseudonym) if found else []
        newest, cards = student.cards(self.catalog, results)
        return StudentPage(name, newest, cards, snapshot)

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

    def cohorts(self) -> list[str]:
        """Return the cohorts, the newest first."""
        newest: dict[str, datetime] = {}
        for one in self.ledger.students():
            newest[one.cohort] = max(one.joined_at, newest.get(one.cohort, one.joined_at))
        return sorted(newest, key=lambda cohort: (newest[cohort], cohort), reverse=True)

    def cohort(self, cohort: str, order: str, part: int) -> CohortPage | None:
        """Return the page of a cohort ("" is the newest), None when there is no such cohort."""
        snapshot, known = self.snapshot(), self.cohorts()
        chosen = cohort or (known[0] if known else "")
        if chosen not in known and known:
            return None
        view = View(chosen, order, part)
        students, names = self.ledger.students(chosen), self.ledger.names(chosen)
        rows = self.ledger.cohort_table(chosen, as_of=snapshot.event)
        return cohort_page(self.catalog, view, known, students, names, rows, self.tracker.report(chosen), self.policy, snapshot)

    def person(self, pseudonym: str, viewer: str) -> PersonPage | None:
        """Return an organizer's page of one student, and record that it was looked at; None when there is no such student."""
        found = self._find(pseudonym)
        if found is None:
            return None
        self._looked_at(found, viewer, {"page": "person"})
        snapshot, report = self.snapshot(), self.tracker.report(found.cohort)
        finding = next((f for f in report.students if f.pseudonym == pseudonym), None)
        newest, cards = student.cards(self.catalog, self.ledger.results(pseudonym))
        return PersonPage(
            name=self.ledger.names(found.cohort).get(pseudonym, pseudonym),
            pseudonym=pseudonym,
            cohort=found.cohort,
            joined=Moment.of(found.joined_at),
            left=Moment.of(found.left_at) if found.left_at else None,
            estimate=estimates.view(finding),
            scale=estimates.scale(report),
            legend=estimates.legend(report, self.policy),
            newest=newest,
            cards=cards,
            snapshot=snapshot,
        )

    def person_attempt(self, pseudonym: str, attempt_id: str, viewer: str) -> AttemptPage | None:
        """Return an organizer's page of one student's attempt, and record that it was looked at."""
        found = self._find(pseudonym)
        if found is None:
            return None
        self._looked_at(found, viewer, {"page": "attempt", "attempt": attempt_id})
        return self.attempt(pseudonym, self.ledger.names(found.cohort).get(pseudonym, pseudonym), attempt_id)

    def _find(self, pseudonym: str) -> Student | None:
        return next((s for s in self.ledger.students() if s.pseudonym == pseudonym), None)

    def _looked_at(self, person: Student, viewer: str, page: dict[str, str]) -> None:
        # Before the page is made: what cannot be recorded is not shown.
        self.ledger.record("person.viewed", self.clock(), viewer, person.pseudonym, page)
