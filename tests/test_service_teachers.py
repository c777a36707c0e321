"""Instructors' pages: numbers as a person would count them, looking is recorded, an extension is granted and taken back."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from autograder.grading.verdict import Status
from autograder.pages import wording
from autograder.pages.teachers import health, items
from autograder.pages.teachers.regrades import N_SHOWN as N_CHANGES
from autograder.pages.teachers.roster import N_SHOWN
from autograder.records import REGRADE, Attempt, Ledger
from autograder.records.extensions import Extensions
from autograder.records.regrading import ORDERED, Change, Decision, Regrade, Replayed, commit, preview
from autograder.regrades import previews
from autograder.regrades.orders import Orders
from autograder.regrades.replays import Replays
from autograder.service.classroom import VIEWED_MANY, Classroom
from autograder.service.desk import Desk
from autograder.service.own import Own
from autograder.survey import Survey
from autograder.survey.items import Group, ItemFit
from tests import cohort_world
from tests.cohort_world import COHORT, NOW, START
from tests.service_world import Answer, Text, World, serving

FORM = {"Content_Type": "application/x-www-form-urlencoded"}
HOSTILE = "</td><script>alert(1)</script>{{ 7*7 }}\x1b[31m\u202eabc"


def post(world: World, path: str, **fields: str) -> Answer:
    return world.ask(path, "instructor", "POST", urlencode(fields), **FORM)


def text(world: World, path: str) -> str:
    answer = world.ask(path, "instructor")
    assert answer.status == 200
    return Text(answer.body).text


def test_health_says_what_to_look_at_first(desk: Desk, world: World) -> None:
    """Our fault outweighs the rest; the numbers are the survey's, the queue's those of now."""
    page = Classroom(desk).health("")
    assert page is not None
    marks = {x.id: x.mark for x in page.lines}
    assert marks["f1_tensors"] is health.FINE
    assert marks["t1_attention"] is health.OURS
    assert marks["t2_sampling"] is health.QUIET

    shown = text(world, "teaching/assignment/t1_attention")
    assert "n = 38 hand-ins" in shown
    assert "4 of 203 (2.0 %)" in shown
    assert world.ask("teaching/assignment/nope", "instructor").status == 404
    assert world.ask("teaching?cohort=nope", "instructor").status == 404


@pytest.mark.parametrize(
    ("fit", "mark"),
    [
        (None, items.UNKNOWN),
        (ItemFit("e", 19, 0.0, 1.0, (), 9.0, "b", "w"), items.UNKNOWN),
        (ItemFit("e", 20, 0.0, 1.0, (), 4.1, "b", "w"), items.DRIFTS),
        (ItemFit("e", 20, 0.0, 0.4, (), 0.0, "b", "w"), items.BLUNT),
        (ItemFit("e", 20, 0.0, 1.0, (Group(0, 5, 0.5, 0.2, 0.8, 0.5),), 0.0, "b", "w"), items.SOUND),
    ],
)
def test_an_exercise_is_called_what_its_numbers_say(fit: ItemFit | None, mark: object) -> None:
    """Too few first tries outweigh everything, then drift, then a flat curve."""
    assert items._mark(fit, 4.0) is mark


def test_an_exercise_shows_its_curve_its_tries_and_its_failures(survey: Survey, world: World) -> None:
    """Every number that is drawn stands in a table, the failed check by name, and the mutant by what it was told."""
    shown = text(world, "teaching/exercises/t1_attention/rope")
    fit = next(f for f in survey.fits if f.exercise == "t1_attention.rope")

    assert f"n = {fit.n} first tries" in shown
    for g in fit.groups:
        assert f"{g.score:.2f} {g.low:.2f} to {g.high:.2f} {g.expected:.2f}" in shown
    assert "matches_definition" in shown
    assert f"What the answer was told Failed answers {cohort_world.SLIPS['rope']} 3 of 7 (42.9 %)" in shown
    assert world.ask("teaching/exercises/t1_attention/nope", "instructor").status == 404
    assert text(world, "teaching/exercises").count("t1_attention") == 10


def test_given_up_is_red_only_where_something_is(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """On both pages that count it; other counts come in groups of digits."""

    def tone(path: str) -> list[str]:
        return re.findall(r'class="mark ([a-z]+)"[^>]*><svg[^>]*><use[^>]*/></svg>given up<', world.ask(path, "instructor").body)

    assert tone("grading") == tone("teaching") == ["mute"]
    stats = replace(desk.ledger.queue.stats(), n_dead=1, n_done=12_345)
    monkeypatch.setattr(type(desk.ledger.queue), "stats", lambda _: stats)
    assert tone("grading") == tone("teaching") == ["bad"]
    assert "12,345 done" in text(world, "grading")


def test_who_needs_help_is_shown_with_what_to_do_and_recorded(desk: Desk, world: World, term: cohort_world.World) -> None:
    """Name, check, hint and action; who is due and missing; one event names everybody whose work was shown."""
    shown = text(world, "teaching/stuck")

    assert "mateo" in shown
    assert "matches_definition" in shown
    assert "Let them reproduce the hint" in shown
    assert "Attention and a GPT block from scratch: 3 students without a hand-in" in shown
    (event,) = desk.ledger.events(kinds=[VIEWED_MANY])
    assert (event.actor, event.payload["page"]) == ("ines", "stuck")
    assert term.pseudonyms["mateo"] in event.payload["people"]
    assert term.pseudonyms["yuki"] in event.payload["people"]
    assert term.pseudonyms["ada"] not in event.payload["people"]


def test_who_asks_for_a_person_is_answered(world: World, desk: Desk, term: cohort_world.World) -> None:
    """The wish with its words waits on the page until somebody answers; the student reads the answer; no word is in the log."""
    Own(desk).ask("priya", "review", "", f"Please read my block {HOSTILE}")
    body = world.ask("teaching/stuck", "instructor").body
    assert "Please read my block" in Text(body).text
    assert "<script>alert" not in body
    world.hub.let_in("priya", "priya", ("access:services!service=bootcamp",))
    assert "not answered yet" in Text(world.ask("me/progress", "priya").body).text
    (wish,) = desk.ledger.events(kinds=["progress.appealed"])
    path = f"teaching/wishes/{wish.id}/answer"
    assert post(world, path, words=" ").status == 400
    assert post(world, "teaching/wishes/999999/answer", words="Yes").status == 404

    assert post(world, path, words="I read it: the norm stands on the wrong side.").status == 303

    assert "Asked for a person" not in text(world, "teaching/stuck")
    assert "the norm stands on the wrong side" in Text(world.ask("me/progress", "priya").body).text
    (heard,) = desk.ledger.events(kinds=["progress.heard"])
    assert (heard.actor, heard.subject, heard.payload) == ("ines", term.pseudonyms["priya"], {"appeal": wish.id})
    assert post(world, path, words="Once more").status == 409


def test_where_many_are_stuck_the_exercise_comes_first(desk: Desk, survey: Survey) -> None:
    """A quarter that never passes is the exercise's turn, not the students'."""
    page = Classroom(desk).stuck("", "ines")
    assert page is not None
    actions = {(x.name, x.path): x.action for x in page.lines}
    share = {e.exercise: (e.n_tried - e.n_passed) / e.n_tried for e in survey.exercises if e.n_tried}

    for (_, path), action in actions.items():
        others = sum(p == path for _, p in actions) - 1
        assert action.startswith("Look at the exercise") == (share[path.replace("/", ".", 1)] >= 0.25 and others > 0)


def test_the_roster_finds_by_name(world: World, desk: Desk) -> None:
    """Parts of a cohort by name; what is typed is text; a part beyond the end is empty, a part that is none refused."""
    assert "1 to 24 of 24" in text(world, "teaching/roster")
    assert "1 to 1 of 1" in text(world, "teaching/roster?" + urlencode({"q": "PRIY"}))
    assert "priya 5 Oct 2026, 09:00 UTC – 5 of 6 –" in text(world, "teaching/roster?q=priya")
    assert "yuki 5 Oct 2026, 09:00 UTC – 0 of 6 –" in text(world, "teaching/roster?q=yuki")
    body = world.ask("teaching/roster?" + urlencode({"q": HOSTILE}), "instructor").body
    assert "<script>alert" not in body
    assert "Nobody's name holds" in Text(body).text
    assert world.ask("teaching/roster?part=0", "instructor").status == 400
    assert text(world, "teaching/roster?part=9")
    for n in range(N_SHOWN):
        desk.ledger.enrol(f"zz{n:03d}", COHORT, NOW)
    assert f"{N_SHOWN + 1} to 74 of 74" in text(world, "teaching/roster?part=2")


def test_an_extension_is_granted_seen_and_taken_back(world: World, desk: Desk, term: cohort_world.World) -> None:
    """The student's page has the new date at once; the reason is nowhere in the log; taking it back needs a reason, too."""
    yuki, until = term.pseudonyms["yuki"], NOW + timedelta(days=5)
    path = f"teaching/roster/{yuki}"

    granted = post(world, f"{path}/extend", assignment="f1_tensors", until=f"{until:%Y-%m-%dT%H:%M}", reason="chemotherapy")

    assert (granted.status, granted.headers["Location"]) == (303, f"/services/bootcamp/{path}?done=yes")
    (extension,) = Extensions(desk.ledger).of(yuki)
    assert (extension.assignment, extension.until) == ("f1_tensors", until)
    world.hub.let_in("yuki", "yuki", ("access:services!service=bootcamp",))
    assert "extended for you" in Text(world.ask("me", "yuki").body).text
    assert "13 Nov 2026, 09:00 UTC" in text(world, path)
    events = desk.ledger.events(desk.ledger.last_event() - 5)
    assert "chemotherapy" not in str(events)
    assert [(e.kind, e.actor) for e in events if e.kind.startswith("extension")] == [("extension.granted", "ines")]

    assert post(world, f"{path}/take-back", assignment="f1_tensors", reason="").status == 400
    assert post(world, f"{path}/take-back", assignment="f1_tensors", reason="by mistake").status == 303
    assert Extensions(desk.ledger).of(yuki) == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"assignment": "nope", "until": "2026-12-01T10:00", "reason": "ill"}, "choose an assignment"),
        ({"assignment": "f1_tensors", "until": "soon", "reason": "ill"}, "say until when"),
        ({"assignment": "f1_tensors", "until": "2026-10-01T10:00", "reason": "ill"}, "is due on 12 Oct 2026"),
        ({"assignment": "f1_tensors", "until": "2026-11-01T10:00", "reason": "ill"}, "has passed already"),
        ({"assignment": "f1_tensors", "until": "2026-12-01T10:00", "reason": ""}, "needs a reason"),
    ],
)
def test_a_bad_extension_is_refused_in_words(
    world: World, desk: Desk, term: cohort_world.World, fields: dict[str, str], said: str
) -> None:
    """The page says what is wrong and how to say it; nothing is recorded."""
    answer = post(world, f"teaching/roster/{term.pseudonyms['yuki']}/extend", **fields)

    assert answer.status == 400
    assert said in Text(answer.body).text
    assert Extensions(desk.ledger).all() == ()


