"""Migrations make exactly the tables that schema.py describes, once, and refuse what a newer release wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import autograder.records
from autograder.records import Ledger, LedgerError, schema
from tests.ledger_world import START, postgres_ledger, sqlite_ledger


def _differences(ledger: Ledger) -> list[object]:
    with ledger._engine.connect() as db:
        ours = [schema.metadata, *([schema.queue_metadata] if db.dialect.name == "sqlite" else [])]
        opts = {"compare_type": True, "compare_server_default": True, "target_metadata": ours}
        opts["include_name"] = lambda name, kind, _: kind != "table" or not name.startswith("procrastinate_")
        return compare_metadata(MigrationContext.configure(db, opts=opts), ours)


def test_migrations_make_the_tables_that_the_schema_describes(tmp_path: Path) -> None:
    """Alembic finds no difference between a migrated database and schema.py."""
    with sqlite_ledger(tmp_path) as ledger:
        assert _differences(ledger) == []


def test_migrations_make_the_tables_that_the_schema_describes_on_postgresql() -> None:
    """The same on PostgreSQL."""
    with postgres_ledger() as ledger:
        assert _differences(ledger) == []


def test_head_is_the_newest_migration() -> None:
    """The constant that spares us alembic at every start names the newest revision."""
    config = Config()
    config.set_main_option("script_location", str(Path(autograder.records.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_every_append_only_table_is_guarded(tmp_path: Path) -> None:
    """A migration that forgets the guards of a new table is found here."""
    with sqlite_ledger(tmp_path) as ledger, ledger._engine.connect() as db:
        triggers = set(db.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars())

    assert triggers == {f"{t}_no_{what}" for t in schema.APPEND_ONLY for what in ("update", "delete", "replace")}


def test_opening_twice_keeps_everything(tmp_path: Path) -> None:
    """A second open migrates nothing and loses nothing."""
    with sqlite_ledger(tmp_path) as ledger:
        pseudonym = ledger.enrol("ann", "2026", START)

    with sqlite_ledger(tmp_path) as ledger:
        assert [s.pseudonym for s in ledger.students()] == [pseudonym]


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    """A database of an unknown revision is not touched, and the error says to install the newer release."""
    with sqlite_ledger(tmp_path) as ledger, ledger._engine.begin() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(LedgerError, match=r"9999.*newer release"), sqlite_ledger(tmp_path):
        pass


def test_a_migration_that_fails_leaves_an_empty_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DDL is rolled back with the rest, so that the next open starts afresh."""
    # As if the disk were full at the last statement: the guard of the last table is not SQL.
    monkeypatch.setattr("autograder.records.guards._sqlite", lambda table, keys: ["CREATE TRIGGER nonsense"] * (table == "verdict"))
    with pytest.raises(LedgerError, match="cannot open"), sqlite_ledger(tmp_path):
        pass
    monkeypatch.undo()

    with sqlite_ledger(tmp_path) as ledger:
        assert ledger.last_event() == 0
