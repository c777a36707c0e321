"""Hostile notebooks as files: what stands around the answers changes no score, and what cannot be read says why."""

from __future__ import annotations

import json

import pytest

from autograder.submission.compose import compose
from tests import tiny
from tests.hostile import world

WRONG = "def double(x):\n    return x * x\n"


def notebook(double: str = tiny.DOUBLE) -> dict:
    raw = compose(world.bundle().manifest, {**tiny.REFERENCE, world.DOUBLE: double})
    return json.loads(raw)


def points(slot, nb) -> list[float | None]:
    raw = nb if isinstance(nb, bytes) else json.dumps(nb).encode()
    return [v.points for v in world.grader(slot).grade(raw, "mallory").verdicts]


def test_test_cells_points_and_metadata_of_the_file_are_ignored(slot):
    """Checks and points come from the course: edited ones in the file change nothing."""
    nb = notebook(WRONG)
    for cell in nb["cells"]:
        marks = {"grade": True, "points": 1000, "solution": True, "locked": False}
        marks |= cell["metadata"].get("nbgrader", {})
        cell["metadata"] = {"nbgrader": marks, "deletable": False, "editable": False, "collapsed": {"x": [1] * 100}}
        if "check" in "".join(cell["source"]):
            cell["source"] = "assert True"
    nb["metadata"] = {"kernelspec": {"name": "../../evil", "argv": ["/bin/sh"]}, "nbgrader": {"points": 1e9}}
    assert points(slot, nb) == [0.0, 4.0, 4.0]


def test_outputs_are_never_read(slot):
    """A hundred megabytes of forged outputs neither score nor stop the job."""
    nb = notebook(WRONG)
    nb["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "PASSED\n" * 1000}] * 100
    assert points(slot, nb) == [0.0, 4.0, 4.0]


def test_a_setup_cell_in_the_file_is_not_executed(slot):
    """The given code comes from the course: a patched set-up cell in the file has no effect."""
    nb = notebook(WRONG)
    evil = {
        "cell_type": "code",
        "id": "setup",
        "metadata": {},
        "outputs": [],
        "source": "import torch\ntorch.equal = lambda *a: True\n",
    }
    nb["cells"] = [evil, *nb["cells"]]
    assert points(slot, nb) == [0.0, 4.0, 4.0]


def test_magics_and_shell_lines_run_nothing(slot):
    """%magics and !shell in an answer are dropped; the answer around them counts."""
    magic = "%matplotlib inline\n!touch /tmp/pwned\n%load_ext evil\n" + tiny.DOUBLE + "\n!cat /etc/shadow\n"
    assert points(slot, notebook(magic)) == [4.0, 4.0, 4.0]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe\x00",
        b"{" * 10_000,
        b'{"cells": 3}',
        b'{"cells": [{"cell_type": "code", "source": 1e999}]}',
        b"PK\x03\x04",
    ],
    ids=["empty", "cut", "list", "not UTF-8", "deep", "cells is a number", "odd cell", "zip"],
)
def test_a_file_that_is_no_notebook_is_told_so(slot, raw):
    """No crash: either an error that says why, or no points."""
    graded = world.grader(slot).grade(raw, "mallory")
    assert graded.error or graded.points == 0


def test_the_same_file_twice_earns_the_same(slot):
    """A replayed or shared submission gains nothing by it."""
    nb = notebook(WRONG)
    assert points(slot, nb) == points(slot, nb) == [0.0, 4.0, 4.0]


def test_control_characters_and_markup_never_reach_the_feedback(slot):
    """Names and labels of the file are not echoed raw."""
    nb = notebook("\x1b]0;owned\x07<script>alert(1)</script>")
    graded = world.grader(slot).grade(json.dumps(nb).encode(), "mallory")
    told = " ".join([v.hint for v in graded.verdicts] + [n for v in graded.verdicts for n in v.notes] + list(graded.notes))
    assert "\x1b" not in told
    assert graded.verdicts[0].points == 0.0
