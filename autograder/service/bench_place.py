"""A course in; the bootcamp's service and graders running on a copy of it out, with a stand-in for the Hub: to be measured.

The service and `bootcamp work` are their own processes, as on a Hub; the stand-in says that every token is a student's name.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from autograder.course import Course, load
from autograder.home import Home
from autograder.nbgrader_bridge.exchange.client import Client, ServiceError
from autograder.records import Ledger
from autograder.service.desk import exchange_of
from autograder.service.roles import ENTER, SERVICE

_PREFIX = f"/services/{SERVICE}/"
_PATIENCE_S = 1800.0


class _Hub(BaseHTTPRequestHandler):
    """Says that every token is the student of that name."""

    def do_GET(self) -> None:
        name = self.headers.get("Authorization", "").removeprefix("token ")
        body = json.dumps({"name": name, "kind": "user", "admin": False, "groups": [], "scopes": [ENTER]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Place:
    """A running service and its graders."""

    home: Home
    course: Course
    address: str
    graders: psutil.Process
    service: psutil.Process

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far of graders and service, with all below them and those that have ended."""
        return _cpu_s(self.graders), _cpu_s(self.service)

    def client(self, name: str) -> Client:
        return Client(self.address, name)


def _cpu_s(root: psutil.Process) -> float:
    total = 0.0
    for p in [root, *root.children(recursive=True)]:
        try:
            t = p.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += t.user + t.system + t.children_user + t.children_system
    return total


@contextmanager
def place(course_root: Path, folder: Path, assignment: str, n_workers: int) -> Iterator[Place]:
    """Copy the course, release the assignment, start service and graders, stop them."""
    root = folder / "course"
    for name in ("assignments", "solutions", "release"):
        shutil.copytree(course_root / name, root / name)
    toml = root / "assignments" / "course.toml"
    toml.write_text(toml.read_text("utf-8").replace("[grading]\n", '[grading]\ncheck_alone = "practice"\n', 1), "utf-8")
    home = Home.from_env({"BOOTCAMP_HOME": str(folder / "home")}, root)
    home.make()
    course = load(root)
    with Ledger.open(home.ledger_url) as ledger:
        exchange_of(course, ledger, home.path, lambda: datetime.now(UTC)).release(assignment, None, "bench", waived="a measurement")
    hub = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    port = _free_port()
    env = {**os.environ, "BOOTCAMP_COURSE": str(root), "BOOTCAMP_HOME": str(home.path), "OMP_NUM_THREADS": "1"}
    env |= {
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}",
        "JUPYTERHUB_SERVICE_PREFIX": _PREFIX,
        "JUPYTERHUB_API_TOKEN": "bench",
        "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub.server_port}/hub/api",
        "JUPYTERHUB_CLIENT_ID": "service-bootcamp",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([ENTER]),
    }
    work = [sys.executable, "-c", "from autograder.cli import main; main()", "work", "--no-publish", "--quiet"]
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen([sys.executable, "-m", "autograder.service"], env=env, stdout=log, stderr=log)
        graders = subprocess.Popen([*work, "--workers", str(n_workers)], env=env, stdout=log, stderr=log)
        try:
            found = Place(
                home, course, f"http://127.0.0.1:{port}{_PREFIX}", psutil.Process(graders.pid), psutil.Process(service.pid)
            )
            until(lambda: _answers(found), "the service does not answer")
            yield found
        finally:
            for process in (graders, service):
                process.terminate()
            for process in (graders, service):
                process.wait(60)
            hub.shutdown()


def until(true: Callable[[], bool], what: str, pause_s: float = 0.1) -> None:
    """Wait until it is true. Raises: TimeoutError that says what did not come."""
    ends = time.monotonic() + _PATIENCE_S
    while not true():
        if time.monotonic() > ends:
            raise TimeoutError(what)
        time.sleep(pause_s)


def _answers(at: Place) -> bool:
    try:
        at.client("warm").get("api/assignments")
    except ServiceError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
