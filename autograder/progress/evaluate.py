"""First tries, a course and a policy in, a `Report` out. Pure: no clock, no randomness, no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

import numpy as np

from autograder.numerals import whole
from autograder.progress import ranks, reasons, settle
from autograder.progress.decisions import Decisions
from autograder.progress.engine import Hierarchical, Model, fit
from autograder.progress.estimate import ENGINE
from autograder.progress.irt.bank import Bank
from autograder.progress.irt.drift import residuals
from autograder.progress.items import CourseItems
from autograder.progress.policy import FLAGS, Policy, State, decide, lacking
from autograder.progress.posterior import Posterior, normal
from autograder.progress.report import LEVELS, N_DIGITS, Finding, Report, Suspect
from autograder.progress.scores import Floats, Ints, Scores, collect
from autograder.progress.transitions import Past, recent, transition
from autograder.records.model import FirstTry


@dataclass(frozen=True)
class Background:
    """What an evaluation builds on beside first tries. The default is nothing: cold, undecided, for the first time.

    `past` are the recorded evaluations by pseudonym; `at` is when this one is made, which says which of them count.
    """

    bank: Bank | None = None
    decided: Decisions = field(default_factory=Decisions)
    past: Mapping[str, Sequence[Past]] = field(default_factory=lambda: MappingProxyType({}))
    at: datetime | None = None


_NONE = Background()


def evaluate(
    first_tries: Iterable[FirstTry],
    course: CourseItems,
    policy: Policy,
    students: Iterable[str] = (),
    last_event: int | None = None,
    background: Background = _NONE,
) -> Report:
    """Return what the tracker says of everybody in `first_tries` and in `students` (pseudonyms, who may have none).

    The order of the inputs does not matter. Raises: BootcampError when the first tries contradict each other.
    """
    return evaluate_with_model(first_tries, course, policy, students, last_event, background)[0]


def evaluate_with_model(
    first_tries: Iterable[FirstTry],
    course: CourseItems,
    policy: Policy,
    students: Iterable[str] = (),
    last_event: int | None = None,
    background: Background = _NONE,
) -> tuple[Report, Model | None]:
    """Return what `evaluate` does, and the model that it rests on; None when there is nothing to fit."""
    tries, everyone = list(first_tries), list(students)
    scores = collect(tries, course, policy, everyone, background.decided)
    model, other = fit(scores, policy, background.bank)
    suspects = _suspects(model, policy, background)
    if suspects:
        wrong = frozenset((s.exercise, s.grader_build) for s in suspects)
        scores = collect(tries, course, policy, everyone, background.decided, wrong)
        model, other = fit(scores, policy, background.bank)
    estimates = _estimate(scores, model, other, policy)
    findings = tuple(_finding(estimates, row, course, policy, background) for row in range(len(scores.pseudonyms)))
    report = Report(
        engine=model.engine if model else ENGINE,
        policy=policy.version,
        last_event=last_event,
        bar=_round(estimates.tau),
        n_first_tries=int(scores.seen.sum()),
        n_exercises=len(scores.exercises),
        n_notebooks=len(scores.notebooks),
        left_out=scores.left_out,
        too_early=_too_early(scores, findings, policy),
        spread=model.spread.rounded() if model else None,
        students=findings,
        bank=background.bank.version if background.bank else "",
        cross_check=other.engine if other else "",
        grader_builds=tuple(b for b in scores.builds if b),
        suspects=suspects,
    )
    return report, model


@dataclass(frozen=True)
class _Estimates:
    """The cohort's numbers. Shapes: p, p_other (n); half, most, rank (n 2)."""

    scores: Scores
    model: Model | None
    tau: float
    posterior: Posterior
    p: Floats
    p_other: Floats | None
    half: Floats
    most: Floats
    rank: Ints
    prior_sd: float


def _suspects(model: Model | None, policy: Policy, background: Background) -> tuple[Suspect, ...]:
    """Return what is further from the bank than the policy allows, and not cleared by a person."""
    if background.bank is None or not isinstance(model, Hierarchical) or model.scores.build_of is None:
        return ()
    need, known = policy.evidence, {i.exercise for i in background.bank.items}
    found = residuals(model.fitted, model.scores.build_of, model.scores.builds)
    return tuple(
        Suspect(r.exercise, r.grader_build, r.n_tries, _round(r.z), r.way)
        for r in found
        if r.exercise in known
        and r.n_tries >= need.min_residual_tries
        and r.z > need.max_residual_z
        and (r.exercise, r.grader_build) not in background.decided.cleared
    )


