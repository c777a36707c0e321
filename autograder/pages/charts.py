"""Numbers in, the Vega-Lite descriptions of the drawings that pages use most out. Axes always have a title with its unit.

A row may hold a `tip`: what its mark says to whoever points at it (static/figure.js). Without one a mark says its own values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autograder.pages.drawing import HEAT, SERIES, SOFT

Described = dict[str, Any]
Row = Mapping[str, Any]
WIDTH = 460
_STEP = 26
_EVERY = 5  # which points of a smooth line can be pointed at
_N_DIGITS = 4


def axis(field: str, title: str, kind: str = "quantitative", **more: Any) -> Described:
    """Return an encoding channel with its title."""
    return {"field": field, "type": kind, "title": title, **more}


def _values(rows: Sequence[Row]) -> Described:
    return {"values": [{k: round(v, _N_DIGITS) if isinstance(v, float) else v for k, v in r.items()} for r in rows]}


def _told(rows: Sequence[Row], *axes: Described) -> list[Row]:
    """Return the rows, each with a tip: its own, or what the axes call its values."""
    named = [(axis["title"] or "", axis["field"]) for axis in axes]
    return [{"tip": "; ".join(": ".join(x for x in (title, _said(r[field])) if x) for title, field in named), **r} for r in rows]


def _said(value: object) -> str:
    return f"{round(value, _N_DIGITS):g}" if isinstance(value, float) else str(value)


def _telling(mark: Described, encoding: Described) -> Described:
    """Return a layer whose marks say their tip. Only the field's name enters an expression of Vega."""
    return {"mark": {**mark, "aria": True}, "encoding": {**encoding, "description": {"field": "tip", "type": "nominal"}}}


def nested(rows: Sequence[Row], y: Described, values: Sequence[tuple[str, str]], value_title: str, domain_max: float) -> Described:
    """Return bars within bars, widest first: each value (field, name) is part of the one before, and thinner."""
    category = y["field"]
    long = [
        {category: r[category], "n": r[field], "what": name, "tip": f"{r[category]}; {name}: {r[field]}"}
        for r in rows
        for field, name in values
    ]
    names = [name for _, name in values]
    color = {
        "field": "what",
        "type": "nominal",
        "title": None,
        "scale": {"domain": names, "range": [HEAT[2], HEAT[4], "var(--ink)"][: len(names)]},
    }
    x = axis("n", value_title, stack=None, scale={"domain": [0, max(domain_max, 1)]})
    layers = [
        {
            "transform": [{"filter": {"field": "what", "equal": name}}],
            **_telling({"type": "bar", "height": {"band": 0.78 - 0.26 * k}}, {"y": y, "x": x, "color": color}),
        }
        for k, name in enumerate(names)
    ]
    return {"data": _values(long), "width": WIDTH - 60, "height": {"step": _STEP}, "layer": layers}


