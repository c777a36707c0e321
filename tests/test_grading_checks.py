"""What the author's decorators register."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

HEAD = "from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit\n\n"

CLASSES = '''
@mutant(
    "t.layer",
    caught_by="values",
    hint="One is too many.",
    label="adds one",
)
class Layer:
    def forward(self, x):
        return x + 1


@mutant("t.layer", caught_by=("values", "shape"), hint="Two is too many.")
class Layer:
    """Adds two."""

    def forward(self, x):
        return x + 2


@alternative("t.layer", label="adds nothing")
class Layer:
    def forward(self, x):
        return x


@mutant("t.step", caught_by="values", hint="A step too far.", label="a step too far")
def step(x):
    return x + 1
'''


def loaded(folder: Path, text: str) -> ModuleType:
    path = folder / "mutants.py"
    path.write_text(HEAD + text, "utf-8")
    spec = importlib.util.spec_from_file_location("mutants_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


def test_each_variant_keeps_its_own_text(tmp_path: Path) -> None:
    """Of many classes with one name, each variant holds the one under its decorator, without the decorator."""
    variants = vars(loaded(tmp_path, CLASSES))["__variants__"]

    assert [v.label for v in variants] == ["adds one", "Adds two.", "adds nothing", "a step too far"]
    assert [v.source.splitlines()[-1].strip() for v in variants] == ["return x + 1", "return x + 2", "return x", "return x + 1"]
    assert [v.source.split("\n")[0] for v in variants] == ["class Layer:"] * 3 + ["def step(x):"]


def test_a_variant_knows_its_line_and_its_checks(tmp_path: Path) -> None:
    """A report leads to the decorator's line; an alternative names no check."""
    variants = vars(loaded(tmp_path, CLASSES))["__variants__"]
    lines = (HEAD + CLASSES).split("\n")

    assert [lines[v.line - 1].split("(")[0] for v in variants] == ["@mutant", "@mutant", "@alternative", "@mutant"]
    assert [v.caught_by for v in variants] == [("values",), ("values", "shape"), (), ("values",)]


def test_an_edit_is_kept_with_its_line(tmp_path: Path) -> None:
    """An edit is registered in the file where it stands, in order with the definitions."""
    text = '\nmutant_edit("t.step", ("+", "-"), caught_by="values", label="back", hint="Forwards.")\n' + CLASSES
    variants = vars(loaded(tmp_path, text))["__variants__"]

    assert variants[0].edits == (("+", "-"),)
    assert (HEAD + text).split("\n")[variants[0].line - 1].startswith("mutant_edit")
    assert len(variants) == 5
