"""`bootcamp work`, as a process: real box, real queue; graded as it comes, published, ended by signals without loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder.course import load
from autograder.grading.bundle import build_id
from autograder.grading.passed import Stamps, key_of
from autograder.home import Home
from autograder.records import Blobs, Ledger
from autograder.submission.compose import compose
from tests import tiny
from tests.ledger_world import START, minute

D = "x1_tiny.double"


LOOK_OFTEN = "from autograder.commands import work; work._LOOK_S = 0.3; "


class World:
    def __init__(self, folder: Path) -> None:
        tiny.write(folder)
        self.home = Home.from_env({"BOOTCAMP_HOME": str(folder / "var"), "BOOTCAMP_SEED": "s" * 40}, folder)
        self.home.make()
        self.n = 0
        with Ledger.open(self.home.ledger_url) as ledger:
            self.ann = ledger.enrol("ann", "2026", START)

    def hand_in(self, **answers: str) -> str:
        self.n += 1
        given = {**tiny.REFERENCE, **{f"x1_tiny.{k}": v for k, v in answers.items()}}
        sha256 = Blobs(self.home.blobs).put(compose(tiny.manifest(), given))
        with Ledger.open(self.home.ledger_url) as ledger:
            return ledger.hand_in(self.ann, tiny.ASSIGNMENT, sha256, minute(self.n)).attempt.id

    def start(self, *args: str) -> subprocess.Popen[str]:
        env = {**os.environ, "BOOTCAMP_HOME": str(self.home.path), "BOOTCAMP_SEED": "s" * 40, "OMP_NUM_THREADS": "1"}
        command = [
            sys.executable,
            "-c",
            LOOK_OFTEN + "from autograder.cli import main; main()",
            "work",
            "--workers",
            "1",
            "--no-publish",
            *args,
        ]
        return subprocess.Popen(
            command, cwd=self.home.course_root, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def status(self, attempt: str) -> str:
        with Ledger.open(self.home.ledger_url) as ledger:
            return ledger.queue.status(attempt).state


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def wait_for(world: World, attempt: str, state: str) -> None:
    for _ in range(1200):
        if world.status(attempt) == state:
            return
        time.sleep(0.1)
    pytest.fail(f"{attempt} is {world.status(attempt)}, not {state}, after two minutes")


def test_what_waits_is_graded_in_the_box(world: World):
    """--once grades the queue and ends; a right answer has its points, a wrong one not."""
    right, wrong = world.hand_in(), world.hand_in(double="def double(x):\n    return x\n")
    process = world.start("--once")
    said, _ = process.communicate(timeout=240)

    assert process.returncode == 0, said
    assert [world.status(a) for a in (right, wrong)] == ["graded", "graded"]
    with Ledger.open(world.home.ledger_url) as ledger:
        assert [a.points for a in ledger.results(world.ann)[0].attempts] == [12, 8]


def test_sigterm_ends_between_jobs_and_sigkill_loses_nothing(world: World):
    """A worker killed while it grades leaves a lease; one that is asked to end gives its slow job back."""
    attempt = world.hand_in(double="import time\ndef double(x):\n    time.sleep(3600)\n")
    process = world.start()
    wait_for(world, attempt, "running")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 0, said
    assert world.status(attempt) == "queued"
    process = world.start()
    wait_for(world, attempt, "running")
    process.kill()
    process.communicate(timeout=60)  # ends only when its grading process, which shares its output, has ended too
    assert world.status(attempt) == "running", "the lease is not over yet"


def test_edited_checks_are_taken_up_when_the_gate_has_passed_them(world: World):
    """Not before, not by halves, and without a restart by hand; what runs is finished first."""
    assignment = load(world.home.course_root).assignment(tiny.ASSIGNMENT)
    (assignment.release / f"{assignment.id}.ipynb").write_text("{}")
    process = world.start()
    builds = []

    def graded() -> None:
        attempt = world.hand_in(double=f"{tiny.REFERENCE[D]}  # {len(builds)}\n")
        wait_for(world, attempt, "graded")
        with Ledger.open(world.home.ledger_url) as ledger:
            builds.append(ledger.gradings(attempt)[-1].grader_build)

    graded()
    with next(assignment.folder.glob("hidden*.py")).open("a") as file:
        file.write("\n# mended\n")
    time.sleep(1.0)
    graded()
    Stamps(world.home.path / "gate").keep(assignment, key_of(assignment), 20, "abc", START)
    time.sleep(1.0)
    graded()
    process.terminate()
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 0, said
    assert builds[0] == builds[1] != builds[2] == build_id(assignment)
    assert said.index(f"edited: {tiny.ASSIGNMENT}") < said.index("grading goes on with them")
