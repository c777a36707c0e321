"""The text of a notebook's cell in, Python code out: what IPython adds is dropped or read as its Python part. No torch."""

from __future__ import annotations

import ast
import re
from types import CodeType

_RUN_THE_REST = ("time", "capture", "timeit", "prun")  # cell magics around Python
_ASSIGNED = re.compile(r"^(\s*[A-Za-z_][\w.,\s]*=\s*)([%!])")
_HELP = re.compile(r"^\s*\?|\?\s*$")


def compile_cell(source: str, filename: str) -> CodeType:
    """Compile a cell as a notebook would run it.

    Line magics, shell lines and help requests do nothing; `%time statement` runs the statement; a cell magic other than
    %%time and its like empties the cell. Top-level await is allowed.
    Raises: SyntaxError, with the cell's own line numbers; ValueError on null bytes.
    """
    lines = _without_cell_magic(source).split("\n")
    for _ in range(len(lines) + 1):
        try:
            return compile("\n".join(lines), filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError as e:
            # Only a line that Python rejects is read as IPython's: "%" inside a text or an expression is Python's.
            if not (e.lineno and 1 <= e.lineno <= len(lines) and _drop_magic(lines, e.lineno - 1)):
                raise
    raise SyntaxError("too many lines that are not Python", (filename, 1, 1, lines[0]))


def _without_cell_magic(source: str) -> str:
    found = re.match(r"\s*%%(\w+)[^\n]*(\n|$)", source)
    if not found:
        return source
    # The magic's own line becomes an empty one, so that line numbers stay the cell's.
    head = "\n" * source[: found.end()].count("\n")
    return head + source[found.end() :] if found[1] in _RUN_THE_REST else ""


def _drop_magic(lines: list[str], n: int) -> bool:
    """Replace line n by Python if it is a magic, a shell line or a help request, and say whether it was."""
    line = lines[n]
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    assigned = _ASSIGNED.match(line)
    if assigned:
        lines[n] = assigned[1] + ("[]" if assigned[2] == "!" else "None")
    elif text.startswith("%time "):
        lines[n] = indent + text[len("%time ") :].lstrip()
    elif text.startswith(("%", "!")) or _HELP.search(line):
        lines[n] = indent + "pass"
    else:
        return False
    while line.endswith("\\") and n + 1 < len(lines):
        n += 1
        line, lines[n] = lines[n], ""
    return True
