"""A part of the roll, or one student with results and extensions, in; the roster's pages out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from autograder.deadlines import Extension
from autograder.pages import wording
from autograder.pages.catalog import Catalog
from autograder.pages.models import Choice, Snapshot
from autograder.pages.wording import Moment
from autograder.records import CohortRow, Student
from autograder.records.roll import Roll

N_SHOWN = 50
_MOST_PARTS = 12


@dataclass(frozen=True)
class RosterLine:
    """One student."""

    name: Annotated[str, "The student's name on the Hub."]
    pseudonym: Annotated[str, "The student's name in the records."]
    joined: Annotated[Moment, "When the student joined."]
    left: Annotated[Moment | None, "When the student left."]
    handed_in: Annotated[str, "How many assignments are handed in."]
    extensions: Annotated[str, "How many extensions hold."]


@dataclass(frozen=True)
class RosterPage:
    """A part of a cohort's roll."""

    cohort: Annotated[str, "The cohort."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts there are."]
    like: Annotated[str, "What names must hold; empty for all."]
    lines: Annotated[tuple[RosterLine, ...], "The students of this part, by name."]
    shown: Annotated[str, "Which students these are."]
    parts: Annotated[tuple[Choice, ...], "The parts of the roll."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class DueLine:
    """One assignment of one student."""

    id: Annotated[str, "The assignment's folder."]
    title: Annotated[str, "The assignment's title."]
    due: Annotated[Moment | None, "When it is due for this student."]
    extended: Annotated[str, "Until when it is extended for this student; empty when it is not."]
    in_file: Annotated[bool, "Whether that extension stands in course.toml, where alone it can be taken back."]
    handed_in: Annotated[str, "Attempts and points of the newest."]
    attempt: Annotated[str, "The newest attempt's number; empty when there is none."]


@dataclass(frozen=True)
class EnrolledPage:
    """One student's due dates. That it was looked at is an event in the ledger."""

    name: Annotated[str, "The student's name on the Hub."]
    pseudonym: Annotated[str, "The student's name in the records."]
    cohort: Annotated[str, "The student's cohort."]
    joined: Annotated[Moment, "When the student joined."]
    left: Annotated[Moment | None, "When the student left."]
    lines: Annotated[tuple[DueLine, ...], "The assignments, in teaching order."]
    extendable: Annotated[tuple[tuple[str, str], ...], "Assignments with a due date: id and title."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class View:
    """Which part of which cohort's roll is wanted."""

    cohort: str
    like: str
    part: int

    def query(self, part: int) -> str:
        return "?" + urlencode({"cohort": self.cohort, "q": self.like, "part": part})

    @property
    def first(self) -> int:
        return (self.part - 1) * N_SHOWN


def roster_page(
    view: View,
    found: Roll,
    n_handed_in: Mapping[str, int],
    extensions: Sequence[Extension],
    n_assignments: int,
    cohorts: tuple[Choice, ...],
    snapshot: Snapshot,
) -> RosterPage:
    """Return the page; `n_handed_in` counts assignments by pseudonym, of the students that it shows."""
    n_parts = max(1, -(-found.n // N_SHOWN))
    return RosterPage(
        cohort=view.cohort,
        cohorts=cohorts,
        like=view.like,
        lines=tuple(
            _line(student, name, n_handed_in.get(student.pseudonym, 0), extensions, n_assignments) for student, name in found.lines
        ),
        shown=f"{view.first + 1} to {view.first + len(found.lines)} of {wording.whole(found.n)}" if found.lines else "nobody",
        parts=tuple(Choice(str(n), view.query(n), n == view.part) for n in _near(view.part, n_parts)) if n_parts > 1 else (),
        snapshot=snapshot,
    )


def due_lines(
    catalog: Catalog, names: Sequence[str], granted: Sequence[Extension], rows: Mapping[str, CohortRow], now: datetime
) -> tuple[DueLine, ...]:
    """Return the course's assignments with this student's dates; `granted` are the student's extensions that are events."""
    by_event = {e.assignment for e in granted}
    lines = []
    for a in catalog.assignments:
        due = catalog.lateness(a.id, now, *names).due
        is_extended = due is not None and a.due is not None and due > a.due
        lines.append(
            DueLine(
                id=a.id,
                title=a.title,
                due=Moment.of(due) if due else None,
                extended=Moment.of(due).text if due and is_extended else "",
                in_file=is_extended and a.id not in by_event,
                handed_in=_handed_in(row := rows.get(a.id)),
                attempt=row.attempt if row else "",
            )
        )
    return tuple(lines)


def _line(student: Student, name: str, n: int, extensions: Sequence[Extension], n_assignments: int) -> RosterLine:
    n_extended = sum(e.student in (name, student.pseudonym) for e in extensions)
    return RosterLine(
        name=name,
        pseudonym=student.pseudonym,
        joined=Moment.of(student.joined_at),
        left=Moment.of(student.left_at) if student.left_at else None,
        handed_in=f"{n} of {n_assignments}",
        extensions=str(n_extended) if n_extended else wording.NOTHING,
    )


def _handed_in(row: CohortRow | None) -> str:
    if row is None:
        return "nothing yet"
    points = f", {wording.number(row.points)} of {wording.number(row.max_points)} points" if row.is_graded else ", waiting"
    return wording.counted(row.n_attempts, "attempt") + points


def _near(part: int, n_parts: int) -> list[int]:
    """The first, the last, and those around this one."""
    if n_parts <= _MOST_PARTS:
        return list(range(1, n_parts + 1))
    return sorted({1, n_parts, *(n for n in range(part - 3, part + 4) if 1 <= n <= n_parts)})
