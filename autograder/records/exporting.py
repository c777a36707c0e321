"""Standing verdicts of everybody's latest attempts in, one row per student and exercise out: set-based, as of any event."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TextIO

from sqlalchemy import Select, literal, select

from autograder.records import schema as t
from autograder.records.ledger import Ledger
from autograder.records.tables import latest, ranked

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
# What a spreadsheet would read as the beginning of a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_BATCH = 10_000

Row = tuple[str, str, str, str, str, str, float | None, float, int, datetime, str]


def rows(
    ledger: Ledger, cohort: str | None = None, assignment: str | None = None, as_of: int | None = None, *, names: bool = True
) -> Iterator[Sequence[Row]]:
    """Yield batches of rows in the order of COLUMNS, by pseudonym, assignment and exercise.

    Without `names`, and for whoever was erased, "student" is empty. Points are None while unscored by our fault.
    """
    with ledger.reading() as db:
        found = db.execution_options(yield_per=_BATCH).execute(_query(cohort, assignment, as_of, names))
        yield from (batch for batch in found.partitions(_BATCH))  # type: ignore[misc]


def write_csv(batches: Iterator[Sequence[Row]], file: TextIO) -> int:
    """Write a CSV with a header, texts quoted and harmless to spreadsheets; return how many rows."""
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    n, safe, stamp = 0, _harmless(), _stamp
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


def harmless(text: str) -> str:
    """Return the text so that a spreadsheet shows it and computes nothing: a leading apostrophe where it would."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _harmless() -> Callable[[str], str]:
    return lru_cache(maxsize=20_000)(harmless)


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _query(cohort: str | None, assignment: str | None, as_of: int | None, names: bool) -> Select[Row]:
    r, i = ranked(latest(cohort, assignment, as_of), as_of).c, t.identity.c
    name = i.name if names else literal("")
    columns = (r.pseudonym, r.cohort, r.assignment, r.exercise, r.status, r.points, r.max_points, r.n_attempts, r.received_at, r.id)
    query = select(name, *columns).where(r.place == 1, r.exercise.is_not(None))
    if names:
        query = query.outerjoin(t.identity, i.pseudonym == r.pseudonym)
    return query.order_by(r.pseudonym, r.assignment, r.exercise)
