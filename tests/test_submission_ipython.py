"""What IPython adds to a cell does nothing; the Python around it is read, and runs, as a notebook user expects."""

from __future__ import annotations

import ast
import time

import pytest

from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.protocol import compile_cell
from autograder.submission.ipython import plain_python
from autograder.submission.names import read_code
from autograder.submission.read import read
from tests import tiny

DEF = "def double(x):\n    return x + x\n"
# A right answer beside each of these scores.
AROUND = {
    "line magics": f"%matplotlib inline\n%load_ext autoreload\n%autoreload 2\n{DEF}",
    "line magics below": f"{DEF}%timeit double(1)\n%run other.py\n%pip install einops\n",
    "shell lines": f'!pip install torch\n{DEF}!ls -la | grep "it\'s"\n!!ls\n',
    "shell lines that go on": f"!echo one \\\n  two \\\n  three\n{DEF}",
    "assigned shell": f"x = !ls\n{DEF}",
    "assigned magic": f"t = %timeit -o -n1 sum([1])\n{DEF}",
    "help": f"{DEF}double?\ndouble??\n?double\n??double\ntorch.nn.Linear?\n",
    "automagic": f"pip install einops\nload_ext autoreload\n{DEF}",
    "%%time": f"%%time\n{DEF}",
    "%%time after blank lines": f"\n\n%%time\n{DEF}",
    "%%capture over %%time": f"%%capture out\n%%time\n{DEF}",
    "a magic we do not know": f"%%memit -r 1\n{DEF}",
    "%time": f"{DEF}%time y = double(1)\nz = y + 1\n",
    "magics within blocks": f"for i in range(2):\n    %time y = i\n    !ls\n{DEF}",
    "a magic after the docstring": f'"""why?\n%time\n!ls\n"""\n%matplotlib inline\n{DEF}',
    "percent in brackets": f"n = (7\n % 4)\n!ls\n{DEF}",
    "an apostrophe in a comment": f"# don't\n!ls\n{DEF}",
    "await": f"import asyncio\nawait asyncio.sleep(0)\n{DEF}",
    "await beside a magic": f"import asyncio\n%matplotlib inline\nr = await asyncio.sleep(0, 3)\n{DEF}",
    "display and get_ipython": f"get_ipython().run_line_magic('matplotlib', 'inline')\ndisplay(3)\n{DEF}",
    "an ANSI mess of both": f"%cd /tmp\nfiles = !ls *.py\nfor f in files:\n    !cat {{f}}\n{DEF}files?\n",
}
# These are not the answer: nothing in them may run.
NOT_PYTHON = ["bash", "html", "sh", "script python", "writefile answer.py", "javascript", "latex", "!", "svg", "ruby"]


@pytest.mark.parametrize("name", AROUND)
def test_a_right_answer_beside_it_scores(name):
    """The reader finds the answer, its program compiles, and in it the answer works and nothing failed."""
    source = AROUND[name]
    cells = [tiny.cell(tiny.SETUP, cell_id="setup"), tiny.cell(source, grade_id="double", cell_id="double")]
    answer = read(tiny.notebook(*cells), tiny.manifest()).answers["x1_tiny.double"]

    assert answer.attempted
    with open_in_process(answer.program) as box:
        assert box.failures == {}
        assert box.student.fn("double")(21) == 42


@pytest.mark.parametrize("magic", NOT_PYTHON)
def test_another_language_is_not_read_as_python(magic):
    """The body of %%bash and its like does not run, even where it would be Python."""
    assert plain_python(f"%%{magic}\nboom()\n").strip() == ""
    assert plain_python(f"\n%%time\n%%{magic}\nboom()\n").strip() == ""


def names_after(source: str) -> dict:
    found: dict = {}
    exec(compile_cell(plain_python(source), "<cell>"), found)
    return {k: v for k, v in found.items() if k != "__builtins__"}


def test_what_is_bound():
    """An assigned shell command is an empty list, an assigned magic None, a timed statement itself."""
    source = "x = 1\nfiles = !ls\nt = %sql select\nu = %time x + 1\n%time y = x + 1\n"
    source += "%time %time z = 4\nif True:\n    !ls \\\n      -l\n    w = 3"
    assert names_after(source) == {"x": 1, "files": [], "t": None, "u": 2, "y": 2, "z": 4, "w": 3}


def test_signs_inside_python_are_pythons():
    """Only a line that begins a statement is a magic, whatever else in the cell has to be mended."""
    text = 's = """\n%time\n!ls\nwhy?\n"""\nx = (7\n % 4)\ny = 9 \\\n% 5\nz = "why?"\n'
    assert names_after(text) == names_after("!ls\n" + text) == {"s": "\n%time\n!ls\nwhy?\n", "x": 3, "y": 4, "z": "why?"}


def test_plain_python_stays_to_the_letter():
    """A cell that is Python comes back unchanged."""
    for source in (DEF, "x = 1  # really?", "", "\n\n", "x = '%%time'\n", "a = b'\\x00' % ()\n"):
        assert plain_python(source) == source


def test_a_syntax_error_keeps_its_line():
    """The line in the error is the line in the cell."""
    with pytest.raises(SyntaxError) as e:
        compile_cell(plain_python("%%time\n%matplotlib inline\nx = 1\ny = = 2"), "<cell>")
    assert e.value.lineno == 4


@pytest.mark.parametrize("name", sorted(set(AROUND) - {"automagic"}))  # which only a running IPython knows
def test_ipython_reads_the_same_definitions(name):
    """IPython's own reader is the standard: it finds the same names, but where a magic's text holds them."""
    from IPython.core.inputtransformer2 import TransformerManager

    source = AROUND[name]
    theirs = TransformerManager().transform_cell(source)
    called = [n for n in ast.walk(ast.parse(theirs)) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "run_cell_magic"]
    if called:
        theirs = ast.literal_eval(called[0].args[2])
        theirs = TransformerManager().transform_cell(theirs) if not theirs.startswith("%%") else theirs.split("\n", 1)[1]
    ours = read_code(source).binds
    missing = read_code(theirs).binds - ours
    assert not missing, "IPython binds what we do not"
    assert ours - read_code(theirs).binds <= {"y"}, "%time's statement is text for IPython"


@pytest.mark.parametrize(
    "source",
    [
        "!ls\n" * 100_000 + "x = = 1\n",
        "%time " * 80_000 + "x = 1\n",
        " " * 500_000 + "\n!x\n",
        "a" + " " * 500_000 + "\n!x\n",
        "a ? b\n" * 50_000 + "!x\n",
        "'''" * 150_000 + "\n!x\n",
        "!a\\\n" * 100_000,
        "pip install a\n" * 30_000,
    ],
    ids=["magics", "nested", "spaces", "spaces behind", "questions", "quotes", "backslashes", "automagic"],
)
def test_no_cell_keeps_the_reader_busy(source):
    """It runs outside of the box: the work for one cell is bounded, whatever its lines."""
    start = time.process_time()
    read_code(source)
    assert time.process_time() - start < 20, "seconds of CPU; it takes less than 3"
