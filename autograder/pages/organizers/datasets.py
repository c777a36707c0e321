"""A survey in; tables to take away out, each with a dictionary of its columns, and no number that points at a few people.

Aggregates: a count from 1 to 4 is left empty, and so is what a reader could subtract to get it. The one table with a row per
student holds pseudonyms, and no count.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from autograder.pages.estimates import STATES
from autograder.pages.models import Choice, Snapshot
from autograder.pages.organizers.calibration import MIN_SHOWN
from autograder.pages.organizers.overview import choose_cohort, states
from autograder.pages.wording import Moment
from autograder.survey import Survey
from autograder.survey.counts import BANDS, N_TRIES_SHOWN
from autograder.survey.shapes import GRID

Value = str | int | float | None
# A spreadsheet runs what begins like this.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Field:
    """One column of a dataset."""

    name: Annotated[str, "What stands above the column."]
    kind: Annotated[str, "What it holds: text, count, share, number or yes/no."]
    meaning: Annotated[str, "What it says."]


@dataclass(frozen=True)
class Dataset:
    """A table to take away."""

    name: Annotated[str, "Its file's name."]
    title: Annotated[str, "What it holds."]
    per: Annotated[str, "What one row stands for."]
    fields: Annotated[tuple[Field, ...], "Its dictionary."]
    rows: Annotated[tuple[tuple[Value, ...], ...], "Its rows; nothing stands where a number was left out."]


@dataclass(frozen=True)
class Offer:
    """A table that can be taken away, without its rows: there may be one per student."""

    name: Annotated[str, "Its file's name."]
    title: Annotated[str, "What it holds."]
    per: Annotated[str, "What one row stands for."]
    n_rows: Annotated[int, "How many rows it has."]
    fields: Annotated[tuple[Field, ...], "Its dictionary."]


@dataclass(frozen=True)
class ExportsPage:
    """What can be taken away, with its dictionary."""

    cohort: Annotated[str, "The cohort's name."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts there are."]
    datasets: Annotated[tuple[Offer, ...], "The tables."]
    min_shown: Annotated[int, "The smallest count that is shown."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def exports_page(survey: Survey, cohorts: Sequence[str]) -> ExportsPage:
    """Return the page of a surveyed cohort."""
    found = (make(survey) for make in DATASETS.values())
    offers = tuple(Offer(d.name, d.title, d.per, len(d.rows), d.fields) for d in found)
    return ExportsPage(
        survey.cohort, choose_cohort(cohorts, survey.cohort), offers, MIN_SHOWN, Snapshot(survey.event, Moment.of(survey.at))
    )


def hidden(counts: Sequence[int]) -> list[int | None]:
    """Return the parts of a whole without the small ones; one that stands alone hides the next larger one too."""
    out: list[int | None] = [None if 0 < n < MIN_SHOWN else n for n in counts]
    if out.count(None) == 1 and (left := [n for n in out if n]):
        out[out.index(min(left))] = None
    return out


def part(k: int, n: int) -> int | None:
    """Return k of n, or nothing when k or the rest is a few people."""
    return None if 0 < k < MIN_SHOWN or 0 < n - k < MIN_SHOWN else k


def as_csv(data: Dataset) -> str:
    """Return the table as CSV with a head; no cell is a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([f.name for f in data.fields])
    writer.writerows([[_cell(v) for v in row] for row in data.rows])
    return out.getvalue()


def as_json(data: Dataset, survey: Survey) -> dict[str, Any]:
    """Return the table with its dictionary and what it rests on."""
    return {
        "version": 1,
        "dataset": data.name,
        "title": data.title,
        "cohort": survey.cohort,
        "event": survey.event,
        "computed_at": survey.at.isoformat(),
        "smallest_count": MIN_SHOWN,
        "fields": [{"name": f.name, "kind": f.kind, "meaning": f.meaning} for f in data.fields],
        "rows": [dict(zip((f.name for f in data.fields), row, strict=True)) for row in data.rows],
    }


def _cell(value: Value) -> Value:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _states(survey: Survey) -> Dataset:
    n = states(survey.report)
    fields = (Field("state", "text", "What the tracker suggests."), Field("students", "count", "How many students are in it."))
    rows = zip((m.word for m in STATES.values()), hidden([n[s] for s in STATES]), strict=True)
    return Dataset("states", "Students by state", "a state", fields, tuple(rows))


