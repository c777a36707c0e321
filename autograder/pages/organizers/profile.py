"""A survey, one student's results and the log about them in; the organizers' page of that student out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from autograder.course import short_name
from autograder.grading.verdict import Status
from autograder.pages import charts, estimates, wording
from autograder.pages.catalog import Catalog
from autograder.pages.estimates import signed
from autograder.pages.figure import Figure, Table, figure
from autograder.pages.models import AssignmentCard, EstimateView, Scale, Snapshot
from autograder.pages.organizers.timeline import DECIDED, Entry, timeline
from autograder.pages.wording import Mark, Moment
from autograder.progress import Finding, Policy
from autograder.progress.decisions import REVIEWED
from autograder.progress.inputs import EVALUATED
from autograder.records import AssignmentResult, Event, Student
from autograder.survey import Survey

RISING = Mark("rising", "up", "good", "Grows faster than the cohort, over several weeks and tracks. Never a reason alone.")
ON_HOLD = Mark("on hold", "hand", "ours", "A notebook was set aside. A person decides, and the student is told and heard first.")


@dataclass(frozen=True)
class Cell:
    """One exercise in the grid."""

    name: Annotated[str, "The exercise's name."]
    mark: Annotated[Mark, "What became of it."]
    tries: Annotated[str, "At which try it was passed, or how often it was tried."]


@dataclass(frozen=True)
class GridRow:
    """One assignment in the grid."""

    short: Annotated[str, "What stands before the row."]
    title: Annotated[str, "The assignment's title."]
    tally: Annotated[str, "How many exercises passed."]
    cells: Annotated[tuple[Cell, ...], "The exercises in the notebook's order."]


@dataclass(frozen=True)
class ProfilePage:
    """One student, for an organizer. That it was looked at is an event in the ledger."""

    name: Annotated[str, "The student's name on the Hub."]
    pseudonym: Annotated[str, "The student's name in the records."]
    cohort: Annotated[str, "The student's cohort."]
    joined: Annotated[Moment, "When the student joined."]
    left: Annotated[Moment | None, "When the student left."]
    estimate: Annotated[EstimateView, "What the tracker says."]
    beside: Annotated[tuple[Mark, ...], "What stands beside the state: rising, on hold."]
    rank: Annotated[str, "Between which ranks the student stands with 90 % probability."]
    before: Annotated[str, "The state at the last recorded evaluation; empty when none is recorded."]
    decision: Annotated[Mark | None, "What an organizer decided last."]
    may_decide: Annotated[bool, "Whether an evaluation is recorded that a decision can be about."]
    scale: Annotated[Scale, "The axis of the estimate."]
    path: Annotated[Figure, "What was known of the student after each week."]
    settle: Annotated[Table, "First tries that would tell most; no row when enough is known."]
    grid: Annotated[tuple[GridRow, ...], "Every exercise that the student met."]
    timeline: Annotated[tuple[Entry, ...], "What was recorded about the student, newest first."]
    legend: Annotated[tuple[str, ...], "How the estimate was made, and how to read it."]
    newest: Annotated[AssignmentCard | None, "The assignment that was handed in last."]
    cards: Annotated[tuple[AssignmentCard, ...], "The other assignments in teaching order."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def profile_page(
    catalog: Catalog,
    person: tuple[Student, str],
    survey: Survey,
    policy: Policy,
    events: Sequence[Event],
    results: Sequence[AssignmentResult],
    cards: tuple[AssignmentCard | None, tuple[AssignmentCard, ...]],
) -> ProfilePage:
    """Return the page; `events` are those of the timeline, `results` and `cards` the student's own."""
    student, name = person
    finding = survey.report.of(student.pseudonym)
    reviewed = [e for e in events if e.kind == REVIEWED]
    return ProfilePage(
        name=name,
        pseudonym=student.pseudonym,
        cohort=student.cohort,
        joined=Moment.of(student.joined_at),
        left=Moment.of(student.left_at) if student.left_at else None,
        estimate=estimates.view(finding),
        beside=beside(finding),
        rank=_rank(finding, len(survey.report.students)),
        before=estimates.STATES[finding.before].word if finding and finding.before else "",
        decision=DECIDED[str(reviewed[-1].payload["decision"])] if reviewed else None,
        may_decide=any(e.kind == EVALUATED for e in events),
        scale=estimates.scale(survey.report),
        path=_path(survey, student.pseudonym),
        settle=_settle(finding),
        grid=grid(catalog, results),
        timeline=timeline(events, {student.pseudonym: name}),
        legend=estimates.legend(survey.report, policy),
        newest=cards[0],
        cards=cards[1],
        snapshot=Snapshot(survey.event, Moment.of(survey.at)),
    )


