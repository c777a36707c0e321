"""course.toml: what is wrong is named with its file, its line, what was found and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course import load
from autograder.errors import BootcampError, CourseError

GOOD = """title = "T"

[grading]
require_tier = "B"

[[assignment]]
id = "f1_tensors"
title = "Tensors"
track = "foundations"
week = 1

[[assignment]]
id = "t1_attention"
title = "Attention"
track = "transformers"
week = 2
requires = ["f1_tensors"]
due = 2027-01-31T23:59:00+00:00
"""


def course(tmp_path: Path, text: str):
    (tmp_path / "assignments").mkdir(exist_ok=True)
    (tmp_path / "assignments" / "course.toml").write_text(text)
    return load(tmp_path)


def test_a_good_file_is_read(tmp_path: Path):
    """Order, prerequisites and the tier required arrive."""
    found = course(tmp_path, GOOD)

    assert [a.id for a in found] == ["f1_tensors", "t1_attention"]
    assert (found.require_tier, found.assignments[1].requires) == ("B", ("f1_tensors",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("require_tier", "requir_tier", '4: unknown key "grading.requir_tier". Did you mean "require_tier"?'),
        ('"B"', '"Z"', "4: grading.require_tier: found 'Z'. Input should be 'A', 'B', 'C' or 'D'"),
        ("week = 2", "weak = 2", '16: unknown key "assignment.1.weak". Did you mean "week"? Expected one of: id, title'),
        ("week = 2", "week = 0", "16: assignment.1.week: found 0."),
        ("week = 2\n", "", '12: "assignment.1.week" is missing.'),
        (
            "title = ",
            "titel = ",
            '1: unknown key "titel". Did you mean "title"? Expected one of: title, grading, late, assignment, extension.',
        ),
        ('"t1_attention"', '"f1_tensors"', '12: assignment "f1_tensors" stands twice; the first is at line 6.'),
        ('["f1_tensors"]', '["f1_tensor"]', 'requires "f1_tensor", which no earlier assignment has. Did you mean "f1_tensors"?'),
        ('["f1_tensors"]', '["t1_attention"]', '12: "t1_attention" requires "t1_attention", which no earlier assignment has'),
        ("week = 2", "week = ", "16: not valid TOML"),
        ("2027-01-31T23:59:00+00:00", "2027-01-31T23:59:00", "18: assignment.1.due: found datetime"),
        ('"t1_attention"', '"T1 Attention"', "13: assignment.1.id: found 'T1 Attention'."),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str):
    """File, line, what was found, what was expected."""
    assert GOOD.count(old) >= 1
    with pytest.raises(CourseError) as error:
        course(tmp_path, GOOD.replace(old, new, 1))

    assert message in str(error.value)


def test_an_unknown_assignment_names_the_near_one(tmp_path: Path):
    """A slip of the keyboard is answered with the word that was meant."""
    with pytest.raises(BootcampError, match=r'unknown assignment "t1_atention"\. Did you mean "t1_attention"\?'):
        course(tmp_path, GOOD).assignment("t1_atention")


def test_an_unbuilt_assignment_says_what_to_run(tmp_path: Path):
    """Without a release there is nothing to grade, and the message says how to get one."""
    with pytest.raises(CourseError, match="Run: bootcamp build t1_attention"):
        course(tmp_path, GOOD).assignment("t1_attention").manifest()


def test_no_course_here(tmp_path: Path):
    """The message says where it looked and what to do."""
    with pytest.raises(CourseError, match="Run this in the course's folder"):
        load(tmp_path)
