"""Results in, a progress bar and a table on the terminal out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from autograder.commands.batch import Entry, Result
from autograder.commands.console import console
from autograder.grading.verdict import Status, Verdict
from autograder.sandbox.clean import clean

_LINE_CHARS = 2000  # a file's name and what it holds may be any text

_SIGNS = {
    Status.PASS: "[green]✓[/]",
    Status.FAIL: "[red]✗[/]",
    Status.ERROR: "[red]E[/]",
    Status.TIMEOUT: "[red]T[/]",
    Status.CRASHED: "[red]C[/]",
    Status.TAMPERED: "[bold red]![/]",
    Status.SKIPPED: "[dim]·[/]",
    Status.INFRA: "[yellow]?[/]",
}
_LEGEND = "✓ pass  ½ partly  ✗ fail  E raised  T out of time  C process ended  ! broke the rules  · not attempted  ? our fault"


def watch(entries: Sequence[Entry], results: Iterable[Result], quiet: bool) -> list[Result]:
    """Consume the results under a progress bar on stderr; return them in the order of the entries."""
    done: list[Result] = []
    columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[last]}"))
    with Progress(*columns, console=console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("", total=len(entries), last="")
        for result in results:
            done.append(result)
            progress.update(task, advance=1, last=escape(result.entry.student))
    order = {id(e): i for i, e in enumerate(entries)}
    return sorted(done, key=lambda r: order[id(r.entry)])


def show(results: Sequence[Result]) -> None:
    """Print one table per assignment, then what could not be read and what was our fault."""
    screen = console()
    for assignment in dict.fromkeys(r.entry.assignment for r in results if r.graded and r.graded.verdicts):
        rows = [r for r in results if r.entry.assignment == assignment and r.graded and r.graded.verdicts]
        screen.print(_table(assignment, rows))
        names = [v.exercise.split(".", 1)[-1] for r in rows[:1] if r.graded for v in r.graded.verdicts]
        screen.print("  ".join(f"{n} {name}" for n, name in enumerate(names, 1)), style="dim", highlight=False)
    if any(r.graded for r in results):
        screen.print(_LEGEND, style="dim")
    for r in results:
        said = r.problem or r.fault
        if said:
            whose = "cannot be read" if r.problem else "our fault, unscored"
            screen.print(
                clean(f"{r.entry.path}: {whose}: {said}", _LINE_CHARS), style="red" if r.problem else "yellow", markup=False
            )


def _table(assignment: str, rows: Sequence[Result]) -> Table:
    tiers = {r.graded.tier for r in rows if r.graded}
    table = Table(title=f"{assignment}, tier {'/'.join(sorted(tiers))}")
    table.add_column("student")
    table.add_column("points", justify="right")
    first = rows[0].graded
    for n, v in enumerate(first.verdicts if first else (), 1):
        table.add_column(str(n), justify="center", header_style="dim" if v.max_points == 0 else "")
    table.add_column("CPU s", justify="right")
    table.add_column("", style="dim")
    for r in rows:
        if r.graded:
            points = f"{r.graded.points:g}/{r.graded.max_points:g}"
            signs = [_sign(v) for v in r.graded.verdicts]
            table.add_row(escape(r.entry.student), points, *signs, f"{r.graded.cpu_s:.2f}", r.recorded)
    return table


def _sign(verdict: Verdict) -> str:
    if verdict.status is Status.FAIL and verdict.points:
        return "[yellow]½[/]"
    return _SIGNS[verdict.status]
