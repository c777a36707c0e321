"""Rows in, the table as text and as JSON out: each with its target and its Monte-Carlo error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autograder.progress.simulator.cohort import Setting
from autograder.progress.simulator.numbers.calibration import reliability
from autograder.progress.simulator.numbers.number import Number, Replicates
from autograder.progress.simulator.replicate import CHECKED


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


def text(found: Sequence[Row]) -> str:
    """Return the table for people."""
    lines = []
    for case in dict.fromkeys(r.case for r in found):
        own = [r for r in found if r.case == case]
        lines.append(f"\n{case}, {own[0].n_cohorts} cohorts" if own[0].n_cohorts else f"\n{case}")
        lines += [f"  {r.number}  {r.what:<58} {r.value!s:>15}  {_verdict(r)}".rstrip() for r in own]
    return "\n".join(lines).strip()


def as_json(found: Sequence[Row], replicates: Replicates, rules: Sequence[str]) -> Mapping[str, Any]:
    """Return the table and the reliability diagrams' points as plain data; nan becomes None."""
    cases = list(dict.fromkeys(r.case for r in replicates))
    diagrams = [
        {"case": str(c), "rule": rule, "week": week, "bins": _bins(rule, week, [r for r in replicates if r.case == c])}
        for c in cases
        for rule in rules
        for week in CHECKED
    ]
    plain = [
        {k: v for k, v in asdict(r).items() if k != "value"} | {"value": _or_none(r.value.value), "error": _or_none(r.value.error)}
        for r in found
    ]
    return {"rows": plain, "reliability": diagrams, "settings": {s.name.lower(): s.value for s in Setting}}


def _bins(rule: str, week: int, replicates: Replicates) -> list[tuple[float, float, int]]:
    return [(round(p, 6), round(share, 6), n) for p, share, n in reliability(rule, week, replicates)]


def _verdict(r: Row) -> str:
    if r.reached is None:
        return r.target
    return f"{r.target}  {'reached' if r.reached else 'MISSED'}"


def _or_none(x: float) -> float | None:
    return None if x != x else round(x, 6)