def test_an_instructor_opens_the_attempt_that_is_asked_about(world: World, desk: Desk, term: cohort_world.World) -> None:
    """From the student's dates, with what the student was told; looking is recorded; nobody is shown another's as theirs."""
    who, other = term.pseudonyms["priya"], term.pseudonyms["bela"]
    attempt = desk.ledger.results(who)[-1].latest.attempt.id
    address = f"teaching/roster/{who}/attempt/{attempt}"
    assert address in world.ask(f"teaching/roster/{who}", "instructor").body

    shown = text(world, address)

    assert "handed in by priya" in shown
    assert attempt in shown
    event = desk.ledger.events(kinds=["person.viewed"])[-1]
    assert (event.actor, event.subject, event.payload) == ("ines", who, {"page": "attempt", "attempt": attempt})
    assert world.ask(f"teaching/roster/{other}/attempt/{attempt}", "instructor").status == 404
    assert world.ask(f"teaching/roster/nobody/attempt/{attempt}", "instructor").status == 404


def test_looking_at_a_students_dates_is_recorded(world: World, desk: Desk, term: cohort_world.World) -> None:
    """Who looked, at whom; a student who does not exist is no page."""
    text(world, f"teaching/roster/{term.pseudonyms['priya']}")

    (event,) = desk.ledger.events(kinds=["person.viewed"])
    assert (event.actor, event.subject, event.payload) == ("ines", term.pseudonyms["priya"], {"page": "roster"})
    assert world.ask("teaching/roster/nobody", "instructor").status == 404
    assert (
        post(world, "teaching/roster/nobody/extend", assignment="f1_tensors", until="2026-12-01T10:00", reason="x y z").status
        == 404
    )


