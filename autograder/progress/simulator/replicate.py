"""A seed, a setting and a size in; one cohort followed through its course by every rule out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from autograder.progress.irt import drift, gpcm, hierarchy
from autograder.progress.irt.bank import anchor, bank_of
from autograder.progress.irt.hierarchy import Anchor, Hierarchy
from autograder.progress.policy import Policy, State, decide
from autograder.progress.posterior import Posterior
from autograder.progress.scores import Bools, Floats, Ints, Scores
from autograder.progress.simulator import rules
from autograder.progress.simulator.cohort import N_ITEMS, N_WEEKS, Cohort, Items, Setting, draw_cohort, draw_items
from autograder.progress.transitions import transition

SEED, N_BANK = 20261125, 300
_N_BROKEN, _N_SUBMISSIONS, _REJECTED = 12, 60, 0.6
# The weeks at which every rule is looked at; the hierarchy is at every week.
CHECKED = (4, 12)


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
    (weeks n), of the hierarchy; states (strict, week) -> n states; caught and alarms: of broken and of sound checks.
    """

    case: Case
    cohort: Cohort
    p: Mapping[str, Floats]
    naive: Mapping[str, Floats]
    sd: Floats
    eligible: Bools
    states: Mapping[bool, tuple[tuple[State, ...], ...]]
    caught: tuple[bool, ...]
    alarms: tuple[bool, ...]


def replicate(case: Case, number: int, policy: Policy) -> Replicate:
    """Follow one cohort week by week. The same case and number give the same result."""
    rng = np.random.default_rng([SEED, number, case.n, list(Setting).index(case.setting)])
    items = draw_items(rng)
    bank = _bank(rng, items, case.setting) if case.warm else None
    cohort = draw_cohort(rng, items, case.n, case.setting)
    p = {rule: np.full((N_WEEKS, case.n), np.nan) for rule in ("hierarchy", "flat IRT", "gaussian")}
    naive = {rule: np.zeros((N_WEEKS, case.n)) for rule in ("total score", "mean of attempted", "adjusted first tries")}
    sd, eligible = np.zeros((N_WEEKS, case.n)), np.zeros((N_WEEKS, case.n), dtype=bool)
    fitted: Hierarchy | None = None
    alarms: list[bool] = []
    for week in range(1, N_WEEKS + 1):
        scores = cohort.scores(week)
        posterior, fitted = rules.hierarchical(scores, _anchor(bank, scores), fitted)
        p["hierarchy"][week - 1], sd[week - 1] = rules.chances(posterior), posterior.sd
        if week in CHECKED:
            p["flat IRT"][week - 1] = rules.chances(rules.flat_irt(scores))
            p["gaussian"][week - 1] = rules.chances(rules.gaussian(scores))
            alarms += _alarms(fitted, policy) if bank else []
        eligible[week - 1] = _eligible(scores, posterior, policy)
        naive["total score"][week - 1] = rules.total_score(cohort, week)
        naive["mean of attempted"][week - 1] = rules.mean_of_attempted(cohort, week)
        naive["adjusted first tries"][week - 1] = rules.adjusted_first_tries(scores)
    assert fitted is not None
    states = {strict: _states(p["hierarchy"], eligible, _mode(policy, strict)) for strict in (False, True)}
    caught = _caught(rng, fitted, policy) if bank else ()
    return Replicate(case, cohort, p, naive, sd, eligible, states, caught, tuple(alarms))


def _bank(rng: np.random.Generator, items: Items, setting: Setting) -> Anchor:
    """Return the anchor of all 120 exercises to a bank from an earlier cohort's whole course."""
    earlier = hierarchy.fit(draw_cohort(rng, items, N_BANK, setting).scores(N_WEEKS))
    assert earlier is not None
    return anchor(bank_of(earlier, "earlier cohort"), [f"E{j:03d}" for j in range(N_WEEKS * N_ITEMS)])


def _anchor(bank: Anchor | None, scores: Scores) -> Anchor | None:
    if bank is None:
        return None
    columns = np.array([int(e[1:]) for e in scores.exercises])
    cuts = tuple(bank.cuts[j] for j in columns)
    return replace(bank, curves=gpcm.select(bank.curves, columns), cuts=cuts, known=bank.known[columns])


def _eligible(scores: Scores, posterior: Posterior, policy: Policy) -> Bools:
    books = np.array([len(np.unique(scores.notebook_of[row])) for row in scores.seen])
    n, need = scores.seen.sum(axis=1), policy.evidence
    return np.asarray((n >= need.min_first_tries) & (books >= need.min_notebooks) & (posterior.sd <= need.max_sd_ratio))


def _mode(policy: Policy, strict: bool) -> Policy:
    return policy.model_copy(update={"states": policy.states.model_copy(update={"strict": strict})})


def _states(p: Floats, eligible: Bools, policy: Policy) -> tuple[tuple[State, ...], ...]:
    need, out = policy.evidence, []
    was: list[State | None] = [None] * p.shape[1]
    for week in range(len(p)):
        for i, now in enumerate(p[week].tolist()):
            enough = (need.min_first_tries, need.min_notebooks, 0.0) if eligible[week, i] else (0, 0, 1.0)
            before = p[week - 1 : week, i].tolist()
            was[i] = transition(policy, was[i], before, decide(policy, *enough, now), now)
        out.append(tuple(s for s in was if s is not None))
    return tuple(out)


def _alarms(model: Hierarchy, policy: Policy) -> list[bool]:
    sound = np.where(model.level >= 0, 0, -1)
    found = drift.residuals(model, sound, ("sound",))
    return [r.z > policy.evidence.max_residual_z for r in found if r.n_tries >= policy.evidence.min_residual_tries]


def _caught(rng: np.random.Generator, model: Hierarchy, policy: Policy) -> tuple[bool, ...]:
    """Break checks so that they reject three right answers in five; is each noticed after 60 submissions?"""
    found = []
    for j in rng.choice(len(model.scores.exercises), size=_N_BROKEN, replace=False).tolist():
        tried = np.flatnonzero(model.level[:, j] >= 0)
        if len(tried) < _N_SUBMISSIONS:
            continue
        level: Ints = model.level[rng.permutation(tried)[:_N_SUBMISSIONS]].copy()
        level[:, j] = np.where(rng.random(len(level)) < _REJECTED, 0, level[:, j])
        build_of = np.full(level.shape, -1, dtype=np.intp)
        build_of[:, j] = 0
        (residual,) = drift.residuals(replace(model, level=level), build_of, ("broken",))
        found.append(residual.z > policy.evidence.max_residual_z)
    return tuple(found)
