"""The cohort's pages: nobody at the bottom, our fault never a zero, the numbers of the tracker and no others."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from autograder.grading.verdict import Status
from autograder.pages import estimates, models, wording
from autograder.pages import figure as figures
from autograder.pages.cohort import ORDERS, PART_SIZE
from autograder.pages.drawing import draw
from autograder.pages.models import CohortLine, CohortPage, help_of
from autograder.progress import State
from autograder.records import Attempt, Ledger
from autograder.service.desk import Desk
from autograder.service.office import Office
from tests import cohort_world
from tests.cohort_world import COHORT, NOW, START
from tests.service_world import Text, World, serving


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> cohort_world.World:
    folder = tmp_path_factory.mktemp("term")
    return cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")


@pytest.fixture(scope="module")
def desk(filled: cohort_world.World) -> Iterator[Desk]:
    with Ledger.open(filled.ledger_url) as ledger:
        yield Desk.of(filled.course, ledger, lambda: NOW, filled.course.root)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Desk]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        yield Desk.of(cohort_world.write_course(tmp_path / "course"), ledger, lambda: NOW, tmp_path)


@pytest.fixture(scope="module")
def world(desk: Desk) -> Iterator[World]:
    with serving(desk) as running:
        yield running


def shown(desk: Desk, order: str = "name", part: int = 1, cohort: str = "") -> CohortPage:
    page = desk.cohort(cohort, order, part)
    assert page is not None
    return page


def line(page: CohortPage, name: str) -> CohortLine:
    return next(one for one in page.lines if one.name == name)


def test_every_enrolled_student_has_a_line(desk: Desk) -> None:
    """Also who handed in nothing, with a dash where there is nothing and never a zero."""
    page = shown(desk)
    absent = line(page, "yuki")

    assert [one.name for one in page.lines] == sorted(cohort_world.NAMES)
    assert page.n_students == sum(c.n for c in page.counts) == 24
    assert {c.points for c in absent.cells} == {"–"}
    assert (absent.total, absent.estimate.chance, absent.estimate.value) == ("–", "–", "–")
    assert absent.estimate.strip is None


def test_points_are_those_of_the_ledger(desk: Desk, filled: cohort_world.World) -> None:
    """Every cell shows the newest attempt's points; the total is their sum."""
    page = shown(desk)
    for name in ("ada", "bela", "priya"):
        results = {r.assignment: r.latest for r in desk.ledger.results(filled.pseudonyms[name])}
        expected = [wording.number(results[c.id].points) if c.id in results else "–" for c in page.columns]

        assert [c.points for c in line(page, name).cells] == expected
        assert line(page, name).total == wording.number(sum(r.points for r in results.values()))


@pytest.mark.parametrize(
    ("name", "points", "word"),
    [("kofi", "–", "could not be read"), ("leila", "–", "waiting to be graded"), ("priya", "38", "partly unscored: our fault")],
)
def test_what_is_not_scored_says_why(desk: Desk, world: World, name: str, points: str, word: str) -> None:
    """A file that cannot be read, a hand-in that waits and our own fault have a word, and no zero."""
    page = shown(desk)
    cell = line(page, name).cells[[c.id for c in page.columns].index("t1_attention")]

    assert cell.points == points
    assert cell.mark is not None
    assert cell.mark.word == word
    assert word in Text(world.ask("cohort", "organizer").body).text


def test_an_attempt_that_is_all_our_fault_has_no_points(empty: Desk) -> None:
    """Nothing scored is a dash, not a zero."""
    pseudonym = empty.ledger.enrol("ada", COHORT, START)
    manifest = empty.catalog.manifest("t1_attention")
    assert manifest is not None
    attempt = Attempt.of(pseudonym, "t1_attention", "1" * 64, START)
    empty.ledger.append(
        attempt, cohort_world.graded(manifest, {e.id: (Status.INFRA, 0) for e in manifest.exercises}, "1" * 64), START
    )

    alone = shown(empty).lines[0]
    assert [c.points for c in alone.cells] == ["–"] * 6
    assert alone.total == "–"


