"""A lesson and its solution in, `Plan` out: the notebook's cells in order, answers marked, every name accounted for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.authoring.card import contradictions
from autograder.authoring.header import Options, near
from autograder.authoring.lesson import Lesson, LessonCell, refuse_markers
from autograder.authoring.splice import splice
from autograder.errors import CourseError
from autograder.submission.definitions import Definition, parse_definitions

_MAX_SLUG_CHARS = 48  # so that ids derived from it stay within the 64 that a notebook allows
_FORBIDDEN_IN_CHECKS = ("solutions", "autograder", "nbgrader", "hidden", "mutants")


@dataclass(frozen=True)
class Task:
    """One exercise as planned. `names` are what the answer must define; `hidden` are the lines of the answer."""

    id: str
    slug: str
    names: tuple[str, ...]
    options: Options
    hidden: tuple[str, ...]


@dataclass(frozen=True)
class PlannedCell:
    """A cell of the instructor's notebook. `line` is that of the lesson's header; `task` belongs to answer and check.

    Line n of the source is line `line + n` of the lesson, unless the cell was spliced.
    """

    kind: str
    id: str
    source: str
    line: int
    task: Task | None = None
    is_spliced: bool = False

    def lesson_line(self, n: int) -> int:
        return self.line if self.is_spliced else self.line + n


@dataclass(frozen=True)
class Solution:
    """The reference module: its definitions by name."""

    path: Path
    module: str
    definitions: Mapping[str, Definition]


@dataclass(frozen=True)
class Plan:
    """Everything about one assignment's notebook before nbgrader sees it."""

    assignment: str
    cells: tuple[PlannedCell, ...]

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(c.task for c in self.cells if c.task and c.kind == "answer")


def read_solution(path: Path, lesson: Path) -> Solution:
    """Read a reference module. Raises: CourseError when it is missing or not Python."""
    if not path.is_file():
        raise CourseError(lesson, None, f"its solution {path} does not exist. Every exercise is an import from there.")
    text = path.read_text("utf-8")
    refuse_markers(path, text)
    try:
        found = parse_definitions(text)
    except SyntaxError as e:
        raise CourseError(path, e.lineno, f"not valid Python: {e.msg}.") from None
    return Solution(path, f"solutions.{path.stem}", {d.name: d for d in found})


def read_checks(path: Path) -> frozenset[str]:
    """Return the names of the visible checks. Raises: CourseError when students could not import the file."""
    if not path.is_file():
        raise CourseError(path, None, "not found. Every exercise needs a visible check there.")
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except SyntaxError as e:
        raise CourseError(path, e.lineno, f"not valid Python: {e.msg}.") from None
    for module, line in _imports(tree):
        if module.split(".")[0] in _FORBIDDEN_IN_CHECKS:
            raise CourseError(path, line, f'imports "{module}", which students do not have.')
    return frozenset(n.name for n in tree.body if isinstance(n, ast.FunctionDef))


def plan(assignment: str, lesson: Lesson, solution: Solution, checks_path: Path) -> Plan:
    """Lay out the notebook. Raises: CourseError naming file and line."""
    return _Planner(assignment, lesson.path, solution, checks_path, read_checks(checks_path)).run(lesson)


