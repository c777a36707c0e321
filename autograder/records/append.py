"""Attempts and gradings in, rows of the ledger out. Every function runs inside one write transaction of the caller."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select

from autograder.grading.verdict import Graded, Status, Verdict
from autograder.records import schema as t
from autograder.records.model import Appended, Attempt, LedgerError, Outcome


def add_event(db: Connection, kind: str, at: datetime, actor: str, subject: str | None, payload: Mapping[str, Any]) -> int:
    """Append one event and return its number."""
    row = {"kind": kind, "at": at, "actor": actor, "subject": subject, "payload": dict(payload)}
    return db.execute(insert(t.event).values(row).returning(t.event.c.id)).scalar_one()


def add_attempt(db: Connection, attempt: Attempt, actor: str) -> bool:
    """Append the attempt; return False when it stands there already.

    Raises: LedgerError when its id is taken by another hand-in, or the student is not enrolled.
    """
    old = db.execute(select(t.attempt).where(t.attempt.c.id == attempt.id)).mappings().first()
    if old is not None:
        if Attempt(**{k: old[k] for k in ("id", "pseudonym", "assignment", "sha256", "received_at")}) != attempt:
            raise LedgerError(f"attempt {attempt.id} is recorded with other facts. An id names one hand-in for ever.")
        return False
    if db.execute(select(t.student.c.pseudonym).where(t.student.c.pseudonym == attempt.pseudonym)).first() is None:
        raise LedgerError(f'no student "{attempt.pseudonym}" is enrolled. Enrol first: Ledger.enrol(name, cohort, at).')
    payload = {"attempt": attempt.id, "assignment": attempt.assignment, "sha256": attempt.sha256}
    event = add_event(db, "attempt.received", attempt.received_at, actor, attempt.pseudonym, payload)
    db.execute(insert(t.attempt).values(**asdict(attempt), event=event))
    return True


def add_grading(
    db: Connection, attempt: Attempt, graded: Graded, at: datetime, actor: str, because: Mapping[str, Any] | None = None
) -> Appended:
    """Append what `graded` says that this build has not said before; see the theory of operation of this package.

    `because` joins the event's payload: what made us grade.

    Raises: LedgerError when the verdicts contradict each other, the attempt or the rules of points.
    """
    _check(attempt, graded)
    before = _gradings(db, attempt.id, graded.grader_build)
    settled = next((g for g in before if g["complete"] and g["tier"] <= graded.tier), None)
    if settled:
        return Appended(attempt.id, Outcome.DUPLICATE, settled["event"], 0, True)
    tries = [g for g in before if g["tier"] == graded.tier]
    points = _said(db, [g["event"] for g in tries]) if tries else {}
    # A retry carries what the build has not scored yet, and first news of an exercise even if it is INFRA.
    new = [v for v in graded.verdicts if points.get(v.exercise) is None and (v.points is not None or v.exercise not in points)]
    if tries and not new:
        return Appended(attempt.id, Outcome.DUPLICATE, tries[-1]["event"], 0, False)
    points |= {v.exercise: v.points for v in new}
    complete = not graded.error and None not in points.values()
    event = _insert(db, attempt, graded, at, actor, len(tries) + 1, complete, because or {})
    _insert_verdicts(db, event, [(graded.verdicts.index(v), v) for v in new])
    return Appended(attempt.id, Outcome.COMPLETED if tries else Outcome.RECORDED, event, len(new), complete)


def add_restoration(db: Connection, attempt: Attempt, grader_build: str, at: datetime, actor: str, reason: str) -> int:
    """Let an earlier build's verdicts on the attempt stand again, by saying them once more; return the event.

    Raises: LedgerError when that build never spoke about the attempt.
    """
    said = [g for g in _gradings(db, attempt.id, grader_build) if g["origin"] == "graded"]
    if not said:
        raise LedgerError(f'the build "{grader_build}" never graded attempt {attempt.id}: there is nothing to restore.')
    rows = db.execute(select(t.verdict).where(t.verdict.c.grading.in_([g["event"] for g in said]))).mappings()
    newest: dict[str, RowMapping] = {}
    for row in sorted(rows, key=lambda r: (r["points"] is not None, r["grading"])):
        newest[row["exercise"]] = row
    n_before = len(_gradings(db, attempt.id, grader_build)) - len(said)
    last = said[-1]
    payload = {"attempt": attempt.id, "grader_build": grader_build, "reason": reason}
    event = add_event(db, "grading.restored", at, actor, attempt.pseudonym, payload)
    copy = {**last, "event": event, "origin": "restored", "try_no": n_before + 1, "graded_at": at}
    db.execute(insert(t.grading).values(copy))
    if newest:
        db.execute(insert(t.verdict), [{**row, "grading": event} for row in newest.values()])
    return event


def fraction(verdict: Verdict) -> float | None:
    """Return how much of the exercise was right, 0 to 1; None when the status says nothing of the answer.

    Points over max_points; for an exercise of 0 points the share of verified check weight that passed.
    """
    if verdict.status in (Status.INFRA, Status.SKIPPED) or verdict.points is None:
        return None
    if verdict.max_points > 0:
        return min(1.0, verdict.points / verdict.max_points)
    total = math.fsum(c.weight for c in verdict.checks if c.evidence == "verified")
    if total <= 0:
        return 1.0 if verdict.status is Status.PASS else 0.0
    return math.fsum(c.weight for c in verdict.checks if c.evidence == "verified" and c.status is Status.PASS) / total


def evidence(verdict: Verdict) -> str:
    """Return "verified", or "observed" when checks spoke and none of them was verified."""
    return "observed" if verdict.checks and all(c.evidence != "verified" for c in verdict.checks) else "verified"


def _check(attempt: Attempt, graded: Graded) -> None:
    where = f"grading of attempt {attempt.id}"
    if (graded.assignment, graded.sha256) != (attempt.assignment, attempt.sha256):
        found, expected = f"{graded.assignment} {graded.sha256[:12]}", f"{attempt.assignment} {attempt.sha256[:12]}"
        raise LedgerError(f"{where}: it is of {found}, and the attempt is of {expected}.")
    if not graded.grader_build or not graded.tier:
        raise LedgerError(f"{where}: it names no grader build or no tier.")
    names = [v.exercise for v in graded.verdicts]
    if len(set(names)) != len(names):
        raise LedgerError(f"{where}: it speaks twice about one exercise.")
    for v in graded.verdicts:
        if (v.points is None) != (v.status is Status.INFRA):
            raise LedgerError(f"{where}: {v.exercise} has status {v.status} and points {v.points}. Exactly INFRA has none.")
        # Written so that NaN fails, too.
        if not (0 <= v.max_points < math.inf) or not (v.points is None or 0 <= v.points <= v.max_points):
            raise LedgerError(f"{where}: {v.exercise} has {v.points} of {v.max_points} points.")


def _gradings(db: Connection, attempt_id: str, build: str) -> list[RowMapping]:
    g = t.grading.c
    query = select(t.grading).where(g.attempt == attempt_id, g.grader_build == build).order_by(g.event)
    return list(db.execute(query).mappings())


def _said(db: Connection, gradings: list[int]) -> dict[str, float | None]:
    """Return exercise -> the highest points in these gradings (they score an exercise once), None while it is INFRA."""
    v = t.verdict.c
    query = select(v.exercise, func.max(v.points)).where(v.grading.in_(gradings)).group_by(v.exercise)
    return {row[0]: row[1] for row in db.execute(query)}


def _insert(
    db: Connection,
    attempt: Attempt,
    graded: Graded,
    at: datetime,
    actor: str,
    try_no: int,
    complete: bool,
    because: Mapping[str, Any],
) -> int:
    payload = {"attempt": attempt.id, "grader_build": graded.grader_build, "tier": graded.tier, "try": try_no, "complete": complete}
    payload |= because
    event = add_event(db, "attempt.graded", at, actor, attempt.pseudonym, payload)
    row = {
        "event": event,
        "attempt": attempt.id,
        "grader_build": graded.grader_build,
        "tier": graded.tier,
        "origin": "graded",
        "try_no": try_no,
        "complete": complete,
        "graded_at": at,
        "cpu_s": graded.cpu_s,
        "error": storable(graded.error),
        "notes": _list(graded.notes),
        "output": storable(graded.output),
    }
    db.execute(insert(t.grading).values(row))
    return event


def _insert_verdicts(db: Connection, event: int, verdicts: list[tuple[int, Verdict]]) -> None:
    rows = [
        {
            "grading": event,
            "exercise": v.exercise,
            "position": position,
            "status": v.status.value,
            "points": v.points,
            "max_points": v.max_points,
            "fraction": fraction(v),
            "evidence": evidence(v),
            "cpu_s": v.cpu_s,
            "hint": storable(v.hint),
            "notes": _list(v.notes),
            "checks": [{**asdict(c), "hint": storable(c.hint)} for c in v.checks],
            "key": v.key or None,
        }
        for position, v in verdicts
    ]
    if rows:
        db.execute(insert(t.verdict), rows)


def _list(notes: Iterable[str]) -> list[str]:
    return [storable(n) for n in notes]


def storable(text: str) -> str:
    """Return the text as both databases can keep it."""
    # PostgreSQL refuses NUL and both databases refuse lone surrogates, which a student's output may hold.
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
