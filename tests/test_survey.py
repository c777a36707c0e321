"""Surveys: counts that can be counted by hand, paths that end at the report, a link that finds the shift, no name anywhere."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autograder.grading.verdict import Status
from autograder.progress import load_policy
from autograder.progress.irt.bank import Bank
from autograder.records import Ledger
from autograder.survey import Survey, take
from autograder.survey.counts import BANDS
from autograder.survey.linking import MIN_COMMON, link
from autograder.survey.shapes import GRID
from tests import cohort_world
from tests.cohort_world import COHORT, NOW


def test_exercises_are_counted_as_a_person_would(survey: Survey, ledger: Ledger) -> None:
    """Per exercise: who tried, who passed at once, who passed at last and at which try, from every student's own results."""
    first, passed, tried = 0, 0, 0
    for student in ledger.students(COHORT):
        for result in ledger.results(student.pseudonym, "t1_attention"):
            statuses = [
                next(v.status for v in a.verdicts if v.exercise == "t1_attention.rope") for a in result.attempts if a.verdicts
            ]
            met = [s for s in statuses if s is not Status.SKIPPED]
            tried += bool(met)
            first += bool(met) and met[0] is Status.PASS
            passed += Status.PASS in met
    count = next(e for e in survey.exercises if e.exercise == "t1_attention.rope")

    assert (count.n_tried, count.n_passed_first, count.n_passed) == (tried, first, passed)
    assert (sum(count.by_tries), count.by_tries[0]) == (passed, first)
    assert tried > first > 0


def test_assignments_are_counted_from_newest_attempts(survey: Survey, ledger: Ledger, term: cohort_world.World) -> None:
    """Handed in, graded, bands of the points: each student once per assignment."""
    rows = [r for r in ledger.cohort_table(COHORT) if r.assignment == "t1_attention"]
    count = next(a for a in survey.assignments if a.assignment == "t1_attention")

    assert [a.assignment for a in survey.assignments] == [a.id for a in term.course]
    assert count.n_handed_in == len(rows)
    assert count.n_ours == 1  # priya's box did not start
    assert sum(count.bands) == count.n_graded == len(rows) - 2  # kofi's file is no notebook, leila's waits
    assert count.n_whole == count.bands[len(BANDS) - 1]
    assert survey.activity.n_depth[0] == 1  # yuki handed in nothing
    assert sum(survey.activity.n_depth) == survey.activity.n_students == len(cohort_world.NAMES)


def test_paths_end_at_the_report(survey: Survey) -> None:
    """With every week known, a path says what the report says; with fewer, it was less sure."""
    assert survey.paths is not None
    for k, finding in enumerate(survey.report.students):
        assert survey.paths.pseudonyms[k] == finding.pseudonym
        assert survey.paths.mid[k, -1] == pytest.approx(finding.mean, abs=1e-4)
        assert survey.paths.p[k, -1] == pytest.approx(finding.p, abs=1e-4)
        assert (survey.paths.low[k, -1, 1], survey.paths.high[k, -1, 1]) == pytest.approx(finding.interval90, abs=1e-4)
    width = survey.paths.high[:, :, 1] - survey.paths.low[:, :, 1]
    assert width[:, 0].mean() > width[:, -1].mean()


def test_a_density_is_one(survey: Survey) -> None:
    """Both curves hold everybody once."""
    step = GRID[1] - GRID[0]

    assert sum(survey.density.cohort) * step == pytest.approx(1, abs=0.01)
    assert sum(survey.density.reference) * step == pytest.approx(1, abs=0.01)
    assert survey.density.n == sum(f.n_items > 0 for f in survey.report.students)


def test_the_check_counts_every_later_first_try_once(survey: Survey) -> None:
    """Groups of one kind share everybody out, and their first tries add up to all."""
    by: dict[str, list[int]] = {}
    for g in survey.fairness.groups:
        by.setdefault(g.by, []).append(g.n_tries)
    known = sum(f.n_items > 0 for f in survey.report.students)

    assert {sum(v) for v in by.values()} == {survey.fairness.n_tries} != {0}
    assert sum(n for *_, n in survey.fairness.bins) == survey.fairness.n_tries
    for kind in by:
        assert sum(g.n_students for g in survey.fairness.groups if g.by == kind) == known
    late = next(g for g in survey.fairness.groups if g.name == "later")
    assert late.n_students == 2  # emeka and tomas began in week three


def moved(bank: Bank, slope: float, shift: float, seed: int = 3, drifting: int = 0) -> Bank:
    """The same exercises as a cohort would find them whose own ability a is slope * a + shift on the bank's scale."""
    rng = np.random.default_rng(seed)
    of, items = bank.effects, []
    for k, item in enumerate(bank.items):
        place = (-float(np.mean(item.intercepts)) / np.exp(item.log_slope) - of.mean) / of.target_sd
        own = (place - shift) / slope + rng.normal(0, 0.02) + (4 if k < drifting else 0)
        raw = own * of.target_sd + of.mean
        log_slope = item.log_slope + np.log(slope)
        move = -raw * np.exp(log_slope) - float(np.mean(item.intercepts))
        items.append(replace(item, log_slope=log_slope, intercepts=tuple(i + move for i in item.intercepts)))
    return replace(bank, items=tuple(items))


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.8, 0.6), (1.3, -0.4)])
@pytest.mark.parametrize("drifting", [0, 4])
def test_a_link_finds_the_shift(survey: Survey, slope: float, shift: float, drifting: int) -> None:
    """Mean and spread of another cohort are found from the common exercises, also when some exercises changed."""
    assert survey.items is not None
    found = link(moved(survey.items, slope, shift, drifting=drifting), survey.items)

    assert found is not None
    assert found.slope == pytest.approx(slope, abs=0.03)
    assert found.shift == pytest.approx(shift, abs=0.04)
    assert found.n_common - found.n_used >= drifting
    assert found.shift_se < 0.05


def test_without_common_exercises_there_is_no_link(survey: Survey) -> None:
    """Too few common exercises are no scale."""
    assert survey.items is not None
    few = replace(survey.items, items=survey.items.items[: MIN_COMMON - 1])

    assert link(few, survey.items) is None


def test_a_survey_travels_and_holds_no_name(survey: Survey, term: cohort_world.World) -> None:
    """It comes from another process whole, and whoever reads it learns pseudonyms at most."""
    data = pickle.dumps(survey)

    assert pickle.loads(data).report == survey.report
    for name in term.pseudonyms:
        if len(name) > 3:
            assert name.encode() not in data


def test_an_empty_cohort_has_a_survey(tmp_path: Path) -> None:
    """Nobody enrolled is zeros, not an error."""
    course = cohort_world.write_course(tmp_path / "course")
    with Ledger.open(f"sqlite:///{tmp_path / 'l.sqlite'}") as ledger:
        found = take(ledger, COHORT, course, load_policy(), NOW)

    assert (found.activity.n_students, found.density.n, found.paths, found.fairness.n_tries) == (0, 0, None, 0)
    assert {e.n_tried for e in found.exercises} == {0}
