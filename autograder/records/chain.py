"""The log in, a hash per event out, so that whoever rewrites the past is found: one chain per cohort.

How it works. A link hashes its event, the rows that the event explains (attempt; grading and verdicts; enrolment) and
the link before it in the same cohort. Events of no student form a chain of their own, "". Links are written at the end
of every write transaction, for all events that have none, so no way of appending can forget them.

What it covers: every fact. What it leaves out: texts that may hold personal data (what a program printed, hints, notes),
because they may have to be erased. What it cannot see: that the newest events were cut off. Write the head down
(`bootcamp ledger verify` prints it) and give it back later with --expect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from autograder.records import schema as t

_ROWS_OF = {
    "attempt.received": (t.attempt,),
    "attempt.graded": (t.grading, t.verdict),
    "grading.restored": (t.grading, t.verdict),
    "student.enrolled": (t.student,),
}
_TABLES = (t.attempt, t.grading, t.verdict, t.student)
# Columns whose text may have to be erased, and one that may change.
NOT_FACTS = {
    t.grading.name: ("error", "notes", "output"),
    t.verdict.name: ("hint", "notes"),
    t.student.name: ("left_at",),
}
_BATCH = 2000


@dataclass(frozen=True)
class Broken:
    """The first event whose link does not fit, and why."""

    event: int
    cohort: str
    why: str

    def __str__(self) -> str:
        return f'event {self.event} (cohort "{self.cohort}"): {self.why}'


@dataclass(frozen=True)
class Checked:
    """What a verification found. `heads` maps a cohort to its newest event and that one's hash."""

    n_events: int
    heads: Mapping[str, tuple[int, str]]
    broken: Broken | None = None


def seal(db: Connection) -> None:
    """Link every event that has no link yet; called inside the write transaction that appended them."""
    last = db.execute(select(func.max(t.link.c.event))).scalar() or 0
    heads: dict[str, str] = {}
    for batch in _batches(db, last):
        kinds = {row.kind for row in batch}
        tables = [table for table in _TABLES if any(table in _ROWS_OF.get(kind, ()) for kind in kinds)]
        facts = _facts(db, [row.id for row in batch], tables)
        links = []
        for row in batch:
            cohort = row.cohort or ""
            before = heads[cohort] if cohort in heads else _head(db, cohort)
            hashed = facts.get(row.id, "")
            heads[cohort] = _hash(before, row, hashed)
            links.append({"event": row.id, "cohort": cohort, "facts": hashed, "hash": heads[cohort]})
        db.execute(insert(t.link), links)


def verify(db: Connection) -> Checked:
    """Compute every chain anew and compare; stop at the first event that does not fit."""
    heads: dict[str, tuple[int, str]] = {}
    n, expected_id = 0, None
    for batch in _batches(db, 0):
        ids = [row.id for row in batch]
        facts = _facts(db, ids, _TABLES)
        links = {row.event: row for row in db.execute(select(t.link).where(t.link.c.event.between(ids[0], ids[-1])))}
        for row in batch:
            n += 1
            cohort, link = row.cohort or "", links.get(row.id)
            why = _mismatch(row, link, cohort, heads.get(cohort, (0, ""))[1], facts.get(row.id, ""))
            if why:
                return Checked(n, heads, Broken(row.id, link.cohort if link else cohort, why))
            heads[cohort] = (row.id, link.hash)  # type: ignore[union-attr]
            expected_id = row.id
    orphan = db.execute(select(func.max(t.link.c.event))).scalar() or 0
    if orphan > (expected_id or 0):
        return Checked(n, heads, Broken(orphan, "", "its link is there, and the event is gone"))
    return Checked(n, heads)


def has_link(db: Connection, hashed: str) -> bool:
    """Whether this hash stands in some chain."""
    return db.execute(select(t.link.c.event).where(t.link.c.hash == hashed)).first() is not None


def _mismatch(row: Any, link: Any, cohort: str, before: str, facts: str) -> str:
    if link is None:
        return "it has no link: it was written past the ledger's door"
    if link.cohort != cohort:
        return f'it was linked into cohort "{link.cohort}", and its subject is in "{cohort}" now'
    if link.facts != facts:
        return f"the rows of {row.kind} were changed, added or removed"
    if link.hash != _hash(before, row, facts):
        return "the event itself, or one before it, was changed or removed"
    return ""


def _batches(db: Connection, after: int) -> Iterator[Sequence[Any]]:
    e = t.event.c
    columns = (e.id, e.kind, e.at, e.actor, e.subject, e.payload, t.student.c.cohort)
    query = select(*columns).outerjoin(t.student, t.student.c.pseudonym == e.subject).order_by(e.id).limit(_BATCH)
    while rows := db.execute(query.where(e.id > after)).all():
        yield rows
        if len(rows) < _BATCH:
            return
        after = rows[-1].id


def _facts(db: Connection, ids: Sequence[int], tables: Sequence[Table]) -> dict[int, str]:
    found: dict[int, list[Any]] = {}
    for table in tables:
        key = table.c.grading if table is t.verdict else table.c.event
        names = [c.name for c in table.columns if c.name not in NOT_FACTS.get(table.name, ())]
        order = [key, *(c for c in table.primary_key if c is not key)]
        query = select(*(table.c[n] for n in names)).where(key.between(ids[0], ids[-1])).order_by(*order)
        for row in db.execute(query).mappings():
            found.setdefault(row[key.name], []).append([table.name, {n: _plain(n, row[n]) for n in names}])
    return {event: hashlib.sha256(_canonical(rows)).hexdigest() for event, rows in found.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if name == "checks":
        return [{k: v for k, v in check.items() if k != "hint"} for check in value]
    return value


def _head(db: Connection, cohort: str) -> str:
    query = select(t.link.c.hash).where(t.link.c.cohort == cohort).order_by(t.link.c.event.desc()).limit(1)
    return db.execute(query).scalar() or ""


def _hash(before: str, row: Any, facts: str) -> str:
    at = row.at.astimezone(UTC).isoformat()
    return hashlib.sha256(_canonical([before, row.id, row.kind, at, row.actor, row.subject, row.payload, facts])).hexdigest()


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
