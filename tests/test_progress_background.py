"""What stands beside an evaluation: holds, rising, the cross-check and the past; each says so, and none judges by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest

from autograder.progress import Background, Report, State, evaluate, load_policy, reasons
from autograder.progress.decisions import Decisions
from autograder.progress.transitions import Past
from autograder.records import FirstTry
from tests.progress_world import AT, course, first_tries, first_try, simulate

COURSE = course(8, 6)
POLICY = load_policy()


@cache
def _tries() -> tuple[FirstTry, ...]:
    return tuple(first_tries(simulate(np.random.default_rng(13), n=60), COURSE))


@cache
def _report() -> Report:
    return evaluate(_tries(), COURSE, POLICY)


def test_a_notebook_that_was_set_aside_holds_the_flag_for_a_human() -> None:
    """Flagged last week, one notebook set aside, chance below .5 without it: on hold, the flag stays until somebody decides."""
    finding = max((f for f in _report().students if f.why), key=lambda f: f.p - min(w.p for w in f.why.without if f.why))
    assert finding.why is not None
    carrier = min(finding.why.without, key=lambda w: w.p)
    past = {finding.pseudonym: [Past(AT, 0.85, State.PROVISIONAL)]}
    aside = Decisions(set_aside=frozenset({(finding.pseudonym, carrier.assignment)}))
    strict = POLICY.model_copy(update={"integrity": POLICY.integrity.model_copy(update={"hold_below": carrier.p + 0.1})})

    held = evaluate(_tries(), COURSE, strict, background=Background(decided=aside, past=past, at=AT + timedelta(days=7)))
    free = evaluate(_tries(), COURSE, strict, background=Background(past=past, at=AT + timedelta(days=7)))

    mine, before = (next(f for f in r.students if f.pseudonym == finding.pseudonym) for r in (held, free))
    assert (mine.on_hold, mine.state, mine.set_aside) == (True, State.PROVISIONAL, (carrier.assignment,))
    assert mine.n_items == finding.n_items - carrier.n_items
    assert any("A person decides, and the student is told and heard first" in line for line in mine.reasons)
    assert not before.on_hold
    assert not any(f.on_hold for f in held.students if f.pseudonym != finding.pseudonym)


def test_the_past_makes_states_last() -> None:
    """Provisional a week ago and below .5 now: still provisional; two weeks below: dropped, and the chance is the same."""
    low = next(f for f in _report().students if f.state is State.NONE)
    at = AT + timedelta(days=7)
    once = {low.pseudonym: [Past(AT, 0.85, State.PROVISIONAL)]}
    twice = {low.pseudonym: [Past(AT - timedelta(days=7), 0.85, State.PROVISIONAL), Past(AT, 0.3, State.PROVISIONAL)]}

    found = [evaluate(_tries(), COURSE, POLICY, background=Background(past=past, at=at)) for past in (once, twice)]

    mine = [next(f for f in r.students if f.pseudonym == low.pseudonym) for r in found]
    assert [(f.state, f.before) for f in mine] == [(State.PROVISIONAL, State.PROVISIONAL), (State.DROPPED, State.PROVISIONAL)]
    assert {f.p for f in mine} == {low.p}


@pytest.mark.slow
def test_who_grows_rises_and_growth_alone_flags_nobody() -> None:
    """One who fails everything at first and passes everything later rises; the state follows from the chance only."""
    rng = np.random.default_rng(2)
    items = sorted(COURSE.items.values(), key=lambda i: i.place)
    tries = [first_try(f"s{k:02d}", i, float(rng.random() < 0.5)) for k in range(40) for i in items]
    tries += [first_try("riser", i, float(i.week > 4)) for i in items] + [first_try("faller", i, float(i.week <= 4)) for i in items]
    sure = POLICY.model_copy(update={"rising": POLICY.rising.model_copy(update={"chance": 0.7})})

    found = {f.pseudonym: f for f in evaluate(tries, COURSE, sure).students}

    assert found["riser"].p_growing > 0.7 > 0.3 > found["faller"].p_growing
    assert (found["riser"].is_rising, found["faller"].is_rising) == (True, False)
    early = [t for t in tries if COURSE.items[t.exercise].week <= 3]
    assert not any(
        f.is_rising
        for f in evaluate(
            early, COURSE, sure.model_copy(update={"rising": sure.rising.model_copy(update={"chance": 0.01})})
        ).students
    )


def test_the_cross_check_speaks_up_when_it_disagrees() -> None:
    """Both engines' chances are kept and near each other; a gap beyond the policy's is said in words."""
    report = _report()

    assert (report.engine, report.cross_check) == ("hierarchy-3", "gaussian-1")
    gaps = [abs(f.p - f.p_other) for f in report.students if f.p_other is not None]
    assert len(gaps) == len(report.students)
    assert max(gaps) < POLICY.engine.max_gap
    assert reasons.doubts(0.9, 0.6, False, POLICY)[0].startswith("Doubt: the simpler engine, which checks this one, says 60 %")
    assert reasons.doubts(0.9, 0.8, False, POLICY) == ()


def test_small_cohorts_fall_back_to_the_simple_engine() -> None:
    """Below the policy's number of students with a first try; nobody checks it then."""
    few = [t for t in _tries() if t.pseudonym < f"s{POLICY.engine.min_students - 1:04d}"]

    report = evaluate(few, COURSE, POLICY)

    assert (report.engine, report.cross_check) == ("gaussian-1", "")
    assert all(f.p_other is None for f in report.students)
    one_more = [*few, *(replace(t, pseudonym="zz") for t in few if t.pseudonym == "s0000")]
    assert evaluate(one_more, COURSE, POLICY).engine == "hierarchy-3"
