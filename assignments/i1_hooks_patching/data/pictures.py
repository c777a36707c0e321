"""Nothing in, the lesson's pictures out: `python pictures.py` writes the SVG files beside this script. Standard library only."""

from __future__ import annotations

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

    def text(self, x: float, y: float, words: str, size: float = 13, fill: str = INK, anchor: str = "middle") -> None:
        look = f"font-size='{size:g}' fill='{fill}' text-anchor='{anchor}' {FONT}"
        self.items.append(f"<text x='{x:g}' y='{y:g}' {look}>{escape(words)}</text>")

    def box(self, x: float, y: float, w: float, h: float, words: str = "", fill: str = PALE, edge: str = SOFT) -> None:
        self.items.append(f"<rect x='{x:g}' y='{y:g}' width='{w:g}' height='{h:g}' rx='4' fill='{fill}' stroke='{edge}'/>")
        self.text(x + w / 2, y + h / 2 + 4.5, words)

    def line(self, points: Points, ink: str = INK, width: float = 1.5, arrow: bool = False, dash: bool = False) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        end = f" marker-end='url(#tip{ink[1:]})'" if arrow else ""
        dashed = " stroke-dasharray='5 4'" if dash else ""
        self.items.append(f"<polyline points='{path}' fill='none' stroke='{ink}' stroke-width='{width:g}'{dashed}{end}/>")

    def disc(self, x: float, y: float, r: float, fill: str, edge: str = INK) -> None:
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


def block() -> Canvas:
    """The stream of one block, what reads it and what writes into it, with the names of the hook points."""
    c = Canvas(
        860, 300, "One block: the stream at the bottom, attention and the feed-forward layer above it, with their hook points"
    )
    c.line([(20, 250), (840, 250)], BLUE, 3, arrow=True)
    c.text(24, 282, "the stream", 13, BLUE, "start")
    for x, name in ((70, "resid_pre"), (450, "resid_mid"), (790, "resid_post")):
        c.disc(x, 250, 7, ORANGE)
        c.text(x, 232 if name != "resid_mid" else 282, name)
    for x, top in ((120, "norm1"), (500, "norm2")):
        c.line([(x, 250), (x, 205)], SOFT, 1.5, arrow=True)
        c.box(x - 35, 175, 70, 30, top)
    c.line([(120, 175), (120, 135)], SOFT, 1.5, arrow=True)
    for i, name in enumerate(("q", "k", "v")):
        c.box(90 + i * 34, 105, 30, 30, name)
    for x, w, name in ((210, 70, "scores"), (294, 76, "pattern"), (384, 34, "z")):
        c.box(x, 105, w, 30, name)
    for a, b in ((190, 210), (280, 294), (370, 384)):
        c.line([(a, 120), (b, 120)], SOFT, 1.5, arrow=True)
    c.line([(174, 105), (174, 80), (401, 80), (401, 104)], SOFT, 1.2, arrow=True)
    c.line([(401, 135), (401, 249)], SOFT, 1.5, arrow=True)
    c.text(392, 200, "attn", 13, INK, "end")
    c.disc(401, 195, 6, ORANGE)
    c.line([(500, 175), (500, 120), (560, 120)], SOFT, 1.5, arrow=True)
    c.box(560, 105, 70, 30, "post")
    c.line([(630, 120), (690, 120), (690, 249)], SOFT, 1.5, arrow=True)
    c.text(704, 200, "mlp", 13, INK, "start")
    c.disc(690, 195, 6, ORANGE)
    c.text(255, 52, "attention: moves information between positions", 13, SOFT)
    c.text(620, 52, "feed-forward: each position alone", 13, SOFT)
    return c


