"""`bootcamp progress simulate | bench | reliability`: the tracker's numbers on made-up cohorts, its speed, a check on real ones."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Ledger

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("simulate")
@click.option("--full", is_flag=True, help="Every setting (S0 to S4) and size (30 to 2,000), cold and warm; an hour of CPU.")
@click.option("--scale", type=click.FloatRange(min=0, min_open=True), default=1.0, help="With --full: a share of the replications.")
@click.option("--minutes", type=float, default=math.inf, help="Stop after so many CPU minutes, with what there is.")
@click.option("--cohorts", type=_FOLDER, default=None, help="Keep every cohort's results there, and go on from what is there.")
@click.option("--out", type=_FOLDER, default=None, help="Write table.json and plots there.")
@click.option("--publish", is_flag=True, help="With --full: write the table and the diagram into this checkout's documentation.")
@click.pass_obj
def simulate(home: Home, full: bool, scale: float, minutes: float, cohorts: Path | None, out: Path | None, publish: bool) -> None:
    """Follow made-up cohorts with known abilities through their course, and print the tracker's nine numbers with their errors."""
    from autograder.progress import load_policy
    from autograder.progress.simulator import study
    from autograder.progress.simulator.numbers import published, rows, standing, table
    from autograder.progress.simulator.shelf import Shelf

    if publish and not full:
        raise BootcampError("--publish needs --full: what is published has every setting and size.")
    policy, began = load_policy(), time.process_time()
    plan = study.full(scale) if full else study.quick()
    shelf = Shelf.open(cohorts, policy) if cohorts else None
    replicates = []
    with click.progressbar(length=plan.n_total, label="cohorts") as bar:
        for one in study.run(plan, policy, lambda: time.process_time() - began > 60 * minutes, shelf):
            replicates.append(one)
            bar.update(1)
    found = [*rows.rows(replicates, policy), *standing.rows(policy)]
    click.echo(table.text(found))
    click.echo(f"{len(replicates)} of {plan.n_total} cohorts; ± is one standard error over cohorts (jackknife), persons or runs.")
    data = table.as_json(found, replicates, rows.PROBABLE)
    if out:
        _write(out, data)
    if publish:
        published.publish(data, home.course_root)


@click.command("bench")
def bench() -> None:
    """Measure CPU seconds of one thread, beside PyPI's mirt and girth in the same run where they are installed."""
    from autograder.progress.simulator.numbers import speed

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
    from autograder.progress.simulator.numbers import plots

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


def _write(out: Path, data: Mapping[str, Any]) -> None:
    from autograder.progress.simulator.numbers import plots

    out.mkdir(parents=True, exist_ok=True)
    (out / "table.json").write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", "utf-8")
    drawings = {"calibration": plots.calibration_by_week(data["rows"])}
    for case in dict.fromkeys(d["case"] for d in data["reliability"]):
        name = case.lower().replace(" ", "-").replace("=", "")
        drawings[f"reliability-{name}"] = plots.reliability(data["reliability"], case, 12)
    for name, description in drawings.items():
        (out / f"{name}.vl.json").write_text(json.dumps(description, indent=1) + "\n", "utf-8")
        (out / f"{name}.svg").write_text(plots.svg(description), "utf-8")
    click.echo(f"Wrote table.json and {len(drawings)} plots to {out}.")
