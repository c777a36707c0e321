"""Nothing in, the lesson's pictures out: `python pictures.py` writes the SVG files beside this script. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

INK, SOFT, PAPER, PALE = "#1f2933", "#6b7785", "#ffffff", "#e9edf1"
# Okabe and Ito's palette: these stay apart for colour-blind readers and in print.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
TINTS = ("#cfe5f3", "#fbe7bf", "#c9ebdf", "#f8d6c0", "#e3d7ee", "#f3f0c3")
FONT = "font-family='DejaVu Sans, Helvetica, Arial, sans-serif'"


@dataclass
class Canvas:
    """A picture being drawn. Coordinates are pixels, y grows downwards."""

    width: int
    height: int
    title: str
    items: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, w: float, h: float, fill: str = PALE, edge: str = "none", r: float = 3) -> None:
        self.items.append(f"<rect x='{x:g}' y='{y:g}' width='{w:g}' height='{h:g}' rx='{r:g}' fill='{fill}' stroke='{edge}'/>")

    def text(
        self, x: float, y: float, words: str, size: float = 13, fill: str = INK, anchor: str = "middle", bold: bool = False
    ) -> None:
        look = f"font-size='{size:g}' fill='{fill}' text-anchor='{anchor}' {FONT}" + (" font-weight='bold'" if bold else "")
        self.items.append(f"<text x='{x:g}' y='{y:g}' {look}>{escape(words)}</text>")

    def cell(self, x: float, y: float, words: object, fill: str = PALE, side: float = 26, ink: str = INK) -> None:
        self.rect(x, y, side - 2, side - 2, fill)
        self.text(x + side / 2 - 1, y + side / 2 + 4, str(words), 12, ink)

    def line(self, points: list[tuple[float, float]], ink: str = INK, width: float = 1.5, arrow: bool = True) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        end = f" marker-end='url(#tip{ink[1:]})'" if arrow else ""
        self.items.append(f"<polyline points='{path}' fill='none' stroke='{ink}' stroke-width='{width:g}'{end}/>")

    def arc(self, x0: float, x1: float, y: float, height: float, ink: str) -> None:
        """Draw an arrow that jumps from x0 to x1 above the line y."""
        curve = f"M{x0:g},{y:g} Q{(x0 + x1) / 2:g},{y - 2 * height:g} {x1:g},{y:g}"
        self.items.append(f"<path d='{curve}' fill='none' stroke='{ink}' stroke-width='1.5' marker-end='url(#tip{ink[1:]})'/>")

    def svg(self) -> str:
        tips = "".join(
            f"<marker id='tip{c[1:]}' viewBox='0 0 8 8' refX='7' refY='4' markerUnits='userSpaceOnUse' markerWidth='9' "
            f"markerHeight='9' orient='auto'><path d='M0,0 L8,4 L0,8 z' fill='{c}'/></marker>"
            for c in (INK, SOFT, BLUE, ORANGE, GREEN, RED)
        )
        head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width} {self.height}' width='{self.width}' role='img'>"
        # A white ground, so that the picture is legible in a dark theme too.
        ground = f"<rect width='{self.width}' height='{self.height}' rx='8' fill='{PAPER}'/>"
        return "\n".join([head, f"<title>{escape(self.title)}</title><defs>{tips}</defs>", ground, *self.items, "</svg>", ""])


def strides() -> Canvas:
    """One strip, read as a matrix, as its transpose and as a slice."""
    c = Canvas(760, 250, "One strip of memory, read as a matrix, as its transpose and as a slice")
    c.text(30, 38, "memory", 12, SOFT, "start")
    for i in range(12):
        c.cell(110 + 30 * i, 20, i, TINTS[i // 4], 30)
    readings = (
        ("x", "shape (3 4), strides (4, 1)", 60, 3, 4, 4, 1, 0),
        ("x.T", "shape (4 3), strides (1, 4)", 310, 4, 3, 1, 4, 0),
        ("x[1:, ::2]", "shape (2 2), strides (4, 2), offset 4", 560, 2, 2, 4, 2, 4),
    )
    for name, notes, left, n_rows, n_columns, down, across, offset in readings:
        c.text(left + 60, 92, name, 14, INK, bold=True)
        c.text(left + 60, 110, notes, 11, SOFT)
        for i in range(n_rows):
            for j in range(n_columns):
                place = offset + i * down + j * across
                c.cell(left + 60 - 15 * n_columns + 30 * j, 122 + 30 * i, place, TINTS[place // 4], 30)
    return c


def broadcast() -> Canvas:
    """A column plus a row minus a product of matrices."""
    c = Canvas(760, 165, "Squared distances as a column, a row and a matrix product")
    side = 24

    def grid(x: float, y: float, n_rows: int, n_columns: int, fill: str, ghost: bool = False) -> None:
        for i in range(n_rows):
            for j in range(n_columns):
                c.rect(x + side * j, y + side * i, side - 2, side - 2, PAPER if ghost else fill, fill if ghost else "none")

    top = 40
    grid(40, top, 3, 1, TINTS[0])
    grid(40 + side, top, 3, 3, TINTS[0], ghost=True)
    c.text(88, top - 12, "|x|², column (n 1)", 12, BLUE)
    c.text(88, top + 100, "repeated to the right", 11, SOFT)
    c.text(172, top + 42, "+", 18)
    grid(200, top, 1, 4, TINTS[1])
    grid(200, top + side, 2, 4, TINTS[1], ghost=True)
    c.text(248, top - 12, "|y|², row (m)", 12, "#9a6a00")
    c.text(248, top + 100, "repeated downwards", 11, SOFT)
    c.text(322, top + 42, "− 2", 16)
    grid(350, top, 3, 2, TINTS[2])
    c.text(412, top + 42, "·", 18)
    grid(426, top, 2, 4, TINTS[2])
    c.text(440, top - 12, "x (n d) times y.T (d m)", 12, "#00664b")
    c.text(552, top + 42, "=", 18)
    grid(584, top, 3, 4, TINTS[4])
    c.text(632, top - 12, "table (n m)", 12, INK)
    c.text(632, top + 100, "no cube (n m d)", 11, SOFT)
    return c


def patches() -> Canvas:
    """An image with numbered pixels, and its patches as rows."""
    c = Canvas(760, 240, "A 4 by 6 image cut into six patches, and the patches as rows")
    c.text(150, 34, "image (1 1 4 6), p = 2", 13, INK, bold=True)
    for i in range(4):
        for j in range(6):
            patch = i // 2 * 3 + j // 2
            c.cell(46 + 34 * j + 6 * (j // 2), 50 + 34 * i + 6 * (i // 2), 6 * i + j, TINTS[patch], 34)
    c.line([(290, 122), (400, 122)], SOFT)
    c.text(345, 112, "patchify", 12, SOFT)
    c.text(540, 34, "patches (1 6 4), in reading order", 13, INK, bold=True)
    for patch in range(6):
        row, column = divmod(patch, 3)
        c.text(452, 69 + 30 * patch, f"patch {patch}", 11, SOFT, "end")
        for k in range(4):
            pixel = 6 * (2 * row + k // 2) + 2 * column + k % 2
            c.cell(466 + 36 * k, 50 + 30 * patch, pixel, TINTS[patch], 30)
    return c


def shift() -> Canvas:
    """Who judges whom: logits and tokens of a text of five."""
    c = Canvas(760, 200, "The logits at position i are paired with token i + 1")
    words = ("the", "cat", "sat", "down", ".")
    c.text(118, 58, "logits at", 13, INK, "end")
    c.text(118, 158, "tokens", 13, INK, "end")
    for i, word in enumerate(words):
        x = 160 + 112 * i
        used_row, used_token = i < len(words) - 1, i > 0
        c.rect(x - 36, 36, 72, 34, TINTS[0] if used_row else PALE)
        c.text(x, 58, f"position {i}", 12, INK if used_row else SOFT)
        c.rect(x - 36, 136, 72, 34, TINTS[1] if used_token else PALE)
        c.text(x, 158, word, 13, INK if used_token else SOFT)
        if used_row:
            c.line([(x + 10, 72), (x + 100, 133)], BLUE)
    c.text(160, 188, "judged by nobody", 11, SOFT)
    c.text(160 + 112 * 4, 26, "judges nothing", 11, SOFT)
    return c


def windows() -> Canvas:
    """Windows as two walks along one strip."""
    c = Canvas(760, 235, "Windows of three entries, two apart, as two walks along one strip")
    for i in range(7):
        c.cell(60 + 40 * i, 74, i, TINTS[0], 40)
    for j in range(2):
        c.arc(78 + 80 * j, 156 + 80 * j, 70, 22, RED)
    c.text(200, 30, "from window to window: stride steps of x", 12, RED, "middle")
    for i in range(2):
        c.line([(84 + 40 * i, 128), (112 + 40 * i, 128)], BLUE)
    c.text(60, 150, "within a window: one step of x", 12, BLUE, "start")
    c.text(560, 40, "size 3, stride 2: shape (3 3)", 13, INK, bold=True)
    for j in range(3):
        c.text(492, 78 + 38 * j, f"window {j}", 11, SOFT, "end")
        for i in range(3):
            c.cell(506 + 38 * i, 56 + 38 * j, 2 * j + i, TINTS[0], 38)
    c.text(380, 212, "Entries 2 and 4 stand in two windows each, and in memory once.", 12, SOFT)
    return c


def groups() -> Canvas:
    """Rows on their way to the groups that their index names."""
    c = Canvas(760, 230, "Rows and the groups that their index names")
    index = (2, 0, 2, 0, 2)
    c.text(170, 30, "values, and the index beside them", 13, INK, bold=True)
    c.text(560, 30, "means, k = 4", 13, INK, bold=True)
    for row, group in enumerate(index):
        y = 46 + 34 * row
        c.rect(90, y, 120, 28, TINTS[group])
        c.text(150, y + 19, f"row {row}", 12)
        c.cell(222, y + 1, group, TINTS[group], 28)
        c.line([(254, y + 14), (470, 78 + 40 * group)], GREEN if group == 2 else BLUE)
    for group in range(4):
        y = 62 + 40 * group
        n = index.count(group)
        c.rect(476, y, 150, 30, TINTS[group] if n else PALE)
        c.text(551, y + 20, f"group {group}: sum / {n}" if n else f"group {group}: zeros", 12, INK if n else SOFT)
    return c


def padding() -> Canvas:
    """The same sequences on either side, with their masks."""
    c = Canvas(760, 220, "Three sequences padded on the right and on the left, and the masks")
    seqs = ((7, 8, 9, 4), (5,), (3, 0))
    for k, side in enumerate(("right", "left")):
        left = 40 + 370 * k
        c.text(left + 60, 30, f'x, side="{side}"', 13, INK, bold=True)
        c.text(left + 240, 30, "mask", 13, INK, bold=True)
        for i, seq in enumerate(seqs):
            first = 0 if side == "right" else 4 - len(seq)
            for j in range(4):
                real = first <= j < first + len(seq)
                entry = seq[j - first] if real else 0
                c.cell(left + 34 * j, 46 + 36 * i, entry, TINTS[0] if real else PALE, 34, INK if real else SOFT)
                c.cell(
                    left + 176 + 34 * j, 46 + 36 * i, "T" if real else "F", TINTS[2] if real else PALE, 34, INK if real else SOFT
                )
    c.text(40, 186, "The 0 of the last sequence is real: the value of an entry does not tell.", 12, SOFT, "start")
    c.text(40, 206, "Padded on the left, all sequences end in one column.", 12, SOFT, "start")
    return c


def letters() -> Canvas:
    """The kinds of letters, and where each kind goes."""
    c = Canvas(760, 250, "Kinds of letters and the axes of a batched matrix product")
    columns = (("kind", 90), ("in a", 200), ("in b", 270), ("in the output", 370), ("where it goes", 580))
    for name, x in columns:
        c.text(x, 32, name, 12, SOFT)
    rows = (
        ("batch", "●", "●", "●", "the batch axis of bmm", TINTS[0]),
        ("summed", "●", "●", "", "the inner axis of bmm", TINTS[1]),
        ("rows", "●", "", "●", "the rows of the product", TINTS[2]),
        ("columns", "", "●", "●", "the columns of the product", TINTS[3]),
        ("lonely", "in one of the two", "", "", "summed before bmm", TINTS[4]),
    )
    for i, (kind, in_a, in_b, kept, goes, fill) in enumerate(rows):
        y = 44 + 38 * i
        c.rect(30, y, 700, 34, fill)
        c.text(90, y + 22, kind, 13, INK, bold=True)
        c.text(235 if kind == "lonely" else 200, y + 22, in_a, 12)
        c.text(270, y + 22, in_b, 12)
        c.text(370, y + 22, kept, 12)
        c.text(580, y + 22, goes, 12)
    return c


PICTURES = {
    "strides": strides,
    "broadcast": broadcast,
    "patches": patches,
    "shift": shift,
    "windows": windows,
    "groups": groups,
    "padding": padding,
    "letters": letters,
}


def main() -> None:
    for name, draw in PICTURES.items():
        (Path(__file__).parent / f"{name}.svg").write_text(draw().svg(), "utf-8")


if __name__ == "__main__":
    main()
