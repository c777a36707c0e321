"""A regrade is previewed, appended and undone; the first try stays the first try, and points fall only by the rule's leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.records import Ledger, LedgerError, Outcome, chain
from autograder.records.regrading import Decision, Replayed, commit, preview, regrades, undo
from tests.ledger_world import START, graded, handed_in, minute, postgres_ledger, sqlite_ledger


class World:
    """Two attempts of ann and one of bob under build b1."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.ann, self.bob = (ledger.enrol(name, "2026", START) for name in ("ann", "bob"))
        self.first, self.second, self.bobs = handed_in(self.ann, 1), handed_in(self.ann, 2), handed_in(self.bob, 3)
        for attempt, mask, rope in ((self.first, 0, 2), (self.second, 4, None), (self.bobs, 3, 4)):
            ledger.append(attempt, graded(attempt, mask=mask, rope=rope), minute(5))

    def replayed(self, build: str = "b2") -> list[Replayed]:
        """The new build finds ann's first mask right, bob's mask worse, and ann's second rope gradable."""
        said = ((self.first, 4, 2), (self.second, 4, 1), (self.bobs, 1, 4))
        return [Replayed(a, graded(a, build, mask=mask, rope=rope)) for a, mask, rope in said]

    def points(self) -> dict[str, list[float | None]]:
        found = {}
        for who, name in ((self.ann, "ann"), (self.bob, "bob")):
            for n, attempt in enumerate(self.ledger.results(who)[0].attempts, 1):
                found[f"{name} {n}"] = [v.points for v in attempt.verdicts]
        return found

    def tries(self) -> dict[tuple[str, str], float | None]:
        return {(t.pseudonym, t.exercise): t.fraction for t in self.ledger.first_tries()}


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with postgres_ledger() if request.param == "postgresql" else sqlite_ledger(tmp_path) as opened:
        yield World(opened)


def test_a_preview_shows_what_a_commit_does_and_changes_nothing(world: World) -> None:
    """Same changes, same first tries; not a trace in the log."""
    before = (world.ledger.last_event(), world.points(), world.tries())
    shown = preview(world.ledger, Decision("t1", "true"), world.replayed(), minute(9))
    assert (world.ledger.last_event(), world.points(), world.tries()) == before

    done = commit(world.ledger, Decision("t1", "true", "the mask's check was wrong", "ines"), world.replayed(), minute(9))

    assert done.changes == shown.changes
    assert done.first_tries == shown.first_tries == tuple(world.ledger.first_tries())
    assert {(c.pseudonym, c.exercise, c.points_before, c.points_after) for c in done.changes} == {
        (world.ann, "T1.mask", 0, 4),
        (world.ann, "T1.rope", None, 1),
        (world.bob, "T1.mask", 3, 1),
    }
    assert world.points() == {"ann 1": [4, 2], "ann 2": [4, 1], "bob 1": [1, 4]}


def test_points_never_fall_under_that_rule(world: World) -> None:
    """What would cost points is left out, and counted."""
    done = commit(world.ledger, Decision("t1", "never-lower", "a wrong check", "ines"), world.replayed(), minute(9))

    assert done.n_kept == 1
    assert all(c.gain > 0 for c in done.changes)
    assert world.points() == {"ann 1": [4, 2], "ann 2": [4, 1], "bob 1": [3, 4]}


def test_the_first_try_stays_the_first_try(world: World) -> None:
    """Its score follows the regrade; a later attempt does not take its place, and history can be asked for."""
    then = world.ledger.last_event()
    assert world.tries()[world.ann, "T1.mask"] == 0
    commit(world.ledger, Decision("t1", "true", "a wrong check", "ines"), world.replayed(), minute(9))

    (found,) = [t for t in world.ledger.first_tries() if (t.pseudonym, t.exercise) == (world.ann, "T1.mask")]
    assert (found.attempt, found.fraction) == (world.first.id, 1.0)
    (past,) = [t for t in world.ledger.first_tries(then) if (t.pseudonym, t.exercise) == (world.ann, "T1.mask")]
    assert past.fraction == 0


