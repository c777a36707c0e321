"""A ledger of every released revision is brought up to date without losing or changing a fact, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import autograder.records
from autograder.records import Attempt, Ledger, chain, database, migrate, schema
from tests.ledger_world import START, graded, handed_in, minute
from tests.postgres_server import server

# Revisions that a release was made with. Add the newest one when a release is made; never take one away.
RELEASED = ("0001",)
PSEUDONYM = "s0123456789abcdef"
VERDICTS = (("T1.mask", "pass", 4.0, 1.0), ("T1.rope", "infra", None, None))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return server().empty() if request.param == "postgresql" else f"sqlite:///{tmp_path}/ledger.sqlite"


@pytest.fixture(params=RELEASED)
def old(request: pytest.FixtureRequest, url: str) -> Attempt:
    """A database as that release made and filled it; returns its one attempt."""
    engine = database.connect(url)
    with database.writing(engine) as db:
        config = Config()
        config.set_main_option("script_location", str(Path(autograder.records.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = db
        command.upgrade(config, request.param)
    with database.writing(engine) as db:
        attempt = _fill(db)
    engine.dispose()
    return attempt


def _fill(db: sa.Connection) -> Attempt:
    """Rows as revision 0001 wrote them, texts with hints in their checks."""
    attempt = handed_in(PSEUDONYM, 1)

    def event(kind: str, at: float, payload: dict[str, object]) -> int:
        row = {"kind": kind, "at": minute(at), "actor": "system", "subject": PSEUDONYM, "payload": payload}
        return db.execute(sa.insert(schema.event).values(row).returning(schema.event.c.id)).scalar_one()

    enrolled = event("student.enrolled", 0, {"cohort": "2026"})
    db.execute(sa.insert(schema.student).values(pseudonym=PSEUDONYM, cohort="2026", joined_at=START, event=enrolled))
    db.execute(sa.insert(schema.identity).values(name="ann", pseudonym=PSEUDONYM))
    received = event("attempt.received", 1, {"attempt": attempt.id})
    db.execute(sa.insert(schema.attempt).values(**vars(attempt), event=received))
    said = event("attempt.graded", 2, {"attempt": attempt.id})
    grading = {"event": said, "attempt": attempt.id, "grader_build": "b1", "tier": "B", "origin": "graded", "try_no": 1}
    texts = {"error": "", "notes": ["a note"], "output": "printed"}
    db.execute(sa.insert(schema.grading).values(**grading, complete=False, graded_at=minute(2), cpu_s=0.5, **texts))
    checks = [{"name": "c", "status": "pass", "weight": 1.0, "core": True, "evidence": "verified", "hint": "h", "cpu_s": 0.1}]
    for position, (exercise, status, points, fraction) in enumerate(VERDICTS):
        facts = {"exercise": exercise, "position": position, "status": status, "points": points, "fraction": fraction}
        rest = {"max_points": 4.0, "evidence": "verified", "cpu_s": 0.1, "hint": "", "notes": [], "checks": checks}
        db.execute(sa.insert(schema.verdict).values(grading=said, **facts, **rest))
    event("x.note", 3, {"of": "old times"})
    return attempt


def _facts(db: sa.Connection) -> dict[str, list[object]]:
    columns = {"event": "id, kind, at, actor, subject", "attempt": "*", "grading": "*", "identity": "*", "student": "*"}
    columns["verdict"] = "grading, exercise, position, status, points, max_points, fraction, evidence, cpu_s, hint"
    return {name: db.execute(sa.text(f"SELECT {what} FROM {name} ORDER BY 1, 2")).all() for name, what in columns.items()}


def test_an_old_ledger_is_brought_up_to_date_whole(url: str, old: Attempt) -> None:
    """Every fact is as it was, every old event is in the chain, and the ledger works on."""
    engine = database.connect(url)
    with engine.connect() as db:
        before = _facts(db)
    engine.dispose()

    with Ledger.open(url) as ledger:
        with ledger.reading() as db:
            assert migrate.revision(db) == schema.HEAD
            assert _facts(db) == before
            checked = chain.verify(db)
        assert (checked.broken, checked.n_events) == (None, 4)
        (result,) = ledger.results(PSEUDONYM)
        assert [(v.exercise, v.points, v.key) for v in result.latest.verdicts] == [("T1.mask", 4.0, ""), ("T1.rope", None, "")]
        assert result.latest.verdicts[0].checks[0].hint == "h"

        assert ledger.append(old, graded(old, "b2", mask=4, rope=3), minute(9)).complete
        handed = ledger.hand_in(PSEUDONYM, "t1", "f" * 64, minute(10))
        assert (handed.number, handed.is_queued) == (2, True)
        assert ledger.queue.claim("w").attempt == handed.attempt.id


def test_the_guards_of_old_tables_still_stand(url: str, old: Attempt) -> None:
    """An upgrade leaves no table that can be rewritten."""
    with Ledger.open(url) as ledger:
        for table in ("event", "attempt", "grading", "verdict", "link"):
            with pytest.raises(sa.exc.DBAPIError, match="append-only"), ledger._engine.begin() as db:
                db.execute(sa.text(f"DELETE FROM {table}"))
