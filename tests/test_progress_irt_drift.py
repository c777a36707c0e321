"""A hidden check that changed is noticed under its build, soon; one that did not is left alone; a person can clear it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, norm

from autograder.progress import Background, CourseItems, evaluate, load_policy
from autograder.progress.decisions import Decisions
from autograder.progress.irt import drift, hierarchy
from autograder.progress.irt.bank import Bank, anchor, bank_of
from autograder.progress.irt.hierarchy import Hierarchy
from autograder.progress.irt.prediction import Prediction, predictions
from autograder.progress.scores import Floats, Ints
from autograder.progress.simulator.cohort import Setting, draw_cohort, draw_items
from autograder.progress.simulator.rebuilding import course
from autograder.records import FirstTry
from tests.progress_world import first_try

POLICY = load_policy()
COURSE: CourseItems = course()
Turn = Callable[[Ints, Floats], Ints]


@cache
def _world() -> tuple[Bank, Hierarchy, list[FirstTry]]:
    """A bank from 300 students, and a later cohort of 150 against it after five weeks."""
    rng = np.random.default_rng(31)
    items = draw_items(rng)
    earlier = hierarchy.fit(draw_cohort(rng, items, 300, Setting.ALL).scores(5))
    assert earlier is not None
    bank = bank_of(earlier, "earlier")
    cohort = draw_cohort(rng, items, 150, Setting.ALL)
    scores = cohort.scores(5)
    model = hierarchy.fit(scores, anchor(bank, scores.exercises))
    assert model is not None
    tries = [
        replace(first_try(s, COURSE.items[e], float(scores.score[i, j])), grader_build="new" if i < 100 else "old")
        for i, s in enumerate(scores.pseudonyms)
        for j, e in enumerate(scores.exercises)
        if scores.seen[i, j]
    ]
    return bank, model, tries


@pytest.mark.slow
def test_sound_checks_speak_for_no_way_of_being_broken() -> None:
    """50 exercises, three ways: each way's statistic has mean near 0 and SD near 1, and nothing is beyond the policy's bar."""
    _bank, model, _tries = _world()
    expected = predictions(model)
    z = np.array([[drift._surprise(e, w, model.curves.covariance[j]) for w in drift.Way] for j, e in enumerate(expected)])

    assert z.shape == (50, 3)
    assert z.max() < POLICY.evidence.max_residual_z
    assert np.all(np.abs(z.mean(axis=0)) < 0.5)
    assert np.all((z.std(axis=0) > 0.7) & (z.std(axis=0) < 1.35))


def test_a_first_try_is_predicted_from_the_others_only() -> None:
    """Turning one answer around leaves what was expected of it, and moves what is expected of its neighbours."""
    _bank, model, _tries = _world()
    i, j = (int(x) for x in np.argwhere(model.level[:, :10] >= 0)[0])
    turned = model.level.copy()
    turned[i, j] = 1 - turned[i, j]

    before, after = (predictions(one) for one in (model, replace(model, level=turned)))

    at = before[j].row == i
    np.testing.assert_allclose(after[j].p[at], before[j].p[at], atol=1e-9)
    for k in np.flatnonzero(model.level[i, :10] >= 0):
        if k != j:
            at = before[k].row == i
            assert np.all(np.abs(after[k].p[at] - before[k].p[at]) > 1e-4)


def _made(p: Floats, seed: int) -> Prediction:
    """First tries that come as expected, of an exercise whose curve is known exactly."""
    level = (np.random.default_rng(seed).random(len(p)) < p).astype(np.intp)
    return Prediction(np.arange(len(p)), level, np.column_stack([1 - p, p]), np.zeros((len(p), 2, 2)))


def test_a_tail_is_that_of_the_exact_distribution() -> None:
    """Five failures of ten who pass with .9: P(at least 5) = .00163 (binomial), with half of the atom .00089; z within 0.1."""
    of = _made(np.full(10, 0.9), 0)
    of = replace(of, level=np.array([0] * 5 + [1] * 5))

    z = drift._surprise(of, drift.Way.REJECTS, np.zeros((2, 2)))

    assert z == pytest.approx(-norm.ppf(binom.sf(5, 10, 0.1) + binom.pmf(5, 10, 0.1) / 2), abs=0.1)


def test_false_alarms_are_as_rare_as_promised() -> None:
    """3,000 sound checks with 60 unequal students each: beyond 2 are no more than a normal has, beyond 3.3 under .1 %."""
    p = np.linspace(0.05, 0.97, 60)
    z = np.array([drift.surprise(_made(p, seed), np.zeros((2, 2)))[0] for seed in range(3000)])

    assert 0.5 * norm.sf(2) < (z > 2).mean() < 1.2 * norm.sf(2)
    assert (z > 3.3).mean() < 0.001


@pytest.mark.parametrize(
    ("way", "turn"),
    [
        (drift.Way.REJECTS, lambda level, coin: np.where(coin < 0.6, 0, level)),
        (drift.Way.ACCEPTS, lambda level, coin: np.ones_like(level)),
        (drift.Way.BLIND, lambda level, coin: 1 - level),
    ],
)
def test_the_way_in_which_a_check_broke_is_named(way: drift.Way, turn: Turn) -> None:
    """It rejects three right answers in five, passes everything, or is upside down: 60 first tries tell which."""
    of = _made(np.linspace(0.2, 0.9, 60), 5)
    broken = replace(of, level=turn(of.level, np.random.default_rng(6).random(60)))

    z, found = drift.surprise(broken, np.zeros((2, 2)))

    assert z > POLICY.evidence.max_residual_z
    assert found is way
    assert drift.surprise(of, np.zeros((2, 2)))[0] < 2.5


def test_what_the_bank_does_not_know_makes_nobody_a_suspect() -> None:
    """The same results against a curve that hardly anybody was measured on are no longer surprising."""
    _bank, model, _tries = _world()
    expected = predictions(model)[0]
    broken = replace(expected, level=np.zeros_like(expected.level))
    vague = np.diag([0.5, 9.0])

    assert drift.surprise(broken, model.curves.covariance[0])[0] > 4
    assert drift.surprise(broken, vague)[0] < POLICY.evidence.max_residual_z


def _broken(exercise: str) -> list[FirstTry]:
    """The new build rejects everything at that exercise."""
    _bank, _model, tries = _world()
    return [replace(t, fraction=0.0) if (t.exercise, t.grader_build) == (exercise, "new") else t for t in tries]


@pytest.mark.slow
def test_a_broken_check_is_left_out_under_its_build_only_until_cleared() -> None:
    """The evaluation names exercise, build and size; the old build's verdicts still count; clearing it counts all again."""
    bank, _model, _tries = _world()
    tries = _broken("E003")
    n_new = sum((t.exercise, t.grader_build) == ("E003", "new") for t in tries)

    found = evaluate(tries, COURSE, POLICY, background=Background(bank))
    cleared = evaluate(tries, COURSE, POLICY, background=Background(bank, Decisions(cleared=frozenset({("E003", "new")}))))

    assert [(s.exercise, s.grader_build, s.n_tries) for s in found.suspects] == [("E003", "new", n_new)]
    assert (found.suspects[0].way, found.suspects[0].z > 4) == ("rejects right answers", True)
    assert found.left_out == {"of an exercise whose hidden check is under suspicion": n_new}
    assert found.n_first_tries == len(tries) - n_new
    assert (cleared.suspects, cleared.n_first_tries) == ((), len(tries))
    assert found.bank == bank.version


