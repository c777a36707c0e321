"""`python -m autograder.bench`: this machine in, the box's table out: target, measured, held or not. `make bench-box`.

The rounds are interleaved, since a shared machine drifts: read the ratios. The load of the machine is printed with them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from autograder.bench import memory, nbgrader, ways
from autograder.bench.ways import Way, median
from autograder.course import load
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.pool import Job, Pool
from autograder.sandbox.box import Slot
from autograder.sandbox.cgroups import Group
from autograder.sandbox.warden import Warden
from autograder.submission.compose import compose

ROUNDS = 3


@dataclass(frozen=True)
class Row:
    """One line of the table. `held` is None where there is no target."""

    what: str
    target: str
    found: str
    held: bool | None = None


def per_job(group: Group, n_jobs: int) -> list[Row]:
    """Compare one job's costs, in interleaved rounds."""
    with ExitStack() as stack:
        slot = stack.enter_context(Slot.start())
        bare = Warden(None, ways.without_walls)
        bare.cgroups = None
        no_walls = stack.enter_context(Slot(bare))
        fork = stack.enter_context(ways.bare_fork())
        box = Way("box", lambda: ways.in_box(slot), n_jobs)
        open_box = Way("the same without walls", lambda: ways.in_box(no_walls), n_jobs)
        bare_fork = Way("bare fork, no line", fork, n_jobs)
        fresh = Way("fresh python", ways.fresh, 1)
        jailed = Way("fresh python in bubblewrap, two at once", lambda: _two(ways.fresh_in_bubblewrap), 1)
        ways.in_box(slot)
        ways.in_box(no_walls)
        for _ in range(ROUNDS):
            for way in (box, open_box, bare_fork, fresh, jailed):
                way.measure(group)
        walls_ms = (median(box.cpu_s) - median(open_box.cpu_s)) * 1e3
        cpu_x = median(fresh.cpu_s) / median(box.cpu_s)
        rate_x = median(jailed.wall_s) / 2 / median(box.wall_s)
        mib, pss = memory.job_mib(slot), memory.memory_mib(memory.zygote_of(slot), "Pss")
        costs = ", ".join(f"{w.name} {median(w.cpu_s) * 1e3:.1f}" for w in (box, open_box, bare_fork, fresh))
        return [
            Row("CPU ms per job", "", costs),
            Row("CPU per job: fresh python with torch / box", "≥ 50", f"{cpu_x:.0f}", cpu_x >= 50),
            Row("jobs/s: one box after the other / bubblewrap, fresh, two at once", "≥ 30", f"{rate_x:.0f}", rate_x >= 30),
            Row("all walls, CPU ms per job over the same fork and line without", "≤ 3", f"{walls_ms:.1f}", walls_ms <= 3),
            Row("a slot, MiB (PSS)", "≤ 400", f"{pss:.0f}", pss <= 400),
            Row("a job's own, MiB, before the student allocates", "≤ 20", f"{mib:.1f}", mib <= 20),
        ]


def _two(run: object) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: run(), range(2)))  # type: ignore[operator]


def flat(n_jobs: int) -> list[Row]:
    """See whether a slot grows."""
    with Slot.start() as slot:
        mib, n_fds = memory.grown(slot, n_jobs)
    return [
        Row(f"memory grown from job 20 to {n_jobs}, MiB", "≤ 4", f"{mib:+.1f}", mib <= 4),
        Row(f"descriptors grown from job 20 to {n_jobs}", "0", f"{n_fds:+d}", n_fds == 0),
    ]


