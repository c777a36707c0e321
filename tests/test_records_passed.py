"""Badges stay for ever: whatever is appended later, none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.grading.verdict import Status
from autograder.records import Ledger
from autograder.records.passed import Badge, Kind, Seen, badges, seen
from autograder.records.regrading import Decision, Replayed, commit
from tests.ledger_world import START, graded, handed_in, minute, postgres_ledger, sqlite_ledger

PASS, FAIL, SKIPPED = Status.PASS, Status.FAIL, Status.SKIPPED
POINTS = {PASS: 4.0, FAIL: 0.0, SKIPPED: "skipped", Status.INFRA: None}
INFRA = Status.INFRA


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with postgres_ledger() if request.param == "postgresql" else sqlite_ledger(tmp_path) as opened:
        yield opened


def work(ledger: Ledger, who: str, n: int, *statuses: Status):
    """Hand in attempt number n at minute n and grade it: one status per exercise e0, e1, ..."""
    attempt = handed_in(who, n)
    ledger.append(attempt, graded(attempt, **{f"e{k}": POINTS[s] for k, s in enumerate(statuses)}), minute(n))
    return attempt


def earned(ledger: Ledger, who: str) -> list[tuple[Kind, str]]:
    return [(b.kind, b.about) for b in badges(seen(ledger, who))]


def test_a_whole_notebook_and_the_first_exercise(ledger: Ledger) -> None:
    """The first pass counts when its attempt arrived; a notebook is whole when one hand-in passed all of it."""
    ada = ledger.enrol("ada", "2026", START)
    first = work(ledger, ada, 1, PASS, FAIL)
    second = work(ledger, ada, 2, PASS, PASS)
    work(ledger, ada, 3, FAIL, PASS)

    assert badges(seen(ledger, ada)) == [
        Badge(Kind.COUNT, "1", first.received_at),
        Badge(Kind.NOTEBOOK, second.assignment, second.received_at),
    ]


def test_keeping_at_it_is_worth_a_badge(ledger: Ledger) -> None:
    """Three tries that failed and then one that passed; skipping and our own faults are no tries."""
    ada, bela = ledger.enrol("ada", "2026", START), ledger.enrol("bela", "2026", START)
    for n, status in enumerate((FAIL, SKIPPED, FAIL, INFRA, FAIL, PASS), 1):
        work(ledger, ada, n, status, FAIL)
    for n, status in enumerate((FAIL, SKIPPED, FAIL, INFRA, PASS), 1):
        work(ledger, bela, n, status, FAIL)

    assert (Kind.KEPT_AT_IT, "T1.e0") in earned(ledger, ada)
    assert (Kind.KEPT_AT_IT, "T1.e0") not in earned(ledger, bela)


def test_a_regrade_takes_no_badge_away(ledger: Ledger) -> None:
    """The new verdict stands, and the badges stay; a regrade that passes more gives more."""
    ada = ledger.enrol("ada", "2026", START)
    attempt = work(ledger, ada, 1, PASS, PASS)
    before = earned(ledger, ada)
    worse = graded(attempt, "other", e0=0.0, e1=0.0)
    commit(ledger, Decision(attempt.assignment, "true", "stricter", "ines"), [Replayed(attempt, worse)], minute(9))

    assert ledger.results(ada)[0].latest.points == 0
    assert earned(ledger, ada) == before != []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from((PASS, FAIL, SKIPPED)), min_size=2, max_size=2), min_size=1, max_size=7), st.data())
def test_nothing_that_is_appended_takes_one_away(tries: list[list[Status]], data: st.DataObject) -> None:
    """Whatever the attempts and whatever regrades say later, the badges only grow."""

    def rows(said: list[list[set[Status]]]) -> list[Seen]:
        return [
            Seen(f"a{n}", "t1", minute(n), f"e{k}", PASS in one, FAIL in one)
            for n, attempt in enumerate(said)
            for k, one in enumerate(attempt)
        ]

    said = [[{s} for s in attempt] for attempt in tries]
    before = {(b.kind, b.about) for b in badges(rows(said))}
    for attempt in said:
        for one in attempt:
            one.add(data.draw(st.sampled_from((PASS, FAIL, SKIPPED))))

    assert before <= {(b.kind, b.about) for b in badges(rows(said))}
