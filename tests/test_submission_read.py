"""Reading: an answer is found whatever happened to the cells around it, and nothing else changes what is graded."""

from __future__ import annotations

import json
import random

import pytest

from autograder.errors import SubmissionError
from autograder.submission.compose import compose
from autograder.submission.model import Submission
from autograder.submission.read import read
from tests import tiny
from tests.tiny import cell, notebook

MANIFEST = tiny.manifest()
D, Q, S = "x1_tiny.double", "x1_tiny.quadruple", "x1_tiny.scaler"


def sources(submission: Submission, exercise: str) -> str:
    return "\n".join(c.source for c in submission.answers[exercise].program)


def value_of(submission: Submission, exercise: str, expression: str) -> object:
    """Execute the exercise's program (our own test code) and evaluate the expression in it."""
    namespace: dict[str, object] = {}
    for c in submission.answers[exercise].program:
        exec(compile(c.source, c.label, "exec"), namespace)
    return eval(expression, namespace)


def test_the_released_notebook_is_skipped_throughout():
    """Handing in the stub unchanged is no attempt, even with comments and blank lines added."""
    stub = tiny.STUBS[D].replace("# YOUR CODE HERE", "# I do not know how\n")
    submission = read(compose(MANIFEST, {D: stub}), MANIFEST)

    assert [a.attempted for a in submission.answers.values()] == [False, False, False]


def test_each_answer_brings_what_it_builds_on_and_no_more():
    """A program holds the set-up, the answer, and the answers whose names it loads."""
    submission = read(compose(MANIFEST, tiny.REFERENCE), MANIFEST)

    assert submission.answers[D].uses == ()
    assert submission.answers[Q].uses == (D,)
    assert "Scaler" not in sources(submission, Q)
    assert value_of(submission, Q, "quadruple(3)") == 12


@pytest.mark.parametrize("seed", range(20))
def test_deleting_copying_retyping_and_reordering_other_cells_changes_nothing(seed: int):
    """Whatever happens to cells that hold no answer, the program of every exercise stays the same."""
    data = json.loads(compose(MANIFEST, tiny.REFERENCE))
    answers = {e.cell_id for e in MANIFEST.exercises}
    rng = random.Random(seed)
    others = [c for c in data["cells"] if c["id"] not in answers]
    others = [dict(c) for c in rng.sample(others, rng.randint(0, len(others)))]
    for c in others:
        c["cell_type"] = rng.choice(["code", "markdown", "raw", "nonsense", None])
        c["metadata"] = rng.choice([{}, c["metadata"], {"nbgrader": {"grade_id": 7}}, None, "x"])
    copies = rng.choices(others, k=3) if others else []
    kept = [c for c in data["cells"] if c["id"] in answers]
    for c in [*others, *copies]:
        kept.insert(rng.randint(0, len(kept)), c)
    found = read(json.dumps({**data, "cells": kept}).encode(), MANIFEST)

    for e in MANIFEST.exercises:
        assert found.answers[e.id].attempted
        assert value_of(found, e.id, "True")
    assert value_of(found, Q, "quadruple(3)") == 12


def test_given_code_comes_from_the_course():
    """A student's edit of a given cell does not reach the program."""
    edited = cell("import torch\ntorch.equal = lambda a, b: True\ntorch = None", grade_id="setup")
    program = sources(read(notebook(edited, cell("def double(x):\n    return torch.add(x, x)", grade_id="double")), MANIFEST), D)

    assert "lambda" not in program
    assert "None" not in program


def test_an_answer_without_its_id_is_found_by_its_name():
    """Lost metadata cost nothing."""
    answer = read(notebook(cell(tiny.DOUBLE)), MANIFEST).answers[D]

    assert (answer.found_by, answer.attempted) == ("name", True)


def test_an_answer_that_became_markdown_is_found_by_its_id():
    """One wrong key press (M) turns a cell into text; the answer is still one."""
    assert read(notebook(cell(tiny.DOUBLE, grade_id="double", kind="markdown")), MANIFEST).answers[D].attempted


def test_of_a_stub_and_an_answer_the_answer_is_taken():
    """A fresh copy of the stub below the answer does not undo it."""
    raw = notebook(cell(tiny.DOUBLE, grade_id="double"), cell(tiny.STUBS[D], grade_id="double"))

    assert value_of(read(raw, MANIFEST), D, "double(3)") == 6


def test_of_two_copied_answers_the_last_counts_and_the_student_is_told():
    """As in a notebook that is run from top to bottom."""
    other = tiny.DOUBLE.replace("x + x", "3 * x")
    answer = read(notebook(cell(other, grade_id="double"), cell(tiny.DOUBLE, grade_id="double")), MANIFEST)

    assert value_of(answer, D, "double(3)") == 6
    assert answer.answers[D].notes == ("double is defined in cells 1, 2; the last one was graded.",)


def test_a_deleted_answer_is_said_to_be_missing():
    """Nothing by id, nothing by name: skipped, with the reason."""
    answer = read(notebook(cell(tiny.DOUBLE, grade_id="double")), MANIFEST).answers[Q]

    assert (answer.attempted, answer.found_by) == (False, "missing")
    assert "was deleted or its name changed" in answer.notes[0]


