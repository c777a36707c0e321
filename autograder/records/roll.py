"""A ledger in; which cohorts there are and who bears a pseudonym out. One short query each, however many are enrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, func, or_, select

from autograder.records import schema as t
from autograder.records.ledger import Ledger
from autograder.records.model import CohortRow, Student
from autograder.records.tables import cohort_table

_LEAST_OF_PSEUDONYM = 6  # fewer letters of one are in many


def cohorts(ledger: Ledger) -> list[str]:
    """Return the cohorts, the one that somebody joined last first."""
    s = t.student.c
    query = select(s.cohort).group_by(s.cohort).order_by(func.max(s.joined_at).desc(), s.cohort.desc())
    with ledger.reading() as db:
        return list(db.execute(query).scalars())


def chosen(cohort: str, known: Sequence[str]) -> str | None:
    """Return which of the known cohorts is meant ("" is the newest), None when there is no such one."""
    return None if cohort and cohort not in known else cohort or (known[0] if known else "")


def known_as(ledger: Ledger, pseudonym: str) -> tuple[Student, str] | None:
    """Return the student of this pseudonym and their name (the pseudonym where the name is erased); None for nobody."""
    s = t.student.c
    with ledger.reading() as db:
        row = db.execute(select(s.pseudonym, s.cohort, s.joined_at, s.left_at).where(s.pseudonym == pseudonym)).first()
        if row is None:
            return None
        name = db.execute(select(t.identity.c.name).where(t.identity.c.pseudonym == pseudonym)).scalar()
    return Student(*row), name or pseudonym


def left(ledger: Ledger, pseudonyms: Sequence[str]) -> set[str]:
    """Return who of these has left."""
    s = t.student.c
    with ledger.reading() as db:
        return set(db.execute(select(s.pseudonym).where(s.pseudonym.in_(pseudonyms), s.left_at.is_not(None))).scalars())


def names_of(ledger: Ledger, pseudonyms: Sequence[str]) -> dict[str, str]:
    """Return pseudonym -> name of these students."""
    i = t.identity.c
    with ledger.reading() as db:
        return {r.pseudonym: r.name for r in db.execute(select(i.pseudonym, i.name).where(i.pseudonym.in_(pseudonyms)))}


@dataclass(frozen=True)
class Roll:
    """One part of the roll: (student, name) in the order of names, and how many there are in all."""

    n: int
    lines: tuple[tuple[Student, str], ...]


def enrolled(ledger: Ledger, cohort: str, like: str, first: int, n: int) -> Roll:
    """Return the students of a cohort whose name holds the text, or whose pseudonym begins with it; from `first`, at most n."""
    query = _named(cohort)
    if like:
        found = [t.identity.c.name.icontains(like, autoescape=True)]
        if len(like) >= _LEAST_OF_PSEUDONYM:
            found.append(t.student.c.pseudonym.startswith(like, autoescape=True))
        query = query.where(or_(*found))
    return _part(ledger, query, first, n)


def without(ledger: Ledger, cohort: str, assignment: str, n: int) -> Roll:
    """Return the students of a cohort, who have not left, without a hand-in at the assignment; at most n of them by name."""
    a, s = t.attempt.c, t.student.c
    query = _named(cohort).where(s.left_at.is_(None), ~exists().where(a.pseudonym == s.pseudonym, a.assignment == assignment))
    return _part(ledger, query, 0, n)


def _named(cohort: str) -> Select[Any]:
    s, i = t.student.c, t.identity.c
    query = select(s.pseudonym, s.cohort, s.joined_at, s.left_at, i.name).outerjoin(t.identity, i.pseudonym == s.pseudonym)
    return query.where(s.cohort == cohort)


def _part(ledger: Ledger, query: Select[Any], first: int, n: int) -> Roll:
    part = query.order_by(t.identity.c.name, t.student.c.pseudonym).offset(first).limit(n)
    with ledger.reading() as db:
        total = db.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        return Roll(total, tuple((Student(*row[:4]), row[4] or row[0]) for row in db.execute(part)))


def n_handed_in(ledger: Ledger, pseudonyms: Sequence[str]) -> dict[str, int]:
    """Return pseudonym -> at how many assignments something was handed in, of those with any."""
    a = t.attempt.c
    query = select(a.pseudonym, func.count(func.distinct(a.assignment))).where(a.pseudonym.in_(pseudonyms)).group_by(a.pseudonym)
    with ledger.reading() as db:
        return {row[0]: row[1] for row in db.execute(query)}


def newest_of(ledger: Ledger, pseudonyms: Sequence[str], as_of: int | None = None) -> list[CohortRow]:
    """Return the latest attempt of these students at every assignment."""
    with ledger.reading() as db:
        return cohort_table(db, None, None, as_of, pseudonyms)
