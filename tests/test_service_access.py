"""Who may ask what: every line of the routing table, in every role, by every method, against the running application."""

from __future__ import annotations

import asyncio
import http.client
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import jupyterhub.services.auth as hub_side
import pytest
from tornado import web

from autograder.records import Ledger
from autograder.service import handlers, learners
from autograder.service.app import MAX_BODY_BYTES
from autograder.service.desk import Desk
from autograder.service.roles import ENTER, FLAGS, INSIDE, PUBLIC, READ_ALL, ROLES
from autograder.service.routes import ROUTES
from autograder.service.shell import Guarded
from tests import cohort_world
from tests.service_world import NAMES, Text, World, as_json, serving

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EVERYBODY = frozenset({"student", "instructor", "organizer", "mentor"})
STAFF = frozenset({"instructor", "organizer"})
ORGANIZERS = frozenset({"organizer"})
INSTRUCTORS = frozenset({"instructor"})
MENTORS = frozenset({"mentor"})
SIGN_IN, NOBODY_ASKED = "sign in", "public"

ID = "([0-9A-Za-z_-]{1,64})"
OWN = {"student": 200}  # the attempt is the student's; to everybody else it does not exist: 404

# address -> a real one of it, and who may do what there: method -> (who, what it answers an allowed one). Written by
# hand, on purpose: the table under test says what the service does, this one says what it should do. An upload without
# a body is refused for its content (400), so whoever gets there was let in.
EXPECTED: dict[str, tuple[str, dict[str, tuple]]] = {
    "": ("", {"GET": (EVERYBODY, 302)}),
    "me": ("me", {"GET": (EVERYBODY, 200)}),
    "me/progress": ("me/progress", {"GET": (EVERYBODY, 200)}),
    "me/progress/wish": ("me/progress/wish", {"POST": (EVERYBODY, {"student": 400})}),  # without a wish; who is not enrolled: 404
    "me/data": ("me/data", {"GET": (EVERYBODY, 200)}),
    "me/transcripts": ("me/transcripts", {"GET": (EVERYBODY, 200), "POST": (EVERYBODY, {"student": 400})}),  # nothing is chosen
    f"me/transcripts/{ID}/paper": ("me/transcripts/1-x/paper", {"GET": (EVERYBODY, 404)}),
    f"me/transcripts/{ID}/withdraw": ("me/transcripts/1-x/withdraw", {"POST": (EVERYBODY, 404)}),
    f"verify/{ID}": ("verify/1-x", {"GET": (NOBODY_ASKED, 404)}),
    rf"verify/{ID}/(transcript\.json|transcript\.sig|key\.pem)": ("verify/1-x/key.pem", {"GET": (NOBODY_ASKED, 404)}),
    f"me/attempt/{ID}": ("me/attempt/{attempt}", {"GET": (EVERYBODY, OWN)}),
    f"me/attempt/{ID}/state": ("me/attempt/{attempt}/state", {"GET": (EVERYBODY, OWN)}),
    f"me/attempt/{ID}/dispute": ("me/attempt/{attempt}/dispute", {"POST": (EVERYBODY, 404)}),
    "overview": ("overview", {"GET": (STAFF, 200)}),
    "comparison": ("comparison", {"GET": (STAFF, 200)}),
    "calibration": ("calibration", {"GET": (ORGANIZERS, 200)}),
    "flags": ("flags", {"GET": (ORGANIZERS, 200)}),
    "flags/list": ("flags/list?alpha=20&seats=16", {"GET": (ORGANIZERS, 200)}),
    "flags/shortlist": ("flags/shortlist", {"GET": (ORGANIZERS, 400), "POST": (ORGANIZERS, 400)}),  # names no date
    "flags/evaluate": ("flags/evaluate", {"POST": (ORGANIZERS, 303)}),
    "exports": ("exports", {"GET": (ORGANIZERS, 200)}),
    r"exports/([a-z]{1,32})\.(csv|json)": ("exports/states.csv", {"GET": (ORGANIZERS, 200)}),
    "mentees": ("mentees", {"GET": (MENTORS, 200)}),
    f"mentees/{ID}": ("mentees/{pseudonym}", {"GET": (MENTORS, 404)}),  # nobody confirmed the student
    f"cohort/student/{ID}/review": ("cohort/student/{pseudonym}/review", {"POST": (ORGANIZERS, 400)}),  # no reason was given
    "cohort": ("cohort", {"GET": (STAFF, 200)}),
    f"cohort/student/{ID}": ("cohort/student/{pseudonym}", {"GET": (ORGANIZERS, 200)}),
    f"cohort/student/{ID}/attempt/{ID}": ("cohort/student/{pseudonym}/attempt/{attempt}", {"GET": (ORGANIZERS, 200)}),
    "grading": ("grading", {"GET": (INSTRUCTORS, 200)}),
    f"grading/{ID}/retry": ("grading/{attempt}/retry", {"POST": (INSTRUCTORS, 404)}),
    "teaching": ("teaching", {"GET": (INSTRUCTORS, 200)}),
    f"teaching/assignment/{ID}": ("teaching/assignment/f1_tensors", {"GET": (INSTRUCTORS, 200)}),
    "teaching/exercises": ("teaching/exercises", {"GET": (INSTRUCTORS, 200)}),
    f"teaching/exercises/{ID}/{ID}": ("teaching/exercises/t1_attention/rope", {"GET": (INSTRUCTORS, 200)}),
    "teaching/stuck": ("teaching/stuck", {"GET": (INSTRUCTORS, 200)}),
    f"teaching/wishes/{ID}/answer": ("teaching/wishes/1/answer", {"POST": (INSTRUCTORS, 404)}),
    "teaching/roster": ("teaching/roster", {"GET": (INSTRUCTORS, 200)}),
    f"teaching/roster/{ID}": ("teaching/roster/{pseudonym}", {"GET": (INSTRUCTORS, 200)}),
    f"teaching/roster/{ID}/attempt/{ID}": ("teaching/roster/{pseudonym}/attempt/{attempt}", {"GET": (INSTRUCTORS, 200)}),
    f"teaching/roster/{ID}/extend": ("teaching/roster/{pseudonym}/extend", {"POST": (INSTRUCTORS, 400)}),  # says no time
    f"teaching/roster/{ID}/take-back": ("teaching/roster/{pseudonym}/take-back", {"POST": (INSTRUCTORS, 400)}),  # there is none
    "teaching/regrades": ("teaching/regrades", {"GET": (INSTRUCTORS, 200)}),
    "teaching/regrade-state": ("teaching/regrade-state", {"GET": (INSTRUCTORS, 200)}),
    f"teaching/regrades/{ID}": (
        "teaching/regrades/f1_tensors",
        {"GET": (INSTRUCTORS, 404), "POST": (INSTRUCTORS, 409)},
    ),  # no preview
    "api/assignments": ("api/assignments", {"GET": (EVERYBODY, 200)}),
    f"api/assignments/{ID}/files": ("api/assignments/f1_tensors/files", {"GET": (EVERYBODY, 404)}),
    f"api/assignments/{ID}/hand-in": ("api/assignments/f1_tensors/hand-in", {"POST": (EVERYBODY, 400)}),
    f"api/assignments/{ID}/check/{ID}": ("api/assignments/f1_tensors/check/x", {"POST": (EVERYBODY, 403)}),  # the course says off
    f"api/assignments/{ID}/release": (
        "api/assignments/f1_tensors/release",
        {"POST": (INSTRUCTORS, 400), "DELETE": (INSTRUCTORS, 404)},
    ),
    "api/attempts": ("api/attempts", {"GET": (EVERYBODY, 200)}),
    f"api/attempts/{ID}": ("api/attempts/{attempt}", {"GET": (EVERYBODY, OWN)}),
    f"api/attempts/{ID}/feedback": ("api/attempts/{attempt}/feedback", {"GET": (EVERYBODY, OWN)}),
    "api/submissions": ("api/submissions", {"GET": (INSTRUCTORS, 200)}),
    f"api/submissions/{ID}/files": ("api/submissions/{attempt}/files", {"GET": (INSTRUCTORS, 400)}),  # its bytes were made up
    "metrics": ("metrics", {"GET": (frozenset(), 200)}),  # Prometheus is no role: tests/test_metrics.py
    "healthz": ("healthz", {"GET": (NOBODY_ASKED, 200)}),
    r"static/([a-z]+\.[a-z]+)": ("static/style.css", {"GET": (NOBODY_ASKED, 200)}),
    "api/v1": ("api/v1", {"GET": (EVERYBODY, 200)}),
    "api/v1/data/([a-z]{1,32})": ("api/v1/data/states", {"GET": (ORGANIZERS, 200)}),
    "api/v1/results": ("api/v1/results", {"GET": (STAFF, 200)}),
    "oauth_callback": ("oauth_callback", {"GET": (NOBODY_ASKED, 400)}),  # without the Hub's code there is nothing to do
}

