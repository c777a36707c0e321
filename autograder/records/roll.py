"""A ledger in; which cohorts there are and who bears a pseudonym out. One short query each, however many are enrolled."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from autograder.records import schema as t
from autograder.records.ledger import Ledger
from autograder.records.model import CohortRow, Student
from autograder.records.tables import cohort_table


def cohorts(ledger: Ledger) -> list[str]:
    """Return the cohorts, the one that somebody joined last first."""
    s = t.student.c
    query = select(s.cohort).group_by(s.cohort).order_by(func.max(s.joined_at).desc(), s.cohort.desc())
    with ledger.reading() as db:
        return list(db.execute(query).scalars())


def known_as(ledger: Ledger, pseudonym: str) -> tuple[Student, str] | None:
    """Return the student of this pseudonym and their name (the pseudonym where the name is erased); None for nobody."""
    s = t.student.c
    with ledger.reading() as db:
        row = db.execute(select(s.pseudonym, s.cohort, s.joined_at, s.left_at).where(s.pseudonym == pseudonym)).first()
        if row is None:
            return None
        name = db.execute(select(t.identity.c.name).where(t.identity.c.pseudonym == pseudonym)).scalar()
    return Student(*row), name or pseudonym


def names_of(ledger: Ledger, pseudonyms: Sequence[str]) -> dict[str, str]:
    """Return pseudonym -> name of these students."""
    i = t.identity.c
    with ledger.reading() as db:
        return {r.pseudonym: r.name for r in db.execute(select(i.pseudonym, i.name).where(i.pseudonym.in_(pseudonyms)))}


def newest_of(ledger: Ledger, pseudonyms: Sequence[str], as_of: int | None = None) -> list[CohortRow]:
    """Return the latest attempt of these students at every assignment."""
    with ledger.reading() as db:
        return cohort_table(db, None, None, as_of, pseudonyms)
