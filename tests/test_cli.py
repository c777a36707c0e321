"""The command line: help is quick, slips are answered with the word that was meant, errors have no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autograder.commands import check
from autograder.course import Course

BOOTCAMP = [sys.executable, "-c", "from autograder.cli import main; main()"]


def bootcamp(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BOOTCAMP, *args], cwd=cwd, capture_output=True, text=True)


def test_help_lists_every_command(tmp_path: Path):
    """Outside a course too."""
    found = bootcamp("--help", cwd=tmp_path)

    assert found.returncode == 0
    for name in (
        "build",
        "check",
        "grade",
        "work",
        "regrade",
        "replay",
        "publish",
        "export",
        "ledger",
        "progress",
        "serve",
        "doctor",
        "demo",
        "init",
    ):
        assert f"  {name} " in found.stdout


@pytest.mark.parametrize(
    "name",
    [
        "build",
        "check",
        "grade",
        "work",
        "regrade",
        "replay",
        "publish",
        "export",
        "ledger",
        "progress",
        "serve",
        "doctor",
        "demo",
        "init",
    ],
)
def test_every_command_explains_itself(tmp_path: Path, name: str):
    """Each loads, and its help has a sentence."""
    found = bootcamp(name, "--help", cwd=tmp_path)

    assert (found.returncode, found.stderr) == (0, "")
    assert len(found.stdout.split("\n\n")[1].split()) > 5


def test_a_slip_names_the_command_that_was_meant(tmp_path: Path):
    """gade -> grade."""
    found = bootcamp("gade", cwd=tmp_path)

    assert found.returncode == 2
    assert 'no command "gade". Did you mean "grade"?' in found.stderr


def test_errors_for_people_have_no_traceback(tmp_path: Path):
    """File, line, what to do; exit status 2."""
    found = bootcamp("check", cwd=tmp_path)

    assert found.returncode == 2
    assert found.stderr.startswith("bootcamp: ")
    assert "Run this in the course's folder" in found.stderr
    assert "Traceback" not in found.stderr


def test_the_gate_refuses_an_exercise_that_is_not_there(tiny_course: Course):
    """A gate that ran nothing must not say that all is well; the answer names the exercises there are."""
    found = bootcamp("check", "x1_tiny", "--seeds", "1", "--only", "doubel", cwd=tiny_course.root)

    assert found.returncode == 2
    assert 'no exercise "doubel". There are: double' in found.stderr
    assert "Fit for release." not in found.stdout


def test_the_gate_sets_the_exit_status(tiny_course: Course):
    """0 when fit for release, 1 when not, with the reason printed."""
    args = ["check", "x1_tiny", "--seeds", "2", "--seed", "s", "--only", "double", "--workers", "1"]
    good = bootcamp(*args, cwd=tiny_course.root)
    hidden = tiny_course.assignment("x1_tiny").folder / "hidden.py"
    hidden.write_text(hidden.read_text().replace('same(student.fn("double")(x), 2 * x, "double")', "pass"))
    bad = bootcamp(*args, cwd=tiny_course.root)

    assert (good.returncode, bad.returncode) == (0, 1)
    assert "Fit for release." in good.stdout
    assert "mutant survives on 2 of 2 seeds: squares" in bad.stdout.replace("\n", " ")


def test_a_sample_of_the_gate_follows_from_its_seed(tiny_course: Course):
    """The same seed draws the same exercises, as many as asked for; another seed draws others."""
    every = [e.id for e in tiny_course.assignment("x1_tiny").manifest().exercises]
    drawn = [check.drawn(list(tiny_course), seed, 1) for seed in "abcdefgh"]

    assert all(len(ids) == 1 and set(ids) <= set(every) for ids in drawn)
    assert len(set(drawn)) > 1
    assert check.drawn(list(tiny_course), "a", 1) == drawn[0]
    assert set(check.drawn(list(tiny_course), "a", 99)) == set(every)
