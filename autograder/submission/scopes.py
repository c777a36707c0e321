"""Python source in, the global names that it binds and loads out. Static: nothing is executed.

Python's own symbol table decides what is global, so closures, comprehensions, class bodies and `global` come out right.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

BUILTINS = frozenset(dir(builtins)) | {"__name__", "__doc__"}
_COMPREHENSIONS = {"listcomp", "setcomp", "dictcomp", "genexpr"}


@dataclass(frozen=True)
class Names:
    """Of one top-level statement: what it binds, what it loads when it runs, and what its functions load when called.

    `line` is its first line. `sees_itself` says whether its own names count as bound within it (a loop, a `with`).
    """

    line: int
    binds: frozenset[str]
    now: frozenset[str]
    later: frozenset[str]
    sees_itself: bool

    @property
    def loads(self) -> frozenset[str]:
        return self.now | self.later


def statements(tree: ast.Module) -> list[Names]:
    """Return the names of each top-level statement, in order."""
    return [names(node) for node in tree.body]


def union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


def names(node: ast.stmt, text: str = "") -> Names:
    """Return the names of one top-level statement, whose source is `text` where the caller has it alone.

    Raises: SyntaxError where the compiler would.
    """
    table = _table(node, text)
    symbols = table.get_symbols()
    binds = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}
    now = {s.get_name() for s in symbols if s.is_referenced()}
    later: set[str] = set()
    for child, runs_now in _children(table, True):
        loaded = {s.get_name() for s in child.get_symbols() if s.is_global() and s.is_referenced()}
        (now if runs_now else later).update(loaded)
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        now.add(node.target.id)
    return Names(node.lineno, frozenset(binds), frozenset(now), frozenset(later), _binds_as_it_runs(node, text))


def _table(node: ast.stmt, text: str) -> symtable.SymbolTable:
    if text:
        try:
            return symtable.symtable(text + "\n", "<cell>", "exec")
        except SyntaxError:  # the lines alone may not stand: `x = 1 \\` goes on in an empty one
            pass
    return symtable.symtable(ast.unparse(node), "<cell>", "exec")


def _binds_as_it_runs(node: ast.stmt, text: str) -> bool:
    blocks = ast.For | ast.While | ast.If | ast.With | ast.Try | ast.Match
    walrus = (":=" in text or not text) and any(isinstance(n, ast.NamedExpr) for n in ast.walk(node))
    return isinstance(node, blocks) or walrus


def _children(table: symtable.SymbolTable, runs_now: bool) -> Iterator[tuple[symtable.SymbolTable, bool]]:
    """Yield every inner scope, and whether its code runs as soon as the statement does."""
    for child in table.get_children():
        now = runs_now and (child.get_type() == "class" or child.get_name() in _COMPREHENSIONS)
        yield child, now
        yield from _children(child, now)
