"""Figures: one drawing for every theme, nothing in it that a page could run, its numbers beside it, and valid Vega-Lite."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import altair
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograder.pages import charts, drawing
from autograder.pages.drawing import described, draw
from autograder.pages.figure import figure

NASTY = '<script>alert("x")</script> & "quotes" \x1b[31m'
SHARES = [
    {"who": NASTY, "week": "W1", "share": 0.85, "text": "17", "all": 20},
    {"who": "b", "week": "W2", "share": 0.0, "text": "0", "all": 20},
]
BANDS = [
    {"week": k, "mid": k / 4, "low50": k / 4 - 0.3, "high50": k / 4 + 0.3, "low90": k / 4 - 0.8, "high90": k / 4 + 0.8}
    for k in (1, 2, 3)
]
WHO = charts.axis("who", "group", "nominal", sort=None)
X, Y = charts.axis("week", "week of the course", "ordinal"), charts.axis("mid", "ability (standard deviations)")

DESCRIPTIONS = {
    "lines": charts.lines([{**b, "of": o} for b in BANDS for o in ("this", "last")], X, Y, "of", charts.rule(0.5, "y", "bar")),
    "band": charts.band(BANDS, X, "ability (standard deviations)", (-3, 3), charts.rule(1.28, "y", NASTY)),
    "band of one": charts.band(BANDS[:1], X, "ability (standard deviations)", (-3, 3)),
    "dots": charts.dots(BANDS, X, Y, "low90", "high90"),
    "histogram": charts.histogram(
        [{"low": 0, "high": 1, "n": 4}, {"low": 1, "high": 2, "n": 9}], "low", "high", "n", "ability (SD)", "students"
    ),
    "spans": charts.spans(BANDS, charts.axis("week", "week", "nominal"), Y, "low90", "high90", charts.rule(0, "x", "zero")),
    "nested": charts.nested(SHARES, WHO, [("all", "handed in"), ("share", NASTY)], "students", 24),
    "curves": charts.curves([{**b, "of": o} for b in BANDS for o in ("this", NASTY)], charts.axis("week", "week"), Y, "of"),
    "diagonal": charts.diagonal(
        BANDS, charts.axis("week", "expected share"), charts.axis("mid", "passed share"), "low50", "high50"
    ),
    "heat": charts.heat(SHARES, "week", "who", "share", "week", "notebook", "share of students", "text"),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_is_valid(name: str) -> None:
    """Altair, which knows the whole grammar, takes every description as it is."""
    spec = described(DESCRIPTIONS[name])
    # Altair's release decides which minor version of the grammar it knows.
    altair.Chart.from_dict({k: v for k, v in spec.items() if k != "$schema"})


def test_altair_would_refuse_a_slip() -> None:
    """The check above can fail."""
    with pytest.raises(Exception, match=r"wdith|Additional properties"):
        altair.Chart.from_dict({**DESCRIPTIONS["dots"], "wdith": 3})


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_drawing_takes_its_colours_from_the_theme(name: str) -> None:
    """No colour of its own: one SVG serves light, dark and print. Vega paints black what nobody named."""
    svg = draw(DESCRIPTIONS[name], "label")

    colours = set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg))
    assert {c for c in colours if not c.startswith("var(--") and c not in ("none", "transparent")} == set()


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_drawing_holds_nothing_to_run(name: str) -> None:
    """Well-formed, no script, no style, no link, no handler, and people's words are text."""
    svg = draw(DESCRIPTIONS[name], NASTY)
    root = ElementTree.fromstring(svg)

    tags = {e.tag.rsplit("}", 1)[1] for e in root.iter()}
    assert tags <= {"svg", "g", "path", "text", "line", "rect", "defs", "clipPath", "tspan"}
    attributes = {a.rsplit("}", 1)[-1] for e in root.iter() for a in e.attrib}
    assert not {a for a in attributes if a.startswith("on") or a in ("style", "href")}
    assert root.attrib["aria-label"] == NASTY.replace("\x1b", "")
    assert "<script" not in svg


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec=None), max_size=30))
@example("\x1b\x00\ud800\ufffe")
def test_no_text_ends_the_process(text: str) -> None:
    """vl-convert aborts the process at a character that XML forbids, so none may reach it, in a title, a value or a label."""
    row = {"who": text, "n": 1.0}
    svg = draw(charts.nested([row], charts.axis("who", text or "who", "nominal"), [("n", text)], text or "n", 1), text)

    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_a_number_that_is_none_is_an_error() -> None:
    """NaN would be drawn as something; it is refused instead."""
    with pytest.raises(ValueError, match="JSON"):
        draw(charts.nested([{"who": "a", "n": math.nan}], WHO, [("n", "n")], "n", 1), "label")


def test_a_drawing_is_made_once() -> None:
    """The same numbers cost one drawing."""
    before = drawing._draw.cache_info()
    for _ in range(3):
        draw(DESCRIPTIONS["nested"], "label")

    assert drawing._draw.cache_info().misses <= before.misses + 1
    assert drawing._draw.cache_info().hits >= before.hits + 2


def test_a_figure_has_its_numbers_beside_it() -> None:
    """Title, count and table come with the drawing; without a row nothing is drawn, and the figure says why."""
    full = figure("f", "Title", "n = 2", DESCRIPTIONS["nested"], ("who", "share"), [("a", "0.85"), ("b", "0")])
    none = figure("f", "Title", "n = 0", DESCRIPTIONS["nested"], ("who", "share"), [], empty="Nobody yet.")

    assert full.svg is not None
    assert 'aria-label="Title. n = 2. The table after it holds the same numbers."' in full.svg
    assert full.table.rows == (("a", "0.85"), ("b", "0"))
    assert (none.svg, none.empty) == (None, "Nobody yet.")


def test_a_mark_says_its_values() -> None:
    """Its own words where a row has some, else what the axes call its values; escaped, and nothing else is left of its roles."""
    ours = draw(charts.dots([{"a": 1.0, "b": 2.0, "tip": NASTY}], charts.axis("a", "x (m)"), charts.axis("b", "y (s)")), "label")
    axes = draw(charts.dots([{"a": 1.23456789, "b": 2.0}], charts.axis("a", "x (m)"), charts.axis("b", "y (s)")), "label")

    (tip,) = [e.attrib["data-tip"] for e in ElementTree.fromstring(ours).iter() if "data-tip" in e.attrib]
    assert tip == NASTY.replace("\x1b", "")
    (tip,) = [e.attrib["data-tip"] for e in ElementTree.fromstring(axes).iter() if "data-tip" in e.attrib]
    assert tip == "x (m): 1.2346; y (s): 2"
    for svg in (ours, axes):
        assert not {a for e in ElementTree.fromstring(svg).iter() for a in e.attrib if a.startswith("aria-")} - {"aria-label"}


def test_a_smooth_line_can_be_pointed_at_here_and_there() -> None:
    """Every fifth point of a series has a mark, unseen; a thousand would weigh more than the line."""
    rows = [{"x": k / 10, "y": k, "of": of, "tip": f"{of} {k}"} for of in ("this", "that") for k in range(11)]
    svg = draw(charts.curves(rows, charts.axis("x", "x (m)"), charts.axis("y", "y (s)"), "of"), "label")

    assert re.findall(r'data-tip="([^"]*)"', svg) == [f"{of} {k}" for of in ("this", "that") for k in (0, 5, 10)]
