"""What a student sees between handing in and the result, and what an instructor sees of it: over HTTP, on a real queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.grading.verdict import Graded, Status
from autograder.pages import wording
from autograder.pages.standing import Queued
from autograder.records import AttemptResult
from autograder.records.queue import Policy
from autograder.records.regrading import Decision, Replayed, commit, undo
from autograder.records.subjects import erase
from autograder.service import disputes
from autograder.service.exchange import Refused
from tests.exchange_world import START, Room, room_in
from tests.service_world import NAMES, Text
from tests.small_home import ID, OUR_FAULT, SmallDoor, answers, handed_in

WRONG = "def low(values): return 0\n\ndef high(values): return 0\n"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with room_in(tmp_path) as opened:
        opened.let_out()
        yield opened


def hand_in(room: Room, name: str, **changed: str) -> str:
    """Hand in as that person, past nbgrader; return the attempt."""
    return room.desk.exchange.hand_in(name, ID, {f"{ID}.ipynb": handed_in(room.course, answers(**changed))}).attempt.id


def words(room: Room, name: str) -> list[str]:
    return [a["words"] for a in room.world.settings["counter"].attempts(name, ID)]


def newest(room: Room, name: str) -> AttemptResult:
    student = room.ledger.student(name)
    assert student is not None
    return room.ledger.results(student.pseudonym)[0].latest


def test_the_place_in_line_the_grader_at_work_and_the_result(room: Room) -> None:
    """One student's words, from the second place in line to points."""
    hand_in(room, "bob")
    hand_in(room, NAMES["student"], low=WRONG)
    assert words(room, "ada") == ["waiting, 2nd in line"]

    lease = room.ledger.queue.claim("w")
    assert lease is not None
    assert (words(room, "bob"), words(room, "ada")) == (["being graded"], ["waiting, 1st in line"])
    room.ledger.give_back(lease)
    room.grade()

    assert words(room, "bob") == ["all passed, 10.5 of 10.5 points"]
    assert words(room, "ada") == ["graded, 9 of 10.5 points"]


def test_a_page_that_waits_asks_again_and_loads_anew_when_there_is_something(room: Room) -> None:
    """The page holds the piece that asks; the piece answers with itself, and at the end with "load anew"."""
    attempt = hand_in(room, NAMES["student"])
    (live,) = [a for a in Text(room.world.ask("me", "student").body).having("div") if "hx-get" in a]
    waiting = room.world.ask(f"me/attempt/{attempt}/state", "student")
    room.grade()
    done = room.world.ask(f"me/attempt/{attempt}/state", "student")

    assert live["hx-get"] == f"/services/bootcamp/me/attempt/{attempt}/state"
    assert live["hx-trigger"] == "every 1s"
    assert "waiting, 1st in line" in waiting.body
    assert "<html" not in waiting.body
    assert (waiting.headers["HX-Refresh"], done.headers["HX-Refresh"]) == (None, "true")
    assert not [a for a in Text(room.world.ask("me", "student").body).having("div") if "hx-get" in a]


def test_who_is_signed_out_meanwhile_gets_no_sign_in_form_into_the_page(room: Room) -> None:
    """htmx would put it where the state stood; it is refused instead, and the page stays as it is."""
    attempt = hand_in(room, NAMES["student"])

    assert room.world.ask(f"me/attempt/{attempt}/state", None, HX_Request="true").status == 403


def test_our_fault_is_said_and_tried_again_and_then_waits_for_an_instructor(room: Room) -> None:
    """No zero at any time: delayed, then partly unscored; given up, it stands on the Grading page until it is tried again."""
    room.ledger.queue.policy = Policy(max_tries=2, first_pause_s=0.0)
    attempt = hand_in(room, NAMES["student"])
    fail(room, "the box did not start")
    assert words(room, "ada") == ["delayed: our fault"]

    fail(room, "the box broke")
    page = Text(room.world.ask("grading", "instructor").body).text
    assert room.ledger.queue.stats().n_dead == 1
    assert attempt in page
    assert "the box broke" in page
    assert words(room, "ada") == ["delayed: our fault"]
    assert "broke" not in room.world.ask("me", "student").body

    assert room.desk.retry(attempt, "ines")
    assert not room.desk.retry(attempt, "ines")
    assert [e.actor for e in room.ledger.events(kinds=["attempt.retried"])] == ["ines"]
    assert room.grade() == 1
    assert words(room, "ada") == ["all passed, 10.5 of 10.5 points"]


def test_an_unscored_exercise_is_said_and_is_no_zero(room: Room) -> None:
    """Graded but for what was our fault."""
    hand_in(room, NAMES["student"], low=OUR_FAULT + "\n" + WRONG)
    lease = room.ledger.queue.claim("w")
    assert lease is not None
    raw = handed_in(room.course, answers(low=OUR_FAULT + "\n" + WRONG))
    graded = SmallDoor(room.home).grade(raw, ID, "ada", START)
    room.ledger.settle(lease, graded, room.clock())

    assert words(room, "ada") == ["partly unscored: our fault, 9 of 10.5 points"]


