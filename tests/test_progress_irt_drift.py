"""A hidden check that changed is noticed under its build, soon; one that did not is left alone; a person can clear it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from autograder.progress import Background, CourseItems, evaluate, load_policy
from autograder.progress.decisions import Decisions
from autograder.progress.irt import drift, hierarchy
from autograder.progress.irt.bank import Bank, anchor, bank_of
from autograder.progress.irt.hierarchy import Hierarchy
from autograder.progress.simulator.cohort import Setting, draw_cohort, draw_items
from autograder.progress.simulator.rebuilding import course
from autograder.records import FirstTry
from tests.progress_world import first_try

POLICY = load_policy()
COURSE: CourseItems = course()


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
def test_sound_checks_have_residuals_like_a_standard_normal() -> None:
    """50 exercises: mean near 0, SD near 1, none beyond 4."""
    _bank, model, _tries = _world()
    z = np.array([r.z for r in drift.residuals(model, np.where(model.level >= 0, 0, -1), ("b",))])

    assert len(z) == 50
    assert np.abs(z).max() < 4
    assert abs(z.mean()) < 0.5
    assert 0.7 < z.std() < 1.35


def test_a_first_try_is_predicted_from_the_others_only() -> None:
    """Turning one answer around leaves what was expected of it, and moves what is expected of its neighbours."""
    _bank, model, _tries = _world()
    i, j = np.argwhere(model.level[:, :10] >= 0)[0]
    turned = model.level.copy()
    turned[i, j] = 1 - turned[i, j]

    before, after = (drift._predictions(one)[0] for one in (model, replace(model, level=turned)))

    assert after[i, j] == pytest.approx(before[i, j], abs=1e-9)
    others = [k for k in np.flatnonzero(model.level[i, :10] >= 0) if k != j]
    assert np.all(np.abs(after[i, others] - before[i, others]) > 1e-4)


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
    assert found.suspects[0].z < -4
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