def test_an_undo_lets_stand_what_stood_and_only_appends(world: World) -> None:
    """Every score is as before; what was unscored before keeps its score; the log grew and its chain holds."""
    commit_event = commit(world.ledger, Decision("t1", "true", "a mistake", "ines"), world.replayed(), minute(9)).event
    log = world.ledger.events()

    done = undo(world.ledger, commit_event, "the old check was right", minute(10), "ines")

    assert world.points() == {"ann 1": [0, 2], "ann 2": [4, 1], "bob 1": [3, 4]}
    assert (done.n_skipped, done.n_unscorable) == (0, 1)
    assert world.ledger.events()[: len(log)] == log
    with world.ledger.reading() as db:
        assert chain.verify(db).broken is None
    with pytest.raises(LedgerError, match="undone already"):
        undo(world.ledger, commit_event, "again", minute(11), "ines")


def test_an_undo_leaves_alone_what_was_graded_anew_since(world: World) -> None:
    """A third build's word is newer than the regrade, and stays."""
    event = commit(world.ledger, Decision("t1", "true", "x", "ines"), world.replayed(), minute(9)).event
    world.ledger.append(world.first, graded(world.first, "b3", mask=1, rope=1), minute(10))

    assert undo(world.ledger, event, "x", minute(11), "ines").n_skipped == 1
    assert world.points()["ann 1"] == [1, 1]


def test_a_regrade_again_after_an_undo_needs_another_build(world: World) -> None:
    """One build speaks once about an attempt; that it has done so is said."""
    event = commit(world.ledger, Decision("t1", "true", "x", "ines"), world.replayed(), minute(9)).event
    with pytest.raises(LedgerError, match="already"):
        commit(world.ledger, Decision("t1", "true", "x", "ines"), world.replayed(), minute(9))
    undo(world.ledger, event, "x", minute(11), "ines")

    commit(world.ledger, Decision("t1", "true", "x", "ines"), world.replayed("b3"), minute(12))

    assert world.points()["ann 1"] == [4, 2]


def test_our_own_fault_during_a_replay_changes_nothing(world: World) -> None:
    """INFRA verdicts of the new build are left out: what was scored goes on standing."""
    replayed = [Replayed(world.first, graded(world.first, "b2", mask=4, rope=None))]
    commit(world.ledger, Decision("t1", "true", "x", "ines"), replayed, minute(9))

    assert world.points()["ann 1"] == [4, 2]


def test_a_late_worker_of_the_old_build_changes_nothing_after(world: World) -> None:
    """The old build has spoken: its word again is a duplicate, not the newest."""
    commit(world.ledger, Decision("t1", "true", "x", "ines"), world.replayed(), minute(9))

    assert world.ledger.append(world.first, graded(world.first, "b1", mask=0, rope=0), minute(10)).outcome is Outcome.DUPLICATE
    assert world.points()["ann 1"] == [4, 2]


def test_students_read_what_changed_and_why(world: World) -> None:
    """Points before and after, the reason, and the undo too; who is not concerned sees nothing."""
    event = commit(world.ledger, Decision("t1", "true", "the mask's check was wrong", "ines"), world.replayed(), minute(9)).event
    undo(world.ledger, event, "no, it was right", minute(10), "ines")

    found = [(r.attempt, r.points_before, r.points_after, r.reason, r.is_undo) for r in regrades(world.ledger, world.bob, "t1")]
    assert found == [
        (world.bobs.id, 7, 5, "the mask's check was wrong", False),
        (world.bobs.id, 5, 7, "no, it was right", True),
    ]
    assert regrades(world.ledger, world.bob, "t2") == []


@pytest.mark.parametrize("event", [1, 999])
def test_only_a_regrade_can_be_undone(world: World, event: int) -> None:
    """Another event's number is refused with what to type."""
    with pytest.raises(LedgerError, match="regrade --list"):
        undo(world.ledger, event, "x", minute(9), "ines")


def test_a_reason_is_needed(world: World) -> None:
    """Students read it."""
    with pytest.raises(LedgerError, match="--reason"):
        commit(world.ledger, Decision("t1", "true", " ", "ines"), world.replayed(), minute(9))
