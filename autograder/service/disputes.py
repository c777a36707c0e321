"""A student's "I think this is wrong" in, an event for instructors out; and all that were filed.

The words are kept beside the log, not in it: they are the student's own, and go with the student's data.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from autograder.records import Event, Ledger
from autograder.records.remarks import remarks_of, with_remark
from autograder.service.exchange import Refused

KIND = "verdict.disputed"
MAX_CHARS = 1000
_MAX_PER_DAY = 20
_PAGE = 1000


@dataclass(frozen=True)
class Dispute:
    """One report. `why` may be empty."""

    event: int
    at: datetime
    pseudonym: str
    attempt: str
    exercise: str
    why: str


def file(ledger: Ledger, pseudonym: str, attempt: str, exercise: str, why: str, at: datetime) -> bool:
    """Record the report; False when the student has said so of this very verdict before. Raises: Refused."""
    if len(why) > MAX_CHARS:
        raise Refused(f"the text has {len(why)} characters; at most {MAX_CHARS} are taken.")
    mine = _events(ledger, pseudonym)
    if any((e.payload["attempt"], e.payload["exercise"]) == (attempt, exercise) for e in mine):
        return False
    if sum(e.at > at - timedelta(days=1) for e in mine) >= _MAX_PER_DAY:
        raise Refused(f"{_MAX_PER_DAY} reports a day are taken. Ask an instructor.", 429)
    payload = {"attempt": attempt, "exercise": exercise}
    with_remark(ledger, KIND, at, pseudonym, pseudonym, payload, why.strip() or None)
    return True


def filed(ledger: Ledger, limit: int) -> tuple[list[Dispute], Counter[str]]:
    """Return the newest reports, newest first, and how many there are per exercise."""
    events = _events(ledger, None)
    newest = events[-limit:][::-1]
    words = remarks_of(ledger, [e.id for e in newest])
    return [_dispute(e, words.get(e.id, "")) for e in newest], Counter(str(e.payload["exercise"]) for e in events)


def _events(ledger: Ledger, subject: str | None) -> list[Event]:
    found: list[Event] = []
    while part := ledger.events(found[-1].id if found else 0, (KIND,), subject, _PAGE):
        found += part
    return found


def _dispute(event: Event, why: str) -> Dispute:
    return Dispute(event.id, event.at, event.subject or "", str(event.payload["attempt"]), str(event.payload["exercise"]), why)
