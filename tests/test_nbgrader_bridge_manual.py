"""What people score and remark in formgrader enters the ledger, and a rebuilt gradebook holds what the old one held."""

from __future__ import annotations

from datetime import timedelta

import pytest
from click.testing import CliRunner

from autograder.cli import bootcamp
from autograder.nbgrader_bridge import manual
from autograder.nbgrader_bridge.projection import Projector
from autograder.records import Attempt, Blobs, Ledger
from autograder.records.remarks import remarks_of
from tests.nbgrader_world import NOW, World
from tests.small_home import ID, SmallDoor, answers, handed_in

RUNNING = f"{ID}.running_mean"


class LedgerWorld(World):
    """The small course with a ledger: hand-ins are recorded, kept and published from there."""

    def __init__(self, folder):
        super().__init__(folder)
        self.ledger = Ledger.open(self.home.ledger_url)
        self.projector = Projector(self.home, self.course, self.ledger)

    def hand_in(self, student, at=NOW, **changed):
        pseudonym = self.ledger.enrol(student, "2026", NOW)
        raw = handed_in(self.course, answers(**changed))
        graded = SmallDoor(self.home).grade(raw, ID, student, at)
        Blobs(self.home.blobs).put(raw)
        self.ledger.append(Attempt.of(pseudonym, ID, graded.sha256, at), graded, at)
        return pseudonym

    def score_by_hand(self, student, points, remark=None, extra=None):
        """As formgrader does it, through nbgrader's own models."""
        with self.gradebook() as gradebook:
            grade = gradebook.find_grade("running_mean-check", ID, ID, student)
            grade.manual_score, grade.extra_credit, grade.needs_manual_grade = points, extra, False
            if remark is not None:
                gradebook.find_comment("running_mean", ID, ID, student).manual_comment = remark
            gradebook.db.commit()

    def collect(self, **how):
        return manual.collect(self.ledger, self.root / "gradebook.db", NOW, **how)

    def publish(self, *args):
        env = {"BOOTCAMP_COURSE": str(self.home.course_root), "BOOTCAMP_HOME": str(self.home.path)}
        done = CliRunner().invoke(bootcamp, ["publish", *args], env=env, catch_exceptions=False)
        assert done.exit_code == 0
        return done.output


@pytest.fixture
def world(tmp_path):
    made = LedgerWorld(tmp_path)
    yield made
    made.ledger.close()


def test_a_publisher_catches_up_from_where_it_was(world):
    """What was graded since the last time is published, whoever graded it, and nothing twice."""
    world.hand_in("ann")
    assert world.projector.catch_up().n_written == 1
    assert world.projector.catch_up().n_written == 0
    world.hand_in("bob", total="def total(values):\n    return 0\n")

    assert Projector(world.home, world.course, world.ledger).catch_up().n_written == 1
    assert world.scores("ann")[RUNNING] == 5
    assert world.scores("bob")[f"{ID}.total"] == 0


def test_scores_and_remarks_by_hand_become_events_once(world):
    """Numbers in the log, the free text beside it; collecting again finds nothing new; taking away is a change too."""
    ann = world.hand_in("ann")
    world.projector.catch_up()
    world.score_by_hand("ann", 4.5, "Nearly, Ann!", extra=1.0)

    assert world.collect() == 2, "a score on the check's cell, a remark on the answer's"
    assert world.collect() == 0
    events = world.ledger.events(kinds=[manual.KIND])
    assert {e.subject for e in events} == {ann}
    assert "Ann" not in str([e.payload for e in events])
    assert sorted(remarks_of(world.ledger, [e.id for e in events]).values()) == ["Nearly, Ann!"]

    world.score_by_hand("ann", None)
    assert world.collect() == 1
    cells = manual.newest(world.ledger)
    assert [g.manual_score for c, g in cells.items() if c.cell == "running_mean-check"] == [None]


@pytest.mark.parametrize("lost", [False, True])
def test_a_rebuilt_gradebook_is_the_gradebook(world, lost):
    """Row for row, whether the old one is there or was lost, with everything that was given by hand."""
    for n, student in enumerate(["ann", "bob"]):
        world.hand_in(student, NOW + timedelta(hours=n))
    world.hand_in("bob", NOW + timedelta(hours=5), total="def total(values):\n    return 0\n")
    world.publish()
    world.score_by_hand("bob", 2.5, "=cmd|' /C calc'!A0", extra=0.5)
    world.publish()
    before = world.rows()
    if lost:
        (world.root / "gradebook.db").unlink()
        (world.root / ".prepared.json").unlink()

    said = world.publish("--rebuild")

    assert "2 submissions published" in said
    assert world.rows() == before
    assert world.scores("bob", "manual_score")[RUNNING] == 2.5
    world.publish()
    assert world.rows() == before, "and the next publication takes nothing back"


def test_a_regrade_reaches_the_gradebook_and_leaves_manual_scores(world):
    """The automatic score follows the ledger; what a person gave stays."""
    ann = world.hand_in("ann", running_mean="class RunningMean:\n    pass\n")
    world.projector.catch_up()
    world.score_by_hand("ann", 3.0)
    (attempt,) = world.ledger.attempts(ann)
    from dataclasses import replace

    raw = handed_in(world.course, answers())
    full = SmallDoor(world.home).grade(raw, ID, "ann", NOW)
    world.ledger.append(attempt, replace(full, sha256=attempt.sha256, grader_build="repaired"), NOW)

    assert world.projector.catch_up().n_written == 1
    assert world.scores("ann")[RUNNING] == 5
    assert world.scores("ann", "manual_score")[RUNNING] == 3.0


def test_bytes_that_are_not_kept_are_told_and_harm_nobody_else(world):
    """A hand-in from before blobs were kept is left out, by name; the others are published."""
    ann = world.hand_in("ann")
    world.hand_in("bob", total="def total(values):\n    return 0\n")
    Blobs(world.home.blobs).remove(world.ledger.attempts(ann)[0].sha256)

    done = world.projector.everything()

    assert done.n_written == 1
    assert [line for line in done.left_out if "ann" in line and "not kept" in line]
