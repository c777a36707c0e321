"""Names and pseudonyms: who is enrolled, under which pseudonym the log knows them. Names stay in `identity`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from autograder.records import schema as t
from autograder.records.append import add_event
from autograder.records.model import LedgerError, Student
from autograder.records.standing import bound


def enrol(db: Connection, name: str, cohort: str, at: datetime, pseudonym: str, actor: str) -> str:
    """Enrol the name under the pseudonym, or return the pseudonym that it has. Raises: LedgerError on another cohort."""
    if not name or not cohort:
        raise LedgerError(f"cannot enrol {name!r} in cohort {cohort!r}: neither may be empty.")
    if (old := named(db, name)) is not None:
        if old.cohort != cohort:
            raise LedgerError(f'"{name}" is enrolled in cohort "{old.cohort}", not "{cohort}". A name belongs to one cohort.')
        return old.pseudonym
    event = add_event(db, "student.enrolled", at, actor, pseudonym, {"cohort": cohort})
    db.execute(insert(t.student).values(pseudonym=pseudonym, cohort=cohort, joined_at=at, event=event))
    db.execute(insert(t.identity).values(name=name, pseudonym=pseudonym))
    return pseudonym


def leave(db: Connection, pseudonym: str, at: datetime, actor: str) -> int:
    """Record that the student left; return the event. Raises: LedgerError when there is no such student."""
    done = db.execute(update(t.student).where(t.student.c.pseudonym == pseudonym).values(left_at=at))
    if done.rowcount != 1:
        raise LedgerError(f'no student "{pseudonym}" is enrolled.')
    return add_event(db, "student.left", at, actor, pseudonym, {})


def named(db: Connection, name: str) -> Student | None:
    """Return who bears the name."""
    row = db.execute(_students().join(t.identity).where(t.identity.c.name == name)).first()
    return Student(*row) if row else None


def students(db: Connection, cohort: str | None, as_of: int | None) -> list[Student]:
    """Return everyone, or everyone of one cohort, who was enrolled by then, by pseudonym."""
    query = _students().where(t.student.c.event <= bound(as_of)).order_by(t.student.c.pseudonym)
    if cohort is not None:
        query = query.where(t.student.c.cohort == cohort)
    return [Student(*row) for row in db.execute(query)]


def names(db: Connection, cohort: str | None) -> dict[str, str]:
    """Return pseudonym -> name."""
    query = select(t.identity.c.pseudonym, t.identity.c.name).join(t.student)
    if cohort is not None:
        query = query.where(t.student.c.cohort == cohort)
    return {row.pseudonym: row.name for row in db.execute(query)}


def _students() -> Select[Any]:
    s = t.student.c
    return select(s.pseudonym, s.cohort, s.joined_at, s.left_at)
