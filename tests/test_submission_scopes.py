"""Which names a statement binds and loads is decided as Python's own symbol table does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from autograder.submission.names import read_code
from autograder.submission.scopes import statements


@pytest.mark.parametrize(
    ("source", "binds", "now", "later"),
    [
        ("import os.path, torch.nn as nn", "os nn", "", ""),
        ("x = [y for z in w if v]", "x", "w y v", ""),
        ("x += 1", "x", "x", ""),
        ("def f(a: Hint = default) -> Result:\n    return a + other(f)", "f", "Hint default Result", "other f"),
        ("def f():\n    def g(): return free + x\n    x = 1\n    return [free2 for _ in x]", "f", "", "free free2"),
        ("def f():\n    global count\n    return count", "f", "", "count"),
        (
            "@deco(arg)\nclass A(Base):\n    k = const\n    l = k\n    def m(s): return s.k + late",
            "A",
            "deco arg Base const",
            "late",
        ),
        ("f = lambda x: x + late", "f", "", "late"),
        ("for i in r: use(i)", "i", "r use i", ""),
        ("try:\n    import a\nexcept ImportError as e:\n    a = None", "a e", "ImportError", ""),
    ],
)
def test_names_of_a_statement(source, binds, now, later):
    """Closures, comprehensions, class bodies, annotations and `global` count where Python counts them."""
    (found,) = statements(ast.parse(source))

    assert found.binds == set(binds.split())
    assert found.now == set(now.split())
    assert found.later == set(later.split())


@pytest.mark.parametrize(
    ("source", "expected"),
    [("x = x", False), ("for x in r: x", True), ("with a as b: b", True), ("print(x := 1, x)", True), ("def f(): f", False)],
)
def test_only_what_binds_as_it_runs_sees_its_own_names(source, expected):
    """`x = x` needs an earlier x; a loop's body does not need an earlier loop variable."""
    assert statements(ast.parse(source))[0].sees_itself is expected


_ODD = [
    "a = 1; b = a; c = 2\nd = c",
    "x = 1 \\\n\n",
    "if a:\n    b = 1\nelse:\n    c = 2  # the end\n",
    "@first\n@second(x)\ndef f():\n    return g\nh = f",
    "s = '''one\ntwo'''; t = s\nu = t",
    "s = '''one\r\ntwo'''\r\nt = s\r\n",
    "\x0cx = y\n\x0cz = x",
    "print(w := 1, w)\nfor i in r:\n    w = i",
    "# -*- coding: latin-1 -*-\nname = other  # \u00e9",
]
_OURS = [p.read_text("utf-8") for p in sorted(Path(__file__).parents[1].glob("solutions/*.py"))]


@pytest.mark.parametrize("source", [*_ODD, *_OURS])
def test_a_statement_read_in_its_own_lines_has_the_same_names(source: str):
    """Cutting the lines is only quicker than writing the statement out again: two may share a line, one may go on."""
    found = read_code(source)

    assert not found.error
    assert [s.loads for s in found.statements] == [n.loads for n in statements(ast.parse(source))]
    assert all(n.binds <= s.binds for s, n in zip(found.statements, statements(ast.parse(source)), strict=True))
