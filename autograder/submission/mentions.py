"""A program's sources and a name in, the dotted names that its definition mentions out. Static: nothing is executed.

For rules such as "did not use nn.MultiheadAttention". It is evidence for a person and never worth points: getattr and eval
escape it, and a mention is not a use.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from autograder.submission.names import read_code


def definition(sources: Sequence[str], name: str) -> str:
    """Return the text of the last top-level statement that binds the name, "" if none does."""
    found = ""
    for source in sources:
        code = read_code(source)
        lines = code.source.split("\n")
        for s in code.statements:
            if name in s.binds:
                found = "\n".join(lines[s.first_line - 1 : s.last_line]) + "\n"
    return found


def mentions(sources: Sequence[str], name: str) -> frozenset[str]:
    """Return what the definition of `name`, and whatever it uses of the program's own, mentions.

    Names are written out through the imports: F.softmax is "torch.nn.functional.softmax". A method of an object is
    ".softmax". After `from m import *` every name that is bound nowhere may be m's, and is listed as that.
    """
    statements, aliases, stars = _index(sources)
    found: set[str] = set()
    todo, seen = [name], {name}
    while todo:
        for node in statements.get(todo.pop(), ()):
            for root, rest in _dotted(node):
                if root in statements and root not in aliases:
                    todo += [root] if root not in seen else []
                    seen.add(root)
                found.update(_written_out(root, rest, aliases, stars, root in statements))
    return frozenset(found)


def _index(sources: Sequence[str]) -> tuple[dict[str, list[ast.stmt]], dict[str, str], list[str]]:
    statements: dict[str, list[ast.stmt]] = {}
    aliases: dict[str, str] = {}
    stars: list[str] = []
    for code in map(read_code, sources):
        body = code.tree.body if code.tree else []
        for node, s in zip(body, code.statements, strict=True):
            for name in s.binds:
                statements.setdefault(name, []).append(node)
        for inner in (n for node in body for n in ast.walk(node)):
            if isinstance(inner, ast.Import):
                aliases.update(
                    (a.asname or a.name.partition(".")[0], a.name if a.asname else a.name.partition(".")[0]) for a in inner.names
                )
            elif isinstance(inner, ast.ImportFrom):
                stars += [inner.module or "" for a in inner.names if a.name == "*"]
                aliases.update((a.asname or a.name, f"{inner.module}.{a.name}") for a in inner.names if a.name != "*")
    return statements, aliases, stars


def _dotted(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (first name, the rest) of every chain of attributes; the first is "" where the chain begins with a value."""
    if isinstance(node, ast.Attribute):
        parts = [node.attr]
        value = node.value
        while isinstance(value, ast.Attribute):
            parts.append(value.attr)
            value = value.value
        yield (value.id if isinstance(value, ast.Name) else ""), ".".join(reversed(parts))
        if not isinstance(value, ast.Name):
            yield from _dotted(value)
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id, ""
    for child in ast.iter_child_nodes(node):
        yield from _dotted(child)


def _written_out(root: str, rest: str, aliases: dict[str, str], stars: list[str], is_own: bool) -> Iterator[str]:
    tail = f".{rest}" if rest else ""
    if root in aliases:
        yield aliases[root] + tail
        return
    if root:
        yield root + tail
        yield from (f"{module}.{root}{tail}" for module in stars if not is_own)
    if rest:
        yield "." + rest.rpartition(".")[2]
