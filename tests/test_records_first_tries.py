"""First tries: their content never changes, their score follows regrades, and any past state can be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.grading.verdict import CheckResult, Graded, Status, Verdict
from autograder.records import FirstTry, Ledger
from autograder.records.append import fraction
from tests.ledger_world import START, graded, handed_in, minute, sqlite_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with sqlite_ledger(tmp_path) as opened:
        yield opened


@pytest.fixture
def ann(ledger: Ledger) -> str:
    return ledger.enrol("ann", "2026", START)


def _by_exercise(ledger: Ledger, as_of: int | None = None) -> dict[str, FirstTry]:
    return {f.exercise.removeprefix("T1."): f for f in ledger.first_tries(as_of)}


def test_the_first_try_stays_the_first_try(ledger: Ledger, ann: str) -> None:
    """Later attempts count as tries and change neither fraction nor event of the first."""
    for at, points in ((1, 1), (2, 4), (3, 2)):
        attempt = handed_in(ann, at)
        ledger.append(attempt, graded(attempt, mask=points), minute(at))

    first = _by_exercise(ledger)["mask"]

    assert (first.fraction, first.received_at, first.n_tries, first.n_tries_to_pass) == (0.25, minute(1), 3, 2)
    assert first.event == ledger.events(kinds=["attempt.received"])[0].id


def test_first_goes_by_receipt_and_not_by_grading_order(ledger: Ledger, ann: str) -> None:
    """A worker that finishes a later hand-in earlier does not make it the first try."""
    early, late = handed_in(ann, 1), handed_in(ann, 2)
    ledger.append(late, graded(late, mask=4), minute(3))
    ledger.append(early, graded(early, mask=2), minute(4))

    assert _by_exercise(ledger)["mask"].fraction == 0.5


def test_the_score_of_the_first_try_follows_a_regrade(ledger: Ledger, ann: str) -> None:
    """The newest grading of the first attempt scores it; as of an earlier event the earlier grading does."""
    attempt = handed_in(ann, 1)
    old = ledger.append(attempt, graded(attempt, "b1", mask=1), minute(2))
    new = ledger.append(attempt, graded(attempt, "b2", mask=4), minute(3))

    assert _by_exercise(ledger)["mask"].fraction == 1.0
    assert _by_exercise(ledger, new.grading)["mask"].fraction == 1.0
    assert _by_exercise(ledger, new.grading - 1)["mask"].fraction == 0.25
    assert _by_exercise(ledger, old.grading - 1) == {}


def test_the_past_is_stable(ledger: Ledger, ann: str) -> None:
    """What first tries were as of an event stays the same whatever is appended afterwards."""
    bob = ledger.enrol("bob", "2026", START)
    snapshots = []
    for at, (who, points) in enumerate([(ann, 1), (bob, 4), (ann, 4), (bob, 0)]):
        attempt = handed_in(who, at)
        ledger.append(attempt, graded(attempt, mask=points, rope="skipped"), minute(at))
        snapshots.append((ledger.last_event(), ledger.first_tries()))
    attempt = handed_in(ann, -5)
    ledger.append(attempt, graded(attempt, "b2", mask=2, rope=2), minute(9))

    assert [ledger.first_tries(as_of=n) for n, _ in snapshots] == [tries for _, tries in snapshots]


def test_skipped_is_no_try_until_it_is_handed_in(ledger: Ledger, ann: str) -> None:
    """A stub is reported as skipped without a fraction; the first attempt with an answer is the first try."""
    first, second = handed_in(ann, 1), handed_in(ann, 2)
    ledger.append(first, graded(first, mask=4, rope="skipped"), minute(2))
    skipped = _by_exercise(ledger)["rope"]
    ledger.append(second, graded(second, mask=4, rope=2), minute(3))
    tried = _by_exercise(ledger)["rope"]

    assert (skipped.status, skipped.fraction, skipped.n_tries) == (Status.SKIPPED, None, 0)
    assert (tried.status, tried.fraction, tried.n_tries, tried.received_at) == (Status.FAIL, 0.5, 1, minute(2))


def test_our_fault_on_the_first_try_is_not_replaced_by_a_later_attempt(ledger: Ledger, ann: str) -> None:
    """While the first attempt is INFRA the exercise is absent; once it is graded it is the first try."""
    first, second = handed_in(ann, 1), handed_in(ann, 2)
    ledger.append(first, graded(first, mask=None, rope=4), minute(2))
    ledger.append(second, graded(second, mask=4, rope=4), minute(3))
    assert set(_by_exercise(ledger)) == {"rope"}

    ledger.append(first, graded(first, mask=1), minute(4))

    mask = _by_exercise(ledger)["mask"]
    assert (mask.fraction, mask.n_tries, mask.n_tries_to_pass) == (0.25, 2, 2)


def test_what_was_not_handed_in_is_absent(ledger: Ledger, ann: str) -> None:
    """No row means missing, not zero; an unreadable file is no try of anything."""
    bob = ledger.enrol("bob", "2026", START)
    broken = handed_in(bob, 1)
    ledger.append(broken, graded(broken, error="not JSON"), minute(2))
    attempt = handed_in(ann, 1)
    ledger.append(attempt, graded(attempt, mask=0), minute(2))

    assert [(f.pseudonym, f.exercise) for f in ledger.first_tries()] == [(ann, "T1.mask")]


def test_first_tries_can_be_asked_for_one_cohort(ledger: Ledger, ann: str) -> None:
    """The other cohort's tries stay out."""
    old = ledger.enrol("zoe", "2025", START)
    for who in (ann, old):
        attempt = handed_in(who, 1)
        ledger.append(attempt, graded(attempt, mask=1), minute(2))

    assert [f.pseudonym for f in ledger.first_tries(cohort="2025")] == [old]
    assert {f.pseudonym for f in ledger.first_tries()} == {ann, old}


