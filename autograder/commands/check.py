"""`bootcamp check`: an assignment in, the gate's table out; exit status 1 when it must not be released."""

from __future__ import annotations

import os
import random
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from autograder import course as courses
from autograder.course import Assignment, Exercise
from autograder.errors import BootcampError
from autograder.home import Home


@click.command("check")
@click.argument("assignments", nargs=-1)
@click.option("--seeds", default=20, show_default=True, help="Draws per reference, mutant and alternative.")
@click.option("--seed", default="", help="Repeat an earlier run's draws (it printed this).")
@click.option("--only", multiple=True, help="An exercise, by id or name; may be repeated.")
@click.option("--sample", type=click.IntRange(min=1), help="Only so many exercises of all, drawn by the seed.")
@click.option("--workers", default=os.cpu_count() or 1, show_default="cores", help="Processes.")
@click.pass_obj
def command(
    home: Home, assignments: tuple[str, ...], seeds: int, seed: str, only: tuple[str, ...], sample: int | None, workers: int
) -> None:
    """Put the hidden checks of ASSIGNMENTS (default: all) through the gate."""
    from autograder.commands import gate_table
    from autograder.commands.console import console as open_console
    from autograder.grading.gate import run_gate
    from autograder.grading.passed import key_of

    course = courses.load(home.course_root)
    seed = seed or secrets.token_hex(8)
    console = open_console()
    n_faults = 0
    chosen = [course.assignment(id) for id in assignments] or list(course)
    _known(only, [e for a in chosen for e in a.manifest().exercises])
    if sample is not None:
        only = drawn(chosen, seed, sample)
        chosen = [a for a in chosen if any(e.id in only for e in a.manifest().exercises)]
    for assignment_id in [a.id for a in chosen]:
        console.print(f"{assignment_id}: {seeds} seeds, repeat with --seed {seed}")
        reports = []
        # Before the run: an edit during it must not slip through. A part of the gate stamps nothing.
        key = "" if only else key_of(course.assignment(assignment_id))
        with console.status("running the gate …"):
            for found in run_gate(home.course_root, assignment_id, seed.encode(), seeds, workers, only):
                reports.append(found)
        order = [e.id for e in course.assignment(assignment_id).manifest().exercises]
        reports.sort(key=lambda r: order.index(r.exercise))
        console.print(gate_table.table(reports, console.width))
        for note in gate_table.notes(reports):
            console.print(note, style="yellow", markup=False, highlight=False)
        for fault in gate_table.faults(reports):
            console.print(fault, style="bold red", markup=False, highlight=False)
            n_faults += 1
        if key:
            _stamp(home, course.assignment(assignment_id), key, seeds, seed, fit=not any(r.faults for r in reports))
        console.print("Fit for release." if not n_faults else f"{n_faults} faults: not released.", style="bold")
    sys.exit(1 if n_faults else 0)


def drawn(assignments: Sequence[Assignment], seed: str, n: int) -> tuple[str, ...]:
    """Return the ids of n exercises, or of all if there are not so many."""
    every = [e.id for a in assignments for e in a.manifest().exercises]
    return tuple(random.Random(seed).sample(every, min(n, len(every))))


def _known(only: tuple[str, ...], exercises: list[Exercise]) -> None:
    """Raises: BootcampError. A gate that ran nothing would call it fit for release."""
    for name in only:
        if not any(name in (e.id, e.name) for e in exercises):
            raise BootcampError(f'no exercise "{name}". There are: {", ".join(e.name for e in exercises)}.')


def _stamp(home: Home, assignment: Assignment, key: str, n_seeds: int, seed: str, fit: bool) -> None:
    """Keep the run for `bootcamp release`; a fault takes an older stamp away, and a short run keeps a longer one's."""
    from autograder.grading.passed import MIN_SEEDS, Stamps

    stamps = Stamps(home.path / "gate")
    if not fit:
        stamps.drop(assignment)
    elif n_seeds >= MIN_SEEDS:
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamps.keep(assignment, key, n_seeds, seed, datetime.now(UTC))
