"""What a person may ask of their own: a desk in; assignments, progress, transcripts and data out. No HTTP, no template."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from autograder.pages import journey, overview
from autograder.pages import transcript as views
from autograder.pages.journey import JourneyPage
from autograder.pages.overview import OverviewPage
from autograder.pages.standing import Queued
from autograder.pages.student import card
from autograder.pages.transcript import Choosable, TranscriptsPage, VerifyPage
from autograder.records import AssignmentResult, Ledger, Student
from autograder.records.own_data import own_data
from autograder.records.passed import seen
from autograder.service import reviews
from autograder.service.background import NotYetError
from autograder.service.desk import Desk
from autograder.service.exchange import Refused
from autograder.survey import Survey
from autograder.transcripts import register
from autograder.transcripts.register import Gone, Transcript, TranscriptError
from autograder.transcripts.statement import clean_name, line


@dataclass(frozen=True)
class Own:
    """A person's own pages. All methods read the database and block: call them from a thread."""

    desk: Desk

    @property
    def ledger(self) -> Ledger:
        return self.desk.ledger

    def overview(self, name: str) -> OverviewPage:
        """Return the person's assignments; who is not enrolled has handed in nothing."""
        desk, snapshot, student = self.desk, self.desk.snapshot(), self.ledger.student(name)
        results = self.ledger.results(student.pseudonym) if student else []
        states = Queued.of(self.ledger, [r.latest for r in results])
        names = (name, student.pseudonym) if student else (name,)
        released, now = {r.assignment for r in desk.exchange.releases()}, desk.clock()
        last = max(results, key=lambda r: r.latest.attempt.received_at) if results else None
        return OverviewPage(
            name=name,
            lines=overview.lines(desk.catalog.settled(), results, states, names, released, now),
            newest=card(desk.catalog, last.assignment, last, states, names, now) if last else None,
            summary=overview.summary(results),
            snapshot=snapshot,
        )

    def journey(self, name: str) -> JourneyPage:
        """Return the person's own progress."""
        snapshot, student, catalog = self.desk.snapshot(), self.ledger.student(name), self.desk.catalog
        results = self.ledger.results(student.pseudonym) if student else []
        firsts = self.ledger.first_tries(pseudonym=student.pseudonym) if student else []
        said = seen(self.ledger, student.pseudonym) if student else []
        survey = self._survey(student)
        finding = survey.report.of(student.pseudonym) if survey and student else None
        return JourneyPage(
            name=name,
            band=journey.band(finding, survey) if survey else None,
            tracks=journey.track_lines(catalog, results, firsts, said, self.desk.clock()),
            next=journey.next_exercises(catalog, results, finding),
            no_next=journey.no_next(results),
            badges=journey.badge_views(catalog, said),
            wishes=reviews.asked(self.ledger, student.pseudonym) if student else (),
            snapshot=snapshot,
        )

    def ask(self, name: str, wish: str, assignment: str, why: str) -> None:
        """Record a wish for a person to look at. Raises: Refused."""
        if assignment and self.desk.catalog.assignment(assignment) is None:
            raise Refused("there is no such assignment.")
        reviews.ask(self.ledger, self._enrolled(name).pseudonym, wish, assignment, why, self.desk.clock())

    def data(self, name: str) -> bytes:
        """Return the person's own data as JSON."""
        return json.dumps(own_data(self.ledger, name), indent=1, ensure_ascii=False).encode("utf-8", "replace")

    def transcripts(self, name: str, base: str) -> TranscriptsPage:
        """Return the person's transcripts; `base` is what their addresses begin with."""
        snapshot, student = self.desk.snapshot(), self.ledger.student(name)
        results = self._results(student)
        choosable = [(r.assignment, x) for r in results if (x := line(r, {}))]
        standing = register.of(self.ledger, student.pseudonym) if student else []
        return TranscriptsPage(
            name=name,
            choosable=tuple(Choosable(a, self.desk.catalog.name(a), views.points(x)) for a, x in choosable),
            issued=tuple(views.issued(t, base + t.statement.code) for t in reversed(standing)),
            snapshot=snapshot,
        )

    def issue(self, name: str, shown: str, assignments: Collection[str]) -> Transcript:
        """Sign the chosen assignments under the name that is to be shown, "" for none. Raises: Refused."""
        student, desk = self._enrolled(name), self.desk
        chosen = [r for r in self._results(student) if r.assignment in assignments]
        titles = {r.assignment: desk.catalog.name(r.assignment) for r in chosen}
        try:
            return register.issue(
                self.ledger, desk.keys, student.pseudonym, chosen, desk.catalog.title, clean_name(shown), titles, desk.clock()
            )
        except TranscriptError as e:
            raise Refused(str(e)) from None

    def withdraw(self, name: str, code: str) -> None:
        """Take a transcript of one's own back. Raises: Refused."""
        try:
            register.withdraw(self.ledger, self._enrolled(name).pseudonym, code, self.desk.clock())
        except TranscriptError as e:
            raise Refused(str(e), 404) from None

    def paper(self, name: str, code: str, address: str) -> bytes:
        """Return the PDF of a transcript of one's own. Raises: Refused."""
        # Fonts and pictures load with the first paper that somebody asks for.
        from autograder.transcripts.paper import paper

        found = register.find(self.ledger, code)
        if not isinstance(found, Transcript) or found.pseudonym != self._enrolled(name).pseudonym:
            raise Refused("there is no such transcript of yours.", 404)
        return paper(found, address)

    def verify(self, code: str) -> VerifyPage | None:
        """Return what anybody is told at this address, None when nothing ever stood there."""
        snapshot, found = self.desk.snapshot(), register.find(self.ledger, code)
        if found is None:
            return None
        if isinstance(found, Gone):
            return views.gone(snapshot)
        holds = self.desk.keys.holds(found.signature, found.text.encode())
        return views.verified(found, holds, register.changes(self.ledger, found), snapshot)

    def proof(self, code: str) -> Transcript | None:
        """Return a transcript that stands, for whoever checks the signature themselves."""
        found = register.find(self.ledger, code)
        return found if isinstance(found, Transcript) else None

    def _results(self, student: Student | None) -> list[AssignmentResult]:
        """Return the student's results in teaching order."""
        order = [a.id for a in self.desk.catalog.assignments]
        found = self.ledger.results(student.pseudonym) if student else []
        return sorted(found, key=lambda r: (order.index(r.assignment) if r.assignment in order else len(order), r.assignment))

    def _enrolled(self, name: str) -> Student:
        if (student := self.ledger.student(name)) is None:
            raise Refused("you have not handed in anything yet.", 404)
        return student

    def _survey(self, student: Student | None) -> Survey | None:
        """Return the newest survey of the student's cohort, None while the first one is being taken."""
        try:
            return self.desk.surveys.newest(student.cohort if student else "")
        except NotYetError:
            return None
