"""Nothing in, the lesson's pictures out: `python pictures.py` writes the SVG files beside this script. Standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

INK, SOFT, PAPER, PALE = "#1f2933", "#6b7785", "#ffffff", "#e9edf1"
# Okabe and Ito's palette: these stay apart for colour-blind readers and in print.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
FONT = "font-family='DejaVu Sans, Helvetica, Arial, sans-serif'"
Points = list[tuple[float, float]]


@dataclass
class Canvas:
    """A picture being drawn. Coordinates are pixels, y grows downwards."""

    width: int
    height: int
    title: str
    items: list[str] = field(default_factory=list)

    def text(
        self, x: float, y: float, words: str, size: float = 13, fill: str = INK, anchor: str = "middle", bold: bool = False
    ) -> None:
        look = f"font-size='{size:g}' fill='{fill}' text-anchor='{anchor}' {FONT}" + (" font-weight='bold'" if bold else "")
        self.items.append(f"<text x='{x:g}' y='{y:g}' {look}>{escape(words)}</text>")

    def rect(self, x: float, y: float, w: float, h: float, fill: str = PALE, edge: str = "none") -> None:
        self.items.append(f"<rect x='{x:g}' y='{y:g}' width='{w:g}' height='{h:g}' rx='2' fill='{fill}' stroke='{edge}'/>")

    def polygon(self, points: Points, fill: str, edge: str = "none", opacity: float = 1.0) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.items.append(f"<polygon points='{path}' fill='{fill}' fill-opacity='{opacity:g}' stroke='{edge}' stroke-width='1.5'/>")

    def line(self, points: Points, ink: str = INK, width: float = 1.5, arrow: bool = False, dash: bool = False) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        end = f" marker-end='url(#tip{ink[1:]})'" if arrow else ""
        dashed = " stroke-dasharray='5 4'" if dash else ""
        self.items.append(f"<polyline points='{path}' fill='none' stroke='{ink}' stroke-width='{width:g}'{dashed}{end}/>")

    def disc(self, x: float, y: float, r: float, fill: str, edge: str = "none") -> None:
        self.items.append(f"<circle cx='{x:g}' cy='{y:g}' r='{r:g}' fill='{fill}' stroke='{edge}' stroke-width='1.5'/>")

    def svg(self) -> str:
        tips = "".join(
            f"<marker id='tip{c[1:]}' viewBox='0 0 8 8' refX='7' refY='4' markerUnits='userSpaceOnUse' markerWidth='10' "
            f"markerHeight='10' orient='auto'><path d='M0,0 L8,4 L0,8 z' fill='{c}'/></marker>"
            for c in (INK, SOFT, BLUE, ORANGE, GREEN, RED)
        )
        head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width} {self.height}' width='{self.width}' role='img'>"
        # A white ground, so that the picture is legible in a dark theme too.
        ground = f"<rect width='{self.width}' height='{self.height}' rx='8' fill='{PAPER}'/>"
        return "\n".join([head, f"<title>{escape(self.title)}</title><defs>{tips}</defs>", ground, *self.items, "</svg>", ""])


def sandwich() -> Canvas:
    """The true robust accuracy lies between what a certificate proves and what an attack leaves."""
    c = Canvas(760, 190, "The robust accuracy lies between a certified share and the share that an attack leaves")
    left, right, y = 60, 700, 96
    c.line([(left, y), (right, y)], SOFT, 1.5)
    for share in (0, 25, 50, 100):
        x = left + (right - left) * share / 100
        c.line([(x, y - 5), (x, y + 5)], SOFT, 1.5)
        c.text(x, y + 26, f"{share} %", 12, SOFT)
    proved, reached = left + 6.4 * 74, left + 6.4 * 80.5
    c.rect(left, y - 12, proved - left, 24, GREEN)
    c.rect(proved, y - 12, reached - proved, 24, PALE, SOFT)
    c.rect(reached, y - 12, right - reached, 24, ORANGE)
    c.text((left + proved) / 2, y - 26, "certified: no point of the ball is a mistake", 13, GREEN, bold=True)
    c.text(right, y - 26, "attacked: a mistake is known", 13, RED, "end", bold=True)
    c.text((proved + reached) / 2, y + 52, "nobody knows", 12, INK)
    c.line([((proved + reached) / 2, y + 38), ((proved + reached) / 2, y + 16)], INK, 1.5, arrow=True)
    c.text(
        left,
        176,
        "A better proof moves the left edge, a better attack the right one. They never pass each other.",
        12,
        SOFT,
        "start",
    )
    return c


def wrapping() -> Canvas:
    """A box, what a linear layer makes of it, and the box around that."""
    c = Canvas(760, 250, "Interval arithmetic: a rotated box is wrapped in a larger box, at every layer anew")
    turn = math.radians(38)

    def rotated(points: Points, x: float, y: float) -> Points:
        return [(x + a * math.cos(turn) - b * math.sin(turn), y + a * math.sin(turn) + b * math.cos(turn)) for a, b in points]

    def square(r: float) -> Points:
        return [(-r, -r), (r, -r), (r, r), (-r, r)]

    grown = 36 * (math.cos(turn) + math.sin(turn))
    c.polygon([(110 + a, 125 + b) for a, b in square(36)], PALE, BLUE)
    c.line([(165, 125), (225, 125)], SOFT, 1.5, arrow=True)
    c.polygon([(320 + a, 125 + b) for a, b in square(grown)], PAPER, ORANGE)
    c.polygon(rotated(square(36), 320, 125), PALE, BLUE)
    c.line([(400, 125), (460, 125)], SOFT, 1.5, arrow=True)
    twice = grown * (math.cos(turn) + math.sin(turn))
    c.polygon([(590 + a, 125 + b) for a, b in square(twice)], PAPER, ORANGE)
    c.polygon(rotated(square(grown), 590, 125), PAPER, ORANGE)
    c.polygon([(590 + a, 125 + b) for a, b in rotated(rotated(square(36), 0, 0), 0, 0)], PALE, BLUE)
    for x, words in (
        (110, "the inputs: a box"),
        (320, "one layer: turned, and wrapped"),
        (590, "two layers: the wrapping grew, the truth did not"),
    ):
        c.text(x, 240, words, 12, SOFT)
    return c


def relaxation() -> Canvas:
    """The lines above and below a ReLU in doubt, for two intervals."""
    c = Canvas(760, 270, "A ReLU between two lines; the line below is 0 or z, whichever leaves the smaller area")
    for x0, low, high in ((200, -1.5, 0.8), (560, -0.6, 1.4)):

        def at(z: float, v: float, x0: float = x0) -> tuple[float, float]:
            return round(x0 + 90 * z, 1), round(190 - 90 * v, 1)

        mostly_on = high > -low
        corner = at(low, low) if mostly_on else at(high, 0)
        c.polygon([at(low, 0), at(high, high), corner] if not mostly_on else [at(low, 0), at(high, high), at(low, low)], PALE)
        c.line([at(-1.8, 0), at(1.7, 0)], SOFT, 0.8)
        c.line([at(0, -0.55), at(0, 1.6)], SOFT, 0.8)
        c.line([at(low, 0), at(high, high)], ORANGE, 2.5)
        c.line([at(low, low if mostly_on else 0), at(high, high if mostly_on else 0)], GREEN, 2.5)
        c.line([at(low, 0), at(0, 0), at(high, high)], BLUE, 3)
        for z, name in ((low, "l"), (high, "u")):
            c.disc(*at(z, 0), 4, INK)
            c.text(at(z, 0)[0] + (0 if z < 0 else 10), at(z, 0)[1] + 20, name, 14, INK, bold=True)
        c.text(x0, 262, "mostly on (u > -l): the line z below" if mostly_on else "mostly off: the line 0 below", 12, SOFT)
    c.text(40, 30, "above: through (l, 0) and (u, u)", 12, ORANGE, "start", bold=True)
    c.text(40, 50, "ReLU", 12, BLUE, "start", bold=True)
    c.text(40, 70, "below", 12, GREEN, "start", bold=True)
    return c


def branching() -> Canvas:
    """A square, divided where nothing is decided, down to a counterexample."""
    c = Canvas(
        760,
        280,
        "Branch and bound: parts that are proved are closed, the others are split, until a mistake is found or nothing is left",
    )
    x0, y0, side = 40, 30, 220

    def part(i: float, j: float, size: float, fill: str) -> None:
        c.rect(round(x0 + i * side, 1), round(y0 + j * side, 1), round(size * side, 1), round(size * side, 1), fill, SOFT)

    proved, open_ = "#cfe9df", PAPER
    for i, j in ((0, 0), (0, 0.5)):
        part(i, j, 0.5, proved)
    for i, j in ((0.5, 0.5), (0.5, 0.75), (0.75, 0.75), (0.75, 0.5), (0.5, 0), (0.5, 0.25), (0.75, 0.25)):
        part(i, j, 0.25, proved)
    for i, j in ((0.75, 0), (0.875, 0), (0.75, 0.125), (0.875, 0.125)):
        part(i, j, 0.125, open_ if (i, j) == (0.875, 0) else proved)
    c.disc(x0 + 0.9375 * side, y0 + 0.0625 * side, 5, RED)
    c.line([(x0 + 0.9 * side, y0), (x0 + side, y0 + 0.1 * side)], RED, 1.5, dash=True)
    for k, (ink, words) in enumerate(
        (
            (GREEN, "green: crown's bound is above 0, so no point in it is a mistake"),
            (INK, "otherwise nothing is known: split into four, and bound again"),
            (INK, "smaller parts have tighter bounds, so this comes to an end"),
            (RED, "red: a point that is classified wrong ends the search at once"),
            (SOFT, "dashed: where the network changes its answer"),
        )
    ):
        c.text(300, 70 + 30 * k, words, 13, ink, "start")
    return c


def cloud() -> Canvas:
    """A point near a boundary, its noisy copies, and the radius that follows from their votes."""
    c = Canvas(760, 290, "Votes of noisy copies: the share beyond the boundary tells how far away the boundary is")
    x, y, edge = 200, 150, 290
    c.rect(edge, 30, 120, 230, "#fbe3d6")
    c.line([(edge, 30), (edge, 260)], RED, 2)
    for k in range(90):
        # Quantiles along one axis, a golden-angle turn: looks like a normal cloud, and is the same each time.
        r, a = 70 * math.sqrt(-2 * math.log(1 - (k + 0.5) / 90)) * 0.78, k * 2.39996
        at = (round(x + r * math.cos(a), 1), round(y + r * math.sin(a) * 0.9, 1))
        if 34 < at[1] < 256:
            c.disc(*at, 3, ORANGE if at[0] > edge else BLUE)
    c.disc(x, y, 6, INK)
    c.text(x - 12, y + 20, "x", 14, INK, "end", bold=True)
    c.line([(x, y), (edge, y)], INK, 2, arrow=True)
    c.rect(x + 10, y - 21, 76, 17, PAPER)
    c.text((x + edge) / 2 + 3, y - 8, "distance R", 12, INK)
    c.text(edge + 60, 52, "another class", 12, RED)
    for k, (ink, words) in enumerate(
        (
            (BLUE, "blue copies vote for the class of x: a share pA"),
            (ORANGE, "orange copies vote against it"),
            (INK, "behind a flat boundary, pA = Φ(R / σ)"),
            (INK, "so R = σ times the normal quantile of pA"),
            (SOFT, "no other boundary with this pA is nearer"),
        )
    ):
        c.text(440, 90 + 30 * k, words, 13, ink, "start")
    return c


PICTURES = {"sandwich": sandwich, "wrapping": wrapping, "relaxation": relaxation, "branching": branching, "cloud": cloud}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (Path(__file__).parent / f"{name}.svg").write_text(draw().svg(), "utf-8")
