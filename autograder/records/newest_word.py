"""Students and exercises in; what each was told last out: the attempt, the failed check and the hint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_

from autograder.grading.verdict import Status
from autograder.records import schema as t
from autograder.records.ledger import Ledger


@dataclass(frozen=True)
class Word:
    """The newest verdict on one student's exercise. `check` is the first failed one, "" where none is named."""

    pseudonym: str
    exercise: str
    attempt: str
    received_at: datetime
    status: Status
    check: str
    hint: str


def newest_words(ledger: Ledger, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Word]:
    """Return (pseudonym, exercise) -> the newest word, of those that have one that is scored."""
    a, g, v = t.attempt.c, t.grading.c, t.verdict.c
    query = (
        select(a.pseudonym, v.exercise, a.id, a.received_at, v.status, v.checks, v.hint)
        .join(t.grading, g.attempt == a.id)
        .join(t.verdict, v.grading == g.event)
        # The first two conditions follow from the third; they are what indexes can use.
        .where(a.pseudonym.in_({p for p, _ in wanted}), v.exercise.in_({e for _, e in wanted}))
        .where(tuple_(a.pseudonym, v.exercise).in_(wanted), v.points.is_not(None))
        .order_by(a.received_at, a.event, g.event)
    )
    with ledger.reading() as db:
        rows = db.execute(query).all() if wanted else []
    return {(r.pseudonym, r.exercise): _word(*r) for r in rows}


def _word(pseudonym: str, exercise: str, attempt: str, at: datetime, status: str, checks: list[dict[str, str]], hint: str) -> Word:
    failed = (c["name"] for c in checks if c["status"] not in (Status.PASS.value, Status.SKIPPED.value))
    return Word(pseudonym, exercise, attempt, at, Status(status), next(failed, ""), hint)
