"""nbgrader's own commands, Assignment List and formgrader over our exchange: real classes, the real service, real folders."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbgrader.exchange import ExchangeError
from nbgrader.server_extensions.assignment_list.handlers import AssignmentList
from traitlets.config.loader import PyFileConfigLoader

from autograder.nbgrader_bridge.config import PLUGINS
from autograder.nbgrader_bridge.exchange.client import Client, ServiceError
from tests.exchange_world import Room, room_in, without
from tests.small_home import ID, answers, handed_in

ROOT = Path(__file__).parent.parent
WRONG_MEAN = "class RunningMean:\n    def __init__(self, config): ...\n    def update(self, value): return -1\n"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room_in(tmp_path_factory.mktemp("exchange")) as opened:
        opened.let_out()
        yield opened


def listed(room: Room, token: str, **traits: object) -> list[dict]:
    with room.acting(token):
        return room.plugin("List", **traits).start()


def test_both_configurations_name_the_same_plugins() -> None:
    """The course folder's and the users' servers': nbgrader must meet one exchange everywhere."""
    told = PyFileConfigLoader("nbgrader_config.py", path=str(ROOT / "docker" / "common")).load_config()

    assert dict(told.ExchangeFactory) == dict(PLUGINS)


def test_a_student_goes_all_the_way(room: Room) -> None:
    """List, fetch, submit, wait, be graded, fetch feedback: each step through nbgrader's class for it."""
    assert [(i["assignment_id"], i["status"]) for i in listed(room, "ada")] == [(ID, "released")]
    with room.acting("ada") as folder:
        room.plugin("FetchAssignment").start()
        assert {p.name for p in (folder / ID).iterdir()} >= {f"{ID}.ipynb", "checks.py"}
        assert not (folder / ID / "assignment.json").exists()
    assert [i["status"] for i in listed(room, "ada")] == ["fetched"]

    room.submit("ada", handed_in(room.course, answers(running_mean=WRONG_MEAN)))
    (waiting,) = listed(room, "ada", cached=True)
    (submission,) = waiting["submissions"]
    assert "waiting, 1st in line" in submission["timestamp"]
    assert submission["has_exchange_feedback"]
    assert not submission["has_local_feedback"]

    assert room.grade() == 1
    with room.acting("ada"):
        room.plugin("FetchFeedback").start()
    (graded,) = listed(room, "ada", cached=True)
    (submission,) = graded["submissions"]
    assert "graded, 5.5 of 10.5 points" in submission["timestamp"]
    assert submission["has_local_feedback"]
    assert not submission["feedback_updated"]
    page = (Path(submission["local_feedback_path"]) / f"{ID}.html").read_text("utf-8")
    assert "not yet" in page
    assert "5.5" in page


def test_feedback_can_be_fetched_at_once_and_says_when_it_is_out_of_date(room: Room) -> None:
    """Before grading it says where the attempt stands; afterwards the list offers the newer one."""
    room.submit("bob", handed_in(room.course, answers()))
    with room.acting("bob"):
        room.plugin("FetchFeedback").start()
    before = listed(room, "bob", cached=True)[0]["submissions"][0]
    early = (Path(before["local_feedback_path"]) / f"{ID}.html").read_text("utf-8")
    room.grade()
    after = listed(room, "bob", cached=True)[0]["submissions"][0]

    assert "Received and kept" in early
    assert (before["feedback_updated"], after["feedback_updated"]) == (False, True)
    with room.acting("bob"):
        room.plugin("FetchFeedback").start()
    late = (Path(after["local_feedback_path"]) / f"{ID}.html").read_text("utf-8")
    assert "all passed" in late
    assert not listed(room, "bob", cached=True)[0]["submissions"][0]["feedback_updated"]


def test_feedback_needs_nothing_else_and_tells_no_secret(room: Room) -> None:
    """No address in it points anywhere, no script runs, and no word of a hidden check stands in it."""
    room.submit("eve", handed_in(room.course, answers(total="def total(v):\n    return '<script>alert(1)</script>'\n")))
    room.grade()
    with room.acting("eve") as folder:
        room.plugin("FetchFeedback").start()
        page = next((folder / ID / "feedback").rglob("*.html")).read_text("utf-8")

    assert "<script" not in page
    assert not any(f'{name}="{start}' in page for name in ("src", "href") for start in ("http", "/", "//"))
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert "Secret" not in page
    assert "one hundred and seventeen" not in page


def test_the_same_bytes_again_are_the_same_attempt(room: Room) -> None:
    """And a changed file beside the notebook makes another one."""
    raw = handed_in(room.course, answers(low="def low(v): return 0\n\ndef high(v): return 1\n"))
    for _ in range(2):
        room.submit("fay", raw)
    n_same = len(listed(room, "fay", cached=True)[0]["submissions"])
    (room.folder("fay") / ID / "notes.txt").write_text("mine")
    room.submit("fay", raw)
    room.grade()

    assert n_same == 1
    assert len(listed(room, "fay", cached=True)[0]["submissions"]) == 2


