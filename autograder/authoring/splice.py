"""A reference definition in, the same definition with its answer between nbgrader's markers out.

How it works. nbgrader replaces each marked region by a stub that raises, so a region must lie where a raise is harmless
until somebody calls it: in a function's body, after the docstring. A class gets one region per public method. What
students must not see between methods (private methods, private constants) has no body of its own that may raise; it moves
to the end of the region of a neighbouring public method and vanishes with it. `super().__init__()` as the first statement
of `__init__` stays in sight: the stub of a module must be a module.

What moves is checked: where the order of a class body matters (a decorator, a default value, a constant that needs
another), the author is asked to write it in the order that the notebook will have.
"""

from __future__ import annotations

import ast
import io
import textwrap
import tokenize
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from autograder.errors import CourseError
from autograder.submission.definitions import Definition
from autograder.submission.scopes import Names, statements

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Spliced:
    """`source` is the definition with markers; `hidden` are the lines between them: the answer."""

    source: str
    hidden: tuple[str, ...]


@dataclass(frozen=True)
class _Region:
    """Lines first to last (from 1, inclusive) are an answer; `moved` are lines from elsewhere that vanish with them."""

    first: int
    last: int
    indent: str
    moved: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Block:
    """A statement of a class body: its lines, the comments directly above it included, and the names it deals in."""

    node: ast.stmt
    first: int
    last: int
    names: Names

    @property
    def name(self) -> str:
        if isinstance(self.node, _Function | ast.ClassDef):
            return self.node.name
        target = self.node.targets[0] if isinstance(self.node, ast.Assign) else getattr(self.node, "target", None)
        return target.id if isinstance(target, ast.Name) else ""

    @property
    def is_private(self) -> bool:
        return self.name.startswith("_") and not (self.name.startswith("__") and self.name.endswith("__"))


def splice(definition: Definition, path: Path) -> Spliced:
    """Mark the answer of one definition of the solution at `path`.

    Raises: CourseError when there is nothing to solve, or when the answer cannot be cut out.
    """
    node = ast.parse(definition.source).body[0]
    text = _Text(definition.source.rstrip("\n").split("\n"), path, definition.first_line)
    if isinstance(node, _Function):
        region = text.region(node, len(text.lines))
        regions, removed = [region] if region else [], set[int]()
    elif isinstance(node, ast.ClassDef):
        regions, removed = _cut_class(text, node)
    else:
        raise text.error(1, f'"{definition.name}" is neither a function nor a class: only those can be exercises.')
    if not regions:
        raise text.error(1, f'"{definition.name}" has nothing to solve: expected statements below a docstring.')
    return text.render(regions, removed)


@dataclass(frozen=True)
class _Text:
    """A definition's lines, and where they stand in the solution."""

    lines: list[str]
    path: Path
    first_line: int

    def error(self, line: int, message: str) -> CourseError:
        return CourseError(self.path, self.first_line + line - 1, message)

    def region(self, node: _Function, last: int) -> _Region | None:
        """Return the region that holds the function's answer; None when there is nothing but given lines."""
        start, rest = self._header_end(node) + 1, list(node.body)
        if ast.get_docstring(node, clean=False) is not None:
            start = (rest.pop(0).end_lineno or 0) + 1
        if node.name == "__init__" and rest and _is_super_init(rest[0]):
            start = (rest.pop(0).end_lineno or 0) + 1
        if all(isinstance(s, ast.Pass) or _is_ellipsis(s) for s in rest):
            return None
        if rest[0].lineno < start:
            raise self.error(rest[0].lineno, f'the body of "{node.name}" must begin on a line of its own.')
        while not self.lines[start - 1].strip():
            start += 1
        return _Region(start, last, " " * rest[0].col_offset)

    def render(self, regions: list[_Region], removed: set[int]) -> Spliced:
        begins, ends = {r.first: r for r in regions}, {r.last: r for r in regions}
        out: list[str] = []
        hidden = [line for r in regions for line in (*self.lines[r.first - 1 : r.last], *r.moved) if line.strip()]
        for number, line in enumerate(self.lines, 1):
            if number in begins:
                out.append(begins[number].indent + BEGIN)
            if number not in removed:
                out.append(line)
            if number in ends:
                out += [*ends[number].moved, ends[number].indent + END]
        return Spliced("\n".join(out) + "\n", tuple(hidden))

    def _header_end(self, node: _Function) -> int:
        """Return the line of the colon; the parser knows where the body's first statement is, not its first comment."""
        text = "\n".join(self.lines[node.lineno - 1 :])
        ends = (t.end[0] for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.NEWLINE)
        return node.lineno + next(ends) - 1