def beside(finding: Finding | None) -> tuple[Mark, ...]:
    """Return what stands beside a state and changes nothing by itself."""
    if finding is None:
        return ()
    return (*((RISING,) if finding.is_rising else ()), *((ON_HOLD,) if finding.on_hold else ()))


def grid(catalog: Catalog, results: Sequence[AssignmentResult]) -> tuple[GridRow, ...]:
    """Return the student's exercises, in teaching order of the assignments."""
    by_id = {r.assignment: r for r in results}
    known = [a.id for a in catalog.assignments if a.id in by_id]
    return tuple(_row(catalog, by_id[i]) for i in [*known, *sorted(by_id.keys() - set(known))])


def _row(catalog: Catalog, result: AssignmentResult) -> GridRow:
    tries = {t.exercise: t for t in result.tries}
    passed: Mapping[str, int] = {e: t.n_tries_to_pass for e, t in tries.items() if t.n_tries_to_pass}
    newest = {v.exercise: v for a in result.attempts for v in a.verdicts}
    cells = []
    for exercise, verdict in newest.items():
        n = tries[exercise].n_tries if exercise in tries else 0
        at = passed.get(exercise)
        mark = wording.VERDICTS[Status.PASS if at else verdict.status]
        times = f"passed at try {at}" if at else f"{wording.counted(n, 'try', 'tries')}, not passed" if n else "not tried"
        cells.append(Cell(exercise.rsplit(".", 1)[-1], mark, times))
    tally = f"{len(passed)} of {len(cells)} passed"
    return GridRow(short_name(result.assignment), catalog.name(result.assignment), tally, tuple(cells))


def _rank(finding: Finding | None, n: int) -> str:
    if finding is None or not finding.n_items:
        return wording.NOTHING
    return f"{finding.rank90[0]} to {finding.rank90[1]} of {wording.whole(n)}"


def _path(survey: Survey, pseudonym: str) -> Figure:
    rows, words = [], []
    paths = survey.paths
    if paths is not None and pseudonym in paths.pseudonyms:
        k = paths.pseudonyms.index(pseudonym)
        for j, week in enumerate(paths.weeks):
            (low50, low90), (high50, high90) = paths.low[k, j].tolist(), paths.high[k, j].tolist()
            mid, p = float(paths.mid[k, j]), float(paths.p[k, j])
            half, most = f"{signed(low50)} to {signed(high50)}", f"{signed(low90)} to {signed(high90)}"
            tip = f"week {week}: {signed(mid)}; 50 %: {half}; 90 %: {most}; chance {wording.percent(p)}"
            band = {"low50": low50, "high50": high50, "low90": low90, "high90": high90}
            rows.append({"week": week, "mid": mid, **band, "tip": tip})
            words.append((f"week {week}", signed(mid), half, most, wording.percent(p)))
    bar = survey.report.bar
    return figure(
        "path",
        "What was known after each week",
        f"n = {wording.counted(len(rows), 'week')}",
        charts.band(
            rows,
            charts.axis("week", "week of the course", "ordinal"),
            "ability at the end (standard deviations)",
            (-4, 4),
            charts.rule(bar, "y", "bar for an invitation"),
        ),
        ("up to", "estimate", "50 % interval", "90 % interval", "chance"),
        words,
        note="The dark band holds the true value with 50 % probability, the pale one with 90 %. Today's model, reading only the"
        " notebooks up to that week.",
        empty="No first try of this student counts yet.",
        made=Moment.of(survey.at),
    )


def _settle(finding: Finding | None) -> Table:
    heads = ("exercise", "in", "what is left of the uncertainty")
    if finding is None or finding.settle is None:
        return Table(heads, ())
    rows = [(i.title, i.assignment, f"± {i.sd_after:.2f}" if i.sd_after else wording.NOTHING) for i in finding.settle.next]
    return Table(heads, tuple(rows))