def test_a_regrade_is_shown_before_and_after(world: World, desk: Desk, term: cohort_world.World, ledger: Ledger) -> None:
    """The preview that was kept, exercise by exercise and student by student; hand-ins since make it stale; then it is made."""
    assert "No preview" in text(world, "teaching/regrades")
    manifest = term.course.assignment("f1_tensors").manifest()
    attempt = ledger.latest(term.pseudonyms["priya"], "f1_tensors")
    assert attempt is not None
    before = {v.exercise: v for v in ledger.results(attempt.pseudonym, "f1_tensors")[0].latest.verdicts}
    whole = cohort_world.graded(manifest, {e.id: (Status.PASS, 1.0) for e in manifest.exercises}, attempt.sha256, "new")
    found = preview(ledger, Decision("f1_tensors", "true"), [Replayed(attempt, whole)], NOW)
    flips = [previews.Flip(attempt.pseudonym, "none", "watch")]
    event = ledger.last_event()
    kept = previews.preview_of(found, "f1_tensors", "true", "new", 0, flips, NOW, "ines", event)
    previews.keep(desk.previews, kept)
    assert previews.kept(desk.previews, "f1_tensors") == kept

    shown = text(world, "teaching/regrades")

    changed = [e for e, v in before.items() if v.points != v.max_points]
    assert len(found.changes) == len(changed) > 2
    for e in changed:
        assert f"priya {e} {wording.VERDICTS[before[e].status].word}, {before[e].points:g}" in shown
    assert "priya: no flag → watch" in shown
    assert "as of now" in shown
    assert "bootcamp regrade f1_tensors --commit --rule true" in shown
    ledger.receive(Attempt.of(attempt.pseudonym, "f1_tensors", "e" * 64, NOW))
    assert "hand-ins came since" in text(world, "teaching/regrades")
    commit(ledger, Decision("f1_tensors", "true", f"mended {HOSTILE}", "ines"), [Replayed(attempt, whole)], NOW)
    previews.forget(desk.previews, "f1_tensors")
    body = world.ask("teaching/regrades", "instructor").body
    assert "mended" in body
    assert "<script>alert" not in body


