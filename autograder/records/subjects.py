"""One person's data out of the ledger; or one person's name and texts gone from it, with the chain of facts unbroken.

What an erasure removes: the name, the texts that may hold personal data (what programs printed, errors, hints, notes,
remarks), names of files, and the bytes that nobody else handed in too. What stays: pseudonymous facts, which the hash
chain proves, and an event that says that an erasure was made. The guards of the two tables that hold texts are lifted
for it, and only here, inside the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, text, update

from autograder.records import database
from autograder.records import schema as t
from autograder.records.append import add_event
from autograder.records.blobs import Blobs
from autograder.records.ledger import Ledger
from autograder.records.model import LedgerError, Student
from autograder.records.remarks import remarks_of

ERASED = "subject.erased"


@dataclass(frozen=True)
class Erased:
    """What an erasure removed."""

    event: int
    pseudonym: str
    n_attempts: int
    n_blobs: int


def export_subject(ledger: Ledger, name: str) -> dict[str, Any]:
    """Return everything that is kept about the person, as JSON data; bytes by their hash. Raises: LedgerError."""
    student = _known(ledger, name)
    events = _events(ledger, student.pseudonym)
    texts = remarks_of(ledger, [e["id"] for e in events])
    return {
        "name": name,
        **asdict(student),
        "events": [{**e, **({"remark": texts[e["id"]]} if e["id"] in texts else {})} for e in events],
        "attempts": [
            {**asdict(a), "files": ledger.files(a.id), "gradings": [asdict(g) for g in ledger.gradings(a.id)]}
            for a in ledger.attempts(student.pseudonym)
        ],
        "results": [
            {"attempt": r.attempt.id, "number": r.number, "verdicts": [v.as_json() for v in r.verdicts]}
            for result in ledger.results(student.pseudonym)
            for r in result.attempts
        ],
        "first_tries": [asdict(f) for f in ledger.first_tries(pseudonym=student.pseudonym)],
    }


def erase(ledger: Ledger, blobs: Blobs, name: str, at: datetime, actor: str) -> Erased:
    """Forget the person; see this module. Raises: LedgerError when nobody bears the name."""
    student = _known(ledger, name)
    p = student.pseudonym
    mine = select(t.attempt.c.id).where(t.attempt.c.pseudonym == p)
    with ledger.writing() as db:
        database.overwrite_deleted(db)
        hashes = _only_theirs(db, p)
        n_attempts = len(db.execute(mine).all())
        db.execute(delete(t.identity).where(t.identity.c.pseudonym == p))
        db.execute(delete(t.attempt_file).where(t.attempt_file.c.attempt.in_(mine)))
        db.execute(delete(t.remark).where(t.remark.c.event.in_(select(t.event.c.id).where(t.event.c.subject == p))))
        gradings = select(t.grading.c.event).where(t.grading.c.attempt.in_(mine))
        with _lifted(db, "grading"), _lifted(db, "verdict"):
            db.execute(update(t.grading).where(t.grading.c.attempt.in_(mine)).values(error="", notes=[], output=""))
            v = t.verdict.c
            for row in db.execute(select(v.grading, v.exercise, v.checks).where(v.grading.in_(gradings))).all():
                checks = [{**c, "hint": ""} for c in row.checks]
                one = (v.grading == row.grading, v.exercise == row.exercise)
                db.execute(update(t.verdict).where(*one).values(hint="", notes=[], checks=checks))
        payload = {"removed": ["name", "texts", "files", "bytes"], "n_attempts": n_attempts, "n_blobs": len(hashes)}
        event = add_event(db, ERASED, at, actor, p, payload)
    with ledger.reading() as db:
        engine = db.engine
    database.empty_journal(engine)
    # After the commit: bytes that the log still needs must never go first.
    return Erased(event, p, n_attempts, sum(blobs.remove(h) for h in hashes))


def _known(ledger: Ledger, name: str) -> Student:
    student = ledger.student(name)
    if student is None:
        raise LedgerError(f'nobody is enrolled as "{name}". Names are compared exactly; or they are erased already.')
    return student


def _events(ledger: Ledger, pseudonym: str) -> list[dict[str, Any]]:
    found, last = [], 0
    while batch := ledger.events(last, subject=pseudonym):
        found += [asdict(e) for e in batch]
        last = batch[-1].id
    return found


def _only_theirs(db: Connection, pseudonym: str) -> list[str]:
    """Hashes of bytes that this person handed in and nobody else did."""
    theirs, others = set[str](), set[str]()
    f = t.attempt_file.c
    for query in (
        select(t.attempt.c.pseudonym, t.attempt.c.sha256),
        select(t.attempt.c.pseudonym, f.sha256).join(t.attempt, t.attempt.c.id == f.attempt),
    ):
        for who, sha256 in db.execute(query):
            (theirs if who == pseudonym else others).add(sha256)
    return sorted(theirs - others)


@contextmanager
def _lifted(db: Connection, table: str) -> Iterator[None]:
    """Lift the guard against UPDATE of one table inside the caller's transaction, and put the very same one back."""
    if db.dialect.name == "sqlite":
        name = f"{table}_no_update"
        sql = db.execute(text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :n"), {"n": name}).scalar_one()
        db.execute(text(f"DROP TRIGGER {name}"))
        yield
        db.exec_driver_sql(sql)
    else:
        db.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER {table}_append_only"))
        yield
        db.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER {table}_append_only"))
