"""A student's pages: own results only, our fault is never a zero, and nothing that a student wrote becomes markup."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from autograder.grading.verdict import CheckResult, Graded, Status, Verdict
from autograder.pages import student, wording
from autograder.pages.models import AssignmentCard
from autograder.pages.standing import Queued
from autograder.records import Attempt, Ledger
from autograder.service.desk import Desk
from tests import cohort_world
from tests.cohort_world import NOW, START
from tests.service_world import Text, World, serving

STATUSES = {
    "t1_attention.causal_mask": (Status.PASS, 1.0),
    "t1_attention.attention": (Status.FAIL, 0.5),
    "t1_attention.multi_head_attention": (Status.INFRA, 0.0),
    "t1_attention.positions": (Status.SKIPPED, 0.0),
    "t1_attention.rope": (Status.TIMEOUT, 0.0),
    "t1_attention.block": (Status.CRASHED, 0.0),
    "t1_attention.mlp": (Status.ERROR, 0.0),
    "t1_attention.gpt": (Status.TAMPERED, 0.0),
    "t1_attention.param_count": (Status.FAIL, 0.0),
    "t1_attention.previous_token_head": (Status.PASS, 1.0),
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as opened:
        yield opened


@pytest.fixture
def desk(tmp_path: Path, ledger: Ledger) -> Desk:
    return Desk.of(cohort_world.write_course(tmp_path / "course"), ledger, lambda: NOW, tmp_path)


def hand_in(desk: Desk, name: str, hours: float = 1, statuses: dict = STATUSES, **changed: object) -> Attempt:
    """Enrol, receive and grade one attempt at T1."""
    pseudonym = desk.ledger.enrol(name, cohort_world.COHORT, START)
    manifest = desk.catalog.manifest("t1_attention")
    assert manifest is not None
    at = START + timedelta(hours=hours)
    attempt = Attempt.of(pseudonym, manifest.assignment, f"{int(hours):064x}", at)
    graded = replace(cohort_world.graded(manifest, statuses, attempt.sha256), **changed)
    desk.ledger.append(attempt, graded, at + timedelta(minutes=1))
    return attempt


def card(desk: Desk, name: str, assignment: str = "t1_attention") -> AssignmentCard:
    newest, others = cards(desk, name)
    return next(c for c in (newest, *others) if c and c.id == assignment)


def cards(desk: Desk, name: str) -> tuple[AssignmentCard | None, tuple[AssignmentCard, ...]]:
    """Return what was handed in last, and all other assignments."""
    who = desk.ledger.student(name)
    results = desk.ledger.results(who.pseudonym) if who else []
    states = Queued.of(desk.ledger, [a for r in results for a in r.attempts])
    return student.cards(desk.catalog, results, states, [name, *([who.pseudonym] if who else [])], NOW)


def test_every_status_is_said_in_words_with_its_points(desk: Desk) -> None:
    """Each exercise shows its own word; part of the points reads "partly", and our fault has a dash for points."""
    hand_in(desk, "ada")

    newest = card(desk, "ada").newest

    assert newest is not None
    assert [(r.id, r.mark.word, r.points) for r in newest.rows] == [
        ("causal_mask", "passed", "4"),
        ("attention", "partly", "3"),
        ("multi_head_attention", "our fault", "–"),
        ("positions", "not attempted", "0"),
        ("rope", "took too long", "0"),
        ("block", "ended the program", "0"),
        ("mlp", "raised an error", "0"),
        ("gpt", "set aside", "0"),
        ("param_count", "not yet", "0"),
        ("previous_token_head", "passed", "6"),
    ]
    assert newest.rows[1].hint == cohort_world.HINTS["attention"]
    assert newest.rows[3].hint == ""
    assert [r.tries for r in newest.rows[:4]] == ["1", "1", "0", "0"]


def test_every_status_has_a_word() -> None:
    """No verdict can reach a page without a word for it."""
    assert set(wording.VERDICTS) == set(Status)


def test_our_fault_is_said_aloud_and_its_reason_kept_from_the_student(desk: Desk) -> None:
    """An unscored exercise is announced above the results; why our side broke is not the student's business."""
    hand_in(desk, "ada")

    newest = card(desk, "ada").newest

    assert newest is not None
    assert newest.mark is wording.UNSCORED
    assert newest.unscored.startswith("1 exercise worth 8 points could not be graded, by our fault")
    assert newest.rows[2].notes == ()


@pytest.mark.parametrize(
    ("arrange", "word"),
    [
        (lambda desk: None, "not handed in"),
        (
            lambda desk: desk.ledger.receive(Attempt.of(desk.ledger.enrol("ada", "2026", START), "t1_attention", "0" * 64, START)),
            "waiting to be graded",
        ),
        (lambda desk: hand_in(desk, "ada", verdicts=(), error="line 3: not JSON"), "could not be read"),
        (lambda desk: hand_in(desk, "ada"), "partly unscored: our fault"),
        (lambda desk: hand_in(desk, "ada", statuses={**STATUSES, "t1_attention.multi_head_attention": (Status.FAIL, 0)}), "graded"),
        (lambda desk: hand_in(desk, "ada", statuses=dict.fromkeys(STATUSES, (Status.PASS, 1.0))), "all passed"),
    ],
    ids=["nothing", "received", "unreadable", "our fault", "graded", "passed"],
)
def test_an_assignment_says_where_it_stands(desk: Desk, arrange, word: str) -> None:
    """From nothing handed in to everything passed, the card has one word for it, and the page can show it."""
    desk.ledger.record("assignment.released", NOW, "ines", None, {"assignment": "t1_attention", "files": {}, "gate": "a test"})
    arrange(desk)

    assert card(desk, "ada").mark.word == word
    with serving(desk) as world:
        assert word in Text(world.ask("me", "student").body).text


