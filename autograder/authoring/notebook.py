"""A plan in, the instructor's notebook out: nbformat 4.5 JSON with nbgrader's metadata, the same bytes every time."""

from __future__ import annotations

import json
from typing import Any

from autograder.authoring.plan import Plan, PlannedCell

# With a kernel named and no version, JupyterLab opens the notebook without asking and no rebuild depends on the machine.
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "pygments_lexer": "ipython3"}


def source_notebook(plan: Plan) -> bytes:
    """Return the notebook with the answers in it, between nbgrader's markers: for instructors only."""
    notebook = {
        "cells": [_cell(c) for c in plan.cells],
        "metadata": {"bootcamp": {"assignment": plan.assignment}, "kernelspec": _KERNEL, "language_info": _LANGUAGE},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return to_bytes(notebook)


def to_bytes(notebook: dict[str, Any]) -> bytes:
    """Write a notebook as Jupyter does: one space of indent, keys sorted, a newline at the end."""
    return (json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _cell(cell: PlannedCell) -> dict[str, Any]:
    source = cell.source.splitlines(keepends=True)
    if cell.kind == "text":
        return {"cell_type": "markdown", "id": cell.id, "metadata": {}, "source": source}
    metadata = {} if cell.kind == "demo" else {"nbgrader": _nbgrader(cell)}
    return {"cell_type": "code", "execution_count": None, "id": cell.id, "metadata": metadata, "outputs": [], "source": source}


def _nbgrader(cell: PlannedCell) -> dict[str, Any]:
    fields = {
        "grade": cell.kind == "check",
        "grade_id": cell.id,
        "locked": cell.kind != "answer",
        "schema_version": 3,
        "solution": cell.kind == "answer",
        "task": False,
    }
    if cell.kind == "check" and cell.task:
        points = cell.task.options.points
        fields["points"] = int(points) if points.is_integer() else points
    return fields
