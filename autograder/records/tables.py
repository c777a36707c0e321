"""Questions about everybody: the cohort table (one set-based query) and the event log."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Subquery, and_, case, func, select

from autograder.grading.verdict import Status
from autograder.records import schema as t
from autograder.records.model import CohortRow, Event
from autograder.records.standing import NEWEST_SCORED_FIRST, bound


def cohort_table(
    db: Connection, cohort: str | None, assignment: str | None, as_of: int | None, among: Sequence[str] | None = None
) -> list[CohortRow]:
    """Return the latest attempt of everyone at everything, ordered by pseudonym, then assignment."""
    # One flow along indexes, attempt -> grading -> verdict: joined to the standing verdicts as a table of their own,
    # SQLite compares every attempt with every other (measured: 60 s for 300 students and 12 assignments).
    r, g = _ranked(latest(cohort, assignment, as_of, among), as_of).c, t.grading.c
    who = (r.pseudonym, r.cohort, r.assignment, r.n_attempts, r.id, r.received_at, r.newest, g.error)
    totals = (func.coalesce(func.sum(r.points), 0.0), func.coalesce(func.sum(r.max_points), 0.0), func.count(r.exercise))
    counts = [func.count(case((r.status == status.value, 1))) for status in (Status.PASS, Status.SKIPPED, Status.INFRA)]
    query = (
        select(*who[:6], r.newest.is_not(None), *totals, *counts, func.coalesce(g.error, ""))
        .outerjoin(t.grading, g.event == r.newest)
        .where(r.place == 1)
        .group_by(*who)
        .order_by(r.pseudonym, r.assignment)
    )
    return [CohortRow(*row) for row in db.execute(query)]


def events(db: Connection, after: int, kinds: list[str], subject: str | None, limit: int) -> list[Event]:
    """Return at most `limit` events after the given number, in order; of the given kinds and subject, if any."""
    e = t.event.c
    query = select(e.id, e.kind, e.at, e.actor, e.subject, e.payload).where(e.id > after).order_by(e.id).limit(limit)
    if kinds:
        query = query.where(e.kind.in_(kinds))
    if subject is not None:
        query = query.where(e.subject == subject)
    return [Event(*row) for row in db.execute(query)]


def latest(cohort: str | None, assignment: str | None, as_of: int | None, among: Sequence[str] | None = None) -> Subquery:
    """Attempts, with their place from the newest and the number of attempts of that student at that assignment."""
    a, who = t.attempt.c, t.student.c
    window = (a.pseudonym, a.assignment)
    age = func.row_number().over(partition_by=window, order_by=(a.received_at.desc(), a.event.desc()))
    total = func.count().over(partition_by=window)
    query = (
        select(a.id, a.pseudonym, who.cohort, a.assignment, a.received_at, age.label("age"), total.label("n_attempts"))
        .join(t.student, a.pseudonym == who.pseudonym)
        .where(a.event <= bound(as_of))
    )
    if cohort is not None:
        query = query.where(who.cohort == cohort)
    if assignment is not None:
        query = query.where(a.assignment == assignment)
    if among is not None:
        query = query.where(a.pseudonym.in_(among))
    return query.subquery()


def _ranked(attempts: Subquery, as_of: int | None) -> Subquery:
    """Every verdict on the newest attempts; those with place 1 stand. An attempt without verdicts has one row."""
    a, g, v = attempts.c, t.grading.c, t.verdict.c
    place = func.row_number().over(partition_by=(a.id, v.exercise), order_by=NEWEST_SCORED_FIRST)
    newest = func.max(g.event).over(partition_by=a.id)
    return (
        select(a.pseudonym, a.cohort, a.assignment, a.n_attempts, a.id, a.received_at, newest.label("newest"))
        .add_columns(v.exercise, v.status, v.points, v.max_points, place.label("place"))
        .outerjoin(t.grading, and_(g.attempt == a.id, g.event <= bound(as_of)))
        .outerjoin(t.verdict, v.grading == g.event)
        .where(a.age == 1)
        .subquery()
    )
