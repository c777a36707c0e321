"""Organizers' and mentors' pages: the survey's numbers, decisions with reasons, nobody unconfirmed, no small count."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from urllib.parse import urlencode

import pytest
from tornado import web

from autograder.course import load
from autograder.errors import BootcampError
from autograder.pages import figure as figures
from autograder.pages.models import help_of
from autograder.pages.organizers import calibration, comparison, datasets, flags, invitations, mentees, overview, profile, timeline
from autograder.pages.organizers.datasets import DATASETS, as_csv, as_json, hidden, part
from autograder.pages.organizers.flags import Wanted
from autograder.progress import State, audit, course_items, inviting, load_policy, reviewing
from autograder.progress.decisions import REVIEWED
from autograder.progress.shortlist import SHORTLIST, SHORTLISTED, Candidate, largest
from autograder.records import Ledger
from autograder.service.desk import Desk
from autograder.service.exchange import Refused
from autograder.service.office import Office
from tests import cohort_world
from tests.cohort_world import COHORT, NOW
from tests.service_world import Answer, Text, World, serving

VIEWS = (overview, profile, flags, invitations, comparison, calibration, datasets, mentees, timeline, figures)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("term") / "it"
    folder.mkdir()
    return folder, cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}").pseudonyms


@pytest.fixture
def filled(made: tuple[Path, dict[str, str]], tmp_path: Path) -> cohort_world.World:
    """A copy of the term for every test, because most of them write."""
    shutil.copytree(made[0], tmp_path / "it")
    return cohort_world.World(load(tmp_path / "it" / "course"), f"sqlite:///{tmp_path / 'it' / 'ledger.sqlite'}", made[1])


@pytest.fixture
def ledger(filled: cohort_world.World) -> Iterator[Ledger]:
    with Ledger.open(filled.ledger_url) as opened:
        yield opened


@pytest.fixture
def office(filled: cohort_world.World, ledger: Ledger, tmp_path: Path) -> Office:
    return Office(Desk.of(filled.course, ledger, lambda: NOW, tmp_path))


@pytest.fixture
def world(office: Office) -> Iterator[World]:
    with serving(office.desk) as running:
        yield running


def send(world: World, role: str, path: str, **form: str) -> Answer:
    """Send a form as a browser does: with the cookie, and with the token of a page that was shown before."""
    cookie = f"service-bootcamp={web.create_signed_value(world.cookie_secret, 'service-bootcamp', role).decode()}"
    shown = world.ask("flags" if role == "organizer" else "me", Cookie=cookie, Sec_Fetch_Mode="navigate")
    found = re.search(r'X-Xsrftoken": "([^"]+)"', shown.body)
    assert found
    token = found[1]
    jar = "; ".join([cookie, *(c.split(";")[0] for c in shown.headers.get_all("Set-Cookie") or ())])
    body = urlencode({"_xsrf": token, **form})
    return world.ask(
        path, method="POST", body=body, Cookie=jar, Content_Type="application/x-www-form-urlencoded", Sec_Fetch_Mode="navigate"
    )


def test_an_organizer_records_and_decides(world: World, office: Office, filled: cohort_world.World) -> None:
    """Evaluate, confirm with a reason: both are events with the organizer's name, and the evaluation can be rebuilt bit for bit."""
    who = filled.pseudonyms["carmen"]
    early = send(world, "organizer", f"cohort/student/{who}/review", decision="confirm", reason="first of all")
    recorded = send(world, "organizer", "flags/evaluate", cohort=COHORT)
    again = send(world, "organizer", "flags/evaluate", cohort=COHORT)
    decided = send(world, "organizer", f"cohort/student/{who}/review", decision="confirm", reason="Talked with her. <b>Yes</b>")

    assert (early.status, recorded.status, decided.status) == (400, 303, 303)
    assert again.status in (303, 409)
    header = audit.newest(office.desk.ledger, COHORT)
    assert header is not None
    assert header.actor == "olga"
    assert audit.rebuild(office.desk.ledger, office.desk.ledger.last_event()).differ == ()
    event = reviewing.newest_by_subject(office.desk.ledger.events(0, (REVIEWED,)))[who]
    assert (event.actor, event.payload["decision"], event.payload["state"]) == ("olga", "confirm", "watch")
    page = world.ask(f"cohort/student/{who}", "organizer").body
    assert "Talked with her. &lt;b&gt;Yes&lt;/b&gt;" in page
    assert "confirmed" in Text(page).text