def test_the_newest_attempt_stands_and_earlier_ones_are_listed(desk: Desk) -> None:
    """Attempts are numbered by arrival; the newest is shown in full, those before it newest first."""
    ids = [hand_in(desk, "ada", hours).id for hours in (5, 3, 4)]

    shown = card(desk, "ada")

    assert shown.newest is not None
    assert (shown.newest.id, shown.newest.number) == (ids[0], 3)
    assert [(a.id, a.number) for a in shown.earlier] == [(ids[2], 2), (ids[1], 1)]
    assert shown.newest.rows[0].tries == "3"


def test_what_arrived_last_comes_first(desk: Desk) -> None:
    """The newest hand-in stands alone in front, every other assignment once behind it in teaching order."""
    nothing, before = cards(desk, "ada")
    hand_in(desk, "ada")
    newest, after = cards(desk, "ada")

    assert nothing is None
    assert [c.id for c in before] == list(cohort_world.ASSIGNMENTS)
    assert newest is not None
    assert newest.id == "t1_attention"
    assert [c.id for c in after] == [a for a in cohort_world.ASSIGNMENTS if a != "t1_attention"]


def test_an_assignment_that_left_the_course_keeps_its_results(desk: Desk) -> None:
    """Results do not vanish with the release: the ids stand where titles stood."""
    pseudonym = desk.ledger.enrol("ada", cohort_world.COHORT, START)
    attempt = Attempt.of(pseudonym, "x9_gone", "1" * 64, START)
    desk.ledger.append(attempt, Graded("x9_gone", "1" * 64, (Verdict("X9.old", Status.PASS, 2, 2),), "b", "B"), START)

    gone, _ = cards(desk, "ada")

    assert gone is not None
    assert (gone.title, gone.place) == ("x9_gone", "No longer in the course")
    assert gone.newest is not None
    assert gone.newest.rows[0].title == "X9.old"


def test_an_unbuilt_release_hides_no_results(desk: Desk) -> None:
    """Without a manifest an assignment is still listed, its points unknown, and the page answers."""
    (desk.catalog.assignments[0].release / "assignment.json").write_text("{")

    assert card(desk, "ada", "f1_tensors").max_points == wording.NOTHING


def test_a_rebuilt_release_is_read_again(desk: Desk) -> None:
    """Titles follow the release without a restart."""
    before = desk.catalog.exercises("f1_tensors")
    path = desk.catalog.assignments[0].release / "assignment.json"
    path.write_text(path.read_text().replace('"Bilinear"', '"Bilinear forms"'))

    assert before["f1_tensors.bilinear"].title == "Bilinear"
    assert desk.catalog.exercises("f1_tensors")["f1_tensors.bilinear"].title == "Bilinear forms"


@pytest.fixture
def world(desk: Desk) -> Iterator[World]:
    with serving(desk) as running:
        yield running


def test_nobody_reads_an_attempt_of_somebody_else(desk: Desk, world: World) -> None:
    """Another student's attempt and an attempt that does not exist answer alike; the own one is shown."""
    own, other = hand_in(desk, "ada", 1), hand_in(desk, "bela", 2)

    answers = {attempt_id: world.ask(f"me/attempt/{attempt_id}", "student") for attempt_id in (own.id, other.id, "f" * 32)}

    assert [answers[i].status for i in answers] == [200, 404, 404]
    assert answers[other.id].body == answers["f" * 32].body
    assert own.id in answers[own.id].body


HOSTILE = """</td></table><script>alert(1)</script><img src=x onerror=alert(2)>"'{{ 7*7 }}\x1b[31m\u202eabc"""


def test_what_a_student_wrote_never_becomes_markup(desk: Desk, world: World) -> None:
    """Hints, notes and errors reach the page as text: no element, no template, no terminal code, no reversed letters."""
    world.hub.let_in("mallory", HOSTILE, ("access:services!service=bootcamp",))
    checks = (CheckResult("c", Status.FAIL, 1.0, hint=HOSTILE + "2"), CheckResult("d", Status.FAIL, 1.0, hint=HOSTILE + "3"))
    verdicts = (
        Verdict("t1_attention.causal_mask", Status.FAIL, 0.0, 4.0, checks, HOSTILE, (HOSTILE,)),
        Verdict(HOSTILE, Status.FAIL, 0.0, 4.0),
    )
    hand_in(desk, HOSTILE, verdicts=verdicts, notes=(HOSTILE,))
    last = hand_in(desk, HOSTILE, 2, verdicts=(), error=HOSTILE)

    pages = [world.ask(path, "mallory") for path in ("me", f"me/attempt/{last.id}", f"me/attempt/{hand_in(desk, HOSTILE, 1).id}")]

    for page in pages:
        read = Text(page.body)
        assert page.status == 200
        scripts = [f"/services/bootcamp/static/{name}.js" for name in ("page", "htmx", "figure")]
        assert [a["src"] for a in read.having("script")] == scripts
        assert read.having("img") == []
        assert not any(name.startswith("on") for _, attributes in read.elements for name in attributes)
        assert "<script>alert(1)</script>" in read.text
        assert "{{ 7*7 }}" in read.text
        assert "\x1b" not in page.body
        assert "\u202e" not in page.body


def test_an_empty_course_has_a_page_that_says_so(tmp_path: Path, ledger: Ledger) -> None:
    """Nothing released yet is a sentence, not a blank."""
    (tmp_path / "assignments").mkdir()
    (tmp_path / "assignments" / "course.toml").write_text('title = "New"\n')
    from autograder.course import load

    with serving(Desk.of(load(tmp_path), ledger, lambda: NOW, tmp_path)) as world:
        assert "No assignments yet" in world.ask("me", "student").body
