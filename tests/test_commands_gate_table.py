"""The gate's table: what is refused, what is only noted."""

from __future__ import annotations

from autograder.commands import gate_table
from autograder.grading.gate import ExerciseReport, VariantReport


def reported(*variants: VariantReport) -> ExerciseReport:
    return ExerciseReport("x1_tiny.double", 1, 20, 20, 0.0, (), variants, 0.0, 0.0, ())


def test_a_mutant_that_survives_by_luck_is_noted_with_its_place_and_draw():
    """The rule lets it pass, and for one student in twenty it would score; other variants are no matter for a note."""
    dead, lucky = (VariantReport("squares", f"m.py:{n}", True, n, 20, (), "seed 4: passes doubles") for n in (20, 19))
    immortal, refused = VariantReport("halves", "m.py:1", True, 3, 20, ()), VariantReport("adds", "m.py:2", False, 19, 20, ())
    (note,) = gate_table.notes([reported(dead, immortal, refused), reported(lucky)])

    assert note.startswith("x1_tiny.double: m.py:19: survives 1 of 20 seeds: squares (seed 4: passes doubles)")
