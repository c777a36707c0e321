"""A person's decision about a flag in, an event in the log out; and what people decided about one student, newest first.

The tracker itself confirms, defers and declines nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from autograder.errors import BootcampError
from autograder.progress import audit
from autograder.progress.decisions import REVIEWED
from autograder.records import Event, Ledger

DECISIONS = ("confirm", "defer", "decline")
MIN_CHARS, MAX_CHARS = 3, 1000


def review(ledger: Ledger, pseudonym: str, decision: str, reason: str, at: datetime, actor: str) -> tuple[int, int]:
    """Record a decision about what the newest recorded evaluation says; return the event and the evaluation's row.

    Raises: BootcampError on an unknown decision, without a reason, or when no evaluation of the student is recorded.
    """
    if decision not in DECISIONS:
        raise BootcampError(f'"{decision[:40]}" is no decision. Expected one of: {", ".join(DECISIONS)}.')
    said = said_why(reason)
    row = audit.newest_of(ledger, pseudonym)
    if row is None:
        raise BootcampError(f'no evaluation of "{pseudonym}" is recorded. Record one first: bootcamp progress evaluate')
    payload = {"decision": decision, "reason": said, "row": row.id, "state": row.payload["state"]}
    return ledger.record(REVIEWED, at, actor, pseudonym, payload), row.id


def said_why(reason: str) -> str:
    """Return the reason without blanks around it. Raises: BootcampError when there is none, or a book."""
    said = reason.replace("\x00", "\ufffd").encode("utf-8", "replace").decode().strip()
    if len(said) < MIN_CHARS:
        raise BootcampError("a decision about a person needs a reason: --reason TEXT")
    if len(said) > MAX_CHARS:
        raise BootcampError(f"the reason has {len(said)} characters; at most {MAX_CHARS} are taken.")
    return said


def newest_by_subject(events: Iterable[Event]) -> dict[str, Event]:
    """Return the last event of every subject; the events are in the order of the log."""
    return {e.subject: e for e in events if e.subject}


def is_confirmed(payload: Mapping[str, Any]) -> bool:
    """Whether a decision lets mentors see the student."""
    return payload.get("decision") == "confirm"
