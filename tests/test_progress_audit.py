"""Every evaluation stands in the log with a row per student, and comes out of it again bit for bit; people's decisions count."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from autograder.errors import BootcampError
from autograder.grading.verdict import Graded
from autograder.progress import State, audit, decisions, inputs, load_policy
from autograder.progress.simulator import rebuilding
from autograder.progress.simulator.cohort import Setting, draw_cohort, draw_items
from autograder.progress.simulator.rebuilding import course
from autograder.records import Attempt, Ledger
from tests.ledger_world import sqlite_ledger, verdict

POLICY = load_policy()
COHORT, N = "made up", 24
AT = rebuilding._START + timedelta(weeks=20)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, tuple[int, int, int]]]:
    """A ledger of 24 students over twelve weeks, with evaluations after weeks 4, 5 and 12 that were rebuilt."""
    with sqlite_ledger(tmp_path_factory.mktemp("audit")) as ledger:
        yield ledger, rebuilding.rebuilt_flags(ledger, POLICY, seed=9, n=N)


@pytest.mark.slow
def test_every_row_is_rebuilt_bit_for_bit_against_a_bank(tmp_path: Path) -> None:
    """The bank is in the log, too: what was said against it is said again."""
    with sqlite_ledger(tmp_path) as ledger:
        n_rows, _n_flags, n_differ = rebuilding.rebuilt_flags(ledger, POLICY, seed=9, n=12, warm=True)
        found = audit.newest(ledger, COHORT)

    assert (n_rows, n_differ) == (3 * 12, 0)
    assert found is not None
    assert found.payload["bank"]


@pytest.mark.slow
def test_every_row_is_rebuilt_bit_for_bit(recorded: tuple[Ledger, tuple[int, int, int]]) -> None:
    """Three evaluations of 24 students, flags among them: none differs."""
    _ledger, (n_rows, n_flags, n_differ) = recorded

    assert (n_rows, n_differ) == (3 * N, 0)
    assert n_flags >= 3


@pytest.mark.slow
def test_a_row_that_was_forged_does_not_pass(recorded: tuple[Ledger, tuple[int, int, int]]) -> None:
    """Rows that somebody appended with another chance are named by the rebuild."""
    ledger, _counts = recorded
    real = audit.newest(ledger, COHORT)
    assert real is not None
    rows = audit.rows_of(ledger, real)
    first = min(rows)
    forged = [(inputs.EVALUATED, who, {**row, "p": 0.99} if who == first else dict(row)) for who, row in rows.items()]
    copy = (inputs.EVALUATION, None, dict(real.payload))
    event = ledger.record_all([copy, *forged], real.at, "mallory")[0]

    assert audit.rebuild(ledger, real.id).differ == ()
    assert audit.rebuild(ledger, event).differ == (first,)


@pytest.mark.slow
def test_a_row_says_all_that_a_decision_about_a_person_needs(recorded: tuple[Ledger, tuple[int, int, int]]) -> None:
    """Versions, numbers, evidence used and excluded, state before and after, who evaluated; under the student's own subject."""
    ledger, _counts = recorded
    evaluations = inputs.until(ledger, (inputs.EVALUATION,), ledger.last_event())
    row = ledger.events(evaluations[1].id, (inputs.EVALUATED,), limit=1)[0]

    expected = {"policy", "engine", "bank", "grader_builds", "last_event", "p", "mean", "sd", "rank90", "n_items", "notebooks"}
    assert expected | {"set_aside", "state", "before", "why", "cross_check", "p_other"} <= row.payload.keys()
    assert (row.actor, row.payload["grader_builds"]) == ("simulator", ["made-up"])
    assert row.payload["before"] in set(State)
    assert row.subject in {s.pseudonym for s in ledger.students(COHORT)}