def _estimate(scores: Scores, model: Model | None, other: Model | None, policy: Policy) -> _Estimates:
    n, of = len(scores.pseudonyms), policy.target
    posterior = model.cohort if model else normal(np.zeros(n), np.ones(n), np.full(n, 0.5))
    tau = ranks.bar(posterior, of.top_share, of.n_reference)
    half, most = (np.column_stack(posterior.interval(level)) for level in LEVELS)
    rank = np.column_stack(ranks.rank_interval(posterior.mean, posterior.sd, LEVELS[1]))
    p_other = other.cohort.chances(ranks.bar(other.cohort, of.top_share, of.n_reference)) if other else None
    prior_sd = model.prior_sd if model else 1.0
    return _Estimates(scores, model, tau, posterior, posterior.chances(tau), p_other, half, most, rank, prior_sd)


def _finding(e: _Estimates, row: int, course: CourseItems, policy: Policy, background: Background) -> Finding:
    seen, pseudonym = e.scores.seen[row], e.scores.pseudonyms[row]
    n_items, n_notebooks = int(seen.sum()), len(np.unique(e.scores.notebook_of[seen]))
    mean, sd, p = _round(e.posterior.mean[row]), _round(e.posterior.sd[row]), _round(e.p[row])
    missing = lacking(policy, n_items, n_notebooks, sd / e.prior_sd)
    past = background.past.get(pseudonym, ())
    before = past[-1].state if past else None
    proposed = decide(policy, n_items, n_notebooks, sd / e.prior_sd, p)
    state = transition(policy, before, recent(past, background.at, policy), proposed, p)
    aside = tuple(sorted(a for who, a in background.decided.set_aside if who == pseudonym))
    on_hold = bool(aside) and before in FLAGS and p < policy.integrity.hold_below
    state = before if on_hold and before else state
    why = reasons.why(e.model, row, e.tau, course) if e.model and state in FLAGS else None
    what_next = settle.settle(e.model, row, course, policy, missing) if missing and state is State.NEEDS_EVIDENCE else None
    p_other = _round(e.p_other[row]) if e.p_other is not None else None
    growing = _round(e.posterior.growing[row])
    words = reasons.in_words(why, p) if why else settle.in_words(what_next) if what_next else ()
    return Finding(
        pseudonym=pseudonym,
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
        reasons=(*words, *(reasons.doubts(p, p_other, on_hold, policy) if why else ())),
        before=before,
        p_other=p_other,
        p_growing=growing,
        is_rising=_is_rising(e.scores, row, growing, policy),
        on_hold=on_hold,
        set_aside=aside,
        notebooks=tuple(e.scores.notebooks[b] for b in np.unique(e.scores.notebook_of[seen])),
    )


def _is_rising(scores: Scores, row: int, growing: float, policy: Policy) -> bool:
    books = np.unique(scores.notebook_of[scores.seen[row]])
    n_weeks, n_tracks = len(np.unique(scores.time[books])), len(np.unique(scores.track_of[books]))
    need = policy.rising
    return growing >= need.chance and n_weeks >= need.min_weeks and n_tracks >= need.min_tracks


def _too_early(scores: Scores, findings: tuple[Finding, ...], policy: Policy) -> str:
    if any(f.state is not State.NEEDS_EVIDENCE for f in findings):
        return ""
    if not scores.exercises:
        return "No first try counts yet."
    most, need = max(f.n_items for f in findings), policy.evidence
    return (
        f"Nobody can be judged yet: needed are {need.min_first_tries} first tries in {need.min_notebooks} notebooks, and others "
        f"to compare with; {whole(len(findings))} students have at most {most} in {len(scores.notebooks)}."
    )


def _round(x: float) -> float:
    # Adding 0 turns a rounded -0.0 into 0.0.
    return round(float(x), N_DIGITS) + 0.0
