"""The simulator makes the cohorts that its settings promise, repeats them, and its metrics count what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autograder.progress import State, load_policy
from autograder.progress.simulator import metrics, rules, study, table
from autograder.progress.simulator.cohort import NEVER, Cohort, Setting, draw_cohort, draw_items, top_of
from autograder.progress.simulator.replicate import Case, Replicate, replicate

POLICY = load_policy()


def _cohort(setting: Setting, n: int = 2000) -> Cohort:
    rng = np.random.default_rng(1)
    return draw_cohort(rng, draw_items(rng), n, setting)


def test_the_full_setting_is_as_troubled_as_it_should_be() -> None:
    """20 to 25 % leave, a fifth joins late, about 70 % attempted, over 85 % of that passed in the end; first tries fewer."""
    c = _cohort(Setting.ALL)
    opens = np.repeat(np.arange(1, 13), 10)
    there, tried = (opens >= c.joined[:, None]) & (opens < c.left[:, None]), c.week < NEVER

    assert 0.18 < np.mean(c.left < NEVER) < 0.26
    assert 0.17 < c.late.mean() < 0.23
    assert 0.66 < tried[there].mean() < 0.76
    assert 0.84 < (c.passed_at[tried] > 0).mean() < 0.92
    assert c.first[tried].mean() < 0.7
    assert np.std(c.target) == pytest.approx(np.sqrt(1 + 2 * 0.2 * 0.35 + 0.35**2), abs=0.06)


def test_the_benign_setting_has_no_troubles() -> None:
    """Nobody late, nobody leaves, no growth."""
    c = _cohort(Setting.BENIGN, 300)

    assert not c.late.any()
    assert np.all(c.left == NEVER)
    assert _cohort(Setting.COPIERS).copies.mean() == pytest.approx(0.03, abs=0.015)


def test_the_tracker_sees_nothing_of_later_weeks() -> None:
    """Scores of week 3 are those of week 12 as far as they were there; a late joiner's catching up comes when they join."""
    c = _cohort(Setting.ALL, 60)
    early, late = c.scores(3), c.scores(12)

    assert early.seen.sum() == (c.week <= 3).sum()
    columns = [late.exercises.index(e) for e in early.exercises]
    assert np.all(late.seen[:, columns] >= early.seen)
    assert np.all(late.score[:, columns][early.seen] == early.score[early.seen])
    assert not early.seen[c.joined > 3].any()


@pytest.fixture(scope="module")
def one() -> Replicate:
    return replicate(Case(Setting.ALL, 20, warm=True), 0, POLICY)


@pytest.mark.slow
def test_a_replicate_repeats_itself(one: Replicate) -> None:
    """The same case and number give the same chances, bit for bit."""
    again = replicate(one.case, 0, POLICY)

    np.testing.assert_array_equal(again.p["hierarchy"], one.p["hierarchy"])
    assert again.states == one.states
    assert np.all(np.isfinite(one.p["hierarchy"]))


@pytest.mark.slow
def test_the_table_has_every_number_and_its_target(one: Replicate) -> None:
    """1 to 5 and 8, for a case that is warm; text and JSON agree on what was reached."""
    found = table.rows([one, replace(one)], POLICY)

    assert {r.number for r in found} == {1, 2, 3, 4, 5, 8}
    assert "S2 N=20 warm, 2 cohorts" in table.text(found)
    data = table.as_json(found, [one])
    assert len(data["rows"]) == len(found)
    assert sum(n for _p, _share, n in data["reliability"][0]["bins"]) == 20


def _made(p: list[float], truth: list[float], states: list[list[State]] | None = None) -> Replicate:
    n = len(p)
    weeks = np.tile(np.array(p), (12, 1))
    cohort = Cohort(
        np.zeros((n, 120), bool), np.zeros((n, 120), int), np.full((n, 120), 1), np.array(truth), np.arange(n) * 1.0,
        np.where(np.arange(n) % 2, 3, 1), np.full(n, NEVER), np.zeros(n, bool),
    )  # fmt: skip
    rows = tuple(tuple(week) for week in states or [[State.NONE] * n] * 12)
    total = {"total score": weeks}
    eligible = np.ones((12, n), bool)
    return Replicate(
        Case(Setting.ALL, n, False),
        cohort,
        {"hierarchy": weeks},
        total,
        weeks,
        eligible,
        {False: rows, True: rows},
        (True, False),
        (False,),
    )


def test_metrics_are_what_a_hand_counts() -> None:
    """Twenty students, two of them at the top; the rule finds one and one that is not."""
    truth = [9.0, 8.0] + [0.0] * 18
    r = _made([0.9, 0.1, 0.8] + [0.0] * 17, truth, [[State.PROVISIONAL, *[State.NONE] * 19]] * 6 + [[State.NONE] * 20] * 6)

    assert metrics.precision("hierarchy", 12)([r]) == 0.5
    assert metrics.false_flags("hierarchy", 0.2)([r]) == 0.5
    assert metrics.recall("hierarchy", 0.2)([r]) == 0.5
    assert metrics.recall_ratio("hierarchy", metrics.late_and_on_time)([r]) == 0
    assert metrics.ever_false(False)([r]) == 0
    assert metrics.churn([r]) == pytest.approx(1 / 11 / 20)
    assert (metrics.caught([r]), metrics.false_alarms([r])) == (0.5, 0)
    assert np.isnan(metrics.false_flags("hierarchy", 0.01)([r]))


def test_the_calibration_error_is_the_textbooks() -> None:
    """Four at .25 of whom one came true and four at .85 of whom two: 0 and .35, each half."""
    p, truth = np.array([0.25] * 4 + [0.85] * 4), np.array([1, 0, 0, 0, 1, 1, 0, 0], bool)

    assert metrics.calibration_error(p, truth) == pytest.approx(0.175)


def test_the_jackknife_is_the_standard_error_of_a_mean() -> None:
    """For a plain mean over cohorts both are the same formula."""
    made = [_made([0.9, 0.5], [t, 1.0]) for t in (0.0, 2.0, 4.0, 7.0)]
    values = np.array([r.cohort.target.mean() for r in made])

    found = metrics.number(lambda rs: float(np.mean([r.cohort.target.mean() for r in rs])), made)

    assert found.value == pytest.approx(values.mean())
    assert found.error == pytest.approx(values.std(ddof=1) / 2)


def test_a_plan_is_taken_in_turns_and_stops_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases alternate by what share of each is done; nothing starts after the time."""
    monkeypatch.setattr(study, "replicate", lambda case, number, policy: (case.n, number))
    plan = study.Plan({Case(Setting.ALL, 1, False): 2, Case(Setting.ALL, 2, False): 4})
    calls = iter([False, False, False, True])

    assert list(study.run(plan, POLICY)) == [(2, 0), (1, 0), (2, 1), (2, 2), (1, 1), (2, 3)]
    assert len(list(study.run(plan, POLICY, lambda: next(calls)))) == 3


def test_naive_rules_do_what_gradebooks_do() -> None:
    """Total score adds up what passed at any try; mean of attempted divides by what was tried."""
    c = _cohort(Setting.ALL, 50)
    tried = c.week <= 12

    assert rules.total_score(c, 12).tolist() == (tried & (c.passed_at > 0)).sum(axis=1).tolist()
    assert np.all(rules.mean_of_attempted(c, 12) <= 1)
    assert top_of(rules.total_score(c, 12), 0.1).sum() == 5
