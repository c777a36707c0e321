"""Nothing in, the lesson's pictures out: `python pictures.py` writes the SVG files beside this script. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

INK, SOFT, PAPER, PALE = "#1f2933", "#6b7785", "#ffffff", "#e9edf1"
# Okabe and Ito's palette: these stay apart for colour-blind readers and in print.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
FONT = "font-family='DejaVu Sans, Helvetica, Arial, sans-serif'"
Point = tuple[float, float]


@dataclass
class Sheet:
    """A picture in the making, in pixels; y grows downwards."""

    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def box(
        self, x: float, y: float, w: float, h: float, words: str = "", fill: str = PALE, ink: str = INK, size: float = 13
    ) -> None:
        self.parts.append(f"<rect x='{x:g}' y='{y:g}' width='{w:g}' height='{h:g}' rx='4' fill='{fill}'/>")
        for i, line in enumerate(words.split("\n")):
            middle = y + h / 2 + size * 0.36 + (i - words.count("\n") / 2) * size * 1.25
            self.text(x + w / 2, middle, line, size, ink)

    def text(self, x: float, y: float, words: str, size: float = 13, ink: str = INK, anchor: str = "middle") -> None:
        self.parts.append(
            f"<text x='{x:g}' y='{y:g}' font-size='{size:g}' fill='{ink}' text-anchor='{anchor}' {FONT}>{escape(words)}</text>"
        )

    def arrow(self, *points: Point, ink: str = INK, width: float = 2, dash: bool = False) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dashed = " stroke-dasharray='5 4'" if dash else ""
        look = f"fill='none' stroke='{ink}' stroke-width='{width:g}'{dashed} marker-end='url(#tip{ink[1:]})'"
        self.parts.append(f"<polyline points='{path}' {look}/>")

    def svg(self) -> str:
        tips = "".join(
            f"<marker id='tip{ink[1:]}' viewBox='0 0 8 8' refX='7' refY='4' markerUnits='userSpaceOnUse' markerWidth='11' "
            f"markerHeight='11' orient='auto'><path d='M0,0 L8,4 L0,8 z' fill='{ink}'/></marker>"
            for ink in (INK, SOFT, BLUE, ORANGE, GREEN, RED)
        )
        head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width} {self.height}' width='{self.width}' role='img'>"
        # A white ground, so that the picture is legible in a dark theme too.
        ground = f"<rect width='{self.width}' height='{self.height}' rx='8' fill='{PAPER}'/>"
        return "\n".join([head, f"<title>{escape(self.title)}</title><defs>{tips}</defs>", ground, *self.parts, "</svg>", ""])


def induction() -> Sheet:
    """A previous-token head in layer 0 writes what an induction head in layer 1 looks for."""
    s = Sheet(760, 300, "A previous-token head writes a note which an induction head of the next layer looks for")
    words = ["BOS", "K", "Q", "M", "...", "K", "?"]
    at = [60 + 105 * i for i in range(len(words))]
    for x, word in zip(at, words, strict=True):
        s.box(x - 30, 240, 60, 34, word, "#fdf0d5" if word == "K" else PALE, INK, 15)
    s.text(20, 194, "layer 0", 12, SOFT, "start")
    s.text(20, 66, "layer 1", 12, SOFT, "start")
    s.arrow((at[1], 238), (at[1], 205), (at[2], 205), (at[2], 172), ink=ORANGE)
    s.text(at[1] + 8, 224, "looks one place back", 11, ORANGE, "start")
    s.box(at[2] - 62, 112, 124, 56, "writes into Q's place:\n“before me stood K”", "#fdf0d5", INK, 11)
    s.box(at[5] - 62, 112, 124, 56, "query of K:\n“who came after K?”", "#d6e9f5", INK, 11)
    s.arrow((at[5], 110), (at[5], 62), (at[2], 62), (at[2], 108), ink=BLUE)
    s.text((at[2] + at[5]) / 2, 54, "the note answers the question: attend to Q", 12, BLUE)
    s.arrow((at[5] + 2, 62), (at[6], 62), (at[6], 236), ink=GREEN)
    s.text(at[6] + 4, 54, "copy: say Q", 12, GREEN)
    return s


def stripes() -> Sheet:
    """The three stripes of a pattern, for a period of 4."""
    n, p, cell = 12, 4, 18
    s = Sheet(760, 310, "Three patterns with one stripe each: one place back, p back, p - 1 back")
    rules: tuple[tuple[str, str, Callable[[int], int], int], ...] = (
        ("previous: i - 1", ORANGE, lambda i: i - 1, 1),
        ("duplicate: i - p", RED, lambda i: i - p, p + 1),
        ("induction: i - p + 1", BLUE, lambda i: i - p + 1, p + 1),
    )
    for k, (name, ink, key, first) in enumerate(rules):
        left, top = 30 + 245 * k, 46
        s.text(left + n * cell / 2, 30, name, 14, ink)
        for i in range(n):
            for j in range(i + 1):
                hit = i >= first and j == key(i)
                s.box(left + j * cell, top + i * cell, cell - 2, cell - 2, "", ink if hit else PALE)
        s.text(left + n * cell / 2, top + n * cell + 20, "key", 11, SOFT)
    s.text(380, 298, "rows are queries; BOS stands at position 0; p = 4", 12, SOFT)
    return s


def prompts() -> Sheet:
    """A clean prompt, its corrupted partner, and the positions."""
    s = Sheet(760, 190, "A clean prompt and its corrupted partner differ by three names")
    clean = ["when", "Ada", "and", "Ben", "went", "to", "the", "shop", ",", "Ben", "gave", "a", "book", "to"]
    corrupt = ["when", "Eva", "and", "Gus", "went", "to", "the", "shop", ",", "Ivo", "gave", "a", "book", "to"]
    widths = [max(len(a), len(b)) * 11 + 16 for a, b in zip(clean, corrupt, strict=True)]
    x = 78.0
    s.text(70, 68, "clean", 12, SOFT, "end")
    s.text(70, 118, "corrupted", 12, SOFT, "end")
    marks = {1: ("IO", GREEN), 3: ("first S", RED), 9: ("second S", RED), 13: ("end", BLUE)}
    for i, (a, b, w) in enumerate(zip(clean, corrupt, widths, strict=True)):
        fills = {1: "#d5efe6", 3: "#fbe3d6", 9: "#fbe3d6", 13: "#d6e9f5"}
        s.box(x, 46, w - 3, 32, a, fills.get(i, PALE), INK, 13)
        s.box(x, 96, w - 3, 32, b, "#fdf0d5" if a != b else PALE, INK, 13)
        if i in marks:
            s.text(x + w / 2, 36, marks[i][0], 11, marks[i][1])
        x += w
    s.text(380, 164, "three different names, none of them Ada or Ben: nobody comes twice, and no answer is right", 12, SOFT)
    return s


def paths() -> Sheet:
    """The two runs of path patching."""
    s = Sheet(760, 290, "Path patching: a frozen run to note what the receiver reads, then a run in which it acts")
    for k, (title, left) in enumerate((("1. freeze, and note", 20), ("2. hand over, and let it act", 395))):
        s.box(left, 40, 345, 230, "", "#f6f8fa")
        s.text(left + 172, 30, title, 14)
        names = (
            ("A", left + 30, 190, "sender"),
            ("B", left + 30, 110, ""),
            ("C", left + 150, 110, "receiver"),
            ("D", left + 250, 190, ""),
        )
        for name, x, y, role in names:
            live = (name == "A" and k == 0) or (name in "CD" and k == 1)
            fill = {("A", 0): "#fdf0d5", ("C", 1): "#d6e9f5"}.get((name, k), "#d5efe6" if live else PALE)
            s.box(x, y, 60, 40, name, fill, INK, 15)
            if role:
                s.text(x + 30, y + 56, role, 11, SOFT)
        s.arrow((left + 90, 210), (left + 125, 210), (left + 125, 140), (left + 146, 140), ink=ORANGE, dash=k == 1)
        s.arrow((left + 90, 126), (left + 146, 126), ink=SOFT)
        if k == 0:
            s.text(left + 60, 182, "clean", 11, ORANGE)
            s.text(left + 60, 102, "corrupted", 11, SOFT)
            s.text(left + 280, 182, "corrupted", 11, SOFT)
            s.box(left + 146, 60, 100, 34, "note what C reads", "#fdf0d5", INK, 10)
            s.arrow((left + 180, 108), (left + 180, 97), ink=ORANGE)
        else:
            s.box(left + 146, 60, 100, 34, "C reads the note", "#fdf0d5", INK, 10)
            s.arrow((left + 180, 95), (left + 180, 107), ink=ORANGE)
            s.arrow((left + 212, 140), (left + 230, 140), (left + 230, 210), (left + 246, 210), ink=BLUE)
            s.text(left + 280, 182, "follows", 11, BLUE)
            s.text(left + 60, 182, "corrupted", 11, SOFT)
            s.text(left + 60, 102, "corrupted", 11, SOFT)
    return s


PICTURES = {"induction": induction, "stripes": stripes, "prompts": prompts, "paths": paths}


def main() -> None:
    """Write every picture beside this script."""
    for name, draw in PICTURES.items():
        (Path(__file__).parent / f"{name}.svg").write_text(draw().svg(), "utf-8")


if __name__ == "__main__":
    main()