def test_a_large_regrade_shows_the_first_changes_and_says_how_many_there_are(world: World, desk: Desk) -> None:
    """A page of ten thousand changes would be no page; whoever is shown is named, and that they were shown is recorded."""
    n = N_CHANGES + 7
    named = {desk.ledger.enrol(f"zoe-{k:03}", COHORT, NOW): f"zoe-{k:03}" for k in range(n)}  # pseudonyms are in no order
    changes = tuple(Change(f"a{p}", p, "f1_tensors.bilinear", "fail", "pass", 0.0, 100.0) for p in named)
    found = Regrade(0, n, n, 0, changes, ())
    flips = [previews.Flip(p, "none", "watch") for p in named]
    previews.keep(desk.previews, previews.preview_of(found, "f1_tensors", "true", "new", 0, flips, NOW, "ines", 1))

    shown = text(world, "teaching/regrades")
    previews.forget(desk.previews, "f1_tensors")

    assert shown.count("no flag → watch") == shown.count("f1_tensors.bilinear not yet, 0 passed, 100") == N_CHANGES
    assert "and 7 more changes" in shown
    assert "f1_tensors.bilinear 207 207 0 +20,700" in shown
    assert "and 7 more" in shown.split("The tracker")[1]
    assert not [p for p in named if p in shown]
    looked = desk.ledger.events(kinds=[VIEWED_MANY])[-1].payload["people"]
    assert {named[p] for p in looked} == {name for name in named.values() if name in shown}


