"""The box's page for authors is true: every example in it is executed, and every method has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch

from autograder.sandbox import student as api
from autograder.sandbox.box import Slot
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.model import Cell

README = Path(__file__).parents[1] / "autograder" / "sandbox" / "README.md"
EXAMPLES = README.read_text("utf-8").partition("### One example of each")[2].partition("\n## ")[0]
PROGRAM, *CHECKS = re.findall(r"```python\n(.*?)```", EXAMPLES, flags=re.DOTALL)


@pytest.fixture(scope="module")
def slot():
    with Slot.start() as slot:
        yield slot


@pytest.fixture(params=["in process", "in a box"])
def student(request):
    """The page's program, opened in both ways."""
    opened = open_in_process if request.param == "in process" else request.getfixturevalue("slot").open_box
    with opened([Cell("program", PROGRAM)]) as box:
        assert box.failures == {}
        yield box.student


@pytest.mark.parametrize("example", CHECKS, ids=[c.partition("\n")[0][:40] for c in CHECKS])
def test_the_example_is_true(student, example):
    """What an author copies from the page works."""
    assert "assert" in example
    exec(example, {"student": student, "torch": torch, "nn": torch.nn})


def test_every_method_has_an_example():
    """Whatever a check may ask is shown once."""
    shown = {n.attr for c in CHECKS for n in ast.walk(ast.parse(c)) if isinstance(n, ast.Attribute)}
    protocols = (api.Student, api.StudentObject, api.StudentModule)
    asked = {name for p in protocols for name, value in vars(p).items() if callable(value) and not name.startswith("_")}
    asked |= set(api.Observation.__dataclass_fields__) - {"operators"}
    assert asked
    assert asked - shown == set()
