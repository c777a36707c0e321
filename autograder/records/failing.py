"""An exercise in; what its newest failed answers failed at and were told out, counted. For instructors: it names hidden checks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import select

from autograder.grading.verdict import Status
from autograder.records import schema as t
from autograder.records.ledger import Ledger

N_READ = 1000
_GOOD = (Status.PASS.value, Status.SKIPPED.value, Status.INFRA.value)


@dataclass(frozen=True)
class Failing:
    """Of `n` failed answers: how many failed each check, and how many answered as a known slip does, by that slip's hint."""

    n: int
    by_status: tuple[tuple[str, int], ...]
    by_check: tuple[tuple[str, int], ...]
    by_slip: tuple[tuple[str, int], ...]


def failing(ledger: Ledger, assignment: str, exercise: str) -> Failing:
    """Return it for the newest N_READ failed answers, whoever gave them."""
    v, g, a = t.verdict.c, t.grading.c, t.attempt.c
    query = (
        select(v.status, v.hint, v.checks)
        .join(t.grading, v.grading == g.event)
        .join(t.attempt, g.attempt == a.id)
        .where(a.assignment == assignment, v.exercise == exercise, v.status.not_in(_GOOD))
        .order_by(g.event.desc())
        .limit(N_READ)
    )
    statuses, checks, slips = Counter[str](), Counter[str](), Counter[str]()
    with ledger.reading() as db:
        for row in db.execute(query):
            statuses[row.status] += 1
            checks.update(c["name"] for c in row.checks if c["status"] not in _GOOD)
            # Grading tells an answer that behaves like a mutant that mutant's hint, in place of the check's own.
            if row.hint and row.checks and row.hint not in {c["hint"] for c in row.checks}:
                slips[row.hint] += 1
    return Failing(sum(statuses.values()), _most_first(statuses), _most_first(checks), _most_first(slips))


def _most_first(counted: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))
