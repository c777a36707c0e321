"""A course in; the bootcamp's service and graders running on a copy of it out, with a stand-in for the Hub: to be measured.

The service and `bootcamp work` are their own processes, as on a Hub; the stand-in says that every token is a student's name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from autograder.course import Course, load
from autograder.home import Home
from autograder.nbgrader_bridge.exchange.client import Client, ServiceError
from autograder.records import Ledger
from autograder.service.bench_hub import PREFIX, hub_for_service
from autograder.service.desk import exchange_of

_PATIENCE_S = 1800.0


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
    work = [sys.executable, "-c", "from autograder.cli import main; main()", "work", "--no-publish", "--quiet"]
    with hub_for_service() as (port, told), (folder / "log").open("wb") as log:
        env = {**os.environ, "BOOTCAMP_COURSE": str(root), "BOOTCAMP_HOME": str(home.path), **told}
        service = subprocess.Popen([sys.executable, "-m", "autograder.service"], env=env, stdout=log, stderr=log)
        graders = subprocess.Popen([*work, "--workers", str(n_workers)], env=env, stdout=log, stderr=log)
        try:
            found = Place(
                home, course, f"http://127.0.0.1:{port}{PREFIX}", psutil.Process(graders.pid), psutil.Process(service.pid)
            )
            until(lambda: _answers(found), "the service does not answer")
            yield found
        finally:
            for process in (graders, service):
                process.terminate()
            for process in (graders, service):
                process.wait(60)


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
