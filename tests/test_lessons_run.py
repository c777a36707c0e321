"""Every lesson as its reader meets it: it runs, its checks tell right from wrong, and every exercise is complete.

Assignments of course.toml, and those that are tested before they are in it: they have a module in tests/lesson_output.
`make test` runs a sample of the lessons, drawn anew for every commit; BOOTCAMP_TEST_ALL=1 (`make test-all`) runs them all.
"""

from __future__ import annotations

import ast
import importlib
import re
from typing import Any

import pytest

from autograder.course import load, short_name
from tests.lesson_world import HINT, LESSON_CPU_S, ROOT, lesson, names_of, without_hints, words
from tests.sample import SEED, sampled

TESTED = [p.stem for p in sorted((ROOT / "tests" / "lesson_output").glob("[a-z]*.py"))]
IDS = list(dict.fromkeys([a.id for a in load(ROOT)] + TESTED))
SAMPLE = sampled(IDS, 2)
EXERCISES = [(a, name) for a in IDS for name in lesson(a).exercises]
NO_TRAP = [("t1_attention", "RMSNorm"), ("t1_attention", "param_count")]  # cards that warn of none
YEAR = r"\b(?:19|20)\d\d\b"
every_lesson = pytest.mark.parametrize("assignment", IDS)
every_exercise = pytest.mark.parametrize(("assignment", "name"), EXERCISES, ids=[f"{a}-{n}" for a, n in EXERCISES])


def test_every_assignment_says_what_its_experiments_show():
    """A lesson whose numbers nobody compares with its prose drifts away from it."""
    assert sorted(IDS) == TESTED, "write tests/lesson_output/<id>.py with check(stdout)"


@pytest.mark.slow
@every_lesson
def test_the_whole_lesson_runs_on_the_reference(assignment):
    """An author and a student can run everything, offline, without a screen, on one core; the prose says what it shows."""
    if assignment not in SAMPLE:
        pytest.skip(f"not in the sample that is drawn from {SEED!r}; BOOTCAMP_TEST_ALL=1 runs every lesson")
    assert LESSON_CPU_S == 60

    importlib.import_module(f"tests.lesson_output.{assignment}").check(lesson(assignment).run())


# -- visible checks --------------------------------------------------------------------------------------------------------