def test_a_shortlist_is_shown_then_recorded_once(filled: cohort_world.World, ledger: Ledger, tmp_path: Path) -> None:
    """The page shows what the command's rule gives; recorded by who saw it, from the evaluation that was shown, and only once."""
    strict = load_policy()
    policy = strict.model_copy(update={"shortlist": strict.shortlist.model_copy(update={"alpha": 0.4})})  # so that somebody is
    office = Office(Desk.of(filled.course, ledger, lambda: NOW, tmp_path, policy=policy))
    with serving(office.desk) as world:
        _record_a_shortlist(world, office, filled, "2026-12-01")


def _record_a_shortlist(world: World, office: Office, filled: cohort_world.World, day: str) -> None:
    ledger = office.desk.ledger
    address = f"flags/shortlist?cohort={COHORT}&date={day}"
    early = world.ask(address, "organizer")
    evaluation = office.evaluate(COHORT, "olga")
    shown = Text(world.ask(address, "organizer").body)
    before = ledger.last_event()
    form = {"cohort": COHORT, "date": day, "evaluation": str(evaluation)}
    first, again = (send(world, "organizer", "flags/shortlist", **form) for _ in range(2))
    recorded = ledger.events(before)

    assert (early.status, first.status, again.status) == (400, 303, 303)
    assert first.headers["Location"].endswith(f"flags/shortlist?cohort={COHORT}&date={day}")
    made = inviting.draft(ledger, COHORT, day, office.desk.policy).made
    assert made.invited
    assert [(e.kind, e.actor, e.subject) for e in recorded] == [
        (SHORTLIST, "olga", None),
        *((SHORTLISTED, "olga", c.pseudonym) for c in (*made.invited, *made.explored)),
    ]
    assert f"{len(made.invited)} invited, {made.expected_false:.1f} of" in shown.text
    names = {p: n for n, p in filled.pseudonyms.items()}
    assert all(names[c.pseudonym] in shown.text for c in (*made.invited, *made.explored))
    assert "recorded as event" in Text(world.ask(address, "organizer").body).text
    assert "shortlist recorded" in Text(world.ask("flags", "organizer").body).text  # the audit line


def test_a_shortlist_is_of_what_was_seen(world: World, office: Office) -> None:
    """Another evaluation meanwhile, another list of the date, no such date, a stranger's form: nothing is recorded."""
    ledger, day = office.desk.ledger, "2026-12-01"
    old = office.evaluate(COHORT, "olga")
    office.record_shortlist(COHORT, day, str(old), "olga")
    new = audit.record(ledger, COHORT, course_items(office.desk.surveys.course), load_policy(), NOW, "olga")[0]
    before = ledger.last_event()
    tries = {
        409: [{"date": "2026-12-08", "evaluation": str(old)}, {"date": day, "evaluation": str(new)}],
        400: [{"date": "2026-13-01", "evaluation": str(new)}, {"date": "", "evaluation": ""}],
    }
    for status, forms in tries.items():
        for form in forms:
            assert send(world, "organizer", "flags/shortlist", cohort=COHORT, **form).status == status, form
    assert send(world, "organizer", "flags/shortlist", cohort="no", date=day, evaluation=str(new)).status == 404
    cookie = f"service-bootcamp={web.create_signed_value(world.cookie_secret, 'service-bootcamp', 'organizer').decode()}"
    body = urlencode({"cohort": COHORT, "date": "2026-12-08", "evaluation": str(new)})
    assert world.ask("flags/shortlist", method="POST", body=body, Cookie=cookie, Sec_Fetch_Mode="navigate").status == 403
    assert ledger.last_event() == before
    assert "earlier evaluation" in Text(world.ask(f"flags/shortlist?date={day}", "organizer").body).text


def test_a_week_later_a_recorded_chance_counts_again(filled: cohort_world.World, ledger: Ledger, tmp_path: Path) -> None:
    """Recording a survey is an evaluation at the survey's time: states that last follow from it, and it can be rebuilt."""
    now = [NOW]
    office = Office(Desk.of(filled.course, ledger, lambda: now[0], tmp_path))
    office.desk.surveys.cheap_s = math.inf  # on a busy machine the survey of the week before would be shown
    office.evaluate(COHORT, "olga")
    now[0] += timedelta(days=7)
    office.evaluate(COHORT, "olga")

    after = office.desk.surveys.newest(COHORT).report.students
    recorded = audit.newest(ledger, COHORT)
    assert recorded is not None
    states = {who: row["state"] for who, row in audit.rows_of(ledger, recorded).items()}
    assert states[filled.pseudonyms["carmen"]] == "provisional"  # 72 % twice
    assert audit.rebuild(ledger, ledger.last_event()).differ == ()
    assert next(f.before for f in after if f.pseudonym == filled.pseudonyms["carmen"]) is State.PROVISIONAL


