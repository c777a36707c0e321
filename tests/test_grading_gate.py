"""The gate: it releases what its checks accept and reject rightly, and says of everything else what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course import Course
from autograder.errors import CourseError
from autograder.grading.bundle import load_bundle
from autograder.grading.gate import ExerciseReport, VariantReport, report, run_gate
from tests import tiny


def gate(course: Course, name: str = "double", n_seeds: int = 3) -> ExerciseReport:
    bundle = load_bundle(course.assignment(tiny.ASSIGNMENT), variants=True)
    return report(bundle, bundle.manifest.exercise(f"x1_tiny.{name}"), b"gate", n_seeds)


def edit(course: Course, file: str, old: str, new: str) -> None:
    path = course.assignment(tiny.ASSIGNMENT).folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_sound_checks_are_released(tiny_course: Course):
    """Reference and alternatives pass on every seed, mutants die, stub and senseless answers earn nothing."""
    found = list(run_gate(tiny_course.root, tiny.ASSIGNMENT, b"gate", 3, 2))

    assert len(found) == 3
    assert [r.faults for r in found] == [()] * 3
    double = next(r for r in found if r.exercise.endswith("double"))
    assert [(v.label, v.n_good, v.by) for v in double.variants] == [
        ("squares", 3, ("doubles",)),
        ("absolute value of scalars", 3, ("doubles_negative_zero_dim",)),
        ("by multiplication", 3, ()),
    ]


def test_every_draw_has_the_line_to_itself(tiny_course: Course, monkeypatch: pytest.MonkeyPatch):
    """What an answer may send is counted per grading: twenty draws in one box are twenty gradings."""
    monkeypatch.setattr("autograder.sandbox.link.MAX_RECEIVED_BYTES", 40_000)

    assert gate(tiny_course, n_seeds=20).faults == ()


@pytest.mark.parametrize(
    ("is_mutant", "n_good", "n_seeds", "is_good"),
    [
        (True, 19, 20, True),
        (True, 18, 20, False),
        (True, 1, 2, True),
        (True, 0, 2, False),
        (True, 0, 1, False),
        (True, 95, 100, True),
        (True, 94, 100, False),
        (False, 19, 20, False),
        (False, 20, 20, True),
    ],
)
def test_a_sample_is_as_lenient_with_mutants_as_the_whole_gate(is_mutant: bool, n_good: int, n_seeds: int, is_good: bool):
    """A mutant may survive 5 % of the draws, or one of a few; an alternative is accepted on every one."""
    assert VariantReport("wrong", "x.py:1", is_mutant, n_good, n_seeds, ()).is_good is is_good


def test_a_check_that_asserts_nothing_is_found(tiny_course: Course):
    """Every mutant that names it survives, and the stub earns points."""
    edit(tiny_course, "hidden.py", 'same(student.fn("double")(x), 2 * x, "double")', "pass")
    faults = gate(tiny_course).faults

    assert any("mutant survives on 3 of 3 seeds: squares" in f for f in faults)


def test_a_check_that_accepts_senseless_answers_is_found(tiny_course: Course):
    """A check that looks at the wrong thing lets a constant pass."""
    edit(tiny_course, "hidden.py", 'same(student.fn("quadruple")(x), 4 * x, "quadruple")', 'student.fn("quadruple")(x)')

    assert "an answer that always gives nothing earns points" in gate(tiny_course, "quadruple").faults


def test_a_check_that_refuses_the_reference_is_found(tiny_course: Course):
    """The report quotes the check and the seed."""
    edit(tiny_course, "hidden.py", "2 * x, ", "3 * x, ")
    faults = gate(tiny_course).faults

    assert any(f.startswith("the reference passes on 0 of 3 seeds (seed 0, doubles: fail") for f in faults)
    assert any("alternative is refused on 3 of 3 seeds: by multiplication" in f for f in faults)


def test_a_check_that_no_mutant_names_is_found(tiny_course: Course):
    """Nothing shows that such a check can fail."""
    edit(tiny_course, "mutants.py", 'caught_by="doubles_negative_zero_dim"', 'caught_by="doubles"')

    assert 'no mutant names the check "doubles_negative_zero_dim": nothing shows that it can fail' in gate(tiny_course).faults


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("hidden.py", '"x1_tiny.scaler"', '"x1_tiny.scalar"', 'check "scales" names the unknown exercise "x1_tiny.scalar"'),
        ("hidden.py", "core=True)\ndef scales", "core=False)\ndef scales", "x1_tiny.scaler has no verified core check"),
        ("hidden.py", "def doubles_negative_zero_dim", "def doubles", 'x1_tiny.double has two checks named "doubles"'),
        ("hidden.py", "import torch", "import torhc", "hidden.py:2: ModuleNotFoundError"),
        ("hidden.py", "def draw(rng, *shape):", "def draw(rng, *shape:", "hidden.py:7: SyntaxError"),
        ("hidden.py", "core=True)", "weight=0)", "hidden.py:17: ValueError: hidden('x1_tiny.double'): weight=0"),
        ("mutants.py", '("double(double(x))", "double(x)")', '("triple(x)", "x")', "'triple(x)' stands 0 times in the reference"),
        ("mutants.py", '"x1_tiny.scaler"', '"x1_tiny.scalar"', '"adds" names the unknown exercise'),
    ],
)
def test_a_broken_assignment_is_refused_with_file_and_line(tiny_course: Course, file: str, old: str, new: str, message: str):
    """An author reads where to look."""
    edit(tiny_course, file, old, new)
    with pytest.raises(CourseError) as error:
        load_bundle(tiny_course.assignment(tiny.ASSIGNMENT), variants=True)

    assert message in str(error.value)


def test_a_missing_solution_is_named(tiny_course: Course):
    """The path that was looked for."""
    path: Path = tiny_course.assignment(tiny.ASSIGNMENT).solution
    path.unlink()
    with pytest.raises(CourseError, match=r"solutions/x1_tiny\.py: the reference solution of x1_tiny is missing"):
        load_bundle(tiny_course.assignment(tiny.ASSIGNMENT))


def test_the_build_changes_with_what_a_verdict_depends_on(tiny_course: Course):
    """Another check, another reference: another build. A mutant changes no verdict."""
    assignment = tiny_course.assignment(tiny.ASSIGNMENT)
    first = load_bundle(assignment).build
    edit(tiny_course, "mutants.py", "That is the square.", "Squared.")
    same = load_bundle(assignment).build
    edit(tiny_course, "hidden.py", "rng, 3, 2", "rng, 2, 3")

    assert first == same != load_bundle(assignment).build


def test_a_tolerance_that_is_nearly_used_up_is_found(tiny_course: Course):
    """A right answer that passes here by a hair may fail on another processor: the gate says how near it is."""
    edit(
        tiny_course,
        "hidden.py",
        "from autograder.grading.checks import hidden",
        "from autograder.grading.checks import hidden\nfrom autograder.grading.compare import close",
    )
    edit(
        tiny_course,
        "hidden.py",
        'same(student.fn("double")(x), 2 * x, "double")',
        'close(student.fn("double")(x), 2 * x * (1 + 9e-4), "double", rtol=1e-3)',
    )
    found = gate(tiny_course)

    assert found.n_reference == 3
    assert found.tolerance_used == pytest.approx(0.9, abs=0.01)
    assert found.faults == ("a right answer needs 90% of a tolerance: another machine may fail it",)
