"""What instructors are told of a cohort: health, items and who is stuck, each as a person would count it."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest

from autograder.grading.verdict import Status
from autograder.progress import course_items, inputs, load_policy
from autograder.records import Attempt, Ledger
from autograder.survey import Survey, take
from autograder.survey.items import LEAST_IN_GROUP, item_fits, wilson
from autograder.survey.stuck import LEAST_TRIES, stuck
from tests import cohort_world
from tests.cohort_world import COHORT, NOW, START


def test_health_counts_every_hand_in_once(survey: Survey, ledger: Ledger, term: cohort_world.World) -> None:
    """By day, by student, waiting and unreadable; the made-up grader takes six seconds, one for what it cannot read."""
    assert [h.assignment for h in survey.health] == [a.id for a in term.course]
    for h in survey.health:
        attempts = ledger.attempts(assignment=h.assignment)
        assert sum(n for _, n in h.n_per_day) == h.n_attempts == len(attempts)
        assert {d for d, _ in h.n_per_day} == {a.received_at.date() for a in attempts}
        assert h.n_students == len({a.pseudonym for a in attempts})
    t1 = next(h for h in survey.health if h.assignment == "t1_attention")
    assert (t1.n_waiting, t1.n_unreadable, t1.p50_s, t1.p95_s) == (1, 1, 6.0, 6.0)  # leila waits, kofi's is no notebook
    tries = [f for f in ledger.first_tries(cohort=COHORT) if f.assignment == "t1_attention" and f.status is not Status.SKIPPED]
    assert t1.n_first_tries == len(tries)
    assert t1.n_timeouts == sum(f.status is Status.TIMEOUT for f in tries) > 0
    assert survey.health[-1].p50_s is None


def test_a_regrade_makes_no_hand_in_late(ledger: Ledger, term: cohort_world.World) -> None:
    """Latency is to the first word of a grader; what a later build says of an old hand-in is no waiting."""
    with Ledger.open("sqlite://") as own:
        pseudonym = own.enrol("ada", COHORT, START)
        manifest = term.course.assignment("f1_tensors").manifest()
        attempt = Attempt.of(pseudonym, "f1_tensors", "0" * 64, START)
        whole = {e.id: (Status.PASS, 1.0) for e in manifest.exercises}
        own.append(attempt, cohort_world.graded(manifest, whole, attempt.sha256), START + timedelta(seconds=4))
        own.append(attempt, cohort_world.graded(manifest, whole, attempt.sha256, "other"), START + timedelta(days=9))

        (h, *_) = take(own, COHORT, term.course, load_policy(), NOW).health

        assert (h.p50_s, h.p95_s, h.n_attempts) == (4.0, 4.0, 1)


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    # statsmodels 0.14: proportion_confint(x, n, method="wilson")
    [(0.5, 10, 0.2366, 0.7634), (0.0, 10, 0.0, 0.2775), (1.0, 5, 0.5655, 1.0), (0.3, 100, 0.2189, 0.3959)],
)
def test_wilsons_interval(share: float, n: int, low: float, high: float) -> None:
    """As statsmodels gives it."""
    assert wilson(share, n) == pytest.approx((low, high), abs=1e-4)


def test_groups_hold_everybody_who_tried(survey: Survey, ledger: Ledger) -> None:
    """Each exercise's groups part its first tries that count, rise in ability, and their bars hold the score."""
    tried = {e.exercise: e.n_tried for e in survey.exercises}
    assert {f.exercise for f in survey.fits} == {e for e, n in tried.items() if n}
    for fit in survey.fits:
        assert fit.n == tried[fit.exercise] == sum(g.n for g in fit.groups)
        assert all(g.n >= LEAST_IN_GROUP for g in fit.groups)
        assert [g.ability for g in fit.groups] == sorted(g.ability for g in fit.groups)
        assert all(g.low <= g.score <= g.high and 0 < g.expected < 1 for g in fit.groups)


def test_difficulty_follows_what_was_scored(survey: Survey, term: cohort_world.World, ledger: Ledger) -> None:
    """Exercises that fewer solve are harder, and all of them tell able students from others in this made-up term."""
    read = inputs.read(ledger, COHORT, survey.event)
    _report, model = read.evaluate_with_model(course_items(term.course), load_policy())
    assert model is not None
    s = model.scores
    mean = dict(zip(s.exercises, (s.score * s.seen).sum(axis=0) / s.seen.sum(axis=0), strict=True))
    known = [f for f in survey.fits if f.difficulty is not None]

    r = np.corrcoef([f.difficulty for f in known], [mean[f.exercise] for f in known])[0, 1]

    assert r < -0.6
    assert min(f.discrimination for f in survey.fits) > 0.3
    assert all(math.isfinite(f.drift) for f in survey.fits)
    assert item_fits(None, survey.report.students) == ()


def test_what_was_expected_leaves_the_answer_itself_out(survey: Survey) -> None:
    """Over all exercises scores and expectations agree, though no exercise was asked about itself."""
    n = sum(g.n for f in survey.fits for g in f.groups)
    gap = sum(g.n * (g.score - g.expected) for f in survey.fits for g in f.groups) / n

    assert abs(gap) < 0.05


def test_stuck_is_who_tried_again_and_again(survey: Survey, ledger: Ledger) -> None:
    """Three tries and no pass, the most tries first; who has left is not called."""
    tries = ledger.first_tries(cohort=COHORT)
    expected = {(f.pseudonym, f.exercise) for f in tries if f.n_tries >= LEAST_TRIES and f.n_tries_to_pass is None}

    assert {(s.pseudonym, s.exercise) for s in survey.stuck.kept} == expected
    assert survey.stuck.n == len(expected) > 0
    assert [s.n_tries for s in survey.stuck.kept] == sorted((s.n_tries for s in survey.stuck.kept), reverse=True)
    gone = survey.stuck.kept[0].pseudonym
    assert gone not in {s.pseudonym for s in stuck(tries, frozenset({gone})).kept}
