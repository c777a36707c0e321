"""What handlers work with: the course, its ledger and a clock in; page models out. No HTTP here, and no template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from autograder.course import Course, load
from autograder.errors import CourseError
from autograder.grading.passed import Stamps
from autograder.home import BACKED_UP, PREVIEWS
from autograder.home import TRANSCRIPT_KEYS as KEYS
from autograder.pages import student, wording
from autograder.pages.catalog import Catalog
from autograder.pages.cohort import Lines, View, cohort_page
from autograder.pages.models import AssignmentCard, AttemptPage, CohortPage, GradingPage, Snapshot
from autograder.pages.organizers.timeline import OF_COHORT, VIEWED
from autograder.pages.standing import Queued
from autograder.pages.wording import Mark, Moment
from autograder.progress import Policy, inviting, load_policy
from autograder.progress.decisions import APPEALED, HEARD
from autograder.progress.shortlist import Candidate
from autograder.records import AssignmentResult, AttemptResult, Blobs, Event, ExerciseTimes, Ledger, roll
from autograder.records.following import Following
from autograder.records.regrading import UNDONE
from autograder.regrades import orders
from autograder.service import disputes, grading
from autograder.service.background import NotYetError, OwnProcess, Surveys
from autograder.service.exchange import Exchange, Refused
from autograder.survey import take
from autograder.transcripts.keys import Keys

_LONG_S = 60.0

Cards = tuple[AssignmentCard | None, tuple[AssignmentCard, ...]]


def exchange_of(course: Course, ledger: Ledger, state: Path, clock: Callable[[], datetime]) -> Exchange:
    """Return the exchange of a running course; `state` is the home's folder."""
    return Exchange(course, ledger, Blobs(state / "blobs"), Stamps(state / "gate"), clock)


