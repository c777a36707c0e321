"""A pseudonym in, that student's results per assignment, attempt and exercise out; and gradings for instructors."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Row, select

from autograder.grading.verdict import Verdict
from autograder.records import schema as t
from autograder.records.first_tries import count_tries
from autograder.records.model import AssignmentResult, Attempt, AttemptResult, Grading, LedgerError
from autograder.records.standing import newest_grading, standing

_MAX_KNOWN = 400


def results(db: Connection, pseudonym: str, assignment: str | None = None) -> list[AssignmentResult]:
    """Return every assignment that the student handed in, by assignment id, attempts oldest first."""
    mine: list[ColumnElement[bool]] = [t.attempt.c.pseudonym == pseudonym]
    if assignment is not None:
        mine.append(t.attempt.c.assignment == assignment)
    found = attempts(db, *mine)
    verdicts = _verdicts(db, mine)
    gradings = _newest_gradings(db, mine)
    ordered = sorted(found, key=attrgetter("assignment"))  # stable: attempts stay oldest first
    return [
        _assignment(name, [_attempt(a, n, verdicts.get(a.id, ()), gradings.get(a.id)) for n, a in enumerate(group, 1)])
        for name, group in groupby(ordered, key=attrgetter("assignment"))
    ]


def attempts(db: Connection, *conditions: ColumnElement[bool]) -> list[Attempt]:
    """Return the attempts that fulfil all conditions, by time of receipt, then event."""
    a = t.attempt.c
    query = select(a.id, a.pseudonym, a.assignment, a.sha256, a.received_at).where(*conditions)
    return [Attempt(*row) for row in db.execute(query.order_by(a.received_at, a.event))]


def gradings(db: Connection, attempt_id: str) -> list[Grading]:
    """Return every grading of the attempt, oldest first."""
    query = select(t.grading).where(t.grading.c.attempt == attempt_id).order_by(t.grading.c.event)
    return [Grading(**{**row, "notes": tuple(row["notes"])}) for row in db.execute(query).mappings()]


def to_grade(db: Connection, attempt_id: str) -> tuple[Attempt, list[Verdict]]:
    """Return the attempt and its student's newest verdicts that may be used again. Raises: LedgerError."""
    found = attempts(db, t.attempt.c.id == attempt_id)
    if not found:
        raise LedgerError(f'no attempt "{attempt_id}" is recorded.')
    return found[0], known(db, found[0].pseudonym, found[0].assignment)


def known(db: Connection, pseudonym: str, assignment: str, limit: int = _MAX_KNOWN) -> list[Verdict]:
    """Return the student's newest verdicts that may be used again, oldest first."""
    v, a = t.verdict.c, t.attempt.c
    query = (
        select(t.verdict)
        .join(t.grading, v.grading == t.grading.c.event)
        .join(t.attempt, t.grading.c.attempt == a.id)
        .where(a.pseudonym == pseudonym, a.assignment == assignment, v.key.is_not(None))
        .order_by(v.grading.desc(), v.position)
    )
    return [_verdict(row) for row in db.execute(query.limit(limit))][::-1]


def _verdicts(db: Connection, mine: list[ColumnElement[bool]]) -> dict[str, tuple[Verdict, ...]]:
    s = standing(None, *mine, with_texts=True)
    rows = db.execute(select(s).order_by(s.c.attempt, s.c.position, s.c.exercise))
    return {key: tuple(_verdict(r) for r in group) for key, group in groupby(rows, key=attrgetter("attempt"))}


def _verdict(row: Row[Any]) -> Verdict:
    names = ("exercise", "status", "points", "max_points", "checks", "hint", "notes", "cpu_s")
    return Verdict.from_json({**{name: getattr(row, name) for name in names}, "key": row.key or ""})


def _newest_gradings(db: Connection, mine: list[ColumnElement[bool]]) -> dict[str, Row[Any]]:
    n, g = newest_grading(None, *mine), t.grading.c
    query = select(g.attempt, g.grader_build, g.tier, g.graded_at, g.notes, g.error).join(n, n.c.event == g.event)
    return {row.attempt: cast(Row[Any], row) for row in db.execute(query)}


def _attempt(attempt: Attempt, number: int, verdicts: tuple[Verdict, ...], grading: Row[Any] | None) -> AttemptResult:
    if grading is None:
        return AttemptResult(attempt, number, verdicts)
    g = grading
    return AttemptResult(attempt, number, verdicts, g.grader_build, g.tier, g.graded_at, tuple(g.notes), g.error)


def _assignment(name: str, attempts: list[AttemptResult]) -> AssignmentResult:
    order = {v.exercise: None for a in reversed(attempts) for v in a.verdicts}
    tries = (count_tries(e, [v.status for a in attempts for v in a.verdicts if v.exercise == e]) for e in order)
    return AssignmentResult(name, tuple(attempts), tuple(tries))
