"""A name in, what its bearer may take along by themselves out: results, words, decisions about them, and who looked.

Left out is what would tell how the hidden checks work: their names, what the player printed, why a grader of ours failed. A
person who wants every byte asks an organizer: `bootcamp ledger export-subject`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from autograder.grading.verdict import Status, Verdict
from autograder.records.ledger import Ledger
from autograder.records.model import AttemptResult, Event
from autograder.records.remarks import remarks_of

# Facts about results stand among the results; evaluations are told in the student's own page's words.
_TOLD_ELSEWHERE = ("attempt.received", "attempt.graded", "grading.restored", "progress.evaluated")
_PAGE = 1000


def own_data(ledger: Ledger, name: str) -> dict[str, Any]:
    """Return the person's own data as plain JSON data; who was never enrolled has none but their name."""
    student = ledger.student(name)
    if student is None:
        return {"name": name, "attempts": [], "first_tries": [], "events": []}
    mine = student.pseudonym
    return {
        "name": name,
        "pseudonym": mine,
        "cohort": student.cohort,
        "joined_at": student.joined_at.isoformat(),
        "attempts": [_attempt(a) for r in ledger.results(mine) for a in r.attempts],
        "first_tries": [
            {"exercise": f.exercise, "received_at": f.received_at.isoformat(), "fraction": f.fraction, "status": f.status.value}
            for f in ledger.first_tries(pseudonym=mine)
        ],
        "events": _events(ledger, mine),
    }


def _attempt(a: AttemptResult) -> dict[str, Any]:
    return {
        "id": a.attempt.id,
        "assignment": a.attempt.assignment,
        "number": a.number,
        "received_at": a.attempt.received_at.isoformat(),
        "graded_at": a.graded_at.isoformat() if a.graded_at else None,
        "sha256": a.attempt.sha256,
        "error": a.error,
        "exercises": [_verdict(v) for v in a.verdicts],
    }


def _verdict(v: Verdict) -> dict[str, Any]:
    said = {"exercise": v.exercise, "status": v.status.value, "points": v.points, "max_points": v.max_points, "hint": v.hint}
    hints = [c.hint for c in v.checks if c.hint and c.status is not Status.PASS]
    return {**said, "hints": hints, "notes": [] if v.status is Status.INFRA else list(v.notes)}


def _events(ledger: Ledger, pseudonym: str) -> list[dict[str, Any]]:
    found: list[Event] = []
    while batch := ledger.events(found[-1].id if found else 0, subject=pseudonym, limit=_PAGE):
        found += batch
    kept = [e for e in found if e.kind not in _TOLD_ELSEWHERE]
    texts = remarks_of(ledger, [e.id for e in kept])
    return [
        {**asdict(e), "at": e.at.isoformat(), "payload": dict(e.payload), **({"text": texts[e.id]} if e.id in texts else {})}
        for e in kept
    ]
