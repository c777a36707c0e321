"""The authoring guide's example is a working assignment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autograder.authoring.build import build
from autograder.course import Course, load, short_name
from autograder.grading.gate import run_gate
from tests.lesson_world import ROOT, lesson, without_hints, words

README = Path(__file__).parents[1] / "assignments" / "README.md"


@pytest.fixture
def example(tmp_path: Path) -> Course:
    """The files that the guide prints, on disk under the names that it gives them."""
    found = re.findall(r"[Ii]n\s`([\w/.]+)`:\n\n```\w+\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL)
    assert [name.split("/")[-1] for name, _ in found] == [
        "course.toml",
        "x1_padding.py",
        "lesson.py",
        "checks.py",
        "hidden.py",
        "mutants.py",
    ]
    for name, text in found:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return load(tmp_path)


def test_the_example_is_built_and_passes_the_gate(example):
    """What an author copies from the guide works: it builds, and its checks accept and reject what they should."""
    (built,) = build(example, example.root / "release")
    (found,) = run_gate(example.root, "x1_padding", b"readme", 5, 1)

    assert (built.n_exercises, built.points) == (1, 4)
    assert found.faults == ()
    assert sorted(v.label for v in found.variants) == ["a loop", "one position too many", "subtracts in place"]


def test_the_table_counts_what_there_is():
    """Exercises, words, scored checks, mutants and alternatives of every assignment, as the sources have them."""
    rows = re.findall(
        r"^\| ([A-Z]\d) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", README.read_text("utf-8"), flags=re.MULTILINE
    )
    found = []
    for a in load(ROOT):
        its = lesson(a.id)
        checks = [c for some in its.bundle.checks.values() for c in some if c.evidence == "verified"]
        n_mutants = sum(bool(v.caught_by) for v in its.bundle.variants)
        counts = (len(its.exercises), words(without_hints(its.texts)), len(checks), n_mutants, len(its.bundle.variants) - n_mutants)
        found.append((short_name(a.id), *map(str, counts)))

    assert rows == found