def test_evidence_and_tier_travel_along(ledger: Ledger, ann: str) -> None:
    """Who decides about people can see how strong the box was and whether any check was verified."""
    attempt = handed_in(ann, 1)
    observed = (CheckResult("speed", Status.PASS, 1.0, evidence="observed"),)
    both = (*observed, CheckResult("value", Status.PASS, 1.0))
    said = (Verdict("T1.a", Status.PASS, 0.0, 0.0, observed), Verdict("T1.b", Status.PASS, 0.0, 0.0, both))
    ledger.append(attempt, Graded("t1", attempt.sha256, said, "b1", "C"), minute(2))

    assert [(f.tier, f.evidence) for f in ledger.first_tries()] == [("C", "observed"), ("C", "verified")]
    assert {f.grader_build for f in ledger.first_tries()} == {"b1"}


def _checks(*weights_and_statuses: tuple[float, Status, str]) -> tuple[CheckResult, ...]:
    return tuple(CheckResult(f"c{n}", s, w, evidence=e) for n, (w, s, e) in enumerate(weights_and_statuses))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Verdict("x", Status.FAIL, 1.0, 4.0), 0.25),
        (Verdict("x", Status.PASS, 4.0, 4.0), 1.0),
        (Verdict("x", Status.SKIPPED, 0.0, 4.0), None),
        (Verdict("x", Status.INFRA, None, 4.0), None),
        (Verdict("x", Status.PASS, 0.0, 0.0), 1.0),
        (Verdict("x", Status.ERROR, 0.0, 0.0), 0.0),
        (Verdict("x", Status.FAIL, 0.0, 0.0, _checks((1, Status.PASS, "verified"), (3, Status.FAIL, "verified"))), 0.25),
        (Verdict("x", Status.FAIL, 0.0, 0.0, _checks((1, Status.PASS, "observed"), (3, Status.FAIL, "verified"))), 0.0),
    ],
)
def test_fraction_is_points_or_else_verified_check_weight(said: Verdict, expected: float | None) -> None:
    """0-point exercises are measured by the weight of passed verified checks; skipped and infra are not measured."""
    assert fraction(said) == expected