@every_exercise
def test_the_reference_passes_and_a_stub_fails_every_visible_check(assignment, name, capsys):
    """A check takes the imported names in the import's order; all is well in one short line, never before anything is written."""
    its = lesson(assignment)
    its.visible(name)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("ok  ")

    def stub(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        its.visible(name, **dict.fromkeys(names_of(its.exercises[name]), stub))


@every_exercise
def test_visible_checks_accept_every_right_answer(assignment, name):
    """What the hidden checks accept, the visible ones do not scold: neither may ask for one way of writing it."""
    scolded = {}
    others = lesson(assignment).variants(name, right=True)
    for variant in others:
        try:
            lesson(assignment).visible_of(variant)
        except Exception as e:
            scolded[variant.label] = f"{type(e).__name__}: {e}"

    assert scolded == {}
    assert len(others) >= 2, "two right answers of another kind, at least"


# -- the prose -------------------------------------------------------------------------------------------------------------


@every_lesson
def test_points_sum_to_a_hundred(assignment):
    """Whatever else is in a notebook is a bonus and gives none."""
    assert sum(lesson(assignment).points.values()) == 100


@every_lesson
def test_the_prose_can_be_read_in_half_an_hour(assignment):
    """3,000 to 5,000 words, the folded hints apart: they are looked up, not read."""
    assert 3000 <= words(without_hints(lesson(assignment).texts)) <= 5000


@every_lesson
def test_the_lesson_says_why_how_long_and_what_next(assignment):
    """Safety, time, what comes before and after, pair work, a stretch exercise, further reading with a year each."""
    prose = "\n\n".join(lesson(assignment).texts)
    (why,) = re.findall(r"^## Why this matters for AI safety\n\n(.+?)(?=\n## |\Z)", prose, re.DOTALL | re.MULTILINE)
    assert 100 <= words(why) <= 500
    for part in (
        r"**Time.**",
        r"**Before.**",
        r"**After.**",
        r"**In pairs.**",
        "**After this notebook you can**",
        "\n## Stretch\n",
    ):
        assert part in prose, part
    (reading,) = re.findall(r"^## Further reading\n\n(.+)", prose, re.DOTALL | re.MULTILINE)
    books = re.split(r"^- ", reading, flags=re.MULTILINE)[1:]
    assert len(books) >= 3
    assert [b for b in books if not re.search(YEAR, b)] == []


@every_lesson
def test_the_prose_names_only_lessons_of_the_course(assignment):
    """A reader who is sent to T3 looks for it."""
    named = set(re.findall(r"\b[FTIRC]\d\b", "\n\n".join(lesson(assignment).texts)))

    assert named - {short_name(a.id) for a in load(ROOT)} == set()


@every_exercise
def test_every_exercise_has_its_card_and_three_hints(assignment, name):
    """Dots, minutes, objective, source with a year, a question for pairs; the last hint is pseudo-code."""
    cell, card = lesson(assignment).exercises[name], lesson(assignment).card(name)
    assert cell.options is not None
    for n in names_of(cell):
        assert re.search(rf"### Exercise \d+: .*`{n}`", card)
    dots = "●" * cell.options.difficulty + "○" * (5 - cell.options.difficulty)
    weight = "●" * cell.options.importance + "○" * (5 - cell.options.importance)
    assert f"- Difficulty {dots} · importance {weight} · about {cell.options.minutes} minutes" in card
    assert re.search(r"- \*\*Objective:\*\* \w", card)
    assert re.search(rf"- \*\*Source:\*\* (?:.|\n  )*{YEAR}", card)
    assert re.search(r"- \*\*Navigator asks:\*\* \w", card)
    hints = re.findall(HINT, card, flags=re.DOTALL)
    assert [number for number, _ in hints] == ["1", "2", "3"]
    assert ["```" in text for _, text in hints] == [False, False, True]
    assert max(map(len, hints[2][1].splitlines())) <= 100, "the page is not wider: what is indented would wrap"
    assert "**Gotcha.**" in card or (assignment, name) in NO_TRAP


@every_exercise
def test_every_exercise_ends_in_an_experiment_with_a_prediction(assignment, name):
    """Text with the question, a cell for the guess, then the experiment, then what to take away."""
    cells = lesson(assignment).cells
    at = cells.index(lesson(assignment).exercises[name])
    assert re.search(r"### Experiment[^\0]+\*\*Predict\s+first:\*\*", cells[at + 1].source)
    assert cells[at + 2].source.startswith("prediction = ")
    assert [c.kind for c in cells[at + 1 : at + 5]] == ["text", "demo", "demo", "text"]
    assert "What to take away" in cells[at + 4].source or not lesson(assignment).points[name]


@every_lesson
def test_exercises_and_experiments_come_in_pairs(assignment):
    """As many experiments as exercises: none without a question before it."""
    its = lesson(assignment)
    assert sum("### Experiment" in text for text in its.texts) == len(its.exercises)


@every_lesson
def test_an_exercise_uses_only_what_stands_above_it(assignment):
    """A student who works from top to bottom can run every check."""
    its, there = lesson(assignment), set[str]()
    order = {n for cell in its.exercises.values() for n in names_of(cell)}
    for cell in its.exercises.values():
        there |= set(names_of(cell))
        for name in names_of(cell):
            used = {n.id for n in ast.walk(its.definitions[name]) if isinstance(n, ast.Name)} & order
            assert used <= there, f"{name} uses {used - there}, which comes later"


@every_lesson
def test_no_answer_stands_in_what_students_get(assignment):
    """Hints and checks may describe a line of the reference, never contain it."""
    its = lesson(assignment)
    shipped = "\n".join(its.texts) + (its.folder / "checks.py").read_text("utf-8")
    asked = [n for cell in its.exercises.values() for n in names_of(cell)]  # what is given is shipped as it is
    nodes = [n for name in asked for n in ast.walk(its.definitions[name])]
    lines = {ast.unparse(n) for n in nodes if isinstance(n, (ast.Assign, ast.AugAssign, ast.Return))}

    assert [line for line in lines if len(line) >= 24 and line in shipped] == []


@every_lesson
def test_pictures_are_fresh_described_and_all_used(assignment):
    """data/pictures.py makes every picture byte for byte; every one is shown, with a text in its place for who cannot see it."""
    its = lesson(assignment)
    shown = re.findall(r"!\[([^\]]*)\]\(data/([^)]+)\)", "\n".join(its.texts))

    assert {p.name: p.read_text("utf-8") for p in (its.folder / "data").glob("*.svg")} == its.pictures
    assert {file for _, file in shown} == set(its.pictures)
    assert all(len(text) > 30 for text, _ in shown)
