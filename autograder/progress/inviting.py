"""A decision date and the newest recorded evaluation in; whom the policy invites out, recorded once for every cohort and date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date as calendar
from datetime import datetime

from autograder.errors import BootcampError
from autograder.progress import audit, shortlist
from autograder.progress.inputs import EVALUATION
from autograder.progress.policy import Policy, State
from autograder.progress.shortlist import SHORTLIST, Candidate, Shortlist
from autograder.records import Event, Ledger, tables
from autograder.records.append import add_event

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_ALL = 10**6
KINDS = (EVALUATION, SHORTLIST)


@dataclass(frozen=True)
class Drafted:
    """A shortlist that follows from an evaluation and a date. `recorded` is the event that holds the date's list, if one does."""

    day: str
    evaluation: Event
    made: Shortlist
    recorded: Event | None


def day_of(text: str) -> str:
    """Return the date as it is written into the log. Raises: BootcampError when it is none."""
    try:
        if _DAY.fullmatch(text):
            return calendar.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise BootcampError(f'"{text[:20]}" is no date. Expected one such as 2026-12-01.')


def draft(ledger: Ledger, cohort: str | None, day: str, policy: Policy) -> Drafted:
    """Return the list of a date, read from the log. Raises: BootcampError when no evaluation of the cohort is recorded."""
    return drafted(ledger.events(0, KINDS, limit=_ALL), cohort, day, policy, lambda e: candidates(ledger, e))


def drafted(
    log: Iterable[Event], cohort: str | None, day: str, policy: Policy, read: Callable[[Event], Sequence[Candidate]]
) -> Drafted:
    """Return the list of a date; `log` holds all events of these KINDS, `read` returns who was judged by an evaluation.

    Raises: BootcampError when no evaluation of the cohort is recorded.
    """
    known = [e for e in log if e.payload["cohort"] == cohort]
    evaluation = next((e for e in reversed(known) if e.kind == EVALUATION), None)
    if evaluation is None:
        raise BootcampError("no evaluation of this cohort is recorded. Record one first: bootcamp progress evaluate")
    made = shortlist.choose(read(evaluation), policy.shortlist, f"{day} {evaluation.id}")
    return Drafted(day, evaluation, made, _of(known, cohort, day))


def candidates(ledger: Ledger, evaluation: Event) -> tuple[Candidate, ...]:
    """Return who may be invited by a recorded evaluation. Who lacks evidence or waits for a human comes up again later."""
    rows = sorted(audit.rows_of(ledger, evaluation).items())
    return tuple(Candidate(p, r["p"], r["sd"]) for p, r in rows if r["state"] != State.NEEDS_EVIDENCE and not r["on_hold"])


def record(ledger: Ledger, drafted: Drafted, cohort: str | None, policy: Policy, at: datetime, actor: str) -> tuple[int, bool]:
    """Append the list; return its event, and whether it is new: the same list again changes nothing.

    Raises: BootcampError when another list of this cohort is recorded for the date.
    """
    events = shortlist.events(drafted.made, drafted.day, drafted.evaluation.id, cohort, policy)
    with ledger.writing() as db:  # one writer at a time, so what others recorded meanwhile is seen
        known = _of(tables.events(db, 0, [SHORTLIST], None, _ALL), cohort, drafted.day)
        if known is None:
            numbers = [add_event(db, kind, at, actor, subject, payload) for kind, subject, payload in events]
            return numbers[0], True
    if known.payload["evaluation"] != drafted.evaluation.id:
        raise BootcampError(
            f"the shortlist of {drafted.day} is recorded already, as event {known.id}, "
            f"from evaluation {known.payload['evaluation']}. A decision date has one list: choose another date."
        )
    return known.id, False


def _of(events: Iterable[Event], cohort: str | None, day: str) -> Event | None:
    of_date = (e for e in events if e.kind == SHORTLIST and e.payload["date"] == day)
    return next((e for e in of_date if e.payload["cohort"] == cohort), None)
