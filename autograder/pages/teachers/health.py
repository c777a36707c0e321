"""A survey's counts of hand-ins in; the health of every assignment's grading out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from autograder.pages import charts, wording
from autograder.pages.catalog import Catalog
from autograder.pages.figure import Figure, Tile, figure
from autograder.pages.models import Choice, Snapshot
from autograder.pages.wording import Mark, Moment
from autograder.records import QueueStats
from autograder.survey import Survey
from autograder.survey.counts import AssignmentCount
from autograder.survey.health import Health

SLOW_S = 60.0
OFTEN = 0.05  # of first tries that run out of time
_MOST_DAYS = 42

FINE = Mark("fine", "check", "good", "Results come in time, and nothing is ours to mend.")
SLOW = Mark("slow", "clock", "part", "One hand-in in twenty waits for more than a minute.")
OURS = Mark("our faults", "again", "ours", "Some results are unscored by our own fault. None is a zero.")
TIMEOUTS = Mark("many timeouts", "clock", "bad", "More than one first try in twenty runs out of time: look at the task.")
QUIET = Mark("nothing yet", "ring", "mute", "Nobody has handed in.")


@dataclass(frozen=True)
class HealthLine:
    """One assignment."""

    id: Annotated[str, "The assignment's folder."]
    title: Annotated[str, "The assignment's title."]
    due: Annotated[Moment | None, "When it is due."]
    mark: Annotated[Mark, "What to look at first."]
    handed_in: Annotated[str, "How many students have handed in."]
    attempts: Annotated[str, "How many hand-ins there are."]
    p50: Annotated[str, "Half of the hand-ins had their first result within this time."]
    p95: Annotated[str, "Nineteen in twenty had their first result within this time."]
    ours: Annotated[str, "Newest attempts that are partly unscored by our fault."]
    timeouts: Annotated[str, "First tries of exercises that ran out of time."]
    unreadable: Annotated[str, "Hand-ins that were no notebook."]


@dataclass(frozen=True)
class HealthPage:
    """All assignments of a cohort."""

    cohort: Annotated[str, "The cohort."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts there are."]
    tiles: Annotated[tuple[Tile, ...], "The queue as it is now."]
    lines: Annotated[tuple[HealthLine, ...], "The assignments, in teaching order."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class AssignmentPage:
    """One assignment."""

    line: Annotated[HealthLine, "Its numbers."]
    tiles: Annotated[tuple[Tile, ...], "Its numbers, at a glance."]
    days: Annotated[Figure, "Hand-ins by day."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def snapshot_of(survey: Survey) -> Snapshot:
    return Snapshot(survey.event, Moment.of(survey.at))


def health_page(catalog: Catalog, survey: Survey, stats: QueueStats, cohorts: tuple[Choice, ...]) -> HealthPage:
    """Return the page of all assignments; the queue's numbers are of now, all others of the survey."""
    counts = {c.assignment: c for c in survey.assignments}
    lines = tuple(_line(catalog, h, counts.get(h.assignment), survey.activity.n_students) for h in survey.health)
    return HealthPage(survey.cohort, cohorts, _queue(stats), lines, snapshot_of(survey))


def assignment_page(catalog: Catalog, survey: Survey, assignment: str) -> AssignmentPage | None:
    """Return the page of one assignment, None when the course has no such one."""
    health = next((h for h in survey.health if h.assignment == assignment), None)
    if health is None:
        return None
    count = next((c for c in survey.assignments if c.assignment == assignment), None)
    line = _line(catalog, health, count, survey.activity.n_students)
    return AssignmentPage(line, _tiles(line, health), _days(health, Moment.of(survey.at)), snapshot_of(survey))


def span(seconds: float | None) -> str:
    """Return a time as people say it; a dash for none."""
    if seconds is None:
        return wording.NOTHING
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def share(n: int, of: int) -> str:
    """Return "3 of 163 (1.8 %)", or a dash of nothing."""
    return f"{wording.whole(n)} of {wording.whole(of)} ({100 * n / of:.1f} %)" if of else wording.NOTHING


def given_up(n: int, help: str) -> Mark:
    """Return the mark of hand-ins that our grader gave up on: red only where there are any."""
    return Mark("given up", "alert", "bad" if n else "mute", help)


