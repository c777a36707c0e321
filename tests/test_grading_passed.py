"""The stamp of the gate: it is for exactly these files, and any edit takes it away."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.errors import BootcampError
from autograder.grading.passed import Stamps, key_of
from tests.small_home import ID, small_home

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return small_home(tmp_path)[0]


def stamped(course: Course, folder: Path, n_seeds: int = 20) -> Stamps:
    stamps = Stamps(folder / "gate")
    stamps.keep(course.assignment(ID), key_of(course.assignment(ID)), n_seeds, "abc", NOW)
    return stamps


def test_a_stamp_holds_while_nothing_changes(course: Course, tmp_path: Path) -> None:
    """And says which run it was."""
    stamp = stamped(course, tmp_path).check(course.assignment(ID))

    assert (stamp.n_seeds, stamp.seed, stamp.at) == (20, "abc", NOW.isoformat())


@pytest.mark.parametrize(
    "path",
    [
        f"assignments/{ID}/hidden.py",
        f"assignments/{ID}/mutants.py",
        f"solutions/{ID}.py",
        f"release/{ID}/checks.py",
        f"release/{ID}/new.txt",
    ],
)
def test_any_edit_takes_it_away(course: Course, tmp_path: Path, path: str) -> None:
    """Checks, mutants, reference, and everything that students get."""
    stamps = stamped(course, tmp_path)
    with (course.root / path).open("a") as f:
        f.write("\n# edited\n")

    with pytest.raises(BootcampError, match=rf"have changed since the gate passed.*Run: bootcamp check {ID}"):
        stamps.check(course.assignment(ID))


def test_what_never_passed_failed_later_or_ran_too_short_is_not_released(course: Course, tmp_path: Path) -> None:
    """Each says what to type."""
    assignment = course.assignment(ID)
    with pytest.raises(BootcampError, match="has not passed the gate here"):
        Stamps(tmp_path / "gate").check(assignment)
    with pytest.raises(BootcampError, match="ran 3 seeds; expected 20"):
        stamped(course, tmp_path, 3).check(assignment)
    stamps = stamped(course, tmp_path)
    stamps.drop(assignment)
    with pytest.raises(BootcampError, match="has not passed the gate here"):
        stamps.check(assignment)
    (tmp_path / "gate" / f"{ID}.json").write_text("{")
    with pytest.raises(BootcampError, match="cannot be read"):
        stamps.check(assignment)
