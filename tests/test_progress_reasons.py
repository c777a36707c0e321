"""Reasons name what carries a flag, what speaks against it, and what would settle an open case; in data and in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from autograder.progress import Finding, Report, engine, estimate, evaluate, load_policy
from autograder.progress.estimate import MAX_LOGIT, target
from autograder.progress.irt import ability
from autograder.progress.mixed_model import notebook_posterior
from autograder.progress.reasons import in_words, why
from autograder.progress.report import Share, Why, Without
from autograder.progress.scores import collect
from autograder.records import FirstTry
from tests.progress_world import course, everyone, first_tries, first_try, simulate

COURSE = course(8, 6)
POLICY = load_policy()
SIMPLE = POLICY.model_copy(update={"engine": POLICY.engine.model_copy(update={"use": "gaussian"})})


@cache
def _tries() -> tuple[FirstTry, ...]:
    return tuple(first_tries(simulate(np.random.default_rng(13), n=60), COURSE))


@cache
def _report() -> Report:
    return evaluate(_tries(), COURSE, POLICY)


def _fit(tries: Iterable[FirstTry]) -> engine.Model:
    model, _other = engine.fit(collect(tries, COURSE, POLICY), POLICY, None)
    assert model is not None
    return model


def _flagged() -> list[Finding]:
    found = [f for f in _report().students if f.why]
    assert len(found) >= 3
    return found


def test_p_without_a_notebook_is_close_to_an_evaluation_without_it() -> None:
    """Leaving a notebook out keeps what the others say of its exercises; a full new fit differs by little."""
    finding = _flagged()[0]
    assert finding.why is not None
    for left in finding.why.without[:3]:
        rest = [f for f in _tries() if (f.pseudonym, f.assignment) != (finding.pseudonym, left.assignment)]
        again = next(f for f in evaluate(rest, COURSE, POLICY).students if f.pseudonym == finding.pseudonym)
        assert abs(again.p - left.p) < 0.05
        assert again.n_items == finding.n_items - left.n_items


def test_every_notebook_that_counts_is_left_out_once() -> None:
    """The list has each notebook of the student, and their exercises add up."""
    for f in _flagged():
        assert f.why is not None
        assert len({w.assignment for w in f.why.without}) == f.n_notebooks
        assert sum(w.n_items for w in f.why.without) == f.n_items


def _shares() -> dict[str, float]:
    by_exercise: dict[str, list[bool]] = {}
    for f in _tries():
        by_exercise.setdefault(f.exercise, []).append(f.fraction == 1)
    return {e: float(np.mean(x)) for e, x in by_exercise.items()}


def test_the_hardest_solved_and_the_easiest_missed_are_named() -> None:
    """Counted by hand from the first tries: three of each, in order of the cohort's pass share, none that all solved."""
    shares = _shares()
    model = _fit(_tries())
    for row, pseudonym in enumerate(model.scores.pseudonyms):
        mine = {f.exercise: f.fraction == 1 for f in _tries() if f.pseudonym == pseudonym}
        solved = sorted((shares[e], e) for e, ok in mine.items() if ok and shares[e] < 1)
        missed = sorted((-shares[e], e) for e, ok in mine.items() if not ok and shares[e] > 0)
        found = why(model, row, 1.28, COURSE)
        assert [s.exercise for s in found.hardest] == [e for _share, e in solved[:3]]
        assert [s.exercise for s in found.against] == [e for _share, e in missed[:3]]
        assert all(s.n_passed / s.n_tried == shares[s.exercise] for s in (*found.hardest, *found.against))


def test_what_everybody_solved_or_nobody_is_no_reason() -> None:
    """An exercise that the whole cohort solved speaks for nobody, one that nobody solved against nobody."""
    items = [i for i in COURSE.items.values() if i.assignment in ("a01", "a02")]
    fractions = {"A01.e1": (1.0, 1.0), "A01.e2": (0.0, 0.0), "A02.e1": (0.0, 1.0)}
    tries = [first_try(f"s{n}", i, fractions.get(i.exercise, (1.0, 0.0))[n > 0]) for n in range(12) for i in items]
    model = _fit(tries)

    why_s0 = why(model, 0, 1.28, COURSE)
    few = why(_fit([t for t in tries if t.exercise in fractions]), 0, 1.28, COURSE)

    assert [s.exercise for s in why_s0.hardest] == ["A01.e3", "A01.e4", "A01.e5"]
    assert [(s.exercise, s.n_passed, s.n_tried) for s in why_s0.against] == [("A02.e1", 11, 12)]
    assert few.hardest == ()


def test_reasons_in_words_give_both_sides() -> None:
    """The sentences name the chance, the notebook that carries it, and the counter-evidence."""
    both = Why(
        (Without("a01", 6, 0.41), Without("a02", 6, 0.86)),
        (Share("A01.e1", "Causal mask", 3, 60),),
        (Share("A02.e1", "Softmax", 55, 60),),
    )

    assert in_words(both, 0.805) == (
        "The chance is 80 % with all evidence.",
        "For: without a01 it would be 41 %.",
        "For: solved Causal mask (A01.e1) at the first try, as 3 of 60 did.",
        "Against: missed Softmax (A02.e1) at the first try; 55 of 60 solved it.",
        "Against: without a02 it would be 86 %.",
    )


