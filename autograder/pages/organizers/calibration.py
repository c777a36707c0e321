"""A survey in; whether chances come true, for everybody and for groups, out. Groups of a few are not shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Annotated

from autograder.pages import charts, wording
from autograder.pages.figure import Figure, Table, Tile, figure
from autograder.pages.models import Choice, Snapshot
from autograder.pages.organizers.overview import choose_cohort
from autograder.pages.wording import Mark, Moment
from autograder.survey import Survey
from autograder.survey.fairness import Group

# A group of fewer students could be told apart by who knows the class.
MIN_SHOWN = 5
_Z = 1.96

ERROR = Mark("calibration error", "half", "mute", "Mean distance between what was expected and what came, in percentage points.")
TRIES = Mark("first tries checked", "check", "mute", "First tries in notebooks after the student's first one.")
STUDENTS = Mark("students checked", "ring", "mute", "Beyond a thousand, an even pick of them.")


@dataclass(frozen=True)
class CalibrationPage:
    """Whether the tracker's expectations come true."""

    cohort: Annotated[str, "The cohort's name."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts there are."]
    tiles: Annotated[tuple[Tile, ...], "The numbers that the page opens with."]
    reliability: Annotated[Figure, "Expected beside passed, by tenths of the expectation."]
    groups: Annotated[Figure, "How far what came lies from what was expected, group by group."]
    flagged: Annotated[Table, "How many of each group are flagged."]
    legend: Annotated[tuple[str, ...], "How to read the page, and what it cannot say."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def wilson(k: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share k / n. Source: Wilson 1927."""
    if not n:
        return 0.0, 1.0
    p, z2 = k / n, _Z**2
    middle, half = (p + z2 / (2 * n)) / (1 + z2 / n), _Z / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def calibration_page(survey: Survey, cohorts: Sequence[str]) -> CalibrationPage:
    """Return the page of a surveyed cohort."""
    made, found = Moment.of(survey.at), survey.fairness
    return CalibrationPage(
        cohort=survey.cohort,
        cohorts=choose_cohort(cohorts, survey.cohort),
        tiles=(
            Tile(f"{100 * found.error:.1f}" if found.n_tries else wording.NOTHING, ERROR, "percentage points"),
            Tile(wording.whole(found.n_tries), TRIES),
            Tile(wording.whole(found.n_checked), STUDENTS),
        ),
        reliability=_reliability(survey, made),
        groups=_groups(found.groups, made),
        flagged=_flagged(found.groups),
        legend=(
            "Before every notebook the model says how likely each first try is to pass, from the same student's earlier notebooks"
            " alone. Of those it gives 70 %, seven in ten should pass. No truth about anybody is needed for this check.",
            "Bars are 95 % intervals (Wilson). First tries of one student go together, so the bars are a little too short.",
            "Groups are what the records know and the estimate does not use. Names, countries, gender and age are in no record,"
            " so nothing can be said about those here; ask the people.",
            f"A group of fewer than {MIN_SHOWN} students is not shown.",
        ),
        snapshot=Snapshot(survey.event, made),
    )


def _reliability(survey: Survey, made: Moment) -> Figure:
    rows, words = [], []
    for expected, passed, n in survey.fairness.bins:
        low, high = wilson(passed * n, n)
        tip = f"expected {expected:.2f}; passed {passed:.2f}; 95 % interval {low:.2f} to {high:.2f}; {wording.whole(n)} first tries"
        rows.append({"expected": expected, "passed": passed, "low": low, "high": high, "tip": tip})
        words.append((f"{expected:.2f}", f"{passed:.2f}", f"{low:.2f} to {high:.2f}", wording.whole(n)))
    return figure(
        "reliability",
        "Do expectations come true?",
        f"n = {wording.whole(survey.fairness.n_tries)} first tries of {wording.counted(survey.fairness.n_checked, 'student')}",
        charts.diagonal(
            rows,
            charts.axis("expected", "expected share that passes"),
            charts.axis("passed", "share that passed at the first try"),
            "low",
            "high",
        ),
        ("expected", "passed", "95 % interval", "first tries"),
        words,
        note="On the dashed line expectation and outcome agree.",
        empty="This needs first tries in two notebooks, one after the other, and a dozen students.",
        made=made,
    )


def _groups(groups: Sequence[Group], made: Moment) -> Figure:
    rows, words = [], []
    for g in groups:
        if g.n_students < MIN_SHOWN or not g.n_tries:
            continue
        low, high = (100 * (x - g.expected) for x in wilson(g.passed * g.n_tries, g.n_tries))
        name = f"{g.by}: {g.name}"
        rows.append({"group": name, "gap": 100 * (g.passed - g.expected), "low": low, "high": high})
        words.append(
            (
                name,
                f"{g.expected:.3f}",
                f"{g.passed:.3f}",
                f"{100 * g.error:.1f}",
                wording.whole(g.n_tries),
                wording.whole(g.n_students),
            ),
        )
    x = charts.axis("gap", "passed minus expected (percentage points)")
    y = charts.axis("group", "group", "nominal", sort=None)
    y["axis"] = {"labelLimit": 230}
    return figure(
        "groups",
        "Is anybody treated otherwise?",
        f"n = {wording.whole(sum(g.n_tries for g in groups if g.by == groups[0].by) if groups else 0)} first tries",
        charts.spans(rows, y, x, "low", "high", charts.rule(0, "x", "as expected")),
        ("group", "expected", "passed", "calibration error (percentage points)", "first tries", "students"),
        words,
        note="Left of the line a group did worse than the tracker expected, right of it better: there its chances are too low.",
        empty="No group is large enough to be shown.",
        made=made,
    )


def _flagged(groups: Sequence[Group]) -> Table:
    rows = []
    for g in groups:
        if g.n_students < MIN_SHOWN:
            rows.append((f"{g.by}: {g.name}", f"under {MIN_SHOWN}", *[wording.NOTHING] * 4))
            continue
        low, high = wilson(g.n_flagged, g.n_students)
        between = f"{100 * low:.0f} to {100 * high:.0f} %"
        share = wording.share(g.n_flagged, g.n_students)
        rows.append(
            (f"{g.by}: {g.name}", wording.whole(g.n_students), wording.whole(g.n_flagged), share, between, f"{g.mean_p:.3f}")
        )
    return Table(("group", "students", "flagged", "share", "95 % interval", "mean chance"), tuple(rows))
