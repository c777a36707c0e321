"""`bootcamp regrade` and `replay`: a wrong check is found, its repair previewed, appended, published and undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.cli import bootcamp
from autograder.commands import replaying
from autograder.commands.replay import plain
from autograder.course import load
from autograder.grading.bundle import load_bundle
from autograder.grading.grade import Grader
from autograder.grading.pool import Finished, Job
from autograder.home import Home
from autograder.records import Blobs, Ledger
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.compose import compose
from tests import tiny
from tests.ledger_world import START, minute

D, S = "x1_tiny.double", "x1_tiny.scaler"
SEED = "s" * 40
# Right, and refused by a check that asks for more than the exercise says.
OTHER_RIGHT = "def double(x):\n    return 2.0 * x\n"
WRONG_CHECK = (
    """    same(student.fn("double")(x), 2 * x, "double")\n""",
    """    same(student.fn("double")(x), 2 * x, "double")\n    same(student.fn("double")(x.long()), 2 * x.long(), "double")\n""",
)


def grade_here(jobs: list[Job], course_root: Path, seed: bytes, admitted: Path, n_workers: int, env=None) -> Iterator[Finished]:
    """Grade in this process; the real pool is tested in test_commands_work.py."""
    for job in jobs:
        bundle = load_bundle(load(course_root).assignment(job.assignment))
        yield Finished(job.key, Grader(bundle, open_in_process, "C", seed).grade(job.raw, job.student, job.known))


class World:
    def __init__(self, folder: Path) -> None:
        self.course = tiny.write(folder)
        self.env = {"BOOTCAMP_COURSE": str(folder), "BOOTCAMP_HOME": str(folder / "var"), "BOOTCAMP_SEED": SEED}
        self.home = Home.from_env(self.env)
        self.home.make()
        self.edit(*WRONG_CHECK)
        with Ledger.open(self.home.ledger_url) as ledger:
            self.who = {name: ledger.enrol(name, "2026", START) for name in ("ann", "bob", "eve")}
            for n, (name, double) in enumerate(
                [("ann", OTHER_RIGHT), ("bob", tiny.DOUBLE), ("eve", "def double(x):\n    return x\n")]
            ):
                raw = compose(tiny.manifest(), {**tiny.REFERENCE, D: double})
                handed = ledger.hand_in(self.who[name], tiny.ASSIGNMENT, Blobs(self.home.blobs).put(raw), minute(n))
                job = Job(0, tiny.ASSIGNMENT, self.who[name], raw)
                (end,) = grade_here([job], folder, SEED.encode(), folder, 1)
                ledger.append(handed.attempt, end.graded, minute(n + 1))

    def edit(self, old: str, new: str) -> None:
        path = self.course.assignment(tiny.ASSIGNMENT).folder / "hidden.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def bootcamp(self, *args: str) -> str:
        done = CliRunner().invoke(bootcamp, args, env=self.env, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def points(self) -> dict[str, float]:
        with Ledger.open(self.home.ledger_url) as ledger:
            return {name: ledger.results(p)[0].latest.points for name, p in self.who.items()}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(replaying, "grade_all", grade_here)
    for name, value in {"BOOTCAMP_COURSE": "", "BOOTCAMP_HOME": "", "BOOTCAMP_SEED": SEED}.items():
        monkeypatch.setenv(name, value)
    return World(tmp_path)


def test_a_wrong_check_is_repaired_for_everybody_and_taken_back(world: World):
    """Preview, commit, undo; who was right all along gets the points, who was wrong does not."""
    assert world.points() == {"ann": 8, "bob": 12, "eve": 8}
    world.edit(WRONG_CHECK[1], WRONG_CHECK[0])

    shown = world.bootcamp("regrade", tiny.ASSIGNMENT)
    assert "3 attempts replayed" in shown
    assert "Nothing was changed" in shown
    assert "ann" in shown
    assert "0 → 4" in shown
    assert "bob" not in shown.split("Tracker")[0]
    assert world.points() == {"ann": 8, "bob": 12, "eve": 8}

    done = world.bootcamp("regrade", tiny.ASSIGNMENT, "--commit", "--rule", "true", "--reason", "the check asked for too much")
    assert world.points() == {"ann": 12, "bob": 12, "eve": 8}
    assert "Cost: 0.0 CPU s for 0 attempts; 3 were replayed before." in done, "the preview's results are used"
    event = done.split("--undo ")[1].split()[0]
    assert "the check asked for too much" in world.bootcamp("regrade", "--list")

    assert "1 verdicts" not in world.bootcamp("regrade", "--undo", event, "--reason", "no")
    assert world.points() == {"ann": 8, "bob": 12, "eve": 8}


def test_only_the_changed_check_runs_again(world: World, monkeypatch: pytest.MonkeyPatch):
    """The other exercises' verdicts are taken from the ledger: no check of theirs is asked."""
    asked: list[str] = []
    monkeypatch.setattr("autograder.grading.job.run_checks", _spy(asked))
    world.edit(WRONG_CHECK[1], WRONG_CHECK[0])
    world.bootcamp("regrade", tiny.ASSIGNMENT)

    # quadruple rests on double, by the reference that may be lent; scaler has nothing to do with it.
    assert D in asked
    assert S not in asked


def _spy(asked: list[str]):
    from autograder.grading.run import run_checks

    def spy(student, checks, draw, reference):
        asked.append(checks[0].exercise)
        return run_checks(student, checks, draw, reference)

    return spy


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["x1_tiny", "--commit"], "--rule"),
        (["x1_tiny", "--commit", "--rule", "true"], "--reason"),
        (["--undo", "3"], "--reason"),
        (["--undo", "3", "--reason", "x"], "is no regrade"),
        (["x1_tine"], "Did you mean"),
    ],
)
def test_slips_are_told_before_anything_runs(world: World, args: list[str], said: str):
    """Nothing is replayed, and the message says what is missing."""
    with pytest.raises(Exception, match=said):
        CliRunner().invoke(bootcamp, ["regrade", *args], env=world.env, catch_exceptions=False)


def test_a_replay_says_what_was_said_and_nothing_of_the_machine(world: World):
    """The same JSON from the ledger's verdicts as from a new run; no seconds, no key, no build in it."""
    with Ledger.open(world.home.ledger_url) as ledger:
        attempt = ledger.results(world.who["ann"])[0].latest
    raw = Blobs(world.home.blobs).get(attempt.attempt.sha256)
    bundle = load_bundle(load(world.course.root).assignment(tiny.ASSIGNMENT))
    again = plain(Grader(bundle, open_in_process, "B", SEED.encode()).grade(raw, world.who["ann"]))
    (end,) = grade_here([Job(0, tiny.ASSIGNMENT, world.who["ann"], raw)], world.course.root, SEED.encode(), world.course.root, 1)

    assert again == plain(end.graded)
    text = json.dumps(again)
    assert not [word for word in ("cpu_s", "key", "build", "tier") if f'"{word}"' in text]
    assert [v["points"] for v in again["verdicts"]] == [v.points for v in attempt.verdicts]
