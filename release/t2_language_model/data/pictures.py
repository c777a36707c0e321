"""Nothing in, the lesson's pictures out: `python pictures.py` writes the SVG files beside this script. Standard library only."""

from __future__ import annotations

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

    def rect(self, x: float, y: float, w: float, h: float, fill: str = PALE, edge: str = "none") -> None:
        self.items.append(f"<rect x='{x:g}' y='{y:g}' width='{w:g}' height='{h:g}' rx='4' fill='{fill}' stroke='{edge}'/>")

    def text(self, x: float, y: float, words: str, size: float = 13, fill: str = INK, anchor: str = "middle") -> None:
        look = f"font-size='{size:g}' fill='{fill}' text-anchor='{anchor}' {FONT}"
        self.items.append(f"<text x='{x:g}' y='{y:g}' {look} xml:space='preserve'>{escape(words)}</text>")

    def box(self, x: float, y: float, w: float, h: float, words: str, fill: str = PALE, ink: str = INK, size: float = 13) -> None:
        self.rect(x, y, w, h, fill)
        lines = words.split("\n")
        for i, line in enumerate(lines):
            self.text(x + w / 2, y + h / 2 + size * 0.36 + (i - (len(lines) - 1) / 2) * size * 1.25, line, size, ink)

    def line(self, *points: tuple[float, float], ink: str = SOFT, width: float = 1.5, arrow: bool = True) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        end = f" marker-end='url(#tip{ink[1:]})'" if arrow else ""
        self.items.append(f"<polyline points='{path}' fill='none' stroke='{ink}' stroke-width='{width:g}'{end}/>")

    def badge(self, x: float, y: float, number: int) -> None:
        self.items.append(f"<circle cx='{x:g}' cy='{y:g}' r='10' fill='{INK}'/>")
        self.text(x, y + 4, str(number), 11, PAPER)

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
    """The path from bytes to text, each part with the number of its exercise."""
    c = Canvas(760, 210, "From bytes to tokens, to logits, to filtered logits, to text, and back")
    places = [(20, "bytes"), (160, "tokens"), (300, "logits"), (440, "filtered\nlogits"), (580, "next token")]
    for x, name in places:
        c.box(x, 60, 96, 44, name)
    for (x, _), label in zip(places, ("encode", "model", "filters", "draw"), strict=False):
        c.line((x + 98, 82), (x + 138, 82))
        c.text(x + 118, 50, label, 11, SOFT)
    c.line((628, 106), (628, 140), (208, 140), (208, 108), ink=BLUE)
    c.text(418, 134, "one token longer, and once more", 11, BLUE)
    for x, y, number in ((118, 30, 1), (142, 30, 2), (258, 30, 9), (398, 30, 5), (422, 30, 7), (538, 30, 6)):
        c.badge(x, y, number)
    for x, number, words in (
        (40, 3, "batches"),
        (160, 4, "loss"),
        (270, 11, "training"),
        (400, 8, "search"),
        (510, 10, "a small model helps"),
    ):
        c.badge(x, 180, number)
        c.text(x + 16, 184, words, 12, INK, "start")
    return c


def merges() -> Canvas:
    """One word, merge by merge."""
    c = Canvas(760, 200, "The word ' there' as bytes, after three merges step by step, as three tokens")
    steps = [
        ("as bytes", [" ", "t", "h", "e", "r", "e"]),
        ("h + e", [" ", "t", "he", "r", "e"]),
        ("space + t", [" t", "he", "r", "e"]),
        ("space t + he", [" the", "r", "e"]),
    ]
    for row, (name, tokens) in enumerate(steps):
        y, x = 20 + 42 * row, 240.0
        c.text(200, y + 20, name, 12, SOFT, "end")
        for token in tokens:
            w = 52 * len(token) - 6
            c.box(x, y, w, 30, token.replace(" ", "␣"), BLUE if len(token) > 1 else PALE, PAPER if len(token) > 1 else INK, 14)
            x += w + 6
    return c


def shift() -> Canvas:
    """Which logits, which target, which entry of the mask."""
    c = Canvas(760, 190, "Logits at one place are compared with the token, and weighted by the mask, at the next place")
    words, mask = ["The", "cat", "sees", "a", "dog", "pad"], [1, 1, 1, 1, 1, 0]
    for name, y in (("tokens", 30), ("logits", 85), ("mask", 140)):
        c.text(120, y + 20, name, 12, SOFT, "end")
    for i, (word, counted) in enumerate(zip(words, mask, strict=True)):
        x = 140 + 98 * i
        c.box(x, 30, 76, 30, word, PALE if i else PAPER, INK if i else SOFT)
        last = i == len(words) - 1
        c.box(x, 85, 76, 30, "unused" if last else f"after {word}", PAPER if last else PALE, SOFT if last else INK, 11)
        c.box(
            x,
            140,
            76,
            30,
            ("True" if counted else "False") if i else "unused",
            GREEN if counted and i else PAPER if not i else RED,
            PAPER if i else SOFT,
            12,
        )
        if not last:
            c.line((x + 60, 84), (x + 118, 62), ink=BLUE)
            c.line((x + 60, 116), (x + 118, 138), ink=BLUE)
    return c


