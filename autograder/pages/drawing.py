"""A Vega-Lite description in, an SVG element for a page out, in colours that the reader's theme decides.

The descriptions are plain dictionaries: Altair would write the same ones, but its import costs 1.5 CPU-s and each of its
charts 40 ms, so it stands in the tests only, where it validates every description that pages draw. vl-convert runs
Vega-Lite itself, in this process and offline: 0.6 CPU-s and 80 MB once, then about 60 ms a figure; a figure that was drawn
before is taken from a cache. Colours are CSS variables of the style sheet, so one drawing serves light, dark and print.

One trap: vl-convert measures words as XML, and a character that XML forbids aborts the whole process. So every string is
cleaned before it goes in, and a number that JSON does not have is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from autograder.pages.wording import plain

INK, SOFT, LINE = "var(--ink)", "var(--soft)", "var(--line)"
SERIES = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)")
HEAT = ("var(--h0)", "var(--h1)", "var(--h2)", "var(--h3)", "var(--h4)", "var(--h5)")
_CACHED = 512

_CONFIG: Mapping[str, Any] = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "gridColor": LINE,
        "domainColor": SOFT,
        "tickColor": SOFT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelLimit": 170,
    },
    "axisXDiscrete": {"labelAngle": 0},
    "axisQuantitative": {"tickCount": 6},
    "legend": {
        "labelColor": INK,
        "titleColor": SOFT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "orient": "top",
        "symbolStrokeColor": SOFT,
        "symbolBaseFillColor": SOFT,
        "symbolBaseStrokeColor": SOFT,
        "gradientStrokeColor": LINE,
        "labelLimit": 300,
    },
    "header": {"labelColor": INK, "titleColor": SOFT, "labelFontSize": 12},
    "text": {"color": INK, "fontSize": 12},
    "range": {"category": list(SERIES)},
    # Of marks that say something the description says so: Vega would put people's words into an expression.
    "mark": {"color": SERIES[0], "aria": False},
    "rule": {"color": SOFT},
}

# What a mark says to a screen reader is kept for our script, which shows it to everybody (charts._telling).
_TIP = re.compile(r' aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="(?:point|bar|rect)"')
# What Vega writes for scripts and for screen readers: here the element is one image with a table beside it. Nothing is
# added, only left out, so whatever Vega escaped stays escaped. The classes of the legend stay, for the script.
_NOISE = re.compile(
    r' class="(?![a-z -]*role-legend-(?:symbol|label)")[^"]*"'
    r'| (?:aria-[a-z]+|role|pointer-events|xmlns:xlink|version|font-family)="[^"]*"'
    r'| (?:opacity|stroke-width)="1"| display="inline"'
)
# All that XML 1.0 allows in a text; a lone surrogate is none of it.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def draw(description: Mapping[str, Any], label: str) -> Markup:
    """Return the drawing as an SVG element that a screen reader calls by `label`. It shrinks with the page."""
    drawn = _draw(json.dumps(_clean(described(description)), allow_nan=False))
    return Markup(drawn).replace("<svg", Markup('<svg class="drawing" role="img" aria-label="{}"').format(_clean(label)), 1)


def described(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole description: with the schema's name and the look of the house."""
    # The name of a language, not an address: nothing is fetched.
    return {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "config": _CONFIG, **description}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _NO_XML.sub("", str(plain(value)))
    if isinstance(value, Mapping):
        return {_clean(k): _clean(v) for k, v in value.items()}
    return [_clean(v) for v in value] if isinstance(value, list | tuple) else value


@lru_cache(maxsize=_CACHED)
def _draw(text: str) -> str:
    import vl_convert  # costs nothing by itself, but starts a JavaScript engine with the first drawing

    drawn: str = vl_convert.vegalite_to_svg(text, allowed_base_urls=[])
    return _NOISE.sub("", _TIP.sub(r' data-tip="\1"', drawn)).replace("\n", " ")
