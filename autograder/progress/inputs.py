"""A ledger and an event number in, everything that an evaluation depends on out: the log alone, as it stood then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from autograder.progress.decisions import KINDS, decisions
from autograder.progress.engine import Model
from autograder.progress.evaluate import Background, evaluate_with_model
from autograder.progress.irt.bank import Bank
from autograder.progress.items import CourseItems
from autograder.progress.policy import Policy, State
from autograder.progress.report import Report
from autograder.progress.transitions import Past
from autograder.records import Event, FirstTry, Ledger

EVALUATION, EVALUATED = "progress.evaluation", "progress.evaluated"
BANK = "progress.bank"
# What can change a report. Views of pages are events too, and change nothing.
CHANGES = (
    "student.enrolled",
    "attempt.received",
    "attempt.graded",
    "grading.restored",
    EVALUATION,
    BANK,
    *KINDS,
)
_ALL = 10**9


@dataclass(frozen=True)
class Inputs:
    """What the log says up to `as_of`."""

    as_of: int
    first_tries: tuple[FirstTry, ...]
    students: tuple[str, ...]
    background: Background

    def evaluate(self, course: CourseItems, policy: Policy) -> Report:
        """Return the report that follows from these inputs and nothing else."""
        return self.evaluate_with_model(course, policy)[0]

    def evaluate_with_model(self, course: CourseItems, policy: Policy) -> tuple[Report, Model | None]:
        """Return the report and the model that it rests on."""
        return evaluate_with_model(self.first_tries, course, policy, self.students, self.as_of, self.background)


def read(ledger: Ledger, cohort: str | None, as_of: int, at: datetime | None = None) -> Inputs:
    """Return the inputs of an evaluation as of an event; `at` is when it is made (None: when that event was)."""
    if at is None and as_of:
        at = ledger.events(as_of - 1, limit=1)[0].at
    students = tuple(s.pseudonym for s in ledger.students(cohort, as_of=as_of))
    background = Background(
        bank=_bank(ledger, cohort, as_of),
        decided=decisions(until(ledger, KINDS, as_of)),
        past=_past(until(ledger, (EVALUATED,), as_of), set(students)),
        at=at,
    )
    return Inputs(as_of, tuple(ledger.first_tries(as_of, cohort)), students, background)


def until(ledger: Ledger, kinds: Iterable[str], as_of: int) -> list[Event]:
    """Return the events of these kinds up to `as_of`, in order."""
    return [e for e in ledger.events(0, kinds, limit=_ALL) if e.id <= as_of]


def _bank(ledger: Ledger, cohort: str | None, as_of: int) -> Bank | None:
    """Return the newest bank that was adopted for this cohort."""
    found = [e for e in until(ledger, (BANK,), as_of) if e.payload["cohort"] == cohort]
    return Bank.from_json(found[-1].payload["bank"]) if found else None


def _past(events: Iterable[Event], students: set[str]) -> dict[str, list[Past]]:
    out: dict[str, list[Past]] = {}
    for e in events:
        if e.subject in students:
            out.setdefault(e.subject, []).append(Past(e.at, float(e.payload["p"]), State(e.payload["state"])))
    return out
