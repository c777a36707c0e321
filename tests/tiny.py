"""A whole course of one small assignment, written to a folder: what the engine's tests grade."""

from __future__ import annotations

import json
from pathlib import Path

from autograder.course import MANIFEST, Course, Exercise, Manifest, ManifestCell, load

ASSIGNMENT = "x1_tiny"

COURSE = """title = "Tiny"
[grading]
require_tier = "C"
[[assignment]]
id = "x1_tiny"
title = "Tiny"
track = "tests"
week = 1
"""

SETUP = "import torch\nfrom torch import nn\n"

DOUBLE = '''def double(x):
    """Return 2x."""
    return x + x
'''

QUADRUPLE = '''def quadruple(x):
    """Return 4x, by doubling twice."""
    return double(double(x))
'''

SCALER = '''class Scaler(nn.Module):
    """Multiply by a learned factor."""

    def __init__(self, start):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(start))

    def forward(self, x):
        return self.factor * x
'''

REFERENCE = {"x1_tiny.double": DOUBLE, "x1_tiny.quadruple": QUADRUPLE, "x1_tiny.scaler": SCALER}

_BLANK = "# YOUR CODE HERE\n{0}raise NotImplementedError()\n"

STUBS = {
    "x1_tiny.double": 'def double(x):\n    """Return 2x."""\n    ' + _BLANK.format("    "),
    "x1_tiny.quadruple": 'def quadruple(x):\n    """Return 4x, by doubling twice."""\n    ' + _BLANK.format("    "),
    "x1_tiny.scaler": (
        'class Scaler(nn.Module):\n    """Multiply by a learned factor."""\n\n'
        "    def __init__(self, start):\n        super().__init__()\n        "
        + _BLANK.format("        ")
        + "\n    def forward(self, x):\n        "
        + _BLANK.format("        ")
    ),
}

HIDDEN = '''"""Hidden checks of the tiny assignment."""
import torch
from autograder.grading.checks import hidden
from autograder.sandbox.student import StudentError


def draw(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape))


def same(found, expected, what):
    assert isinstance(found, torch.Tensor), f"{what}: not a tensor."
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), f"{what}: another dtype or shape than expected."
    assert torch.equal(found, expected), f"{what}: other values than expected. Did you forget the factor?"


@hidden("x1_tiny.double", core=True)
def doubles(student, rng):
    """Values are doubled."""
    x = draw(rng, 3, 2)
    same(student.fn("double")(x), 2 * x, "double")


@hidden("x1_tiny.double")
def doubles_negative_zero_dim(student, rng):
    """A number without dimensions is doubled too."""
    x = -draw(rng).abs()
    same(student.fn("double")(x), 2 * x, "double of a negative scalar")


@hidden("x1_tiny.quadruple", core=True)
def quadruples(student, rng):
    """Values are quadrupled."""
    x = draw(rng, 4)
    same(student.fn("quadruple")(x), 4 * x, "quadruple")


@hidden("x1_tiny.scaler", core=True)
def scales(student, rng):
    """The factor that is loaded is the one that multiplies."""
    m = student.module("Scaler", 1.5)
    m.load_state_dict({"factor": torch.tensor(float(rng.integers(2, 9)))})
    x = torch.from_numpy(rng.standard_normal(3)).float()
    same(m(x).detach(), m.state_dict()["factor"] * x, "Scaler")
'''

MUTANTS = '''"""Wrong and other right solutions of the tiny assignment."""
from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit


@mutant("x1_tiny.double", caught_by="doubles", hint="That is the square.")
def double(x):
    """squares"""
    return x * x


@mutant("x1_tiny.double", caught_by="doubles_negative_zero_dim", hint="What of negative numbers?")
def double(x):
    """absolute value of scalars"""
    return 2 * x if x.ndim else 2 * x.abs()


@alternative("x1_tiny.double")
def double(x):
    """by multiplication"""
    return 2 * x


mutant_edit("x1_tiny.quadruple", ("double(double(x))", "double(x)"), caught_by="quadruples", hint="Once more.", label="once")
alternative_edit("x1_tiny.quadruple", ("double(double(x))", "double(x) + double(x)"), label="sum")
mutant_edit("x1_tiny.scaler", ("self.factor * x", "self.factor + x"), caught_by="scales", hint="Multiply.", label="adds")
'''


def write(root: Path) -> Course:
    """Write the course below root and return it."""
    folder = root / "assignments" / ASSIGNMENT
    release = root / "release" / ASSIGNMENT
    for d in (folder, release, root / "solutions"):
        d.mkdir(parents=True, exist_ok=True)
    (root / "assignments" / "course.toml").write_text(COURSE)
    (folder / "hidden.py").write_text(HIDDEN)
    (folder / "mutants.py").write_text(MUTANTS)
    (root / "solutions" / f"{ASSIGNMENT}.py").write_text(SETUP + "\n" + "\n\n".join(REFERENCE.values()))
    (release / MANIFEST).write_text(json.dumps(manifest().as_json()))
    return load(root)


def manifest() -> Manifest:
    """Return the manifest of the tiny assignment."""
    uses = {"x1_tiny.quadruple": ("x1_tiny.double",)}
    names = {"x1_tiny.double": "double", "x1_tiny.quadruple": "quadruple", "x1_tiny.scaler": "Scaler"}
    exercises = tuple(
        Exercise(e, (name,), name, 4.0, 5, 1, 3, e.split(".")[1], STUBS[e], uses.get(e, ())) for e, name in names.items()
    )
    cells = [ManifestCell("setup", "setup", SETUP)]
    for e in exercises:
        cells.append(ManifestCell("answer", e.cell_id, "", e.id))
        cells.append(ManifestCell("check", f"{e.cell_id}-check", f"from checks import check_{e.cell_id}\n", e.id))
    return Manifest(ASSIGNMENT, exercises, tuple(cells))


def cell(source: str, *, grade_id: str = "", cell_id: str = "", kind: str = "code") -> dict[str, object]:
    """Return one raw notebook cell."""
    metadata = {"nbgrader": {"grade_id": grade_id, "solution": True}} if grade_id else {}
    return {"cell_type": kind, "id": cell_id, "metadata": metadata, "source": source, "outputs": []}


def notebook(*cells: dict[str, object]) -> bytes:
    """Return the bytes of a notebook of these cells."""
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()