def curves(rows: Sequence[Row], x: Described, y: Described, series: str, rules: Sequence[Described] = ()) -> Described:
    """Return smooth lines, the first filled; each series has its own colour and dash."""
    names = list(dict.fromkeys(str(r[series]) for r in rows))
    same = {"field": series, "type": "nominal", "title": None}
    dashes = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]
    encoding = {
        "x": x,
        "y": y,
        "color": {**same, "scale": {"domain": names, "range": list(SERIES[: len(names)])}},
        "strokeDash": {**same, "scale": {"domain": names, "range": dashes[: len(names)]}},
    }
    first = [r for r in rows if r[series] == names[0]] if names else []
    filled = {"data": _values(first), "mark": {"type": "area", "color": SERIES[0], "opacity": 0.15}, "encoding": {"x": x, "y": y}}
    drawn = {"data": _values(rows), "mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding}
    # Seen only while they are pointed at: a smooth line has no marks of its own.
    points = [r for name in names for r in [r for r in rows if r[series] == name][::_EVERY]]
    shown = {k: v for k, v in encoding.items() if k != "strokeDash"}
    told = {
        "data": _values(_told(points, {"title": "", "field": series}, x, y)),
        **_telling({"type": "point", "filled": True, "size": 60, "opacity": 0}, shown),
    }
    return {"width": WIDTH, "height": 240, "layer": [filled, drawn, told, *rules]}


def diagonal(rows: Sequence[Row], x: Described, y: Described, low: str, high: str) -> Described:
    """Return points with vertical bars in a square from 0 to 1, beside the line on which both are equal."""
    line = {
        "data": {"values": [{"a": 0, "b": 0}, {"a": 1, "b": 1}]},
        "mark": {"type": "line", "color": SOFT, "strokeDash": [5, 3]},
        "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "quantitative"}},
    }
    unit = {"scale": {"domain": [0, 1]}}
    scatter = dots(rows, {**x, **unit}, {**y, **unit}, low, high)
    scatter["layer"][-1]["mark"]["color"] = SERIES[0]
    return {"width": 340, "height": 340, "layer": [line, *({"data": scatter["data"], **d} for d in scatter["layer"])]}


def lines(rows: Sequence[Row], x: Described, y: Described, series: str = "", rules: Sequence[Described] = ()) -> Described:
    """Return lines with points; each of several series has its own colour, dash and shape."""
    encoding: Described = {"x": x, "y": y}
    if series:
        names = list(dict.fromkeys(str(r[series]) for r in rows))
        same = {"field": series, "type": "nominal", "title": None}
        encoding |= {
            "color": {**same, "scale": {"domain": names, "range": list(SERIES[: len(names)])}},
            "strokeDash": {**same, "scale": {"domain": names}},
            "shape": {**same, "scale": {"domain": names}},
        }
    points = {k: v for k, v in encoding.items() if k != "strokeDash"}
    told = _told(rows, *([{"title": "", "field": series}] if series else []), x, y)
    drawn = [
        {"mark": {"type": "line"}, "encoding": {k: v for k, v in encoding.items() if k != "shape"}},
        _telling({"type": "point", "filled": True, "size": 40}, points),
    ]
    return {"width": WIDTH, "height": 240, "layer": [{"data": _values(told), **d} for d in drawn] + list(rules)}


def band(
    rows: Sequence[Row], x: Described, y_title: str, domain: tuple[float, float], rules: Sequence[Described] = ()
) -> Described:
    """Return a line `mid` within the bands `low50`–`high50` and `low90`–`high90` over x."""
    y = {"type": "quantitative", "title": y_title, "scale": {"domain": list(domain), "clamp": True}}

    def area(level: str, opacity: float) -> Described:
        channels = {"x": x, "y": {**y, "field": f"low{level}"}, "y2": {"field": f"high{level}"}}
        one = {"type": "rule", "size": 14, "color": SERIES[0], "opacity": opacity}
        wide = {"type": "area", "color": SERIES[0], "opacity": opacity}
        return {"mark": wide if len(rows) > 1 else one, "encoding": channels}

    mid = {"x": x, "y": {**y, "field": "mid"}}
    line = {"mark": {"type": "line", "color": SERIES[0]}, "encoding": mid}
    points = _telling({"type": "point", "size": 44, "filled": True, "color": SERIES[0]}, mid)
    layers: list[Described] = [area("90", 0.16), area("50", 0.3), line, points]
    told = _values(_told(rows, x, {"title": y_title, "field": "mid"}))
    return {"width": WIDTH, "height": 240, "layer": [{"data": told, **d} for d in layers] + list(rules)}


def dots(
    rows: Sequence[Row], x: Described, y: Described, low: str = "", high: str = "", more: Described | None = None
) -> Described:
    """Return a scatter; `low` and `high` name the ends of vertical bars, `more` adds channels (shape, size, color)."""
    bars_ = {"mark": {"type": "rule", "color": SOFT}, "encoding": {"x": x, "y": {**y, "field": low}, "y2": {"field": high}}}
    points = _telling({"type": "point", "filled": True, "size": 50, "opacity": 0.85}, {"x": x, "y": y, **(more or {})})
    return {"data": _values(_told(rows, x, y)), "width": WIDTH, "height": 300, "layer": [*([bars_] if low else []), points]}


def spans(rows: Sequence[Row], y: Described, x: Described, low: str, high: str, rules: Sequence[Described] = ()) -> Described:
    """Return one line per row: a point with the horizontal bar from `low` to `high`."""
    bar = {
        "mark": {"type": "rule", "color": SOFT, "strokeWidth": 2},
        "encoding": {"y": y, "x": {**x, "field": low}, "x2": {"field": high}},
    }
    point = _telling({"type": "point", "filled": True, "size": 70, "color": SERIES[0]}, {"y": y, "x": x})
    drawn = [{"data": _values(_told(rows, y, x)), **d} for d in (bar, point)]
    return {"width": WIDTH - 160, "height": {"step": _STEP + 8}, "layer": [*rules, *drawn]}


def histogram(
    rows: Sequence[Row], low: str, high: str, count: str, x_title: str, y_title: str, rules: Sequence[Described] = ()
) -> Described:
    """Return bars over intervals that are counted already: each row has its lower end, its upper end and its count."""
    x = axis(low, x_title, bin="binned")
    y = axis(count, y_title)
    told = [{**r, "tip": f"{_said(r[low])} to {_said(r[high])}; {y_title}: {r[count]}"} for r in rows]
    bar = _telling({"type": "bar", "binSpacing": 1}, {"x": x, "x2": {"field": high}, "y": y})
    return {"width": WIDTH, "height": 220, "layer": [{"data": _values(told), **bar}, *rules]}


def heat(rows: Sequence[Row], x: str, y: str, share: str, x_title: str, y_title: str, legend: str, text: str = "") -> Described:
    """Return a grid of cells in six steps of a share from 0 to 1; `text` names what is written into each cell."""
    xs, ys = (axis(f, title, "nominal", sort=None) for f, title in ((x, x_title), (y, y_title)))
    xs["axis"] = {"labelAngle": 0, "orient": "top"}
    color = {
        "field": share,
        "type": "quantitative",
        "title": legend,
        "scale": {"type": "threshold", "domain": [0.001, 0.2, 0.4, 0.6, 0.8], "range": list(HEAT)},
        "legend": {"format": ".0%"},
    }
    cells = _telling({"type": "rect", "stroke": "var(--sheet)", "strokeWidth": 1}, {"x": xs, "y": ys, "color": color})
    dark = {"condition": {"test": f"datum['{share}'] >= 0.6", "value": "var(--h-light)"}, "value": "var(--ink)"}
    words = {
        "mark": {"type": "text", "fontSize": 11},
        "encoding": {"x": xs, "y": ys, "text": {"field": text, "type": "nominal"}, "color": dark},
    }
    n_columns = len({r[x] for r in rows}) or 1
    return {
        "data": _values(_told(rows, xs, ys, {"title": legend, "field": text or share})),
        "width": {"step": max(26, min(60, (WIDTH - 120) // n_columns))},
        "height": {"step": _STEP},
        "layer": [cells, *([words] if text else [])],
    }


def rule(value: float, where: str, text: str, dash: bool = True) -> list[Described]:
    """Return a line across the drawing at one value of "x" or "y", with its name beside it."""
    data = {"values": [{"at": value, "text": text}]}
    other = {"y": {"value": 8}} if where == "x" else {"x": {"value": 4}}
    at = {where: {"field": "at", "type": "quantitative"}}
    line = {"type": "rule", "color": SOFT, **({"strokeDash": [5, 3]} if dash else {})}
    said = words({**at, **other, "text": {"field": "text", "type": "nominal"}}, **({"dx": 5} if where == "x" else {"dy": -6}))
    return [{"data": data, "mark": line, "encoding": at}, *({"data": data, **layer} for layer in said)]


def words(encoding: Described, **more: Any) -> list[Described]:
    """Return layers of text on a halo of the sheet's colour, so that what lies below does not cut it."""
    text = {"type": "text", "align": "left", "color": SOFT, **more}
    return [{"mark": {**text, **halo}, "encoding": encoding} for halo in ({"stroke": "var(--sheet)", "strokeWidth": 4}, {})]
