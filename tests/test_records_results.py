"""Results for a student's page and the cohort table: the latest attempt counts, everything is there, nothing is invented."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from autograder.records import AttemptResult, Ledger, Tries
from tests.ledger_world import START, graded, handed_in, minute, sqlite_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with sqlite_ledger(tmp_path) as opened:
        yield opened


def test_results_list_attempts_and_tries_per_exercise(ledger: Ledger) -> None:
    """Per assignment: attempts oldest first and numbered, and per exercise the tries and tries to pass."""
    ann = ledger.enrol("ann", "2026", START)
    for at, points in ((1, {"mask": 1, "rope": "skipped"}), (2, {"mask": 4, "rope": None}), (3, {"mask": 4, "rope": 2})):
        attempt = handed_in(ann, at)
        ledger.append(attempt, graded(attempt, **points), minute(at))

    (result,) = ledger.results(ann)

    assert [(a.number, a.attempt.received_at, a.points, a.n_infra) for a in result.attempts] == [
        (1, minute(1), 1, 0),
        (2, minute(2), 4, 1),
        (3, minute(3), 6, 0),
    ]
    assert result.tries == (Tries("T1.mask", 3, 2), Tries("T1.rope", 1, None))
    assert result.latest.max_points == 8


def test_a_student_sees_only_their_own_results(ledger: Ledger) -> None:
    """Another student's attempts never appear, and one assignment can be asked for."""
    ann, bob = (ledger.enrol(n, "2026", START) for n in ("ann", "bob"))
    for who, assignment in ((ann, "t1"), (ann, "t2"), (bob, "t1")):
        attempt = handed_in(who, 1, assignment=assignment)
        ledger.append(attempt, graded(attempt, mask=4), minute(2))

    assert [r.assignment for r in ledger.results(ann)] == ["t1", "t2"]
    assert {a.attempt.pseudonym for r in ledger.results(ann) for a in r.attempts} == {ann}
    assert [r.assignment for r in ledger.results(ann, "t2")] == ["t2"]
    assert ledger.results("nobody") == []


def test_what_waits_for_grading_is_listed_without_verdicts(ledger: Ledger) -> None:
    """A received attempt is visible before any grader spoke."""
    ann = ledger.enrol("ann", "2026", START)
    ledger.receive(handed_in(ann, 1))

    latest = ledger.results(ann)[0].latest

    assert not latest.is_graded
    assert latest.verdicts == ()
    assert not ledger.cohort_table()[0].is_graded


def test_a_students_result_cannot_hold_the_players_output(ledger: Ledger) -> None:
    """Output is for instructors: the student's record has no field for it."""
    assert "output" not in AttemptResult.__dataclass_fields__


def test_the_cohort_table_shows_the_latest_attempt_of_everyone(ledger: Ledger) -> None:
    """One row per student and assignment with points, counts per status and the number of attempts."""
    ann, bob = sorted(ledger.enrol(n, "2026", START) for n in ("ann", "bob"))
    zoe = ledger.enrol("zoe", "2025", START)
    for who, at, points in (
        (ann, 2, {"mask": 2, "rope": 4, "gelu": "skipped"}),
        (ann, 1, {"mask": 4, "rope": 4}),
        (bob, 1, {"mask": None, "rope": 4}),
        (zoe, 1, {"mask": 4}),
    ):
        attempt = handed_in(who, at)
        ledger.append(attempt, graded(attempt, **points), minute(at))

    rows = ledger.cohort_table("2026")

    assert [(r.pseudonym, r.n_attempts, r.points, r.max_points) for r in rows] == [(ann, 2, 6, 12), (bob, 1, 4, 8)]
    assert [(r.n_exercises, r.n_pass, r.n_skipped, r.n_infra) for r in rows] == [(3, 1, 1, 0), (2, 1, 0, 1)]
    assert rows[0].received_at == minute(2)
    assert len(ledger.cohort_table()) == 3
    assert ledger.cohort_table("2026", assignment="t9") == []


def test_the_cohort_table_can_be_asked_for_the_past(ledger: Ledger) -> None:
    """As of an event, later attempts neither show nor count."""
    ann = ledger.enrol("ann", "2026", START)
    first, second = handed_in(ann, 1), handed_in(ann, 2)
    then = ledger.append(first, graded(first, mask=1), minute(2)).grading
    ledger.append(second, graded(second, mask=4), minute(3))

    (row,) = ledger.cohort_table(as_of=then)

    assert (row.n_attempts, row.attempt, row.points) == (1, first.id, 1)


def test_the_cohort_table_is_one_query(ledger: Ledger) -> None:
    """The number of statements does not grow with the cohort."""
    for n in range(5):
        attempt = handed_in(ledger.enrol(f"s{n}", "2026", START), 1)
        ledger.append(attempt, graded(attempt, mask=4), minute(2))
    seen: list[str] = []
    sa.event.listen(ledger._engine, "before_cursor_execute", lambda *args: seen.append(args[2]))

    assert len(ledger.cohort_table("2026")) == 5
    assert len([s for s in seen if s.startswith("SELECT")]) == 1
