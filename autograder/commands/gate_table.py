"""The gate's reports in, a table for the terminal out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.table import Table

from autograder.grading.gate import ExerciseReport

_WIDE = 140  # columns of a terminal from which every column of the table can be read
_IF_NARROW = ("checks", "mutants killed", "alternatives", "CPU s")  # what the others find is told below the table, as faults


def table(reports: Sequence[ExerciseReport], width: int = _WIDE) -> Table:
    """Return one row per exercise and a row of sums, with fewer columns for a narrow terminal."""
    out = Table(show_footer=True)
    out.add_column("exercise", footer="all", no_wrap=True)
    columns = ("checks", "reference", "stub", "senseless", "mutants killed", "by", "alternatives", "tolerance used", "CPU s")
    n_mutants = sum(v.is_mutant for r in reports for v in r.variants)
    n_killed = sum(v.is_mutant and v.is_good for r in reports for v in r.variants)
    n_alternatives = sum(not v.is_mutant for r in reports for v in r.variants)
    n_accepted = sum(not v.is_mutant and v.is_good for r in reports for v in r.variants)
    cpu_s = sum(r.reference_cpu_s for r in reports)
    footers = {
        "checks": str(sum(r.n_checks for r in reports)),
        "mutants killed": f"{n_killed}/{n_mutants}",
        "alternatives": f"{n_accepted}/{n_alternatives}",
        "CPU s": f"{cpu_s:.2f}",
    }
    shown = [name for name in columns if width >= _WIDE or name in _IF_NARROW]
    for name in shown:
        out.add_column(name, footer=footers.get(name, ""), justify="left" if name == "by" else "right")
    for r in reports:
        exercise, *cells = _row(r)
        out.add_row(exercise, *(cell for name, cell in zip(columns, cells, strict=True) if name in shown))
    return out


def faults(reports: Sequence[ExerciseReport]) -> Iterator[str]:
    """Yield every reason against a release, each with its exercise."""
    return (f"{r.exercise}: {fault}" for r in reports for fault in r.faults)


def notes(reports: Sequence[ExerciseReport]) -> Iterator[str]:
    """Yield every mutant that is released by the rule and still survived a draw: it would score for some students."""
    for r in reports:
        for v in r.variants:
            if v.is_mutant and v.is_good and v.n_good < v.n_seeds:
                told = f"{r.exercise}: {v.place}: survives {v.n_seeds - v.n_good} of {v.n_seeds} seeds: {v.label} ({v.why})"
                yield f"{told}. Let every draw hold the case that tells."


def _row(r: ExerciseReport) -> Iterator[str]:
    mutants = [v for v in r.variants if v.is_mutant]
    others = [v for v in r.variants if not v.is_mutant]
    by = Counter(name for v in mutants for name in v.by[:1])
    yield r.exercise.split(".", 1)[-1]
    yield str(r.n_checks)
    yield f"{r.n_reference}/{r.n_seeds}"
    yield f"{r.stub_share:.0%}"
    yield f"{len(r.garbage)} earn" if r.garbage else "0 earn"
    yield f"{sum(v.is_good for v in mutants)}/{len(mutants)}"
    yield ", ".join(f"{name} {n}" for name, n in by.most_common())
    yield f"{sum(v.is_good for v in others)}/{len(others)}"
    yield f"{r.tolerance_used:.1%}" if r.tolerance_used else "exact"
    yield f"{r.reference_cpu_s:.3f}"
