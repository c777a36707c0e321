"""`bootcamp plan`: the size of a course in; graders, hosts, memory and storage out, with the waits that they give."""

from __future__ import annotations

import click

from autograder.home import Home

_SAMPLE = 2000
# Where nothing has been graded yet: what the first assignments' notebooks take, of referee and player together.
_TYPICAL_S = (0.3, 0.5, 0.8, 1.2, 2.0)


@click.command("plan")
@click.option("--students", type=click.IntRange(1), required=True)
@click.option("--deadline-hours", type=click.FloatRange(0.01), default=6.0, show_default=True, help="In which all hand in.")
@click.option("--attempts", type=click.FloatRange(0.1), default=3.0, show_default=True, help="Hand-ins of each, per assignment.")
@click.option(
    "--within-s", type=click.FloatRange(0.1), default=60.0, show_default=True, help="95 of 100 have their result by then."
)
@click.option(
    "--active", type=click.FloatRange(0.001, 1.0), default=1.0, show_default=True, help="Share with a server at the same time."
)
@click.option("--host-gb", type=click.FloatRange(5.0), default=24.0, show_default=True, help="Memory of a host for servers.")
@click.option("--service-s", type=click.FloatRange(0.001), multiple=True, help="Take these grading times, not the ledger's.")
@click.option("--measure", is_flag=True, help="Measure here what one active student's server holds (half a minute).")
@click.option("--seed", default=0, show_default=True)
@click.pass_obj
def command(
    home: Home,
    students: int,
    deadline_hours: float,
    attempts: float,
    within_s: float,
    active: float,
    host_gb: float,
    service_s: tuple[float, ...],
    measure: bool,
    seed: int,
) -> None:
    """Say how many graders and hosts STUDENTS need: every hand-in before a deadline is simulated with measured times."""
    from rich.table import Table

    from autograder.capacity import memory
    from autograder.capacity.plan import STUDENT_MIB, Size, make_plan
    from autograder.commands.console import console

    out = console()
    student_mib, told = STUDENT_MIB, "as measured for the guide"
    if measure:
        held = memory.measure()
        student_mib = held.total_mib
        told = f"measured here: server {held.server_mib:.0f}, kernel with torch {held.kernel_mib:.0f}"
    times, source = (service_s, "as given") if service_s else _graded(home)
    size = Size(students, deadline_hours, attempts, active, host_gb * 1024, student_mib)
    plan = make_plan(size, times, within_s, seed)
    waits, alone = plan.waits, plan.alone
    table = Table(
        "need", "how much", "because", title=f"{students} students, all in within {deadline_hours:g} h", title_justify="left"
    )
    table.add_row(
        "graders",
        str(waits.n_graders),
        f"95 of 100 have their result within {waits.p95_s:.1f} s, the median in {waits.median_s:.1f}",
    )
    table.add_row("", "", f"the longest waits {waits.longest_s:.1f} s; graders are busy {waits.busy_share:.0%} of the time")
    if alone.n_graders < waits.n_graders:
        table.add_row("", f"with {alone.n_graders}", f"95 of 100 within {alone.p95_s:.1f} s, the longest {alone.longest_s:.1f} s")
    table.add_row("cores for them", str(waits.n_graders), f"one each; {len(times)} grading times, {source}")
    table.add_row(
        "memory for them", f"{plan.grader_mib / 1024:.1f} GB", "774 MiB for one in a pod of its own, less where several share one"
    )
    table.add_row("servers per host", str(plan.servers_per_host), f"{student_mib:.0f} MB each ({told}), 4 GB kept for the host")
    table.add_row("hosts of servers", str(plan.n_hosts), f"{host_gb:g} GB each; {active:.0%} of the students at once")
    table.add_row("Hubs", str(plan.n_hubs), "one per 5,000 active users")
    table.add_row("ledger", f"{plan.ledger_gib:.1f} GB", f"{size.n_assignments} assignments of {size.n_exercises} exercises")
    table.add_row("notebooks", f"{plan.notebooks_gib:.1f} GB", f"{size.notebook_kib:g} KB each, kept for ever")
    out.print(table)


def _graded(home: Home) -> tuple[tuple[float, ...], str]:
    """Return how long this course's newest gradings took, or what is typical where there are none."""
    from sqlalchemy import select

    from autograder.records import Ledger
    from autograder.records import schema as t

    with Ledger.open(home.ledger_url) as ledger, ledger.reading() as db:
        query = select(t.grading.c.cpu_s).where(t.grading.c.complete, t.grading.c.cpu_s > 0)
        rows = db.execute(query.order_by(t.grading.c.event.desc()).limit(_SAMPLE)).scalars().all()
    return (tuple(rows), "the ledger's newest") if rows else (_TYPICAL_S, "typical ones: nothing is graded here yet")
