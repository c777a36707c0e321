"""Statements in, events and texts beside them out: issuing, finding by its address, withdrawing.

The payload of the event names the attempts and a hash of the secret, so that the address of a withdrawn transcript can still be
told from one that never was.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from autograder.errors import BootcampError
from autograder.records import AssignmentResult, Event, Ledger, database
from autograder.records import schema as t
from autograder.records.append import add_event
from autograder.records.regrading import regrades
from autograder.records.remarks import remarks_of
from autograder.transcripts.keys import Keys, Signature
from autograder.transcripts.statement import Line, Statement, clean_name, line, newest_graded

ISSUED, WITHDRAWN = "transcript.issued", "transcript.withdrawn"
MAX_LIVE, MAX_PER_DAY = 20, 40  # of one student
_CODE = re.compile(r"([1-9][0-9]{0,9})-([0-9A-Za-z_-]{22})")
_ALL = 10**6


class TranscriptError(BootcampError):
    """A wish that cannot be fulfilled; the message is for the student."""


@dataclass(frozen=True)
class Transcript:
    """One that stands. `attempts` maps assignments to the attempts that the statement speaks of."""

    event: int
    pseudonym: str
    statement: Statement
    text: str
    signature: Signature
    attempts: Mapping[str, str]


@dataclass(frozen=True)
class Gone:
    """One that was withdrawn by its holder, or went with their data."""


@dataclass(frozen=True)
class Changed:
    """A line whose attempt has other points by now. `reason` is a regrade's, "" where there was none (a late grading)."""

    title: str
    points_before: float
    points_after: float
    at: datetime | None
    reason: str


def issue(
    ledger: Ledger,
    keys: Keys,
    pseudonym: str,
    results: list[AssignmentResult],
    course: str,
    name: str,
    titles: Mapping[str, str],
    at: datetime,
) -> Transcript:
    """Sign what these results say now, under the name that the student chose ("" for none). Raises: TranscriptError."""
    found = {r.assignment: (r, x) for r in results if (x := line(r, titles))}
    if not found:
        raise TranscriptError("choose at least one assignment that is graded.")
    if len(of(ledger, pseudonym)) >= MAX_LIVE:
        raise TranscriptError(f"{MAX_LIVE} transcripts are kept at a time. Withdraw one that you no longer need.")
    if sum(e.at > at - timedelta(days=1) for e in ledger.events(0, (ISSUED,), pseudonym, _ALL)) >= MAX_PER_DAY:
        raise TranscriptError(f"{MAX_PER_DAY} transcripts a day are signed. Come back tomorrow.")
    attempts = {a: newest.attempt.id for a, (r, _) in found.items() if (newest := newest_graded(r))}
    secret, as_of = secrets.token_urlsafe(16), ledger.last_event()
    payload = {"attempts": attempts, "secret_sha256": _hash(secret)}

    def text(event: int) -> str:
        statement = Statement(
            f"{event}-{secret}", course, clean_name(name), at.astimezone(UTC).isoformat(timespec="seconds"), as_of, lines
        ).text()
        signed = keys.sign(statement.encode())
        return json.dumps({"statement": statement, "key": signed.key, "signature": signed.value.hex()})

    lines = tuple(x for _, x in found.values())
    event = _with_text(ledger, at, pseudonym, payload, text)
    made = find(ledger, f"{event}-{secret}")
    if not isinstance(made, Transcript):
        raise TranscriptError("the transcript was withdrawn while it was made. Try again.")
    return made


def find(ledger: Ledger, code: str) -> Transcript | Gone | None:
    """Return what stands at an address: a transcript, that it is gone, or None when there never was one."""
    match = _CODE.fullmatch(code)
    if match is None:
        return None
    with ledger.reading() as db:
        event = _event(db, int(match[1]))
    if event is None or not hmac.compare_digest(str(event.payload["secret_sha256"]), _hash(match[2])):
        return None
    return _read(event, remarks_of(ledger, [event.id])) or Gone()


def of(ledger: Ledger, pseudonym: str) -> list[Transcript]:
    """Return the student's transcripts that stand, oldest first."""
    events = ledger.events(0, (ISSUED,), pseudonym, _ALL)
    texts = remarks_of(ledger, [e.id for e in events])
    return [x for e in events if (x := _read(e, texts))]


def withdraw(ledger: Ledger, pseudonym: str, code: str, at: datetime) -> None:
    """Take an own transcript back: its text is removed. Raises: TranscriptError when there is no such one of theirs."""
    found = find(ledger, code)
    if not isinstance(found, Transcript) or found.pseudonym != pseudonym:
        raise TranscriptError("there is no such transcript of yours.")
    with ledger.writing() as db:
        database.overwrite_deleted(db)
        db.execute(delete(t.remark).where(t.remark.c.event == found.event))
        add_event(db, WITHDRAWN, at, pseudonym, pseudonym, {"transcript": found.event})


def changes(ledger: Ledger, transcript: Transcript) -> list[Changed]:
    """Return which lines say other points than their attempts have now, and why."""
    results = {r.assignment: r for r in ledger.results(transcript.pseudonym)}
    since = {r.attempt: r for r in regrades(ledger, transcript.pseudonym)}
    found = []
    for said in transcript.statement.lines:
        now = _points(results.get(said.assignment), transcript.attempts[said.assignment])
        if now is not None and now != said.points:
            why = since.get(transcript.attempts[said.assignment])
            found.append(Changed(said.title, said.points, now, why.at if why else None, why.reason if why else ""))
    return found


def total(lines: tuple[Line, ...]) -> tuple[float, float]:
    """Return points and the most there are, of all lines."""
    return round(sum(x.points for x in lines), 2), round(sum(x.max_points for x in lines), 2)


def _points(result: AssignmentResult | None, attempt: str) -> float | None:
    found = next((a for a in result.attempts if a.attempt.id == attempt), None) if result else None
    return round(found.points, 2) if found else None


def _with_text(ledger: Ledger, at: datetime, pseudonym: str, payload: Mapping[str, object], text: Callable[[int], str]) -> int:
    """Append the event and, once its number is known, its text, in one transaction."""
    with ledger.writing() as db:
        event = add_event(db, ISSUED, at, pseudonym, pseudonym, payload)
        db.execute(insert(t.remark).values(event=event, text=text(event)))
        return event


def _event(db: Connection, number: int) -> Event | None:
    e = t.event.c
    row = db.execute(select(e.id, e.kind, e.at, e.actor, e.subject, e.payload).where(e.id == number, e.kind == ISSUED)).first()
    return Event(*row) if row else None


def _read(event: Event, texts: Mapping[int, str]) -> Transcript | None:
    if event.id not in texts:
        return None
    kept = json.loads(texts[event.id])
    signature = Signature(kept["key"], bytes.fromhex(kept["signature"]))
    attempts = dict(event.payload["attempts"])
    return Transcript(event.id, str(event.subject), Statement.of(kept["statement"]), kept["statement"], signature, attempts)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
