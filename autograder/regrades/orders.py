"""A regrade that an instructor ordered in; everybody replayed by the queue's workers, and one commit, out.

How it works. An order is an event that names what was previewed: assignment, build, rule. Its transaction also queues every
attempt at the assignment, behind students' hand-ins. What a worker replays for it is kept in the file that previews keep
their results in, so what the preview has replayed is not replayed again; nothing is recorded yet. When no such job is left,
the worker that sees it first commits all results in one transaction, the one of `bootcamp regrade --commit`, in the name of
who ordered it. An attempt that could not be replayed, by our fault, is left as it is; it stands among what was given up.

One order is open at a time. What another build says does not count: then the checks were edited since the preview, and
with nothing replayed under the order's build the order is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from autograder.grading.verdict import Graded
from autograder.records import REGRADE, Attempt, Event, Ledger, LedgerError, tables
from autograder.records.append import add_event
from autograder.records.following import Following
from autograder.records.queue import n_live
from autograder.records.regrading import COMMITTED, ORDERED, REFUSED, RULES, Decision, Regrade, Replayed, Rule, commit, is_answered
from autograder.regrades.previews import Preview
from autograder.regrades.replays import Replays

KINDS = (ORDERED, COMMITTED, REFUSED)
MIN_REASON_CHARS, MAX_REASON_CHARS = 3, 1000
_ALL = 10**4


@dataclass(frozen=True)
class Order:
    """An order; `n_attempts` were to be replayed. `preview` is the event as of which the preview was made."""

    event: int
    at: datetime
    by: str
    assignment: str
    build: str
    rule: Rule
    reason: str
    preview: int
    n_attempts: int

    @classmethod
    def of(cls, e: Event) -> Order:
        """Return the order that the event holds."""
        names = ("assignment", "build", "rule", "reason", "preview", "n_attempts")
        return cls(e.id, e.at, e.actor, *(e.payload[name] for name in names))


def order(ledger: Ledger, preview: Preview, reason: str, at: datetime, actor: str) -> Order:
    """Order what was previewed; again is the same order. Raises: LedgerError without a reason, or beside another order."""
    said = reason.replace("\x00", "\ufffd").encode("utf-8", "replace").decode().strip()
    if not MIN_REASON_CHARS <= len(said) <= MAX_REASON_CHARS:
        raise LedgerError(f"say why, in {MIN_REASON_CHARS} to {MAX_REASON_CHARS} characters: students read it beside their result.")
    if preview.rule not in RULES:
        raise LedgerError(f'"{preview.rule}" is no rule. Expected one of: {", ".join(RULES)}.')
    attempts = [a.id for a in ledger.attempts(assignment=preview.assignment)]
    what = {"assignment": preview.assignment, "build": preview.grader_build, "rule": preview.rule, "preview": preview.event}
    with ledger.writing() as db:  # one writer at a time: two presses of the button are one order
        known = open_order(tables.events(db, 0, list(KINDS), None, _ALL))
        if known is None:
            payload = {**what, "reason": said, "n_attempts": len(attempts)}
            event = add_event(db, ORDERED, at, actor, None, payload)
            ledger.queue.enqueue(db, attempts, REGRADE, at)
            return Order.of(Event(event, ORDERED, at, actor, None, payload))
    if any(getattr(known, name) != value for name, value in what.items()):
        raise LedgerError(f"another regrade, of {known.assignment}, is under way since event {known.event}. Wait until it is made.")
    return known


def open_order(events: Iterable[Event]) -> Order | None:
    """Return the order that nothing answers yet, of all events of these KINDS."""
    found: Event | None = None
    for e in events:
        if e.kind == ORDERED:
            found = e
        elif found is not None and e.payload.get("order") == found.id:
            found = None
    return Order.of(found) if found else None


class Orders:
    """What a worker does about the open order. `folder` holds what was replayed, `forget` removes an assignment's preview."""

    def __init__(self, ledger: Ledger, folder: Path, now: Callable[[], datetime], forget: Callable[[str], None]) -> None:
        self._ledger, self._folder, self._now, self._forget = ledger, folder, now, forget
        self._events = Following(ledger, KINDS)
        self._known: tuple[int, dict[str, str]] = (0, {})  # of which order; attempt -> hash of what was replayed

    def open(self) -> Order | None:
        """Return the open order."""
        return open_order(self._events.events())

    def is_known(self, attempt: Attempt) -> bool:
        """Whether the order's build has spoken about exactly these bytes."""
        found = self.open()
        if found is None or found.assignment != attempt.assignment:
            return False
        if self._known[0] != found.event:
            self._known = found.event, {a: g.sha256 for a, g in self._replays(found).load().items()}
        return self._known[1].get(attempt.id) == attempt.sha256

    def keep(self, attempt: Attempt, graded: Graded) -> str:
        """Keep a result for the commit; return why it cannot be kept, "" when it was."""
        found = self.open()
        if found is None or found.assignment != attempt.assignment:
            return ""  # of an order that is over: nobody waits for it
        if graded.grader_build != found.build:
            return f"this grader has build {graded.grader_build or 'none'}, and the regrade was previewed with {found.build}"
        if not graded.is_complete and not graded.error:
            return "unscored by our fault"
        self._replays(found).add(attempt.id, graded)
        return ""

    def finish(self) -> str:
        """Commit the open order once nothing of it is left in the queue; return what happened, in words, "" for nothing."""
        found = self.open()
        if found is None or n_live(self._ledger.queue, REGRADE):
            return ""
        said = self._replays(found).load()
        attempts = self._ledger.attempts(assignment=found.assignment)
        replayed = [Replayed(a, said[a.id]) for a in attempts if a.id in said and said[a.id].sha256 == a.sha256]
        try:
            done = self._commit(found, replayed)
        except LedgerError as e:
            return self._refuse(found, str(e))
        self._forget(found.assignment)
        return f"the regrade of {found.assignment}, ordered by {found.by}, is made as event {done.event}"

    def _commit(self, found: Order, replayed: list[Replayed]) -> Regrade:
        if not replayed:
            raise LedgerError(
                f"no attempt was replayed under build {found.build}: the checks were edited since the preview, or our graders "
                f"failed. Make a new preview: bootcamp regrade {found.assignment}"
            )
        decision = Decision(found.assignment, found.rule, found.reason, found.by, found.event)
        return commit(self._ledger, decision, replayed, self._now())

    def _refuse(self, found: Order, why: str) -> str:
        with self._ledger.writing() as db:
            if is_answered(db, found.event):  # another worker was quicker
                return ""
            add_event(db, REFUSED, self._now(), "grader", None, {"order": found.event, "assignment": found.assignment, "why": why})
        return f"the regrade of {found.assignment}, ordered by {found.by}, is not made: {why}"

    def _replays(self, found: Order) -> Replays:
        return Replays(self._folder, found.assignment, found.build)
