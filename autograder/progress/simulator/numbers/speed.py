"""Nothing in, CPU seconds of one thread out: fits and scores at the sizes of the tracker's numbers, beside other programs."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from autograder.progress.irt import ability, flat, hierarchy
from autograder.progress.scores import Floats, Ints
from autograder.progress.simulator.cohort import N_ITEMS, N_WEEKS, Setting, draw_cohort, draw_items

_SEED = 7


@dataclass(frozen=True)
class Speed:
    """CPU seconds of one run, the target (None: somebody else's), and what was run."""

    what: str
    cpu_s: float
    target_s: float | None


def measure(n_fit: int = 10_000, n_posteriors: int = 100_000, n_others: int = 1_000, others: bool = True) -> list[Speed]:
    """Measure; unless they are left out, the other programs at `n_others` students, and ours beside them at the same."""
    level = _responses(n_fit)
    out = [Speed(f"{n_fit} x 120: fit and score (flat)", _cpu(lambda: flat.fit(level, np.full(120, 2))), 5.0)]
    rng = np.random.default_rng(_SEED)
    fitted = hierarchy.fit(draw_cohort(rng, draw_items(rng), 300, Setting.ALL).scores(N_WEEKS))
    assert fitted is not None
    many = np.resize(fitted.level, (n_posteriors, N_WEEKS * N_ITEMS))
    out.append(Speed(f"{n_posteriors} hierarchical posteriors", _cpu(lambda: ability.posteriors(fitted, many)), 15.0))
    one = fitted.level[:1]
    out.append(
        Speed("one new score (mean of 200)", _cpu(lambda: [ability.posteriors(fitted, one) for _ in range(200)]) / 200, 0.001)
    )
    if not others:
        return out
    few = level[:n_others]
    out.append(Speed(f"{n_others} x 120: ours", _cpu(lambda: flat.fit(few, np.full(120, 2))), None))
    return out + [Speed(f"{n_others} x 120: {name}", _cpu(run), None) for name, run in _others(few).items()]


def peak_mb() -> float:
    """Return the most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _others(level: Ints) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {}
    if find_spec("mirt"):
        found["PyPI mirt"] = lambda: _mirt(level)
    if find_spec("girth"):
        found["girth"] = lambda: _girth(level)
    return found


def _mirt(level: Ints) -> object:
    import mirt

    fitted = mirt.fit_mirt(level, model="2PL", n_quadpts=41, compute_standard_errors=False)
    return mirt.fscores(fitted, level, method="EAP")


def _girth(level: Ints) -> object:
    import girth

    data = girth.tag_missing_data(level.T, [0, 1])
    found = girth.twopl_mml(data)
    return girth.ability_eap(data, found["Difficulty"], found["Discrimination"])


def _responses(n: int) -> Ints:
    rng = np.random.default_rng(_SEED)
    slope, difficulty = np.exp(rng.normal(0.1, 0.3, 120)), rng.normal(-0.4, 0.9, 120)
    margin: Floats = slope * (rng.normal(size=n)[:, None] - difficulty)
    level = (rng.random(margin.shape) < 1 / (1 + np.exp(-margin))).astype(np.intp)
    level[rng.random(level.shape) < 0.25] = -1
    return level


def _cpu(run: Callable[[], object]) -> float:
    before = time.process_time()
    run()
    return time.process_time() - before