@pytest.mark.parametrize(
    ("decision", "reason"), [("confirm", ""), ("confirm", "  a "), ("expel", "because"), ("", "because"), ("confirm", "x" * 1001)]
)
def test_a_decision_needs_a_known_word_and_a_reason(office: Office, filled: cohort_world.World, decision: str, reason: str) -> None:
    """Nothing is recorded of anything else."""
    office.evaluate(COHORT, "olga")
    before = office.desk.ledger.last_event()

    with pytest.raises(Refused):
        office.review(filled.pseudonyms["carmen"], decision, reason, "olga")
    with pytest.raises(BootcampError):
        reviewing.review(office.desk.ledger, filled.pseudonyms["carmen"], decision, reason, NOW, "olga")
    assert office.desk.ledger.last_event() == before


def test_a_forged_decision_is_nobodys(world: World, office: Office, filled: cohort_world.World) -> None:
    """A form of a stranger, which lacks the page's token, decides nothing; nor does a student who has one."""
    office.evaluate(COHORT, "olga")
    who, before = filled.pseudonyms["carmen"], office.desk.ledger.last_event()
    cookie = f"service-bootcamp={web.create_signed_value(world.cookie_secret, 'service-bootcamp', 'organizer').decode()}"
    body = urlencode({"decision": "decline", "reason": "a stranger's"})
    forged = world.ask(f"cohort/student/{who}/review", method="POST", body=body, Cookie=cookie, Sec_Fetch_Mode="navigate")
    student = send(world, "student", f"cohort/student/{who}/review", decision="confirm", reason="I am good")

    assert (forged.status, student.status) == (403, 403)
    assert office.desk.ledger.last_event() == before


def test_mentors_see_the_confirmed_and_nobody_else(world: World, office: Office, filled: cohort_world.World) -> None:
    """Deferred, declined, once confirmed and later declined, never decided: none of them is there. No chance is shown."""
    office.evaluate(COHORT, "olga")
    for name, decisions in {"carmen": "confirm", "noor": "defer", "quentin": "decline", "priya": "confirm decline"}.items():
        for decision in decisions.split():
            office.review(filled.pseudonyms[name], decision, f"about {name}", "olga")

    listed = Text(world.ask("mentees", "mentor").body)
    assert "carmen" in listed.text
    assert not {n for n in cohort_world.NAMES if n != "carmen" and re.search(rf"\b{n}\b", listed.text)}
    one = Text(world.ask(f"mentees/{filled.pseudonyms['carmen']}", "mentor").body)
    assert "about carmen" in one.text
    assert "solved at the first try, as" in one.text
    assert not re.search(r"chance|watch|\d\d %", one.text, re.IGNORECASE)
    for name in ("noor", "quentin", "priya", "ada"):
        assert world.ask(f"mentees/{filled.pseudonyms[name]}", "mentor").status == 404
    views = office.desk.ledger.events(0, ("person.viewed",))
    assert [(v.actor, v.subject, v.payload["page"]) for v in views] == [("mila", filled.pseudonyms["carmen"], "mentee")]


def test_the_list_is_the_policys_rule(office: Office) -> None:
    """At any alpha and any seats the preview is the rule's own set, in its order, with its expected number of false names."""
    survey, _ = office.survey(COHORT) or (None, None)
    assert survey is not None
    policy = load_policy()
    who = [Candidate(f.pseudonym, f.p, f.sd) for f in survey.report.students if f.state is not State.NEEDS_EVIDENCE]
    sizes = set()
    for alpha, seats in ((1, 1), (20, 16), (30, 16), (40, 3), (50, 200)):
        shown = office.shortlist(COHORT, Wanted(alpha, seats))
        assert shown is not None
        rule = largest(who, alpha / 100, seats - round(policy.shortlist.explore_share * seats))
        assert [one.pseudonym for one in shown.invited] == [c.pseudonym for c in rule]
        assert shown.expected_false == f"{sum(1 - c.p for c in rule):.1f} of {len(rule)}"
        sizes.add(len(rule))
    assert len(sizes) > 2


@pytest.mark.parametrize(
    "query", ["alpha=0&seats=16", "alpha=51&seats=1", "alpha=20", "alpha=x&seats=1", "alpha=20&seats=201", "alpha=-1&seats=2"]
)
def test_the_sliders_are_validated(world: World, query: str) -> None:
    """What no slider gives is refused, on the page and for its piece."""
    assert world.ask(f"flags?{query}", "organizer").status == 400
    assert world.ask(f"flags/list?{query}", "organizer").status == 400


