"""A person's data can be taken along and taken away; the chain of facts holds, and finds who rewrites them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from autograder.grading.verdict import CheckResult, Graded, Status, Verdict
from autograder.records import Blobs, Ledger, LedgerError, chain
from autograder.records.remarks import with_remark
from autograder.records.subjects import erase, export_subject
from tests.ledger_world import START, graded, handed_in, minute, postgres_ledger, sqlite_ledger

SECRET = "Ada Lovelace"


class World:
    """Ada and bob handed in; whatever may hold free text holds Ada's name."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger, self.blobs, self.folder = ledger, Blobs(folder / "blobs"), folder
        self.ada, self.bob = ledger.enrol(SECRET, "2026", START), ledger.enrol("bob", "2027", START)
        own, shared, plot = (self.blobs.put(x) for x in (SECRET.encode(), b"same", b"plot of Ada"))
        first = ledger.hand_in(self.ada, "t1", own, minute(1), files={f"{SECRET}.png": plot}).attempt
        ledger.hand_in(self.ada, "t1", shared, minute(2))
        ledger.hand_in(self.bob, "t1", shared, minute(3))
        check = CheckResult("c", Status.FAIL, 1.0, True, hint=f"found {SECRET}")
        verdict = Verdict("T1.mask", Status.FAIL, 1.0, 4.0, (check,), f"found {SECRET}", (f"cell of {SECRET}",))
        ledger.append(first, Graded("t1", own, (verdict,), "b1", "B", (SECRET,), SECRET, ""), minute(4))
        with_remark(ledger, "manual.scored", minute(5), "formgrader", self.ada, {"manual_score": 2.0}, f"Well done, {SECRET}")
        self.hashes = {"own": own, "shared": shared, "plot": plot}

    def verify(self) -> chain.Checked:
        with self.ledger.reading() as db:
            return chain.verify(db)

    def everything(self) -> str:
        """All rows of all tables of ours, as text."""
        with self.ledger.reading() as db:
            names = [n for n in sa.inspect(db).get_table_names() if not n.startswith("procrastinate")]
            return "\n".join(str(db.execute(sa.text(f"SELECT * FROM {n}")).all()) for n in names)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with postgres_ledger() if request.param == "postgresql" else sqlite_ledger(tmp_path) as opened:
        yield World(opened, tmp_path)


def test_a_chain_per_cohort_holds(world: World) -> None:
    """Every event is linked, in the chain of its student's cohort."""
    found = world.verify()

    assert found.broken is None
    assert found.n_events == world.ledger.last_event()
    assert set(found.heads) == {"2026", "2027"}


@pytest.mark.parametrize(
    ("table", "change", "why"),
    [
        ("event", "UPDATE event SET payload = '{}' WHERE id = :e", "event itself"),
        ("event", "UPDATE event SET actor = 'x' WHERE id = :e", "event itself"),
        ("verdict", "UPDATE verdict SET points = 4 WHERE grading = :e", "rows of attempt.graded"),
        ("verdict", "DELETE FROM verdict WHERE grading = :e", "rows of attempt.graded"),
        ("grading", "UPDATE grading SET grader_build = 'other' WHERE event = :e", "rows of attempt.graded"),
        ("student", "UPDATE student SET cohort = 'elsewhere'", "cohort"),
        ("link", "DELETE FROM link WHERE event = :e", "no link"),
    ],
)
def test_whoever_rewrites_the_past_is_found(world: World, table: str, change: str, why: str) -> None:
    """The first broken event is named, whatever the guards were told."""
    (grading,) = [e.id for e in world.ledger.events(kinds=["attempt.graded"])]
    with world.ledger._engine.begin() as db:
        if db.dialect.name == "sqlite":
            for trigger in db.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all():
                db.execute(sa.text(f"DROP TRIGGER {trigger}"))
        else:
            db.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        db.execute(sa.text(change), {"e": grading} if ":e" in change else {})
    broken = world.verify().broken

    assert broken is not None
    assert why in broken.why
    assert broken.event == (1 if table == "student" else grading)


def test_an_event_written_past_the_door_is_found(world: World) -> None:
    """It has no link; the next append through the door would link it, so verify often."""
    with world.ledger._engine.begin() as db:
        db.execute(sa.text("INSERT INTO event (id, kind, at, actor, payload) VALUES (999, 'x', '2026-01-01', 'y', '{}')"))

    assert world.verify().broken.event == 999


def test_a_person_can_take_everything_along(world: World) -> None:
    """Facts, texts, names of files, remarks: one JSON document."""
    text = json.dumps(export_subject(world.ledger, SECRET), default=str)

    for word in (f"Well done, {SECRET}", f"cell of {SECRET}", f"{SECRET}.png", world.hashes["own"], "T1.mask", world.ada):
        assert word in text
    assert world.bob not in text


def test_a_person_can_be_forgotten(world: World) -> None:
    """The name stands nowhere; facts and chain stay; bytes that bob handed in too are kept for bob."""
    points = [v.points for v in world.ledger.results(world.ada)[0].attempts[0].verdicts]
    assert SECRET in world.everything()

    done = erase(world.ledger, world.blobs, SECRET, minute(9), "olga")

    assert SECRET not in world.everything()
    assert (done.n_attempts, done.n_blobs) == (2, 2)
    assert [world.blobs.has(world.hashes[n]) for n in ("own", "shared", "plot")] == [False, True, False]
    assert world.verify().broken is None
    assert [v.points for v in world.ledger.results(world.ada)[0].attempts[0].verdicts] == points
    assert world.ledger.events(kinds=["subject.erased"])[0].subject == world.ada
    assert world.ledger.student(SECRET) is None
    with pytest.raises(LedgerError, match="erased already"):
        erase(world.ledger, world.blobs, SECRET, minute(9), "olga")


def test_an_erased_name_does_not_stay_in_the_file(tmp_path: Path) -> None:
    """SQLite overwrites what it deletes, and its journal is emptied."""
    with sqlite_ledger(tmp_path) as ledger:
        world = World(ledger, tmp_path)
        erase(world.ledger, world.blobs, SECRET, minute(9), "olga")

        assert not [p.name for p in tmp_path.glob("ledger.sqlite*") if SECRET.encode() in p.read_bytes()]


def test_the_guards_are_back_after_an_erasure(world: World) -> None:
    """Lifted for one transaction only."""
    erase(world.ledger, world.blobs, SECRET, minute(9), "olga")
    attempt = handed_in(world.bob, 20)
    world.ledger.append(attempt, graded(attempt, mask=1), minute(21))

    for statement in ("UPDATE verdict SET points = 4", "UPDATE grading SET output = 'x'", "DELETE FROM verdict"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), world.ledger._engine.begin() as db:
            db.execute(sa.text(statement))
