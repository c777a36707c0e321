"""One student's results in; a line per assignment out: due, status, score, tries, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from autograder.course import Assignment
from autograder.deadlines import Lateness
from autograder.grading.verdict import Status, Verdict
from autograder.pages import student, wording
from autograder.pages.catalog import Catalog
from autograder.pages.models import AssignmentCard, Snapshot
from autograder.pages.standing import Queued
from autograder.pages.wording import Mark, Moment
from autograder.records.model import AssignmentResult, AttemptResult

NOT_OPEN = Mark("not open yet", "ring", "mute", "It is not released.")
CLOSED = Mark("closed", "ring", "mute", "Nothing is taken any more.")


@dataclass(frozen=True)
class Next:
    """What to do next. `attempt` is where, "" for nowhere; `in_lab` says that it is done in JupyterLab."""

    text: Annotated[str, "What to do."]
    attempt: Annotated[str, "The attempt to look at."] = ""
    in_lab: Annotated[bool, "Whether JupyterLab is the place for it."] = False


@dataclass(frozen=True)
class Line:
    """One assignment."""

    id: Annotated[str, "The assignment's folder."]
    title: Annotated[str, "The assignment's title."]
    place: Annotated[str, "Its week and track."]
    due: Annotated[Moment | None, "When it is due, for you."]
    due_note: Annotated[str, "What is special about the date; empty when nothing is."]
    mark: Annotated[Mark, "Where your newest attempt stands."]
    attempt: Annotated[str, "Your newest attempt's number; empty before the first."]
    points: Annotated[str, "Points of the newest attempt."]
    max_points: Annotated[str, "Points that the assignment is worth."]
    share: Annotated[int, "Points in per cent."]
    n_attempts: Annotated[str, "How often you handed in."]
    next: Annotated[Next, "What to do next."]


@dataclass(frozen=True)
class OverviewPage:
    """A student's assignments."""

    name: Annotated[str, "Whose they are."]
    lines: Annotated[tuple[Line, ...], "The assignments, in teaching order."]
    newest: Annotated[AssignmentCard | None, "What was handed in last, with all its exercises."]
    summary: Annotated[str, "Points of all newest attempts."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def lines(
    catalog: Catalog,
    results: Sequence[AssignmentResult],
    states: Queued,
    names: Sequence[str],
    released: Set[str],
    now: datetime,
) -> tuple[Line, ...]:
    """Return the assignments of the course in teaching order, then those that it no longer has."""
    by_id = {r.assignment: r for r in results}
    known = [a.id for a in catalog.assignments]
    ids = [*known, *sorted(by_id.keys() - set(known))]
    return tuple(_line(catalog, i, by_id.get(i), states, names, i in released, now) for i in ids)


def summary(results: Sequence[AssignmentResult]) -> str:
    """Return the points of all newest attempts; "" before the first is graded."""
    scored = [r.latest for r in results if r.latest.verdicts]
    if not scored:
        return ""
    points, most = (wording.number(sum(getattr(a, x) for a in scored)) for x in ("points", "max_points"))
    return f"{points} of {most} points in {wording.counted(len(scored), 'assignment')}"


def _line(
    catalog: Catalog,
    id: str,
    result: AssignmentResult | None,
    states: Queued,
    names: Sequence[str],
    is_released: bool,
    now: datetime,
) -> Line:
    assignment, late = catalog.assignment(id), catalog.lateness(id, now, *names)
    newest = student.attempt_view(catalog, result, result.latest, states, names) if result else None
    manifest = catalog.manifest(id)
    return Line(
        id=id,
        title=catalog.name(id),
        place=student.place(assignment),
        due=Moment.of(late.due) if late.due else None,
        due_note=_due_note(assignment, late, is_released and result is None),
        mark=newest.mark if newest else _without(late, is_released),
        attempt=newest.id if newest else "",
        points=newest.points if newest else wording.NOTHING,
        max_points=newest.max_points if newest else wording.number(manifest.max_points if manifest else None),
        share=newest.share if newest else 0,
        n_attempts=str(len(result.attempts)) if result else "0",
        next=_next(catalog, result.latest, states, late) if result else _first(late, is_released),
    )


def _without(late: Lateness, is_released: bool) -> Mark:
    if not is_released:
        return NOT_OPEN
    return CLOSED if late.is_closed else wording.NOT_HANDED_IN


def _due_note(assignment: Assignment | None, late: Lateness, is_wanted: bool) -> str:
    if assignment is None or late.due is None:
        return ""
    notes = ["extended for you"] if assignment.due and late.due > assignment.due else []
    if late.is_late and is_wanted:
        notes.append(f"{wording.counted(late.n_days, 'day')} over")
    return ", ".join(notes)


def _first(late: Lateness, is_released: bool) -> Next:
    if not is_released:
        return Next("It opens when the course releases it.")
    if late.is_closed:
        return Next("Ask an instructor for an extension.")
    if late.is_late and late.share < 1:
        return Next(f"Hand in today: it still keeps {wording.number(100 * late.share)} % of its points.", in_lab=True)
    return Next("Hand in what you have." if late.is_late else "Fetch it in JupyterLab's Assignment List.", in_lab=True)


def _next(catalog: Catalog, latest: AttemptResult, states: Queued, late: Lateness) -> Next:
    id = latest.attempt.id
    if not latest.is_graded:
        return Next("Wait: nothing for you to do.", id)
    if latest.error:
        return Next("Hand in the notebook file itself.", id)
    open_ = [v for v in latest.verdicts if v.status not in (Status.PASS, Status.INFRA)]
    if not open_:
        return Next("Wait: we grade the rest again." if latest.n_infra else "Nothing is left to do.")
    if late.is_closed:
        return Next("Closed: read the hints.", id)
    best = max(open_, key=_promise)
    exercise = catalog.exercises(latest.attempt.assignment).get(best.exercise)
    what = exercise.title if exercise else best.exercise
    return Next(f"{'Try' if best.status is Status.SKIPPED else 'Mend'}: {what}", id)


def _promise(verdict: Verdict) -> tuple[bool, float, float]:
    """What was tried comes before what was not; of those what is nearest to passing, then what is worth most."""
    most = verdict.max_points
    return verdict.status is not Status.SKIPPED, (verdict.points or 0.0) / most if most else 0.0, most
