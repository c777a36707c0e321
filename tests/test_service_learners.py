"""A student's own pages: what to do next, progress without a ranking, transcripts that a stranger checks, data to take along."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from urllib.parse import urlencode

import pytest

from autograder.deadlines import Extension
from autograder.grading.verdict import Status
from autograder.records import Attempt
from autograder.records.extensions import grant
from autograder.service.desk import Desk
from autograder.service.own import Own
from autograder.service.roles import ENTER
from autograder.survey import take
from tests import cohort_world
from tests.cohort_world import NOW
from tests.service_world import Text, World

HOSTILE = """</td></table><script>alert(1)</script><img src=x onerror=alert(2)>"'{{ 7*7 }}\x1b[31m\u202eabc"""
FORM = {"Content_Type": "application/x-www-form-urlencoded"}


def post(world: World, path: str, role: str = "student", **fields: object):
    return world.ask(path, role, "POST", urlencode(fields, doseq=True), **FORM)


def release(desk: Desk, *assignments: str) -> None:
    for a in assignments:
        desk.ledger.record("assignment.released", NOW, "ines", None, {"assignment": a, "files": {}, "gate": "a test"})


def line(desk: Desk, who: str, assignment: str):
    return next(x for x in Own(desk).overview(who).lines if x.id == assignment)


def grade(desk: Desk, who: str, statuses: dict[str, tuple[Status, float]], assignment: str = "t2_sampling") -> Attempt:
    pseudonym = desk.ledger.enrol(who, cohort_world.COHORT, cohort_world.START)
    manifest = desk.catalog.manifest(assignment)
    assert manifest is not None
    attempt = Attempt.of(pseudonym, assignment, f"{len(desk.ledger.attempts()):064x}", NOW - timedelta(minutes=1))
    every = {e.id: (Status.PASS, 1.0) for e in manifest.exercises} | statuses
    desk.ledger.append(attempt, cohort_world.graded(manifest, every, attempt.sha256), NOW)
    return attempt


def test_the_next_step_follows_from_where_an_assignment_stands(desk: Desk) -> None:
    """Not open, to be fetched, late, closed, waiting, to be mended, done: each says what to do."""
    assert line(desk, "yuki", "t2_sampling").next.text == "It opens when the course releases it."
    assert line(desk, "yuki", "f1_tensors").due_note == ""  # nobody is late with what is not open
    release(desk, "t2_sampling", "t1_attention")
    assert line(desk, "yuki", "t2_sampling").next.text == "Fetch it in JupyterLab's Assignment List."
    assert line(desk, "leila", "t1_attention").next.text == "Wait: nothing for you to do."
    assert line(desk, "kofi", "t1_attention").next.text == "Hand in the notebook file itself."

    grade(desk, "yuki", {"t2_sampling.sample": (Status.FAIL, 0.25), "t2_sampling.lm_loss": (Status.FAIL, 0.5)})
    assert line(desk, "yuki", "t2_sampling").next.text == "Mend: Lm loss"
    grade(desk, "yuki", {"t2_sampling.sample": (Status.SKIPPED, 0.0)})
    assert line(desk, "yuki", "t2_sampling").next.text == "Try: Sample"
    grade(desk, "yuki", {"t2_sampling.sample": (Status.INFRA, 0.0)})
    assert line(desk, "yuki", "t2_sampling").next.text == "Wait: we grade the rest again."
    grade(desk, "yuki", {})
    done = line(desk, "yuki", "t2_sampling")
    assert (done.next.text, done.mark.word, done.share, done.n_attempts) == ("Nothing is left to do.", "all passed", 100, "4")


def test_a_late_policy_and_an_extension_show_in_the_line(desk: Desk) -> None:
    """What lateness costs, that it is closed, and that the date is one's own."""
    release(desk, "f1_tensors")
    pseudonym = desk.ledger.enrol("yuki", cohort_world.COHORT, NOW)
    text = (desk.exchange.course.root / "assignments" / "course.toml").read_text()
    course = replace(desk.exchange.course, late=replace(desk.exchange.course.late, percent_per_day=1))
    desk.catalog.use(course)
    late = line(desk, "yuki", "f1_tensors")
    assert late.next.text == "Hand in today: it still keeps 73 % of its points."
    assert late.due_note == "27 days over"
    desk.catalog.use(replace(course, late=replace(course.late, closes_after_days=2)))
    assert line(desk, "yuki", "f1_tensors").next.text == "Ask an instructor for an extension."

    grant(desk.ledger, Extension(pseudonym, "f1_tensors", NOW + timedelta(days=1)), "a cold", NOW, "ines")

    own = line(desk, "yuki", "f1_tensors")
    assert (own.due_note, own.next.in_lab) == ("extended for you", True)
    assert "yuki" not in text