def test_estimates_are_the_trackers(desk: Desk, filled: cohort_world.World) -> None:
    """State, chance, estimate and interval of every line follow from the tracker's report of this ledger, and nothing else."""
    report = desk.surveys.newest(COHORT).report
    page = shown(desk)

    assert {f.state for f in report.students} >= {State.WATCH, State.NONE, State.NEEDS_EVIDENCE}
    for finding in report.students:
        if finding.n_items:
            view = next(one.estimate for one in page.lines if one.pseudonym == finding.pseudonym)
            assert view.state is estimates.STATES[finding.state]
            assert view.value == estimates.signed(finding.mean)
            assert view.interval == " to ".join(estimates.signed(v) for v in finding.interval90)
            assert view.chance == wording.percent(finding.p)
            assert view.reasons == finding.reasons
            assert view.strip is not None
            assert view.strip.low < view.strip.mid < view.strip.high
            assert view.is_weak == (finding.state is State.NEEDS_EVIDENCE)


def test_every_state_has_a_word() -> None:
    """No finding can reach a page without one."""
    assert set(estimates.STATES) == set(State)


def test_no_order_makes_a_bottom(desk: Desk) -> None:
    """By name or by state, within a state by name: never by points, chance or estimate."""
    assert set(ORDERS) == {"name", "state"}
    by_state = shown(desk, "state").lines
    words = [m.word for m in estimates.STATES.values()]
    ranks = [words.index(one.estimate.state.word) for one in by_state]

    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 1
    for word in words:
        names = [one.name for one in by_state if one.estimate.state.word == word]
        assert names == sorted(names)


def test_an_estimate_beyond_the_axis_stands_at_its_end() -> None:
    """The drawing never leaves its frame, and greater is further right."""
    stands = [estimates.x(v) for v in (-99, -3, -1, 0, 1.3, 3, 99)]

    assert stands == sorted(stands)
    assert stands[0] == stands[1]
    assert stands[-2] == stands[-1]
    assert stands[3] == 100.0


@pytest.mark.parametrize(("value", "text"), [(0.0, "< 1 %"), (0.004, "< 1 %"), (0.5, "50 %"), (0.995, "> 99 %"), (1.0, "> 99 %")])
def test_a_chance_is_never_certain(value: float, text: str) -> None:
    """What a model says is neither 0 % nor 100 %."""
    assert wording.percent(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.44, "+0.4"), (-1.25, "−1.2"), (0.04, "0"), (-0.04, "0")])
def test_signed_numbers(value: float, text: str) -> None:
    """A sign always, a true minus, and no signed zero."""
    assert estimates.signed(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.0, "0"), (2.0, "2"), (1.5, "1.5"), (1 / 3, "0.33"), (100.0, "100")])
def test_points_as_people_write_them(value: float | None, text: str) -> None:
    """No trailing zeros, and a dash for what is absent."""
    assert wording.number(value) == text


def test_a_long_table_comes_in_parts(empty: Desk) -> None:
    """50 students to a part, the count shown, and each part reachable; a part beyond the end is the last one."""
    for n in range(PART_SIZE + 30):
        empty.ledger.enrol(f"s{n:03d}", COHORT, START)
    first, second, beyond = (shown(empty, part=n) for n in (1, 2, 99))

    assert (first.shown, second.shown) == ("1 to 50 of 80", "51 to 80 of 80")
    assert [one.name for one in first.lines + second.lines] == [f"s{n:03d}" for n in range(80)]
    assert beyond == second
    assert [(c.text, c.is_chosen) for c in first.parts] == [("1", True), ("2", False)]


