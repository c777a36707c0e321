"""One student's results from the ledger in, the student's page models out. Nothing of anybody else passes through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from autograder.course import Assignment, Exercise
from autograder.deadlines import Lateness
from autograder.grading.verdict import Status, Verdict
from autograder.pages import wording
from autograder.pages.catalog import Catalog
from autograder.pages.models import AssignmentCard, AttemptLink, AttemptView, ExerciseRow
from autograder.pages.standing import Queued
from autograder.pages.wording import Mark, Moment
from autograder.records.model import AssignmentResult, AttemptResult, Tries

Names = Sequence[str]  # all that the student goes by: due dates are asked for by them


def cards(
    catalog: Catalog, results: Sequence[AssignmentResult], states: Queued, names: Names, now: datetime
) -> tuple[AssignmentCard | None, tuple[AssignmentCard, ...]]:
    """Return the card of what was handed in last, if anything was, and the cards of all other assignments.

    Those of the course come in teaching order, then those that the course no longer has.
    """
    by_id = {r.assignment: r for r in results}
    known = [a.id for a in catalog.assignments]
    last = max(results, key=lambda r: r.latest.attempt.received_at) if results else None
    others = [i for i in [*known, *sorted(by_id.keys() - set(known))] if last is None or i != last.assignment]
    found = {i: card(catalog, i, by_id.get(i), states, names, now) for i in [*others, *([last.assignment] if last else [])]}
    return found[last.assignment] if last else None, tuple(found[i] for i in others)


def card(
    catalog: Catalog, assignment_id: str, result: AssignmentResult | None, states: Queued, names: Names, now: datetime
) -> AssignmentCard:
    """Return the card of one assignment, whether or not anything was handed in."""
    assignment, manifest = catalog.assignment(assignment_id), catalog.manifest(assignment_id)
    newest = attempt_view(catalog, result, result.latest, states, names) if result else None
    due = catalog.lateness(assignment_id, now, *names).due
    return AssignmentCard(
        id=assignment_id,
        title=catalog.name(assignment_id),
        place=place(assignment),
        due=Moment.of(due) if due else None,
        mark=newest.mark if newest else wording.NOT_HANDED_IN,
        max_points=newest.max_points if newest else wording.number(manifest.max_points if manifest else None),
        newest=newest,
        earlier=tuple(link(a, states) for a in reversed(result.attempts[:-1])) if result else (),
    )


def attempt_view(catalog: Catalog, result: AssignmentResult, attempt: AttemptResult, states: Queued, names: Names) -> AttemptView:
    """Return one attempt with a line per exercise."""
    exercises = catalog.exercises(result.assignment)
    tries = {t.exercise: t for t in result.tries}
    n_points = sum(v.max_points for v in attempt.verdicts if v.status is Status.INFRA)
    n_passed = sum(v.status is Status.PASS for v in attempt.verdicts)
    unscored = ""
    if attempt.n_infra:
        what = wording.counted(attempt.n_infra, "exercise")
        unscored = f"{what} worth {wording.number(n_points)} points could not be graded, by our fault, and will be graded again."
    return AttemptView(
        **{**vars(link(attempt, states)), "max_points": wording.number(_max_points(attempt, exercises))},
        graded=Moment.of(attempt.graded_at) if attempt.graded_at else None,
        share=_share(attempt.points, attempt.max_points),
        tally=f"{n_passed} of {wording.counted(len(attempt.verdicts), 'exercise')} passed",
        unscored=unscored,
        rows=tuple(_row(v, exercises.get(v.exercise), tries.get(v.exercise)) for v in attempt.verdicts),
        notes=attempt.notes,
        error=attempt.error,
        changed=states.changed(attempt),
        late=_late(catalog.lateness(result.assignment, attempt.attempt.received_at, *names)),
        poll_s=0 if states.is_settled(attempt) else states.pause_s(attempt),
    )


def _late(lateness: Lateness) -> str:
    if not lateness.is_late:
        return ""
    kept = f"; it keeps {wording.number(100 * lateness.share)} % of its points" if lateness.share < 1 else ""
    return f"Handed in late, on day {lateness.n_days} after the due date{kept}."


def place(assignment: Assignment | None) -> str:
    """Return an assignment's week and track."""
    return f"Week {assignment.week} · {assignment.track}" if assignment else "No longer in the course"


def link(attempt: AttemptResult, states: Queued) -> AttemptLink:
    """Return an attempt as something to go to."""
    return AttemptLink(
        id=attempt.attempt.id,
        number=attempt.number,
        received=Moment.of(attempt.attempt.received_at),
        mark=states.mark(attempt),
        points=wording.number(attempt.points) if attempt.verdicts else wording.NOTHING,
        max_points=wording.number(attempt.max_points) if attempt.verdicts else wording.NOTHING,
    )


def _row(verdict: Verdict, exercise: Exercise | None, tries: Tries | None) -> ExerciseRow:
    hints = [c.hint for c in verdict.checks if c.hint and c.status is not Status.PASS and c.hint != verdict.hint]
    n_passed = sum(c.status is Status.PASS for c in verdict.checks)
    return ExerciseRow(
        title=exercise.title if exercise else verdict.exercise,
        id=exercise.name if exercise else verdict.exercise,
        exercise=verdict.exercise,
        is_disputable=verdict.status not in (Status.PASS, Status.SKIPPED, Status.INFRA),
        mark=_verdict_mark(verdict),
        points=wording.number(verdict.points) if verdict.max_points else "bonus",
        max_points=wording.number(verdict.max_points) if verdict.max_points else "",
        tries=str(tries.n_tries) if tries else "0",
        time=_time(verdict),
        hint="" if verdict.status is Status.SKIPPED else verdict.hint,  # the mark says it already
        more_hints=tuple(dict.fromkeys(hints)),
        checks=f"{n_passed} of {len(verdict.checks)}" if verdict.checks else wording.NOTHING,
        notes=() if verdict.status is Status.INFRA else verdict.notes,  # why we failed is for us, not for the student
    )


def _time(verdict: Verdict) -> str:
    if not verdict.checks or verdict.status is Status.SKIPPED:
        return wording.NOTHING
    return "< 0.1 s" if verdict.cpu_s < 0.05 else f"{verdict.cpu_s:.1f} s"


def _verdict_mark(verdict: Verdict) -> Mark:
    if verdict.points and verdict.status not in (Status.PASS, Status.INFRA):
        return wording.PARTLY
    return wording.VERDICTS[verdict.status]


def _max_points(attempt: AttemptResult, exercises: Mapping[str, Exercise]) -> float | None:
    if attempt.verdicts:
        return attempt.max_points
    return sum(e.points for e in exercises.values()) if exercises else None


def _share(points: float, max_points: float) -> int:
    return max(0, min(100, round(100 * points / max_points))) if max_points else 0