def nucleus() -> Canvas:
    """Which tokens top-k and top-p keep in a sharp and in a flat distribution."""
    c = Canvas(760, 240, "Bars of a sharp and a flat distribution; top-k keeps three in both, top-p one and six")
    rows = (
        (20, "sharp", [0.82, 0.08, 0.04, 0.03, 0.02, 0.01, 0.0, 0.0]),
        (400, "flat", [0.2, 0.16, 0.14, 0.12, 0.11, 0.1, 0.09, 0.08]),
    )
    for x0, name, probs in rows:
        c.text(x0 + 165, 26, name, 13)
        before, width = 0.0, 36
        for i, p in enumerate(probs):
            x, h = x0 + 10 + i * 40, 150 * p / 0.82 if name == "sharp" else 150 * p / 0.25
            c.rect(x, 190 - h, width, max(h, 1), BLUE if before < 0.8 else PALE, ORANGE if i < 3 else "none")
            before += p
        c.text(x0 + 165, 212, "blue: top_p with p = 0.8; orange edge: top_k with k = 3", 11, SOFT)
    return c


def beams() -> Canvas:
    """Two beams, three steps: a greedy search would have taken the upper path."""
    c = Canvas(760, 230, "A search tree with two beams: the lower path begins worse and ends better")
    nodes = {
        "a": (60, 110, "prompt", 0),
        "b": (230, 60, "a  −0.5", 1),
        "c": (230, 160, "the  −0.9", 1),
        "d": (430, 30, "a dog  −2.6", 0),
    }
    nodes |= {"e": (430, 85, "a cat  −2.1", 1), "f": (430, 140, "the owl  −1.2", 1), "g": (430, 195, "the hen  −3.0", 0)}
    nodes |= {"h": (640, 85, "a cat .  −2.3", 1), "i": (640, 140, "the owl .  −1.3", 1)}
    for start, end in ("ab", "ac", "bd", "be", "cf", "cg", "eh", "fi"):
        kept = bool(nodes[end][3])
        c.line((nodes[start][0] + 58, nodes[start][1]), (nodes[end][0] - 60, nodes[end][1]), ink=BLUE if kept else SOFT)
    for x, y, words, kept in nodes.values():
        c.box(x - 56, y - 15, 112, 30, words, BLUE if kept else PALE, PAPER if kept else INK, 12)
    return c


def cache() -> Canvas:
    """What is computed, what is kept, when a chunk of two tokens arrives behind four."""
    c = Canvas(
        760, 220, "Keys of four old tokens are kept, those of two new tokens are added; a new query sees the cache and itself"
    )
    cell = 44
    for j in range(6):
        new = j >= 4
        c.text(190 + j * cell + 20, 30, str(j), 11, SOFT)
        c.box(190 + j * cell, 40, cell - 4, 34, "k v", ORANGE if new else PALE, INK, 12)
        for i in range(2):
            seen = j <= 4 + i
            c.rect(190 + j * cell, 110 + i * cell, cell - 4, cell - 4, BLUE if seen else PALE)
    c.text(180, 62, "keys and values", 12, SOFT, "end")
    for i in range(2):
        c.text(180, 135 + i * cell, f"query at position {4 + i}", 12, SOFT, "end")
    c.rect(490, 46, 18, 18, PALE)
    c.text(516, 60, "in the cache: not computed again", 12, INK, "start")
    c.rect(490, 76, 18, 18, ORANGE)
    c.text(516, 90, "new: computed, rotated, appended", 12, INK, "start")
    c.rect(490, 130, 18, 18, BLUE)
    c.text(516, 144, "seen by the query", 12, INK, "start")
    return c


def speculation() -> Canvas:
    """Draft and target as two bars of the same area: what is accepted, what is replaced by what."""
    c = Canvas(760, 240, "Two distributions: their common part is accepted, what the target has more of is the replacement's law")
    p, q = [0.45, 0.1, 0.3, 0.15], [0.2, 0.4, 0.25, 0.15]
    for i, (a, b) in enumerate(zip(p, q, strict=True)):
        x, scale = 60 + i * 105, 380
        low, high = min(a, b) * scale, max(a, b) * scale
        c.rect(x, 200 - low, 70, low, BLUE)
        c.rect(x, 200 - high, 70, high - low, GREEN if a > b else ORANGE)
        c.text(x + 35, 218, f"token {i}", 12, SOFT)
    for y, ink, words in (
        (60, BLUE, "min(p, q): proposed and accepted"),
        (96, ORANGE, "q above p: proposed, rejected"),
        (132, GREEN, "p above q: drawn in its place"),
    ):
        c.rect(480, y - 14, 18, 18, ink)
        c.text(508, y, words, 12, INK, "start")
    c.text(480, 172, "Orange and green have the same area:", 12, SOFT, "start")
    c.text(480, 190, "what is taken away is what is given back.", 12, SOFT, "start")
    return c


PICTURES = {
    "overview": overview,
    "merges": merges,
    "shift": shift,
    "nucleus": nucleus,
    "beams": beams,
    "cache": cache,
    "speculation": speculation,
}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (Path(__file__).parent / f"{name}.svg").write_text(draw().svg(), "utf-8")
