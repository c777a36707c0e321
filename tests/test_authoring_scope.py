"""A name is used only where the notebook has defined it, and what an exercise builds on is known."""

from __future__ import annotations

import pytest

from autograder.authoring.build import instructor_notebook
from autograder.authoring.lesson import read_lesson
from autograder.authoring.plan import plan, read_solution
from autograder.authoring.scope import uses
from autograder.errors import CourseError
from tests.small_course import LESSON, SOLUTION, write_course

EXERCISE = "# %% exercise"
MEAN = LESSON[LESSON.index("# %% exercise points=5") : LESSON.index("# %%\nRunning")]


def error_of(tmp_path, **replaced):
    (assignment,) = write_course(tmp_path, **replaced)
    with pytest.raises(CourseError) as e:
        instructor_notebook(assignment)
    return str(e.value).removeprefix(f"{assignment.folder}/").replace(str(tmp_path), "")


def test_a_demo_may_not_run_ahead(tmp_path):
    """The message names the cell that defines the name."""
    text = LESSON.replace("print(total([1, 2, 3])", "print(low([1, 2, 3])")

    assert error_of(tmp_path, lesson=text) == (
        'lesson.py:17: a demo cell uses "low" before it is defined; it is defined in the cell at line 25. Move that up.'
    )


def test_an_answer_may_not_call_a_later_one(tmp_path):
    """Its own visible check would fail for a student who did everything right."""
    text = MEAN.join(["", ""]) + LESSON.replace(MEAN, "")
    text = text.replace(MEAN, "# %% setup\nfrom dataclasses import dataclass\n" + MEAN)

    assert error_of(tmp_path, lesson=text) == (
        'lesson.py:3: exercise "running_mean" (/solutions/s1_sums.py) uses "total" before it is defined; it is defined in the cell '
        "at line 18. Move that up."
    )


def test_an_answer_may_not_need_what_students_do_not_get(tmp_path):
    """A helper of the solution is either given or asked for."""
    text = SOLUTION.replace("return sum(values)", "return add(values)") + "\n\ndef add(values):\n    return sum(values)\n"

    assert error_of(tmp_path, solution=text) == (
        'lesson.py:13: exercise "total" (/solutions/s1_sums.py) uses "add" before it is defined; no cell defines it. '
        "/solutions/s1_sums.py does: import it in a setup cell, or make it an exercise."
    )


def test_given_code_may_not_use_an_unknown_name(tmp_path):
    """The line is that of the lesson, unless the cell was spliced: then it is the header's."""
    assert error_of(tmp_path, lesson=LESSON.replace("LIMIT = 10", "LIMIT = most")).startswith(
        'lesson.py:5: a setup cell uses "most"'
    )
    text = LESSON + "# %% setup\nLIMIT = 3\n\nMORE = most\n"
    assert error_of(tmp_path, lesson=text) == (
        'lesson.py:33: a setup cell uses "most" before it is defined; no cell defines or imports it. Do so in a setup cell above.'
    )


def test_given_functions_may_call_what_is_solved_later(tmp_path):
    """A function's names are needed when it is called, not where it stands."""
    (assignment,) = write_course(tmp_path, lesson=LESSON.replace("LIMIT = 10", "LIMIT = 10\ndef show():\n    print(low([1]))"))

    assert instructor_notebook(assignment)


def test_uses_are_found_directly_and_through_given_code(tmp_path):
    """An exercise that calls a given function needs what that function calls; in the order of the course."""
    text = LESSON.replace("LIMIT = 10", "LIMIT = 10\ndef clip(x):\n    return max(low([x]), total([x]))")
    solution = SOLUTION.replace("while n:", "while clip(n):")
    (assignment,) = write_course(tmp_path, lesson=text, solution=solution)
    lesson = read_lesson(assignment.folder / "lesson.py")
    found = plan(assignment.id, lesson, read_solution(assignment.solution, lesson.path), assignment.folder / "checks.py")

    assert uses(found) == {
        "s1_sums.total": (),
        "s1_sums.running_mean": ("s1_sums.total",),
        "s1_sums.low": (),
        "s1_sums.countdown": ("s1_sums.total", "s1_sums.low"),
    }
