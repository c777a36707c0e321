"""A running service in; what organizers, instructors and students did in the term out: done on its pages, as they do it.

An evaluation is recorded, then the shortlist of a date; who could be invited with the most seats is confirmed and who was drawn is
deferred, each with a reason. Students ask for a person, one gets more time, one has a transcript. Only the preview of a regrade is
written beside the service, as `bootcamp regrade` does: its verdicts are made up as the term's are, for nothing can be replayed.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

from sqlalchemy import select

from autograder.bench.term import BUILD, COHORT, Size, end_of, name_of, pseudonym_of
from autograder.course import Course
from autograder.grading.verdict import Graded, Status
from autograder.pages.organizers.flags import ALPHAS, SEATS
from autograder.progress.policy import load_policy
from autograder.records import Attempt, Ledger
from autograder.records import schema as t
from autograder.records.regrading import Change, Regrade
from autograder.regrades import previews

_STUDENT = re.compile(r'cohort/student/(\w+)"')
# A token gets no form, and so no field of one.
_EVALUATION = re.compile(r"evaluation (\d+) of ")
_CODE = re.compile(r"verify/([0-9A-Za-z_-]+)")
HOLDER, _N_WISHES, _STUCK_EVERY = 7, 12, 40

# (who, method, path, form) -> (status, body)
Ask = Callable[[str, str, str, Sequence[tuple[str, str]]], tuple[int, bytes]]


@dataclass(frozen=True)
class Deeds:
    """What addresses hold after the term: a decision date, who is confirmed, and one student's transcript."""

    day: str
    confirmed: tuple[str, ...]
    holder: str
    code: str


def do(ask: Ask, course: Course, size: Size) -> Deeds:
    """Do it all, once: a term whose student has a transcript was lived already. Raises: RuntimeError when something is refused."""
    holder, day = name_of(HOLDER), f"{end_of(course):%Y-%m-%d}"
    doing = _Doing(ask)
    if not _CODE.search(doing.read(holder, "me/transcripts")):
        doing.decide(day)
        doing.ask_for_help(size)
        doing.extend(course)
        assignments = [("assignment", a.id) for a in list(course)[:4]]
        doing.post(holder, "me/transcripts", ("name", "Ada of the bench"), *assignments)
    found = _CODE.search(doing.read(holder, "me/transcripts"))
    confirmed = re.findall(r'mentees/(\w+)"', doing.read("mentor", "mentees"))
    if found is None or not confirmed:
        raise RuntimeError("the term was lived, and there is no transcript, or nobody is confirmed")
    return Deeds(day, tuple(confirmed), holder, found.group(1))


@dataclass(frozen=True)
class _Doing:
    ask: Ask

    def read(self, who: str, path: str) -> str:
        status, body = self.ask(who, "GET", path, ())
        if status != http.client.OK:
            raise RuntimeError(f"{path} as {who}: {status}")
        return body.decode()

    def post(self, who: str, path: str, *form: tuple[str, str]) -> None:
        status, body = self.ask(who, "POST", path, form)
        if status != http.client.SEE_OTHER:
            raise RuntimeError(f"{path} as {who}: {status}, {body[:300]!r}")

    def decide(self, day: str) -> None:
        """Record what the tracker says and the shortlist of the date; confirm and defer."""
        self.post("organizer", "flags/evaluate", ("cohort", COHORT))
        asked = urlencode({"cohort": COHORT, "date": day})
        page = self.read("organizer", f"flags/shortlist?{asked}")
        found = _EVALUATION.search(page)
        if found is None:
            raise RuntimeError("the shortlist names no evaluation")
        rule = load_policy().shortlist
        likely = _STUDENT.findall(self.read("organizer", f"flags/list?alpha={ALPHAS[-1]}&seats={SEATS[-1]}"))
        drawn = _STUDENT.findall(page)[-round(rule.explore_share * rule.seats) :]
        form = (("cohort", COHORT), ("date", day), ("evaluation", found.group(1)))
        self.post("organizer", "flags/shortlist", *form)
        for words, people in (("confirm", likely), ("defer", [p for p in drawn if p not in likely])):
            for who in people:
                reason = f"To {words}: looked at the notebooks, and talked to the mentors."
                self.post("organizer", f"cohort/student/{quote(who)}/review", ("decision", words), ("reason", reason))

    def ask_for_help(self, size: Size) -> None:
        """Let some students ask that a person look."""
        for s in range(0, size.n_students, max(1, size.n_students // _N_WISHES)):
            why = "My answer is right on paper, and I do not see what the check wants: could somebody look?"
            self.post(name_of(s), "me/progress/wish", ("wish", "review"), ("assignment", "a01_topic"), ("why", why))

    def extend(self, course: Course) -> None:
        """Give one student more time."""
        until = f"{end_of(course) + timedelta(days=7):%Y-%m-%dT%H:%M}"
        form = (("assignment", list(course)[-1].id), ("until", until), ("reason", "Was ill for a week."))
        self.post("instructor", f"teaching/roster/{pseudonym_of(HOLDER)}/extend", *form)


def try_again(ledger: Ledger, size: Size, assignment: str, at: datetime) -> None:
    """Let some students hand in a last time, which changes nothing: who failed twice is stuck then."""
    for s in range(0, size.n_students, _STUCK_EVERY):
        for result in ledger.results(pseudonym_of(s), assignment):
            sha256 = f"{s:064x}"
            again = Attempt.of(pseudonym_of(s), assignment, sha256, at)
            ledger.append(again, Graded(assignment, sha256, result.latest.verdicts, BUILD, "B"), at + timedelta(seconds=4))


def preview(ledger: Ledger, folder: Path, assignment: str, exercise: str) -> None:
    """Keep the preview of a regrade after which everybody passes this exercise."""
    a, g, v = t.attempt.c, t.grading.c, t.verdict.c
    query = (
        select(a.id, a.pseudonym, v.status, v.points, v.max_points)
        .join(t.grading, g.attempt == a.id)
        .join(t.verdict, v.grading == g.event)
        .where(a.assignment == assignment, v.exercise == exercise)
        .order_by(g.event)
    )
    with ledger.reading() as db:
        rows = db.execute(query).all()
    failed = [r for r in rows if r.status != Status.PASS.value]
    changes = tuple(Change(r.id, r.pseudonym, exercise, r.status, "pass", r.points, r.max_points) for r in failed)
    found = Regrade(0, len(rows), len(changes), 0, changes, ())
    now, event = datetime.now(UTC), ledger.last_event()
    flips = [previews.Flip(p, "none", "watch") for p in dict.fromkeys(c.pseudonym for c in changes[:20])]
    previews.keep(folder, previews.preview_of(found, assignment, "never-lower", BUILD, 0, flips, now, "bench", event))
