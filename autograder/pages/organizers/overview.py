"""A survey in, the cohort at a glance out: counts, funnel, density and heat maps. Aggregates only, however large the cohort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from autograder.course import short_name
from autograder.pages import charts, wording
from autograder.pages.catalog import Catalog
from autograder.pages.estimates import STATES, signed
from autograder.pages.figure import Figure, Tile, figure
from autograder.pages.models import Choice, Snapshot
from autograder.pages.wording import Mark, Moment, counted, whole
from autograder.progress import Report, State
from autograder.survey import Survey
from autograder.survey.counts import BANDS, AssignmentCount
from autograder.survey.shapes import GRID

STUDENTS = Mark("students", "ring", "mute", "Everybody enrolled in the cohort.")
ACTIVE = Mark("active this week", "up", "mute", "Handed in something in the last seven days.")
HAND_INS = Mark("hand-ins", "check", "mute", "Every hand-in is kept, and counted here.")
_BAND_NAMES = ("under 20 %", "20 to 40 %", "40 to 60 %", "60 to 80 %", "80 % and more", "all points")


@dataclass(frozen=True)
class OverviewPage:
    """A cohort at a glance."""

    cohort: Annotated[str, "The cohort's name."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts there are."]
    tiles: Annotated[tuple[Tile, ...], "The numbers that the page opens with."]
    funnel: Annotated[Figure, "How many students got how far with every assignment."]
    density: Annotated[Figure, "Where the cohort's ability lies, beside the reference."]
    passed: Annotated[Figure, "Which exercises have been passed."]
    bands: Annotated[Figure, "How far students are with every assignment."]
    too_early: Annotated[str, "Why nobody can be judged yet; empty when somebody can."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def overview_page(catalog: Catalog, survey: Survey, cohorts: Sequence[str]) -> OverviewPage:
    """Return the page of a surveyed cohort."""
    made = Moment.of(survey.at)
    counts = [a for a in survey.assignments if a.n_handed_in]
    return OverviewPage(
        cohort=survey.cohort,
        cohorts=choose_cohort(cohorts, survey.cohort),
        tiles=_tiles(survey),
        funnel=_funnel(catalog, survey, counts, made),
        density=_density(survey, made),
        passed=_passed(catalog, survey, made),
        bands=_bands(catalog, survey, counts, made),
        too_early=survey.report.too_early,
        snapshot=Snapshot(survey.event, made),
    )


def choose_cohort(cohorts: Sequence[str], chosen: str) -> tuple[Choice, ...]:
    """Return links to the same page of other cohorts; none where there is one cohort only."""
    return tuple(Choice(c, wording.query(cohort=c), c == chosen) for c in cohorts) if len(cohorts) > 1 else ()


def states(report: Report) -> Counter[State]:
    """Count students by state; who has no first try yet lacks evidence, whatever the prior says."""
    return Counter(f.state if f.n_items else State.NEEDS_EVIDENCE for f in report.students)


def _tiles(survey: Survey) -> tuple[Tile, ...]:
    did, n = survey.activity, states(survey.report)
    left = f"{whole(did.n_left)} of them left" if did.n_left else ""
    share = wording.share(did.n_active, did.n_students)
    found = (State.PROVISIONAL, State.WATCH, State.NEEDS_EVIDENCE)
    return (
        Tile(whole(did.n_students), STUDENTS, left),
        Tile(whole(did.n_active), ACTIVE, share),
        Tile(whole(did.n_attempts), HAND_INS),
        *(Tile(whole(n[state]), STATES[state]) for state in found),
    )


def _brief(k: int) -> str:
    """Return a count that fits into a cell; the table has it whole."""
    return f"{k / 1000:.1f}k" if k >= 1000 else str(k)


def _funnel(catalog: Catalog, survey: Survey, counts: Sequence[AssignmentCount], made: Moment) -> Figure:
    n = survey.activity.n_students
    rows = [{"name": short_name(a.assignment), "all": a.n_handed_in, "half": a.n_half, "whole": a.n_whole} for a in counts]
    values = (("all", "handed in"), ("half", "half the points or more"), ("whole", "all points"))
    words = [
        (
            f"{short_name(a.assignment)} {catalog.name(a.assignment)}",
            *map(whole, (a.n_handed_in, a.n_half, a.n_whole, a.n_ours)),
        )
        for a in counts
    ]
    return figure(
        "funnel",
        "From hand-in to all points, by assignment",
        f"n = {counted(n, 'student')}",
        charts.nested(rows, charts.axis("name", "assignment", "nominal", sort=None), values, "students", n),
        ("assignment", "handed in", "half the points or more", "all points", "partly unscored by our fault"),
        words,
        note="Newest attempts; each bar is part of the one around it. Assignments that nobody handed in are left out.",
        empty="Nobody has handed in anything yet.",
        made=made,
    )


def _density(survey: Survey, made: Moment) -> Figure:
    curves, step = (("this cohort", survey.density.cohort), ("reference", survey.density.reference)), 5
    rows = [
        {"x": x, "y": y, "of": name, "tip": f"{name}; ability {signed(x)}; density {y:.3f}"}
        for name, values in curves
        for x, y in zip(GRID, values, strict=True)
    ]
    bar = survey.report.bar
    words = [
        (signed(x), *(f"{values[k]:.3f}" for _, values in curves)) for k, x in enumerate(GRID) if k % step == 0 and survey.density.n
    ]
    return figure(
        "density",
        "Where ability lies at the end of the course",
        f"n = {counted(survey.density.n, 'student')} with a first try that counts",
        charts.curves(
            rows,
            charts.axis("x", "ability (standard deviations from the middle)"),
            charts.axis("y", "density (per standard deviation)"),
            "of",
            charts.rule(bar, "x", "bar for an invitation"),
        ),
        ("ability", "this cohort", "reference"),
        words,
        note="The mean of all estimates with their uncertainty; the reference is the normal curve that every estimate began with.",
        empty="No first try counts yet.",
        made=made,
    )


def _passed(catalog: Catalog, survey: Survey, made: Moment) -> Figure:
    rows, words = [], []
    met = {e.assignment for e in survey.exercises if e.n_tried}
    place: Counter[str] = Counter()
    for e in survey.exercises:
        place[e.assignment] += 1
        if e.assignment not in met:
            continue
        share = e.n_passed / max(survey.activity.n_students, 1)
        at = {"assignment": short_name(e.assignment), "exercise": str(place[e.assignment])}
        tip = f"{e.title} ({short_name(e.assignment)}); passed by {whole(e.n_passed)} of {whole(survey.activity.n_students)}"
        rows.append({**at, "share": share, "text": f"{share:.0%}", "tip": tip})
        words.append(
            (e.exercise, e.title, *map(whole, (e.n_tried, e.n_passed_first, e.n_passed)), f"{share:.0%}".replace("%", " %"))
        )
    return figure(
        "passed",
        "Exercises passed so far",
        f"n = {counted(survey.activity.n_students, 'student')}",
        charts.heat(
            rows, "exercise", "assignment", "share", "exercise (place in its notebook)", "assignment", "share of students", "text"
        ),
        ("exercise", "asks for", "tried by", "passed at the first try", "passed by now", "of all students"),
        words,
        note="Share of everybody enrolled, whether they tried it or not.",
        empty="Nobody has tried an exercise yet.",
        made=made,
    )


def _bands(catalog: Catalog, survey: Survey, counts: Sequence[AssignmentCount], made: Moment) -> Figure:
    n = max(survey.activity.n_students, 1)
    names = ("not handed in", *_BAND_NAMES)
    rows, words = [], []
    assert len(_BAND_NAMES) == len(BANDS)
    for a in counts:
        ungraded = a.n_handed_in - a.n_graded
        cells = (survey.activity.n_students - a.n_handed_in, *a.bands)
        words.append((f"{short_name(a.assignment)} {catalog.name(a.assignment)}", *map(whole, cells), whole(ungraded)))
        rows += [
            {
                "band": name,
                "assignment": short_name(a.assignment),
                "share": k / n,
                "text": _brief(k),
                "tip": f"{short_name(a.assignment)}; {name}: {counted(k, 'student')}",
            }
            for name, k in reversed(list(zip(names, cells, strict=True)))
        ]
    return figure(
        "bands",
        "How far students are with every assignment",
        f"n = {counted(survey.activity.n_students, 'student')}",
        charts.heat(rows, "assignment", "band", "share", "assignment", "points of the newest attempt", "share of students", "text"),
        ("assignment", *names, "not graded"),
        words,
        note="Each cell holds the number of students; a column holds everybody whose newest attempt is graded, or missing.",
        empty="Nobody has handed in anything yet.",
        made=made,
    )
