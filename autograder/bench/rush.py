"""`make bench-plan`: a course in; a deadline's rush through real graders, beside what the plan's simulation says of it, out.

Real parts: a ledger with its queue, `records.worker.Worker` over `grading.pool.Pool` as `bootcamp work` runs them, boxes,
notebooks of the course, arrivals as `bootcamp plan` draws them, in real time. First a batch that keeps every grader busy tells
the service times; then comes the rush, which a forecast from those times is held against.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np

from autograder.capacity.rush import Times, arrivals
from autograder.capacity.trial import Compared, compare, fitted
from autograder.course import Course, load
from autograder.grading.bundle import load_bundle
from autograder.grading.pool import Pool
from autograder.home import Home
from autograder.records import Blobs, Ledger
from autograder.records.worker import Done, Worker
from autograder.submission.compose import compose


class Graders:
    """Graders at work in a thread, and the ends that they told."""

    def __init__(self, home: Home, ledger: Ledger, pool: Pool) -> None:
        self.ledger, self.blobs, self.ends = ledger, Blobs(home.blobs), list[Done]()
        self._worker = Worker(ledger, self.blobs, pool, "rush", lambda: datetime.now(UTC), self.ends.append, click.echo)
        self._over = threading.Event()
        self._n_people = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._over.is_set():
            self._worker.step()

    def hand_in(self, assignment: str, raw: bytes) -> str:
        """Hand in as somebody new, now; return the attempt."""
        self._n_people += 1
        now = datetime.now(UTC)
        who = self.ledger.enrol(f"person{self._n_people}", "rush", now)
        return self.ledger.hand_in(who, assignment, self.blobs.put(raw), now).attempt.id

    def wait_for(self, n: int) -> None:
        """Return when so many jobs have ended."""
        while len(self.ends) < n:
            time.sleep(0.02)

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def results_s(self, attempts: Sequence[str]) -> tuple[Times, Times]:
        """Return when each came, in seconds from the first, and after how long it had its result."""
        found = [(a.received_at, self.ledger.gradings(i)[0].graded_at) for i in attempts if (a := self.ledger.attempt(i))]
        first = min(come for come, _ in found)
        come = np.array([(at - first).total_seconds() for at, _ in found])
        return come, np.array([(done - at).total_seconds() for at, done in found])


def measure(root: Path, folder: Path, n_jobs: int, n_graders: int, load_share: float, seed: int) -> tuple[Times, list[Compared]]:
    """Return the fitted service times, and measured and forecast numbers of the rush."""
    rng, dice = np.random.default_rng(seed), random.Random(seed)
    course = load(root)
    home = Home(root, folder, f"sqlite:///{folder}/ledger.sqlite")
    home.make()
    papers = notebooks(course, dice, n_jobs)
    with Pool(root, home.seed(), folder / "admitted", n_graders, os.environ) as pool, Ledger.open(home.ledger_url) as ledger:
        graders = Graders(home, ledger, pool)
        try:
            for assignment in sorted({a for a, _ in papers}):  # admitted first: the rush is not a cold start
                for _ in range(n_graders):
                    graders.hand_in(assignment, next(raw for a, raw in papers if a == assignment))
            graders.wait_for(n_warm := len({a for a, _ in papers}) * n_graders)
            n_batch = max(8, n_jobs // 3)
            batch = [graders.hand_in(*papers[n]) for n in range(n_batch)]
            graders.wait_for(n_warm + n_batch)
            come, took = graders.results_s(batch)
            makespan_s = float((come + took).max())
            fit = fitted([d.wall_s for d in graders.ends[n_warm:]], makespan_s, n_graders)
            hours = n_jobs * float(fit.mean()) / n_graders / load_share / 3600
            rush = _hand_in_at(graders, papers, arrivals(n_jobs, hours, rng))
            graders.wait_for(n_warm + n_batch + n_jobs)
            come, took = graders.results_s(rush)
            return fit, list(compare(come, took, fit, n_graders, rng))
        finally:
            graders.close()


def notebooks(course: Course, dice: random.Random, n: int) -> list[tuple[str, bytes]]:
    """Return n hand-ins of two assignments, each with as many exercises solved as a person might have."""
    bundles = [load_bundle(a) for a in course.assignments[:2]]
    found = []
    for _ in range(n):
        bundle = dice.choice(bundles)
        solved = dice.sample(sorted(bundle.reference), dice.randint(1, len(bundle.reference)))
        found.append((bundle.manifest.assignment, compose(bundle.manifest, {e: bundle.reference[e] for e in solved})))
    return found


def _hand_in_at(graders: Graders, papers: Sequence[tuple[str, bytes]], at_s: Times) -> list[str]:
    started, attempts = time.monotonic(), []
    for paper, at in zip(papers, at_s.tolist(), strict=True):
        time.sleep(max(0.0, started + at - time.monotonic()))
        attempts.append(graders.hand_in(*paper))
    return attempts


@click.command()
@click.option("--course", "root", default=".", type=click.Path(path_type=Path), show_default=True)
@click.option("--jobs", default=120, show_default=True, help="Hand-ins of the rush; a third of that before it, to learn from.")
@click.option("--workers", default=1, show_default=True)
@click.option("--load", "load_share", default=0.9, show_default=True, help="Work that comes per work that can be done.")
@click.option("--seed", default=1, show_default=True)
def main(root: Path, jobs: int, workers: int, load_share: float, seed: int) -> None:
    """Let a rush through real graders and print the simulation's word on it beside what was measured."""
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bootcamp-bench-") as folder:
        fit, rows = measure(root.resolve(), Path(folder), jobs, workers, load_share, seed)
    click.echo(
        f"{jobs} hand-ins, {workers} graders, load {load_share:g}; machine before {before:.1f}, after {os.getloadavg()[0]:.1f}"
    )
    low, middle, high = np.quantile(fit, [0.05, 0.5, 0.95])
    click.echo(f"service times of {len(fit)} before: mean {fit.mean():.2f} s, half {middle:.2f}, 5 and 95 % {low:.2f}, {high:.2f}")
    click.echo(f"{'':<22} {'measured':>9} {'simulated':>10} {'95 of 100 simulations':>23} {'difference':>11}")
    for row in rows:
        span = f"{row.low_s:.2f} to {row.high_s:.2f} s"
        click.echo(f"{row.what:<22} {row.measured_s:>7.2f} s {row.forecast_s:>8.2f} s {span:>23} {row.error:>+10.0%}")


if __name__ == "__main__":
    main()
