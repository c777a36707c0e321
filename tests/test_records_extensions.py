"""Extensions as events: the newest word holds, reasons can be forgotten, and every counter of days sees them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autograder.deadlines import Extension
from autograder.records import Blobs, Ledger, LedgerError
from autograder.records.extensions import GRANTED, Extensions, grant, withdraw
from autograder.records.subjects import erase, export_subject

NOW = datetime(2027, 2, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as opened:
        yield opened


@pytest.fixture
def ada(ledger: Ledger) -> str:
    return ledger.enrol("ada", "2027", NOW - timedelta(days=30))


def extension(who: str, days: float, assignment: str = "s1_sums") -> Extension:
    return Extension(who, assignment, NOW + timedelta(days=days))


def test_the_newest_word_holds(ledger: Ledger, ada: str) -> None:
    """A second extension takes the first one's place, also for a reader that saw the first; a withdrawn one is gone."""
    reader = Extensions(ledger)
    grant(ledger, extension(ada, 3), "a cold", NOW, "ines")
    assert reader.all() == (extension(ada, 3),)
    grant(ledger, extension(ada, 2), "only two days", NOW, "ines")
    grant(ledger, extension(ada, 9, "s2"), "a cold", NOW, "ines")
    assert set(reader.all()) == {extension(ada, 2), extension(ada, 9, "s2")}

    withdraw(ledger, ada, "s1_sums", "by mistake", NOW, "ines")

    assert reader.all() == (extension(ada, 9, "s2"),) == Extensions(ledger).of(ada)


def test_one_students_extensions_are_nobody_elses(ledger: Ledger, ada: str) -> None:
    """What is asked for one student tells nothing of another."""
    bela = ledger.enrol("bela", "2027", NOW)
    grant(ledger, extension(bela, 3), "a cold", NOW, "ines")

    assert Extensions(ledger).of(ada) == ()


@pytest.mark.parametrize(
    ("days", "reason", "said"),
    [(-1, "a cold", "has passed already"), (1, " ", "needs a reason"), (1, "x" * 501, "has 501 characters")],
)
def test_a_bad_grant_is_refused_and_leaves_nothing(ledger: Ledger, ada: str, days: float, reason: str, said: str) -> None:
    """A time that has passed, no reason, or a novel: nothing is recorded."""
    with pytest.raises(LedgerError, match=said):
        grant(ledger, extension(ada, days), reason, NOW, "ines")

    assert ledger.events(kinds=[GRANTED]) == []


def test_what_was_never_granted_cannot_be_taken_back(ledger: Ledger, ada: str) -> None:
    """The log holds no withdrawal of nothing."""
    with pytest.raises(LedgerError, match="has no extension"):
        withdraw(ledger, ada, "s1_sums", "by mistake", NOW, "ines")


def test_the_reason_is_the_students_and_goes_with_them(ledger: Ledger, ada: str, tmp_path: Path) -> None:
    """It stands in the student's export, never in the log, and an erasure removes it."""
    grant(ledger, extension(ada, 3), "chemotherapy", NOW, "ines")
    assert "chemotherapy" in str(export_subject(ledger, "ada"))
    assert "chemotherapy" not in str(ledger.events())

    erase(ledger, Blobs(tmp_path / "blobs"), "ada", NOW, "olga")

    assert b"chemotherapy" not in (tmp_path / "ledger.sqlite").read_bytes()
    assert Extensions(ledger).of(ada) == (extension(ada, 3),)


def test_a_reader_looks_at_what_is_new_only(ledger: Ledger, ada: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, it begins after the newest event that it has seen, whatever its kind."""
    grant(ledger, extension(ada, 3), "a cold", NOW, "ines")
    reader = Extensions(ledger)
    reader.all()
    ledger.record("person.viewed", NOW, "olga", ada, {})
    reader.all()
    asked: list[int] = []
    events = ledger.events
    monkeypatch.setattr(ledger, "events", lambda after, *more, **named: asked.append(after) or events(after, *more, **named))

    assert reader.all() == (extension(ada, 3),)
    assert asked == [ledger.last_event()]
