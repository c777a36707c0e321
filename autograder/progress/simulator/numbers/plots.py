"""Reliability points and table rows in, Vega-Lite descriptions out; and their SVG, to be looked at outside a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # a name, not an address: nothing is fetched


def reliability(diagrams: Sequence[Mapping[str, Any]], case: str, week: int) -> dict[str, Any]:
    """Return the reliability diagram of one case and week: predicted chance against the share that came true, with counts."""
    points = [
        {"rule": d["rule"], "predicted": p, "true": share, "students": n}
        for d in diagrams
        if d["case"] == case and d["week"] == week
        for p, share, n in d["bins"]
    ]
    axis = {"scale": {"domain": [0, 1]}, "type": "quantitative"}
    n = sum(p["students"] for p in points if p["rule"] == "hierarchy")
    encoding = {
        "x": {**axis, "field": "predicted", "title": "predicted chance to be in the top tenth"},
        "y": {**axis, "field": "true", "title": "share that was"},
        "color": {"field": "rule", "type": "nominal", "title": None},
    }
    size = {"field": "students", "type": "quantitative", "scale": {"type": "log"}, "title": "students"}
    diagonal = {
        "data": {"values": [{"predicted": 0, "true": 0}, {"predicted": 1, "true": 1}]},
        "mark": {"type": "line", "color": "#999"},
    }
    xy = {k: v for k, v in encoding.items() if k != "color"}
    return {
        "$schema": _SCHEMA,
        "title": f"Do chances come true? {case}, week {week}, {n} students",
        "width": 420,
        "height": 420,
        "layer": [
            {**diagonal, "encoding": xy},
            {"data": {"values": points}, "mark": "line", "encoding": encoding},
            {"data": {"values": points}, "mark": {"type": "point", "filled": True}, "encoding": {**encoding, "size": size}},
        ],
    }


def prospective(bins: Sequence[tuple[float, float, int]]) -> dict[str, Any]:
    """Return the diagram of expected against observed first tries, by tenths of the expectation."""
    points = [{"expected": p, "passed": share, "first tries": n} for p, share, n in bins]
    axis = {"scale": {"domain": [0, 1]}, "type": "quantitative"}
    encoding = {
        "x": {**axis, "field": "expected", "title": "expected before the notebook was tried"},
        "y": {**axis, "field": "passed", "title": "share that passed at the first try"},
    }
    size = {"field": "first tries", "type": "quantitative", "title": "first tries"}
    diagonal = {
        "data": {"values": [{"expected": 0, "passed": 0}, {"expected": 1, "passed": 1}]},
        "mark": {"type": "line", "color": "#999"},
    }
    n = sum(b[2] for b in bins)
    points_layer = {"data": {"values": points}, "mark": {"type": "point", "filled": True}, "encoding": {**encoding, "size": size}}
    return {
        "$schema": _SCHEMA,
        "title": f"Was the next notebook foreseen? {n} first tries",
        "width": 420,
        "height": 420,
        "layer": [{**diagonal, "encoding": encoding}, points_layer],
    }


def calibration_by_week(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the calibration error of the hierarchy over the weeks, one line per case, with the target as a rule."""
    points = [
        {"case": r["case"], "week": int(r["what"].rsplit(" ", 1)[1]), "ece": r["value"]}
        for r in found
        if r["number"] == 2 and r["what"].startswith("hierarchy: ECE, week") and r["value"] is not None
    ]
    encoding = {
        "x": {"field": "week", "type": "ordinal", "title": "week"},
        "y": {"field": "ece", "type": "quantitative", "title": "expected calibration error of the chance"},
        "color": {"field": "case", "type": "nominal", "title": None},
    }
    target = {"data": {"values": [{"ece": 0.015}]}, "mark": {"type": "rule", "color": "#999"}, "encoding": {"y": encoding["y"]}}
    n = len({p["case"] for p in points})
    return {
        "$schema": _SCHEMA,
        "title": f"Calibration error by week, {n} cases; the rule is the target of 0.015",
        "width": 420,
        "height": 300,
        "layer": [target, {"data": {"values": points}, "mark": {"type": "line", "point": True}, "encoding": encoding}],
    }


def svg(description: Mapping[str, Any]) -> str:
    """Return the drawing, in black on white."""
    import vl_convert  # starts a JavaScript engine

    drawn: str = vl_convert.vegalite_to_svg(json.dumps(description), allowed_base_urls=[])
    return drawn