def _line(catalog: Catalog, h: Health, count: AssignmentCount | None, n_students: int) -> HealthLine:
    n_ours, assignment = count.n_ours if count else 0, catalog.assignment(h.assignment)
    return HealthLine(
        id=h.assignment,
        title=catalog.name(h.assignment),
        due=Moment.of(assignment.due) if assignment and assignment.due else None,
        mark=_mark(h, n_ours),
        handed_in=f"{wording.whole(h.n_students)} of {wording.whole(n_students)}",
        attempts=wording.whole(h.n_attempts),
        p50=span(h.p50_s),
        p95=span(h.p95_s),
        ours=wording.whole(n_ours),
        timeouts=share(h.n_timeouts, h.n_first_tries),
        unreadable=wording.whole(h.n_unreadable),
    )


def _mark(h: Health, n_ours: int) -> Mark:
    if not h.n_attempts:
        return QUIET
    if n_ours:
        return OURS
    if h.n_first_tries and h.n_timeouts / h.n_first_tries > OFTEN:
        return TIMEOUTS
    return SLOW if h.p95_s is not None and h.p95_s > SLOW_S else FINE


def _queue(stats: QueueStats) -> tuple[Tile, ...]:
    oldest = f"oldest: {span(stats.oldest_s)}" if stats.n_queued else ""
    return (
        Tile(wording.whole(stats.n_queued), Mark("waiting now", "clock", "part", "Handed in and not graded yet."), oldest),
        Tile(wording.whole(stats.n_running), Mark("being graded", "half", "part", "A grader works on them now.")),
        Tile(wording.whole(stats.n_retried), Mark("retried", "again", "ours", "Our grader failed at them at least once.")),
        Tile(wording.whole(stats.n_dead), given_up(stats.n_dead, "They wait for you on Grading.")),
    )


def _tiles(line: HealthLine, h: Health) -> tuple[Tile, ...]:
    return (
        Tile(line.handed_in, Mark("have handed in", "check", "mute", "Students of the cohort."), f"{line.attempts} hand-ins"),
        Tile(line.p50, Mark("half have a result", "clock", "mute", "From receipt to the first result."), f"19 in 20: {line.p95}"),
        Tile(line.ours, Mark("our faults", "again", "ours", "Newest attempts that are partly unscored by our fault.")),
        Tile(wording.whole(h.n_timeouts), Mark("timeouts", "clock", "mute", "First tries that ran out of time."), line.timeouts),
        Tile(line.unreadable, Mark("unreadable", "alert", "mute", "Hand-ins that were no notebook.")),
    )


def _days(h: Health, made: Moment) -> Figure:
    by = dict(h.n_per_day)
    if not by:
        return figure("days", "Hand-ins by day", "n = 0", {}, ("Day", "Hand-ins"), (), empty="Nobody has handed in yet.", made=made)
    first, last = min(by), max(by)
    step = 1 if (last - first).days < _MOST_DAYS else 7
    counts: Counter[int] = Counter()
    for day, n in by.items():
        counts[(day - first).days // step] += n
    rows: list[dict[str, Any]] = []
    for k in range((last - first).days // step + 1):
        begins = first + timedelta(days=k * step)
        rows.append({"day": f"{begins.day} {begins:%b}", "n": counts[k]})
    title = "Hand-ins by day" if step == 1 else "Hand-ins by week"
    unit = "day (UTC)" if step == 1 else "week that begins (UTC)"
    return figure(
        "days",
        title,
        f"n = {wording.counted(h.n_attempts, 'hand-in')}",
        columns(rows, "day", "n", unit, "hand-ins"),
        (unit.capitalize(), "Hand-ins"),
        [(r["day"], wording.whole(r["n"])) for r in rows],
        made=made,
    )


def columns(rows: Sequence[dict[str, Any]], category: str, value: str, x_title: str, y_title: str) -> dict[str, Any]:
    """Return upright bars, one per row in the rows' order."""
    x = charts.axis(category, x_title, "ordinal", sort=None)
    x["axis"] = {"labelAngle": 0 if len(rows) <= 8 else -60, "labelOverlap": "greedy"}
    y = charts.axis(value, y_title)
    y["axis"] = {"tickMinStep": 1}
    return {
        "data": {"values": [dict(r) for r in rows]},
        "width": charts.WIDTH,
        "height": 200,
        "mark": {"type": "bar", "width": {"band": 0.7}},
        "encoding": {"x": x, "y": y},
    }