def batch(group: Group, root: Path, assignment: str, n: int, n_nbgrader: int) -> list[Row]:
    """Grade a batch of references on two slots, beside the same cells and checks in one warm process, and in nbgrader."""
    bundle = load_bundle(load(root).assignment(assignment))
    raw = compose(bundle.manifest, bundle.reference)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Pool(root, b"bench" * 8, Path(folder) / "var" / "admitted", 2, os.environ) as pool,
    ):
        for end in pool.run([Job(i, assignment, f"warm{i}", raw) for i in range(2)]):
            assert end.graded, end.fault
        floors, overs, walls, ours = [], [], [], []
        for _ in range(ROUNDS):
            floor = _floor(root, assignment, n)
            cpu_s, wall_s = ways.cpu_s_of(group), time.perf_counter()
            points = [e.graded.points for e in pool.run([Job(i, assignment, f"s{i}", raw) for i in range(n)]) if e.graded]
            wall_s, cpu_s = time.perf_counter() - wall_s, ways.cpu_s_of(group) - cpu_s
            assert points == [bundle.manifest.max_points] * n
            floors.append(floor["cpu_s"] / n)
            overs.append((cpu_s - floor["cpu_s"]) / n)
            walls.append(wall_s / (floor["wall_s"] / 2))
            ours.append(wall_s / n)
    one_s, two_s = _nbgrader(root, bundle, n_nbgrader)
    one_x, two_x = one_s / median(ours), two_s / median(ours)
    floor_s, over_s, wall_x = median(floors), median(overs), median(walls)
    most_s = 0.040 + 0.15 * floor_s
    return [
        Row(f"{assignment}: cells and checks alone, CPU s per submission", "", f"{floor_s:.3f}"),
        Row("overhead, CPU ms per submission", f"≤ {most_s * 1e3:.0f}", f"{over_s * 1e3:.0f}", over_s <= most_s),
        Row(f"wall of {n} on two slots / half of one warm process", "≤ 1.3", f"{wall_x:.2f}", wall_x <= 1.3),
        Row(f"one nbgrader autograde of {n_nbgrader}, same checks / ours, wall each", "≥ 8", f"{one_x:.1f}", one_x >= 8),
        Row(f"two nbgrader autograde of {n_nbgrader} / ours, wall each", "≥ 4", f"{two_x:.1f}", two_x >= 4),
    ]


def _nbgrader(root: Path, bundle: Bundle, n: int) -> tuple[float, float]:
    """Return nbgrader's seconds per submission, by one process and by two at once; every check must have passed there."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        students = [f"{'ab'[i % 2]}{i}" for i in range(n)]
        course = nbgrader.with_hidden_checks(Path(folder), root, bundle.manifest, bundle.reference, students)
        one_s, two_s = (nbgrader.wall_s(course, *patterns) / n for patterns in (["*"], ["a*", "b*"]))
        assert course.scores() == [float(len(bundle.manifest.exercises))] * n
    return one_s, two_s


def _floor(root: Path, assignment: str, n: int) -> dict[str, float]:
    command = [sys.executable, "-m", "autograder.bench.floor", str(root), assignment, str(n)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


@click.command()
@click.option("--course", default=".", type=click.Path(path_type=Path), show_default=True)
@click.option("--assignment", default="t1_attention", show_default=True)
@click.option("--submissions", default=30, show_default=True)
@click.option("--nbgrader-submissions", default=10, show_default=True, help="How many nbgrader grades, twice.")
@click.option("--jobs", default=30, show_default=True, help="Of a round, in the warm rows.")
@click.option("--flat-jobs", default=2000, show_default=True, help="After how many jobs a slot must not have grown.")
def main(course: Path, assignment: str, submissions: int, nbgrader_submissions: int, jobs: int, flat_jobs: int) -> None:
    """Measure the box and print the table; exit status 1 when a target is missed."""
    from rich.console import Console
    from rich.table import Table

    with ways.own_group() as group:
        rows = per_job(group, jobs)
        rows += batch(group, course.resolve(), assignment, submissions, nbgrader_submissions)
        rows += flat(flat_jobs)
    table = Table("", "target", "measured", "", title=f"medians of {ROUNDS} interleaved rounds; load {os.getloadavg()[0]:.1f}")
    for row in rows:
        table.add_row(row.what, row.target, row.found, "" if row.held is None else "held" if row.held else "MISSED")
    Console().print(table)
    sys.exit(0 if all(r.held is not False for r in rows) else 1)


if __name__ == "__main__":
    main()
