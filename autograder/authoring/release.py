"""A plan and nbgrader's student version in, the files of release/<assignment>/ out. Nothing is written here."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from autograder.authoring.notebook import to_bytes
from autograder.authoring.plan import Plan, PlannedCell
from autograder.course import Exercise, Manifest, ManifestCell
from autograder.errors import BootcampError


def released_notebook(student_version: bytes) -> bytes:
    """Return nbgrader's notebook in our one way of writing it."""
    return to_bytes(json.loads(student_version))


def manifest(plan: Plan, notebook: bytes, uses: Mapping[str, tuple[str, ...]]) -> Manifest:
    """Describe the released notebook. Raises: BootcampError when it is not what the plan says."""
    released = json.loads(notebook)["cells"]
    if [c.get("id") for c in released] != [c.id for c in plan.cells]:
        raise BootcampError(f"{plan.assignment}: nbgrader changed the order or the ids of the cells; this build cannot be used.")
    sources = {c["id"]: _source(c) for c in released}
    cells = tuple(
        ManifestCell(c.kind, c.id, "" if c.kind == "text" else sources[c.id], c.task.id if c.task else "") for c in plan.cells
    )
    exercises = tuple(_exercise(c, sources[c.id], uses) for c in plan.cells if c.kind == "answer")
    return Manifest(plan.assignment, exercises, cells)


def manifest_bytes(found: Manifest) -> bytes:
    return (json.dumps(found.as_json(), ensure_ascii=False, indent=1) + "\n").encode()


def _exercise(cell: PlannedCell, stub: str, uses: Mapping[str, tuple[str, ...]]) -> Exercise:
    task = cell.task
    assert task is not None
    # A stub must still define every name, or a notebook that leaves one exercise out would break at its import.
    defined = {n.name for n in ast.parse(stub).body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    if not defined.issuperset(task.names):
        raise BootcampError(f"{task.id}: the stub defines {sorted(defined)}, expected {list(task.names)}.")
    o = task.options
    return Exercise(
        task.id, task.names, o.title, o.points, o.minutes, o.difficulty, o.importance, cell.id, stub, tuple(uses[task.id])
    )


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)
