"""Whatever was handed in, a grader sees the release with the student's answers and everything else they wrote."""

from __future__ import annotations

import atexit
import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbgrader.nbgraderformat import MetadataValidator

from autograder.authoring.build import build
from autograder.course import Assignment
from autograder.nbgrader_bridge.repair import repaired
from autograder.submission.notebook import parse
from tests.small_course import write_course

TOTAL = "def total(values):\n    return sum(values, start=0)"


@cache
def assignment() -> Assignment:
    root = Path(mkdtemp(prefix="repair-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    course = write_course(root)
    build(course, course.root / "release")
    return course.assignment("s1_sums")


def released():
    return json.loads((assignment().release / "s1_sums.ipynb").read_text())


def mended(notebook):
    found = repaired(released(), assignment().manifest(), parse(json.dumps(notebook).encode()))
    return {c["id"]: c["source"] for c in found["cells"]}, found


def with_answer(source=TOTAL):
    notebook = released()
    cell(notebook, "total")["source"] = source
    return notebook


def cell(notebook, id):
    return next(c for c in notebook["cells"] if c.get("id") == id)


def ours():
    return {c["id"]: "".join(c["source"]) for c in released()["cells"]}


def test_an_undamaged_notebook_keeps_its_answers_and_demos():
    """Everything else is ours."""
    notebook = with_answer()
    cell(notebook, "total-demo-1")["source"] = ["print(total([1]))\n", "# tried this"]
    cell(notebook, "total-check")["source"] = "pass"
    cell(notebook, "at-start-setup-1")["source"] = "LIMIT = 1000"

    sources, _ = mended(notebook)
    assert {k: v for k, v in sources.items() if v != ours()[k]} == {
        "total": TOTAL,
        "total-demo-1": "print(total([1]))\n# tried this",
    }


def damage_deleted(notebook):
    notebook["cells"] = [cell(notebook, "total")]


def damage_by_name(notebook):
    cell(notebook, "total").update(id="zzz", metadata={})


def damage_copied(notebook):
    notebook["cells"].insert(0, {**cell(notebook, "total"), "source": "def total(values):\n    return 1"})


def damage_tried_out_elsewhere(notebook):
    notebook["cells"].append({"cell_type": "code", "source": "def total(values):\n    return 1", "id": "mine"})


def damage_retyped(notebook):
    cell(notebook, "total")["cell_type"] = "markdown"


def damage_reversed(notebook):
    notebook["cells"].reverse()


def damage_metadata(notebook):
    for c in notebook["cells"]:
        c["metadata"] = {"nbgrader": {"grade": True, "points": -1, "locked": "no", "schema_version": 99}}


def damage_stub_last(notebook):
    notebook["cells"].append({"cell_type": "code", "source": ours()["total"], "id": "total"})


DAMAGES = [v for k, v in list(globals().items()) if k.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__.removeprefix("damage_"))
def test_an_answer_is_found_whatever_happened_around_it(damage):
    """And the frame comes back whole: our cells in our order, valid for Jupyter and nbgrader."""
    notebook = with_answer()
    damage(notebook)
    sources, found = mended(notebook)

    assert sources["total"] == TOTAL
    assert [id for id in sources if id in ours()] == list(ours())
    assert {k: v for k, v in sources.items() if k in ours() and k != "total"} == {k: v for k, v in ours().items() if k != "total"}
    node = nbformat.from_dict(found)
    nbformat.validate(node)
    MetadataValidator().validate_nb(node)


def test_a_missing_answer_shows_the_stub():
    """nbgrader compares it with its checksum, and says "No response."."""
    notebook = with_answer()
    notebook["cells"] = [c for c in notebook["cells"] if c["id"] != "total"]

    assert mended(notebook)[0]["total"] == ours()["total"]


def test_an_answer_that_does_not_parse_is_shown_as_it_is():
    """The grader must see what went wrong."""
    assert mended(with_answer("def total(values:\n  return"))[0]["total"] == "def total(values:\n  return"


def test_two_names_in_two_cells_are_shown_together():
    """The exercise asks for low and high; a student may split the cell."""
    notebook = released()
    cell(notebook, "low")["source"] = "def low(v):\n    return min(v)"
    notebook["cells"].append({"cell_type": "code", "source": "def high(v):\n    return max(v)"})

    assert mended(notebook)[0]["low"] == "def low(v):\n    return min(v)\n\ndef high(v):\n    return max(v)"


def test_own_cells_stay_where_they_were_written():
    """After the cell of ours that they followed; prose in a fence longer than any of its own."""
    notebook = with_answer()
    at = notebook["cells"].index(cell(notebook, "total")) + 1
    notebook["cells"][at:at] = [
        {"cell_type": "code", "source": "helper = 1", "id": "h"},
        {"cell_type": "markdown", "source": "I think ``` that\n<b>this</b>", "id": "m"},
    ]
    notebook["cells"].insert(0, {"cell_type": "code", "source": "first = 1"})
    cell(notebook, "at-start-text-1")["source"] = "My answer in words."
    _, found = mended(notebook)
    texts = [c["source"] for c in found["cells"]]

    assert texts[0] == "first = 1"
    assert texts[texts.index(ours()["at-start-text-1"]) + 1] == "```text\nMy answer in words.\n```"
    after = texts.index(TOTAL)
    assert texts[after + 1 : after + 3] == ["helper = 1", "````text\nI think ``` that\n<b>this</b>\n````"]
    assert all("outputs" not in c or c["outputs"] == [] for c in found["cells"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=8) | st.sampled_from(["total", "code", "markdown", TOTAL]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["id", "source", "cell_type", "metadata", "nbgrader", "grade_id", "outputs"]), inner, max_size=5),
    max_leaves=15,
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.lists(JSON, max_size=6))
def test_any_list_of_cells_becomes_a_valid_notebook(cells):
    """A student's file may hold anything that JSON can say."""
    _, found = mended({"cells": cells})
    node = nbformat.from_dict(found)
    nbformat.validate(node)
    MetadataValidator().validate_nb(node)
    assert [c["id"] for c in found["cells"] if c["id"] in ours()] == list(ours())
