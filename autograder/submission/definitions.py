"""Python source in, the exact text of each top-level definition out. Parsed, never executed; no torch.

A definition's text starts at its first decorator and ends after the last comment that is indented into its body:
the parser forgets comments, and a remark below the last statement would otherwise belong to nobody.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

DefNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Definition:
    """One top-level definition: a function, a class, or an assignment. Lines count from 1, the last one included."""

    name: str
    source: str
    first_line: int
    last_line: int
    node: ast.stmt


def definitions(source: str) -> dict[str, str]:
    """Return name -> exact text, ending in a newline, in the order of the source.

    Of a name that is defined twice the last definition counts, as in Python. Raises: SyntaxError.
    """
    return {d.name: d.source for d in parse_definitions(source)}


def parse_definitions(source: str) -> tuple[Definition, ...]:
    """Return every top-level definition in the order of the source. Raises: SyntaxError."""
    # Not splitlines(): the parser does not count a form feed or U+2028 inside a string as the end of a line.
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    body = ast.parse(source).body
    found = []
    for i, node in enumerate(body):
        following = _first_line(body[i + 1]) if i + 1 < len(body) else len(lines) + 1
        first, last = _first_line(node), _last_line(node, lines, following)
        text = "\n".join(lines[first - 1 : last]) + "\n"
        found += [Definition(name, text, first, last, node) for name in _names(node)]
    return tuple(found)


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def _last_line(node: ast.stmt, lines: list[str], following: int) -> int:
    last = node.end_lineno or node.lineno
    if not isinstance(node, DefNode):
        return last
    for number in range(last + 1, following):
        line = lines[number - 1]
        if line.strip() and not line[0].isspace():
            break
        if line.strip():
            last = number
    return last


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, DefNode):
        yield node.name
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