def test_cohorts_are_apart_and_the_newest_is_shown(empty: Desk) -> None:
    """A cohort never shows another one's students, and each can be chosen, whatever it is called."""
    empty.ledger.enrol("old", "2025 & before", START - timedelta(days=365))
    empty.ledger.enrol("new", COHORT, START)

    page = shown(empty)
    assert [one.name for one in page.lines] == ["new"]
    assert [c.text for c in page.cohorts] == [COHORT, "2025 & before"]
    with serving(empty) as world:
        other = world.ask(f"cohort{page.cohorts[1].query}", "organizer")
    assert "old" in Text(other.body).text
    assert "new" not in Text(other.body).text.split()


def test_who_left_is_shown_as_such(empty: Desk) -> None:
    """Leaving is a fact of its own: the line stays."""
    pseudonym = empty.ledger.enrol("ada", COHORT, START)
    empty.ledger.leave(pseudonym, NOW)

    assert shown(empty).lines[0].left
    person = Office(empty).profile(pseudonym, "olga")
    assert person is not None
    assert person.left is not None


@pytest.mark.parametrize("path", ["overview", "cohort", "flags", "comparison", "calibration", "exports"])
def test_an_empty_ledger_has_pages_that_say_so(empty: Desk, path: str) -> None:
    """Nobody enrolled is a sentence under the page's name, and no sentence about a cohort without one."""
    with serving(empty) as world:
        answer = world.ask(path, "organizer")
    page = Text(answer.body)

    assert answer.status == 200
    assert "No students yet Nobody is enrolled." in page.text
    assert [tag for tag, _ in page.elements if tag in ("section", "figure")] == []
    assert page.text.count("Records as of event 0") == 1


