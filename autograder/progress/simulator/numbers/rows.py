"""Replicates of one case in; numbers 1 to 5 and 8 of the tracker out, as rows with target and Monte-Carlo error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from autograder.progress.policy import Policy
from autograder.progress.simulator.breakage import HEADLINE, N_SUBMISSIONS, WAYS
from autograder.progress.simulator.cohort import N_WEEKS
from autograder.progress.simulator.numbers import calibration
from autograder.progress.simulator.numbers import metrics as m
from autograder.progress.simulator.numbers.number import Replicates, less
from autograder.progress.simulator.numbers.number import number as number_of
from autograder.progress.simulator.numbers.table import Row
from autograder.progress.simulator.replicate import CHECKED, Case, Replicate

RULES = ("hierarchy", "gaussian", "flat IRT", "adjusted first tries", "mean of attempted", "total score")
PROBABLE = RULES[:3]
OURS, ORACLE = RULES[0], "oracle"
_Statistic = Callable[[Replicates], float]
_Found = tuple[str, _Statistic, str, Callable[[float], bool] | None]


def rows(replicates: Replicates, policy: Policy) -> list[Row]:
    """Return the rows of all cases; numbers 6, 7 and 9 need no cohort and come from `standing`."""
    by_case: dict[Case, list[Replicate]] = {}
    for r in replicates:
        by_case.setdefault(r.case, []).append(r)
    return [row for case, own in by_case.items() for row in _of_case(case, own, policy)]


def _of_case(case: Case, own: Sequence[Replicate], policy: Policy) -> Iterator[Row]:
    parts = {
        1: _shortlist(policy),
        2: _calibration(),
        3: _precision(own),
        4: _fairness(),
        5: _flags(),
        8: _broken() if case.warm else (),
    }
    for number, part in parts.items():
        for what, of, target, is_reached in part:
            value = number_of(of, own)
            known = is_reached is not None and value.value == value.value
            yield Row(number, what, str(case), target, value, is_reached(value.value) if known and is_reached else None, len(own))


def _shortlist(policy: Policy) -> Iterator[_Found]:
    alpha = policy.shortlist.alpha
    for rule in PROBABLE:
        ours = rule == OURS
        yield (f"{rule}: false, week 12, alpha {alpha:.2f}", m.false_flags(rule, alpha), *_at_most(0.20, ours))
        yield (f"{rule}: what its chances promise", m.promised_false(rule, alpha), "", None)
        yield (f"{rule}: recall, the same", m.recall(rule, alpha), *_at_least(0.50, ours))
    yield f"{ORACLE}: false, week 12, alpha {alpha:.2f}", m.false_flags(ORACLE, alpha), "", None
    yield f"{ORACLE}: what its chances promise", m.promised_false(ORACLE, alpha), "", None
    for week in CHECKED:
        for rule in (*RULES, ORACLE):
            yield f"{rule}: recall where a fifth is false, week {week}", m.recall_where(rule, 0.2, week), "", None
        for rule in RULES[1:3]:
            ahead = less(m.recall_where(OURS, 0.2, week), m.recall_where(rule, 0.2, week))
            yield f"hierarchy less {rule}, the same, week {week}", ahead, "> 0", lambda x: x > 0
        behind = m.recall_where(ORACLE, 0.2, week)
        yield f"{ORACLE} less hierarchy, the same, week {week}", less(behind, m.recall_where(OURS, 0.2, week)), "", None


def _calibration() -> Iterator[_Found]:
    for week in range(1, N_WEEKS + 1):
        yield (f"hierarchy: ECE, week {week}", calibration.ece(OURS, week), *_at_most(0.015))
    yield ("hierarchy: ECE, worst week from 2 on", calibration.worst(lambda w: calibration.ece(OURS, w)), *_at_most(0.015))
    yield "of exact chances: the same (the floor)", calibration.worst(lambda w: calibration.ece_of_exact_chances(OURS, w)), "", None
    yield "hierarchy: ECE above that of exact chances, mean of weeks", calibration.mean_excess(OURS), "", None
    for rule in PROBABLE[1:]:
        yield f"{rule}: ECE, week 12", calibration.ece(rule, 12), "", None
    yield "of exact chances: ECE, week 12", calibration.ece_of_exact_chances(OURS, 12), "", None


def _precision(own: Sequence[Replicate]) -> Iterator[_Found]:
    naive = max(("mean of attempted", "total score"), key=lambda rule: m.precision(rule, 12)(own))
    for rule in (*RULES, ORACLE):
        for week in CHECKED:
            what = f"{rule}: precision of the top tenth, week {week}"
            yield (what, m.precision(rule, week), *_at_least(0.68, rule == OURS and week == 12))
    ahead = less(m.precision(OURS, 4), m.precision(naive, 12))
    yield "hierarchy at week 4 less the better naive rule at week 12", ahead, "> 0", lambda x: x > 0


def _fairness() -> Iterator[_Found]:
    for rule in ("hierarchy", "gaussian", "total score"):
        late, low = m.recall_ratio(rule, m.late_and_on_time), m.recall_ratio(rule, m.low_and_high_engagement)
        yield (f"{rule}: recall of late joiners / on time", late, *_at_least(0.9, rule == OURS))
        yield (f"{rule}: recall, low / high engagement", low, *_at_least(0.8, rule == OURS))


def _flags() -> Iterator[_Found]:
    for strict, limit in ((False, 0.25), (True, 0.20)):
        mode = ", strict" if strict else ""
        yield (f"ever false among provisional{mode}", m.ever_false(strict), *_at_most(limit))
        yield f"what their chances promised{mode}", m.promised_ever_false(strict), "", None
        yield f"recall of ever provisional{mode}", m.ever_found(strict), "", None
    yield ("flags that change in a week", m.churn, *_at_most(0.05))
    yield "total score: flags that change in a week", m.naive_churn, "", None
    yield "total score: ever false", m.naive_ever_false, "", None


def _broken() -> Iterator[_Found]:
    for way in WAYS:
        yield (f"{way}: caught by {N_SUBMISSIONS} submissions", m.caught(way), *_at_least(0.90, way == HEADLINE))
    yield f"{HEADLINE}: caught by all there are", m.caught(HEADLINE, by_all=True), "", None
    yield ("false alarms per exercise at the end", m.false_alarms(ever=False), *_at_most(0.001))
    yield ("false alarms per exercise in any week", m.false_alarms(ever=True), *_at_most(0.001))


def _at_most(limit: float, asked: bool = True) -> tuple[str, Callable[[float], bool] | None]:
    return (f"<= {limit:g}", lambda x: x <= limit) if asked else ("", None)


def _at_least(limit: float, asked: bool = True) -> tuple[str, Callable[[float], bool] | None]:
    return (f">= {limit:g}", lambda x: x >= limit) if asked else ("", None)