def _assignments(survey: Survey) -> Dataset:
    bands = [f"from_{100 * low:.0f}" for low in BANDS]
    fields = (
        Field("assignment", "text", "The assignment's id."),
        Field("handed_in", "count", "Students who handed it in."),
        *(Field(name, "count", f"Newest attempts with {name[5:]} % of the points or more, up to the next band.") for name in bands),
    )
    rows = []
    for a in survey.assignments:
        rows.append((a.assignment, part(a.n_handed_in, survey.activity.n_students), *hidden(a.bands)))
    return Dataset("assignments", "How far students are with every assignment", "an assignment", fields, tuple(rows))


def _exercises(survey: Survey) -> Dataset:
    tries = [f"passed_at_{k}" for k in range(1, N_TRIES_SHOWN + 1)]
    fields = (
        Field("exercise", "text", "The exercise's id."),
        Field("assignment", "text", "The assignment's id."),
        Field("tried", "count", "Students with a graded first try."),
        Field("passed_first", "count", "Students whose first try passed."),
        Field("passed", "count", "Students who have passed by now."),
        *(
            Field(t, "count", f"Students who passed at try {k}{' or later' if k == N_TRIES_SHOWN else ''}.")
            for k, t in enumerate(tries, 1)
        ),
    )
    rows: list[tuple[Value, ...]] = []
    for e in survey.exercises:
        first, passed = part(e.n_passed_first, e.n_tried), part(e.n_passed, e.n_tried)
        by = hidden(e.by_tries)
        # The first bin is the first passes again: it must not say what the column left out.
        by = [None] * len(by) if first is None or passed is None else by
        rows.append((e.exercise, e.assignment, part(e.n_tried, survey.activity.n_students), first, passed, *by))
    return Dataset("exercises", "First tries and passes of every exercise", "an exercise", fields, tuple(rows))


def _density(survey: Survey) -> Dataset:
    fields = (
        Field("ability", "number", "Ability at the end of the course, in standard deviations from the cohort's middle."),
        Field("cohort", "number", "Density of the cohort, per standard deviation: the mean of all estimates."),
        Field("reference", "number", "Density of the normal curve that every estimate began with."),
    )
    enough = survey.density.n >= MIN_SHOWN
    rows = zip(GRID, survey.density.cohort, survey.density.reference, strict=True) if enough else ()
    return Dataset("density", "Where ability lies", "a point of the axis", fields, tuple(rows))


def _groups(survey: Survey) -> Dataset:
    fields = (
        Field("by", "text", "What tells the groups apart."),
        Field("group", "text", "The group."),
        Field("students", "count", "How many students it has."),
        Field("flagged", "count", "How many of them are flagged."),
        Field("first_tries", "count", "First tries that were checked."),
        Field("expected", "share", "The share of them that was expected to pass."),
        Field("passed", "share", "The share that passed."),
    )
    rows: list[tuple[Value, ...]] = []
    for g in survey.fairness.groups:
        shown: tuple[Value, ...] = (None,) * 5
        if g.n_students >= MIN_SHOWN:
            shown = (g.n_students, part(g.n_flagged, g.n_students), g.n_tries, round(g.expected, 4), round(g.passed, 4))
        rows.append((g.by, g.name, *shown))
    return Dataset("groups", "Calibration by group", "a group", fields, tuple(rows))


def _findings(survey: Survey) -> Dataset:
    fields = (
        Field("pseudonym", "text", "The student's name in the records. Who may see names finds them on the flags page."),
        Field("state", "text", "What the tracker suggests: an invitation to look, never a verdict."),
        Field("chance", "share", "The probability of ending the course above the bar."),
        Field("estimate", "number", "Ability at the end of the course, in standard deviations from the cohort's middle."),
        Field("low", "number", "Where the interval begins that holds it with 90 % probability."),
        Field("high", "number", "Where that interval ends."),
        Field("first_tries", "count", "First tries that count."),
        Field("rising", "yes/no", "Grows faster than the cohort; never a reason alone."),
        Field("on_hold", "yes/no", "Waits for a person, because a notebook was set aside."),
    )
    rows = [
        (f.pseudonym, STATES[f.state].word, f.p, f.mean, *f.interval90, f.n_items, str(f.is_rising), str(f.on_hold))
        for f in survey.report.students
        if f.n_items
    ]
    return Dataset("findings", "What the tracker says of every student, under pseudonyms", "a student", fields, tuple(rows))


DATASETS: Mapping[str, Callable[[Survey], Dataset]] = MappingProxyType(
    {
        "states": _states,
        "assignments": _assignments,
        "exercises": _exercises,
        "density": _density,
        "groups": _groups,
        "findings": _findings,
    }
)
