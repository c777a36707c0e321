"""Python source in, the names that its top level binds and loads out. Static: nothing is executed."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from functools import cached_property

from autograder.submission.ipython import plain_python
from autograder.submission.scopes import names

_MAX_DEPTH = 200  # of nested brackets: deeper source only serves to exhaust the parser
_MAX_STATEMENTS = 5_000  # at the top level of one cell; each costs a tenth of a millisecond to analyse


@dataclass(frozen=True)
class Statement:
    """One top-level statement: its lines (1-based, inclusive), and the names that it binds, changes and loads."""

    first_line: int
    last_line: int
    binds: frozenset[str]
    loads: frozenset[str]
    star: bool  # `from x import *`


@dataclass(frozen=True)
class Code:
    """A cell's source and, where it parses, its statements; `error` says why it does not."""

    source: str
    statements: tuple[Statement, ...]
    tree: ast.Module | None
    error: str = ""

    @cached_property
    def binds(self) -> frozenset[str]:
        return frozenset().union(*(s.binds for s in self.statements))

    @cached_property
    def loads(self) -> frozenset[str]:
        return frozenset().union(*(s.loads for s in self.statements))

    def definition(self, name: str) -> str | None:
        """Return a text that is equal for two definitions of `name` exactly when their code is (comments aside)."""
        if self.tree is None:
            return None
        found = [n for n, s in zip(self.tree.body, self.statements, strict=True) if name in s.binds]
        try:
            return "\n".join(ast.dump(n) for n in found) or None
        except RecursionError:
            return self.source  # nested too deeply to compare: equal to no stub


def read_code(source: str) -> Code:
    """Parse a cell as a notebook would read it: IPython's own syntax is made harmless where plain Python fails."""
    try:
        return _code(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as first:
        plain = plain_python(source)
        try:
            return _code(plain)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return Code(source, (), None, f"{type(first).__name__}: {first}")


def _code(source: str) -> Code:
    if _depth(source) > _MAX_DEPTH:
        raise ValueError("brackets nested too deeply")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a student's "\d" is not our warning
        tree = ast.parse(source)
    if len(tree.body) > _MAX_STATEMENTS:
        raise ValueError(f"{len(tree.body)} statements in one cell; at most {_MAX_STATEMENTS} are read")
    return Code(source, tuple(_statement(n, text) for n, text in zip(tree.body, _texts(source, tree.body), strict=True)), tree)


def _texts(source: str, body: list[ast.stmt]) -> list[str]:
    """Return each statement's own lines, or "" where they are not its alone (`a = 1; b = 2`) or not told by their number."""
    if "\r" in source or "\f" in source:
        return [""] * len(body)
    lines = source.split("\n")
    spans = [(_first_line(n), n.end_lineno or n.lineno) for n in body]
    befores = [0, *(last for _, last in spans[:-1])]
    afters = [*(first for first, _ in spans[1:]), len(lines) + 1]
    return [
        "\n".join(lines[first - 1 : last]) if before < first and last < after else ""
        for (first, last), before, after in zip(spans, befores, afters, strict=True)
    ]


def _depth(source: str) -> int:
    depth = deepest = 0
    for c in source:
        if c in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif c in ")]}":
            depth -= 1
    return deepest


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def _statement(node: ast.stmt, text: str) -> Statement:
    found = names(node, text)
    star = isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names)
    return Statement(_first_line(node), node.end_lineno or node.lineno, found.binds | _changed(node), found.loads, star)


def _changed(node: ast.AST) -> frozenset[str]:
    """Names whose objects a statement changes in its own scope; functions' and classes' inner scopes are not entered."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return frozenset()
    found = frozenset().union(*(_changed(c) for c in ast.iter_child_nodes(node)))
    if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        return found | _root(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        # `table.append(x)` and `setattr(Model, ...)` change what they name; a plain call of a name does not.
        return found | _changed_by(node.value)
    return found


def _changed_by(call: ast.Call) -> frozenset[str]:
    if isinstance(call.func, ast.Attribute):
        return _root(call.func)
    if isinstance(call.func, ast.Name) and call.func.id == "setattr" and call.args:
        return _root(call.args[0])
    return frozenset()


def _root(node: ast.AST) -> frozenset[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return frozenset({node.id}) if isinstance(node, ast.Name) else frozenset()