def test_progress_shows_a_band_and_no_judgement(desk: Desk, world: World) -> None:
    """The own band once it has settled: no chance, no rank, no state, no bar, nobody else."""
    page = Own(desk).journey("ada")
    finding = desk.surveys.newest(cohort_world.COHORT).report.of(desk.ledger.student("ada").pseudonym)
    body = world.ask("me/progress", "student").body
    text = Text(body).text

    assert finding is not None
    assert page.band is not None
    assert page.band.estimate is not None
    assert page.band.scale.bar is None
    assert page.band.estimate.interval in text
    assert page.band.estimate.chance not in text
    for word in ("provisional", "watch", "rank", "chance", *cohort_world.NAMES[1:]):
        assert not re.search(rf"\b{word}\b", text), word
    assert 'class="threshold"' not in body
    assert finding.n_items > 0
    assert f"first tries of {finding.n_items} exercises" in text


def test_while_the_first_survey_is_taken_everything_else_is_there(desk: Desk, world: World) -> None:
    """The band asks for itself again; tracks, badges and wishes do not wait for it."""
    done = threading.Event()
    desk.surveys.patience_s, take_it = 0.0, desk.surveys.take
    desk.surveys.take = lambda *args: done.wait(30) and take_it(*args)

    body = world.ask("me/progress", "student").body

    assert "Being computed" in Text(body).text
    assert "foundations" in Text(body).text
    assert 'hx-get="/services/bootcamp/me/progress"' in body
    done.set()


def test_the_band_is_hidden_until_it_settles(desk: Desk) -> None:
    """One hand-in is too little: no band, and the exercises that would tell most come first."""
    grade(desk, "yuki", {"t2_sampling.sample": (Status.FAIL, 0.5)})
    desk.surveys.take = partial(take, desk.ledger)

    page = Own(desk).journey("yuki")

    assert page.band is not None
    assert page.band.estimate is None
    assert any("too early" in text for text in page.band.words)
    assert page.next[0].why == "would tell most about where you stand"
    assert page.next[-1].title == "Sample"


def test_tracks_badges_and_next_exercises_are_ones_own(desk: Desk, world: World) -> None:
    """Stages with what they count, badges with what earned them, and a link to the attempt that holds the hint."""
    text = Text(world.ask("me/progress", "student").body).text
    page = Own(desk).journey("ada")

    assert [t.name for t in page.tracks] == ["foundations", "transformers"]
    assert page.tracks[0].tally in text
    assert {b.mark.word for b in page.badges} >= {"first exercise", "10 exercises"}
    assert [b.at.iso for b in page.badges] == sorted((b.at.iso for b in page.badges), reverse=True)
    for exercise in page.next:
        assert exercise.title in text
        assert f"me/attempt/{exercise.attempt}" in world.ask("me/progress", "student").body


def test_a_wish_is_recorded_with_its_words_beside_the_log(desk: Desk, world: World) -> None:
    """It stands on the page, as an appeal in the log for organizers; the words are no part of the log."""
    answer = post(world, "me/progress/wish", wish="exclusion", assignment="f1_tensors", why=f"I was ill {HOSTILE}")

    assert (answer.status, answer.headers["Location"]) == (303, "/services/bootcamp/me/progress?asked=yes#wishes")
    (event,) = desk.ledger.events(kinds=["progress.appealed"])
    assert event.payload == {"wish": "exclusion", "assignment": "f1_tensors", "reason": None}
    body = world.ask("me/progress?asked=yes", "student").body
    assert "I was ill" in Text(body).text
    assert "<script>alert" not in body
    assert "Recorded." in Text(body).text


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({}, 400, "choose one of"),
        ({"wish": "nonsense"}, 400, "choose one of"),
        ({"wish": "regrade"}, 400, "say which notebook"),
        ({"wish": "regrade", "assignment": "nope"}, 400, "no such assignment"),
        ({"wish": "review", "why": "x" * 1001}, 400, "1001 characters"),
    ],
)
def test_a_bad_wish_is_refused_in_words(desk: Desk, world: World, fields: dict[str, str], status: int, said: str) -> None:
    """The page says what is wrong, and nothing is recorded."""
    answer = post(world, "me/progress/wish", **fields)

    assert answer.status == status
    assert said in Text(answer.body).text
    assert desk.ledger.events(kinds=["progress.appealed"]) == []


