"""The exchange's own rules: what may be released, what is taken and when, and what instructors get of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from autograder.course import load
from autograder.deadlines import Extension, LatePolicy
from autograder.records import Ledger
from autograder.records.extensions import grant
from autograder.service import exchange as exchange_room
from autograder.service.counter import Counter
from autograder.service.desk import Desk
from autograder.service.exchange import Exchange, Refused
from autograder.service.own import Own
from tests.exchange_world import Clock
from tests.small_home import ID, answers, handed_in, small_home

DUE = datetime.fromisoformat("2027-01-31T23:59:00+00:00")
POLICY = """
[late]
grace_minutes = 10
percent_per_day = 25
closes_after_days = 2

[[extension]]
student = "eve"
assignment = "s1_sums"
until = 2027-02-05T12:00:00+00:00
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    course, home = small_home(tmp_path)
    with (course.root / "assignments" / "course.toml").open("a") as f:
        f.write(POLICY)
    clock = Clock()
    with Ledger.open(home.ledger_url) as ledger:
        yield Desk.of(load(course.root), ledger, clock, home.path)


@pytest.fixture
def exchange(desk: Desk) -> Exchange:
    desk.exchange.release(ID, None, "ines", waived="a test")
    return desk.exchange


def at(exchange: Exchange, when: datetime) -> None:
    clock = exchange.clock
    assert isinstance(clock, Clock)
    clock.now = when - timedelta(seconds=1)


def notebook(exchange: Exchange, **changed: str) -> dict[str, bytes]:
    return {f"{ID}.ipynb": handed_in(exchange.course, answers(**changed))}


def test_nothing_goes_out_without_the_gate(desk: Desk) -> None:
    """And the refusal is a conflict that says what to type; the event of a release names the run."""
    with pytest.raises(Refused, match=rf"has not passed the gate here\. Run: bootcamp check {ID}") as refused:
        desk.exchange.release(ID, None, "ines")

    assert refused.value.status == 409
    assert desk.exchange.releases() == []
    with pytest.raises(Refused, match=r"is not released\. Released are: none yet"):
        desk.exchange.hand_in("ada", ID, {f"{ID}.ipynb": b"{}"})


def test_other_files_than_those_of_the_build_do_not_go_out(exchange: Exchange) -> None:
    """What formgrader would release must be what the gate has seen; another indent of the notebook is the same notebook."""
    files = exchange.released_files(ID)
    indented = json.dumps(json.loads(files[f"{ID}.ipynb"]), indent=3).encode()

    assert exchange.release(ID, {**files, f"{ID}.ipynb": indented}, "ines", waived="a test").files == exchange.release_of(ID).files
    for changed, match in (
        ({**files, "extra.py": b""}, "extra.py was not built"),
        ({**files, "checks.py": b"x"}, "checks.py differs from the build"),
        ({n: c for n, c in files.items() if n != "checks.py"}, "checks.py is missing"),
        ({**files, f"{ID}.ipynb": b'{"cells": []}'}, "ipynb differs"),
        ({**files, f"{ID}.ipynb": b"{"}, "ipynb differs"),
    ):
        with pytest.raises(Refused, match=match):
            exchange.release(ID, changed, "ines", waived="a test")


def test_a_release_can_be_taken_back_and_what_was_handed_in_stays(exchange: Exchange) -> None:
    """Fetching and handing in end with it; the same files again are one more event, and unchanged ones none."""
    taken = exchange.hand_in("ada", ID, notebook(exchange))
    exchange.withdraw(ID, "ines")

    with pytest.raises(Refused, match="is not released"):
        exchange.released_files(ID)
    assert exchange.attempt_files(taken.attempt.id)
    for _ in range(2):
        exchange.release(ID, None, "ines", waived="a test")
    kinds = [e.kind for e in exchange.ledger.events(kinds=["assignment.released", "assignment.withdrawn"])]
    assert kinds == ["assignment.released", "assignment.withdrawn", "assignment.released"]


def test_another_process_sees_a_release(exchange: Exchange, desk: Desk) -> None:
    """The ledger says what is released, so the command line and the service agree."""
    other = Exchange(exchange.course, exchange.ledger, exchange.blobs, exchange.stamps, exchange.clock)
    assert [r.assignment for r in other.releases()] == [ID]
    exchange.withdraw(ID, "ines")

    assert other.releases() == []


