"""Formgrader, in a real Jupyter server configured as on the Hub: its button grades through our door."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tests.nbgrader_world import World
from tests.small_home import ID, OUR_FAULT, answers, handed_in

ROOT = Path(__file__).parent.parent
WRONG = "def low(v): return 0\ndef high(v): return 0\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("formgrader"))
    broken = OUR_FAULT + "\n" + answers()["s1_sums.low"]
    for student, changed in {"ada": {}, "bob": {"low": WRONG}, "emil": {"low": broken}}.items():
        folder = world.root / "submitted" / student / ID
        folder.mkdir(parents=True)
        (folder / f"{ID}.ipynb").write_bytes(handed_in(world.course, answers(**changed)))
        (folder / "timestamp.txt").write_text("2026-10-05 12:00:00.5 UTC")
    (world.root / "nbgrader_local.py").write_text('get_config().GradeInBox.door = "tests.small_home.open_small_door"\n')
    return world


@pytest.fixture(scope="module")
def ask(world, tmp_path_factory):
    """A function that asks the server for a path and returns what it answers."""
    config = tmp_path_factory.mktemp("config")
    (config / "jupyter_server_config.json").write_text(
        json.dumps({"ServerApp": {"jpserver_extensions": {"nbgrader.server_extensions.formgrader": True}}})
    )
    for role in ("common", "instructor"):
        (config / role).mkdir()
        shutil.copy(ROOT / "docker" / role / "nbgrader_config.py", config / role)
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "JUPYTER_CONFIG_PATH": f"{config / 'instructor'}:{config / 'common'}:{config}",
        "JUPYTER_CONFIG_DIR": str(config / "none"),
        "JUPYTER_RUNTIME_DIR": str(config / "runtime"),
        "BOOTCAMP_HOME": str(world.home.path),
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=t", "--ServerApp.disable_check_xsrf=True"]
    command = [sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root", f"--ServerApp.port={port}", *options]
    log = config / "log"
    with log.open("w") as out, subprocess.Popen(command, cwd=world.root, env=env, stderr=out, stdout=out) as server:
        try:
            wait_until_it_answers(server, f"http://127.0.0.1:{port}/api", log)
            yield lambda path, data=None: fetch(f"http://127.0.0.1:{port}{path}", data)
        finally:
            server.terminate()
            server.wait(20)


def wait_until_it_answers(server, url, log):
    for _ in range(600):
        try:
            fetch(url, None)
            return
        except URLError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.1)  # for its end, which would be an error
                break
    raise AssertionError(log.read_text())


def fetch(url, data):
    try:
        with urlopen(Request(url, data=data, headers={"Authorization": "token t"}), timeout=60) as answer:
            return answer.read().decode()
    except HTTPError as e:
        return f"{e.code}: {e.read().decode()}"


def test_the_button_gives_the_doors_scores(ask, world):
    """One right, one wrong, one that we could not grade: that one still needs autograding, and its log says why."""
    logs = {s: json.loads(ask(f"/formgrader/api/submission/{ID}/{s}/autograde", b"")) for s in ("ada", "bob", "emil")}
    shown = {s["student"]: (s["score"], s["autograded"]) for s in json.loads(ask(f"/formgrader/api/submissions/{ID}"))}

    assert {s: log["success"] for s, log in logs.items()} == {"ada": True, "bob": True, "emil": False}, logs
    assert shown == {"ada": (10.5, True), "bob": (9.0, True), "emil": (0.0, False)}
    assert "s1_sums.low: not graded, by our fault and not the student's; nothing counts as zero" in logs["emil"]["log"]


def test_the_page_for_grading_by_hand_shows_code_and_verdict(ask, world):
    """The student's answer, the points and the words of the verdict; also for what `bootcamp grade` published."""
    world.publish(world.submitted("cleo", low=WRONG))
    notebooks = {n["student"]: n["id"] for n in json.loads(ask(f"/formgrader/api/submitted_notebooks/{ID}/{ID}"))}
    for student in ("bob", "cleo"):
        page = ask(f"/formgrader/submissions/{notebooks[student]}/")
        assert "s1_sums.low: fail, 0 of 1.5 points" in page
        assert "Student" in page
        assert re.search(r"def.{0,80}high.{0,200}return", page, re.DOTALL)


def test_the_list_of_assignments_knows_ours(ask):
    """Points and due date as registered."""
    (found,) = json.loads(ask("/formgrader/api/assignments"))

    assert (found["name"], found["max_score"], found["duedate"]) == (ID, 10.5, "2027-01-31T23:59:00")