def test_wishes_have_an_end(world: World) -> None:
    """Five a day; the sixth is told to talk to somebody."""
    answers = [post(world, "me/progress/wish", wish="review").status for _ in range(6)]

    assert answers == [303] * 5 + [429]


def test_a_transcript_is_signed_shown_and_checked_by_a_stranger(world: World) -> None:
    """Signed with a form; a stranger without an account sees it, its PDF and proof are there; withdrawn, it is gone."""
    made = post(world, "me/transcripts", name="Ada Lovelace", assignment=["f1_tensors", "f2_autograd"])
    assert made.status == 303
    code = made.headers["Location"].rsplit("=", 1)[1]
    assert f"http://127.0.0.1:{world.port}/services/bootcamp/verify/{code}" in world.ask("me/transcripts", "student").body

    seen = world.ask(f"verify/{code}")

    text = Text(seen.body).text
    assert seen.status == 200
    for word in ("Ada Lovelace", "holds", cohort_world.ASSIGNMENTS["f1_tensors"][0]):
        assert word in text
    assert cohort_world.ASSIGNMENTS["f3_training"][0] not in text
    assert not re.search(r"\bada\b", seen.body)
    assert seen.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert json.loads(world.ask(f"verify/{code}/transcript.json").body)["name"] == "Ada Lovelace"
    assert world.ask(f"verify/{code}/key.pem").body.startswith("-----BEGIN PUBLIC KEY-----")
    assert "PRIVATE" not in world.ask(f"verify/{code}/key.pem").body

    assert post(world, f"me/transcripts/{code}/withdraw", "instructor").status == 404
    assert post(world, f"me/transcripts/{code}/withdraw").status == 303

    assert "Withdrawn" in Text(world.ask(f"verify/{code}").body).text
    assert "Ada" not in world.ask(f"verify/{code}").body
    assert world.ask(f"verify/{code}/transcript.json").status == 404


def test_the_paper_is_its_holders(desk: Desk, world: World) -> None:
    """A PDF for the student; somebody else, who has the address, gets the page and not the file."""
    made = Own(desk).issue("ada", "Ada", ["f1_tensors"])
    other = Own(desk).issue("bela", "Bela", ["f1_tensors"])

    raw = Own(desk).paper("ada", made.statement.code, "https://hub.example.org/verify/x")

    assert raw.startswith(b"%PDF-")
    assert world.ask(f"me/transcripts/{other.statement.code}/paper", "student").status == 404


def test_a_withdrawn_key_and_a_hostile_name_show_for_what_they_are(desk: Desk, world: World) -> None:
    """A name is text; when the key that signed leaked, the page says that it cannot be relied on."""
    made = Own(desk).issue("ada", HOSTILE, ["f1_tensors"])
    page = world.ask(f"verify/{made.statement.code}")
    assert "<script>alert" not in page.body
    assert "\x1b" not in page.body
    assert "holds" in Text(page.body).text

    desk.keys.rotate(withdraw=True)

    assert "cannot be relied on" in Text(world.ask(f"verify/{made.statement.code}").body).text


def test_nothing_chosen_is_refused_in_words(world: World) -> None:
    """The form comes back with what is missing; an assignment that was never handed in counts as nothing."""
    for chosen in ([], ["t2_sampling"], ["nope"]):
        answer = post(world, "me/transcripts", name="Ada", assignment=chosen)
        assert answer.status == 400
        assert "choose at least one" in Text(answer.body).text


def test_own_data_come_as_a_file(world: World) -> None:
    """JSON to keep, with the own name and attempts."""
    answer = world.ask("me/data", "student")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="my-bootcamp-data.json"'
    assert json.loads(answer.body)["name"] == "ada"


def test_who_has_nothing_sees_pages_that_say_so(world: World) -> None:
    """A mentor, who never handed in anything, gets a page on every one of these addresses."""
    world.hub.let_in("new", "newcomer", (ENTER,))
    progress = Text(world.ask("me/progress", "new").body).text
    assert "first graded try" in progress
    assert "Next best exercises Hand in a first notebook" in progress
    assert "Nothing to show yet" in Text(world.ask("me/transcripts", "new").body).text
    assert post(world, "me/transcripts", "new", assignment=["f1_tensors"]).status == 404
