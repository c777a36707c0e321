"""What a worker grades with changes when everything that was edited has passed the gate, and no sooner."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from autograder.grading.edits import Edits
from autograder.grading.passed import Stamps, key_of
from tests.small_home import ID, small_home

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def test_an_edit_waits_for_its_stamp_and_is_said_once(tmp_path: Path) -> None:
    """A half-edited course.toml waits too; nothing edited is nothing to take up."""
    course, home = small_home(tmp_path)
    said: list[str] = []
    edits = Edits(course.root, home.path / "gate", said.append)
    assignment, toml = course.assignment(ID), course.root / "assignments" / "course.toml"

    assert not edits.are_fit()
    assert said == []
    with (assignment.folder / "hidden.py").open("a") as file:
        file.write("\n# mended\n")
    assert not edits.are_fit()
    assert not edits.are_fit()
    assert len(said) == 1
    assert ID in said[0]
    Stamps(home.path / "gate").keep(assignment, key_of(assignment), 20, "abc", NOW)
    whole = toml.read_text()
    toml.write_text(whole + "\n[[half")
    assert not edits.are_fit()
    assert "course.toml" in said[1]
    toml.write_text(whole)
    assert edits.are_fit()
