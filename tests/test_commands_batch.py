"""Finding notebooks: whose is it, which assignment is it, and what if neither can be told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autograder.commands.batch import find_entries
from autograder.course import Course
from autograder.errors import BootcampError
from tests import tiny

RAW = tiny.notebook(tiny.cell(tiny.DOUBLE, grade_id="double"))


def put(path: Path, raw: bytes = RAW) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path


def test_nbgraders_layout_says_whose_and_which(tiny_course: Course, tmp_path: Path):
    """submitted/STUDENT/ASSIGNMENT/NAME.ipynb."""
    put(tmp_path / "submitted" / "ada" / "x1_tiny" / "x1_tiny.ipynb")
    (entry,) = find_entries(tiny_course, [tmp_path / "submitted"])

    assert (entry.student, entry.assignment, entry.problem) == ("ada", "x1_tiny", "")


def test_a_plain_file_is_named_after_its_student(tiny_course: Course, tmp_path: Path):
    """With one assignment in the course it can only be this one."""
    (entry,) = find_entries(tiny_course, [put(tmp_path / "bela.ipynb")])

    assert (entry.student, entry.assignment) == ("bela", "x1_tiny")


def test_checkpoints_are_not_submissions(tiny_course: Course, tmp_path: Path):
    """JupyterLab's own copies are left out, and no file is taken twice."""
    path = put(tmp_path / "bela.ipynb")
    put(tmp_path / ".ipynb_checkpoints" / "bela-checkpoint.ipynb")

    assert [e.path for e in find_entries(tiny_course, [tmp_path, path])] == [path]


def test_a_link_is_not_followed(tiny_course: Course, tmp_path: Path):
    """A student's link to someone else's file is not read."""
    secret = put(tmp_path / "elsewhere" / "secret.ipynb")
    link = tmp_path / "inbox" / "ada.ipynb"
    link.parent.mkdir()
    link.symlink_to(secret)
    (entry,) = find_entries(tiny_course, [link.parent])

    assert "not a regular file" in entry.problem
    assert entry.raw == b""


def test_a_pipe_is_not_waited_for(tiny_course: Course, tmp_path: Path):
    """A device in the inbox does not stop the batch."""
    os.mkfifo(tmp_path / "ada.ipynb")
    (entry,) = find_entries(tiny_course, [tmp_path])

    assert "not a regular file" in entry.problem


def test_no_notebook_at_all_is_an_error(tiny_course: Course, tmp_path: Path):
    """An empty folder is a slip of the instructor's."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(BootcampError, match=r"no notebook \(\*\.ipynb\) in"):
        find_entries(tiny_course, [tmp_path / "empty"])
    with pytest.raises(BootcampError, match="not found"):
        find_entries(tiny_course, [tmp_path / "nowhere"])


def test_one_student_cannot_own_two_notebooks(tiny_course: Course, tmp_path: Path):
    """--student with a folder of many would enrol one person for all."""
    put(tmp_path / "a.ipynb")
    put(tmp_path / "b.ipynb")
    with pytest.raises(BootcampError, match="--student names one person, but there are 2 notebooks"):
        find_entries(tiny_course, [tmp_path], student="ada")


def test_an_unknown_assignment_is_named_before_anything_runs(tiny_course: Course, tmp_path: Path):
    """A misspelt option is an error, not 300 problems."""
    with pytest.raises(BootcampError, match='Did you mean "x1_tiny"'):
        find_entries(tiny_course, [put(tmp_path / "a.ipynb")], assignment="x1_tin")


def test_a_name_that_cannot_be_a_folders_stops_nobody_else(tiny_course: Course, tmp_path: Path):
    """The one file is named, with what is wrong with the name; the others are graded."""
    put(tmp_path / "a[b].ipynb")
    put(tmp_path / "bela.ipynb")
    bad, good = find_entries(tiny_course, [tmp_path])

    assert "it contains '[' ']'" in bad.problem
    assert good.problem == ""