def test_every_drawing_names_what_its_axes_are(world: World, filled: cohort_world.World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both axes of every drawing of every page with one, so that nobody has to guess a unit."""
    drawn: dict[str, Mapping[str, Any]] = {}

    def kept(description: Mapping[str, Any], label: str) -> Markup:
        drawn[label.split(".")[0]] = description
        return draw(description, label)

    monkeypatch.setattr(figures, "draw", kept)
    for path in (
        "overview organizer",
        "flags organizer",
        "comparison organizer",
        "calibration organizer",
        f"cohort/student/{filled.pseudonyms['carmen']} organizer",
        "teaching/assignment/t1_attention instructor",
        "teaching/exercises instructor",
        "teaching/exercises/t1_attention/rope instructor",
    ):
        address, role = path.split(" ")
        assert world.ask(address, role).status == 200

    assert len(drawn) == 14
    assert {title: _named(d) for title, d in drawn.items()} == {title: {"x", "y"} for title in drawn}


def _named(description: Mapping[str, Any]) -> set[str]:
    """Return the channels whose axis has a title that no layer takes away."""
    layers = description.get("layer", (description,))
    channels = [(name, layer["encoding"][name]) for layer in layers for name in ("x", "y") if name in layer.get("encoding", {})]
    taken = {name for name, channel in channels if None in (channel.get("title", ""), (channel.get("axis") or {}).get("title", ""))}
    return {name for name, channel in channels if channel.get("title")} - taken


def test_a_cohort_that_does_not_exist_has_no_page_even_before_there_is_one(empty: Desk) -> None:
    """All pages choose a cohort alike."""
    assert empty.cohort("2031", "name", 1) is None
    assert Office(empty).overview("2031") is None


def test_too_early_is_said_once_above_the_table(empty: Desk) -> None:
    """When nobody can be judged the page says why, instead of leaving a reader to guess from dashes."""
    empty.ledger.enrol("ada", COHORT, START)

    page = shown(empty)

    assert page.too_early == empty.surveys.newest(COHORT).report.too_early != ""
    with serving(empty) as world:
        assert page.too_early in Text(world.ask("cohort", "organizer").body).text


def test_the_drawing_has_words_beside_it(world: World, filled: cohort_world.World) -> None:
    """The person's plot has title, description with numbers, and unit; small ones are hidden, for numbers stand beside them."""
    page = Text(world.ask(f"cohort/student/{filled.pseudonyms['carmen']}", "organizer").body)
    (plot,) = [a for a in page.having("svg") if a.get("role") == "img" and a.get("class") == "strip large"]
    table = Text(world.ask("cohort", "organizer").body)

    assert plot["aria-labelledby"] == "plot-title plot-text"
    assert re.search(r"Estimate \+\d\.\d, interval [+−]?\d(\.\d)? to \+\d\.\d, from \d+ first tries", page.text)
    assert "standard deviations from the cohort's middle" in page.text
    strips = [a for a in table.having("svg") if a.get("class", "").startswith("strip")]
    assert len(strips) == 25
    assert all(a["aria-hidden"] == "true" for a in strips)


def test_no_page_needs_a_style_or_script_of_its_own(world: World, filled: cohort_world.World) -> None:
    """The content policy would refuse them, so no attribute and no element may ask for one; nothing comes from elsewhere."""
    addresses = [
        ("me", "student"),
        ("cohort", "organizer"),
        (f"cohort/student/{filled.pseudonyms['priya']}", "organizer"),
        ("nope", None),
    ]
    for address, role in addresses:
        page = Text(world.ask(address, role).body)
        assert {tag for tag, _ in page.elements} & {"style", "iframe", "object"} == set()
        assert [a["src"] for a in page.having("script")] == [
            f"/services/bootcamp/static/{name}.js" for name in ("page", "htmx", "figure")
        ]
        for _, attributes in page.elements:
            assert "style" not in attributes
            assert not any(name.startswith("on") for name in attributes)
            for name in ("src", "href"):
                assert (attributes.get(name) or "/").startswith(("/", "#", "?"))


def test_ids_of_a_page_are_its_own(world: World, filled: cohort_world.World) -> None:
    """A label points at exactly one thing."""
    for address, role in (
        ("me", "student"),
        (f"cohort/student/{filled.pseudonyms['priya']}", "organizer"),
        ("cohort", "organizer"),
    ):
        elements = Text(world.ask(address, role).body).elements
        ids = [a["id"] for _, a in elements if a.get("id")]
        labels = {word for _, a in elements for word in (a.get("aria-labelledby") or "").split()}

        assert len(ids) == len(set(ids))
        assert labels <= set(ids)


PAGES = [c for c in vars(models).values() if dataclasses.is_dataclass(c) and c.__module__ == models.__name__]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.__name__)
def test_every_field_of_a_page_says_what_it_means(page: type) -> None:
    """A page is a dataclass with a help text per field, a sentence each."""
    for field in dataclasses.fields(page):
        assert re.fullmatch(r"[A-Z].{5,}[.]", help_of(page, field.name)), f"{page.__name__}.{field.name}"


def test_a_survey_is_taken_again_only_after_something_was_graded(empty: Desk) -> None:
    """Looking at pages never costs an evaluation; a new grading, a new student or a rebuilt release does."""
    pseudonym = empty.ledger.enrol("ada", COHORT, START)
    first = empty.surveys.newest(COHORT)
    empty.ledger.record("person.viewed", NOW, "olga", pseudonym, {})
    assert empty.surveys.newest(COHORT) is first

    manifest = empty.catalog.manifest("t1_attention")
    assert manifest is not None
    attempt = Attempt.of(pseudonym, "t1_attention", "1" * 64, START)
    empty.ledger.append(
        attempt, cohort_world.graded(manifest, {e.id: (Status.PASS, 1.0) for e in manifest.exercises}, "1" * 64), NOW
    )
    second = empty.surveys.newest(COHORT)
    assert second.report.n_first_tries == 10

    path = empty.catalog.assignments[4].release / "assignment.json"
    path.write_text(path.read_text().replace('"t1_attention.rope"', '"t1_attention.rotary"'))
    assert empty.surveys.newest(COHORT).report.n_first_tries == 9