@dataclass(frozen=True)
class Desk:
    """Everything a page may ask for. All methods read the database and block: call them from a thread."""

    catalog: Catalog
    ledger: Ledger
    clock: Callable[[], datetime]
    policy: Policy
    surveys: Surveys
    exchange: Exchange
    keys: Keys
    previews: Path
    backed_up: Path
    wishes: Following
    decided: Following
    regrades: Following
    _candidates: dict[int, tuple[Candidate, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, course: Course, ledger: Ledger, clock: Callable[[], datetime], state: Path, url: str = "", policy: Policy | None = None
    ) -> Desk:
        """Return a desk of this course; `state` is the home's folder.

        With the ledger's `url` surveys are taken in processes of their own; without it in a thread, and pages wait for them.
        """
        policy = policy or load_policy()
        exchange = exchange_of(course, ledger, state, clock)
        here = partial(take, ledger)
        surveys = Surveys(course, ledger, policy, clock, *((OwnProcess(url),) if url else (here, _LONG_S)))
        catalog = Catalog(course, exchange.extensions.all)
        return cls(
            catalog,
            ledger,
            clock,
            policy,
            surveys,
            exchange,
            Keys(state / KEYS),
            state / PREVIEWS,
            state / BACKED_UP,
            Following(ledger, (APPEALED, HEARD)),
            Following(ledger, OF_COHORT),
            Following(ledger, (*orders.KINDS, UNDONE)),
        )

    def candidates(self, evaluation: Event) -> tuple[Candidate, ...]:
        """Return who may be invited by a recorded evaluation; ten thousand rows of the log are read once."""
        if evaluation.id not in self._candidates:
            self._candidates.clear()
            self._candidates[evaluation.id] = inviting.candidates(self.ledger, evaluation)
        return self._candidates[evaluation.id]

    def reload(self) -> None:
        """Take course.toml as it is now; while it cannot be read the old one holds, and the Grading page says why."""
        try:
            course = load(self.exchange.course.root)
        except CourseError as e:
            self.catalog.problem = str(e)
            return
        self.exchange.course = course
        self.catalog.use(course)
        self.surveys.use(course)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.ledger.last_event(), Moment.of(self.clock()))

    def own_attempt(self, name: str, attempt_id: str) -> AttemptPage | None:
        """Return the page of one attempt, None when there is none or it is somebody else's."""
        found = self.ledger.student(name)
        return self.attempt(found.pseudonym, name, attempt_id) if found else None

    def looked_at(self, pseudonym: str, viewer: str, page: dict[str, str]) -> None:
        """Record that the viewer looks at a person, before the page is made: what cannot be recorded is not shown."""
        self.ledger.record(VIEWED, self.clock(), viewer, pseudonym, page)

    def attempt_for(self, pseudonym: str, attempt_id: str, viewer: str) -> AttemptPage | None:
        """Return one student's attempt, and record that it was looked at; None when there is no such student or attempt."""
        found = roll.known_as(self.ledger, pseudonym)
        if found is None:
            return None
        self.looked_at(pseudonym, viewer, {"page": "attempt", "attempt": attempt_id})
        return self.attempt(pseudonym, found[1], attempt_id)

    def attempt(self, pseudonym: str, name: str, attempt_id: str) -> AttemptPage | None:
        """Return the page of one attempt of this student, None when the student has no such attempt."""
        snapshot = self.snapshot()
        for result in self.ledger.results(pseudonym):
            for attempt in result.attempts:
                if attempt.attempt.id == attempt_id:
                    states = Queued.of(self.ledger, result.attempts)
                    view = student.attempt_view(self.catalog, result, attempt, states, (name, pseudonym))
                    others = tuple(student.link(a, states) for a in reversed(result.attempts) if a is not attempt)
                    return AttemptPage(name, self.catalog.name(result.assignment), view, len(result.attempts), others, snapshot)
        return None

    def own_state(self, name: str, attempt_id: str) -> tuple[Mark, int] | None:
        """Return where one own attempt stands, and after how many seconds to ask again (0: it is settled)."""
        found, attempt = self.ledger.student(name), self.ledger.attempt(attempt_id)
        if found is None or attempt is None or attempt.pseudonym != found.pseudonym:
            return None
        # The cheap question first: a page that waits asks it every few seconds.
        job = self.ledger.queue.status(attempt_id)
        waiting = AttemptResult(attempt, 0, ())
        states = Queued({attempt_id: job} if job else {})
        if job is not None and job.state in ("queued", "running"):
            return states.mark(waiting), states.pause_s(waiting)
        return wording.GRADED, 0

    def dispute(self, name: str, attempt_id: str, exercise: str, why: str) -> None:
        """Record that a student thinks a verdict is wrong. Raises: Refused."""
        found = self.ledger.student(name)
        results = self.ledger.results(found.pseudonym) if found else []
        attempt = next((a for r in results for a in r.attempts if a.attempt.id == attempt_id), None)
        if found is None or attempt is None or exercise not in {v.exercise for v in attempt.verdicts}:
            raise Refused("there is no such result of yours.", 404)
        disputes.file(self.ledger, found.pseudonym, attempt_id, exercise, why, self.clock())

    def cards(self, results: Sequence[AssignmentResult], names: Sequence[str]) -> Cards:
        """Return one student's cards: of what was handed in last, and of everything else."""
        states = Queued.of(self.ledger, [a for r in results for a in r.attempts])
        return student.cards(self.catalog.settled(), results, states, names, self.clock())

    def cohort(self, cohort: str, order: str, part: int) -> CohortPage | None:
        """Return the page of a cohort ("" is the newest), None when there is no such cohort. Raises: NotYetError."""
        known = roll.cohorts(self.ledger)
        if (chosen := roll.chosen(cohort, known)) is None:
            return None
        survey, names = self.surveys.newest(chosen), self.ledger.names(chosen)
        lines = Lines.of(View(chosen, order, part), names, survey.report)
        rows = roll.newest_of(self.ledger, lines.shown)
        return cohort_page(self.catalog, lines, roll.left(self.ledger, lines.shown), known, rows, survey, self.policy)

    def grading(self) -> GradingPage:
        """Return the instructors' page of grading."""
        snapshot = self.snapshot()
        dead = self.ledger.queue.dead_letters()
        attempts = {job.attempt: a for job in dead if (a := self.ledger.attempt(job.attempt))}
        filed, n_disputed = disputes.filed(self.ledger, grading.SHOWN)
        times, releases = self._times(), self.exchange.releases()
        return grading.grading_page(
            self.ledger.queue.stats(), dead, attempts, filed, n_disputed, times, releases, self.catalog.problem, snapshot
        )

    def _times(self) -> Sequence[ExerciseTimes]:
        """Return what grading cost as of the newest survey; nothing while the first one is taken."""
        cohorts = roll.cohorts(self.ledger)
        try:
            return self.surveys.newest(cohorts[0]).times if cohorts else ()
        except NotYetError:
            return ()

    def retry(self, attempt_id: str, by: str) -> bool:
        """Give a dead letter all its tries again; False when there is none of that attempt."""
        return self.ledger.retry(attempt_id, self.clock(), by)
