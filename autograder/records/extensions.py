"""Extensions that an instructor granted, as events: granting and taking back in, who has how long out.

An extension for everybody to read stands in course.toml; one that concerns a person stands here, under the pseudonym. Its
reason may name an illness, so it is kept beside the log and goes with the student's data.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from autograder.deadlines import Extension
from autograder.records.following import Following
from autograder.records.ledger import Ledger
from autograder.records.model import Event, LedgerError
from autograder.records.remarks import with_remark

GRANTED, WITHDRAWN = "extension.granted", "extension.withdrawn"
MAX_REASON_CHARS = 500
_ALL = 10**4


def grant(ledger: Ledger, extension: Extension, reason: str, at: datetime, actor: str) -> int:
    """Let the student (a pseudonym) hand in until then, in place of an earlier extension; return the event.

    Raises: LedgerError on a time that has passed, without a reason, or with too long a one.
    """
    if extension.until <= at:
        raise LedgerError(f"an extension until {_shown(extension.until)} has passed already. Name a later time.")
    said = _said(reason)
    payload = {"assignment": extension.assignment, "until": extension.until.astimezone(UTC).isoformat()}
    return with_remark(ledger, GRANTED, at, actor, extension.student, payload, said)


def withdraw(ledger: Ledger, pseudonym: str, assignment: str, reason: str, at: datetime, actor: str) -> int:
    """Take an extension back; return the event. Raises: LedgerError when there is none, or without a reason."""
    if not any(e.assignment == assignment for e in Extensions(ledger).of(pseudonym)):
        raise LedgerError(f"{pseudonym} has no extension of {assignment}.")
    return with_remark(ledger, WITHDRAWN, at, actor, pseudonym, {"assignment": assignment}, _said(reason))


class Extensions:
    """What is granted now. Safe to ask from several threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._events = Following(ledger, (GRANTED, WITHDRAWN))

    def all(self) -> tuple[Extension, ...]:
        """Return everybody's extensions."""
        return _standing(self._events.events())

    def of(self, pseudonym: str) -> tuple[Extension, ...]:
        """Return one student's extensions, without looking at anybody else's."""
        return _standing(self._ledger.events(0, (GRANTED, WITHDRAWN), pseudonym, _ALL))


def _standing(events: Iterable[Event]) -> tuple[Extension, ...]:
    known: dict[tuple[str, str], Extension] = {}
    for event in events:
        key = (str(event.subject), str(event.payload["assignment"]))
        if event.kind == WITHDRAWN:
            known.pop(key, None)
        else:
            known[key] = Extension(*key, datetime.fromisoformat(event.payload["until"]))
    return tuple(known.values())


def _said(reason: str) -> str:
    said = reason.strip()
    if len(said) < 3:
        raise LedgerError("a decision about a person needs a reason, in a few words.")
    if len(said) > MAX_REASON_CHARS:
        raise LedgerError(f"the reason has {len(said)} characters; at most {MAX_REASON_CHARS} are kept.")
    return said


def _shown(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d %b %Y, %H:%M} UTC"
