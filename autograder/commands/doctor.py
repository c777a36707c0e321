"""`bootcamp doctor`: this machine in, a table of what its box holds out."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

import click

from autograder import course as courses
from autograder.home import Home


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the tier and the probes as JSON, for a program.")
@click.pass_obj
def command(home: Home, as_json: bool) -> None:
    """Attack a box and a referee from inside, and show what they refused: the tier, and what to change for a higher one.

    Exit status: 0 when both are strong enough for the course, 3 when they are not.
    """
    from rich.table import Table

    from autograder.commands.console import console as open_console
    from autograder.grading.pool import Pool
    from autograder.sandbox.tiers import meets

    required = courses.load(home.course_root).require_tier
    with Pool(home.course_root, b"", home.path / "admitted", 1, os.environ) as pool:
        found = pool.probe()
    enough = meets(found.tier, required) and not found.holes
    if as_json:
        said = {"tier": found.tier, "required": required, "graded": enough, "weaker_because": found.weaker_because}
        tried = {"probes": [asdict(p) for p in found.box], "referee": [asdict(p) for p in found.referee]}
        click.echo(json.dumps(said | tried, indent=1))
        sys.exit(0 if enough else 3)
    console = open_console()
    console.print(f"Tier {found.tier}; the course requires {required}: {'graded' if enough else 'NOT graded'}", style="bold")
    if found.holes:
        console.print("The referee's own jail does not hold: nothing is graded, in any tier.", style="bold red")
    if found.weaker_because:
        console.print(f"Without namespaces: {found.weaker_because}", markup=False)
    for title, probes in (("What a student's code tried", found.box), ("What a referee tried", found.referee)):
        table = Table("probe", "held", "what to change", title=title, title_justify="left")
        for p in probes:
            table.add_row(p.name, "yes" if p.held else "NO", "" if p.held else p.advice)
        console.print(table)
    sys.exit(0 if enough else 3)
