"""Replicates in; how good lists and flags are, out: ratios pooled over cohorts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autograder.progress.policy import FLAGS, State
from autograder.progress.scores import Bools, Floats
from autograder.progress.shortlist import Candidate, largest
from autograder.progress.simulator.cohort import N_WEEKS, top_of
from autograder.progress.simulator.numbers.number import Replicates
from autograder.progress.simulator.replicate import STATES, Replicate

SHARE = 0.1


def precision(rule: str, week: int) -> Callable[[Replicates], float]:
    """Share of the top tenth by the rule that belongs to the top tenth by truth."""

    def of(replicates: Replicates) -> float:
        return float(np.mean([r.truth.top(SHARE)[_chosen(r, rule, week)].mean() for r in replicates]))

    return of


def false_flags(rule: str, alpha: float, week: int = N_WEEKS) -> Callable[[Replicates], float]:
    """Share of false names among the shortlisted."""

    def of(replicates: Replicates) -> float:
        hits = [r.truth.top(SHARE)[_listed(r, rule, week, alpha)] for r in replicates]
        return float(1 - np.concatenate(hits).mean()) if sum(map(len, hits)) else float("nan")

    return of


def promised_false(rule: str, alpha: float, week: int = N_WEEKS) -> Callable[[Replicates], float]:
    """What the chances of the shortlisted say that share is. Where it is another, the chances are off."""

    def of(replicates: Replicates) -> float:
        p = [r.p[rule][week - 1][_listed(r, rule, week, alpha)] for r in replicates]
        return float(1 - np.concatenate(p).mean()) if sum(map(len, p)) else float("nan")

    return of


def recall_where(rule: str, false: float, week: int) -> Callable[[Replicates], float]:
    """Recall of the longest list by the rule, over all cohorts, of which just this share is false.

    So rules are compared at equal false flags, whatever their chances say. Chances order students of all cohorts; a score that
    is none is first measured from its cohort's mean in the cohort's SDs.
    """

    def of(replicates: Replicates) -> float:
        value = np.concatenate([_comparable(r, rule, week) for r in replicates])
        truth = np.concatenate([r.truth.top(SHARE) for r in replicates])
        hits = truth[np.argsort(-value, kind="stable")].cumsum()
        listed = np.arange(1, len(hits) + 1)
        kept = np.flatnonzero(listed - hits <= false * listed)
        return float(hits[kept[-1]] / truth.sum()) if len(kept) else 0.0

    return of


def recall(rule: str, alpha: float, week: int = N_WEEKS) -> Callable[[Replicates], float]:
    """Share of the true top tenth that is shortlisted."""

    def of(replicates: Replicates) -> float:
        found = [r.truth.top(SHARE)[_listed(r, rule, week, alpha)].sum() for r in replicates]
        return float(sum(found) / sum(r.truth.top(SHARE).sum() for r in replicates))

    return of


def recall_ratio(rule: str, group: Callable[[Replicate], tuple[Bools, Bools]]) -> Callable[[Replicates], float]:
    """Recall of the top tenth by the rule in one group over that in another, at the end."""

    def of(replicates: Replicates) -> float:
        counts = np.zeros((2, 2))
        for r in replicates:
            truth, chosen = r.truth.top(SHARE), _chosen(r, rule, N_WEEKS)
            for k, members in enumerate(group(r)):
                counts[k] += (truth & members & chosen).sum(), (truth & members).sum()
        found = counts[:, 0] / np.maximum(counts[:, 1], 1)
        return float(found[0] / found[1]) if found[1] and counts[0, 1] else float("nan")

    return of


def late_and_on_time(r: Replicate) -> tuple[Bools, Bools]:
    return r.truth.late, ~r.truth.late


def low_and_high_engagement(r: Replicate) -> tuple[Bools, Bools]:
    low, high = np.quantile(r.truth.engaged, [1 / 3, 2 / 3])
    return r.truth.engaged < low, r.truth.engaged > high


def ever_false(strict: bool) -> Callable[[Replicates], float]:
    """Share of those who were provisional in some week and do not belong to the top tenth."""

    def of(replicates: Replicates) -> float:
        hits = [r.truth.top(SHARE)[_ever(r, strict)] for r in replicates]
        return float(1 - np.concatenate(hits).mean()) if sum(map(len, hits)) else float("nan")

    return of


def promised_ever_false(strict: bool) -> Callable[[Replicates], float]:
    """What the chances say of them in the week in which they became provisional.

    Chances that come true do so at whatever week one looks: then looking every week makes no more of them false.
    """

    def of(replicates: Replicates) -> float:
        found = []
        for r in replicates:
            provisional = r.states[strict] == STATES.index(State.PROVISIONAL)
            who = np.flatnonzero(provisional.any(axis=0))
            found.append(1 - r.p["hierarchy"][provisional.argmax(axis=0)[who], who])
        return float(np.concatenate(found).mean()) if sum(map(len, found)) else float("nan")

    return of


def ever_found(strict: bool) -> Callable[[Replicates], float]:
    """Share of the true top tenth that was provisional in some week."""

    def of(replicates: Replicates) -> float:
        found = sum(int((r.truth.top(SHARE) & _ever(r, strict)).sum()) for r in replicates)
        return found / sum(int(r.truth.top(SHARE).sum()) for r in replicates)

    return of


def churn(replicates: Replicates) -> float:
    """Share of students whose flag (watch or provisional, or none) changes from one week to the next."""
    flags = [np.isin(r.states[False], [STATES.index(s) for s in FLAGS]) for r in replicates]
    return float(np.mean([np.mean(f[1:] != f[:-1]) for f in flags]))


def naive_churn(replicates: Replicates) -> float:
    """The same for being among the top tenth by total score."""
    flags = [np.array([top_of(week, SHARE) for week in r.naive["total score"]]) for r in replicates]
    return float(np.mean([np.mean(f[1:] != f[:-1]) for f in flags]))


def naive_ever_false(replicates: Replicates) -> float:
    """The same for being among the top tenth by total score in some week."""
    hits = []
    for r in replicates:
        ever = np.any([top_of(week, SHARE) for week in r.naive["total score"]], axis=0)
        hits.append(r.truth.top(SHARE)[ever])
    return float(1 - np.concatenate(hits).mean())


def caught(way: str, by_all: bool = False) -> Callable[[Replicates], float]:
    """Share of checks broken in this way that are left out, after N_SUBMISSIONS or after all there are."""

    def of(replicates: Replicates) -> float:
        found = [(r.broken.caught_by_all if by_all else r.broken.caught)[way] for r in replicates if r.broken]
        return _mean(found)

    return of


def false_alarms(ever: bool) -> Callable[[Replicates], float]:
    """Share of sound checks that are left out at the end, or were in some week."""

    def of(replicates: Replicates) -> float:
        return _mean([r.broken.ever_alarms if ever else r.broken.alarms for r in replicates if r.broken])

    return of


def _mean(found: Sequence[Bools]) -> float:
    return float(np.concatenate(found).mean()) if sum(map(len, found)) else float("nan")


def _value(r: Replicate, rule: str, week: int) -> Floats:
    return (r.p[rule] if rule in r.p else r.naive[rule])[week - 1]


def _comparable(r: Replicate, rule: str, week: int) -> Floats:
    value = _value(r, rule, week)
    return value if rule in r.p else (value - value.mean()) / max(float(value.std()), 1e-9)


def _chosen(r: Replicate, rule: str, week: int) -> Bools:
    return top_of(_value(r, rule, week), SHARE)


def _listed(r: Replicate, rule: str, week: int, alpha: float) -> list[int]:
    p, sd = r.p[rule][week - 1], r.sd[week - 1]
    who = [Candidate(str(i), float(p[i]), float(sd[i])) for i in np.flatnonzero(r.eligible[week - 1]).tolist()]
    return [int(c.pseudonym) for c in largest(who, alpha, len(who))]


def _ever(r: Replicate, strict: bool) -> Bools:
    return np.asarray((r.states[strict] == STATES.index(State.PROVISIONAL)).any(axis=0))
