"""`python -m autograder.service.bench`: a course in; hand-in latency, single checks and a deadline spike, measured, out.

Real parts: the service as its own process, `bootcamp work` as another, a new home, HTTP with tokens. The Hub is a stand-in
that says who a token is. Everything is compared with what the checks cost by themselves, measured in the same minutes,
because other programs may share the machine; the load is printed too.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from autograder.course import load
from autograder.nbgrader_bridge.exchange.archive import Limits
from autograder.nbgrader_bridge.exchange.client import Client, ServiceError
from autograder.records import Ledger
from autograder.service.bench_place import Place, place, until
from autograder.service.checker import MAX_PER_MINUTE
from autograder.submission.compose import compose


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    found: str
    goal: str = ""


def quantile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(q * 100) * len(ordered) // 100) - 1))]


def hand_in(client: Client, assignment: str, raw: bytes) -> str:
    """Hand a notebook in; return the attempt."""
    return str(client.send_files(f"api/assignments/{assignment}/hand-in", {f"{assignment}.ipynb": raw}, Limits())["attempt"])


def wait_graded(client: Client, attempt: str, pause_s: float = 0.05) -> None:
    until(lambda: client.get(f"api/attempts/{attempt}")["state"] == "graded", f"{attempt} is not graded", pause_s)


def latency(at: Place, assignment: str, notebooks: Sequence[bytes]) -> list[Row]:
    """One hand-in after the other, each by another student; the same notebook straight through a pool in between."""
    from autograder.grading.pool import Pool

    walls, direct, over = [], [], []
    with Pool(at.course.root, at.home.seed(), at.home.path / "admitted", 1, os.environ) as pool:
        pool.grade(notebooks[0], assignment, "warm")
        first = at.client("warm")
        wait_graded(first, hand_in(first, assignment, notebooks[0]))
        before_s = at.cpu_s()
        for n, raw in enumerate(notebooks):
            client = at.client(f"idle{n}")
            started = time.perf_counter()
            wait_graded(client, hand_in(client, assignment, raw))
            walls.append(time.perf_counter() - started)
            started = time.perf_counter()
            pool.grade(raw, assignment, f"idle{n}")
            direct.append(time.perf_counter() - started)
            over.append(walls[-1] - direct[-1])
        graders_s, service_s = ((a - b) / len(notebooks) for a, b in zip(at.cpu_s(), before_s, strict=True))
    with Ledger.open(at.home.ledger_url) as ledger:
        graded = [g.cpu_s for a in ledger.attempts(assignment=assignment) for g in ledger.gradings(a.id)]
    checks_s = sum(graded[-len(notebooks) :]) / len(notebooks)
    return [
        Row(f"hand-in to result, n={len(walls)}", _p(walls)),
        Row("the same notebooks straight through a pool", _p(direct)),
        Row("above the checks' own time", _p(over), "p50 1.0 s, p95 2.0 s"),
        Row("  CPU of the checks, of graders, of the service", f"{checks_s:.2f} s, {graders_s:.2f} s, {service_s:.2f} s"),
    ]


def alone(at: Place, assignment: str, exercise: str, raw: bytes, n: int) -> list[Row]:
    """One exercise checked from a notebook, again and again with another answer text, by as many as may ask so often."""
    clients = [at.client(f"alone{k}") for k in range(-(-(n + 1) // MAX_PER_MINUTE))]
    for client in clients:
        wait_graded(client, hand_in(client, assignment, raw))
    walls: list[float] = []
    before_s = 0.0
    for i in range(n + 1):
        if i == 1:
            before_s = sum(at.cpu_s())  # the first one warms the grader
        body = json.loads(raw)
        for cell in body["cells"]:
            if cell["cell_type"] == "code":
                cell["source"] = "".join(cell["source"]).replace("    return", f"    _ = {i}\n    return", 1)
        started = time.perf_counter()
        clients[i // MAX_PER_MINUTE].post(f"api/assignments/{assignment}/check/{exercise}", body)
        walls.append(time.perf_counter() - started)
    used_s = (sum(at.cpu_s()) - before_s) / n
    return [
        Row(f"one exercise alone ({exercise}), n={n}", _p(walls[1:]), "p50 0.3 s, p95 1.2 s"),
        Row("  CPU of all that takes part", f"{used_s:.2f} s"),
    ]


def spike(at: Place, assignment: str, notebooks: Sequence[bytes], spread_s: float, rng: random.Random) -> list[Row]:
    """Everybody hands in within `spread_s`; somebody asks for a state ten times a second meanwhile."""
    before_s = at.cpu_s()
    arrivals = sorted(rng.uniform(0, spread_s) for _ in notebooks)
    states: list[float] = []
    done = threading.Event()
    first = hand_in(at.client("prober"), assignment, notebooks[0])

    def probe() -> None:
        client = at.client("prober")
        while not done.is_set():
            started = time.perf_counter()
            client.get(f"api/attempts/{first}")
            states.append(time.perf_counter() - started)
            done.wait(0.1)

    started = time.monotonic()

    def one(n: int) -> float:
        time.sleep(max(0.0, started + arrivals[n] - time.monotonic()))
        at_s = time.perf_counter()
        _retrying(lambda: hand_in(at.client(f"spike{n}"), assignment, notebooks[n]))
        return time.perf_counter() - at_s

    prober = threading.Thread(target=probe)
    prober.start()
    with ThreadPoolExecutor(64) as pool:
        posts = list(pool.map(one, range(len(notebooks))))
    with Ledger.open(at.home.ledger_url) as ledger:
        until(lambda: _n_open(ledger) == 0, "the queue does not empty", 0.5)
        wall_s = time.monotonic() - started
        done.set()
        prober.join()
        used_s = [a - b for a, b in zip(at.cpu_s(), before_s, strict=True)]
        return _spike_rows(ledger, posts, states, wall_s, spread_s, *used_s)


def _spike_rows(
    ledger: Ledger,
    posts: Sequence[float],
    states: Sequence[float],
    wall_s: float,
    spread_s: float,
    graders_s: float,
    service_s: float,
) -> list[Row]:
    names = {f"spike{n}" for n in range(len(posts))}
    people = [p for p, name in ledger.names().items() if name in names]
    attempts = [ledger.attempts(p) for p in people]
    gradings = [ledger.gradings(a.id) for found in attempts for a in found]
    checks_s = sum(g.cpu_s for found in gradings for g in found)
    lost = len(posts) - sum(len(found) for found in attempts)
    twice = sum(len(found) > 1 for found in attempts) + sum(len(found) > 1 for found in gradings)
    ungraded = sum(not any(g.complete for g in found) for found in gradings)
    compute_s = checks_s / (os.cpu_count() or 1)
    return [
        Row(f"spike: {len(posts)} hand-ins, lost / twice / not graded", f"{lost} / {twice} / {ungraded}", "0 / 0 / 0"),
        Row("the hand-in itself", _p(posts)),
        Row("a state asked meanwhile", _p(states), "p95 0.2 s"),
        Row("graders' CPU per CPU of checks", f"{graders_s / checks_s:.2f} ({graders_s:.0f} s / {checks_s:.0f} s)", "1.3"),
        Row("service's CPU per request", f"{1000 * service_s / (len(posts) + len(states)):.1f} ms"),
        Row(
            "wall until the last is graded / the longer of two:", f"{wall_s / max(compute_s, spread_s):.2f} ({wall_s:.0f} s)", "1.3"
        ),
        Row("  the arrivals, and the checks' CPU on all cores", f"{spread_s:.0f} s, {compute_s:.0f} s"),
    ]


def _n_open(ledger: Ledger) -> int:
    stats = ledger.queue.stats()
    return stats.n_queued + stats.n_running


def _p(values: Sequence[float]) -> str:
    return f"p50 {quantile(values, 0.5):.2f} s, p95 {quantile(values, 0.95):.2f} s"


def _retrying(ask: Callable[[], object]) -> None:
    """Ask until it is taken, as a person would press the button again."""
    for _ in range(20):
        try:
            ask()
            return
        except ServiceError as e:
            if "does not answer" not in str(e) and "busy" not in str(e):
                raise
            time.sleep(3.5)
    raise TimeoutError("refused for a minute")


@click.command()
@click.option("--course", "root", default=".", type=click.Path(path_type=Path), show_default=True)
@click.option("--assignment", default="f1_tensors", show_default=True)
@click.option("--exercise", default="pairwise_sq_dists", show_default=True, help="The one that is checked alone.")
@click.option("--students", default=300, show_default=True, help="Of the spike.")
@click.option("--spread", default=60.0, show_default=True, help="Seconds within which they hand in.")
@click.option("--answers", default=3, show_default=True, help="Exercises that each of them has solved.")
@click.option("--n", default=30, show_default=True, help="Repetitions of the other rows.")
@click.option("--workers", default=2, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(
    root: Path, assignment: str, exercise: str, students: int, spread: float, answers: int, n: int, workers: int, seed: int
) -> None:
    """Measure the path of a submission over HTTP."""
    from autograder.grading.bundle import load_bundle

    rng = random.Random(seed)
    bundle = load_bundle(load(root.resolve()).assignment(assignment))
    ids = list(bundle.reference)
    whole = compose(bundle.manifest, bundle.reference)
    some = [compose(bundle.manifest, {e: bundle.reference[e] for e in rng.sample(ids, answers)}) for _ in range(students)]
    with tempfile.TemporaryDirectory(prefix="bootcamp-bench-") as folder, place(root, Path(folder), assignment, workers) as at:
        rows: list[Row] = []
        steps: list[Callable[[], list[Row]]] = [
            lambda: latency(at, assignment, [whole] * n),
            lambda: alone(at, assignment, exercise, whole, n),
            lambda: spike(at, assignment, some, spread, rng),
        ]
        for step in steps:
            load_before = os.getloadavg()[0]
            rows += [*step(), Row("  load of the machine before and after", f"{load_before:.1f}, {os.getloadavg()[0]:.1f}")]
    for row in rows:
        click.echo(f"{row.what:<52} {row.found:<34} {row.goal}")


if __name__ == "__main__":
    main()
