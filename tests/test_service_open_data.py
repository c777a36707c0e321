"""The JSON API: a page's own data with its dictionary, tables in parts, tokens only, no drawing, every look recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tornado import web

from autograder.progress import load_policy
from autograder.records import Ledger
from autograder.records.exporting import COLUMNS, rows
from autograder.service import open_data
from autograder.service.background import NotYetError, Surveys
from autograder.service.classroom import VIEWED_MANY
from autograder.service.desk import Desk
from autograder.service.open_data import BASE, PART_STUDENTS
from autograder.survey import take
from tests import cohort_world
from tests.cohort_world import COHORT, NOW
from tests.service_world import World, as_json, serving


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Ledger, cohort_world.World]]:
    folder: Path = tmp_path_factory.mktemp("term")
    filled = cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")
    with Ledger.open(filled.ledger_url) as ledger:
        desk = Desk.of(filled.course, ledger, lambda: NOW, folder)
        survey = take(ledger, COHORT, filled.course, load_policy(), NOW)
        desk.surveys.take = lambda *_: survey
        with serving(desk) as world:
            yield world, ledger, filled


def test_a_page_is_there_as_data_with_its_dictionary(made) -> None:
    """The twin of the overview says what the page says; figures are tables, and every field is explained."""
    world, _, _ = made
    said = as_json(world.ask(f"{BASE}/pages/overview", "instructor"))

    assert (said["version"], said["page"]["cohort"]) == (1, COHORT)
    assert next(t["text"] for t in said["page"]["tiles"]) == "24"
    funnel = said["page"]["funnel"]
    assert funnel["table"]["heads"][1] == "handed in"
    assert len(funnel["table"]["rows"]) == 5
    assert "svg" not in funnel
    assert "<svg" not in json.dumps(said)
    assert said["dictionary"]["OverviewPage"]["funnel"] == "How many students got how far with every assignment."
    assert {"Figure", "Table", "Tile", "Snapshot"} <= set(said["dictionary"])


def test_the_description_holds_what_the_reader_may_ask_and_nothing_else(made) -> None:
    """Every address in it answers its reader; what is not in it is refused."""
    world, _, filled = made
    for role in ("student", "mentor", "instructor", "organizer"):
        listed = {a["address"] for a in as_json(world.ask(BASE, role))["addresses"]}
        every = {r.path for r in open_data_routes()}
        assert BASE in listed
        for path in sorted(every):
            real = path.replace("([0-9A-Za-z_-]{1,64})", filled.pseudonyms["ada"]).replace("([a-z]{1,32})", "states")
            status = world.ask(real, role).status
            assert (status == 403) == (path not in listed), (role, path, status)


def open_data_routes() -> list:
    from autograder.service.routes import ROUTES

    return [r for r in ROUTES if r.path.startswith(BASE)]


def test_a_browsers_session_is_not_believed(made) -> None:
    """A cookie alone gets nothing here: a page of a stranger has nothing to ride on."""
    world, _, _ = made
    cookie = f"service-bootcamp={web.create_signed_value(world.cookie_secret, 'service-bootcamp', 'organizer').decode()}"

    assert world.ask(f"{BASE}/pages/overview", Cookie=cookie).status == 403
    assert world.ask(f"{BASE}/pages/overview").status == 401


def test_all_parts_together_are_the_export(made) -> None:
    """Results in parts of a few students are the rows of `bootcamp export`, each once; every part records whom it showed."""
    world, ledger, filled = made
    before, got, address, n_parts = ledger.last_event(), [], "?" + urlencode({"cohort": COHORT}), 0
    while address:
        said = as_json(world.ask(f"{BASE}/results{address}", "instructor"))
        got += [tuple(row[c] for c in COLUMNS) for row in said["rows"]]
        address, n_parts = said["next"], n_parts + 1

    wanted = [row for batch in rows(ledger, COHORT) for row in batch]
    assert sorted(r[:9] for r in got) == sorted(tuple(r[:9]) for r in wanted)
    assert n_parts == -(-len(filled.pseudonyms) // PART_STUDENTS) == 5
    looked = ledger.events(before, (VIEWED_MANY,))
    assert [e.actor for e in looked] == ["ines"] * 5
    assert sorted(p for e in looked for p in e.payload["people"]) == sorted(filled.pseudonyms.values())
    one = as_json(world.ask(f"{BASE}/results?assignment=f1_tensors&part=2", "organizer"))
    assert {r["assignment"] for r in one["rows"]} == {"f1_tensors"}
    assert {f["name"] for f in one["fields"]} == set(COLUMNS)


def test_the_page_of_exports_holds_no_row(made) -> None:
    """A table is taken where taking it is recorded; the page says what there is, however many students there are."""
    world, *_ = made
    offered = as_json(world.ask(f"{BASE}/pages/exports", "organizer"))["page"]["datasets"]
    taken = {d["name"]: as_json(world.ask(f"exports/{d['name']}.json", "organizer")) for d in offered}

    assert all(set(d) == {"name", "title", "per", "n_rows", "fields"} for d in offered)
    assert {d["name"]: d["n_rows"] for d in offered} == {name: len(t["rows"]) for name, t in taken.items()}


def test_a_table_comes_in_parts(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of all parts are the rows of the export, and taking them is recorded."""
    world, ledger, _ = made
    monkeypatch.setattr(open_data, "PART_ROWS", 7)
    whole = as_json(world.ask("exports/findings.json", "organizer"))["rows"]
    before, got, address = ledger.last_event(), [], ""
    while address is not None:
        said = as_json(world.ask(f"{BASE}/data/findings{address}", "organizer"))
        got, address = got + said["rows"], said["next"]

    assert got == whole
    assert len(ledger.events(before, ("cohort.exported",))) == -(-len(whole) // 7)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("data/nothing", 404),
        ("data/states?cohort=no", 404),
        ("data/states?part=2", 404),
        ("data/states?part=x", 400),
        ("results?cohort=no", 404),
        ("results?assignment=no", 404),
        ("results?part=0", 400),
        ("results?part=99", 404),
        ("pages/overview?cohort=no", 404),
        ("pages/cohort?part=x", 400),
        ("pages/nothing", 404),
    ],
)
def test_what_is_not_there_is_said_in_json(made, address: str, status: int) -> None:
    """Bad parameters and unknown names are refused, in the same form as answers (what is no address at all is a page)."""
    answer = made[0].ask(f"{BASE}/{address}", "organizer")

    assert answer.status == status
    if address != "pages/nothing":
        assert as_json(answer)["error"]


def test_what_is_being_computed_says_so(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with a time to come again, and not a page that fills by itself."""

    def not_yet(self, cohort: str) -> None:
        raise NotYetError(False)

    monkeypatch.setattr(Surveys, "newest", not_yet)
    answer = made[0].ask(f"{BASE}/pages/overview", "organizer")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "being computed" in as_json(answer)["error"]


def test_words_of_people_are_plain(made) -> None:
    """No control character of a name or a reason gets through, and no time is in words only."""
    from autograder.pages.wording import Moment

    assert open_data.as_data({"a": "x\x1b[31m\u202ey", "at": Moment("2026-01-01T00:00:00+00:00", "1 Jan")}) == {
        "a": "x[31my",
        "at": "2026-01-01T00:00:00+00:00",
    }
