"""What instructors ask of the ledger: what an exercise fails at, what a student was told last, parts of the roll."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.grading.verdict import CheckResult, Status, Verdict
from autograder.records import Ledger, roll
from autograder.records.failing import Failing, failing
from autograder.records.newest_word import newest_words
from tests.ledger_world import START, graded, handed_in, minute, postgres_ledger, sqlite_ledger

FAIL, PASS = Status.FAIL, Status.PASS


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with postgres_ledger() if request.param == "postgresql" else sqlite_ledger(tmp_path) as opened:
        yield opened


def failed(*checks: str, hint: str = "", status: Status = FAIL) -> Verdict:
    found = tuple(CheckResult(c, FAIL, 1.0, hint=f"{c} says") for c in checks)
    return Verdict("T1.mask", status, 0.0, 4.0, (*found, CheckResult("shapes", PASS, 1.0)), hint or (f"{checks[0]} says"))


def work(ledger: Ledger, who: str, n: float, *verdicts: Verdict):
    attempt = handed_in(who, n)
    ledger.append(attempt, replace(graded(attempt), verdicts=verdicts), minute(n))
    return attempt


def test_failures_are_counted_by_check_and_by_slip(ledger: Ledger) -> None:
    """Every failed check of every failed answer; a hint that is no check's own is a known slip's."""
    ada, bela = ledger.enrol("ada", "2026", START), ledger.enrol("bela", "2026", START)
    work(ledger, ada, 1, failed("causal", "rows"))
    work(ledger, ada, 2, failed("causal", hint="You masked the other triangle."))
    work(ledger, bela, 3, failed("rows", status=Status.TIMEOUT))
    work(ledger, bela, 4, Verdict("T1.mask", PASS, 4.0, 4.0))
    work(ledger, bela, 5, replace(failed("other"), exercise="T1.rope"))

    expected = Failing(3, (("fail", 2), ("timeout", 1)), (("causal", 2), ("rows", 2)), (("You masked the other triangle.", 1),))
    assert failing(ledger, "t1", "T1.mask") == expected
    assert failing(ledger, "t2", "T1.mask").n == 0


def test_the_newest_word_is_that_on_the_newest_attempt(ledger: Ledger) -> None:
    """Whichever was graded last; our own fault is no word, and nobody else's is read."""
    ada, bela = ledger.enrol("ada", "2026", START), ledger.enrol("bela", "2026", START)
    work(ledger, ada, 1, failed("rows"))
    second = work(ledger, ada, 2, failed("causal"))
    work(ledger, ada, 3, Verdict("T1.mask", Status.INFRA, None, 4.0))
    work(ledger, bela, 4, failed("rows"))

    (word,) = newest_words(ledger, [(ada, "T1.mask"), (ada, "T1.rope")]).values()

    assert (word.attempt, word.check, word.hint, word.status) == (second.id, "causal", "causal says", FAIL)
    assert newest_words(ledger, []) == {}


def test_parts_of_the_roll(ledger: Ledger) -> None:
    """By name, part by part, and by what a name holds; a wildcard is a letter."""
    pseudonyms = {name: ledger.enrol(name, "2026", START) for name in ("cleo", "Ada", "bela", "100%", "fay_x")}
    ledger.enrol("other", "2027", START)

    def names(like: str = "", first: int = 0, n: int = 9) -> list[str]:
        return [name for _, name in roll.enrolled(ledger, "2026", like, first, n).lines]

    everybody = names()
    assert set(everybody) == set(pseudonyms)
    assert names(first=1, n=2) == everybody[1:3]
    assert roll.enrolled(ledger, "2026", "", 0, 2).n == 5
    assert names("DA") == ["Ada"]
    assert names("%") == ["100%"]
    assert names("_") == ["fay_x"]
    assert names(pseudonyms["bela"][:9]) == ["bela"]


def test_who_has_not_handed_in(ledger: Ledger) -> None:
    """Everybody of the cohort without an attempt, but for those who left."""
    pseudonyms = {name: ledger.enrol(name, "2026", START) for name in ("ada", "bela", "cleo")}
    ledger.receive(handed_in(pseudonyms["ada"], 1))
    ledger.leave(pseudonyms["cleo"], minute(2))

    found = roll.without(ledger, "2026", "t1", 9)

    assert (found.n, [name for _, name in found.lines]) == (1, ["bela"])
    assert roll.without(ledger, "2026", "t2", 1).n == 2
    assert len(roll.without(ledger, "2026", "t2", 1).lines) == 1
