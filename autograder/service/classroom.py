"""What instructors may ask: a desk in; health, exercises, who needs help, the roll, regrades out; extensions granted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from autograder.deadlines import Extension
from autograder.pages.models import Choice
from autograder.pages.teachers import health, items, regrades, roster, stuck
from autograder.pages.teachers.health import AssignmentPage, HealthPage
from autograder.pages.teachers.items import ItemPage, ItemsPage
from autograder.pages.teachers.regrades import PreviewView, RegradePage, RegradesPage, UnderWay
from autograder.pages.teachers.roster import EnrolledPage, RosterPage, View
from autograder.pages.teachers.stuck import Asked, Missing, StuckPage
from autograder.pages.wording import Moment
from autograder.progress import inputs
from autograder.records import REGRADE, Ledger, LedgerError, roll
from autograder.records.extensions import grant, withdraw
from autograder.records.failing import failing
from autograder.records.newest_word import newest_words
from autograder.records.queue import n_live
from autograder.records.regrading import ORDERED
from autograder.regrades import orders, previews
from autograder.regrades.orders import Order
from autograder.service import reviews
from autograder.service.desk import Desk
from autograder.service.exchange import Refused
from autograder.survey import Survey

_SOON, _LATELY = timedelta(days=3), timedelta(days=14)
_ALL = 10**4
VIEWED_MANY = "people.viewed"


@dataclass(frozen=True)
class Classroom:
    """The instructors' pages. All methods read the database and block: call them from a thread. Raises: NotYetError."""

    desk: Desk

    @property
    def ledger(self) -> Ledger:
        return self.desk.ledger

    def health(self, cohort: str) -> HealthPage | None:
        """Return all assignments of a cohort ("" is the newest), None when there is no such cohort."""
        survey = self._survey(cohort)
        return health.health_page(self.desk.catalog, survey, self.ledger.queue.stats(), self._choices(survey)) if survey else None

    def assignment(self, cohort: str, assignment: str) -> AssignmentPage | None:
        """Return one assignment, None when there is no such one."""
        survey = self._survey(cohort)
        return health.assignment_page(self.desk.catalog, survey, assignment) if survey else None

    def items(self, cohort: str) -> ItemsPage | None:
        """Return all exercises of a cohort."""
        survey = self._survey(cohort)
        return items.items_page(self.desk.catalog, survey, self._max_z, self._choices(survey)) if survey else None

    def item(self, cohort: str, assignment: str, name: str) -> ItemPage | None:
        """Return one exercise, None when there is no such one."""
        survey, exercise = self._survey(cohort), f"{assignment}.{name}"
        return items.item_page(survey, exercise, failing(self.ledger, assignment, exercise), self._max_z) if survey else None

    def stuck(self, cohort: str, viewer: str) -> StuckPage | None:
        """Return who needs help, and record whose work was looked at."""
        survey = self._survey(cohort)
        if survey is None:
            return None
        wanted = stuck.shown(survey)
        names, words = roll.names_of(self.ledger, [p for p, _ in wanted]), newest_words(self.ledger, wanted)
        missing, asked = self._missing(survey.cohort), self._asked()
        seen = sorted({*(p for p, _ in wanted), *(p for m in missing for _, p in m.names), *(a.pseudonym for a in asked)})
        if seen:
            self.ledger.record(VIEWED_MANY, self.desk.clock(), viewer, None, {"page": "stuck", "people": seen})
        return stuck.stuck_page(survey, names, words, missing, asked, self._choices(survey))

    def roster(self, cohort: str, like: str, part: int) -> RosterPage | None:
        """Return a part of a cohort's roll, None when there is no such cohort."""
        chosen = self._chosen(cohort)
        if chosen is None:
            return None
        view, snapshot = View(chosen, like, part), self.desk.snapshot()
        found = roll.enrolled(self.ledger, chosen, like, view.first, roster.N_SHOWN)
        n = roll.n_handed_in(self.ledger, [s.pseudonym for s, _ in found.lines])
        extensions = (*self.desk.exchange.course.extensions, *self.desk.exchange.extensions.all())
        cohorts = self._cohorts(chosen)
        return roster.roster_page(view, found, n, extensions, len(self.desk.catalog.assignments), cohorts, snapshot)

    def enrolled(self, pseudonym: str, viewer: str) -> EnrolledPage | None:
        """Return one student's due dates, and record that they were looked at; None when there is no such student."""
        found = roll.known_as(self.ledger, pseudonym)
        if found is None:
            return None
        student, name = found
        self.desk.looked_at(pseudonym, viewer, {"page": "roster"})
        catalog, granted = self.desk.catalog, self.desk.exchange.extensions.of(pseudonym)
        rows = {r.assignment: r for r in roll.newest_of(self.ledger, [pseudonym])}
        return EnrolledPage(
            name=name,
            pseudonym=pseudonym,
            cohort=student.cohort,
            joined=Moment.of(student.joined_at),
            left=Moment.of(student.left_at) if student.left_at else None,
            lines=roster.due_lines(catalog, (name, pseudonym), granted, rows, self.desk.clock()),
            extendable=tuple((a.id, a.title) for a in catalog.assignments if a.due),
            snapshot=self.desk.snapshot(),
        )

    def extend(self, pseudonym: str, assignment: str, until: str, reason: str, by: str) -> None:
        """Grant an extension until a time in UTC, as a browser's field writes it. Raises: Refused."""
        known, found = self.desk.catalog.assignment(assignment), roll.known_as(self.ledger, pseudonym)
        if found is None:
            raise Refused("there is no such student.", 404)
        if known is None or known.due is None:
            raise Refused("choose an assignment that has a due date.")
        try:
            at = datetime.fromisoformat(until).replace(tzinfo=UTC)
        except ValueError:
            raise Refused("say until when, as in 2027-02-28T23:59 (UTC).") from None
        if at <= known.due:
            raise Refused(f"{known.title} is due on {Moment.of(known.due).text} anyway. Name a later time.")
        try:
            grant(self.ledger, Extension(pseudonym, assignment, at), reason, self.desk.clock(), by)
        except LedgerError as e:
            raise Refused(str(e)) from None

    def take_back(self, pseudonym: str, assignment: str, reason: str, by: str) -> None:
        """Take an extension back. Raises: Refused."""
        try:
            withdraw(self.ledger, pseudonym, assignment, reason, self.desk.clock(), by)
        except LedgerError as e:
            raise Refused(str(e)) from None

    def answer(self, wish: str, words: str, by: str) -> None:
        """Answer a student's wish. Raises: Refused."""
        number = int(wish) if wish.isdecimal() and len(wish) < 12 else 0
        reviews.answer(self.ledger, self.desk.wishes, number, words, by, self.desk.clock())

    def regrades(self, viewer: str) -> RegradesPage:
        """Return previews and regrades, and record whose results were looked at."""
        snapshot, catalog = self.desk.snapshot(), self.desk.catalog
        found = [p for a in catalog.assignments if (p := previews.kept(self.desk.previews, a.id))]
        people = sorted(set().union(*map(regrades.people, found)))
        if people:
            self.ledger.record(VIEWED_MANY, self.desk.clock(), viewer, None, {"page": "regrades", "people": people})
        names = roll.names_of(self.ledger, people)
        made = [e for e in self.desk.regrades.events() if e.kind != ORDERED]
        views = tuple(self._preview(p, names) for p in sorted(found, key=lambda p: p.at, reverse=True))
        return RegradesPage(views, self.under_way(), regrades.made(catalog, made), snapshot)

    def under_way(self) -> UnderWay | None:
        """Return how far the regrade is that was ordered, None when there is none."""
        n_left = n_live(self.ledger.queue, REGRADE)
        return regrades.under_way(self.desk.catalog, self._open_order(), n_left)

    def regrade(self, assignment: str, viewer: str) -> RegradePage | None:
        """Return what ordering a regrade would do, and record whose results were looked at; None without a preview."""
        snapshot, found = self.desk.snapshot(), previews.kept(self.desk.previews, assignment)
        if found is None:
            return None
        people = sorted(regrades.people(found))
        if people:
            self.ledger.record(VIEWED_MANY, self.desk.clock(), viewer, None, {"page": "regrade", "people": people})
        names = roll.names_of(self.ledger, people)
        known = self._open_order()
        busy = f"A regrade of {self.desk.catalog.name(known.assignment)} is under way. Wait until it is made." if known else ""
        return RegradePage(self._preview(found, names), busy, snapshot)

    def order_regrade(self, assignment: str, event: str, reason: str, by: str) -> None:
        """Order the regrade that was previewed as of this event; again is the same order. Raises: Refused."""
        found = previews.kept(self.desk.previews, assignment)
        if found is None or str(found.event) != event:
            raise Refused("this preview is not there any more: it was made, or a newer one took its place. Look again.", 409)
        try:
            orders.order(self.ledger, found, reason, self.desk.clock(), by)
        except LedgerError as e:
            raise Refused(str(e)) from None

    def _open_order(self) -> Order | None:
        return orders.open_order(self.desk.regrades.events())

    @property
    def _max_z(self) -> float:
        return self.desk.policy.evidence.max_residual_z

    def _preview(self, p: previews.Preview, names: dict[str, str]) -> PreviewView:
        since = self.ledger.events(p.event, inputs.CHANGES, limit=_ALL)
        is_fresh = not any(e.payload.get("assignment") == p.assignment for e in since if e.kind == "attempt.received")
        return regrades.preview_view(self.desk.catalog, p, names, is_fresh)

    def _asked(self) -> tuple[Asked, ...]:
        found = reviews.waiting(self.ledger, self.desk.wishes)
        names = roll.names_of(self.ledger, [str(e.subject) for e, _ in found])
        return tuple(Asked(e.id, names.get(str(e.subject), str(e.subject)), str(e.subject), wish) for e, wish in found)

    def _missing(self, cohort: str) -> tuple[Missing, ...]:
        now = self.desk.clock()
        found = []
        for a in self.desk.catalog.assignments:
            if a.due is not None and now - _LATELY < a.due < now + _SOON:
                without = roll.without(self.ledger, cohort, a.id, stuck.N_SHOWN)
                found.append(stuck.missing(self.desk.catalog, a.id, without, a.due < now))
        return tuple(m for m in found if m)

    def _survey(self, cohort: str) -> Survey | None:
        chosen = self._chosen(cohort)
        return self.desk.surveys.newest(chosen) if chosen is not None else None

    def _chosen(self, cohort: str) -> str | None:
        return roll.chosen(cohort, roll.cohorts(self.ledger))

    def _choices(self, survey: Survey) -> tuple[Choice, ...]:
        return self._cohorts(survey.cohort)

    def _cohorts(self, chosen: str) -> tuple[Choice, ...]:
        known = roll.cohorts(self.ledger)
        return tuple(Choice(c, "?" + urlencode({"cohort": c}), c == chosen) for c in known) if len(known) > 1 else ()
