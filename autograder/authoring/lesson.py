"""A lesson's percent script in, `Lesson` out: its cells in order, each with the line where it begins.

How it works. Cutting the script into cells is jupytext's, so that an author may open a lesson as a notebook. jupytext
forgets line numbers and has its own idea of a header's words, so each header line is replaced, before it reads the
script, by one that carries its line number only; the header itself is read here. Text that merely looks like a header
(in a string, in a fenced block) comes back inside a cell and is put back as it was.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import jupytext

from autograder.authoring.header import HeaderError, Options, read_header
from autograder.errors import CourseError

# Left on, jupytext takes a comment such as "# cat the heads" for a commented shell command, and uncomments it.
_FORMAT = {"extension": ".py", "format_name": "percent", "comment_magics": False}
_HEADER = re.compile(r"^\s*#\s*%%(?P<text>%*(?:\s.*)?)$")
_TAGGED = re.compile(r"(# )?%%(?: \[markdown\])? lesson_line=(\d+)")
# nbgrader looks for these phrases in every line of every cell, strings and prose included.
MARKERS = (
    "BEGIN SOLUTION",
    "END SOLUTION",
    "BEGIN HIDDEN TESTS",
    "END HIDDEN TESTS",
    "BEGIN MARK SCHEME",
    "END MARK SCHEME",
    "AUTOTEST",
)


@dataclass(frozen=True)
class LessonCell:
    """`kind` is text, setup, exercise or demo. Line n of the source is line `line + n` of the lesson."""

    kind: str
    line: int
    source: str
    options: Options | None = None

    def tree(self, path: Path) -> ast.Module:
        """Parse the code. Raises: CourseError."""
        try:
            return ast.parse(self.source)
        except SyntaxError as e:
            raise CourseError(path, self.line + (e.lineno or 1), f"not valid Python: {e.msg}.") from None


@dataclass(frozen=True)
class Lesson:
    """A lesson as its author wrote it."""

    path: Path
    cells: tuple[LessonCell, ...]


def read_lesson(path: Path) -> Lesson:
    """Read a percent script. Raises: CourseError naming file and line."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise CourseError(path, None, "not found. Every assignment has a lesson.") from None
    except UnicodeDecodeError as e:
        raise CourseError(path, None, f"byte {e.start} is not UTF-8 text.") from None
    refuse_markers(path, text)
    return Lesson(path, tuple(_cells(path, text)))


def refuse_markers(path: Path, text: str) -> None:
    """Raises: CourseError at the first line with one of nbgrader's phrases, which would blank what follows it."""
    for number, line in enumerate(text.split("\n"), 1):
        for phrase in MARKERS:
            if phrase in line:
                raise CourseError(
                    path, number, f'"{phrase}" is a phrase that nbgrader acts on, wherever it stands. Write it differently.'
                )


def _cells(path: Path, text: str) -> list[LessonCell]:
    lines = text.split("\n")
    tagged = "\n".join(_tag(number, line) for number, line in enumerate(lines, 1))
    found = []
    for cell in jupytext.reads(tagged, fmt=_FORMAT).cells:
        # In prose jupytext has taken the comment sign away.
        source = _TAGGED.sub(lambda m: lines[int(m[2]) - 1].removeprefix("" if m[1] else "# "), cell.source)
        number = cell.metadata.get("lesson_line")
        if number is None:
            _refuse_code_before_the_first_header(path, source)
            continue
        match = _HEADER.match(lines[number - 1])
        try:
            header = read_header(match["text"] if match else "")
        except HeaderError as e:
            raise CourseError(path, number, str(e)) from None
        found.append(LessonCell(header.kind, number, source, header.options))
    return found


def _tag(number: int, line: str) -> str:
    match = _HEADER.match(line)
    if not match:
        return line
    markdown = " [markdown]" if match["text"].split()[:1] in (["[markdown]"], ["[md]"]) else ""
    return f"# %%{markdown} lesson_line={number}"


def _refuse_code_before_the_first_header(path: Path, source: str) -> None:
    """A docstring, comments and `from __future__` may stand on top of the script; they are the author's own."""
    for node in LessonCell("demo", 0, source).tree(path).body:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_text and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            raise CourseError(path, node.lineno, 'code before the first cell. Put a header above it, such as "# %% setup".')
