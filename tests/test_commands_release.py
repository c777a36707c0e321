"""`bootcamp check` and `bootcamp release` together: what the gate has passed goes out, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.commands import check, release
from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Ledger
from tests import tiny


@pytest.fixture
def home(tmp_path: Path) -> Home:
    tiny.write(tmp_path)
    (tmp_path / "release" / tiny.ASSIGNMENT / f"{tiny.ASSIGNMENT}.ipynb").write_text('{"cells": []}')
    return Home.from_env({"BOOTCAMP_HOME": str(tmp_path / "var")}, tmp_path)


def run(command, home: Home, *words: str):
    return CliRunner().invoke(command, list(words), obj=home)


def test_the_gate_opens_the_way_and_an_edit_closes_it(home: Home) -> None:
    """Refused, checked, released, edited, refused; withdrawn at the end."""
    assert isinstance(run(release.command, home, tiny.ASSIGNMENT).exception, BootcampError)
    assert run(check.command, home, tiny.ASSIGNMENT, "--workers", "1", "--seeds", "2").exit_code == 0
    assert "has not passed the gate here" in str(run(release.command, home, tiny.ASSIGNMENT).exception)

    assert run(check.command, home, tiny.ASSIGNMENT, "--workers", "1", "--seed", "abc").exit_code == 0
    out = run(release.command, home, tiny.ASSIGNMENT)
    assert out.exit_code == 0, out.exception
    assert "1 files released; gate passed" in out.output
    assert "with 20 seeds of abc" in out.output
    assert json.loads((home.path / "gate" / f"{tiny.ASSIGNMENT}.json").read_text())["n_seeds"] == 20

    hidden = home.course_root / "assignments" / tiny.ASSIGNMENT / "hidden.py"
    hidden.write_text(hidden.read_text() + "\n# edited\n")
    assert "have changed since the gate passed" in str(run(release.command, home, tiny.ASSIGNMENT).exception)
    assert "withdrawn" in run(release.command, home, tiny.ASSIGNMENT, "--withdraw").output
    with Ledger.open(home.ledger_url) as ledger:
        kinds = [e.kind for e in ledger.events()]
    assert kinds == ["assignment.released", "assignment.withdrawn"]


def test_a_fault_takes_the_stamp_away(home: Home) -> None:
    """Also the stamp of a longer run before; and a part of the gate stamps nothing."""
    assert run(check.command, home, tiny.ASSIGNMENT, "--workers", "1", "--only", "double").exit_code == 0
    assert not (home.path / "gate").exists()
    assert run(check.command, home, tiny.ASSIGNMENT, "--workers", "1").exit_code == 0
    assert (home.path / "gate" / f"{tiny.ASSIGNMENT}.json").exists()
    mutants = home.course_root / "assignments" / tiny.ASSIGNMENT / "mutants.py"
    mutants.write_text(mutants.read_text().replace("return x * x", "return 2 * x"))

    assert run(check.command, home, tiny.ASSIGNMENT, "--workers", "1", "--seeds", "2").exit_code == 1
    assert not (home.path / "gate" / f"{tiny.ASSIGNMENT}.json").exists()


def test_an_unknown_name_releases_nothing(home: Home) -> None:
    """All names are looked at first."""
    assert "unknown assignment" in str(run(release.command, home, tiny.ASSIGNMENT, "x2_none").exception)
