"""Hand-ins and first tries of a cohort in; how well each assignment's grading went out: when they came, how long it took."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
from sqlalchemy import func, select

from autograder.grading.verdict import Status
from autograder.records import FirstTry, Ledger
from autograder.records import schema as t


@dataclass(frozen=True)
class Health:
    """`n_per_day`: hand-ins by UTC day, days without any left out. Latency: from receipt to the first word of a grader.

    `n_timeouts` of `n_first_tries` ran out of time; `n_crashed` ended the process. `n_unreadable` hand-ins were no notebook,
    `n_waiting` have no word yet.
    """

    assignment: str
    n_attempts: int
    n_students: int
    n_per_day: tuple[tuple[date, int], ...]
    p50_s: float | None
    p95_s: float | None
    n_waiting: int
    n_unreadable: int
    n_first_tries: int
    n_timeouts: int
    n_crashed: int


def healths(ledger: Ledger, cohort: str, as_of: int, tries: Iterable[FirstTry], order: Sequence[str]) -> tuple[Health, ...]:
    """Return a line per assignment, in this order; one that nobody handed in has zeros."""
    a, g = t.attempt.c, t.grading.c
    query = (
        select(a.assignment, a.pseudonym, a.received_at, func.min(g.event), func.max(g.error))
        .join(t.student, t.student.c.pseudonym == a.pseudonym)
        .outerjoin(t.grading, (g.attempt == a.id) & (g.event <= as_of))
        .where(t.student.c.cohort == cohort, a.event <= as_of)
        .group_by(a.id, a.assignment, a.pseudonym, a.received_at)
    )
    first = select(g.event, g.graded_at).join(t.attempt, a.id == g.attempt).join(t.student, t.student.c.pseudonym == a.pseudonym)
    with ledger.reading() as db:
        # Joined in here: of a grading only its first word's time is wanted, and two databases subtract times in two ways.
        graded_at: dict[int, datetime] = {r.event: r.graded_at for r in db.execute(first.where(t.student.c.cohort == cohort))}
        rows: dict[str, list[tuple[str, datetime, int | None, str | None]]] = defaultdict(list)
        for assignment, *row in db.execute(query):
            rows[assignment].append((row[0], row[1], row[2], row[3]))
    statuses: dict[str, Counter[Status]] = defaultdict(Counter)
    for f in tries:
        statuses[f.assignment][f.status] += 1
    return tuple(_health(one, rows[one], graded_at, statuses[one]) for one in order)


def _health(
    assignment: str,
    rows: Sequence[tuple[str, datetime, int | None, str | None]],
    graded_at: dict[int, datetime],
    statuses: Counter[Status],
) -> Health:
    days = Counter(received.astimezone(UTC).date() for _, received, _, _ in rows)
    waits = [(graded_at[event] - received).total_seconds() for _, received, event, _ in rows if event is not None]
    p50, p95 = (float(x) for x in np.percentile(waits, (50, 95), method="inverted_cdf")) if waits else (None, None)
    return Health(
        assignment=assignment,
        n_attempts=len(rows),
        n_students=len({who for who, _, _, _ in rows}),
        n_per_day=tuple(sorted(days.items())),
        p50_s=p50,
        p95_s=p95,
        n_waiting=sum(event is None for _, _, event, _ in rows),
        n_unreadable=sum(bool(error) for _, _, _, error in rows),
        n_first_tries=sum(n for s, n in statuses.items() if s is not Status.SKIPPED),
        n_timeouts=statuses[Status.TIMEOUT],
        n_crashed=statuses[Status.CRASHED],
    )
