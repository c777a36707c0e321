"""The simulator makes the cohorts that its settings promise, repeats them, and its metrics count what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autograder.errors import BootcampError
from autograder.progress import State, load_policy
from autograder.progress.scores import Bools
from autograder.progress.simulator import rules, study
from autograder.progress.simulator.breakage import HEADLINE, WAYS, Breakage
from autograder.progress.simulator.cohort import NEVER, Cohort, Setting, Truth, draw_cohort, draw_items, top_of
from autograder.progress.simulator.numbers import calibration, metrics, rows, table
from autograder.progress.simulator.numbers.number import less, number
from autograder.progress.simulator.replicate import STATES, Case, Replicate, replicate
from autograder.progress.simulator.shelf import Shelf

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
    assert 0.17 < c.truth.late.mean() < 0.23
    assert 0.66 < tried[there].mean() < 0.76
    assert 0.84 < (c.passed_at[tried] > 0).mean() < 0.92
    assert c.first[tried].mean() < 0.7
    assert np.std(c.target) == pytest.approx(np.sqrt(1 + 2 * 0.2 * 0.35 + 0.35**2), abs=0.06)


def test_the_benign_setting_has_no_troubles() -> None:
    """Nobody late, nobody leaves, no growth."""
    c = _cohort(Setting.BENIGN, 300)

    assert not c.truth.late.any()
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
    return replicate(Case(Setting.ALL, 24, warm=True), 0, POLICY)


@pytest.mark.slow
def test_a_replicate_repeats_itself(one: Replicate) -> None:
    """The same case and number give the same chances, bit for bit."""
    again = replicate(one.case, 0, POLICY)

    np.testing.assert_array_equal(again.p["hierarchy"], one.p["hierarchy"])
    np.testing.assert_array_equal(again.states[False], one.states[False])
    assert np.all(np.isfinite(one.p["hierarchy"]))


@pytest.mark.slow
def test_the_table_has_every_number_and_its_target(one: Replicate) -> None:
    """1 to 5 and 8, for a case that is warm; text and JSON agree on what was reached."""
    found = rows.rows([one, replace(one)], POLICY)

    assert {r.number for r in found} == {1, 2, 3, 4, 5, 8}
    assert "S2 N=24 warm, 2 cohorts" in table.text(found)
    data = table.as_json(found, [one], rows.PROBABLE)
    assert len(data["rows"]) == len(found)
    assert sum(n for _p, _share, n in data["reliability"][0]["bins"]) == 24


@pytest.mark.slow
def test_a_cohort_is_the_same_cold_and_warm(one: Replicate) -> None:
    """Truth and the rules without a bank are shared; the hierarchy's chances are not."""
    cold = replicate(Case(Setting.ALL, 24, warm=False), 0, POLICY)

    np.testing.assert_array_equal(cold.truth.target, one.truth.target)
    np.testing.assert_array_equal(cold.p["gaussian"], one.p["gaussian"])
    assert np.mean(cold.p["hierarchy"] != one.p["hierarchy"]) > 0.5
    assert cold.broken is None


@pytest.mark.slow
def test_a_shelf_gives_back_what_was_put_there_and_nothing_of_other_sources(one: Replicate, tmp_path: Path) -> None:
    """Bit for bit; a cohort that is not there is None; another policy is refused, with the folder's name."""
    shelf = Shelf.open(tmp_path, POLICY)
    shelf.put(3, one)

    again = Shelf.open(tmp_path, POLICY).get(one.case, 3)

    assert again is not None
    assert shelf.get(one.case, 4) is None
    texts = [table.text(rows.rows([r, r], POLICY)) for r in (again, one)]
    assert texts[0] == texts[1]
    np.testing.assert_array_equal(again.p["flat IRT"], one.p["flat IRT"])
    with pytest.raises(BootcampError, match="made by version"):
        Shelf.open(tmp_path, POLICY.model_copy(update={"version": "x"}))


def _made(p: list[float], truth: list[float], states: list[list[State]] | None = None) -> Replicate:
    n = len(p)
    weeks = np.tile(np.array(p), (12, 1))
    known = Truth(np.array(truth), np.arange(n) * 1.0, np.arange(n) % 2 == 1)
    rows = np.array([[STATES.index(s) for s in week] for week in states or [[State.NONE] * n] * 12])
    found = {way: np.array([True, False]) for way in WAYS}
    broken = Breakage(found, {way: np.array([True]) for way in WAYS}, np.array([False]), np.array([False, True]))
    p, eligible = {"hierarchy": weeks, "gaussian": weeks[:, ::-1]}, np.ones((12, n), bool)
    total, by_mode = {"total score": weeks}, {False: rows, True: rows}
    return Replicate(Case(Setting.ALL, n, False), known, p, total, weeks, eligible, by_mode, broken)


class _Drawn(Truth):
    """A truth of which only the top is known."""

    def __init__(self, top: Bools) -> None:
        super().__init__(np.zeros(len(top)), np.zeros(len(top)), np.zeros(len(top), bool))
        object.__setattr__(self, "_top", top)

    def top(self, share: float = 0.1) -> Bools:
        found: Bools = self.__dict__["_top"]
        return found


