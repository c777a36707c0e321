"""`bootcamp progress simulate | bench | reliability`: the tracker's numbers on made-up cohorts, its speed, a check on real ones."""

from __future__ import annotations

import json
import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Ledger

if TYPE_CHECKING:
    from autograder.progress import Policy
    from autograder.progress.simulator.metrics import Replicates
    from autograder.progress.simulator.table import Row


@click.command("simulate")
@click.option("--full", is_flag=True, help="Every setting (S0 to S4) and size (30 to 2,000), cold and warm; CPU-hours of it.")
@click.option("--scale", type=click.FloatRange(min=0, min_open=True), default=1.0, help="With --full: a share of the replications.")
@click.option("--minutes", type=float, default=math.inf, help="Stop after so many CPU minutes, with what there is.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=None, help="Write table.json and plots there.")
def simulate(full: bool, scale: float, minutes: float, out: Path | None) -> None:
    """Follow made-up cohorts with known abilities through their course, and print the tracker's numbers with their errors."""
    from autograder.progress import load_policy
    from autograder.progress.simulator import study, table

    policy, began = load_policy(), time.process_time()
    plan = study.full(scale) if full else study.quick()
    replicates = []
    with click.progressbar(length=plan.n_total, label="cohorts") as bar:
        for one in study.run(plan, policy, lambda: time.process_time() - began > 60 * minutes):
            replicates.append(one)
            bar.update(1)
    found = [*table.rows(replicates, policy), *_speed(), *_rebuilt(policy)]
    click.echo(table.text(found))
    click.echo("6  agreement with R mirt: pytest tests/test_progress_irt_flat.py (it needs the reference values)")
    click.echo(f"{len(replicates)} of {plan.n_total} cohorts; ± is one standard error over cohorts (jackknife).")
    if out:
        _write(out, found, replicates)


@click.command("bench")
def bench() -> None:
    """Measure CPU seconds of one thread, beside PyPI's mirt and girth in the same run where they are installed."""
    from autograder.progress.simulator import speed

    found = speed.measure()
    ours = next(s.cpu_s for s in found if s.what.endswith("ours"))
    for s in found:
        note = f"target {s.target_s:g} s" if s.target_s else f"{s.cpu_s / ours:.1f} x ours"
        click.echo(f"{s.what:<45} {s.cpu_s:9.4f} CPU-s   {note}")
    click.echo(f"peak memory {speed.peak_mb():.0f} MB")


@click.command("reliability")
@click.option("--cohort", default=None, help="One cohort (default: everybody).")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Draw the diagram into this SVG file.")
@click.pass_obj
def reliability(home: Home, cohort: str | None, out: Path | None) -> None:
    """Check the model on real first tries, without any truth: what it expected of every notebook before, against what came."""
    from autograder import course as courses
    from autograder.progress import course_items, inputs, load_policy, prospective
    from autograder.progress.scores import collect
    from autograder.progress.simulator import plots

    with Ledger.open(home.ledger_url) as ledger:
        read = inputs.read(ledger, cohort, ledger.last_event())
    items = course_items(courses.load(home.course_root))
    scores = collect(read.first_tries, items, load_policy(), read.students, read.background.decided)
    bins = prospective.bins(prospective.predictions(scores, read.background.bank))
    if not bins:
        raise BootcampError("nothing to check yet: first tries in two notebooks are needed, one after the other.")
    for p, share, n in bins:
        click.echo(f"expected {p:.2f}, passed {share:.2f}, {n} first tries")
    click.echo(f"calibration error {prospective.calibration_error(bins):.3f}")
    if out:
        out.write_text(plots.svg(plots.prospective(bins)), "utf-8")


def _speed() -> list[Row]:
    from autograder.progress.simulator import speed
    from autograder.progress.simulator.metrics import Number
    from autograder.progress.simulator.table import Row

    found = [s for s in speed.measure() if s.target_s]
    nan = float("nan")
    return [
        Row(7, s.what, "speed, CPU-s of one thread", f"<= {s.target_s:g}", Number(s.cpu_s, nan), s.cpu_s <= (s.target_s or 0), 0)
        for s in found
    ]


def _rebuilt(policy: Policy) -> list[Row]:
    from autograder.progress.simulator import rebuilding
    from autograder.progress.simulator.metrics import Number
    from autograder.progress.simulator.table import Row

    with tempfile.TemporaryDirectory() as folder, Ledger.open(f"sqlite:///{folder}/ledger.sqlite") as ledger:
        n_rows, n_flags, n_differ = rebuilding.rebuilt_flags(ledger, policy, seed=9, n=40)
    what = f"of {n_rows} rows with {n_flags} flags, rebuilt otherwise"
    return [Row(9, what, "audit, 40 students, 3 evaluations", "0", Number(n_differ, float("nan")), n_differ == 0, 0)]


def _write(out: Path, found: list[Row], replicates: Replicates) -> None:
    from autograder.progress.simulator import plots, table

    out.mkdir(parents=True, exist_ok=True)
    data = table.as_json(found, replicates)
    (out / "table.json").write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", "utf-8")
    drawings = {"calibration": plots.calibration_by_week(data["rows"])}
    for case in dict.fromkeys(d["case"] for d in data["reliability"]):
        name = case.lower().replace(" ", "-").replace("=", "")
        drawings[f"reliability-{name}"] = plots.reliability(data["reliability"], case, 12)
    for name, description in drawings.items():
        (out / f"{name}.vl.json").write_text(json.dumps(description, indent=1) + "\n", "utf-8")
        (out / f"{name}.svg").write_text(plots.svg(description), "utf-8")
    click.echo(f"Wrote table.json and {len(drawings)} plots to {out}.")
