"""A cohort's rows from the ledger and the tracker's word in, the cohort's page models out.

Ordered by name or by state, and within a state by name: never by points, so that nobody stands at the bottom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from autograder.course import Assignment
from autograder.pages import estimates, wording
from autograder.pages.catalog import Catalog
from autograder.pages.estimates import STATES
from autograder.pages.models import Choice, CohortLine, CohortPage, Column, Count, PointsCell, Snapshot
from autograder.pages.wording import Mark
from autograder.progress import Finding, Policy, Report
from autograder.records import CohortRow, Student

ORDERS: Mapping[str, str] = {"name": "by name", "state": "by state"}
PART_SIZE = 100
_NOTHING = PointsCell(wording.NOTHING, None)


@dataclass(frozen=True)
class View:
    """What a reader asked to see: a cohort, an order and a part of the table (from 1)."""

    cohort: str
    order: str = "name"
    part: int = 1

    def query(self, **changed: str | int) -> str:
        """Return the address' query for this view with some of it changed."""
        return "?" + urlencode({**vars(self), **changed})


def cohort_page(
    catalog: Catalog,
    view: View,
    cohorts: Sequence[str],
    students: Sequence[Student],
    names: Mapping[str, str],
    rows: Sequence[CohortRow],
    report: Report,
    policy: Policy,
    snapshot: Snapshot,
) -> CohortPage:
    """Return the page; rows may hold other students' or other assignments' results, which are left out."""
    columns = catalog.assignments
    by_key = {(r.pseudonym, r.assignment): r for r in rows}
    findings = {f.pseudonym: f for f in report.students}
    lines = [_line(s, names.get(s.pseudonym, s.pseudonym), columns, by_key, findings.get(s.pseudonym)) for s in students]
    lines.sort(key=_key_of(view.order))
    n_parts = max(1, -(-len(lines) // PART_SIZE))
    part = min(view.part, n_parts)
    first = (part - 1) * PART_SIZE
    shown = lines[first : first + PART_SIZE]
    return CohortPage(
        cohort=view.cohort,
        n_students=len(lines),
        counts=_counts(lines),
        columns=tuple(_column(catalog, a, rows) for a in columns),
        lines=tuple(shown),
        scale=estimates.scale(report),
        orders=tuple(Choice(text, view.query(order=key, part=1), key == view.order) for key, text in ORDERS.items()),
        cohorts=tuple(Choice(c, View(c, view.order).query(), c == view.cohort) for c in cohorts) if len(cohorts) > 1 else (),
        parts=tuple(Choice(str(n), view.query(part=n), n == part) for n in range(1, n_parts + 1)) if n_parts > 1 else (),
        shown=f"{first + 1} to {first + len(shown)} of {len(lines)}",
        legend=estimates.legend(report, policy),
        too_early=report.too_early,
        snapshot=snapshot,
    )


def _line(
    student: Student, name: str, columns: Sequence[Assignment], by_key: Mapping[tuple[str, str], CohortRow], finding: Finding | None
) -> CohortLine:
    rows = [by_key.get((student.pseudonym, a.id)) for a in columns]
    return CohortLine(
        name=name,
        pseudonym=student.pseudonym,
        left=student.left_at is not None,
        estimate=estimates.view(finding),
        cells=tuple(_cell(r) for r in rows),
        total=wording.number(sum(r.points for r in rows if r)) if any(r and _is_scored(r) for r in rows) else wording.NOTHING,
    )


def _cell(row: CohortRow | None) -> PointsCell:
    if row is None:
        return _NOTHING
    return PointsCell(wording.number(row.points) if _is_scored(row) else wording.NOTHING, _mark(row))


def _is_scored(row: CohortRow) -> bool:
    return row.is_graded and not row.error and row.n_infra < row.n_exercises


def _mark(row: CohortRow) -> Mark | None:
    if not row.is_graded:
        return wording.WAITING
    if row.error:
        return wording.UNREADABLE
    return wording.UNSCORED if row.n_infra else None


def _column(catalog: Catalog, assignment: Assignment, rows: Sequence[CohortRow]) -> Column:
    manifest = catalog.manifest(assignment.id)
    n = sum(r.assignment == assignment.id for r in rows)
    points = wording.number(manifest.max_points if manifest else None)
    return Column(assignment.id, assignment.id.split("_")[0].upper(), assignment.title, points, n)


def _counts(lines: Sequence[CohortLine]) -> tuple[Count, ...]:
    marks = [line.estimate.state for line in lines]
    return tuple(Count(mark, marks.count(mark)) for mark in STATES.values() if mark in marks)


def _key_of(order: str) -> Callable[[CohortLine], tuple[int, str]]:
    marks = list(STATES.values())

    def key(line: CohortLine) -> tuple[int, str]:
        return marks.index(line.estimate.state) if order == "state" else 0, line.name.casefold()

    return key
