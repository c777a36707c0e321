"""A notebook cell's text in, plain Python with the same line numbers out: what IPython adds does nothing. Never executed.

Magics, shell lines and help requests become `pass`; `x = !ls` binds an empty list; `%time statement` is its statement. A
cell magic around Python (%%time, %%capture) leaves the Python, one around another language (%%bash, %%html) leaves
nothing. First a scan finds the lines that begin a statement, so that "%" inside a text or a bracket stays Python's; what
the parser still rejects is repaired line by line, as far as a bound on the work allows.
"""

from __future__ import annotations

import ast
import re
import warnings

_OTHER_LANGUAGES = """
! bash sh script system sx cmd html HTML javascript js Javascript svg SVG latex markdown perl ruby writefile file python2
pypy sql R cython julia octave fortran cpp mermaid ai
"""
# Without a sign, as IPython's automagic takes them; only where Python rejects the line.
_AUTOMAGIC = """
pip conda mamba uv cd ls ll pwd cat mkdir rmdir mv cp rm man less more clear history who whos reset run load env autoreload
load_ext reload_ext matplotlib pylab time timeit pinfo config alias precision store lsmagic magic
"""
_PYTHON = "time timeit capture prun debug python python3"
_ASSIGNED = re.compile(r"([A-Za-z_][\w.,\[\] \t]*=[ \t]*)(!|%)")
_WORK_CHARS = 4_000_000  # parsed in all to repair one cell: it runs outside of the box
_TOKEN = re.compile(r"#|'''|\"\"\"|['\"]|\\.|[(\[{]|[)\]}]|\\$")


def plain_python(source: str) -> str:
    """Return the cell as Python that a notebook would run.

    Where it is not Python for another reason, the text comes back as far as it could be mended: compiling it says why.
    """
    lines, other_language = _without_cell_magics(source.split("\n"))
    text = "\n".join(lines)
    if other_language:
        return "\n" * (len(lines) - 1)
    if _error_line(text) is None:
        return text
    lines = _scan(lines)
    for _ in range(1 + _WORK_CHARS // (len(text) + 1)):
        at = _error_line("\n".join(lines))
        if at is None or not 1 <= at <= len(lines) or not _mend(lines, at - 1):
            break
    return "\n".join(lines)


def _without_cell_magics(lines: list[str]) -> tuple[list[str], bool]:
    """Blank the cell magics at the top, and say whether one of them takes the rest for another language."""
    out = list(lines)
    unknown = False
    for n, line in enumerate(lines):
        text = line.strip()
        if text and not text.startswith("%%"):
            break
        name = text[2:].split(maxsplit=1)[0] if text[2:].strip() else ""
        if name in _OTHER_LANGUAGES.split():
            return out, True
        unknown = unknown or (bool(text) and name not in _PYTHON.split())
        out[n] = ""
    # A magic that we do not know: Python if it reads like Python.
    return out, unknown and _error_line("\n".join(_scan(out))) is not None


def _error_line(text: str) -> int | None:
    """Return the line at which the parser gives up, None if it does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as e:
        return e.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        return 0
    return None


def _scan(lines: list[str]) -> list[str]:
    """Replace what IPython adds in every line that begins a statement."""
    out = list(lines)
    quote, depth, n = "", 0, 0
    while n < len(out):
        begins = not quote and depth == 0
        plain = _plain_line(out[n]) if begins else None
        if plain is not None:
            n = _replace(out, n, plain)
            continue
        quote, depth = _state_after(out[n], quote, depth)
        n += 1
        if out[n - 1].endswith("\\") and not quote:
            while n < len(out) and out[n - 1].endswith("\\"):
                quote, depth = _state_after(out[n], quote, depth)
                n += 1
    return out


def _state_after(line: str, quote: str, depth: int) -> tuple[str, int]:
    """Return the open triple quote and the depth of brackets after the line."""
    for token in (m[0] for m in _TOKEN.finditer(line)):
        if quote:
            quote = "" if token == quote else quote
        elif token == "#":
            break
        elif token[0] in "'\"":
            quote = token
        elif token in "([{":
            depth += 1
        elif token in ")]}":
            depth = max(depth - 1, 0)
    # A single quote never spans lines, unless a backslash ends the line.
    return (quote if len(quote) == 3 or line.endswith("\\") else ""), depth


def _mend(lines: list[str], n: int) -> bool:
    """Replace the line if it is no Python but something of IPython's, and say whether it was."""
    text = lines[n].lstrip()
    indent = lines[n][: len(lines[n]) - len(text)]
    plain = _plain_line(lines[n])
    words = text.split(maxsplit=1)
    if plain is None and words and (words[0] in _AUTOMAGIC.split() or text[0] in "/,;"):
        plain = indent + "pass"
    if plain is None or plain == lines[n]:
        return False
    _replace(lines, n, plain)
    return True


def _replace(lines: list[str], n: int, plain: str) -> int:
    """Put `plain` in place of line n and of those that continue it; return the next line's position."""
    go_on = lines[n].endswith("\\")
    lines[n] = plain
    n += 1
    while go_on and n < len(lines):
        go_on = lines[n].endswith("\\")
        lines[n] = ""
        n += 1
    return n


def _plain_line(line: str) -> str | None:
    """Return the Python that stands for a magic, a shell line or a help request; None for any other line."""
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    assigned = _ASSIGNED.match(text)
    if assigned:
        rest = text[assigned.end() :]
        timed = assigned[2] == "%" and rest.startswith("time ")
        return indent + assigned[1] + (rest[5:].strip() if timed else "[]" if assigned[2] == "!" else "None")
    timed = text.startswith("%time ")
    while text.startswith("%time "):
        text = text[6:].strip()
    if timed and text and not text.startswith(("%", "!")):
        return indent + text
    if text.startswith(("%", "!", "?")) or _asks_for_help(text):
        return indent + "pass"
    return None


def _asks_for_help(text: str) -> bool:
    # The comment is cut at the first "#", be it inside a text: a line with quotes is no request either.
    words = text.partition("#")[0].rstrip()
    return words.endswith("?") and not ("'" in words or '"' in words)
