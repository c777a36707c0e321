"""The gate's table: what is refused, what is only noted."""

from __future__ import annotations

import io

from rich.console import Console

from autograder.commands import gate_table
from autograder.grading.gate import ExerciseReport, VariantReport


def reported(*variants: VariantReport, name: str = "double") -> ExerciseReport:
    return ExerciseReport(f"x1_tiny.{name}", 1, 20, 20, 0.0, (), variants, 0.0, 0.0, ())


def test_a_mutant_that_survives_by_luck_is_noted_with_its_place_and_draw():
    """The rule lets it pass, and for one student in twenty it would score; other variants are no matter for a note."""
    dead, lucky = (VariantReport("squares", f"m.py:{n}", True, n, 20, (), "seed 4: passes doubles") for n in (20, 19))
    immortal, refused = VariantReport("halves", "m.py:1", True, 3, 20, ()), VariantReport("adds", "m.py:2", False, 19, 20, ())
    (note,) = gate_table.notes([reported(dead, immortal, refused), reported(lucky)])

    assert note.startswith("x1_tiny.double: m.py:19: survives 1 of 20 seeds: squares (seed 4: passes doubles)")


def test_names_and_numbers_can_be_read_in_a_narrow_terminal():
    """A container's terminal has 80 columns, in which ten columns became one letter each."""
    dead = VariantReport("squares", "m.py:1", True, 20, 20, ("values",), "")
    report = reported(dead, name="masked_mean_and_variance")

    narrow, wide = (drawn(report, width) for width in (80, 140))

    assert max(map(len, narrow.splitlines())) <= 80
    for text in (narrow, wide):
        assert "masked_mean_and_variance" in text
        assert "1/1" in text
        assert "…" not in text
    assert "values 1" in wide
    assert "values 1" not in narrow


def drawn(report: ExerciseReport, width: int) -> str:
    page = io.StringIO()
    Console(file=page, width=width).print(gate_table.table([report], width))
    return page.getvalue()
