"""A lesson that cannot become a notebook is refused, with the file, the line, and what to write instead."""

from __future__ import annotations

import pytest

from autograder.authoring.build import instructor_notebook
from autograder.authoring.plan import slug_of
from autograder.errors import BootcampError, CourseError
from tests.small_course import CHECKS, LESSON, SOLUTION, write_course

EXERCISE = 'points=4 minutes=5 difficulty=1 importance=5 title="A total"\n'
IMPORT = "from solutions.s1_sums import "


@pytest.mark.parametrize(
    ("name", "slug"),
    [("causal_mask", "causal_mask"), ("MultiHeadAttention", "multi_head_attention"), ("RMSNorm", "rms_norm"), ("GPT", "gpt")],
)
def test_a_slug_is_the_name_in_snake_case(name, slug):
    """Exercise ids and the names of visible checks derive from it."""
    assert slug_of(name) == slug


CASES = {
    "the name is not defined in the solution": (
        {"lesson": LESSON.replace("import total", "import totals")},
        'lesson.py:14: "totals" is not defined in {solution}. Did you mean "total"?',
    ),
    "the exercise stands twice": (
        {"lesson": LESSON + f"# %% exercise {EXERCISE}{IMPORT}total\n"},
        'lesson.py:30: exercise "total" stands twice; the first is at line 13.',
    ),
    "a name stands in two exercises": (
        {
            "lesson": LESSON + f"# %% exercise {EXERCISE}{IMPORT}span, high\n",
            "solution": SOLUTION + "\ndef span(values):\n    return 1\n",
            "checks": CHECKS + "def check_span(f): ...\n",
        },
        'lesson.py:30: exercise "high" stands twice; the first is at line 25.',
    ),
    "the points are not positive": (
        {"lesson": LESSON.replace("points=4", "points=0")},
        "lesson.py:13: points=0: expected more than 0. Only a bonus exercise (bonus=true) has 0.",
    ),
    "the visible check is missing": (
        {"checks": CHECKS.replace("check_total", "check_totals")},
        'lesson.py:13: {checks} defines no check_total. Did you mean "check_totals"?',
    ),
    "there are no visible checks": (
        {"checks": None},
        "checks.py: not found. Every exercise needs a visible check there.",
    ),
    "the checks import what students lack": (
        {"checks": "from autograder.grading import checks\n" + CHECKS},
        'checks.py:1: imports "autograder.grading", which students do not have.',
    ),
    "an exercise does more than import": (
        {"lesson": LESSON.replace("import total\n", "import total\nprint(total)\n")},
        "lesson.py:14: expected one import: from solutions.s1_sums import <name>. Other code of an exercise belongs into a "
        "setup or demo cell.",
    ),
    "an exercise renames": (
        {"lesson": LESSON.replace("import total\n", "import total as t\n")},
        "lesson.py:14: import each name as it is: no star, no other name.",
    ),
    "a demo imports the solution": (
        {"lesson": LESSON.replace("print(total", f"{IMPORT}low\nprint(total")},
        "lesson.py:17: a demo cell imports a solution, which students do not have. Expected: from solutions.s1_sums import "
        "<name>, in a setup or exercise cell.",
    ),
    "there is no exercise": (
        {"lesson": "# %% setup\nx = 1\n"},
        'lesson.py: no exercise in it. Expected at least one cell "# %% exercise ...".',
    ),
    "the solution is not Python": (
        {"solution": SOLUTION + "x = (\n"},
        "solutions/s1_sums.py:57: not valid Python: '(' was never closed.",
    ),
    "the solution has a marker": (
        {"solution": SOLUTION.replace("# An empty", "# BEGIN SOLUTION An empty")},
        'solutions/s1_sums.py:18: "BEGIN SOLUTION" is a phrase that nbgrader acts on, wherever it stands. Write it differently.',
    ),
    "the solution does not exist": (
        {"solution": None},
        "lesson.py: its solution {solution} does not exist. Every exercise is an import from there.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_of_the_author_is_named(tmp_path, case):
    """File, line, what was found, what was expected."""
    replaced, message = CASES[case]
    course = write_course(tmp_path, **replaced)
    (assignment,) = course
    with pytest.raises(CourseError) as e:
        instructor_notebook(assignment)
    paths = {"solution": assignment.solution, "checks": assignment.folder / "checks.py"}
    expected = message.format(**paths)
    root = tmp_path if expected.startswith("solutions") else assignment.folder
    assert str(e.value) == f"{root}/{expected}"


def test_an_unknown_assignment_is_named(tmp_path):
    """With the one that was probably meant, and all there are."""
    course = write_course(tmp_path)
    with pytest.raises(BootcampError) as e:
        course.assignment("s1_sum")
    assert str(e.value) == 'unknown assignment "s1_sum". Did you mean "s1_sums"? The course has: s1_sums.'