def slug_of(name: str) -> str:
    """Return a Python name in snake case: MultiHeadAttention -> multi_head_attention, GPT -> gpt."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class _Planner:
    def __init__(self, assignment: str, path: Path, solution: Solution, checks_path: Path, checks: frozenset[str]) -> None:
        self.assignment, self.path, self.solution = assignment, path, solution
        self.checks_path, self.checks = checks_path, checks
        self.planned: list[PlannedCell] = []
        self.lines_of: dict[str, int] = {}
        # The part of an id that comes before its number. No slug has a hyphen, so nothing collides with this one.
        self.place = "at-start"
        self.counts: dict[tuple[str, str], int] = {}

    def run(self, lesson: Lesson) -> Plan:
        for cell in lesson.cells:
            if cell.kind == "exercise":
                self._exercise(cell)
            elif cell.kind == "setup":
                given = self._given(cell)
                self._add("setup", given, cell.line, given != cell.source)
            elif cell.kind == "demo":
                self._refuse_solutions(cell)
                self._add("demo", cell.source, cell.line)
            else:
                self._add("text", cell.source, cell.line)
        if not self.lines_of:
            raise CourseError(self.path, None, 'no exercise in it. Expected at least one cell "# %% exercise ...".')
        return Plan(self.assignment, tuple(self.planned))

    def _add(self, kind: str, source: str, line: int, is_spliced: bool = False) -> None:
        n = self.counts[self.place, kind] = self.counts.get((self.place, kind), 0) + 1
        self.planned.append(PlannedCell(kind, f"{self.place}-{kind}-{n}", source, line, None, is_spliced))

    def _exercise(self, cell: LessonCell) -> None:
        assert cell.options is not None
        found = self._imported(cell)
        task = self._task(cell, cell.options, found)
        for key in (task.slug, *task.names):
            if key in self.lines_of:
                raise CourseError(
                    self.path, cell.line, f'exercise "{key}" stands twice; the first is at line {self.lines_of[key]}.'
                )
        self.lines_of |= dict.fromkeys((task.slug, *task.names), cell.line)
        check = f"check_{task.slug}"
        if check not in self.checks:
            raise CourseError(self.path, cell.line, f"{self.checks_path} defines no {check}{near(check, self.checks)}")
        prose = self.planned[-1].source if self.planned and self.planned[-1].kind == "text" else ""
        for contradiction in contradictions(prose, cell.options):
            raise CourseError(self.path, cell.line, contradiction)
        source = "\n\n".join(splice(d, self.solution.path).source for d in found)
        call = f"from checks import {check}\n\n{check}({', '.join(task.names)})"
        self.place = task.slug
        self.planned.append(PlannedCell("answer", task.slug, source.rstrip("\n"), cell.line, task, True))
        self.planned.append(PlannedCell("check", f"{task.slug}-check", call, cell.line, task, True))

    def _task(self, cell: LessonCell, options: Options, found: list[Definition]) -> Task:
        slug = slug_of(found[0].name)
        if not re.fullmatch(r"[a-z][a-z0-9_]*", slug) or len(slug) > _MAX_SLUG_CHARS:
            message = (
                f'"{found[0].name}" cannot name an exercise: expected ASCII letters first, at most {_MAX_SLUG_CHARS} characters.'
            )
            raise CourseError(self.path, cell.line, message)
        hidden = tuple(line for d in found for line in splice(d, self.solution.path).hidden)
        return Task(f"{self.assignment}.{slug}", slug, tuple(d.name for d in found), options, hidden)

    def _imported(self, cell: LessonCell) -> list[Definition]:
        """Return the definitions that an exercise's one import names."""
        body = cell.tree(self.path).body
        node = body[0] if body else None
        if len(body) != 1 or not isinstance(node, ast.ImportFrom) or node.module != self.solution.module:
            expected = f"expected one import: from {self.solution.module} import <name>"
            message = f"{expected}. Other code of an exercise belongs into a setup or demo cell."
            raise CourseError(self.path, cell.line + (node.lineno if node else 0), message)
        return self._definitions(cell, node)

    def _given(self, cell: LessonCell) -> str:
        """Return a setup cell's code with imports from the solution replaced by what they import."""
        lines = cell.source.split("\n")
        for node in reversed(cell.tree(self.path).body):
            if isinstance(node, ast.ImportFrom) and node.module == self.solution.module:
                given = "\n\n\n".join(d.source.rstrip("\n") for d in self._definitions(cell, node))
                # Given code stands apart from its neighbours, as in a module.
                above = "\n".join(lines[: node.lineno - 1]).rstrip()
                below = "\n".join(lines[node.end_lineno :]).strip("\n")
                lines = "\n\n\n".join(part for part in (above, given, below) if part.strip()).split("\n")
        source = "\n".join(lines)
        self._refuse_solutions(LessonCell(cell.kind, cell.line, source))
        return source

    def _definitions(self, cell: LessonCell, node: ast.ImportFrom) -> list[Definition]:
        found = []
        for alias in node.names:
            if alias.asname or alias.name == "*":
                raise CourseError(self.path, cell.line + node.lineno, "import each name as it is: no star, no other name.")
            if alias.name not in self.solution.definitions:
                hint = near(alias.name, self.solution.definitions)
                raise CourseError(
                    self.path, cell.line + node.lineno, f'"{alias.name}" is not defined in {self.solution.path}{hint}'
                )
            found.append(self.solution.definitions[alias.name])
        return found

    def _refuse_solutions(self, cell: LessonCell) -> None:
        for module, line in _imports(cell.tree(self.path)):
            if module.split(".")[0] == "solutions":
                expected = f"from {self.solution.module} import <name>, in a setup or exercise cell"
                message = f"a {cell.kind} cell imports a solution, which students do not have. Expected: {expected}."
                raise CourseError(self.path, cell.line + line, message)


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield every module that the code imports, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno
