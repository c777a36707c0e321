"""A cohort's rows from the ledger and the tracker's word in, the cohort's page models out.

Ordered by name or by state, and within a state by name: never by points, so that nobody stands at the bottom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from autograder.course import Assignment, short_name
from autograder.pages import estimates, wording
from autograder.pages.catalog import Catalog
from autograder.pages.estimates import STATES
from autograder.pages.models import Choice, CohortLine, CohortPage, Column, Count, PointsCell, Snapshot
from autograder.pages.wording import Mark, Moment
from autograder.progress import Finding, Policy, Report, State
from autograder.records import CohortRow
from autograder.survey import Survey

ORDERS: Mapping[str, str] = {"name": "by name", "state": "by state"}
PART_SIZE = 50
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


@dataclass(frozen=True)
class Lines:
    """A cohort in the order that a reader asked for, and the part of it that is shown."""

    view: View
    names: Mapping[str, str]
    report: Report
    n_students: int
    shown: tuple[str, ...]
    part: int
    n_parts: int

    @classmethod
    def of(cls, view: View, names: Mapping[str, str], report: Report) -> Lines:
        """Order everybody by pseudonym and cut out the part; a part beyond the end is the last one."""
        ranks = {state: k for k, state in enumerate(STATES)}
        rank = dict.fromkeys(names, ranks[State.NEEDS_EVIDENCE])
        rank |= {f.pseudonym: ranks[f.state if f.n_items else State.NEEDS_EVIDENCE] for f in report.students}

        def key(pseudonym: str) -> tuple[int, str]:
            return rank[pseudonym] if view.order == "state" else 0, names.get(pseudonym, pseudonym).casefold()

        n_parts = max(1, -(-len(rank) // PART_SIZE))
        part = min(view.part, n_parts)
        shown = sorted(rank, key=key)[(part - 1) * PART_SIZE : part * PART_SIZE]
        return cls(view, names, report, len(rank), tuple(shown), part, n_parts)


def cohort_page(
    catalog: Catalog,
    lines: Lines,
    left: Container[str],
    cohorts: Sequence[str],
    rows: Sequence[CohortRow],
    survey: Survey,
    policy: Policy,
) -> CohortPage:
    """Return the page; rows may hold other assignments' results, which are left out."""
    columns, view = catalog.assignments, lines.view
    by_key = {(r.pseudonym, r.assignment): r for r in rows}
    shown = set(lines.shown)
    findings = {f.pseudonym: f for f in lines.report.students if f.pseudonym in shown}
    n_handed_in = {a.assignment: a.n_handed_in for a in survey.assignments}
    first = (lines.part - 1) * PART_SIZE
    return CohortPage(
        cohort=view.cohort,
        n_students=lines.n_students,
        counts=_counts(lines.report),
        columns=tuple(_column(catalog, a, n_handed_in.get(a.id, 0)) for a in columns),
        lines=tuple(_line(p, lines.names.get(p, p), p in left, columns, by_key, findings.get(p)) for p in lines.shown),
        scale=estimates.scale(lines.report),
        orders=tuple(Choice(text, view.query(order=key, part=1), key == view.order) for key, text in ORDERS.items()),
        cohorts=tuple(Choice(c, View(c, view.order).query(), c == view.cohort) for c in cohorts) if len(cohorts) > 1 else (),
        parts=choose_part(lines.part, lines.n_parts, lambda n: view.query(part=n)),
        shown=f"{first + 1} to {first + len(lines.shown)} of {wording.whole(lines.n_students)}",
        legend=estimates.legend(lines.report, policy),
        too_early=lines.report.too_early,
        snapshot=Snapshot(survey.event, Moment.of(survey.at)),
    )


def choose_part(part: int, n_parts: int, query: Callable[[int], str]) -> tuple[Choice, ...]:
    """Return links to the first and the last part of a long table and to those around this one; none where there is one part."""
    if n_parts == 1:
        return ()
    near = sorted({1, n_parts, *(n for n in range(part - 3, part + 4) if 1 <= n <= n_parts)})
    return tuple(Choice(str(n), query(n), n == part) for n in near)


def _line(
    pseudonym: str,
    name: str,
    has_left: bool,
    columns: Sequence[Assignment],
    by_key: Mapping[tuple[str, str], CohortRow],
    finding: Finding | None,
) -> CohortLine:
    rows = [by_key.get((pseudonym, a.id)) for a in columns]
    return CohortLine(
        name=name,
        pseudonym=pseudonym,
        left=has_left,
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


def _column(catalog: Catalog, assignment: Assignment, n_handed_in: int) -> Column:
    manifest = catalog.manifest(assignment.id)
    points = wording.number(manifest.max_points if manifest else None)
    return Column(assignment.id, short_name(assignment.id), assignment.title, points, n_handed_in)


def _counts(report: Report) -> tuple[Count, ...]:
    # Who has no first try yet lacks evidence, whatever the prior says.
    n = Counter(f.state if f.n_items else State.NEEDS_EVIDENCE for f in report.students)
    return tuple(Count(mark, n[state]) for state, mark in STATES.items() if n[state])