def fail(room: Room, reason: str) -> None:
    """Be a grader that breaks."""
    lease = room.ledger.queue.claim("w")
    assert lease is not None
    room.ledger.fail(lease, reason)


def test_a_regrade_that_changed_points_is_said_with_its_reason(room: Room) -> None:
    """In the list, on the page and in the version of the feedback, so that it is fetched again; taken back, it is quiet."""
    attempt = hand_in(room, NAMES["student"], low=WRONG)
    room.grade()
    before = newest(room, "ada")
    verdicts = tuple(replace(v, status=Status.PASS, points=v.max_points) for v in before.verdicts)
    better = Graded(ID, before.attempt.sha256, verdicts, "mended", "B")
    decision = Decision(ID, "true", "The check was wrong.", "ines")
    done = commit(room.ledger, decision, [Replayed(before.attempt, better)], room.clock())

    after = newest(room, "ada")
    states = Queued.of(room.ledger, [after])
    assert states.words(after) == "all passed, 10.5 of 10.5 points, changed by a regrade"
    assert states.version(after) != Queued.of(room.ledger, [before]).version(before)
    page = room.world.ask(f"me/attempt/{attempt}", "student").body
    assert "from 9 to 10.5 points. The check was wrong." in page

    undo(room.ledger, done.event, "It was right.", room.clock(), "ines")
    assert words(room, "ada") == ["graded, 9 of 10.5 points"]


def test_a_report_is_kept_once_and_its_words_go_with_the_student(room: Room) -> None:
    """One per result; the words are no part of the log; what is erased leaves the report."""
    attempt = hand_in(room, "ada", low=WRONG)
    room.grade()
    for why in ("<b>look</b>", "again"):
        room.desk.dispute("ada", attempt, f"{ID}.low", why)
    (event,) = room.ledger.events(kinds=[disputes.KIND])
    (one,), n = disputes.filed(room.ledger, 10)

    assert (one.why, one.exercise, n[f"{ID}.low"]) == ("<b>look</b>", f"{ID}.low", 1)
    assert "look" not in str(dict(event.payload))
    assert "&lt;b&gt;look" in room.world.ask("grading", "instructor").body
    erase(room.ledger, room.desk.exchange.blobs, "ada", room.clock(), "ines")
    assert [d.why for d in disputes.filed(room.ledger, 10)[0]] == [""]


@pytest.mark.parametrize(
    ("name", "exercise", "why", "match"),
    [
        ("bob", f"{ID}.low", "", "no such result of yours"),
        ("ada", f"{ID}.lowest", "", "no such result of yours"),
        ("ada", f"{ID}.low", "x" * (disputes.MAX_CHARS + 1), "at most 1000"),
    ],
)
def test_a_report_is_about_an_own_result_and_not_endless(room: Room, name: str, exercise: str, why: str, match: str) -> None:
    """Somebody else's attempt, an exercise that there is not, a text without end."""
    attempt = hand_in(room, "ada", low=WRONG)
    room.grade()

    with pytest.raises(Refused, match=match):
        room.desk.dispute(name, attempt, exercise, why)
    assert room.ledger.events(kinds=[disputes.KIND]) == []


def test_only_a_result_that_is_less_than_everything_can_be_reported(room: Room) -> None:
    """By the form, which stands on the student's own page only and carries the page's own token."""
    attempt = hand_in(room, NAMES["student"], low=WRONG)
    room.grade()
    from tornado import web

    cookie = web.create_signed_value(room.world.cookie_secret, "service-bootcamp", "student").decode()
    page = Text(room.world.ask(f"me/attempt/{attempt}", Cookie=f"service-bootcamp={cookie}", Sec_Fetch_Mode="navigate").body)

    assert [a["value"] for a in page.having("input") if a["name"] == "exercise"] == [f"{ID}.low"]
    assert all(a["value"] for a in page.having("input") if a["name"] == "_xsrf")


def test_times_are_of_what_was_attempted(room: Room) -> None:
    """A stub costs nothing, and would hide what an answer costs."""
    hand_in(room, "ada")
    hand_in(room, "bob", low=WRONG)
    room.desk.exchange.hand_in("cleo", ID, {f"{ID}.ipynb": handed_in(room.course, {})})
    room.grade()

    found = {t.exercise: t.n for t in room.ledger.exercise_times()}
    assert found == {f"{ID}.{e}": 2 for e in ("total", "running_mean", "low", "countdown")}


@pytest.mark.parametrize(
    ("n", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")]
)
def test_places_are_said_as_people_say_them(n: int, text: str) -> None:
    """1st to 113th."""
    assert wording.ordinal(n) == text


@pytest.mark.parametrize(("n", "text"), [(0, "0"), (9999, "9999"), (10_000, "10,000"), (2_040_000, "2,040,000")])
def test_long_counts_are_read_in_groups(n: int, text: str) -> None:
    """Six digits in a row are not read."""
    assert wording.whole(n) == text
    assert wording.counted(n, "hand-in") == f"{text} hand-ins"