def test_who_and_when_are_not_the_clients_to_say(room: Room) -> None:
    """A student's configuration may claim any name, and a file any time: the Hub's name and the server's clock are kept."""
    raw = handed_in(room.course, answers())
    with room.acting("gil") as folder:
        room.plugin("FetchAssignment").start()
        (folder / ID / f"{ID}.ipynb").write_bytes(raw)
        (folder / ID / "timestamp.txt").write_text("1999-01-01 00:00:00 UTC")
        room.plugin("Submit", student="ada").start()
    (newest,) = listed(room, "instructor", inbound=True, student="gil")

    assert newest["submissions"][0]["received_at"].startswith("2027-01-11")
    attempt = Client(room.address, "gil").get("api/attempts")["attempts"][0]["attempt"]
    assert "timestamp.txt" not in room.desk.exchange.attempt_files(attempt)


def test_an_instructor_collects_what_students_handed_in(room: Room) -> None:
    """The newest attempt of each, in nbgrader's layout with the server's time; --update replaces an older one."""
    first, second = handed_in(room.course, answers(total=WRONG_MEAN)), handed_in(room.course, answers())
    room.submit("hal", first)
    with room.acting("instructor"):
        room.plugin("Collect", student="hal").start()
        submitted = room.root / "submitted" / "hal" / ID
        assert (submitted / f"{ID}.ipynb").read_bytes() == first
        assert (submitted / "timestamp.txt").read_text().endswith(" UTC")
        room.submit("hal", second)
        room.plugin("Collect", student="hal").start()
        assert (submitted / f"{ID}.ipynb").read_bytes() == first
        room.plugin("Collect", student="hal", update=True).start()
        assert (submitted / f"{ID}.ipynb").read_bytes() == second


@pytest.mark.parametrize(
    ("name", "traits"), [("List", {"inbound": True}), ("Collect", {}), ("ReleaseAssignment", {}), ("List", {"remove": True})]
)
def test_a_student_is_no_instructor(room: Room, name: str, traits: dict) -> None:
    """What takes the right to grade is refused by the service, whatever the plugin is told."""
    with room.acting("ada"), pytest.raises(ExchangeError, match="may not"):
        room.plugin(name, **traits).start()


def test_the_assignment_list_gets_what_it_expects(room: Room) -> None:
    """JupyterLab's server extension: its own manager, from fetch to feedback, with paths below the server's root."""
    with room.acting("ivy") as folder:
        (folder / "nbgrader_config.py").write_text((ROOT / "docker" / "common" / "nbgrader_config.py").read_text())
        manager = AssignmentList()
        manager.root_dir = str(folder)
        assert manager.list_courses() == {"success": True, "value": ["bootcamp"]}
        assert manager.fetch_assignment("bootcamp", ID) == {"success": True}
        fetched = manager.list_assignments("bootcamp")["value"][0]
        (folder / ID / f"{ID}.ipynb").write_bytes(handed_in(room.course, answers()))
        assert manager.submit_assignment("bootcamp", ID) == {"success": True}
        room.grade()
        assert manager.fetch_feedback("bootcamp", ID) == {"success": True}
        submitted = manager.list_assignments("bootcamp")["value"][1]

    assert (fetched["status"], fetched["notebooks"][0]["path"]) == ("fetched", f"{ID}/{ID}.ipynb")
    assert submitted["status"] == "submitted"
    path = submitted["submissions"][0]["local_feedback_path"]
    assert path.startswith(f"{ID}/feedback/")
    assert (folder / path / f"{ID}.html").is_file()


def test_a_refusal_in_the_assignment_list_says_why(room: Room) -> None:
    """What the person reads ends with our own words."""
    with room.acting("jon") as folder:
        (folder / "nbgrader_config.py").write_text((ROOT / "docker" / "common" / "nbgrader_config.py").read_text())
        manager = AssignmentList()
        manager.root_dir = str(folder)
        manager.fetch_assignment("bootcamp", ID)
        (folder / ID / "link").symlink_to("/etc/passwd")
        answer = manager.submit_assignment("bootcamp", ID)

    assert not answer["success"]
    assert '"link" is a symbolic link; only regular files are taken' in answer["value"]
    assert not room.ledger.student("jon")


@pytest.mark.parametrize(
    ("arrange", "match"),
    [
        (lambda f: (f / "big.bin").write_bytes(bytes((32 << 20) + 1)), r"big\.bin.*32 MiB"),
        (lambda f: [(f / f"n{i}").touch() for i in range(100)], "100 files"),
        (lambda f: os.mkfifo(f / "pipe"), "no regular file"),
        (lambda f: (f / f"{ID}.ipynb").rename(f / "other.ipynb"), r"found other\.ipynb\. Rename your notebook"),
    ],
    ids=["size", "count", "pipe", "renamed"],
)
def test_what_cannot_be_handed_in_is_said_before_it_is_sent(room: Room, arrange, match: str) -> None:
    """The client names the file and the limit; nothing arrives."""
    with room.acting("kim") as folder:
        without(folder)
        room.plugin("FetchAssignment").start()
        arrange(folder / ID)
        with pytest.raises(ExchangeError, match=match):
            room.plugin("Submit").start()

    assert not room.ledger.student("kim")


