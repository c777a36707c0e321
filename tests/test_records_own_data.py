"""What a student takes along: all of their own, nothing of anybody else, nothing of how the hidden checks work."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from autograder.records import Ledger
from autograder.records.own_data import own_data
from autograder.records.remarks import with_remark
from tests import cohort_world
from tests.cohort_world import NOW


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> cohort_world.World:
    folder = tmp_path_factory.mktemp("term")
    return cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")


@pytest.fixture(scope="module")
def ledger(world: cohort_world.World) -> Iterator[Ledger]:
    with Ledger.open(world.ledger_url) as opened:
        yield opened


def test_everything_of_ones_own_and_nothing_of_others(ledger: Ledger, world: cohort_world.World) -> None:
    """Attempts with points and hints, words, who looked; it is JSON, and nobody else's name or pseudonym stands in it."""
    priya = world.pseudonyms["priya"]
    with_remark(ledger, "verdict.disputed", NOW, priya, priya, {"exercise": "x"}, "I see 3 where you see 4")
    ledger.record("person.viewed", NOW, "olga", priya, {"page": "person"})

    found = own_data(ledger, "priya")

    text = json.dumps(found)
    assert not [p for name, p in world.pseudonyms.items() if name != "priya" and p in text]
    assert {a["id"] for a in found["attempts"]} == {a.id for a in ledger.attempts(priya)}
    assert len(found["first_tries"]) == sum(f.pseudonym == priya for f in ledger.first_tries())
    assert [e["kind"] for e in found["events"]] == ["student.enrolled", "verdict.disputed", "person.viewed"]
    assert found["events"][1]["text"] == "I see 3 where you see 4"


def test_how_the_hidden_checks_work_stays_hidden(ledger: Ledger) -> None:
    """No name of a check, no reason of a fault of ours; the hints that the page shows."""
    text = json.dumps(own_data(ledger, "priya"))

    assert "matches_definition" not in text
    assert "the box did not start" not in text
    assert cohort_world.HINTS["rope"] in text


def test_who_is_unknown_has_nothing(ledger: Ledger) -> None:
    """A mentor or a newcomer gets their own name back."""
    assert own_data(ledger, "nobody") == {"name": "nobody", "attempts": [], "first_tries": [], "events": []}
