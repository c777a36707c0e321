"""A survey's fits and counts, and what failed answers failed at, in; the exercises as measured out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from autograder.grading.verdict import Status
from autograder.pages import charts, wording
from autograder.pages.catalog import Catalog
from autograder.pages.drawing import SERIES, SOFT
from autograder.pages.estimates import signed
from autograder.pages.figure import Figure, Table, Tile, figure
from autograder.pages.models import Choice, Snapshot
from autograder.pages.teachers.health import columns, share, snapshot_of
from autograder.pages.wording import Mark, Moment, counted, whole
from autograder.records.failing import Failing
from autograder.survey import Survey
from autograder.survey.counts import N_TRIES_SHOWN, ExerciseCount
from autograder.survey.items import ItemFit

FLAT = 0.5  # a discrimination below it hardly tells anybody apart
_LEAST = 20  # first tries before an exercise is called anything
_MOST_LABELS = 4
_N_TEXTS = 8

SOUND = Mark("sound", "check", "good", "It tells able students from others, and scores as expected.")
DRIFTS = Mark("drifts", "alert", "bad", "Its results speak for a broken check. Replay it before you trust it.")
BLUNT = Mark("tells little", "half", "part", "Able students and others score alike on it.")
UNKNOWN = Mark("too few", "dots", "mute", "Fewer than 20 first tries.")


@dataclass(frozen=True)
class ItemLine:
    """One exercise."""

    assignment: Annotated[str, "The assignment's folder."]
    name: Annotated[str, "The end of the exercise's id."]
    title: Annotated[str, "What it asks for."]
    mark: Annotated[Mark, "What to look at first."]
    n: Annotated[str, "First tries that count."]
    first: Annotated[str, "How many passed at the first try."]
    passed: Annotated[str, "How many passed at last."]
    difficulty: Annotated[str, "The ability at which half the points are expected, in standard deviations of the cohort."]
    discrimination: Annotated[str, "How steeply the expected score rises there."]
    drift: Annotated[str, "By how many standard errors its results are further from what is expected than they should be."]


@dataclass(frozen=True)
class ItemsPage:
    """All exercises of a cohort."""

    cohort: Annotated[str, "The cohort."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts there are."]
    figure: Annotated[Figure, "Difficulty against discrimination."]
    lines: Annotated[tuple[ItemLine, ...], "The exercises, in teaching order."]
    legend: Annotated[tuple[str, ...], "How to read it."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class ItemPage:
    """One exercise."""

    line: Annotated[ItemLine, "Its numbers."]
    tiles: Annotated[tuple[Tile, ...], "Its numbers, at a glance."]
    curve: Annotated[Figure, "Score by ability, beside what the model expects."]
    tries: Annotated[Figure, "At which try it was passed."]
    failing: Annotated[str, "How many failed answers the tables below rest on."]
    checks: Annotated[Table, "Which hidden checks failed answers fail."]
    slips: Annotated[Table, "Which known slips failed answers make."]
    drift: Annotated[str, "What its drift says."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


_LEGEND = (
    "Difficulty: the ability at which half the points are expected; 0 is the cohort's middle, 1 a standard deviation of students.",
    "Discrimination: the slope of the expected score there. An exercise near 0 hardly tells able students from others.",
    "Both come from the first tries of this cohort, or from the bank of an earlier one where the tracker uses it.",
    "Drift: results against what is expected of each student from all their other first tries, in standard errors; beyond {} an"
    " exercise does not count until a person has looked.",
)


def items_page(catalog: Catalog, survey: Survey, max_z: float, cohorts: tuple[Choice, ...]) -> ItemsPage:
    """Return the page of all exercises that somebody met."""
    fits = {f.exercise: f for f in survey.fits}
    legend = tuple(text.format(f"{max_z:g}") for text in _LEGEND)
    lines = tuple(_line(c, fits.get(c.exercise), max_z) for c in survey.exercises if c.n_tried or c.n_skipped)
    return ItemsPage(survey.cohort, cohorts, _scatter(lines, fits, survey), lines, legend, snapshot_of(survey))


def item_page(survey: Survey, exercise: str, failing: Failing, max_z: float) -> ItemPage | None:
    """Return the page of one exercise, None when the course has no such one."""
    count = next((c for c in survey.exercises if c.exercise == exercise), None)
    if count is None:
        return None
    fit = next((f for f in survey.fits if f.exercise == exercise), None)
    line, made = _line(count, fit, max_z), Moment.of(survey.at)
    return ItemPage(
        line=line,
        tiles=_tiles(line, count),
        curve=_curve(fit, made),
        tries=_tries(count, made),
        failing=_rests_on(failing),
        checks=Table(("Hidden check", "Failed answers"), _counted(failing.by_check, failing.n)),
        slips=Table(("What the answer was told", "Failed answers"), _counted(failing.by_slip, failing.n)),
        drift=_drift(fit, max_z),
        snapshot=snapshot_of(survey),
    )


def _line(count: ExerciseCount, fit: ItemFit | None, max_z: float) -> ItemLine:
    return ItemLine(
        assignment=count.assignment,
        name=count.exercise.removeprefix(f"{count.assignment}."),
        title=count.title,
        mark=_mark(fit, max_z),
        n=whole(count.n_tried),
        first=share(count.n_passed_first, count.n_tried),
        passed=share(count.n_passed, count.n_tried),
        difficulty=signed(fit.difficulty) if fit and fit.difficulty is not None else wording.NOTHING,
        discrimination=f"{fit.discrimination:.1f}" if fit else wording.NOTHING,
        drift=_odd(fit.drift) if fit else wording.NOTHING,
    )


def _mark(fit: ItemFit | None, max_z: float) -> Mark:
    if fit is None or fit.n < _LEAST:
        return UNKNOWN
    if fit.drift > max_z:
        return DRIFTS
    return BLUNT if fit.discrimination < FLAT else SOUND


def _scatter(lines: Sequence[ItemLine], fits: dict[str, ItemFit], survey: Survey) -> Figure:
    known = [(x, f) for x in lines if (f := fits.get(f"{x.assignment}.{x.name}")) and f.difficulty is not None]
    rows = [
        {"title": x.name, "of": x.mark.word, "x": f.difficulty, "y": f.discrimination, "tip": _tip(x)}  # as the table says it
        for x, f in known
    ]
    x, y = (
        charts.axis("x", "difficulty (standard deviations)", scale={"zero": False, "padding": 12}),
        charts.axis("y", "discrimination (per standard deviation)", scale={"zero": False, "padding": 12}),
    )
    words = [SOUND.word, BLUNT.word, DRIFTS.word, UNKNOWN.word]
    shape = {"field": "of", "type": "nominal", "title": None, "scale": {"domain": words}}
    more = {"shape": shape, "color": {**shape, "scale": {"domain": words, "range": [SERIES[0], SERIES[1], SERIES[3], SOFT]}}}
    described = charts.dots(rows, x, y, more=more)
    # Only the ends are named: the table names them all, and a hundred names cover each other.
    ends = sorted(rows, key=lambda r: float(str(r["x"])))
    named = [*ends[: _MOST_LABELS // 2], *ends[max(_MOST_LABELS // 2, len(ends) - _MOST_LABELS // 2) :]]
    text = charts.words({"x": x, "y": y, "text": {"field": "title", "type": "nominal"}}, dx=7, fontSize=10)
    described["layer"] = [*described["layer"], *({"data": {"values": named}, **layer} for layer in text)]
    return figure(
        "scatter",
        "Difficulty against discrimination",
        f"n = {len(known)} exercises, {whole(survey.report.n_first_tries)} first tries",
        described,
        ("Exercise", "Difficulty", "Discrimination", "First tries", "State"),
        [(x.title, x.difficulty, x.discrimination, x.n, x.mark.word) for x, _ in known],
        empty="The model needs first tries of at least 12 students.",
        made=Moment.of(survey.at),
    )


def _tip(x: ItemLine) -> str:
    said = f"difficulty {x.difficulty}; discrimination {x.discrimination}; {x.n} first tries"
    return f"{x.name} ({x.assignment}): {x.mark.word}; {said}"


def _curve(fit: ItemFit | None, made: Moment) -> Figure:
    groups = fit.groups if fit else ()
    rows: list[dict[str, Any]] = [
        {
            **vars(g),
            "tip": f"{counted(g.n, 'student')}; ability {signed(g.ability)}; score {_two(g.score)}; expected {_two(g.expected)}",
        }
        for g in groups
    ]
    x = charts.axis("ability", "estimated ability (standard deviations)")
    y = charts.axis("score", "mean score (share of the levels)", scale={"domain": [0, 1]})
    described = charts.dots(rows, x, y, "low", "high")
    model = {
        "data": {"values": rows},
        "mark": {"type": "line", "color": SERIES[1], "strokeDash": [5, 3]},
        "encoding": {"x": x, "y": {**y, "field": "expected"}},
    }
    described["layer"] = [model, *described["layer"]]
    return figure(
        "curve",
        "Score by ability",
        f"n = {whole(fit.n if fit else 0)} first tries",
        described,
        ("Ability", "Students", "Mean score", "Interval (95 %)", "Expected"),
        [(signed(g.ability), whole(g.n), _two(g.score), f"{_two(g.low)} to {_two(g.high)}", _two(g.expected)) for g in groups],
        note="Points: groups of students of like ability, with Wilson's 95 % interval. Dashed line: what the model expects of each"
        " group, from all their other first tries.",
        empty="At least 5 first tries, and 12 students for the model, are needed.",
        made=made,
    )


def _tries(c: ExerciseCount, made: Moment) -> Figure:
    names = [*(str(k) for k in range(1, N_TRIES_SHOWN)), f"{N_TRIES_SHOWN} or more", "not yet"]
    counts = [*c.by_tries, c.n_tried - c.n_passed] if c.n_tried else []
    rows = [{"try": name, "n": n} for name, n in zip(names, counts, strict=False)]
    return figure(
        "tries",
        "Tries to pass",
        f"n = {counted(c.n_tried, 'student')}",
        columns(rows, "try", "n", "try at which it passed", "students"),
        ("Try", "Students"),
        [(name, whole(n)) for name, n in zip(names, counts, strict=False)],
        empty="Nobody has tried it yet.",
        made=made,
    )


def _tiles(line: ItemLine, c: ExerciseCount) -> tuple[Tile, ...]:
    return (
        Tile(
            line.n,
            Mark("tried it", "check", "mute", "Students with a first try."),
            f"{whole(c.n_skipped)} handed it in empty",
        ),
        Tile(whole(c.n_passed_first), Mark("passed at once", "star", "mute", "At the first try."), line.first),
        Tile(whole(c.n_passed), Mark("passed at last", "check", "mute", "At whichever try."), line.passed),
        Tile(line.difficulty, Mark("difficulty", "up", "mute", _LEGEND[0])),
        Tile(line.discrimination, Mark("discrimination", "half", "mute", _LEGEND[1])),
    )


def _odd(drift: float) -> str:
    """Return how odd the results are; nothing odd at all is a statistic below 0, whose size says nothing."""
    return signed(drift) if drift > 0 else "0"


def _drift(fit: ItemFit | None, max_z: float) -> str:
    if fit is None:
        return "Nothing is known of drift yet."
    if fit.drift > max_z:
        return f"{signed(fit.drift)} standard errors: it {fit.drift_way}, under the grader build {fit.drift_build}."
    return f"{_odd(fit.drift)} standard errors at most; up to {signed(max_z)} is chance."


def _rests_on(failing: Failing) -> str:
    if not failing.n:
        return "No answer failed."
    kinds = ", ".join(f"{wording.VERDICTS[Status(s)].word}: {n}" for s, n in failing.by_status)
    return f"Of the newest {counted(failing.n, 'failed answer')} of all cohorts ({kinds})."


def _counted(pairs: Sequence[tuple[str, int]], n: int) -> tuple[tuple[str, ...], ...]:
    return tuple((text, share(k, n)) for text, k in pairs[:_N_TEXTS])


def _two(x: float) -> str:
    return f"{x:.2f}"
