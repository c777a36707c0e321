"""The small course with its exchange: the real service on a socket, nbgrader's own classes as its clients, a small grader."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from autograder.course import Course
from autograder.grading.passed import Stamps, key_of
from autograder.home import Home
from autograder.records import Ledger
from autograder.service.desk import Desk
from autograder.service.roles import ENTER
from tests.service_world import PREFIX, World, serving
from tests.small_home import ID, SmallDoor, small_home

DOOR = "tests.small_home.open_small_door"
START = datetime(2027, 1, 11, 9, 0, tzinfo=UTC)  # three weeks before the small course's due date


@dataclass
class Clock:
    """The service's clock: every look at it is a second later."""

    now: datetime = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class Room:
    """One course, its service, and people with a folder each."""

    course: Course
    home: Home
    ledger: Ledger
    desk: Desk
    world: World
    clock: Clock
    people: set[str] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.world.port}{PREFIX}"

    @property
    def root(self) -> Path:
        return self.home.nbgrader_root

    def folder(self, name: str) -> Path:
        """The person's home; a student gets a token of the Hub with their first look at it."""
        if name not in self.people and name not in self.world.hub.models:
            self.world.hub.let_in(name, name, (ENTER,))
        self.people.add(name)
        path = self.home.path / "users" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def env(self, token: str) -> dict[str, str]:
        """What the Hub sets in a server; tokens of students are their names, of staff their role's."""
        self.folder(token)
        return {"BOOTCAMP_SERVICE": self.address, "JUPYTERHUB_API_TOKEN": token}

    @contextmanager
    def acting(self, token: str) -> Iterator[Path]:
        """Be that person in their own folder, as their server is."""
        before, folder = Path.cwd(), self.folder(token)
        old = {name: os.environ.get(name) for name in self.env(token)}
        os.environ.update(self.env(token))
        os.chdir(self.root if token == "instructor" else folder)
        try:
            yield folder
        finally:
            os.chdir(before)
            for name, value in old.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    def config(self) -> Config:
        config = Config(PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config())
        config.GradeInBox.door = DOOR
        return config

    def plugin(self, name: str, **traits: Any) -> Any:
        """Return a plugin of the exchange as nbgrader makes it; call `start` on it while somebody acts."""
        config = self.config()
        config.CourseDirectory.assignment_id = traits.pop("assignment", ID)
        if "student" in traits:
            config.CourseDirectory.student_id = traits.pop("student")
        api = NbGraderAPI(CourseDirectory(config=config), config=config)
        made = getattr(api.exchange, name)(coursedir=api.coursedir, authenticator=api.authenticator, parent=api)
        for trait, value in traits.items():
            setattr(made, trait, value)
        return made

    def let_out(self) -> None:
        """Release the course as if the gate had passed."""
        self.stamp()
        self.desk.exchange.release(ID, None, "ines")

    def stamp(self) -> None:
        """Leave what a run of the gate leaves that found no fault."""
        assignment = self.course.assignment(ID)
        Stamps(self.home.path / "gate").keep(assignment, key_of(assignment), 20, "seed", self.clock())

    def submit(self, student: str, raw: bytes) -> None:
        """Put the notebook into the student's folder and submit it, by nbgrader's own means."""
        with self.acting(student) as folder:
            if not (folder / ID).exists():
                self.plugin("FetchAssignment").start()
            (folder / ID / f"{ID}.ipynb").write_bytes(raw)
            self.plugin("Submit").start()

    def grade(self) -> int:
        """Be the worker: grade everything that waits."""
        n = 0
        while lease := self.ledger.queue.claim("small"):
            attempt = self.ledger.attempt(lease.attempt)
            assert attempt is not None
            raw = self.desk.exchange.blobs.get(attempt.sha256)
            graded = SmallDoor(self.home).grade(raw, attempt.assignment, attempt.pseudonym, attempt.received_at)
            self.ledger.settle(lease, graded, self.clock())
            n += 1
        return n


@contextmanager
def room_in(folder: Path) -> Iterator[Room]:
    """Open the course's service below the folder."""
    course, home = small_home(folder)
    home.path.chmod(0o700)
    clock = Clock()
    with Ledger.open(home.ledger_url) as ledger:
        desk = Desk.of(course, ledger, clock, home.path)
        with serving(desk) as world:
            yield Room(course, home, ledger, desk, world, clock)


def without(folder: Path) -> None:
    """Take a fetched assignment away."""
    shutil.rmtree(folder / ID, ignore_errors=True)
