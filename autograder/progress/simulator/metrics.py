"""Replicates in, numbers with their Monte-Carlo error out: ratios pooled over cohorts, errors by leaving one cohort out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autograder.progress.policy import FLAGS, State
from autograder.progress.scores import Bools, Floats
from autograder.progress.shortlist import Candidate, largest
from autograder.progress.simulator.cohort import N_WEEKS, top_of
from autograder.progress.simulator.replicate import Replicate

N_BINS, SHARE = 10, 0.1
Replicates = Sequence[Replicate]


@dataclass(frozen=True)
class Number:
    """A value and its standard error over cohorts; nan for what did not occur."""

    value: float
    error: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "–"
        return f"{self.value:.3f}" if np.isnan(self.error) else f"{self.value:.3f} ± {self.error:.3f}"


def number(of: Callable[[Replicates], float], replicates: Replicates) -> Number:
    """Return a statistic of all cohorts, with the jackknife's standard error."""
    k = len(replicates)
    value = of(replicates)
    if k < 2:
        return Number(value, float("nan"))
    without = np.array([of([*replicates[:i], *replicates[i + 1 :]]) for i in range(k)])
    known = without[~np.isnan(without)]
    if len(known) < 2:
        return Number(value, float("nan"))
    return Number(value, float(np.sqrt((k - 1) / k * ((known - known.mean()) ** 2).sum())))


def calibration_error(p: Floats, truth: Bools) -> float:
    """Return the expected calibration error: |mean of p - share that came true| in tenths of p, weighted by their size."""
    bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(bins, p - truth, minlength=N_BINS)
    return float(np.abs(gaps).sum() / len(p))


def ece(rule: str, week: int) -> Callable[[Replicates], float]:
    """Calibration error of a rule's chances at a week, all cohorts pooled."""

    def of(replicates: Replicates) -> float:
        p = np.concatenate([r.p[rule][week - 1] for r in replicates])
        return calibration_error(p, np.concatenate([r.cohort.top(SHARE) for r in replicates]))

    return of


def ece_of_exact_chances(rule: str, week: int) -> Callable[[Replicates], float]:
    """What the calibration error would be on average if the chances were exact: its floor in so few students.

    Every tenth of p has a sum of independent coins; the mean of its absolute error is that of a normal.
    """

    def of(replicates: Replicates) -> float:
        p = np.concatenate([r.p[rule][week - 1] for r in replicates])
        bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
        variance = np.bincount(bins, p * (1 - p), minlength=N_BINS)
        return float(np.sqrt(2 * variance / np.pi).sum() / len(p))

    return of


def reliability(rule: str, week: int, replicates: Replicates) -> list[tuple[float, float, int]]:
    """Return per tenth of p: its mean, the share that came true, and how many they are."""
    p = np.concatenate([r.p[rule][week - 1] for r in replicates])
    truth = np.concatenate([r.cohort.top(SHARE) for r in replicates])
    bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    at = [bins == b for b in range(N_BINS)]
    return [(float(p[b].mean()), float(truth[b].mean()), int(b.sum())) for b in at if b.any()]


def precision(rule: str, week: int) -> Callable[[Replicates], float]:
    """Share of the top tenth by the rule that belongs to the top tenth by truth."""

    def of(replicates: Replicates) -> float:
        return float(np.mean([r.cohort.top(SHARE)[_chosen(r, rule, week)].mean() for r in replicates]))

    return of


def false_flags(rule: str, alpha: float, week: int = N_WEEKS) -> Callable[[Replicates], float]:
    """Share of false names among the shortlisted."""

    def of(replicates: Replicates) -> float:
        hits = [r.cohort.top(SHARE)[_listed(r, rule, week, alpha)] for r in replicates]
        return float(1 - np.concatenate(hits).mean()) if sum(map(len, hits)) else float("nan")

    return of


def recall(rule: str, alpha: float, week: int = N_WEEKS) -> Callable[[Replicates], float]:
    """Share of the true top tenth that is shortlisted."""

    def of(replicates: Replicates) -> float:
        found = [r.cohort.top(SHARE)[_listed(r, rule, week, alpha)].sum() for r in replicates]
        return float(sum(found) / sum(r.cohort.top(SHARE).sum() for r in replicates))

    return of


def recall_ratio(rule: str, group: Callable[[Replicate], tuple[Bools, Bools]]) -> Callable[[Replicates], float]:
    """Recall of the top tenth by the rule in one group over that in another, at the end."""

    def of(replicates: Replicates) -> float:
        counts = np.zeros((2, 2))
        for r in replicates:
            truth, chosen = r.cohort.top(SHARE), _chosen(r, rule, N_WEEKS)
            for k, members in enumerate(group(r)):
                counts[k] += (truth & members & chosen).sum(), (truth & members).sum()
        found = counts[:, 0] / np.maximum(counts[:, 1], 1)
        return float(found[0] / found[1]) if found[1] and counts[0, 1] else float("nan")

    return of


def late_and_on_time(r: Replicate) -> tuple[Bools, Bools]:
    return r.cohort.late, ~r.cohort.late


def low_and_high_engagement(r: Replicate) -> tuple[Bools, Bools]:
    low, high = np.quantile(r.cohort.engaged, [1 / 3, 2 / 3])
    return r.cohort.engaged < low, r.cohort.engaged > high


def ever_false(strict: bool) -> Callable[[Replicates], float]:
    """Share of those who were provisional in some week and do not belong to the top tenth."""

    def of(replicates: Replicates) -> float:
        hits = [r.cohort.top(SHARE)[_ever(r, strict)] for r in replicates]
        return float(1 - np.concatenate(hits).mean()) if sum(map(len, hits)) else float("nan")

    return of


def churn(replicates: Replicates) -> float:
    """Share of students whose flag (watch or provisional, or none) changes from one week to the next."""
    flags = [np.array([[s in FLAGS for s in week] for week in r.states[False]]) for r in replicates]
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
        hits.append(r.cohort.top(SHARE)[ever])
    return float(1 - np.concatenate(hits).mean())


def caught(replicates: Replicates) -> float:
    found = [c for r in replicates for c in r.caught]
    return float(np.mean(found)) if found else float("nan")


def false_alarms(replicates: Replicates) -> float:
    found = [a for r in replicates for a in r.alarms]
    return float(np.mean(found)) if found else float("nan")


def _chosen(r: Replicate, rule: str, week: int) -> Bools:
    value = r.p[rule] if rule in r.p else r.naive[rule]
    return top_of(value[week - 1], SHARE)


def _listed(r: Replicate, rule: str, week: int, alpha: float) -> list[int]:
    p, sd = r.p[rule][week - 1], r.sd[week - 1]
    who = [Candidate(str(i), float(p[i]), float(sd[i])) for i in np.flatnonzero(r.eligible[week - 1]).tolist()]
    return [int(c.pseudonym) for c in largest(who, alpha, len(who))]


def _ever(r: Replicate, strict: bool) -> Bools:
    weeks = np.array([[s is State.PROVISIONAL for s in week] for week in r.states[strict]])
    return np.asarray(weeks.any(axis=0))
