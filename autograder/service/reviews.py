"""A student's wish in, an event for organizers out, with the words beside the log; and what a student asked for."""

from __future__ import annotations

from datetime import datetime, timedelta

from autograder.pages.journey import WISHES, Wish
from autograder.pages.wording import Moment
from autograder.progress.decisions import APPEALED
from autograder.records import Event, Ledger
from autograder.records.remarks import remarks_of, with_remark
from autograder.service.exchange import Refused

MAX_CHARS = 1000
MAX_PER_DAY = 5
_ALL = 10**4


def ask(ledger: Ledger, pseudonym: str, wish: str, assignment: str, why: str, at: datetime) -> None:
    """Record what the student asks for. Raises: Refused."""
    if wish not in WISHES:
        raise Refused(f"choose one of: {', '.join(WISHES.values())}.")
    if wish != "review" and not assignment:
        raise Refused("say which notebook it is about.")
    if len(why) > MAX_CHARS:
        raise Refused(f"the text has {len(why)} characters; at most {MAX_CHARS} are taken.")
    recent = [e for e in ledger.events(0, (APPEALED,), pseudonym, _ALL) if e.at > at - timedelta(days=1)]
    if len(recent) >= MAX_PER_DAY:
        raise Refused(f"{MAX_PER_DAY} wishes a day are taken. Ask an instructor.", 429)
    payload = {"wish": wish, "assignment": assignment or None, "reason": None}
    with_remark(ledger, APPEALED, at, pseudonym, pseudonym, payload, why.strip() or None)


def asked(ledger: Ledger, pseudonym: str) -> tuple[Wish, ...]:
    """Return what the student asked for, newest first."""
    events = ledger.events(0, (APPEALED,), pseudonym, _ALL)
    words = remarks_of(ledger, [e.id for e in events])
    return tuple(Wish(_what(e), words.get(e.id) or e.payload.get("reason") or "", Moment.of(e.at)) for e in reversed(events))


def _what(event: Event) -> str:
    wish, assignment = event.payload["wish"], event.payload.get("assignment")
    return WISHES.get(wish, wish) + (f" ({assignment})" if assignment else "")
