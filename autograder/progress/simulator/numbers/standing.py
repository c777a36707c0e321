"""Nothing in; numbers 6, 7 and 9 of the tracker out as rows: agreement with R's mirt, speed, and flags rebuilt from the log."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np

from autograder.progress.policy import Policy
from autograder.progress.simulator import rebuilding
from autograder.progress.simulator.numbers import agreement, speed
from autograder.progress.simulator.numbers.number import Number
from autograder.progress.simulator.numbers.table import Row
from autograder.records import Ledger

_SEED, _N_SPEED = 6, 3
_SIZES = (30, 100)
_MAX_MB = 1024.0


def rows(policy: Policy) -> list[Row]:
    """Return the rows."""
    return [*_agreement(), *_speed(), *_rebuilt(policy)]


def _agreement() -> Iterator[Row]:
    for kind in agreement.KINDS:
        found, case = agreement.agreement(kind, np.random.default_rng(_SEED)), f"R mirt 1.46.1, {kind}, 1,000 x 120"
        yield Row(6, "correlation of abilities", case, ">= 0.999", found.correlation, found.correlation.value >= 0.999, 0)
        yield Row(6, "RMSE, in SDs of theirs", case, "<= 0.02", found.rmse, found.rmse.value <= 0.02, 0)


def _speed() -> Iterator[Row]:
    case = f"speed, CPU-s of one thread, mean of {_N_SPEED}"
    runs = [speed.measure(others=k == 0) for k in range(_N_SPEED)]
    for k, one in enumerate(runs[0]):
        values = np.array([run[k].cpu_s for run in runs if k < len(run)])
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
        value, target = Number(float(values.mean()), error), one.target_s
        yield Row(7, one.what, case, f"<= {target:g}" if target else "", value, value.value <= target if target else None, 0)
    ours = next(one.cpu_s for one in runs[0] if one.what.endswith("ours"))
    for one in runs[0]:
        if one.target_s is None and one.cpu_s != ours:
            yield Row(7, f"{one.what}, as a multiple of ours", case, "", Number(one.cpu_s / ours, float("nan")), None, 0)
    peak = Number(speed.peak_mb(), float("nan"))
    yield Row(7, "peak memory of this process, MB", case, f"<= {_MAX_MB:g}", peak, peak.value <= _MAX_MB, 0)


def _rebuilt(policy: Policy) -> Iterator[Row]:
    for n in _SIZES:
        for warm in (False, True):
            with tempfile.TemporaryDirectory() as folder, Ledger.open(f"sqlite:///{folder}/ledger.sqlite") as ledger:
                n_rows, n_flags, n_differ = rebuilding.rebuilt_flags(ledger, policy, seed=9, n=n, warm=warm)
            # What n rows without one that differs leave open is a share of 3 / n, with 95 % confidence.
            value = Number(n_differ / n_rows, float(np.sqrt(max(n_differ, 1)) / n_rows))
            what = f"share of {n_rows} rows with {n_flags} flags rebuilt otherwise"
            case = f"audit N={n} {'warm' if warm else 'cold'}, 3 evaluations"
            yield Row(9, what, case, "0", value, n_differ == 0, 0)
