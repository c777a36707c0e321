"""Replayed attempts in; appended gradings, and what they change, out. A regrade is undone by appending again.

How it works. One event says who regrades what, why and by which rule; every grading of the regrade names that event.
Under the rule "true" the new verdicts stand; under "never-lower" a verdict that would cost points is left out, so the
old one goes on standing. What is unscored by our fault is left out too. The first try stays the first try: its content
is what was handed in first; its score is the standing verdict of that attempt.

A preview is the same transaction, rolled back: what it shows is what a commit does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select

from autograder.grading.verdict import Graded, Status, Verdict
from autograder.records import schema as t
from autograder.records.append import add_event, add_grading
from autograder.records.first_tries import first_tries
from autograder.records.ledger import Ledger
from autograder.records.model import Attempt, FirstTry, LedgerError, Outcome
from autograder.records.standing import standing

Rule = Literal["true", "never-lower"]
RULES: tuple[Rule, ...] = ("true", "never-lower")
COMMITTED, UNDONE = "regrade.committed", "regrade.undone"
# A regrade that is left to the workers, and one that they could not make.
ORDERED, REFUSED = "regrade.ordered", "regrade.refused"


@dataclass(frozen=True)
class Decision:
    """To regrade an assignment: by which rule, why, in whose name; `order` is the event that ordered it."""

    assignment: str
    rule: Rule
    reason: str = ""  # a preview needs none
    actor: str = ""
    order: int | None = None


@dataclass(frozen=True)
class Replayed:
    """One attempt under the new build."""

    attempt: Attempt
    graded: Graded


@dataclass(frozen=True)
class Change:
    """One exercise of one attempt whose standing verdict a regrade changes. Points are None while unscored by our fault."""

    attempt: str
    pseudonym: str
    exercise: str
    status_before: str
    status_after: str
    points_before: float | None
    points_after: float | None

    @property
    def gain(self) -> float:
        return (self.points_after or 0.0) - (self.points_before or 0.0)


@dataclass(frozen=True)
class Regrade:
    """What a regrade did, or would do. `event` is the number to undo it by; 0 for a preview."""

    event: int
    n_attempts: int
    n_appended: int
    n_kept: int  # verdicts that would have cost points, left out by the rule
    changes: tuple[Change, ...]
    first_tries: tuple[FirstTry, ...]


@dataclass(frozen=True)
class Undone:
    """What an undo did. `n_skipped` attempts were graded anew since, and `n_unscorable` verdicts had no score before."""

    event: int
    n_restored: int
    n_skipped: int
    n_unscorable: int


@dataclass(frozen=True)
class Regraded:
    """A regrade as one attempt met it, for its student: what the points were and are, and why."""

    attempt: str
    at: datetime
    reason: str
    points_before: float
    points_after: float
    is_undo: bool = False


def preview(ledger: Ledger, decision: Decision, replayed: Sequence[Replayed], at: datetime) -> Regrade:
    """Return what `commit` would do, and leave the ledger as it is."""
    with _rolled_back(ledger) as db:
        return replace(_apply(db, decision, replayed, at), event=0)


def commit(ledger: Ledger, decision: Decision, replayed: Sequence[Replayed], at: datetime) -> Regrade:
    """Append the regrade, in one transaction.

    Raises: LedgerError without a reason or anything to append, and when the order is answered already.
    """
    if not decision.reason.strip():
        raise LedgerError("a regrade needs a reason: students will read it. Say it with --reason.")
    with ledger.writing() as db:
        if decision.order is not None and is_answered(db, decision.order):
            raise LedgerError(f"the order {decision.order} is answered already.")
        done = _apply(db, decision, replayed, at)
        if not done.n_appended:
            raise LedgerError(f"nothing to regrade: this build has spoken about all {done.n_attempts} attempts already.")
        return done


def undo(ledger: Ledger, event: int, reason: str, at: datetime, actor: str) -> Undone:
    """Let stand again what stood before a regrade, by appending it once more; see `Undone` for what cannot.

    Raises: LedgerError when the event is no regrade, or is undone already.
    """
    with ledger.writing() as db:
        e = t.event.c
        found = db.execute(select(e.kind, e.payload).where(e.id == event)).first()
        if found is None or found.kind != COMMITTED:
            raise LedgerError(f"event {event} is no regrade. List them with: bootcamp regrade --list")
        if db.execute(select(e.id).where(e.kind == UNDONE, e.payload["undoes"].as_integer() == event)).first():
            raise LedgerError(f"the regrade {event} is undone already.")
        payload = {"undoes": event, "assignment": found.payload["assignment"], "reason": reason}
        undoing = add_event(db, UNDONE, at, actor, None, payload)
        ends = [_restore(db, row, event, undoing, at, actor) for row in _gradings_of(db, event)]
        return Undone(undoing, sum(n for n, _ in ends), sum(n == 0 for n, _ in ends), sum(m for _, m in ends))


def regrades(ledger: Ledger, pseudonym: str, assignment: str | None = None) -> list[Regraded]:
    """Return the regrades that changed this student's points, oldest first."""
    e, g, a = t.event.c, t.grading.c, t.attempt.c
    query = (
        select(e.id, e.at, e.payload, g.attempt)
        .join(t.grading, g.event == e.id)
        .join(t.attempt, g.attempt == a.id)
        .where(a.pseudonym == pseudonym, e.payload["regrade"].as_integer().is_not(None))
        .order_by(e.id)
    )
    if assignment is not None:
        query = query.where(a.assignment == assignment)
    found = []
    with ledger.reading() as db:
        for row in db.execute(query).all():
            why = db.execute(select(e.kind, e.payload).where(e.id == row.payload["regrade"])).one()
            before, after = (_points(db, row.attempt, as_of) for as_of in (row.id - 1, row.id))
            if before != after:
                found.append(Regraded(row.attempt, row.at, why.payload["reason"], before, after, why.kind == UNDONE))
    return found