def test_late_work_is_taken_until_it_closes(exchange: Exchange, desk: Desk) -> None:
    """The page says what it costs; an extension moves the whole rule."""
    at(exchange, DUE + timedelta(days=1))
    exchange.hand_in("ada", ID, notebook(exchange))
    page = Own(desk).overview("ada")
    assert page.newest is not None
    assert page.newest.newest is not None
    assert page.newest.newest.late == "Handed in late, on day 1 after the due date; it keeps 75 % of its points."

    at(exchange, DUE + timedelta(days=2, minutes=11))
    with pytest.raises(Refused, match=r"closed on 03 Feb 2027, 00:09 UTC.*Ask an instructor") as refused:
        exchange.hand_in("ada", ID, notebook(exchange, total="def total(v): return 1"))
    assert refused.value.status == 409
    exchange.hand_in("eve", ID, notebook(exchange))
    eve = Own(desk).overview("eve")
    assert eve.newest is not None
    assert eve.newest.due is not None
    assert eve.newest.due.text == "5 Feb 2027, 12:00 UTC"
    assert eve.newest.newest is not None
    assert eve.newest.newest.late == ""


def test_collecting_prefers_what_came_in_time(exchange: Exchange) -> None:
    """`--before-duedate` takes the newest attempt in time, and a late one only where there is no other."""
    at(exchange, DUE - timedelta(days=1))
    early = exchange.hand_in("ada", ID, notebook(exchange)).attempt
    at(exchange, DUE + timedelta(hours=3))
    late = exchange.hand_in("ada", ID, notebook(exchange, total="def total(v): return 1")).attempt
    only = exchange.hand_in("bob", ID, notebook(exchange)).attempt

    assert exchange.newest(ID, "", before_due=True) == [("ada", early), ("bob", only)]
    assert exchange.newest(ID, "", before_due=False) == [("ada", late), ("bob", only)]
    assert exchange.newest("", "bob", before_due=False) == [("bob", only)]


def test_nobody_fills_the_disk(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many different hand-ins an hour are no person's."""
    monkeypatch.setattr(exchange_room, "MAX_PER_HOUR", 4)
    for n in range(4):
        exchange.hand_in("ada", ID, notebook(exchange, total=f"def total(v): return {n}"))

    with pytest.raises(Refused, match="an hour are taken") as refused:
        exchange.hand_in("ada", ID, notebook(exchange))
    assert refused.value.status == 429
    exchange.hand_in("bob", ID, notebook(exchange))


def test_staff_who_try_it_out_are_no_students(exchange: Exchange) -> None:
    """Their hand-ins stand in a cohort of their own, where no tracker compares them with anybody."""
    exchange.hand_in("ines", ID, notebook(exchange), is_staff=True)
    exchange.hand_in("ada", ID, notebook(exchange))

    assert {s.cohort for s in exchange.ledger.students()} == {"staff", "default"}


def test_the_log_holds_no_names(exchange: Exchange) -> None:
    """A hand-in's event names the pseudonym; the Hub's name stands in the one table that can be emptied."""
    exchange.hand_in("ada", ID, notebook(exchange))

    events = exchange.ledger.events(kinds=["attempt.received", "student.enrolled"])
    assert len(events) == 2
    assert not any("ada" in (e.actor, e.subject) or "ada" in json.dumps(dict(e.payload)) for e in events)


def test_an_edit_of_course_toml_holds_at_once(desk: Desk) -> None:
    """An extension is granted minutes before the deadline; a slip in the file changes nothing and is shown."""
    path = desk.exchange.course.root / "assignments" / "course.toml"
    text = path.read_text()
    path.write_text(text.replace("percent_per_day = 25", "percent_per_day = 50"))
    desk.reload()
    assert desk.exchange.course.late == LatePolicy(10, 50, 2)
    assert desk.catalog.lateness(ID, DUE + timedelta(hours=1)).share == 0.5

    path.write_text(text.replace("percent_per_day", "percent_a_day"))
    desk.reload()
    assert desk.exchange.course.late == LatePolicy(10, 50, 2)
    assert 'unknown key "late.percent_a_day"' in desk.grading().problem
    path.write_text(text)
    desk.reload()
    assert desk.grading().problem == ""


def test_an_extension_that_is_granted_opens_what_is_closed(desk: Desk, exchange: Exchange) -> None:
    """An event is enough: the exchange takes the work, the counter names the date, the page counts from it."""
    pseudonym = exchange.ledger.enrol("ada", "default", DUE)
    at(exchange, DUE + timedelta(days=5))
    with pytest.raises(Refused, match="closed"):
        exchange.hand_in("ada", ID, notebook(exchange))

    until = DUE + timedelta(days=9)
    grant(exchange.ledger, Extension(pseudonym, ID, until), "a cold", DUE + timedelta(days=5), "ines")

    assert exchange.hand_in("ada", ID, notebook(exchange)).is_new
    assert desk.catalog.lateness(ID, DUE, "ada", pseudonym).due == until
    assert [r["due"] for r in Counter(exchange, None, "/").releases("ada")] == [until.isoformat()]  # type: ignore[arg-type]
    with pytest.raises(Refused, match="closed"):
        exchange.hand_in("bob", ID, notebook(exchange))
