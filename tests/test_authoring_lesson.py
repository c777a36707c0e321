"""A lesson's cells come out in order, with the line where each begins, whatever their text looks like."""

from __future__ import annotations

import pytest

from autograder.authoring.lesson import read_lesson
from autograder.errors import CourseError

SCRIPT = '''\
"""The author's own remark."""

# %% [markdown]
# # A title
# ```
# # %% not a cell
# ```

# %% setup
# cat the heads
x = """
# %% not a cell either
"""


# %%
x
# %% exercise points=1 minutes=2 difficulty=1 importance=1 title="One"
from solutions.s import one
'''


def lesson(tmp_path, text):
    path = tmp_path / "lesson.py"
    path.write_text(text, "utf-8")
    return read_lesson(path)


def test_cells_keep_their_order_kind_line_and_text(tmp_path):
    """Text that looks like a header or like a shell command stays text."""
    cells = lesson(tmp_path, SCRIPT).cells

    assert [(c.kind, c.line) for c in cells] == [("text", 3), ("setup", 9), ("demo", 16), ("exercise", 18)]
    assert cells[0].source == "# A title\n```\n# %% not a cell\n```"
    assert cells[1].source == '# cat the heads\nx = """\n# %% not a cell either\n"""'
    assert cells[3].options is not None
    assert cells[3].options.title == "One"


def test_each_line_of_code_is_where_the_cell_says(tmp_path):
    """Line n of a cell is line `line + n` of the lesson: errors point there."""
    lines = SCRIPT.split("\n")
    for cell in lesson(tmp_path, SCRIPT).cells:
        if cell.kind != "text":
            for n, text in enumerate(cell.source.split("\n"), 1):
                assert lines[cell.line + n - 1] == text


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "# %% setup",
            "# %% set-up",
            9,
            'unknown kind of cell "set-up". Did you mean "setup"? Expected one of: [markdown], setup, '
            "exercise, demo, or nothing (a demo).",
        ),
        (
            "points=1",
            "ponts=1",
            18,
            'unknown key "ponts". Did you mean "points"? Expected: points, minutes, difficulty, importance, title, bonus.',
        ),
        ("points=1", "points=0", 18, "points=0: expected more than 0. Only a bonus exercise (bonus=true) has 0."),
        (
            '"""The author\'s own remark."""',
            "import os",
            1,
            'code before the first cell. Put a header above it, such as "# %% setup".',
        ),
        (
            "# # A title",
            "# ### BEGIN SOLUTION",
            4,
            '"BEGIN SOLUTION" is a phrase that nbgrader acts on, wherever it stands. Write it differently.',
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, old, new, line, message):
    """File, line, what was found, what was expected."""
    with pytest.raises(CourseError) as e:
        lesson(tmp_path, SCRIPT.replace(old, new))
    assert str(e.value) == f"{tmp_path / 'lesson.py'}:{line}: {message}"


def test_a_missing_lesson_is_named(tmp_path):
    """An assignment without a lesson cannot be built."""
    with pytest.raises(CourseError, match=r"lesson.py: not found. Every assignment has a lesson.$"):
        read_lesson(tmp_path / "lesson.py")


def test_code_that_is_not_python_is_named_with_its_line(tmp_path):
    """The line counts from the top of the lesson, not of the cell."""
    cell = lesson(tmp_path, SCRIPT.replace("x\n# %% ex", "y = (\n# %% ex")).cells[2]
    with pytest.raises(CourseError, match=r"lesson.py:17: not valid Python: '\(' was never closed.$"):
        cell.tree(tmp_path / "lesson.py")
