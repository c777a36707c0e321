"""A database URL in, a SQLAlchemy engine out that is set up the way the ledger needs it.

SQLite: WAL (readers never wait for the writer), 30 s busy timeout, foreign keys, synchronous FULL (a power cut loses no
acknowledged result), file 0600 in a folder that is created 0700. Transactions are begun by us, because Python's sqlite3
begins none before DDL: `writing` takes the write lock at once, so that two writers queue up instead of failing half-way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from autograder.records.model import LedgerError

BUSY_TIMEOUT_S = 30
# Any constant would do; all ledger writers of one PostgreSQL database share it.
_ADVISORY_LOCK = 0x1ED6E2


def connect(url: str) -> Engine:
    """Return an engine for the ledger's URL; no connection is made yet, but SQLite's folder and file are created.

    Raises: LedgerError on a URL that is none, a driver that is missing, a folder that cannot be made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise LedgerError("the ledger's URL is not one. Expected sqlite:////path/ledger.sqlite or postgresql://...") from None
    name = parsed.get_backend_name()
    if name not in ("sqlite", "postgresql"):
        raise LedgerError(f"the ledger cannot live in {name!r}. Expected a sqlite: or postgresql: URL.")
    try:
        if name == "sqlite":
            _make_file(parsed)
            return _sqlite(parsed)
        return create_engine(parsed, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as e:
        raise LedgerError(f"the driver for {parsed.drivername} is missing ({e}). Run: pip install 'psycopg[binary]'") from None
    except OSError as e:
        raise LedgerError(f"cannot create {parsed.database}: {e.strerror}. Name another place in BOOTCAMP_LEDGER.") from None


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Hold the one write transaction of the ledger: commit at the end, roll back on an exception."""
    with engine.connect() as connection:
        connection = connection.execution_options(ledger_write=True)
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield connection


def overwrite_deleted(connection: Connection) -> None:
    """Let what this connection deletes from now on be overwritten in the file too (SQLite; elsewhere nothing)."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")


def empty_journal(engine: Engine) -> None:
    """Move everything from SQLite's journal into the database and empty it; readers at work keep what they still need."""
    if engine.dialect.name != "sqlite":
        return
    raw = engine.raw_connection()  # not in a transaction, which SQLAlchemy would begin
    try:
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    finally:
        raw.close()


def _make_file(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        return
    path = Path(url.database)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
            connection.execute("PRAGMA journal_mode = WAL")
        for pragma in ("foreign_keys = ON", "synchronous = FULL", "recursive_triggers = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("ledger_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
