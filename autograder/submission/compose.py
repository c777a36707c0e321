"""A manifest and answers in, notebook bytes out: how a notebook looks whose answers are known (references, cohorts)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autograder.course import Manifest


def compose(manifest: Manifest, answers: Mapping[str, str]) -> bytes:
    """Return the notebook that a student hands in who wrote `answers` (exercise id -> source) and left the rest alone."""
    by_id = {e.id: e for e in manifest.exercises}
    cells = []
    for c in manifest.cells:
        if c.kind == "text":
            continue
        source = answers.get(c.exercise, by_id[c.exercise].stub) if c.kind == "answer" else c.source
        cells.append(_code_cell(c.id, c.kind, source))
    metadata = {
        "bootcamp": {"assignment": manifest.assignment},
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    }
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}).encode()


def _code_cell(cell_id: str, kind: str, source: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if kind != "demo":
        graded = kind == "check"
        metadata["nbgrader"] = {
            "grade": graded,
            "grade_id": cell_id,
            "locked": kind != "answer",
            "schema_version": 3,
            "solution": kind == "answer",
            "task": False,
        }
    return {"cell_type": "code", "execution_count": None, "id": cell_id, "metadata": metadata, "outputs": [], "source": source}