class _Shelf(Shelf):
    """A shelf in memory."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.__dict__["held"] = {}

    def get(self, case: Case, number: int) -> Replicate | None:
        found: Replicate | None = self.__dict__["held"].get((case, number))
        return found

    def put(self, number: int, one: Replicate) -> None:
        self.__dict__["held"][Case(Setting.ALL, 1, False), number] = one


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
    assert (metrics.promised_ever_false(False)([r]), metrics.ever_found(False)([r])) == (pytest.approx(0.1), 0.5)
    assert metrics.promised_false("hierarchy", 0.2)([r]) == pytest.approx(0.15)
    assert (metrics.caught(HEADLINE)([r]), metrics.caught(HEADLINE, by_all=True)([r])) == (0.5, 1)
    assert (metrics.false_alarms(ever=False)([r]), metrics.false_alarms(ever=True)([r])) == (0, 0.5)
    assert np.isnan(metrics.false_flags("hierarchy", 0.01)([r]))


def test_the_calibration_error_is_the_textbooks() -> None:
    """Four at .25 of whom one came true and four at .85 of whom two: 0 and .35, each half."""
    p, truth = np.array([0.25] * 4 + [0.85] * 4), np.array([1, 0, 0, 0, 1, 1, 0, 0], bool)

    assert calibration.calibration_error(p, truth) == pytest.approx(0.175)


def test_exact_chances_are_above_their_floor_by_nothing() -> None:
    """Forty cohorts of 50 whose top tenth is drawn by the chances that are said: the excess is 0 within its error."""
    rng = np.random.default_rng(4)
    made = []
    for _ in range(40):
        p = np.clip(rng.beta(0.3, 2.7, 50), 0, 1)
        one = _made(p.tolist(), [0.0] * 50)
        made.append(replace(one, truth=_Drawn(rng.random(50) < p)))

    found = number(calibration.mean_excess("hierarchy"), made)

    assert abs(found.value) < 3 * found.error
    off = [replace(r, p={"hierarchy": np.minimum(r.p["hierarchy"] * 1.5, 1)}) for r in made]
    assert number(calibration.mean_excess("hierarchy"), off).value > 0.02


def test_rules_are_compared_where_the_same_share_is_false() -> None:
    """Twenty students, two of them at the top: found first, found first and last, or last of all."""
    truth = [9.0, 8.0] + [0.0] * 18
    one = _made([0.9, 0.8, 0.7, 0.6] + [0.1] * 16, truth)
    two = _made([0.9, 0.1, 0.7, 0.6] + [0.2] * 15 + [0.0], truth)

    assert metrics.recall_where("hierarchy", 0.2, 12)([one]) == 1
    assert metrics.recall_where("hierarchy", 0.2, 12)([two]) == 0.5
    # Of both cohorts' best, three of three are right, then one of four is not, then more.
    assert metrics.recall_where("hierarchy", 0.2, 12)([one, two]) == 0.75
    # Reversed, all the rest is taken before the two.
    assert metrics.recall_where("gaussian", 0.2, 12)([one]) == 0
    ahead = less(metrics.recall_where("hierarchy", 0.2, 12), metrics.recall_where("gaussian", 0.2, 12))
    assert ahead([one]) == 1


def test_the_jackknife_is_the_standard_error_of_a_mean() -> None:
    """For a plain mean over cohorts both are the same formula."""
    made = [_made([0.9, 0.5], [t, 1.0]) for t in (0.0, 2.0, 4.0, 7.0)]
    values = np.array([r.truth.target.mean() for r in made])

    found = number(lambda rs: float(np.mean([r.truth.target.mean() for r in rs])), made)

    assert found.value == pytest.approx(values.mean())
    assert found.error == pytest.approx(values.std(ddof=1) / 2)


def test_a_plan_is_taken_in_turns_and_stops_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases alternate by what share of each is done; nothing starts after the time."""
    monkeypatch.setattr(study, "replicate", lambda case, number, policy: (case.n, number))
    plan = study.Plan({Case(Setting.ALL, 1, False): 2, Case(Setting.ALL, 2, False): 4})
    calls = iter([False, False, False, True])

    assert list(study.run(plan, POLICY)) == [(2, 0), (1, 0), (2, 1), (2, 2), (1, 1), (2, 3)]
    assert len(list(study.run(plan, POLICY, lambda: next(calls)))) == 3


def test_a_study_goes_on_from_its_shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on the shelf is not computed again, also when time is up; what is computed is put there."""
    case = Case(Setting.ALL, 1, False)
    shelf = _Shelf()
    monkeypatch.setattr(study, "replicate", lambda case, number, policy: (case.n, number))
    list(study.run(study.Plan({case: 2}), POLICY, shelf=shelf))
    monkeypatch.setattr(study, "replicate", lambda case, number, policy: "computed")

    assert list(study.run(study.Plan({case: 4}), POLICY, lambda: True, shelf)) == [(1, 0), (1, 1)]
    assert list(study.run(study.Plan({case: 3}), POLICY, shelf=shelf)) == [(1, 0), (1, 1), "computed"]


def test_an_oracle_is_as_sure_as_it_is_right() -> None:
    """Told curves and spreads, its errors are as large as its posterior SDs say: about 1 in their units, centred on 0."""
    rng = np.random.default_rng(3)
    items = draw_items(rng)
    cohort = draw_cohort(rng, items, 400, Setting.ALL)

    found = rules.oracle(cohort.scores(12), items, Setting.ALL)

    z = (cohort.target / np.sqrt(1 + 2 * 0.2 * 0.35 + 0.35**2) - found.mean) / found.sd
    assert np.std(z) == pytest.approx(1, abs=0.1)
    assert abs(z.mean()) < 0.2
    assert found.sd.mean() < 0.5


def test_naive_rules_do_what_gradebooks_do() -> None:
    """Total score adds up what passed at any try; mean of attempted divides by what was tried."""
    c = _cohort(Setting.ALL, 50)
    tried = c.week <= 12

    assert rules.total_score(c, 12).tolist() == (tried & (c.passed_at > 0)).sum(axis=1).tolist()
    assert np.all(rules.mean_of_attempted(c, 12) <= 1)
    assert top_of(rules.total_score(c, 12), 0.1).sum() == 5
