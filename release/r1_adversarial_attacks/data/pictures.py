"""Nothing in, the lesson's pictures out: `python pictures.py` writes the SVG files beside this script. Standard library only."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
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


def balls() -> Canvas:
    """One point outside three balls, and the nearest point of each."""
    c = Canvas(760, 270, "The l-infinity, l2 and l1 balls, and where each projects one and the same point")
    r, far = 62, (118, -52)
    shapes = {
        "p = ∞: a box": [(r, r), (-r, r), (-r, -r), (r, -r)],
        "p = 2: a sphere": [(r * math.cos(a / 30 * math.pi), r * math.sin(a / 30 * math.pi)) for a in range(60)],
        "p = 1: a diamond": [(r, 0), (0, r), (-r, 0), (0, -r)],
    }
    near = [(r, -52), tuple(r * v / math.hypot(*far) for v in far), (r, 0)]
    for i, (name, corners) in enumerate(shapes.items()):
        x, y = 100 + i * 245, 140
        c.text(x + 20, 34, name, 14, INK, bold=True)
        c.polygon([(x + a, y + b) for a, b in corners], PALE, BLUE)
        c.line([(x - 84, y), (x + 130, y)], SOFT, 0.7)
        c.line([(x, y + 84), (x, y - 90)], SOFT, 0.7)
        target = (x + near[i][0], y + near[i][1])
        c.line([(x + far[0], y + far[1]), target], RED, 2, arrow=True)
        c.disc(x + far[0], y + far[1], 5, RED)
        c.disc(*target, 5, BLUE)
    for i, words in enumerate(("each entry is cut by itself", "the direction is kept", "small entries become 0")):
        c.text(120 + i * 245, 250, words, 12, SOFT)
    return c


def walk() -> Canvas:
    """Two restarts of PGD in the part of the ball that lies in the box."""
    c = Canvas(760, 300, "PGD: random starts, steps, projection on the ball around x and on the box of pixels")
    x0, y0, r = 250, 165, 105
    c.rect(40, 60, 300, 225, PAPER, SOFT)
    c.text(48, 80, "box [0, 1]", 12, SOFT, "start")
    c.rect(x0 - r, y0 - r, 2 * r, 2 * r, PALE, BLUE)
    c.rect(340, y0 - r + 1, x0 + r - 340 - 1, 2 * r - 2, PAPER)
    c.line([(340, 60), (340, 285)], SOFT, 1)
    c.text(x0 - r + 8, y0 - r + 20, "ball around x", 12, BLUE, "start")
    c.disc(x0, y0, 5, INK)
    c.text(x0 + 12, y0 + 18, "x", 14, INK, "start", bold=True)
    for path, ink in (
        ([(190, 205), (222, 168), (262, 128), (300, 92), (340, 62)], RED),
        ([(300, 232), (270, 250), (235, 262), (190, 268), (147, 268)], GREEN),
    ):
        c.disc(*path[0], 5, PAPER, ink)
        for a, b in pairwise(path):
            c.line([a, b], ink, 2, arrow=True)
        c.disc(*path[-1], 5, ink)
    c.line([(340, 62), (372, 36)], RED, 1.5, dash=True)
    c.line([(372, 36), (345, 60)], RED, 1.5, arrow=True)
    for i, (ink, words) in enumerate(
        (
            (RED, "restart 1: ends in a corner, after the step over"),
            (RED, "the rim was brought back (dashed): loss 2.9"),
            (GREEN, "restart 2: climbs another hill: loss 1.4"),
            (INK, ""),
            (INK, "For this example restart 1 counts. For another"),
            (INK, "one it may be restart 2: the choice is made per"),
            (INK, "example, never per batch."),
        )
    ):
        c.text(410, 98 + i * 22, words, 13, ink, "start")
    return c


def volume() -> Canvas:
    """Points of a disc: radius uniform, and by volume."""
    c = Canvas(760, 270, "250 points in a disc: radius drawn uniformly, and radius drawn so that area counts")
    rng = random.Random(1)
    for x, power, name in ((200, 1.0, "radius uniform: crowded in the middle"), (560, 0.5, "every area gets its share")):
        c.text(x, 28, name, 14, INK, bold=True)
        c.disc(x, 150, 102, PAPER, SOFT)
        for _ in range(250):
            a, r = rng.uniform(0, 2 * math.pi), 100 * rng.random() ** power
            c.disc(round(x + r * math.cos(a), 1), round(150 + r * math.sin(a), 1), 2, BLUE)
    return c


def survivors() -> Canvas:
    """Ten examples, two attacks: the minimum of two accuracies is not the accuracy under both."""
    c = Canvas(760, 210, "Ten examples under two attacks: each attack leaves 6 of 10, only 3 survive both")
    rows = {"no attack": "1111111110", "attack A": "1111101000", "attack B": "1100010110", "all of them": ""}
    rows["attack B"] = "1100011110"
    rows["all of them"] = "".join("1" if all(r[i] == "1" for r in list(rows.values())[:3]) else "0" for i in range(10))
    for k, (name, row) in enumerate(rows.items()):
        y = 40 + k * 38 + (10 if k == 3 else 0)
        c.text(150, y + 19, name, 13, INK, "end", bold=k == 3)
        for i, mark in enumerate(row):
            c.rect(170 + i * 34, y, 30, 28, BLUE if mark == "1" else PALE)
        c.text(525, y + 19, f"{row.count('1')} of 10", 13, INK, "start", bold=k == 3)
    c.text(610, 116, "smallest of", 12, SOFT, "start")
    c.text(610, 133, "the accuracies: 6", 12, SOFT, "start")
    c.text(610, 185, "worst case: 3", 12, RED, "start", bold=True)
    return c


def terraces() -> Canvas:
    """A loss that rises smoothly, and the same loss behind rounding."""
    c = Canvas(760, 250, "A loss along one direction: smooth, and behind rounded pixels, where the gradient is 0 at every point")
    for x0, steps, name, note in (
        (50, 0, "honest", "the slope shows the way"),
        (420, 6, "masked", "no slope anywhere, but the same hill"),
    ):
        c.line([(x0, 200), (x0 + 300, 200)], SOFT, 1, arrow=True)
        c.line([(x0, 200), (x0, 40)], SOFT, 1, arrow=True)
        c.text(x0 + 150, 26, name, 14, INK, bold=True)
        c.text(x0 + 150, 238, note, 12, SOFT)
        c.text(x0 + 280, 217, "change", 11, SOFT)
        height = lambda t: 150 / (1 + math.exp(-9 * (t - 0.55)))  # noqa: E731
        points: Points = []
        for k in range(121):
            t = k / 120
            level = height(round(t * steps) / steps) if steps else height(t)
            points.append((round(x0 + 290 * t, 1), round(198 - level, 1)))
        c.line(points, BLUE, 2.5)
        at = 0.28
        y = 198 - (height(round(at * steps) / steps) if steps else height(at))
        c.disc(x0 + 290 * at, y, 5, RED)
        c.line([(x0 + 290 * at, y), (x0 + 290 * at + 44, y - (0 if steps else 24))], RED, 2, arrow=not steps)
        c.text(x0 + 290 * at - 10, y - 10, "you are here", 11, RED, "end")
    return c


PICTURES = {"balls": balls, "walk": walk, "volume": volume, "survivors": survivors, "terraces": terraces}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (Path(__file__).parent / f"{name}.svg").write_text(draw().svg(), "utf-8")
