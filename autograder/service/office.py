"""What organizers' and mentors' handlers work with: the desk in, their pages and what they decide out. No HTTP here."""

from __future__ import annotations

from dataclasses import dataclass

from autograder.errors import BootcampError
from autograder.pages.organizers import flags as flag_views
from autograder.pages.organizers.calibration import CalibrationPage, calibration_page
from autograder.pages.organizers.comparison import MAX_COHORTS, ComparisonPage, comparison_page
from autograder.pages.organizers.datasets import DATASETS, Dataset, ExportsPage, exports_page
from autograder.pages.organizers.flags import FlagsPage, ListView, Wanted
from autograder.pages.organizers.invitations import ShortlistPage, shortlist_page
from autograder.pages.organizers.mentees import MenteePage, MenteesPage, mentee_page, mentees_page
from autograder.pages.organizers.overview import OverviewPage, overview_page
from autograder.pages.organizers.profile import ProfilePage, profile_page
from autograder.pages.organizers.timeline import OF_PERSON
from autograder.progress import audit, inviting, reviewing
from autograder.progress.decisions import REVIEWED
from autograder.progress.inputs import EVALUATED, EVALUATION
from autograder.progress.inviting import Drafted
from autograder.records import Event, roll
from autograder.service.desk import Desk
from autograder.service.exchange import Refused
from autograder.survey import Survey

_ALL = 10**9
EXPORTED = "cohort.exported"


