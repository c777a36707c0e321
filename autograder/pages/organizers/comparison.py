"""Surveys of several cohorts in; their abilities on one scale, and their assignments side by side, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from autograder.course import short_name
from autograder.pages import charts, wording
from autograder.pages.catalog import Catalog
from autograder.pages.estimates import signed
from autograder.pages.figure import Figure, Table, figure
from autograder.pages.models import Choice, Snapshot
from autograder.pages.organizers.calibration import wilson
from autograder.pages.organizers.overview import choose_cohort
from autograder.pages.wording import Moment
from autograder.survey import Survey
from autograder.survey.linking import MIN_COMMON, Link, link
from autograder.survey.shapes import GRID

MAX_COHORTS = 4
_SAME = Link(1.0, 0.0, 0.0, 0, 0)


@dataclass(frozen=True)
class ComparisonPage:
    """Cohorts beside each other."""

    cohort: Annotated[str, "The cohort whose scale is used."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts' scale can be used."]
    abilities: Annotated[Figure, "Where each cohort's ability lies, on one scale."]
    links: Annotated[Table, "How each cohort was put on the scale."]
    firsts: Annotated[Figure, "What share of first tries passed, by assignment and cohort."]
    legend: Annotated[tuple[str, ...], "How to read the page."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def comparison_page(catalog: Catalog, surveys: Sequence[Survey], cohorts: Sequence[str]) -> ComparisonPage:
    """Return the page; the first survey gives the scale."""
    base = surveys[0]
    found = [(s, _SAME if s is base else _link(s, base)) for s in surveys]
    return ComparisonPage(
        cohort=base.cohort,
        cohorts=choose_cohort(cohorts, base.cohort),
        abilities=_abilities([(s, by) for s, by in found if by is not None], base),
        links=_links(found),
        firsts=_firsts(catalog, surveys),
        legend=(
            "Every cohort calls its own middle 0, so their numbers cannot be compared as they are. Exercises that two cohorts have"
            " both tried link their scales: what is as hard for one as for the other lies at the same place.",
            f"With fewer than {MIN_COMMON} common exercises, or before a cohort has a dozen students with a first try, there is no"
            " link, and the cohort is left out of the first drawing.",
            "The shift's uncertainty is a jackknife over the common exercises. Exercises that changed between the cohorts show as"
            " places far off the line and are left out of it.",
        ),
        snapshot=Snapshot(max(s.event for s in surveys), Moment.of(min(s.at for s in surveys))),
    )


def _link(of: Survey, base: Survey) -> Link | None:
    return link(of.items, base.items) if of.items and base.items else None


def _abilities(linked: Sequence[tuple[Survey, Link]], base: Survey) -> Figure:
    rows: list[dict[str, Any]] = []
    words = []
    known = [(s, by) for s, by in linked if s.density.n]
    for s, by in known:
        # A density keeps its area when its axis is stretched.
        rows += [
            {"x": (at := by.slope * x + by.shift), "y": y / by.slope, "of": s.cohort, "tip": f"{s.cohort}; ability {signed(at)}"}
            for x, y in zip(GRID, s.density.cohort, strict=True)
            if abs(by.slope * x + by.shift) <= GRID[-1]
        ]
        means = [f.mean for f in s.report.students if f.n_items]
        mean = by.slope * sum(means) / len(means) + by.shift
        words.append((s.cohort, wording.whole(s.density.n), signed(mean), f"{by.slope:.2f}"))
    return figure(
        "abilities",
        "Ability at the end of the course, on one scale",
        f"n = {wording.counted(sum(s.density.n for s, _ in known), 'student')} in {wording.counted(len(known), 'cohort')}",
        charts.curves(
            rows,
            charts.axis("x", f"ability (standard deviations of cohort {base.cohort})"),
            charts.axis("y", "density (per standard deviation)"),
            "of",
            charts.rule(base.report.bar, "x", "bar"),
        ),
        ("cohort", "students", "mean", "stretch"),
        words,
        empty="No cohort has a first try that counts.",
        made=Moment.of(min(s.at for s, _ in linked)),
    )


def _links(found: Sequence[tuple[Survey, Link | None]]) -> Table:
    rows = []
    for s, by in found:
        if by is _SAME:
            rows.append((s.cohort, "gives the scale", wording.NOTHING, wording.NOTHING))
        elif by is None:
            rows.append((s.cohort, "not linked", wording.NOTHING, wording.NOTHING))
        else:
            shift = f"{by.shift:+.2f} ± {by.shift_se:.2f}".replace("-", "−")
            rows.append((s.cohort, "linked", f"{by.n_used} of {by.n_common}", shift))
    return Table(("cohort", "state", "common exercises used", "shift (standard deviations)"), tuple(rows))


def _firsts(catalog: Catalog, surveys: Sequence[Survey]) -> Figure:
    rows, words = [], []
    for assignment in (a.id for a in catalog.assignments):
        for s in surveys:
            mine = [e for e in s.exercises if e.assignment == assignment]
            n, k = sum(e.n_tried for e in mine), sum(e.n_passed_first for e in mine)
            if not n:
                continue
            short, (low, high) = short_name(assignment), wilson(k, n)
            rows.append({"assignment": short, "share": 100 * k / n, "of": s.cohort})
            words.append(
                (
                    f"{short} {catalog.name(assignment)}",
                    s.cohort,
                    f"{100 * k / n:.0f} %",
                    f"{100 * low:.0f} to {100 * high:.0f} %",
                    wording.whole(n),
                )
            )
    n = sum(e.n_tried for s in surveys for e in s.exercises)
    return figure(
        "firsts",
        "First tries that passed, by assignment",
        f"n = {wording.whole(n)} first tries",
        charts.lines(
            rows,
            charts.axis("assignment", "assignment", "ordinal", sort=None),
            charts.axis("share", "passed at the first try (per cent)", scale={"domain": [0, 100]}),
            "of",
        ),
        ("assignment", "cohort", "passed", "95 % interval", "first tries"),
        words,
        empty="Nobody has tried an exercise yet.",
        made=Moment.of(min(s.at for s in surveys)),
    )
