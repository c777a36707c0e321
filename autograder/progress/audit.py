"""A report in, its audit rows in the log out; and an old evaluation rebuilt from the log, bit for bit.

An evaluation is one header event, which holds everything that the log does not say elsewhere (the policy word for word, the
exercises of the course, engine, bank, grader builds, the event up to which it read), and one row per student, whose subject is
the student. All of it in one transaction. Rebuilding reads the header, goes back to its event and computes everything again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from autograder.errors import BootcampError
from autograder.progress import inputs
from autograder.progress.inputs import EVALUATED, EVALUATION
from autograder.progress.items import CourseItems, Item
from autograder.progress.policy import Policy
from autograder.progress.report import Finding, Report
from autograder.records import Event, Ledger

_ALL = 10**9


@dataclass(frozen=True)
class Rebuilt:
    """What rebuilding gave: `differ` names the pseudonyms whose row is not the recorded one, "" the header."""

    evaluation: int
    as_of: int
    n_rows: int
    n_flags: int
    engine: str
    recorded_engine: str
    differ: tuple[str, ...]


def record(ledger: Ledger, cohort: str | None, course: CourseItems, policy: Policy, at: datetime, actor: str) -> tuple[int, Report]:
    """Evaluate as of now and append the evaluation with its rows; return the header's event and the report."""
    report = inputs.read(ledger, cohort, ledger.last_event(), at).evaluate(course, policy)
    return record_report(ledger, report, cohort, course, policy, at, actor), report


def record_report(
    ledger: Ledger, report: Report, cohort: str | None, course: CourseItems, policy: Policy, at: datetime, actor: str
) -> int:
    """Append a report that was computed as of its `last_event`, at the time `at`, as an evaluation; return the header's event."""
    events = [(EVALUATION, None, header(report, cohort, course, policy))]
    rows = [(EVALUATED, f.pseudonym, row(f, report)) for f in report.students]
    return ledger.record_all([*events, *rows], at, actor)[0]


def header(report: Report, cohort: str | None, course: CourseItems, policy: Policy) -> dict[str, Any]:
    """Return what is common to all rows, and what a rebuild needs beside the log."""
    kept = {k: v for k, v in report.as_json().items() if k != "students"}
    items = [asdict(i) for i in sorted(course.items.values(), key=lambda i: i.exercise)]
    more = {
        "cohort": cohort,
        "policy_text": policy.model_dump(mode="json"),
        "course": {"items": items, "end_week": course.end_week},
    }
    return _plain({**kept, **more, "n_students": len(report.students)})


def row(f: Finding, report: Report) -> dict[str, Any]:
    """Return the audit row of one student: versions, numbers, evidence, state before and after, and why."""
    names = ("state", "before", "p", "p_other", "mean", "sd", "interval90", "rank90", "n_items", "n_notebooks", "n_skipped")
    more = ("notebooks", "set_aside", "p_growing", "is_rising", "on_hold", "reasons")
    versions = {k: getattr(report, k) for k in ("policy", "engine", "bank", "cross_check", "grader_builds", "last_event")}
    said = {k: getattr(f, k) for k in (*names, *more)}
    return _plain({**versions, **said, "why": asdict(f.why) if f.why else None})


def rebuild(ledger: Ledger, at: int) -> Rebuilt:
    """Compute the newest evaluation at or before event `at` again from the log, and compare every row.

    Raises: BootcampError when there is none.
    """
    headers = inputs.until(ledger, (EVALUATION,), at)
    if not headers:
        raise BootcampError(f"no evaluation is recorded at or before event {at}. Record one: bootcamp progress evaluate")
    found = headers[-1]
    said: Mapping[str, Any] = found.payload
    recorded = rows_of(ledger, found)
    policy, course = Policy.model_validate(said["policy_text"]), _course(said["course"])
    report = inputs.read(ledger, said["cohort"], said["last_event"], found.at).evaluate(course, policy)
    again = {f.pseudonym: row(f, report) for f in report.students}
    differ = [who for who in sorted(again.keys() | recorded.keys()) if again.get(who) != recorded.get(who)]
    if header(report, said["cohort"], course, policy) != said:
        differ.append("")
    flags = sum(r["state"] in ("watch", "provisional") for r in recorded.values())
    return Rebuilt(found.id, said["last_event"], len(recorded), flags, report.engine, said["engine"], tuple(differ))


def newest(ledger: Ledger, cohort: str | None, as_of: int | None = None) -> Event | None:
    """Return the header of the newest evaluation of the cohort."""
    found = inputs.until(ledger, (EVALUATION,), ledger.last_event() if as_of is None else as_of)
    return next((e for e in reversed(found) if e.payload["cohort"] == cohort), None)


def newest_of(ledger: Ledger, pseudonym: str) -> Event | None:
    """Return the newest audit row of one student."""
    found = ledger.events(0, (EVALUATED,), subject=pseudonym, limit=_ALL)
    return found[-1] if found else None


def rows_of(ledger: Ledger, found: Event) -> dict[str, Mapping[str, Any]]:
    """Return the rows of an evaluation by pseudonym, given its header."""
    # They follow the header in the same transaction, and transactions do not interleave.
    rows = ledger.events(found.id, (EVALUATED,), limit=int(found.payload["n_students"]))
    return {str(e.subject): e.payload for e in rows}


def _course(data: Mapping[str, Any]) -> CourseItems:
    return CourseItems({i["exercise"]: Item(**i) for i in data["items"]}, data["end_week"])


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the log gives back: tuples become lists, and what is not JSON fails here."""
    found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
    return found
