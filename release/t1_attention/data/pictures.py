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


@dataclass
class Canvas:
    """A picture being drawn. Coordinates are pixels, y grows downwards."""

    width: int
    height: int
    title: str
    items: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, w: float, h: float, fill: str = PALE, edge: str = "none", r: float = 4) -> None:
        self.items.append(f"<rect x='{x:g}' y='{y:g}' width='{w:g}' height='{h:g}' rx='{r:g}' fill='{fill}' stroke='{edge}'/>")

    def text(
        self, x: float, y: float, words: str, size: float = 13, fill: str = INK, anchor: str = "middle", bold: bool = False
    ) -> None:
        look = f"font-size='{size:g}' fill='{fill}' text-anchor='{anchor}' {FONT}" + (" font-weight='bold'" if bold else "")
        self.items.append(f"<text x='{x:g}' y='{y:g}' {look}>{escape(words)}</text>")

    def box(self, x: float, y: float, w: float, h: float, words: str, fill: str = PALE, ink: str = INK, size: float = 13) -> None:
        self.rect(x, y, w, h, fill)
        lines = words.split("\n")
        for i, line in enumerate(lines):
            self.text(x + w / 2, y + h / 2 + size * 0.36 + (i - (len(lines) - 1) / 2) * size * 1.25, line, size, ink)

    def line(
        self, points: list[tuple[float, float]], ink: str = INK, width: float = 1.5, arrow: bool = True, dash: bool = False
    ) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        end = f" marker-end='url(#tip{ink[1:]})'" if arrow else ""
        dashed = " stroke-dasharray='5 4'" if dash else ""
        self.items.append(f"<polyline points='{path}' fill='none' stroke='{ink}' stroke-width='{width:g}'{dashed}{end}/>")

    def disc(self, x: float, y: float, r: float, fill: str, edge: str = "none") -> None:
        self.items.append(f"<circle cx='{x:g}' cy='{y:g}' r='{r:g}' fill='{fill}' stroke='{edge}'/>")

    def badge(self, x: float, y: float, number: int) -> None:
        self.disc(x, y, 10, INK)
        self.text(x, y + 4, str(number), 11, PAPER, bold=True)

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


def overview() -> Canvas:
    """The whole model, each part with the number of its exercise."""
    c = Canvas(760, 270, "A decoder: embedding, blocks on a residual stream, final norm, unembedding")
    y = 70
    c.line([(20, y), (740, y)], BLUE, 4, arrow=False)
    c.text(455, 35, "residual stream: every part reads from it and adds to it", 12, BLUE)
    c.box(20, y - 22, 74, 44, "embed\ntokens")
    c.box(112, y - 22, 74, 44, "add\nposition")
    c.badge(180, y - 24, 4)
    c.rect(212, 98, 352, 128, "none", SOFT, 8)
    c.text(388, 247, "one block, repeated n_layers times", 12, SOFT)
    for x, name, number in ((230, "attention", 3), (406, "MLP", 6)):
        c.line([(x, y), (x, 118)], SOFT)
        c.box(x - 10, 120, 60, 34, "norm")
        c.badge(x + 46, 120, 7)
        c.line([(x + 20, 154), (x + 20, 196), (x + 42, 196)], SOFT)
        c.box(x + 44, 176, 84, 38, name)
        c.badge(x + 124, 176, number)
        c.line([(x + 108, 176), (x + 108, y + 12)], SOFT)
        c.disc(x + 108, y, 9, PAPER, BLUE)
        c.text(x + 108, y + 5, "+", 15, BLUE, bold=True)
    c.badge(312, 214, 1)
    c.badge(336, 214, 2)
    c.badge(110, 132, 5)
    c.text(124, 130, "or rotate", 11, SOFT, "start")
    c.text(124, 144, "queries, keys", 11, SOFT, "start")
    c.box(584, y - 22, 60, 44, "norm")
    c.badge(640, y - 22, 7)
    c.box(662, y - 22, 78, 44, "unembed\nto logits")
    c.badge(652, 150, 8)
    c.text(668, 154, "the model", 12, INK, "start")
    c.badge(652, 176, 9)
    c.text(668, 180, "its price", 12, INK, "start")
    c.badge(652, 202, 10)
    c.text(668, 206, "by hand", 12, INK, "start")
    c.badge(652, 228, 11)
    c.text(668, 232, "one pass", 12, INK, "start")
    return c