def hostile(*members: tuple[str, bytes, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd" if kind != tarfile.REGTYPE else ""
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


FILE = tarfile.REGTYPE
NOTEBOOK = (f"{ID}.ipynb", FILE, b"{}")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (hostile(NOTEBOOK, ("x", tarfile.SYMTYPE, b"")), 400, "symbolic link"),
        (hostile(NOTEBOOK, ("../../up", FILE, b"x")), 400, "up"),
        (hostile(NOTEBOOK, ("/abs", FILE, b"x")), 400, "abs"),
        (hostile(NOTEBOOK, (f"{ID}.IPYNB", FILE, b"x")), 400, "one file on some"),
        (hostile(("other.ipynb", FILE, b"{}")), 400, "is missing: found other.ipynb"),
        (b"\x1f\x8b" + bytes(2000), 400, "compressed"),
        (b"", 400, "cut off"),
        (b"x" * 700, 400, "not a tar archive"),
    ],
    ids=["link", "up", "absolute", "case", "no notebook", "gzip", "empty", "noise"],
)
def test_the_server_refuses_whatever_the_client_does(room: Room, body: bytes, status: int, said: str) -> None:
    """A client of the student's own making meets the same rules, and nothing is kept of what it sent."""
    room.folder("mallory")
    n_blobs = len(list((room.home.path / "blobs").rglob("*")))

    answer = room.world.ask(f"api/assignments/{ID}/hand-in", "mallory", "POST", body)

    assert answer.status == status
    assert said in json.loads(answer.body)["error"]
    assert len(list((room.home.path / "blobs").rglob("*"))) == n_blobs
    assert not room.ledger.student("mallory")


def test_a_large_upload_is_refused_by_its_header(room: Room) -> None:
    """Before a byte of it is read; and a compressed body is never unpacked."""
    room.folder("mallory")
    path = f"api/assignments/{ID}/hand-in"

    large = room.world.ask(path, "mallory", "POST", None, Content_Length=str(1 << 40))
    packed = room.world.ask(path, "mallory", "POST", b"x", Content_Encoding="gzip")

    assert (large.status, packed.status) == (413, 415)
    assert "at most" in json.loads(large.body)["error"]


def test_a_browsers_session_is_not_believed_by_the_exchange(room: Room) -> None:
    """Only a token counts there, so nothing on another page can hand in for somebody."""
    from tornado import web

    cookie = web.create_signed_value(room.world.cookie_secret, "service-bootcamp", "student").decode()
    answer = room.world.ask("api/attempts", Cookie=f"service-bootcamp={cookie}", Sec_Fetch_Mode="navigate")

    assert answer.status == 403


def test_another_students_attempt_does_not_exist(room: Room) -> None:
    """Neither its state nor its feedback."""
    room.submit("lou", handed_in(room.course, answers()))
    room.grade()
    attempt = Client(room.address, "lou").get("api/attempts")["attempts"][0]["attempt"]
    room.folder("mallory")

    for path in (f"api/attempts/{attempt}", f"api/attempts/{attempt}/feedback"):
        with pytest.raises(ServiceError, match="no such attempt of yours"):
            Client(room.address, "mallory").get(path)


def test_nobody_is_told_to_restart(room: Room) -> None:
    """A token that the Hub does not know gets words that help; and so does an address where nobody answers."""
    with pytest.raises(ServiceError, match="Restart your server"):
        Client(room.address, "unknown").get("api/attempts")
    with pytest.raises(ServiceError, match=r"does not answer.*try again"):
        Client("http://127.0.0.1:9/", "ada").get("api/attempts")
    with pytest.raises(ServiceError, match="BOOTCAMP_SERVICE is not set"):
        Client.from_env({})


@pytest.mark.slow
def test_the_command_line_works_unchanged(room: Room) -> None:
    """`nbgrader fetch_assignment`, `submit` and `list --cached` as a student types them."""
    folder = room.folder("meg")
    (folder / "nbgrader_config.py").write_text((ROOT / "docker" / "common" / "nbgrader_config.py").read_text())
    env = {**os.environ, **room.env("meg"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def nbgrader(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nbgrader", *words], cwd=folder, env=env, capture_output=True, text=True, check=False
        )

    assert nbgrader("fetch_assignment", ID).returncode == 0
    submitted = nbgrader("submit", ID)
    shown = nbgrader("list", "--cached")

    assert "Attempt 1: waiting" in submitted.stderr
    assert f"bootcamp meg {ID} 2027-01-11" in shown.stderr
    again = nbgrader("fetch_assignment", ID)
    assert again.returncode != 0
    assert "You already have a copy" in again.stderr
    room.grade()
