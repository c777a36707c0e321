"""`bootcamp doctor`: this machine in, a table of what its box holds out."""

from __future__ import annotations

import sys

import click

from autograder import course as courses
from autograder.home import Home


@click.command("doctor")
@click.pass_obj
def command(home: Home) -> None:
    """Start a box, attack it, and show what it refused: the tier, and what to change to reach a higher one."""
    from rich.table import Table

    from autograder.commands.console import console as open_console
    from autograder.sandbox.box import Slot
    from autograder.sandbox.tiers import meets

    required = courses.load(home.course_root).require_tier
    with Slot.start() as slot:
        tier, probes, weaker_because = slot.tier, slot.probes, slot.weaker_because
    enough = meets(tier, required)
    console = open_console()
    console.print(f"Tier {tier}; the course requires {required}: {'graded' if enough else 'NOT graded'}", style="bold")
    if weaker_because:
        console.print(f"Without namespaces: {weaker_because}", markup=False)
    table = Table("probe", "held", "what to change")
    for p in probes:
        table.add_row(p.name, "yes" if p.held else "NO", "" if p.held else p.advice)
    console.print(table)
    sys.exit(0 if enough else 3)