def test_the_piece_is_what_the_page_shows(world: World) -> None:
    """Without a script the form loads the page, with one the piece; both say the same."""
    query = "alpha=40&seats=5"
    piece = Text(world.ask(f"flags/list?{query}", "organizer").body).text

    assert "invited" in piece
    assert piece in Text(world.ask(f"flags?{query}", "organizer").body).text


def test_only_who_is_worth_a_look_is_listed(office: Office, filled: cohort_world.World) -> None:
    """Flagged, dropped, rising or on hold; by state, then by name, so that no chance makes anybody last."""
    page = office.flags(COHORT, None, 1)
    assert page is not None
    report = office.desk.surveys.newest(COHORT).report
    wanted = {f.pseudonym for f in report.students if f.state in ("watch", "provisional", "dropped") or f.is_rising or f.on_hold}

    assert {line.pseudonym for line in page.lines} == wanted
    assert [line.name for line in page.lines] == sorted(line.name for line in page.lines)
    assert 0 < len(wanted) < len(filled.pseudonyms) / 2


def test_a_profile_shows_rising_and_hold(office: Office, filled: cohort_world.World, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand beside the state, in words."""
    survey = office.desk.surveys.newest(COHORT)
    who = filled.pseudonyms["noor"]
    changed = tuple(
        dataclasses.replace(f, is_rising=True, on_hold=True) if f.pseudonym == who else f for f in survey.report.students
    )
    held = dataclasses.replace(survey, report=dataclasses.replace(survey.report, students=changed))
    monkeypatch.setattr(type(office.desk.surveys), "newest", lambda self, cohort: held)

    page = office.profile(who, "olga")
    assert page is not None
    assert [m.word for m in page.beside] == ["rising", "on hold"]
    invited = office.shortlist(COHORT, Wanted(50, 200))
    assert invited is not None
    assert who not in {one.pseudonym for one in invited.invited}  # a person decides first


def test_a_profile_says_what_would_settle_it(office: Office, filled: cohort_world.World) -> None:
    """Who lacks evidence is told which first tries would tell most; everybody's exercises stand in a grid."""
    report = office.desk.surveys.newest(COHORT).report
    unknown = next(f for f in report.students if f.state is State.NEEDS_EVIDENCE and f.n_items)
    page = office.profile(unknown.pseudonym, "olga")

    assert page is not None
    assert [row[0] for row in page.settle.rows] == [i.title for i in unknown.settle.next] != []
    assert page.path.svg is not None
    assert len(page.path.table.rows) == 5
    known = office.profile(filled.pseudonyms["priya"], "olga")
    assert known is not None
    counts = {r.assignment: len(r.tries) for r in office.desk.ledger.results(filled.pseudonyms["priya"])}
    assert sum(len(row.cells) for row in known.grid) == sum(counts.values())


def test_small_counts_are_hidden_and_cannot_be_subtracted() -> None:
    """A count from 1 to 4 goes, and with one alone the next larger goes too; a part of a whole hides when its rest is small."""
    assert hidden([30, 3, 12]) == [30, None, None]
    assert hidden([30, 3, 2, 12]) == [30, None, None, 12]
    assert hidden([0, 5, 9]) == [0, 5, 9]
    assert hidden([3]) == [None]
    assert [part(k, 20) for k in (0, 1, 4, 5, 15, 16, 19, 20)] == [0, None, None, 5, 15, None, None, 20]


@pytest.mark.parametrize("name", DATASETS)
def test_an_export_has_a_dictionary_and_no_small_count(office: Office, name: str, filled: cohort_world.World) -> None:
    """CSV and JSON hold the same rows, every column is explained, aggregates hold no count from 1 to 4, and there is no name."""
    found = office.export(COHORT, name, "olga")
    assert found is not None
    data, survey = found
    text, plain = as_csv(data), as_json(data, survey)
    rows = list(csv.reader(io.StringIO(text)))

    assert rows[0] == [f.name for f in data.fields] == list(plain["rows"][0])
    assert len(rows) - 1 == len(plain["rows"]) > 0
    assert all(re.fullmatch(r"[A-Z].{8,}[.]", f.meaning) for f in data.fields)
    counts = [f.name for f in data.fields if f.kind == "count" and f.name != "first_tries"]
    assert not [r[c] for r in plain["rows"] for c in counts if r[c] is not None and 0 < r[c] < 5]
    assert not [n for n in filled.pseudonyms if re.search(rf"\b{n}\b", text)]
    (taken,) = office.desk.ledger.events(0, ("cohort.exported",))
    assert (taken.actor, taken.payload["dataset"]) == ("olga", name)


def test_no_cell_of_an_export_is_a_formula() -> None:
    """A spreadsheet must not run what an author or a student called something."""
    data = datasets.Dataset("x", "X", "a row", (datasets.Field("a", "text", "A field."),), (("=1+1",), ("-2",), ("@x",), ("fine",)))

    assert as_csv(data).splitlines()[1:] == ["'=1+1", "'-2", "'@x", "fine"]


def test_cohorts_are_compared_on_one_scale(office: Office, ledger: Ledger, filled: cohort_world.World) -> None:
    """A second cohort that worked on the same exercises is linked; one without work is left out, and the page says so."""
    manifest = filled.course.assignment("f1_tensors").manifest()
    ledger.enrol("zoe", "2027", NOW)
    page = office.comparison(COHORT)

    assert manifest.exercises
    assert page is not None
    assert [row[:2] for row in page.links.rows] == [(COHORT, "gives the scale"), ("2027", "not linked")]
    assert {row[0] for row in page.abilities.table.rows} == {COHORT}
    assert office.comparison("nowhere") is None


def test_the_overview_counts_everybody_once(office: Office, filled: cohort_world.World) -> None:
    """A column of the bands adds up to the cohort; tiles and funnel say what the survey says."""
    page = office.overview(COHORT)
    assert page is not None
    n = len(filled.pseudonyms)

    for row in page.bands.table.rows:
        assert sum(map(int, row[1:])) == n
    assert page.tiles[0].text == str(n)
    assert [int(r[1]) >= int(r[2]) >= int(r[3]) for r in page.funnel.table.rows] == [True] * 5


def test_a_timeline_shows_changes_and_not_every_week(office: Office, filled: cohort_world.World) -> None:
    """Ten evaluations that say the same are the first and the last of them, and a decision stands between."""
    ledger, who = office.desk.ledger, filled.pseudonyms["carmen"]
    row = {"state": "watch", "p": 0.5, "n_items": 30}
    for week in range(10):
        ledger.record("progress.evaluated", NOW + timedelta(weeks=week), "olga", who, {**row, "p": 0.4 + week / 100})
    ledger.record("progress.evaluated", NOW + timedelta(weeks=11), "olga", who, {**row, "state": "provisional", "p": 0.9})

    shown = timeline.timeline(ledger.events(0, timeline.OF_PERSON, subject=who), {})
    assert [(e.mark.word, e.text.split(",")[0]) for e in shown] == [
        ("provisional", "chance 90 %"),
        ("watch", "chance 49 %"),
        ("watch", "chance 40 %"),
    ]


def test_a_timeline_says_a_wish_as_the_student_read_it(ledger: Ledger, filled: cohort_world.World) -> None:
    """In the words of the choice, not in the name that the log has for it."""
    ledger.record("progress.appealed", NOW, "bela", filled.pseudonyms["bela"], {"wish": "review", "assignment": "t1_attention"})

    (shown,) = timeline.timeline(ledger.events(0, timeline.OF_PERSON, subject=filled.pseudonyms["bela"]), {})
    assert shown.text == "A person should look at my work (t1_attention)"


def test_a_list_without_anybody_says_so(office: Office) -> None:
    """Where nobody can be judged there is no "everybody who can be judged is on it"."""
    survey, _ = office.survey(COHORT) or (None, None)
    assert survey is not None
    nobody = dataclasses.replace(survey.report, students=())

    assert flags.list_view(nobody, load_policy(), {}, Wanted(20, 16)).limit == "There is not enough evidence about anybody yet."


def _pages() -> list[type]:
    def of(module: ModuleType) -> list[type]:
        return [c for c in vars(module).values() if dataclasses.is_dataclass(c) and c.__module__ == module.__name__]

    return [c for module in VIEWS for c in of(module) if isinstance(c, type) and c is not Wanted]


@pytest.mark.parametrize("page", _pages(), ids=lambda p: p.__name__)
def test_every_field_of_a_view_says_what_it_means(page: type) -> None:
    """A view is a dataclass with a help text per field, a sentence each."""
    for field in dataclasses.fields(page):
        assert re.fullmatch(r"[A-Z].{5,}[.]", help_of(page, field.name)), f"{page.__name__}.{field.name}"