def _grid(c: Canvas, x: float, y: float, rows: list[int], n_keys: int, title: str) -> None:
    cell = 26
    c.text(x + n_keys * cell / 2, y - 30, title, 13, INK, bold=True)
    for j in range(n_keys):
        c.text(x + j * cell + cell / 2, y - 7, str(j), 11, SOFT)
    for i, position in enumerate(rows):
        c.text(x - 10, y + i * cell + 18, str(position), 11, SOFT, "end")
        for j in range(n_keys):
            c.rect(x + j * cell, y + i * cell, cell - 2, cell - 2, BLUE if j <= position else PALE, r=2)


def masks() -> Canvas:
    """Who may look at whom, in three situations."""
    c = Canvas(760, 220, "Three causal masks: a whole prompt, one new token, a chunk of two")
    _grid(c, 60, 60, [0, 1, 2, 3, 4], 5, "the whole prompt")
    _grid(c, 310, 60, [4], 5, "one new token, 4 cached")
    _grid(c, 560, 60, [3, 4], 5, "a chunk of two, 3 cached")
    c.text(310, 130, "rows: queries, labelled with their", 12, SOFT, "start")
    c.text(310, 147, "position in the whole sequence", 12, SOFT, "start")
    c.text(310, 170, "columns: keys", 12, SOFT, "start")
    c.rect(560, 158, 14, 14, BLUE, r=2)
    c.text(582, 170, "may look", 12, SOFT, "start")
    c.rect(660, 158, 14, 14, PALE, r=2)
    c.text(682, 170, "may not", 12, SOFT, "start")
    return c


def rope() -> Canvas:
    """Pairs of features as clock hands, at four positions."""
    c = Canvas(760, 290, "Rotary embedding: each pair of features is a clock hand with its own speed")
    for row, (speed, name) in enumerate(((1.0, "first pair: fast"), (0.25, "a later pair: slower"))):
        y = 90 + row * 120
        c.text(20, y + 4, name, 13, INK, "start", bold=True)
        for p in range(5):
            x = 240 + p * 115
            c.disc(x, y, 42, PALE, SOFT)
            start = 0.5
            c.line([(x, y), (x + 38 * math.cos(start), y - 38 * math.sin(start))], SOFT, 1.5, dash=True, arrow=False)
            angle = start + p * speed
            c.line([(x, y), (x + 38 * math.cos(angle), y - 38 * math.sin(angle))], BLUE if row == 0 else RED, 3)
    for p in range(5):
        c.text(240 + p * 115, 32, f"position {p}", 12, SOFT)
    c.text(380, 280, "dashed: the pair before rotation. The length never changes; only the angle tells the position.", 12, SOFT)
    return c


def _wire(c: Canvas, x: float, title: str, pre: bool) -> None:
    c.text(x + 150, 28, title, 14, INK, bold=True)
    c.line([(x + 60, 318), (x + 60, 44)], BLUE, 3)
    c.text(x + 60, 336, "x", 13, BLUE)
    for y, name in ((252, "attention"), (132, "MLP")):
        first = 90 if pre else 194  # the box that the branch enters
        c.line([(x + 60, y + 36), (x + first + 30, y + 36), (x + first + 30, y + 18)], SOFT)
        if pre:
            c.box(x + 90, y - 14, 60, 30, "norm", ORANGE)
            c.line([(x + 150, y), (x + 192, y)], SOFT)
        c.box(x + 194, y - 14, 92, 30, name)
        c.line([(x + 240, y - 14), (x + 240, y - 36), (x + 72, y - 36)], SOFT)
        c.disc(x + 60, y - 36, 10, PAPER, BLUE)
        c.text(x + 60, y - 31, "+", 15, BLUE, bold=True)
        if not pre:
            c.box(x + 30, y - 76, 60, 24, "norm", ORANGE)


def wiring() -> Canvas:
    """Where the norm stands in a pre-norm and in a post-norm block."""
    c = Canvas(760, 376, "Pre-norm and post-norm blocks")
    _wire(c, 20, "pre-norm: norm on the branch", True)
    _wire(c, 400, "post-norm: norm on the stream", False)
    c.text(170, 362, "the blue road is clear from bottom to top", 12, SOFT)
    c.text(550, 362, "everything passes two norms per block", 12, SOFT)
    return c


