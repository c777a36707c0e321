"""The bench of the pages: which addresses it asks for, and the term that it asks about."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from autograder.bench.asked import FILES, LEFT_OUT, PAGES, route_of, twins
from autograder.bench.deeds import preview, try_again
from autograder.bench.term import COHORT, EARLIER, Size, attempt_of, end_of, fill, pseudonym_of, write_course
from autograder.records import Ledger, roll
from autograder.regrades.previews import kept
from autograder.service.routes import ROUTES
from autograder.survey.stuck import stuck

SIZE, END = Size(20, n_assignments=3, n_exercises=4), datetime(2026, 12, 1, tzinfo=UTC)


def test_every_address_that_can_be_read_is_measured_or_left_out_with_a_reason() -> None:
    """A new page is measured from its first day, or says here why not."""
    readable = {r.path for r in ROUTES if "GET" in r.needs}
    asked = {address: route_of(address) for _, address in (*PAGES, *twins(), *FILES)}

    assert [a for a, route in asked.items() if route is None] == []
    measured = {route.path for route in asked.values() if route}
    assert measured | set(LEFT_OUT) == readable
    assert not measured & set(LEFT_OUT)
    assert all(LEFT_OUT.values())


def test_the_term_is_one_that_the_ledger_can_have_recorded(tmp_path: Path) -> None:
    """Two cohorts took one course a year apart: events by time, first tries of everybody, and it ends when it should."""
    course = write_course(tmp_path / "course", SIZE, END)
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        fill(ledger, SIZE, end_of(course))

        assert end_of(course) == END
        assert roll.cohorts(ledger) == [COHORT, EARLIER]
        assert [len(ledger.first_tries(cohort=c)) for c in (COHORT, EARLIER)] == [20 * 3 * 4, 2 * 3 * 4]
        events = ledger.events(0, limit=10**6)
        assert [e.at for e in events] == sorted(e.at for e in events)
        assert [e.id for e in events] == list(range(1, ledger.last_event() + 1))
        newest = ledger.results(pseudonym_of(5))[-1].latest
        assert newest.attempt.id == attempt_of(5, 2, 1)
        assert ledger.record("after.all", END, "ada", None, {}) == len(events) + 1


def test_who_tries_again_in_vain_is_stuck(tmp_path: Path) -> None:
    """The list of who needs help is not empty in the bench."""
    course = write_course(tmp_path / "course", SIZE, END)
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        fill(ledger, SIZE, end_of(course))
        assert stuck(ledger.first_tries(cohort=COHORT), frozenset()).n == 0

        try_again(ledger, SIZE, "a02_topic", END)

        found = stuck(ledger.first_tries(cohort=COHORT), frozenset()).kept
        assert {(s.pseudonym, s.n_tries) for s in found} == {(pseudonym_of(0), 3)}


def test_the_preview_is_of_everybody_who_fails_the_exercise(tmp_path: Path) -> None:
    """What the page of a regrade shows in the bench is what the term's ledger says."""
    course = write_course(tmp_path / "course", SIZE, END)
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        fill(ledger, SIZE, end_of(course))
        preview(ledger, tmp_path, "a02_topic", "a02_topic.e01")

        found = kept(tmp_path, "a02_topic")
        assert found is not None
        assert found.n_attempts == (20 + 2) * 2
        failed = {
            (a.attempt.id, v.exercise)
            for s in range(22)
            for r in ledger.results(pseudonym_of(s), "a02_topic")
            for a in r.attempts
            for v in a.verdicts
            if v.exercise == "a02_topic.e01" and v.status != "pass"
        }
        assert {(c.attempt, c.exercise) for c in found.changes} == failed
        assert failed
