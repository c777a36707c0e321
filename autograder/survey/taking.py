"""The ledger in, a `Survey` out: one reading, one fit, and everything that follows from them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from autograder.course import Course
from autograder.progress import CourseItems, Policy, Report, course_items, inputs
from autograder.progress.engine import Hierarchical
from autograder.progress.irt.bank import Bank, bank_of
from autograder.records import ExerciseTimes, Ledger
from autograder.survey import counts
from autograder.survey.counts import Activity, AssignmentCount, ExerciseCount
from autograder.survey.fairness import Fairness, fairness
from autograder.survey.health import Health, healths
from autograder.survey.items import ItemFit, item_fits
from autograder.survey.shapes import Density, Paths, density, paths
from autograder.survey.stuck import StuckCount, stuck


@dataclass(frozen=True)
class Survey:
    """One cohort as of event `event`; `at` is when it was computed, `cost_s` how much computing that took.

    `course` is what the tracker knew of the course; `items` are the cohort's own fitted exercises, None without the hierarchy;
    `times` is what grading costs in all cohorts.
    """

    cohort: str
    event: int
    at: datetime
    cost_s: float
    course: CourseItems
    report: Report
    paths: Paths | None
    items: Bank | None
    density: Density
    fairness: Fairness
    exercises: tuple[ExerciseCount, ...]
    assignments: tuple[AssignmentCount, ...]
    activity: Activity
    times: tuple[ExerciseTimes, ...]
    health: tuple[Health, ...] = ()
    fits: tuple[ItemFit, ...] = ()
    stuck: StuckCount = field(default_factory=lambda: StuckCount(0, ()))


def take(ledger: Ledger, cohort: str, course: Course, policy: Policy, at: datetime) -> Survey:
    """Read the cohort as the ledger stands now and compute all of it; a cohort of 24 takes a second."""
    began = time.process_time()
    event, known = ledger.last_event(), course_items(course)
    # As an evaluation that is recorded would read it, so that recording this report can be rebuilt.
    read = inputs.read(ledger, cohort, event, at)
    report, model = read.evaluate_with_model(known, policy)
    rows = ledger.cohort_table(cohort, as_of=event)
    students = ledger.students(cohort, as_of=event)
    began_at: dict[str, datetime] = {}
    for f in read.first_tries:
        began_at[f.pseudonym] = min(f.received_at, began_at.get(f.pseudonym, f.received_at))
    order = [a.id for a in course]
    fitted = model.fitted if isinstance(model, Hierarchical) else None
    return Survey(
        cohort=cohort,
        event=event,
        at=at,
        course=known,
        report=report,
        paths=paths(model, known, report.bar) if model else None,
        items=bank_of(fitted, cohort, fitted.scores.builds) if fitted else None,
        density=density(report.students),
        fairness=fairness(report, model, began_at),
        exercises=counts.exercises(read.first_tries, known),
        assignments=counts.assignments(rows, order),
        activity=counts.activity(rows, len(students), sum(s.left_at is not None for s in students), len(order), at),
        health=healths(ledger, cohort, event, read.first_tries, order),
        fits=item_fits(model, report.students),
        stuck=stuck(read.first_tries, frozenset(s.pseudonym for s in students if s.left_at)),
        times=tuple(ledger.exercise_times()),
        cost_s=time.process_time() - began,
    )