def heads() -> Canvas:
    """The rows of the fused matrix, and which heads read which."""
    c = Canvas(760, 262, "The rows of qkv.weight for 4 query heads and 2 key/value heads")
    names = ["query 0", "query 1", "query 2", "query 3", "key 0", "key 1", "value 0", "value 1"]
    c.text(20, 30, "rows of qkv.weight, d_head rows per box", 13, INK, "start", bold=True)
    for i, name in enumerate(names):
        shared = ORANGE if name.endswith("0") else GREEN
        fill = (ORANGE if i < 2 else GREEN) if i < 4 else shared
        c.box(20 + i * 91, 44, 83, 40, name, fill, INK if fill == ORANGE else PAPER)
    for i in range(4):
        c.line([(61 + i * 91, 84), (61 + i * 91, 138)], SOFT)
        c.box(20 + i * 91, 140, 83, 40, f"head {i}\nattends")
    for first, pair in ((425, "k0 v0"), (516, "k1 v1")):
        low = 104 if pair == "k0 v0" else 118
        ink = ORANGE if pair == "k0 v0" else GREEN
        left = 81 if pair == "k0 v0" else 263
        c.line([(first, 84), (first, low), (left, low), (left, 138)], ink)
        c.line([(first + 182, 84), (first + 182, low), (first, low)], ink, arrow=False)
        c.line([(left + 91, low), (left + 91, 138)], ink)
    for i in range(4):
        c.line([(61 + i * 91, 180), (61 + i * 91, 206)], SOFT)
    c.box(20, 208, 356, 34, "out.weight mixes the heads, columns in head order")
    c.text(400, 164, "neighbouring query heads share", 12, SOFT, "start")
    c.text(400, 181, "one key head and one value head", 12, SOFT, "start")
    return c


def by_hand() -> Canvas:
    """The three subspaces of the stream at two positions, and what the head moves between them."""
    c = Canvas(760, 230, "A previous-token head: positions decide where to look, tokens are what is moved")
    parts = (("which token", BLUE), ("which position", ORANGE), ("the answer", GREEN))
    for y, name in ((24, "stream at i - 1"), (150, "stream at i")):
        c.text(20, y + 25, name, 13, INK, "start", bold=True)
        for j, (part, fill) in enumerate(parts):
            c.box(170 + j * 190, y, 180, 40, part, fill, INK if fill == ORANGE else PAPER)
    c.line([(450, 150), (450, 68)], INK, 2)
    c.text(458, 108, "query meets key:", 12, INK, "start")
    c.text(458, 125, "where to look", 12, INK, "start")
    c.line([(260, 64), (260, 90), (640, 90), (640, 148)], INK, 2)
    c.text(268, 83, "value: what to move", 12, INK, "start")
    c.line([(640, 190), (640, 212)], GREEN, 2)
    c.text(630, 212, "unembed reads this part only", 12, SOFT, "end")
    return c


def online() -> Canvas:
    """The three numbers per query that travel over the key blocks."""
    c = Canvas(760, 210, "Online softmax: running maximum, running denominator, running weighted sum")
    for b, name in enumerate(("keys 0..3", "keys 4..7", "keys 8, 9")):
        x = 150 + b * 200
        c.box(x, 30, 120, 36, name, BLUE, PAPER)
        c.line([(x + 60, 66), (x + 60, 104)], BLUE)
        c.box(x, 106, 120, 64, "max so far\nsum so far\nmix so far", size=12)
        if b < 2:
            c.line([(x + 120, 138), (x + 198, 138)], INK)
            c.text(x + 160, 128, "rescale", 11, SOFT)
    c.line([(80, 138), (148, 138)], INK)
    c.text(78, 130, "empty", 12, SOFT, "end")
    c.line([(670, 138), (716, 138)], INK)
    c.text(720, 130, "out", 12, INK)
    c.text(380, 196, "only one block of scores is in memory at any time; the last block may be short", 12, SOFT)
    return c


PICTURES = {
    "overview": overview,
    "masks": masks,
    "heads": heads,
    "rope": rope,
    "wiring": wiring,
    "by_hand": by_hand,
    "online": online,
}


def main(folder: Path) -> None:
    """Write every picture into the folder."""
    for name, draw in PICTURES.items():
        (folder / f"{name}.svg").write_text(draw().svg(), "utf-8")


if __name__ == "__main__":
    main(Path(__file__).parent)
