"""A plan in; out: an error when a name is used before it is defined, and which exercises build on which.

Static: cells are walked in notebook order. What runs at once must be bound before; what a function loads when it is called
must be bound by the end of its cell for an answer (its check calls it next), anywhere in the lesson for other code.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from autograder.authoring.plan import Plan, PlannedCell, Solution
from autograder.errors import CourseError
from autograder.submission.scopes import BUILTINS, Names, statements, union

_ONLY_IN_NOTEBOOKS = frozenset({"display", "get_ipython"})


def check_names(plan: Plan, lesson: Path, solution: Solution) -> None:
    """Raises: CourseError at the first name that is used before it is defined."""
    cells = [(c, _names(c)) for c in plan.cells if c.kind != "text"]
    everywhere = union(s.binds for _, names in cells for s in names)
    bound = BUILTINS
    for cell, names in cells:
        own = union(s.binds for s in names)
        extra = _ONLY_IN_NOTEBOOKS if cell.kind == "demo" else frozenset()
        so_far = bound | extra
        for s in names:
            missing = s.now - so_far - (s.binds if s.sees_itself else frozenset())
            reachable = bound | own if cell.kind == "answer" else bound | everywhere
            missing |= s.later - reachable - extra
            if missing:
                raise _error(cell, s, min(missing), cells, lesson, solution)
            so_far |= s.binds
        bound |= own


def uses(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Return, for each exercise, the other exercises whose names its answer loads, itself or through given functions."""
    owner = {name: task.id for task in plan.tasks for name in task.names}
    given: dict[str, frozenset[str]] = {}
    for cell in plan.cells:
        if cell.kind == "setup":
            given |= {name: s.loads for s in _names(cell) for name in s.binds}
    found = {}
    for cell in plan.cells:
        if cell.kind == "answer" and cell.task:
            loaded = _through_given(union(s.loads for s in _names(cell)), given)
            needed = {owner[name] for name in loaded if name in owner} - {cell.task.id}
            found[cell.task.id] = tuple(t.id for t in plan.tasks if t.id in needed)
    return found


def _through_given(names: frozenset[str], given: Mapping[str, frozenset[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += given.get(name, ())
    return seen


def _names(cell: PlannedCell) -> list[Names]:
    return statements(ast.parse(cell.source))


def _error(
    cell: PlannedCell, at: Names, name: str, cells: list[tuple[PlannedCell, list[Names]]], lesson: Path, solution: Solution
) -> CourseError:
    later = [c.line for c, names in cells if c.line >= cell.line and c is not cell and any(name in s.binds for s in names)]
    where = f'exercise "{cell.task.slug}" ({solution.path})' if cell.task else f"a {cell.kind} cell"
    if later:
        advice = f"it is defined in the cell at line {later[0]}. Move that up."
    elif name in solution.definitions:
        advice = f"no cell defines it. {solution.path} does: import it in a setup cell, or make it an exercise."
    else:
        advice = "no cell defines or imports it. Do so in a setup cell above."
    return CourseError(lesson, cell.lesson_line(at.line), f'{where} uses "{name}" before it is defined; {advice}')
