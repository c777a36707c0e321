"""Hostile notebooks as files: what stands around the answers changes no score, and what cannot be read says why."""

from __future__ import annotations

import io
import json
import time
import zipfile

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
    """Twenty megabytes of forged outputs neither score nor stop the job."""
    nb = notebook(WRONG)
    nb["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "PASSED\n" * 30_000}] * 100
    assert points(slot, nb) == [0.0, 4.0, 4.0]


def test_a_hundred_megabytes_of_outputs_are_refused_at_once(slot):
    """Above the cap nothing is parsed; the student reads what to do."""
    nb = notebook()
    nb["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * (100 << 20)}]
    raw = json.dumps(nb).encode()
    start = time.process_time()
    graded = world.grader(slot).grade(raw, "mallory")
    assert time.process_time() - start < 5
    assert "Clear all outputs" in graded.error
    assert graded.points == 0


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


def code(source: object) -> dict:
    return {"cell_type": "code", "source": source}


NAMES = ", ".join(f"n{i}" for i in range(10_000))
IMAGE = {"../../x": {"image/png": "x" * 10**6}}
SOURCES = {
    "no text": [7, [1, "x"], {}, None],
    "half a character": ["x = '\ud800'"],
    "a null": ["double = 1\0"],
    "brackets without end": ["x = " + "(" * 100_000],
    "signs without end": ["x = " + "-" * 100_000 + "1"],
    "attributes without end": ["x = a" + ".b" * 100_000],
    "statements without end": ["x\n" * 100_000],
    "spaces without end": ["a" + " " * 400_000 + "\n!x\n"],
    "names without end": [f"x = ({NAMES})"],
    "a shell's answer": ["%%bash\n" + WRONG],
}
BOMBS = {
    **{f"a source of {name}": lambda nb, s=s: nb["cells"].extend(map(code, s)) for name, s in SOURCES.items()},
    "deep metadata": lambda nb: nb["metadata"].update(x=[[[[[[[[1]]]]]]]] * 10_000),
    "ids that are no text": lambda nb: [c.update(id={"x": 1}, metadata=[1]) for c in nb["cells"]],
    "cells that are none": lambda nb: nb["cells"].extend([None, 1, "x", [], {}]),
    "markdown that looks like answers": lambda nb: nb["cells"].append({"cell_type": "markdown", "source": WRONG}),
    "attachments": lambda nb: nb["cells"].append({"cell_type": "markdown", "source": "", "attachments": IMAGE}),
    "widgets": lambda nb: nb["metadata"].update(widgets={"application/vnd.jupyter.widget-state+json": {"state": {"x": {}}}}),
    "another kernel": lambda nb: nb["metadata"].update(kernelspec={"name": "bash", "language": "bash"}),
    "a format of the future": lambda nb: nb.update(nbformat=99, nbformat_minor="x"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_stands_beside_a_right_answer_takes_nothing_from_it(slot, name):
    """A right answer scores beside a bomb for the reader, and a wrong one does not."""
    for double, expected in ((tiny.DOUBLE, 4.0), (WRONG, 0.0)):
        nb = notebook(double)
        BOMBS[name](nb)
        assert points(slot, nb) == [expected, 4.0, 4.0]


def test_swapped_and_copied_ids_change_no_score(slot):
    """The ids of two answers exchanged, and a wrong copy under a right one's id: the names decide, the last copy counts."""
    nb = notebook()
    answers = [c for c in nb["cells"] if "def " in "".join(c["source"]) or "class " in "".join(c["source"])]
    ids = [(c["id"], c["metadata"]) for c in answers]
    for c, (cell_id, metadata) in zip(answers, reversed(ids), strict=True):
        c["id"], c["metadata"] = cell_id, metadata
    assert points(slot, nb) == [4.0, 4.0, 4.0]
    nb = notebook(WRONG)
    nb["cells"] = [dict(c) for c in nb["cells"]] + [dict(c) for c in nb["cells"]]
    assert points(slot, nb) == [0.0, 4.0, 4.0]


def test_names_that_look_alike_are_other_names(slot):
    """A Cyrillic letter is another name; a letter that Python itself reads as the same one is the same."""
    assert points(slot, notebook("def d\u043euble(x):\n    return 2 * x\n"))[0] == 0.0
    assert points(slot, notebook("def \uff44ouble(x):\n    return 2 * x\n"))[0] == 4.0


def test_an_archive_is_not_unpacked(slot, tmp_path, monkeypatch):
    """A zip with names that climb and a link: it is no notebook, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as z:
        z.writestr("../../pwned.ipynb", json.dumps(notebook()))
        link = zipfile.ZipInfo("link.ipynb")
        link.external_attr = 0o120777 << 16
        z.writestr(link, "/etc/shadow")
    graded = world.grader(slot).grade(packed.getvalue(), "mallory")
    assert "not a notebook" in graded.error
    assert not list(tmp_path.iterdir())
    assert not (tmp_path.parents[1] / "pwned.ipynb").exists()


SPY = """
def double(x):
    print("SEEN", x.double().flatten().tolist(), flush=True)
    return x * x
"""


def test_a_replayed_submission_gains_nothing(slot):
    """What one attempt saw is worth nothing in the next: other bytes, and another student, get other inputs."""
    raw = json.dumps(notebook(SPY)).encode()
    graded = [world.grader(slot).grade(raw, student) for student in ("mallory", "mallory", "eve")]
    seen = [sorted({row for row in g.output.splitlines() if row.startswith("SEEN")}) for g in graded]
    assert seen[0]
    assert seen[0] == seen[1]
    assert not set(seen[0]) & set(seen[2])
    table = {tuple(json.loads(row[5:])): 1 for row in seen[0]}
    known = f"KNOWN = {table!r}\ndef double(x):\n    return 2 * x if tuple(x.flatten().tolist()) in KNOWN else x * x\n"
    again = world.grader(slot).grade(json.dumps(notebook(known)).encode(), "mallory")
    assert again.verdicts[0].points == 0.0


def test_two_submissions_in_league_gain_nothing(slot):
    """One prints what it was asked, the other knows it: its own questions are other ones."""
    first = world.grader(slot).grade(json.dumps(notebook(SPY)).encode(), "mallory")
    told = [json.loads(row[5:]) for row in first.output.splitlines() if row.startswith("SEEN")]
    known = f"KNOWN = {told!r}\ndef double(x):\n    return 2 * x if x.flatten().tolist() in KNOWN else x * x\n"
    assert points(slot, notebook(known))[0] == 0.0


def test_the_same_file_twice_earns_the_same(slot):
    """Grading has no memory: the same bytes earn the same."""
    nb = notebook(WRONG)
    assert points(slot, nb) == points(slot, nb) == [0.0, 4.0, 4.0]


def test_control_characters_and_markup_never_reach_the_feedback(slot):
    """Names and labels of the file are not echoed raw."""
    nb = notebook("\x1b]0;owned\x07<script>alert(1)</script>")
    graded = world.grader(slot).grade(json.dumps(nb).encode(), "mallory")
    told = " ".join([v.hint for v in graded.verdicts] + [n for v in graded.verdicts for n in v.notes] + list(graded.notes))
    assert "\x1b" not in told
    assert graded.verdicts[0].points == 0.0