def test_words_never_claim_certainty() -> None:
    """Chances near 0 and 1 are given as bounds, and a notebook that moves nothing visible is not mentioned."""
    sure = Why((Without("a01", 6, 0.996), Without("a02", 6, 0.9999)), (), ())

    assert in_words(sure, 0.9985) == ("The chance is over 99 % with all evidence.",)
    assert in_words(replace(sure, without=()), 0.001) == ("The chance is under 1 % with all evidence.",)


def test_what_would_settle_it_is_the_most_informative_open_exercise() -> None:
    """The advice: exercises of open notebooks that this student did not try; the SD falls with each; equals in order."""
    for f in _report().students:
        if f.settle is None:
            continue
        tried = {t.exercise for t in _tries() if t.pseudonym == f.pseudonym}
        assert len(f.settle.next) == 3
        assert not tried & {i.exercise for i in f.settle.next}
        sds = [f.sd, *(i.sd_after or 9 for i in f.settle.next)]
        assert all(a > b for a, b in pairwise(sds))


def test_the_promised_sd_is_that_of_the_evidence_it_would_be() -> None:
    """With the advised exercises added as evidence of their weight, the posterior's SD is what was promised.

    The normal engine's own posterior takes exercises as estimated; beside it they are taken as known, so shares agree.
    """
    model = estimate.fit(collect(_tries(), COURSE, SIMPLE))
    assert model is not None
    at = model.layout
    known = replace(model, solved=replace(model.solved, beta_cov=np.zeros_like(model.solved.beta_cov)))
    for row, finding in enumerate(evaluate(_tries(), COURSE, SIMPLE).students):
        if finding.settle is None:
            continue
        w = model.weight[[row]].copy()
        before = target(known, w, np.zeros_like(w))[1][0]
        f, _cov = notebook_posterior(model.solved, w, model.response[[row]], at)
        for advised in finding.settle.next:
            j = model.scores.exercises.index(advised.exercise)
            p = 1 / (1 + np.exp(-np.clip(model.solved.beta[j] + f[0, at.notebook_of[j]], -MAX_LOGIT, MAX_LOGIT)))
            w[0, j] = p * (1 - p)
            _mean, sd = target(known, w, np.zeros_like(w))
            assert advised.sd_after == pytest.approx(finding.sd * sd[0] / before, abs=2e-6)


def test_the_hierarchy_keeps_the_promise_on_average() -> None:
    """Whatever the answer, its expected posterior variance is about what was promised: weighted by what it predicts itself."""
    model = _fit(_tries())
    assert isinstance(model, engine.Hierarchical)
    checked = 0
    for row, finding in enumerate(_report().students):
        if finding.settle is None or not finding.settle.next or finding.settle.next[0].sd_after is None:
            continue
        j = model.scores.exercises.index(finding.settle.next[0].exercise)
        level = np.repeat(model.fitted.level[[row]], 2, axis=0)
        level[:, j] = [0, 1]
        weight = np.exp(ability.ups(model.fitted, level).log_likelihood)
        variance = float(weight @ ability.posteriors(model.fitted, level).sd ** 2 / weight.sum())
        assert finding.settle.next[0].sd_after == pytest.approx(np.sqrt(variance), abs=0.02)
        checked += 1
    assert checked >= 2


def test_advice_stays_with_notebooks_that_are_open() -> None:
    """While only the first notebook was handed in by anybody, advice is from it; who did all of it gets the next one."""
    items = [i for i in COURSE.items.values() if i.assignment == "a01"]
    tries = [first_try("s0", i, 1.0) for i in items] + [first_try("s1", i, 0.0) for i in items[:2]]

    all_done, two_done = evaluate(tries, COURSE, POLICY).students

    assert all_done.settle is not None
    assert two_done.settle is not None
    assert [i.exercise for i in two_done.settle.next] == ["A01.e3", "A01.e4", "A01.e5"]
    assert [(i.exercise, i.sd_after) for i in all_done.settle.next] == [("A02.e1", None), ("A02.e2", None), ("A02.e3", None)]
    assert two_done.reasons == (
        "2 first tries count, 20 are needed.",
        "There is evidence from 1 of at least 2 notebooks.",
        "Most would be learned from a first try of: Exercise 1.3 (A01.e3), Exercise 1.4 (A01.e4), Exercise 1.5 (A01.e5).",
    )


def test_who_tried_everything_is_told_what_is_missing_and_nothing_to_try() -> None:
    """No open exercise is left: the list is empty, and the uncertainty is named as what is missing."""
    (alone,) = evaluate(everyone(["s0"], COURSE, 1.0), COURSE, POLICY).students

    assert alone.settle is not None
    assert alone.settle.next == ()
    assert alone.reasons == (f"The uncertainty is {100 * alone.sd:.0f} % of what it was before any evidence, 85 % is allowed.",)


def test_large_counts_are_read_in_groups() -> None:
    """As on every page: ten thousand students are 10,000."""
    share = Share("a.b", "Rotary positions", 1525, 10_000)

    assert in_words(Why((), (share,), (share,)), 0.9)[1:] == (
        "For: solved Rotary positions (a.b) at the first try, as 1525 of 10,000 did.",
        "Against: missed Rotary positions (a.b) at the first try; 1525 of 10,000 solved it.",
    )