@dataclass(frozen=True)
class Office:
    """The organizers' side of a desk. All methods block: call them from a thread. They raise NotYetError like the desk."""

    desk: Desk

    def survey(self, cohort: str) -> tuple[Survey, list[str]] | None:
        """Return the newest survey of a cohort ("" is the newest one) and all cohorts; None when there is no such cohort."""
        known = roll.cohorts(self.desk.ledger)
        chosen = roll.chosen(cohort, known)
        return None if chosen is None else (self.desk.surveys.newest(chosen), known)

    def overview(self, cohort: str) -> OverviewPage | None:
        """Return a cohort at a glance."""
        found = self.survey(cohort)
        return overview_page(self.desk.catalog, *found) if found else None

    def calibration(self, cohort: str) -> CalibrationPage | None:
        """Return whether a cohort's chances come true."""
        found = self.survey(cohort)
        return calibration_page(*found) if found else None

    def comparison(self, cohort: str) -> ComparisonPage | None:
        """Return the newest cohorts beside each other, on the scale of this one."""
        found = self.survey(cohort)
        if found is None:
            return None
        base, known = found
        others = [c for c in known if c != base.cohort][: MAX_COHORTS - 1]
        return comparison_page(self.desk.catalog, [base, *(self.desk.surveys.newest(c) for c in others)], known)

    def exports(self, cohort: str) -> ExportsPage | None:
        """Return what can be taken away of a cohort."""
        found = self.survey(cohort)
        return exports_page(*found) if found else None

    def export(self, cohort: str, name: str, viewer: str) -> tuple[Dataset, Survey] | None:
        """Return one table, and record who took it; None when there is no such cohort or table."""
        found = self.survey(cohort)
        if found is None or name not in DATASETS:
            return None
        survey, _ = found
        payload = {"cohort": survey.cohort, "dataset": name, "survey": survey.event}
        self.desk.ledger.record(EXPORTED, self.desk.clock(), viewer, None, payload)
        return DATASETS[name](survey), survey

    def flags(self, cohort: str, wanted: Wanted | None, part: int) -> FlagsPage | None:
        """Return whom to look at in a cohort."""
        found = self.survey(cohort)
        if found is None:
            return None
        survey, known = found
        ledger, policy = self.desk.ledger, self.desk.policy
        names, members = ledger.names(survey.cohort), {f.pseudonym for f in survey.report.students}
        events = [e for e in self.desk.decided.events() if self._is_about(e, survey.cohort, members)]
        recorded = next((e for e in reversed(events) if e.kind == EVALUATION), None)
        decided, wish = self._decided(), wanted or Wanted.of(policy)
        return flag_views.flags_page(survey, policy, known, names, decided, events, recorded, wish, part)

    def shortlist(self, cohort: str, wanted: Wanted) -> ListView | None:
        """Return whom the policy would invite; nothing is recorded."""
        found = self.survey(cohort)
        if found is None:
            return None
        survey, _ = found
        return flag_views.list_view(survey.report, self.desk.policy, self.desk.ledger.names(survey.cohort), wanted)

    def drafted(self, cohort: str, day: str) -> ShortlistPage | None:
        """Return the shortlist of a decision date; nothing is recorded. Raises: Refused."""
        if (known := self._cohort(cohort)) is None:
            return None
        found = self._draft(known, day)
        return shortlist_page(found, known, self.desk.policy, self.desk.ledger.names(known), self.desk.snapshot())

    def record_shortlist(self, cohort: str, day: str, evaluation: str, viewer: str) -> None:
        """Record the shortlist of a date as it was shown, from this evaluation; again changes nothing. Raises: Refused."""
        if (known := self._cohort(cohort)) is None:
            raise Refused("there is no such cohort.", 404)
        found = self._draft(known, day)
        if str(found.evaluation.id) != evaluation:
            raise Refused("another evaluation was recorded meanwhile: look at its list first.", 409)
        try:
            inviting.record(self.desk.ledger, found, known, self.desk.policy, self.desk.clock(), viewer)
        except BootcampError as e:
            raise Refused(str(e), 409) from None

    def profile(self, pseudonym: str, viewer: str) -> ProfilePage | None:
        """Return one student's page, and record that it was looked at; None when there is no such student."""
        found = roll.known_as(self.desk.ledger, pseudonym)
        if found is None:
            return None
        survey = self.desk.surveys.newest(found[0].cohort)
        self.desk.looked_at(pseudonym, viewer, {"page": "person"})
        results = self.desk.ledger.results(pseudonym)
        cards = self.desk.cards(results, (found[1], pseudonym))
        events = self.desk.ledger.events(0, OF_PERSON, subject=pseudonym, limit=_ALL)
        return profile_page(self.desk.catalog, found, survey, self.desk.policy, events, results, cards)

    def review(self, pseudonym: str, decision: str, reason: str, viewer: str) -> None:
        """Record a decision. Raises: Refused."""
        if roll.known_as(self.desk.ledger, pseudonym) is None:
            raise Refused("there is no such student.", 404)
        try:
            reviewing.review(self.desk.ledger, pseudonym, decision, reason, self.desk.clock(), viewer)
        except BootcampError as e:
            raise Refused(str(e)) from None

    def evaluate(self, cohort: str, viewer: str) -> int:
        """Record what the newest survey says as an evaluation; return its event. Raises: Refused when it is recorded."""
        found = self.survey(cohort)
        if found is None:
            raise Refused("there is no such cohort.", 404)
        survey, _ = found
        newest = audit.newest(self.desk.ledger, survey.cohort)
        if newest is not None and newest.payload["last_event"] == survey.report.last_event:
            raise Refused("this state is recorded already.", 409)
        said = (survey.report, survey.cohort, survey.course, self.desk.policy)
        return audit.record_report(self.desk.ledger, *said, survey.at, viewer)

    def mentees(self) -> MenteesPage:
        """Return everybody whom an organizer has confirmed."""
        confirmed = self._confirmed()
        return mentees_page(confirmed, roll.names_of(self.desk.ledger, list(confirmed)), self.desk.snapshot())

    def mentee(self, pseudonym: str, viewer: str) -> MenteePage | None:
        """Return a confirmed invitee's page, and record that it was looked at; None for everybody else."""
        decision = self._confirmed().get(pseudonym)
        found = roll.known_as(self.desk.ledger, pseudonym) if decision else None
        if decision is None or found is None:
            return None
        self.desk.looked_at(pseudonym, viewer, {"page": "mentee"})
        rows = self.desk.ledger.events(int(decision.payload["row"]) - 1, (EVALUATED,), subject=pseudonym, limit=1)
        results = self.desk.ledger.results(pseudonym)
        return mentee_page(self.desk.catalog, found, decision, rows[0] if rows else None, results, self.desk.snapshot())

    def _cohort(self, cohort: str) -> str | None:
        return roll.chosen(cohort, roll.cohorts(self.desk.ledger))

    def _draft(self, cohort: str, day: str) -> Drafted:
        try:
            log = [e for e in self.desk.decided.events() if e.kind in inviting.KINDS]
            return inviting.drafted(log, cohort, inviting.day_of(day), self.desk.policy, self.desk.candidates)
        except BootcampError as e:
            raise Refused(str(e)) from None

    def _confirmed(self) -> dict[str, Event]:
        return {p: e for p, e in self._decided().items() if reviewing.is_confirmed(e.payload)}

    def _decided(self) -> dict[str, Event]:
        """Return the newest decision about everybody who has one."""
        return reviewing.newest_by_subject(e for e in self.desk.decided.events() if e.kind == REVIEWED)

    @staticmethod
    def _is_about(e: Event, cohort: str, members: set[str]) -> bool:
        return e.subject in members if e.subject else e.payload.get("cohort", cohort) in (cohort, None)
