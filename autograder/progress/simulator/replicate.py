"""A seed, a setting and a size in; one cohort followed through its course by every rule out.

A cohort is the same cold and warm, and a bank the same for all sizes, so that what differs is what is compared; the rules that
know nothing of a bank are computed once for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from autograder.progress.irt import gpcm, hierarchy
from autograder.progress.irt.bank import anchor, bank_of
from autograder.progress.irt.hierarchy import Anchor, Hierarchy
from autograder.progress.policy import Policy, State, decide
from autograder.progress.posterior import Posterior
from autograder.progress.scores import Bools, Floats, Ints, Scores
from autograder.progress.simulator import rules
from autograder.progress.simulator.breakage import Breakage, alarmed, breakage
from autograder.progress.simulator.cohort import N_ITEMS, N_WEEKS, Cohort, Items, Setting, Truth, draw_cohort, draw_items
from autograder.progress.transitions import transition

SEED, N_BANK = 20261125, 300
# The weeks at which every rule is looked at; the hierarchy is at every week.
CHECKED = (4, 12)
# Above this many students, sound checks are looked at in the weeks of CHECKED only.
_MANY = 500
STATES = tuple(State)


@dataclass(frozen=True)
class Case:
    """What is replicated: `warm` is against a bank of an earlier cohort of 300, else refitted every week."""

    setting: Setting
    n: int
    warm: bool

    def __str__(self) -> str:
        return f"{self.setting.value} N={self.n} {'warm' if self.warm else 'cold'}"


@dataclass(frozen=True)
class Replicate:
    """One cohort. Shapes: p[rule] (weeks n), nan where not computed; naive[rule] (weeks n), higher is better; sd, eligible
    (weeks n), of the hierarchy; states[strict] (weeks n), places in `STATES`. `broken` is None without a bank.
    """

    case: Case
    truth: Truth
    p: Mapping[str, Floats]
    naive: Mapping[str, Floats]
    sd: Floats
    eligible: Bools
    states: Mapping[bool, Ints]
    broken: Breakage | None


def replicate(case: Case, number: int, policy: Policy) -> Replicate:
    """Follow one cohort week by week. The same case and number give the same result."""
    cohort, others = _cohort(case.setting, case.n, number), _others(case.setting, case.n, number)
    bank = _bank(case.setting, number) if case.warm else None
    p, sd, eligible = (np.zeros((N_WEEKS, case.n), dtype=kind) for kind in (float, float, bool))
    alarms = np.zeros(N_WEEKS * N_ITEMS, dtype=bool)
    fitted: Hierarchy | None = None
    for week in range(1, N_WEEKS + 1):
        scores = cohort.scores(week)
        columns = np.array([int(e[1:]) for e in scores.exercises])
        posterior, fitted = rules.hierarchical(scores, _anchor(bank, columns), fitted)
        p[week - 1], sd[week - 1] = rules.chances(posterior), posterior.sd
        eligible[week - 1] = _eligible(scores, posterior, policy)
        if bank and (case.n <= _MANY or week in CHECKED):
            alarms[columns] |= alarmed(fitted, policy)
    assert fitted is not None
    states = {strict: _states(p, eligible, _mode(policy, strict)) for strict in (False, True)}
    broken = breakage(np.random.default_rng([SEED, number, case.n]), fitted, policy, alarms) if bank else None
    return Replicate(case, cohort.truth, {"hierarchy": p, **others.p}, others.naive, sd, eligible, states, broken)


@dataclass(frozen=True)
class _Others:
    """What the other rules say of a cohort: chances and orders, both (weeks n)."""

    p: Mapping[str, Floats]
    naive: Mapping[str, Floats]


@lru_cache(maxsize=8)
def _others(setting: Setting, n: int, number: int) -> _Others:
    cohort = _cohort(setting, n, number)
    p = {rule: np.full((N_WEEKS, n), np.nan) for rule in ("flat IRT", "gaussian", "oracle")}
    items = _course(setting, number)[1]
    for week in CHECKED:
        scores = cohort.scores(week)
        p["flat IRT"][week - 1] = rules.chances(rules.flat_irt(scores))
        p["gaussian"][week - 1] = rules.chances(rules.gaussian(scores))
        p["oracle"][week - 1] = rules.chances(rules.oracle(scores, items, setting))
    weeks = range(1, N_WEEKS + 1)
    naive = {
        "total score": np.array([rules.total_score(cohort, week) for week in weeks]),
        "mean of attempted": np.array([rules.mean_of_attempted(cohort, week) for week in weeks]),
        "adjusted first tries": np.array([rules.adjusted_first_tries(cohort.scores(week)) for week in weeks]),
    }
    return _Others(p, naive)


def _course(setting: Setting, number: int) -> tuple[np.random.Generator, Items]:
    rng = np.random.default_rng([SEED, number, list(Setting).index(setting)])
    return rng, draw_items(rng)


@lru_cache(maxsize=8)
def _cohort(setting: Setting, n: int, number: int) -> Cohort:
    rng = np.random.default_rng([SEED, number, list(Setting).index(setting), n])
    return draw_cohort(rng, _course(setting, number)[1], n, setting)


@lru_cache(maxsize=256)
def _bank(setting: Setting, number: int) -> Anchor:
    """Return the anchor of all 120 exercises to a bank from an earlier cohort's whole course."""
    rng, items = _course(setting, number)
    earlier = hierarchy.fit(draw_cohort(rng, items, N_BANK, setting).scores(N_WEEKS))
    assert earlier is not None
    return anchor(bank_of(earlier, "earlier cohort"), [f"E{j:03d}" for j in range(N_WEEKS * N_ITEMS)])


def _anchor(bank: Anchor | None, columns: Ints) -> Anchor | None:
    if bank is None:
        return None
    cuts = tuple(bank.cuts[j] for j in columns)
    return replace(bank, curves=gpcm.select(bank.curves, columns), cuts=cuts, known=bank.known[columns])


def _eligible(scores: Scores, posterior: Posterior, policy: Policy) -> Bools:
    starts = np.flatnonzero(np.diff(scores.notebook_of, prepend=-1))
    books = (np.add.reduceat(scores.seen, starts, axis=1, dtype=int) > 0).sum(axis=1)
    n, need = scores.seen.sum(axis=1), policy.evidence
    return np.asarray((n >= need.min_first_tries) & (books >= need.min_notebooks) & (posterior.sd <= need.max_sd_ratio))


def _mode(policy: Policy, strict: bool) -> Policy:
    return policy.model_copy(update={"states": policy.states.model_copy(update={"strict": strict})})


def _states(p: Floats, eligible: Bools, policy: Policy) -> Ints:
    need, out = policy.evidence, np.zeros(p.shape, dtype=np.intp)
    was: list[State | None] = [None] * p.shape[1]
    for week in range(len(p)):
        for i, now in enumerate(p[week].tolist()):
            enough = (need.min_first_tries, need.min_notebooks, 0.0) if eligible[week, i] else (0, 0, 1.0)
            before = p[week - 1 : week, i].tolist()
            state = transition(policy, was[i], before, decide(policy, *enough, now), now)
            was[i], out[week, i] = state, STATES.index(state)
    return out
