"""Verdicts in, outputs for the check cells out: one number that nbgrader reads, and words for people. Plain dictionaries.

nbgrader takes the first execute_result as points, and gives full marks for what is no number, negative, nan or False;
any error or text on stderr gives 0. So a cell gets exactly one finite plain number within its points, and the words stand
in a display_data of plain text: a hint may quote what a student's code said, and must not become markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from autograder.course import Manifest
from autograder.errors import InfraError
from autograder.grading.verdict import CheckResult, Graded, Status, Verdict

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def add_outputs(cells: Iterable[dict[str, Any]], manifest: Manifest, graded: Graded) -> None:
    """Put the verdicts into the check cells. Raises: InfraError as `outputs`, or when a verdict is missing."""
    verdicts = {v.exercise: v for v in graded.verdicts}
    exercise_of = {c.id: c.exercise for c in manifest.cells if c.kind == "check"}
    for cell in cells:
        nbgrader = cell["metadata"].get("nbgrader", {})
        if nbgrader.get("grade"):
            verdict = verdicts.get(exercise_of.get(nbgrader["grade_id"], ""))
            if verdict is None:
                raise InfraError(
                    f'no verdict for the cell "{nbgrader["grade_id"]}": gradebook and release differ. Run: bootcamp init'
                )
            cell["outputs"] = outputs(verdict, float(nbgrader["points"]))


def outputs(verdict: Verdict, cell_points: float) -> list[dict[str, Any]]:
    """Return the outputs of an exercise's check cell.

    Raises: InfraError when the exercise is unscored, or when gradebook and course disagree about its points.
    """
    number = {"data": {"text/plain": repr(score(verdict, cell_points))}, "execution_count": None, "metadata": {}}
    words = {"data": {"text/plain": describe(verdict)}, "metadata": {}}
    return [{"output_type": "display_data", **words}, {"output_type": "execute_result", **number}]


def score(verdict: Verdict, cell_points: float) -> float:
    """Return the points as a finite plain number from 0 to cell_points. Raises: InfraError."""
    if verdict.points is None or verdict.status is Status.INFRA:
        why = "; ".join(verdict.notes) or verdict.hint or "no reason was given"
        raise InfraError(f"{verdict.exercise} could not be graded, by our fault and not the student's: {why}. Grade it again.")
    points = float(verdict.points)
    # Written so that nan fails, too.
    if verdict.max_points != cell_points or not 0 <= points <= cell_points:
        found = f"{points} of {verdict.max_points} points, and nbgrader's cell has {cell_points}"
        raise InfraError(f"{verdict.exercise}: grading says {found}. Bring the gradebook up to date: bootcamp init")
    return points


def describe(verdict: Verdict) -> str:
    """Return what a student may read of a verdict: points, hints, and which checks passed."""
    points = "unscored, by our fault" if verdict.points is None else f"{verdict.points:g} of {verdict.max_points:g} points"
    lines = [f"{verdict.exercise}: {verdict.status}, {points}"]
    lines += [line for line in (verdict.hint, *verdict.notes) if line]
    lines += [_check(c) for c in verdict.checks if c.hint != verdict.hint or c.status is Status.PASS]
    return "\n".join(_CONTROL.sub("", line) for line in lines)


def _check(check: CheckResult) -> str:
    hint = f": {check.hint}" if check.hint and check.status is not Status.PASS else ""
    return f"  {check.status:7} {check.name}{hint}"
