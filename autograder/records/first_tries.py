"""Standing verdicts in, the first try of every exercise by every student out, as of any event of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from autograder.grading.verdict import Status
from autograder.records import schema as t
from autograder.records.model import FirstTry, Tries
from autograder.records.standing import standing


def first_tries(db: Connection, as_of: int | None, cohort: str | None, pseudonym: str | None = None) -> list[FirstTry]:
    """Return first tries ordered by pseudonym, then exercise; see `FirstTry` for what is left out."""
    a = t.attempt.c
    conditions: list[ColumnElement[bool]] = []
    if pseudonym is not None:
        conditions.append(a.pseudonym == pseudonym)
    if cohort is not None:
        conditions.append(a.pseudonym.in_(select(t.student.c.pseudonym).where(t.student.c.cohort == cohort)))
    s = standing(as_of, *conditions).c
    query = (
        select(a.pseudonym, a.assignment, a.event, a.received_at, a.id)
        .add_columns(s.exercise, s.status, s.fraction, s.max_points, s.tier, s.evidence, s.grader_build)
        .join(t.attempt, s.attempt == a.id)
        .order_by(a.pseudonym, s.exercise, a.received_at, a.event)
    )
    return list(_pick(db.execute(query)))


def count_tries(exercise: str, statuses: Iterable[Status]) -> Tries:
    """Count the tries in the statuses of one student's attempts, oldest first: skipped and INFRA are no tries."""
    tried = [s for s in statuses if s not in (Status.SKIPPED, Status.INFRA)]
    to_pass = tried.index(Status.PASS) + 1 if Status.PASS in tried else None
    return Tries(exercise, len(tried), to_pass)


def _pick(rows: Iterable[Row[Any]]) -> Iterator[FirstTry]:
    for (pseudonym, exercise), group in groupby(rows, key=attrgetter("pseudonym", "exercise")):
        seen = list(group)
        statuses = [Status(r.status) for r in seen]
        # A skipped exercise was not tried yet; one that was INFRA was, and nothing later may take its place.
        first = next((i for i, s in enumerate(statuses) if s is not Status.SKIPPED), 0)
        if statuses[first] is Status.INFRA:
            continue
        row, tries = seen[first], count_tries(exercise, statuses)
        yield FirstTry(
            pseudonym=pseudonym,
            exercise=exercise,
            assignment=row.assignment,
            event=row.event,
            received_at=row.received_at,
            fraction=row.fraction,
            status=statuses[first],
            n_tries=tries.n_tries,
            n_tries_to_pass=tries.n_tries_to_pass,
            max_points=row.max_points,
            tier=row.tier,
            evidence=row.evidence,
            attempt=row.id,
            grader_build=row.grader_build,
        )
