"""Standing verdicts of everybody's latest attempts in, one row per student and exercise out: set-based, as of any event."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from sqlalchemy import Exists, Select, String, and_, literal, or_, select, type_coerce

from autograder.records import schema as t
from autograder.records.ledger import Ledger
from autograder.records.standing import bound
from autograder.records.tables import latest

COLUMNS = (
    "student",
    "pseudonym",
    "cohort",
    "assignment",
    "exercise",
    "status",
    "points",
    "max_points",
    "n_attempts",
    "received_at",
    "attempt",
)
MEANINGS = {
    "student": "The student's name on the Hub; empty for who was erased, and where names are left out.",
    "pseudonym": "The student's name in the records.",
    "cohort": "The cohort's name.",
    "assignment": "The assignment's id.",
    "exercise": "The exercise's id.",
    "status": "What the hidden checks said: pass, fail, error, timeout, crashed, tampered, skipped, infra (our fault).",
    "points": "Points earned; nothing while unscored by our fault.",
    "max_points": "Points that the exercise is worth.",
    "n_attempts": "How many attempts there are at the assignment.",
    "received_at": "When the newest attempt arrived, by the server's clock, in UTC.",
    "attempt": "The newest attempt's own number.",
}
# What a spreadsheet would read as the beginning of a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_BATCH = 10_000

# As in COLUMNS; the time as the database gives it (`moment` makes it aware): parsing each row's costs more than its query.
Row = tuple[str, str, str, str, str, str, float | None, float, int, str | datetime, str]


def rows(
    ledger: Ledger,
    cohort: str | None = None,
    assignment: str | None = None,
    as_of: int | None = None,
    *,
    names: bool = True,
    among: Sequence[str] | None = None,
) -> Iterator[Sequence[Row]]:
    """Yield batches of rows in the order of COLUMNS, by pseudonym, assignment and exercise.

    Without `names`, and for whoever was erased, "student" is empty. `among`: pseudonyms. Points are None while
    unscored by our fault.
    """
    with ledger.reading() as db:
        found = db.execution_options(yield_per=_BATCH).execute(_query(cohort, assignment, as_of, names, among))
        yield from (batch for batch in found.partitions(_BATCH))


def write_csv(batches: Iterator[Sequence[Row]], file: TextIO) -> int:
    """Write a CSV with a header, texts quoted and harmless to spreadsheets; return how many rows."""
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    n, safe, stamp = 0, lru_cache(maxsize=20_000)(harmless), lru_cache(maxsize=20_000)(_stamp)
    for batch in batches:
        n += len(batch)
        writer.writerows(
            (
                safe(r[0]),
                r[1],
                safe(r[2]),
                safe(r[3]),
                safe(r[4]),
                r[5],
                "" if r[6] is None else r[6],
                r[7],
                r[8],
                stamp(r[9]),
                r[10],
            )
            for r in batch
        )
    return n


def moment(at: str | datetime) -> datetime:
    """Return a row's time, aware."""
    found = datetime.fromisoformat(at) if isinstance(at, str) else at
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def harmless(text: str) -> str:
    """Return the text so that a spreadsheet shows it and computes nothing: a leading apostrophe where it would."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _stamp(at: str | datetime) -> str:
    return moment(at).isoformat(timespec="seconds")


def _query(cohort: str | None, assignment: str | None, as_of: int | None, names: bool, among: Sequence[str] | None) -> Select[Any]:
    # Not by windows over all verdicts (standing.py): most attempts have one grading, and looking for a better one along
    # an index costs SQLite less than half.
    a, g, v, i = latest(cohort, assignment, as_of, among).c, t.grading.c, t.verdict.c, t.identity.c
    columns = (a.pseudonym, a.cohort, a.assignment, v.exercise, v.status, v.points, v.max_points, a.n_attempts)
    query = (
        select(i.name if names else literal(""), *columns, type_coerce(a.received_at, String), a.id)
        .join(t.grading, and_(g.attempt == a.id, g.event <= bound(as_of)))
        .join(t.verdict, v.grading == g.event)
        .where(a.age == 1, ~_better(as_of))
        .order_by(a.pseudonym, a.assignment, v.exercise)
    )
    return query.outerjoin(t.identity, i.pseudonym == a.pseudonym) if names else query


def _better(as_of: int | None) -> Exists:
    """Whether another verdict on the exercise of this attempt stands before this one: scored, or as scored and newer."""
    g, v, gradings, verdicts = t.grading.c, t.verdict.c, t.grading.alias(), t.verdict.alias()
    other, its = verdicts.c, gradings.c
    scored = and_(other.points.is_not(None), v.points.is_(None))
    alike = or_(and_(other.points.is_(None), v.points.is_(None)), and_(other.points.is_not(None), v.points.is_not(None)))
    return (
        select(other.exercise)
        .join(gradings, other.grading == its.event)
        .where(its.attempt == g.attempt, other.exercise == v.exercise, its.event <= bound(as_of))
        .where(or_(scored, and_(alike, its.event > g.event)))
        .exists()
    )