# A page's data are whose the page is.
AS_DATA = (
    *("me", "me/progress", "me/transcripts", f"me/attempt/{ID}", "overview", "comparison", "calibration", "flags", "exports"),
    *("mentees", f"mentees/{ID}", "cohort", f"cohort/student/{ID}", f"cohort/student/{ID}/attempt/{ID}", "grading", "teaching"),
    *(f"teaching/assignment/{ID}", "teaching/exercises", f"teaching/exercises/{ID}/{ID}", "teaching/stuck", "teaching/roster"),
    *(f"teaching/roster/{ID}", f"teaching/roster/{ID}/attempt/{ID}", "teaching/regrades", f"teaching/regrades/{ID}"),
)
EXPECTED |= {f"api/v1/pages/{p}": (f"api/v1/pages/{EXPECTED[p][0]}", {"GET": EXPECTED[p][1]["GET"]}) for p in AS_DATA}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> cohort_world.World:
    folder = tmp_path_factory.mktemp("term")
    return cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")


@pytest.fixture(scope="module")
def ledger(filled: cohort_world.World) -> Iterator[Ledger]:
    with Ledger.open(filled.ledger_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def world(filled: cohort_world.World, ledger: Ledger) -> Iterator[World]:
    with serving(Desk.of(filled.course, ledger, lambda: cohort_world.NOW, filled.course.root)) as running:
        yield running


@pytest.fixture(scope="module")
def real(filled: cohort_world.World, ledger: Ledger) -> dict[str, str]:
    """Real parameters: the student's own newest attempt."""
    pseudonym = filled.pseudonyms[NAMES["student"]]
    return {"pseudonym": pseudonym, "attempt": ledger.results(pseudonym)[0].latest.attempt.id}


def test_every_route_is_expected_and_every_expected_one_exists() -> None:
    """A new address needs a line here before it can be served."""
    assert {route.path for route in ROUTES} == set(EXPECTED)


# A page's data are the same handler: one way to read and one to write tell whether it is guarded.
ASKED = [(p, m) for p in EXPECTED for m in (("GET", "POST") if p.startswith("api/v1/pages/") else METHODS)]


@pytest.mark.parametrize(("path", "method"), ASKED, ids=lambda p: p or "start")
@pytest.mark.parametrize("role", [None, *ROLES])
def test_access(world: World, real: dict[str, str], path: str, role: str | None, method: str) -> None:
    """Allowed roles get their answer, others 403; the unknown is sent to sign in where that helps; no other method exists."""
    address, methods = EXPECTED[path]

    answer = world.ask(address.format(**real), role, method)

    if method not in methods:
        assert answer.status == 405
        assert answer.headers["Location"] is None
        if method != "HEAD":
            assert answer.headers["Allow"] == ", ".join(methods)
        return
    allowed, fine = methods[method]
    if allowed is NOBODY_ASKED:
        assert answer.status == fine
    elif role is None and path.startswith("api/"):
        assert answer.status == 401
        assert as_json(answer)["error"]
    elif role is None and method != "GET":
        assert answer.status == 403
    elif role is None:
        assert answer.status == 302
        assert answer.headers["Location"].startswith("/hub/api/oauth2/authorize?")
    elif role in allowed:
        assert answer.status == (fine.get(role, 404) if isinstance(fine, dict) else fine)
    else:
        assert answer.status == 403
        assert real["pseudonym"] not in answer.body


@pytest.mark.parametrize("path", EXPECTED, ids=lambda p: p or "start")
@pytest.mark.parametrize("role", [None, "student"])
def test_every_answer_carries_the_security_headers(world: World, real: dict[str, str], path: str, role: str | None) -> None:
    """Pages, redirects and refusals alike: no stranger's script or frame, no sniffing, no name of the server."""
    address, methods = EXPECTED[path]
    answer = world.ask(address.format(**real), role, next(iter(methods)))

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Server"] is None
    if not path.startswith("static"):
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_method_that_the_table_does_not_name_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler may grow a method; it exists only once the table says who may use it."""
    monkeypatch.setattr(learners.Overview, "delete", lambda self: self.finish("gone"), raising=False)

    assert world.ask("me", "organizer", "DELETE").status == 405


@pytest.mark.parametrize("role", [None, *ROLES])
@pytest.mark.parametrize("method", METHODS)
def test_an_address_outside_the_table_does_not_exist(world: World, method: str, role: str | None) -> None:
    """404 for everybody and every method, before anybody is asked who they are."""
    for path in ("nope", "me/attempt/../../cohort", "me/attempt/" + "a" * 65, "static/..%2Fapp.py", "cohort/student/x'--"):
        assert world.ask(path, role, method).status == 404


def test_the_page_around_an_error_carries_the_policy_too(world: World) -> None:
    """Nothing is served without it."""
    assert "default-src 'none'" in world.ask("nope").headers["Content-Security-Policy"]


def test_a_forgotten_scope_lets_nobody_in(world: World) -> None:
    """The scope to enter is needed besides every other one: a token of the Hub that lacks it is refused."""
    world.hub.let_in("stray", "stray", (READ_ALL, FLAGS))

    assert {world.ask(path, "stray").status for path in ("", "me", "cohort")} == {403}


def test_a_service_is_no_person(world: World) -> None:
    """Another service's token has no results of its own to see."""
    world.hub.let_in("robot", "robot", (ENTER, READ_ALL), kind="service")

    assert world.ask("cohort", "robot").status == 403


def test_an_invented_token_is_nobody(world: World) -> None:
    """What the Hub does not know is sent to sign in."""
    assert world.ask("me", "invented").status == 302


def test_the_scope_is_checked_before_any_parameter(world: World) -> None:
    """Who may not ask learns nothing from how a bad parameter is answered."""
    assert world.ask("cohort?order=nonsense&part=x", "student").status == 403
    assert world.ask("cohort/student/nobody", "instructor").status == 403


@pytest.mark.parametrize(
    ("query", "status"),
    [("order=state", 200), ("order=points", 400), ("part=0", 400), ("part=-1", 400), ("part=9", 200), ("cohort=none", 404)],
)
def test_parameters_are_validated(world: World, query: str, status: int) -> None:
    """Anything but the known orders and parts is refused; a part beyond the end shows the last one."""
    assert world.ask(f"cohort?{query}", "organizer").status == status


def test_an_unknown_student_does_not_exist(world: World, filled: cohort_world.World, real: dict[str, str]) -> None:
    """404, and an attempt under the wrong student is as unknown as one that never was."""
    other = filled.pseudonyms[cohort_world.NAMES[1]]

    assert world.ask("cohort/student/s0", "organizer").status == 404
    assert world.ask("cohort/student/s0/attempt/a0", "organizer").status == 404
    assert world.ask(f"cohort/student/{other}/attempt/{real['attempt']}", "organizer").status == 404


def test_a_form_of_a_stranger_is_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cookie alone never authorises a writing method: without the page's XSRF token the sender is nobody (403)."""
    route = next(r for r in ROUTES if r.path == "me")
    monkeypatch.setattr(learners.Overview, "post", lambda self: self.finish("written"), raising=False)
    monkeypatch.setattr(Guarded, "initialize", lambda self, needs: setattr(self, "needs", {**needs, "POST": INSIDE}))
    cookie = web.create_signed_value(world.cookie_secret, "service-bootcamp", "student").decode()

    with_cookie = world.ask("me", method="GET", Cookie=f"service-bootcamp={cookie}", Sec_Fetch_Mode="navigate")
    forged = world.ask("me", method="POST", body="x=1", Cookie=f"service-bootcamp={cookie}", Sec_Fetch_Mode="navigate")

    assert route.needs == {"GET": INSIDE}
    assert with_cookie.status == 200
    assert forged.status == 403
    assert world.ask("me", "student", method="POST", body="x=1").body == "written"


def test_a_page_asks_the_hub_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own XSRF token is made from what is known: the mixin's synchronous question would stop the whole service."""
    asked: list[str] = []
    real_get_user = hub_side.HubAuth.get_user
    monkeypatch.setattr(
        hub_side.HubAuth,
        "get_user",
        lambda self, handler, *, sync=True: (asked.append(str(sync)), real_get_user(self, handler, sync=sync))[1],
    )
    cookie = web.create_signed_value(world.cookie_secret, "service-bootcamp", "student").decode()

    page = world.ask("me/progress", Cookie=f"service-bootcamp={cookie}", Sec_Fetch_Mode="navigate")

    assert 'name="_xsrf"' in page.body
    assert asked == ["False"]


def test_a_revoked_right_bites_within_30_seconds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub's answer is believed for 30 s and no longer."""
    now = [1e6]
    monkeypatch.setattr(hub_side.time, "monotonic", lambda: now[0])
    world.hub.let_in("temp", "temp", (ENTER, READ_ALL))
    assert world.ask("cohort", "temp").status == 200

    world.hub.let_in("temp", "temp", (ENTER,))
    now[0] += 31

    assert world.ask("cohort", "temp").status == 403


def test_looking_at_a_person_is_recorded(world: World, ledger: Ledger, real: dict[str, str]) -> None:
    """Every view of a person by staff is an event that says who looked, at whom and at what; a refused one is not."""
    before = ledger.last_event()
    world.ask(f"cohort/student/{real['pseudonym']}", "instructor")
    world.ask(f"cohort/student/{real['pseudonym']}", "organizer")
    world.ask(f"cohort/student/{real['pseudonym']}/attempt/{real['attempt']}", "organizer")
    world.ask("me", "student")

    seen = ledger.events(after=before)

    assert [(e.kind, e.actor, e.subject, dict(e.payload)) for e in seen] == [
        ("person.viewed", "olga", real["pseudonym"], {"page": "person"}),
        ("person.viewed", "olga", real["pseudonym"], {"page": "attempt", "attempt": real["attempt"]}),
    ]


def test_what_cannot_be_recorded_is_not_shown(
    world: World, ledger: Ledger, real: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page of a person without its event; the reader gets an incident number and no detail of ours."""

    def refuse(*_: object) -> int:
        raise OSError("disk full at /secret/place")

    monkeypatch.setattr(Ledger, "record", refuse)

    answer = world.ask(f"cohort/student/{real['pseudonym']}", "organizer")

    assert answer.status == 500
    assert "Incident" in Text(answer.body).text
    assert "secret" not in answer.body
    assert not re.search(rf"\b{NAMES['student']}\b", Text(answer.body).text)  # an incident number may well spell it inside


def test_the_start_leads_by_right(world: World) -> None:
    """Staff land at the overview, mentors at their invitees, everybody else at their own work."""
    landed = {role: world.ask("", role).headers["Location"].removeprefix("/services/bootcamp/") for role in ROLES}

    assert landed == {"student": "me", "mentor": "mentees", "instructor": "overview", "organizer": "overview"}


def test_the_health_check_says_nothing_but_health(world: World) -> None:
    """Everybody may ask, so it holds no fact of the course."""
    assert as_json(world.ask("healthz")) == {"status": "ok"}


def test_a_large_body_is_not_read(world: World) -> None:
    """No route takes a body: what announces more than the cap is refused before a byte of it arrives."""
    connection = http.client.HTTPConnection("127.0.0.1", world.port, timeout=30)
    connection.putrequest("POST", "/services/bootcamp/me")
    connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()

    assert connection.getresponse().status == 400
    connection.close()


def test_a_slow_page_does_not_hold_up_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages read the ledger in threads, so one that waits for the database leaves the service free."""
    used: list[object] = []
    real_thread = asyncio.to_thread

    async def noting(work, *args):
        used.append(work.__name__)
        return await real_thread(work, *args)

    monkeypatch.setattr(handlers.asyncio, "to_thread", noting)
    for path, role in (("me", "student"), ("cohort", "organizer"), ("healthz", None)):
        world.ask(path, role)

    assert used == ["overview", "cohort", "last_event"]


def test_terms_of_the_world_are_as_the_tests_believe(filled: cohort_world.World, ledger: Ledger) -> None:
    """The made-up term has what these tests talk about: 24 students, five weeks of hand-ins, nothing in the future."""
    assert len(ledger.students()) == 24
    assert all(a.received_at <= cohort_world.NOW for a in ledger.attempts())
    assert timedelta(weeks=4) < cohort_world.NOW - cohort_world.START
    assert {a.assignment for a in ledger.attempts()} == {a.id for a in list(filled.course)[: cohort_world.N_OPEN]}


def test_public_routes_are_those_that_must_be() -> None:
    """Nobody is asked who they are at the health check, the assets, the way back from the login and a transcript's address."""
    public = {r.path for r in ROUTES if PUBLIC in r.needs.values()}

    verify = {f"verify/{ID}", rf"verify/{ID}/(transcript\.json|transcript\.sig|key\.pem)"}
    assert public == {"healthz", r"static/([a-z]+\.[a-z]+)", "oauth_callback", *verify}


def test_the_style_sheet_is_served_from_memory_only(world: World, tmp_path: Path) -> None:
    """No path of the disk can be asked for."""
    assert world.ask("static/style.css").headers["Content-Type"].startswith("text/css")
    assert world.ask("static/app.py").status == 404