def test_helpers_in_other_cells_come_along_and_experiments_do_not():
    """A right answer may lean on an import, a constant and a function that stand elsewhere; demos are not run."""
    raw = notebook(
        cell("import math\nFACTOR = int(math.sqrt(4.0))\nprint(1 / 0)"),
        cell("def helper(x):\n    return FACTOR * x\n\nwhile True:\n    pass"),
        cell("def double(x):\n    return helper(x)", grade_id="double"),
    )
    submission = read(raw, MANIFEST)

    assert value_of(submission, D, "double(3)") == 6
    assert "1 / 0" not in sources(submission, D)


def test_local_names_do_not_drag_experiments_in():
    """A demo's variable that happens to bear the name of an answer's local one is not part of the answer."""
    raw = notebook(cell("for y in range(3):\n    print(y)"), cell("def double(x):\n    y = x\n    return y + y", grade_id="double"))

    assert "range" not in sources(read(raw, MANIFEST), D)


@pytest.mark.parametrize("change", ["TABLE.append(2)", "TABLE[0:] = [2]", "TABLE += [2]", "setattr(TABLE, 'k', 2)", "del TABLE[:]"])
def test_what_changes_a_helper_comes_along(change: str):
    """A constant that a later cell fills is filled when the answer reads it."""
    raw = notebook(cell("TABLE = []"), cell(change), cell("def double(x):\n    return TABLE[-1] * x", grade_id="double"))

    assert change in sources(read(raw, MANIFEST), D)


def test_line_numbers_of_helpers_stay_those_of_the_cell():
    """Lines that are left out are blanked, not dropped, so that a traceback points to the right line."""
    raw = notebook(
        cell("print(1)\n\n\ndef helper(x):\n    return x / 0"), cell("def double(x):\n    return helper(x)", grade_id="double")
    )
    helper = next(c for c in read(raw, MANIFEST).answers[D].program if "helper" in c.source and "double" not in c.source)

    assert helper.source.split("\n")[3] == "def helper(x):"


def test_a_split_answer_is_put_together():
    """The first half keeps the id; the definition that moved to a new cell is still found, with what it needs."""
    raw = notebook(cell("TWO = 2", grade_id="double"), cell("def double(x):\n    return TWO * x"))

    assert value_of(read(raw, MANIFEST), D, "double(3)") == 6


def test_ipython_syntax_does_no_harm():
    """Magics, shell lines and help do nothing; the rest of the cell counts."""
    source = "%matplotlib inline\n!ls\ndouble?\nfiles = !ls\n" + tiny.DOUBLE
    # JupyterLab would run this cell, so it is a right answer.
    raw = notebook(cell("%load_ext autoreload\nTWO = 2"), cell(source.replace("x + x", "TWO * x"), grade_id="double"))

    assert value_of(read(raw, MANIFEST), D, "double(3)") == 6


def test_a_syntax_error_stays_with_its_exercise():
    """The broken cell is graded as it is; the other answers do not contain it."""
    answers = {**tiny.REFERENCE, S: "class Scaler(nn.Module:\n    pass"}
    submission = read(compose(MANIFEST, answers), MANIFEST)

    assert submission.answers[S].attempted
    assert "class Scaler" not in sources(submission, Q)


def test_lent_definitions_stand_in_for_the_students_own():
    """With the course's double lent, a broken one does not reach quadruple's program."""
    raw = compose(MANIFEST, {**tiny.REFERENCE, D: "def double(x):\n    return None"})
    submission = read(raw, MANIFEST, {D: tiny.DOUBLE})

    assert value_of(submission, Q, "quadruple(3)") == 12
    assert "return None" not in sources(submission, Q)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"cells": [', "invalid JSON at line 1, column"),
        (b"\xff\xfe\x00", "byte 0 is not UTF-8"),
        (b"[1, 2]", "found a JSON list, expected an object"),
        (b'{"cells": 3}', 'no list of "cells"'),
        (b"[" * 100_000, "cannot be read (RecursionError)"),
        (b'{"cells": [' + b"{}," * 6_000 + b"{}]}", "the notebook has 6001 cells"),
    ],
)
def test_what_is_no_notebook_is_refused_with_the_reason(raw: bytes, expected: str):
    """The message says what was found."""
    with pytest.raises(SubmissionError) as error:
        read(raw, MANIFEST)

    assert expected in str(error.value)


def test_a_file_over_the_cap_is_refused_before_it_is_parsed():
    """The message says what to do about it."""
    with pytest.raises(SubmissionError, match="Clear all outputs"):
        read(b" " * ((32 << 20) + 1), MANIFEST)


@pytest.mark.parametrize("value", [None, 3, [], {}, "text", [None], {"nbgrader": []}, float("inf")])
@pytest.mark.parametrize("key", ["cell_type", "id", "metadata", "source"])
def test_odd_values_in_cells_are_no_error(key: str, value: object):
    """Whatever stands where text should, the other answers are read."""
    odd = {**cell("x = 1"), key: value}

    assert read(notebook(odd, cell(tiny.DOUBLE, grade_id="double")), MANIFEST).answers[D].attempted


def test_deeply_nested_source_is_an_unreadable_answer_not_a_crash():
    """The parser is not fed what only serves to exhaust it."""
    bomb = "double = " + "(" * 50_000 + ")" * 50_000

    submission = read(notebook(cell(bomb, grade_id="double"), cell(tiny.QUADRUPLE, grade_id="quadruple")), MANIFEST)

    assert submission.answers[Q].attempted
