"""A student's wish in, an event out, with the words beside the log; who waits for an answer, and the answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from autograder.pages.journey import WISHES, Wish, wish_words
from autograder.pages.wording import Moment
from autograder.progress.decisions import APPEALED, HEARD
from autograder.records import Event, Ledger
from autograder.records.following import Following
from autograder.records.remarks import remarks_of, with_remark
from autograder.service.exchange import Refused

KINDS = (APPEALED, HEARD)
MAX_CHARS = 1000
N_SHOWN = 50
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
    """Return what the student asked for and was answered, newest first."""
    events = ledger.events(0, KINDS, pseudonym, _ALL)
    words = remarks_of(ledger, [e.id for e in events])
    answers = {int(e.payload["appeal"]): words.get(e.id, "") for e in events if e.kind == HEARD and "appeal" in e.payload}
    return tuple(_wish(e, words, answers) for e in reversed(events) if e.kind == APPEALED)


def waiting(ledger: Ledger, following: Following) -> list[tuple[Event, Wish]]:
    """Return the wishes that nobody has answered, oldest first, at most N_SHOWN."""
    events = following.events()
    answered = {e.payload.get("appeal") for e in events if e.kind == HEARD}
    found = [e for e in events if e.kind == APPEALED and e.id not in answered][:N_SHOWN]
    words = remarks_of(ledger, [e.id for e in found])
    return [(e, _wish(e, words, {})) for e in found]


def answer(ledger: Ledger, following: Following, wish: int, words: str, by: str, at: datetime) -> None:
    """Answer a wish; its student reads the words. Raises: Refused."""
    found = next((e for e in following.events() if e.kind == APPEALED and e.id == wish), None)
    if found is None or found.subject is None:
        raise Refused("there is no such wish.", 404)
    if not 3 <= len(words.strip()) <= MAX_CHARS:
        raise Refused(f"an answer has words that the student can read, at most {MAX_CHARS} characters of them.")
    if any(e.kind == HEARD and e.payload.get("appeal") == wish for e in following.events()):
        raise Refused("somebody has answered it already.", 409)
    with_remark(ledger, HEARD, at, by, found.subject, {"appeal": wish}, words.strip())


def _wish(e: Event, words: Mapping[int, str], answers: Mapping[int, str]) -> Wish:
    said = words.get(e.id) or e.payload.get("reason") or ""
    return Wish(wish_words(e.payload["wish"], e.payload.get("assignment") or ""), said, Moment.of(e.at), answers.get(e.id, ""))