def _cut_class(text: _Text, node: ast.ClassDef) -> tuple[list[_Region], set[int]]:
    blocks = _blocks(text, node)
    regions: dict[int, _Region] = {}
    for i, b in enumerate(blocks):
        if not b.is_private and isinstance(b.node, _Function) and (region := text.region(b.node, b.last)):
            regions[i] = region
    removed: set[int] = set()
    home: dict[int, int] = {}
    for i, b in enumerate(blocks):
        if not b.is_private:
            continue
        before, after = [r for r in regions if r < i], [r for r in regions if r > i]
        if not before and not after:
            raise text.error(b.first, f'"{b.name}" is private, and no public method has a body that it could be hidden in.')
        home[i] = before[-1] if before else after[0]
        at = regions[home[i]]
        regions[home[i]] = _Region(at.first, at.last, at.indent, (*at.moved, "", *text.lines[b.first - 1 : b.last]))
        removed |= set(range(_first_of_gap(text, b.first), b.last + 1))
    _refuse_harmful_moves(text, blocks, home)
    return list(regions.values()), removed


def _blocks(text: _Text, node: ast.ClassDef) -> list[_Block]:
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    previous = (node.body[0].end_lineno or 0) if len(body) < len(node.body) else body[0].lineno - 1
    blocks = []
    for i, s in enumerate(body):
        first = min([s.lineno, *(d.lineno for d in getattr(s, "decorator_list", []))])
        last = s.end_lineno or s.lineno
        limit = body[i + 1].lineno - 1 if i + 1 < len(body) else len(text.lines)
        for number in range(last + 1, limit + 1):
            line = text.lines[number - 1].rstrip()
            if line.lstrip().startswith("#") and len(line) - len(line.lstrip()) > s.col_offset:
                last = number
            elif line:
                break
        names = statements(ast.parse(textwrap.dedent("\n".join(text.lines[first - 1 : last]))))[0]
        while first - 1 > previous and text.lines[first - 2].lstrip().startswith("#"):
            first -= 1
        block = _Block(s, first, last, names)
        if not block.is_private and not isinstance(s, _Function | ast.Assign | ast.AnnAssign | ast.Pass) and not _is_ellipsis(s):
            raise text.error(s.lineno, "only methods, constants and annotations may stand in the class of an exercise.")
        blocks.append(block)
        previous = last
    return blocks


def _refuse_harmful_moves(text: _Text, blocks: list[_Block], home: dict[int, int]) -> None:
    """A hidden block moves to its home; it must not pass one that needs it, or that it needs."""
    order = sorted(range(len(blocks)), key=lambda i: (home.get(i, i), i in home, i))
    for a, b in combinations(order, 2):
        x, y = blocks[a].names, blocks[b].names
        if a > b and (x.now & y.binds or y.now & x.binds or x.binds & y.binds):
            moved, other = (blocks[a], blocks[b]) if a in home else (blocks[b], blocks[a])
            message = (
                f'"{moved.name}" is private and will be hidden in "{blocks[home[a if a in home else b]].name}", but "{other.name}"'
            )
            raise text.error(
                moved.first, f"{message} needs it where it stands, or it needs that. Define it outside the class, or reorder."
            )


def _first_of_gap(text: _Text, first: int) -> int:
    while first > 1 and not text.lines[first - 2].strip():
        first -= 1
    return first


def _is_super_init(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("super().__init__(")


def _is_ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...