@pytest.mark.slow
def test_decisions_change_the_evidence_and_can_be_taken_back(recorded: tuple[Ledger, tuple[int, int, int]]) -> None:
    """Setting a notebook aside, an exercise, and leaving: each counts from its event on, and the past stays what it was."""
    ledger, _counts = recorded
    items, before = course(), ledger.last_event()
    who = next(s for s in ledger.students(COHORT) if any(t.pseudonym == s.pseudonym for t in ledger.first_tries()))
    tries = [t for t in ledger.first_tries() if t.pseudonym == who.pseudonym]
    book = tries[0].assignment
    n_book, n_e0 = sum(t.assignment == book for t in tries), sum(t.exercise == "E000" for t in ledger.first_tries())

    def used(as_of: int) -> tuple[int, tuple[str, ...]]:
        report = inputs.read(ledger, COHORT, as_of).evaluate(items, POLICY)
        mine = next(f for f in report.students if f.pseudonym == who.pseudonym)
        return report.n_first_tries, mine.set_aside

    n = used(before)[0]
    aside = ledger.record(decisions.EXCLUDED, AT, "prof", who.pseudonym, {"assignment": book, "reason": "copied"})
    without = ledger.record(decisions.EXCLUDED, AT, "prof", None, {"exercise": "E000", "reason": "broken"})
    back = ledger.record(decisions.INCLUDED, AT, "prof", None, {"exercise": "E000", "reason": "it was right"})

    own = sum(t.assignment == book and t.exercise == "E000" for t in tries)
    assert used(aside) == (n - n_book, (book,))
    assert used(without) == (n - n_book - n_e0 + own, (book,))
    assert used(back) == (n - n_book, (book,))
    assert used(before) == (n, ())


def test_what_a_student_handed_in_after_leaving_does_not_count() -> None:
    """Leaving is an event with a time; first tries received later are left out and counted so."""
    from autograder.progress.scores import collect
    from tests.progress_world import AT as TRIED
    from tests.progress_world import course as small
    from tests.progress_world import everyone

    tries, items = everyone(["s0", "s1"], small(), 1.0), small()
    left = decisions.Decisions(left={"s0": TRIED - timedelta(days=1), "s1": TRIED + timedelta(days=1)})

    scores = collect(tries, items, POLICY, decided=left)

    assert scores.seen.sum(axis=1).tolist() == [0, 24]
    assert scores.left_out == {"handed in after leaving": 24}


def test_there_is_nothing_to_rebuild_in_an_empty_log(tmp_path: Path) -> None:
    """The error says what to type."""
    with sqlite_ledger(tmp_path) as ledger, pytest.raises(BootcampError, match="bootcamp progress evaluate"):
        audit.rebuild(ledger, 5)


def test_the_simulators_ledger_shows_the_simulators_first_tries(tmp_path: Path) -> None:
    """What goes through the real ledger comes out as the arrays that the engines are measured on."""
    from autograder.progress.scores import collect

    rng = np.random.default_rng(3)
    cohort = draw_cohort(rng, draw_items(rng), 6, Setting.ALL)
    with sqlite_ledger(tmp_path) as ledger:
        names = [ledger.enrol(f"student {i}", COHORT, rebuilding._START) for i in range(6)]
        for week in range(1, 7):
            rebuilding._hand_in(ledger, cohort, names, week)
        scores = collect(ledger.first_tries(), course(), POLICY, names)

    expected = cohort.scores(6)
    rows = [scores.pseudonyms.index(name) for name in names]
    np.testing.assert_array_equal(scores.seen[rows], expected.seen)
    np.testing.assert_array_equal(scores.score[rows], expected.score)


def _hand_in_parts(ledger: Ledger, n_parts: int) -> None:
    """Five students, two notebooks; in two parts, every other exercise is still untouched in the first."""
    for i in range(5):
        who = ledger.enrol(f"student {i}", COHORT, AT)
        for part, book in itertools.product(range(n_parts), (0, 1)):
            tried = [n_parts == 1 or k % 2 <= part for k in range(10)]
            points = [4.0 * ((k * 3 + i) % 4 != 0) if tried[k] else "skipped" for k in range(10)]
            said = tuple(replace(verdict("", p), exercise=f"E{10 * book + k:03d}") for k, p in enumerate(points))
            sha, at = hashlib.sha256(f"{i}{part}{book}".encode()).hexdigest(), AT + timedelta(hours=part)
            ledger.append(Attempt.of(who, f"b{book:02d}", sha, at), Graded(f"b{book:02d}", sha, said, "b1", "B"), at)


def test_one_hand_in_or_two_say_the_same(tmp_path: Path) -> None:
    """A notebook handed in at once, or half of it first and the rest an hour later: the same report, in the hierarchy too."""
    policy = POLICY.model_copy(update={"engine": POLICY.engine.model_copy(update={"use": "hierarchy"})})
    reports = []
    for n_parts in (1, 2):
        with Ledger.open(f"sqlite:///{tmp_path}/{n_parts}.sqlite", draw=map("p{}".format, range(9)).__next__) as ledger:
            _hand_in_parts(ledger, n_parts)
            read = inputs.read(ledger, COHORT, ledger.last_event())
        reports.append(replace(read, as_of=0).evaluate(course(), policy))

    assert reports[0].engine == "hierarchy-3"
    assert reports[0] == reports[1]