def test_the_bank_survives_json_and_its_version_follows_its_content() -> None:
    """Round trip; another number is another version; an exercise that it lacks is left free."""
    bank, model, _tries = _world()
    again = Bank.from_json(bank.as_json())

    assert again == bank
    assert again.version == bank.version
    assert replace(bank, items=bank.items[1:]).version != bank.version
    found = anchor(bank, ["nowhere", "E001"])
    assert found.known.tolist() == [False, True]
    assert found.curves.log_slope[1] == pytest.approx(model.curves.log_slope[1], abs=1e-8)
    assert found.cuts[0] is None


def test_a_bank_knows_as_much_of_its_items_as_their_estimates_scatter() -> None:
    """Eight cohorts of 200 at the same exercises: the bank's SDs of slope and intercept are those of the estimates, to 15 %.

    The estimates are shrunk by their prior, so that what scatters is the posterior's SD times the share that is the data's.
    """
    rng = np.random.default_rng(12)
    items = draw_items(rng)
    fits = [hierarchy.fit(draw_cohort(rng, items, 200, Setting.ALL).scores(3)) for _ in range(8)]
    banks = [bank_of(one, "b") for one in fits if one is not None]

    promised, scatter = [], []
    for k in range(2):
        value = np.array([[(i.log_slope, *i.intercepts)[k] for i in bank.items] for bank in banks])
        variance = np.array([[i.covariance[k][k] for i in bank.items] for bank in banks])
        # What is common to all items of a cohort is its scale, which a later cohort's own mean and SD take up.
        value = value - value.mean(axis=1, keepdims=True)
        family = fits[0].family
        share = 1 - variance / (family.log_slope_sd, family.intercept_sd)[k] ** 2
        promised.append(np.sqrt((variance * np.maximum(share, 0)).mean()))
        scatter.append(np.sqrt(value.var(axis=0, ddof=1).mean()))

    np.testing.assert_allclose(scatter, promised, rtol=0.15)