def is_answered(db: Connection, order: int) -> bool:
    """Whether a regrade that was ordered by this event was committed or refused."""
    e = t.event.c
    answers = select(e.id).where(e.id > order, e.kind.in_((COMMITTED, REFUSED)), e.payload["order"].as_integer() == order)
    return db.execute(answers.limit(1)).first() is not None


def _apply(db: Connection, decision: Decision, replayed: Sequence[Replayed], at: datetime) -> Regrade:
    what = {"assignment": decision.assignment, "rule": decision.rule, "reason": decision.reason.strip()}
    payload = {**what, "builds": sorted({r.graded.grader_build for r in replayed}), "n_attempts": len(replayed)}
    if decision.order is not None:
        payload["order"] = decision.order
    event = add_event(db, COMMITTED, at, decision.actor, None, payload)
    changes: list[Change] = []
    n_appended = n_kept = 0
    for r in replayed:
        before = _standing(db, r.attempt.id)
        new = [v for v in r.graded.verdicts if v.status is not Status.INFRA]
        kept = [v for v in new if decision.rule == "never-lower" and _costs(v, before)]
        said = replace(r.graded, verdicts=tuple(v for v in new if v not in kept))
        if not said.verdicts:
            continue
        done = add_grading(db, r.attempt, said, at, decision.actor, {"regrade": event})
        if done.outcome is Outcome.DUPLICATE:
            continue
        n_appended, n_kept = n_appended + 1, n_kept + len(kept)
        changes += _changes(r.attempt, before, _standing(db, r.attempt.id))
    return Regrade(event, len(replayed), n_appended, n_kept, tuple(changes), tuple(first_tries(db, None, None)))


def _costs(verdict: Verdict, before: dict[str, Any]) -> bool:
    old = before.get(verdict.exercise)
    return old is not None and old.points is not None and (verdict.points or 0.0) < old.points


def _changes(attempt: Attempt, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for exercise, new in after.items():
        old = before.get(exercise)
        was = (old.status, old.points) if old else ("", None)
        if was != (new.status, new.points):
            yield Change(attempt.id, attempt.pseudonym, exercise, was[0], new.status, was[1], new.points)


def _standing(db: Connection, attempt: str, as_of: int | None = None) -> dict[str, Any]:
    s = standing(as_of, t.attempt.c.id == attempt, with_texts=True)
    return {row.exercise: row for row in db.execute(select(s).order_by(s.c.position))}


def _points(db: Connection, attempt: str, as_of: int) -> float:
    return sum(row.points or 0.0 for row in _standing(db, attempt, as_of).values())


def _gradings_of(db: Connection, event: int) -> list[Any]:
    e = t.event.c
    query = select(t.grading, e.subject).join(t.event, e.id == t.grading.c.event)
    return list(db.execute(query.where(e.payload["regrade"].as_integer() == event).order_by(e.id)))


def _restore(db: Connection, row: Any, regrade: int, undoing: int, at: datetime, actor: str) -> tuple[int, int]:
    """Restore one attempt; return how many verdicts were restored, and how many had no score before."""
    g, v = t.grading.c, t.verdict.c
    newest = db.execute(select(func.max(g.event)).where(g.attempt == row.attempt)).scalar_one()
    if newest != row.event:
        return 0, 0
    spoken = set(db.execute(select(v.exercise).where(v.grading == row.event)).scalars())
    before = {e: r for e, r in _standing(db, row.attempt, regrade - 1).items() if e in spoken}
    scored = [r for r in before.values() if r.points is not None]
    if not scored:
        return 0, len(spoken)
    # The word of the build whose verdicts stood before; of several, the newest one's name.
    old = db.execute(select(t.grading).where(g.event == max(r.grading for r in scored))).mappings().one()
    mine = (g.attempt == row.attempt, g.grader_build == old["grader_build"], g.tier == old["tier"], g.origin == "restored")
    n_before = db.execute(select(func.count()).select_from(t.grading).where(*mine)).scalar_one()
    payload = {"attempt": row.attempt, "grader_build": old["grader_build"], "regrade": undoing}
    event = add_event(db, "grading.restored", at, actor, row.subject, payload)
    said = {"event": event, "origin": "restored", "try_no": n_before + 1, "graded_at": at}
    db.execute(insert(t.grading).values({**old, **said}))
    columns = [c.name for c in t.verdict.columns if c.name != "grading"]
    db.execute(insert(t.verdict), [{"grading": event, **{c: getattr(r, c) for c in columns}} for r in scored])
    return len(scored), len(spoken) - len(scored)


class _RollBackError(Exception):
    pass


@contextmanager
def _rolled_back(ledger: Ledger) -> Iterator[Connection]:
    """A write transaction that leaves nothing."""
    try:
        with ledger.writing() as db:
            yield db
            raise _RollBackError
    except _RollBackError:
        return
