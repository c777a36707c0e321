"""Replicates in, the nine numbers of the tracker as rows, text and JSON out; each with target and Monte-Carlo error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autograder.progress.policy import Policy
from autograder.progress.simulator import metrics as m
from autograder.progress.simulator.cohort import N_WEEKS, Setting
from autograder.progress.simulator.metrics import Number, Replicates
from autograder.progress.simulator.replicate import CHECKED, Case, Replicate

RULES = ("hierarchy", "gaussian", "flat IRT", "adjusted first tries", "mean of attempted", "total score")
_PROBABLE = RULES[:3]


@dataclass(frozen=True)
class Row:
    """One line: which of the nine numbers, what, on which cases, the target in words, the value, and whether it is reached.

    `reached` is None where the line has no target of its own (a rule to compare with, or nothing was computed).
    """

    number: int
    what: str
    case: str
    target: str
    value: Number
    reached: bool | None
    n_cohorts: int


def rows(replicates: Replicates, policy: Policy) -> list[Row]:
    """Return numbers 1 to 5 and 8 of all cases; 6, 7 and 9 need no cohort and come from `speed` and `rebuilding`."""
    by_case: dict[Case, list[Replicate]] = {}
    for r in replicates:
        by_case.setdefault(r.case, []).append(r)
    return [row for case, own in by_case.items() for row in _of_case(case, own, policy)]


def _of_case(case: Case, own: Sequence[Replicate], policy: Policy) -> list[Row]:
    alpha = policy.shortlist.alpha
    out: list[Row] = []

    def add(
        n: int, what: str, of: Callable[[Replicates], float], target: str = "", ok: Callable[[float], bool] | None = None
    ) -> None:
        value = m.number(of, own)
        reached = None if ok is None or value.value != value.value else ok(value.value)
        out.append(Row(n, what, str(case), target, value, reached, len(own)))

    for rule in _PROBABLE:
        ours = rule == "hierarchy"
        add(
            1,
            f"{rule}: false, week 12, alpha {alpha:.2f}",
            m.false_flags(rule, alpha),
            "<= 0.20" if ours else "",
            _at_most(0.20, ours),
        )
        add(1, f"{rule}: recall, the same", m.recall(rule, alpha), ">= 0.50" if ours else "", _at_least(0.50, ours))
    for week in range(1, N_WEEKS + 1):
        add(2, f"hierarchy: ECE, week {week}", m.ece("hierarchy", week), "<= 0.015", _at_most(0.015))
    add(2, "of exact chances: ECE, week 12 (the floor)", m.ece_of_exact_chances("hierarchy", 12))
    for rule in _PROBABLE[1:]:
        add(2, f"{rule}: ECE, week 12", m.ece(rule, 12))
    best_naive = max(m.precision(rule, 12)(own) for rule in ("mean of attempted", "total score"))
    for rule in RULES:
        for week in CHECKED:
            target = "" if rule != "hierarchy" else f"> {best_naive:.2f} (naive, week 12)" if week == 4 else ">= 0.68"
            ok = None if rule != "hierarchy" else (lambda x: x > best_naive) if week == 4 else _at_least(0.68)
            add(3, f"{rule}: precision of the top tenth, week {week}", m.precision(rule, week), target, ok)
    for rule in ("hierarchy", "gaussian", "total score"):
        ours = rule == "hierarchy"
        late, low = m.recall_ratio(rule, m.late_and_on_time), m.recall_ratio(rule, m.low_and_high_engagement)
        add(4, f"{rule}: recall of late joiners / on time", late, ">= 0.9" if ours else "", _at_least(0.9, ours))
        add(4, f"{rule}: recall, low / high engagement", low, ">= 0.8" if ours else "", _at_least(0.8, ours))
    add(5, "ever false among provisional", m.ever_false(False), "<= 0.25", _at_most(0.25))
    add(5, "ever false, strict", m.ever_false(True), "<= 0.20", _at_most(0.20))
    add(5, "flags that change in a week", m.churn, "<= 0.05", _at_most(0.05))
    add(5, "total score: ever false", m.naive_ever_false)
    if case.warm:
        add(8, "broken check caught by 60 submissions", m.caught, ">= 0.90", _at_least(0.90))
        add(8, "false alarms per exercise", m.false_alarms, "<= 0.001", _at_most(0.001))
    return out


def _at_most(limit: float, asked: bool = True) -> Callable[[float], bool] | None:
    return (lambda x: x <= limit) if asked else None


def _at_least(limit: float, asked: bool = True) -> Callable[[float], bool] | None:
    return (lambda x: x >= limit) if asked else None


def text(found: Sequence[Row]) -> str:
    """Return the table for people."""
    lines = []
    for case in dict.fromkeys(r.case for r in found):
        own = [r for r in found if r.case == case]
        lines.append(f"\n{case}, {own[0].n_cohorts} cohorts" if own[0].n_cohorts else f"\n{case}")
        lines += [f"  {r.number}  {r.what:<52} {r.value!s:>15}  {_verdict(r)}" for r in own]
    return "\n".join(lines).strip()


def _verdict(r: Row) -> str:
    if r.reached is None:
        return r.target
    return f"{r.target}  {'reached' if r.reached else 'MISSED'}"


def as_json(found: Sequence[Row], replicates: Replicates) -> Mapping[str, Any]:
    """Return the table and the reliability diagram's points as plain data; nan becomes None."""
    cases = list(dict.fromkeys(r.case for r in replicates))
    diagrams = [
        {"case": str(c), "rule": rule, "week": week, "bins": m.reliability(rule, week, [r for r in replicates if r.case == c])}
        for c in cases
        for rule in _PROBABLE
        for week in CHECKED
    ]
    plain = [
        {k: v for k, v in asdict(r).items() if k != "value"} | {"value": _or_none(r.value.value), "error": _or_none(r.value.error)}
        for r in found
    ]
    return {"rows": plain, "reliability": diagrams, "settings": {s.name.lower(): s.value for s in Setting}}


def _or_none(x: float) -> float | None:
    return None if x != x else round(x, 6)