def test_a_regrade_is_ordered_from_its_preview(world: World, desk: Desk, term: cohort_world.World, ledger: Ledger) -> None:
    """First what it does; then one order, however often the button is pressed; its progress, and its end, by itself."""
    attempt = ledger.latest(term.pseudonyms["priya"], "f1_tensors")
    assert attempt is not None
    manifest = term.course.assignment("f1_tensors").manifest()
    whole = cohort_world.graded(manifest, {e.id: (Status.PASS, 1.0) for e in manifest.exercises}, attempt.sha256, "new")
    found = preview(ledger, Decision("f1_tensors", "true"), [Replayed(attempt, whole)], NOW)
    previews.keep(desk.previews, previews.preview_of(found, "f1_tensors", "true", "new", 0, [], NOW, "ines", ledger.last_event()))
    address, event = "teaching/regrades/f1_tensors", str(ledger.last_event())

    assert f"{sum(c.gain > 0 for c in found.changes)} verdicts go up and 0 go down" in text(world, address)
    refused = [post(world, address, preview=event, reason=" "), post(world, address, preview="1", reason="the check was wrong")]
    assert [a.status for a in refused] == [400, 409]
    assert "say why" in Text(refused[0].body).text
    assert ledger.events(0, (ORDERED,)) == []
    ordered = [post(world, address, preview=event, reason=f"the check was wrong {HOSTILE}").status for _ in range(2)]
    (order,) = ledger.events(0, (ORDERED,))

    assert ordered == [303, 303]
    assert (order.actor, order.payload["assignment"], order.payload["preview"]) == ("ines", "f1_tensors", int(event))
    n = len(ledger.attempts(assignment="f1_tensors"))
    body = world.ask("teaching/regrades", "instructor").body
    assert f"0 of {n} attempts replayed" in Text(body).text
    assert "<script>alert" not in body
    assert "is under way" in text(world, address)
    piece = world.ask("teaching/regrade-state", "instructor")
    assert (f"0 of {n}" in piece.body, piece.headers["HX-Refresh"]) == (True, None)

    lines = [r.attempt.id for r in ledger.results(attempt.pseudonym, "f1_tensors")[0].attempts]
    assert attempt.id in lines
    while lease := ledger.queue.claim("w"):
        if lease.priority == REGRADE:
            with ledger.writing() as db:
                ledger.queue.finish(db, lease)
    Replays(tmp := desk.previews.parent / "regrades", "f1_tensors", "new").add(attempt.id, whole)
    assert Orders(ledger, tmp, lambda: NOW, lambda assignment: previews.forget(desk.previews, assignment)).finish()

    assert world.ask("teaching/regrade-state", "instructor").headers["HX-Refresh"] == "true"
    shown = text(world, "teaching/regrades")
    assert "the check was wrong" in shown
    assert "Under way" not in shown
    assert post(world, address, preview=event, reason="once more").status == 409  # the preview was made
    assert (
        "the check was wrong" in Text(world.ask(f"cohort/student/{attempt.pseudonym}/attempt/{attempt.id}", "organizer").body).text
    )


def test_a_damaged_preview_is_none(tmp_path: Path) -> None:
    """A file of another version, or of nobody's, shows nothing and breaks nothing; a name is no path."""
    (tmp_path / "f1_tensors.json").write_text('{"assignment": 1}')
    assert previews.kept(tmp_path, "f1_tensors") is None
    assert previews.kept(tmp_path, "../../etc/passwd") is None


def test_an_empty_course_has_pages_that_say_so(tmp_path: Path) -> None:
    """Nobody enrolled, nothing handed in: sentences, no blanks and no errors."""
    course = cohort_world.write_course(tmp_path / "course")
    with (
        Ledger.open(f"sqlite:///{tmp_path / 'l.sqlite'}") as empty,
        serving(Desk.of(course, empty, lambda: START, tmp_path)) as world,
    ):
        assert "nothing yet" in text(world, "teaching")
        assert "No first try yet" in text(world, "teaching/exercises")
        assert Text(world.ask("teaching/exercises", "instructor").body).having("details")[0]["class"] == "reading"
        assert "Nobody: every exercise" in text(world, "teaching/stuck")
        assert "Who hands in for the first time" in text(world, "teaching/roster")
        assert "Nobody has tried it yet" in text(world, "teaching/exercises/t1_attention/rope")
