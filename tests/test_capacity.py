"""The plan's simulation against what queueing theory knows exactly, and its arithmetic against the hosts that were measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from autograder.bench.rush import measure as rush
from autograder.capacity.memory import measure
from autograder.capacity.plan import OVERHEAD_S, STUDENT_MIB, Size, make_plan, servers_per_host
from autograder.capacity.rush import arrivals, graders_for, results_after, services, wait
from autograder.capacity.trial import compare, fitted
from autograder.cli import bootcamp
from autograder.errors import BootcampError
from tests import tiny


def erlang_c(n_servers: int, load: float) -> float:
    """The chance that somebody waits in a queue M/M/c. Source: Erlang 1917; Kleinrock 1975, eq. 3.40."""
    terms = [load**k / math.factorial(k) for k in range(n_servers)]
    last = load**n_servers / math.factorial(n_servers) * n_servers / (n_servers - load)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("n_servers", "rate"), [(1, 0.6), (3, 2.4), (8, 7.0)])
def test_the_simulation_waits_as_long_as_erlang_says(n_servers: int, rate: float) -> None:
    """Steady arrivals and exponential service: mean time in the system is C/(c mu - lambda) + 1/mu, with mu = 1."""
    rng = np.random.default_rng(11)
    n = 120_000
    come, take = np.cumsum(rng.exponential(1 / rate, n)), rng.exponential(1.0, n)
    free = wait(come, take, n_servers)
    expected = erlang_c(n_servers, rate) / (n_servers - rate) + 1
    means = [float(np.mean(_times(come, take, n_servers)[m : m + n // 4])) for m in range(0, n, n // 4)]
    error = float(np.std(means)) / math.sqrt(len(means))
    assert abs(np.mean(means) - expected) < max(5 * error, 0.03 * expected)
    assert free.busy_share == pytest.approx(rate / n_servers, rel=0.03)
    assert free.median_s < free.p95_s < free.longest_s


def _times(come: np.ndarray, take: np.ndarray, n_servers: int) -> np.ndarray:
    """Everybody's time in the system, by a second way to say the same: Kiefer and Wolfowitz's recursion on sorted workloads."""
    load, found, before = np.zeros(n_servers), np.empty(len(come)), 0.0
    for n, (at, takes) in enumerate(zip(come, take, strict=True)):
        load = np.maximum(load - (at - before), 0.0)
        found[n] = load[0] + takes
        load[0] += takes
        load.sort()
        before = at
    return found


def test_everybody_hands_in_before_the_deadline_and_most_of_them_late() -> None:
    """67 % in the last third: 1 - (e^2 - 1)/(e^3 - 1) = 0.665, and the last tenth has 1 - (e^2.7 - 1)/(e^3 - 1) = 0.273."""
    come = arrivals(200_000, 6.0, np.random.default_rng(1))
    assert come[0] >= 0
    assert come[-1] <= 6 * 3600
    assert np.all(np.diff(come) >= 0)
    assert np.mean(come > 4 * 3600) == pytest.approx(1 - math.expm1(2) / math.expm1(3), abs=0.005)
    assert np.mean(come > 5.4 * 3600) == pytest.approx(1 - math.expm1(2.7) / math.expm1(3), abs=0.005)


def test_the_fewest_graders_are_found() -> None:
    """One fewer does not keep the promise, and no number keeps one that grading alone breaks."""
    rng = np.random.default_rng(2)
    come, take = arrivals(9000, 6.0, rng), rng.choice([0.5, 2.0, 8.0], 9000)
    found = graders_for(come, take, 30.0)
    assert found.p95_s <= 30.0 < wait(come, take, found.n_graders - 1).p95_s
    with pytest.raises(BootcampError, match="more than 5 s to grade, whatever the number"):
        graders_for(come, take, 5.0)


def test_a_host_of_24_gb_holds_55_students() -> None:
    """With the memory that was measured, beside what the host needs itself; never none."""
    assert servers_per_host(24 * 1024, STUDENT_MIB) >= 55
    assert servers_per_host(24 * 1024, 2 * STUDENT_MIB) < 55
    assert servers_per_host(1024, STUDENT_MIB) == 1


def test_twice_the_students_need_twice_the_hosts_and_a_second_hub() -> None:
    """Storage and hosts grow with the course; the same seed gives the same plan."""
    small, large = (make_plan(Size(n, 6.0), [1.0], 60.0, seed=3) for n in (4000, 8000))
    assert (small.n_hubs, large.n_hubs) == (1, 2)
    assert large.n_hosts == pytest.approx(2 * small.n_hosts, abs=1)
    assert large.ledger_gib == pytest.approx(2 * small.ledger_gib)
    assert large.waits.n_graders > small.waits.n_graders
    assert make_plan(Size(4000, 6.0), [1.0], 60.0, seed=3) == small
    assert small.waits.median_s >= 1.0 + OVERHEAD_S - 1e-6


def test_a_batch_tells_what_a_job_costs_beside_its_slot() -> None:
    """Three slots, 0.3 s beside each job: the batch is long by that much, and the fit gives it to every job."""
    walls = np.random.default_rng(4).exponential(2.0, 600)
    makespan = float(results_after(np.zeros(600), walls + 0.3, 3).max())

    assert fitted(list(walls), makespan, 3) - walls == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(("slower", "holds"), [(1.0, True), (1.5, False)])
def test_a_forecast_holds_only_for_what_it_was_fitted_to(slower: float, holds: bool) -> None:
    """Rushes of the same service times fall among 95 of 100 simulations; with slower graders they fall above them."""
    rng = np.random.default_rng(5)
    fit = rng.exponential(1.0, 80) + 0.2
    n_held = 0
    for _ in range(10):
        come = arrivals(120, 120 * float(fit.mean()) / 2 / 0.9 / 3600, rng)
        measured = results_after(come, services(fit, 120, rng) * slower, 2)
        rows = compare(come[::-1], measured[::-1], fit, 2, rng)
        n_held += rows[-1].holds
        assert rows[0].measured_s <= rows[1].measured_s <= rows[2].measured_s
    assert n_held >= 8 if holds else n_held <= 1


@pytest.mark.slow
def test_a_real_rush_is_held_against_the_simulation(tmp_path: Path) -> None:
    """Real graders, boxes and queue: everybody has a result, and the forecast is of its size."""
    course = tiny.write(tmp_path / "course")
    fit, rows = rush(course.root, tmp_path / "home", n_jobs=12, n_graders=1, load_share=0.8, seed=1)

    assert len(fit) == 8
    assert rows[0].measured_s > 0.5 * float(fit.min())
    mean = rows[-1]
    assert 0.2 < mean.forecast_s / mean.measured_s < 5
    assert mean.low_s <= mean.forecast_s <= mean.high_s


@pytest.mark.slow
def test_the_memory_is_measured_on_real_servers() -> None:
    """JupyterLab and a kernel that has worked with torch hold what such programs hold, and nothing of them is left."""
    held = measure()
    assert 40 < held.server_mib < 400
    assert 100 < held.kernel_mib < 800
    left = [p for p in psutil.Process().children(recursive=True) if "jupyterlab" in " ".join(p.cmdline())]
    assert left == []


def test_the_command_prints_the_plan() -> None:
    """Graders, hosts and what one grader fewer would cost."""
    done = CliRunner().invoke(
        bootcamp, ["plan", "--students", "500", "--deadline-hours", "1", "--service-s", "4", "--within-s", "20"]
    )
    assert done.exit_code == 0, done.output
    assert "graders" in done.output
    assert "as given" in done.output
    assert "with " in done.output
