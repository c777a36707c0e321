"""First tries, a course and a policy in, a `Report` out. Pure: no clock, no randomness, no database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from autograder.progress import ranks, reasons, settle
from autograder.progress.estimate import ENGINE, Fit, fit, target
from autograder.progress.items import CourseItems
from autograder.progress.policy import FLAGS, Policy, State, decide, lacking
from autograder.progress.report import LEVELS, N_DIGITS, Finding, Report, Spread
from autograder.progress.scores import Floats, Ints, Scores, collect
from autograder.records.model import FirstTry


def evaluate(
    first_tries: Iterable[FirstTry],
    course: CourseItems,
    policy: Policy,
    students: Iterable[str] = (),
    last_event: int | None = None,
) -> Report:
    """Return what the tracker says of everybody in `first_tries` and in `students` (pseudonyms, who may have none).

    The order of the inputs does not matter. Raises: BootcampError when the first tries contradict each other.
    """
    scores = collect(first_tries, course, policy, students)
    estimates = _estimate(scores, policy)
    findings = tuple(_finding(estimates, row, course, policy) for row in range(len(scores.pseudonyms)))
    return Report(
        engine=ENGINE,
        policy=policy.version,
        last_event=last_event,
        bar=_round(estimates.tau),
        n_first_tries=int(scores.seen.sum()),
        n_exercises=len(scores.exercises),
        n_notebooks=len(scores.notebooks),
        left_out=scores.left_out,
        too_early=_too_early(scores, findings, policy),
        spread=_spread(estimates.model),
        students=findings,
    )


@dataclass(frozen=True)
class _Estimates:
    """The cohort's numbers. Shapes: mean, sd, p (n); half, most, rank (n 2)."""

    scores: Scores
    model: Fit | None
    tau: float
    mean: Floats
    sd: Floats
    p: Floats
    half: Floats
    most: Floats
    rank: Ints


def _estimate(scores: Scores, policy: Policy) -> _Estimates:
    model, n = fit(scores), len(scores.pseudonyms)
    mean, sd = target(model, model.weight, model.response) if model else (np.zeros(n), np.ones(n))
    tau = ranks.bar(mean, sd, policy.target.top_share, policy.target.n_reference)
    half, most = (np.column_stack(ranks.interval(mean, sd, level)) for level in LEVELS)
    rank = np.column_stack(ranks.rank_interval(mean, sd, LEVELS[1]))
    return _Estimates(scores, model, tau, mean, sd, ranks.chances(mean, sd, tau), half, most, rank)


def _finding(e: _Estimates, row: int, course: CourseItems, policy: Policy) -> Finding:
    seen = e.scores.seen[row]
    n_items, n_notebooks = int(seen.sum()), len(np.unique(e.scores.notebook_of[seen]))
    mean, sd, p = _round(e.mean[row]), _round(e.sd[row]), _round(e.p[row])
    state = decide(policy, n_items, n_notebooks, sd, p)
    missing = lacking(policy, n_items, n_notebooks, sd)
    why = reasons.why(e.model, row, e.tau, course) if e.model and state in FLAGS else None
    what_next = settle.settle(e.model, row, course, policy, missing) if missing else None
    return Finding(
        pseudonym=e.scores.pseudonyms[row],
        state=state,
        p=p,
        mean=mean,
        sd=sd,
        interval50=(_round(e.half[row, 0]), _round(e.half[row, 1])),
        interval90=(_round(e.most[row, 0]), _round(e.most[row, 1])),
        rank90=(int(e.rank[row, 0]), int(e.rank[row, 1])),
        n_items=n_items,
        n_notebooks=n_notebooks,
        n_skipped=int(e.scores.n_skipped[row]),
        why=why,
        settle=what_next,
        reasons=reasons.in_words(why, p) if why else settle.in_words(what_next) if what_next else (),
    )


def _too_early(scores: Scores, findings: tuple[Finding, ...], policy: Policy) -> str:
    if any(f.state is not State.NEEDS_EVIDENCE for f in findings):
        return ""
    if not scores.exercises:
        return "No first try counts yet."
    most, need = max(f.n_items for f in findings), policy.evidence
    return (
        f"Nobody can be judged yet: needed are {need.min_first_tries} first tries in {need.min_notebooks} notebooks, and others "
        f"to compare with; {len(findings)} students have at most {most} in {len(scores.notebooks)}."
    )


def _spread(model: Fit | None) -> Spread | None:
    return Spread(**{name: _round(x) for name, x in asdict(model.variances).items()}) if model else None


def _round(x: float) -> float:
    # Adding 0 turns a rounded -0.0 into 0.0.
    return round(float(x), N_DIGITS) + 0.0