def split() -> Canvas:
    """A logit difference as a row of signed parts that add up to it."""
    c = Canvas(760, 250, "A logit difference as the sum of signed parts, one per component, which end at the whole")
    parts = [
        ("tok_emb", 0.8),
        ("pos_emb", -0.4),
        ("head 0.1", 2.1),
        ("attn_bias", 0.3),
        ("mlp 0", -1.2),
        ("head 1.0", 2.6),
        ("mlp 1", 1.6),
    ]
    at, x = 0.0, 70.0
    c.line([(50, 200), (730, 200)], SOFT, 1)
    c.text(44, 204, "0", 12, SOFT, "end")
    for name, size in parts:
        low, high = sorted((at, at + size))
        ink = BLUE if size > 0 else RED
        c.box(x, 200 - 26 * high, 56, 26 * (high - low), "", ink, ink)
        c.text(x + 28, 226, name, 12)
        c.line([(x + 56, 200 - 26 * (at + size)), (x + 82, 200 - 26 * (at + size))], SOFT, 1, dash=True)
        at, x = at + size, x + 82
    c.box(x, 200 - 26 * at, 56, 26 * at, "", PALE, INK)
    c.text(x + 28, 226, "whole", 12)
    c.text(x + 28, 190 - 26 * at, "logit a − logit b", 12, INK)
    c.text(50, 30, "Each part is centred, scaled by the last stream's deviation,", 13, SOFT, "start")
    c.text(50, 50, "and read along the direction of the two words.", 13, SOFT, "start")
    return c


def patch() -> Canvas:
    """Two runs as grids of activations; one cell goes from the clean one into the corrupt one."""
    c = Canvas(
        760, 290, "Two runs as grids of layers and positions: one activation of the clean run replaces its like in the corrupt run"
    )
    for left, title, words, ink in (
        (60, "clean run", ["whisper", "oh", "Ada", "eats"], BLUE),
        (440, "corrupt run, patched", ["whisper", "oh", "Bo", "eats"], RED),
    ):
        c.text(left + 130, 30, title, 14)
        for p, word in enumerate(words):
            c.text(left + 33 + p * 66, 258, word, 13, ink if p == 2 else INK)
            for layer in range(3):
                mine = p == 2 or (p == 3 and layer == 2)
                fill = ink if mine else PALE
                if left > 100 and (p, layer) in ((2, 1), (3, 2)):
                    fill = BLUE
                c.box(left + 10 + p * 66, 190 - layer * 62, 46, 42, "", fill, SOFT)
    c.line([(225, 170), (225, 180), (605, 180), (605, 171)], ORANGE, 3, arrow=True)
    c.text(390, 172, "exchange one", 12, INK)
    c.text(380, 280, "everything after the exchanged activation is computed anew; everything else stays as it was", 12, SOFT)
    return c


def line() -> Canvas:
    """The way from the baseline to the input with the middles of four steps, and the slope along it."""
    c = Canvas(760, 230, "The straight way from baseline to input in four steps; the gradient is taken in the middle of each")
    c.line([(90, 170), (670, 170)], INK, 2, arrow=True)
    c.disc(90, 170, 6, PAPER)
    c.disc(670, 170, 6, INK)
    c.text(90, 204, "baseline x′", 13)
    c.text(670, 204, "input x", 13)
    slope = [8, 14, 30, 62, 92, 98, 84, 58, 34, 18, 10, 6, 4]
    curve = [(90 + 580 * i / 12, 160 - s) for i, s in enumerate(slope)]
    for k in range(4):
        left, middle = 90 + 145 * k, 90 + 145 * (k + 0.5)
        place = (k + 0.5) / 4 * 12
        i = int(place)
        height = slope[i] + (place - i) * (slope[i + 1] - slope[i])
        c.box(left, 160 - height, 145, height, "", PALE, SOFT)
        c.disc(middle, 170, 4, ORANGE)
        c.line([(middle, 166), (middle, 160 - height)], ORANGE, 1.5, dash=True)
    c.line(curve, BLUE, 2.5)
    c.text(470, 60, "slope of f along the way", 13, BLUE, "start")
    c.text(640, 118, "flat at x: no gradient here", 12, SOFT)
    c.line([(650, 126), (664, 152)], SOFT, 1, arrow=True)
    return c


PICTURES = {"block": block, "split": split, "patch": patch, "line": line}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (Path(__file__).parent / f"{name}.svg").write_text(draw().svg(), "utf-8")
