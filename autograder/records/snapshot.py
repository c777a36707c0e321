"""A ledger in, one file that holds all of it out, and back: SQLite's own backup, PostgreSQL's own dump.

Both take a consistent picture while people hand in. The queue is in it, so nothing that waits is forgotten.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from autograder.records import database
from autograder.records import schema as t
from autograder.records.model import LedgerError

FILES = {"sqlite": "ledger.sqlite", "postgresql": "ledger.pgdump"}


def kind_of(ledger_url: str) -> str:
    """Return "sqlite" or "postgresql"."""
    return make_url(ledger_url).get_backend_name()


@dataclass(frozen=True)
class Taken:
    """A file that holds a ledger, and the heads of the chains in it."""

    path: Path
    heads: dict[str, str]


def take(ledger_url: str, folder: Path) -> Taken:
    """Write the ledger into a file of the folder. Raises: LedgerError when the database refuses."""
    url, path = make_url(ledger_url), folder / FILES[kind_of(ledger_url)]
    if kind_of(ledger_url) == "sqlite":
        copy_sqlite(Path(str(url.database)), path)
        found = heads(f"sqlite:///{path}")
    else:
        engine = database.connect(ledger_url)
        try:
            # The dump sees what this transaction sees, and so do the heads.
            with engine.connect().execution_options(isolation_level="REPEATABLE READ") as db:
                name = db.execute(text("SELECT pg_export_snapshot()")).scalar_one()
                options = ("--format=custom", "--compress=1", "--no-owner", "--no-privileges", f"--snapshot={name}")
                _run("pg_dump", url, *options, f"--file={path}")
                found = _heads(db)
        except DBAPIError as e:
            raise LedgerError(f"cannot read the ledger {url.render_as_string(hide_password=True)}: {e.orig}") from None
        finally:
            engine.dispose()
    path.chmod(0o600)
    return Taken(path, found)


def put_back(path: Path, ledger_url: str) -> None:
    """Make the database what the file holds. Raises: LedgerError when there is a ledger already, or the database refuses."""
    url = make_url(ledger_url)
    if path.name != FILES.get(kind_of(ledger_url)):
        raise LedgerError(
            f"the backup holds {path.name}, and BOOTCAMP_LEDGER names a {kind_of(ledger_url)} database. "
            "A ledger goes back into the kind of database that it came from."
        )
    if not is_empty(ledger_url):
        shown = url.render_as_string(hide_password=True)
        raise LedgerError(f"{shown} holds tables already. Name an empty database in BOOTCAMP_LEDGER: nothing is overwritten.")
    if kind_of(ledger_url) == "sqlite":
        target = Path(str(url.database))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600))
        shutil.copyfile(path, target)
    else:
        _run("pg_restore", url, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(path))


def is_empty(ledger_url: str) -> bool:
    """Whether the database holds no table. Raises: LedgerError when it cannot be reached."""
    url = make_url(ledger_url)
    if kind_of(ledger_url) == "sqlite" and not Path(str(url.database)).exists():
        return True
    engine = database.connect(ledger_url)
    try:
        return not inspect(engine).get_table_names()
    except DBAPIError as e:
        raise LedgerError(f"cannot open the ledger {url.render_as_string(hide_password=True)}: {e.orig}") from None
    finally:
        engine.dispose()


def heads(ledger_url: str) -> dict[str, str]:
    """Return cohort -> the newest hash of its chain: two ledgers with the same heads hold the same facts."""
    engine = database.connect(ledger_url)
    try:
        with engine.connect() as db:
            return _heads(db)
    finally:
        engine.dispose()


def _heads(db: Connection) -> dict[str, str]:
    newest = select(func.max(t.link.c.event)).group_by(t.link.c.cohort)
    rows = db.execute(select(t.link.c.cohort, t.link.c.hash).where(t.link.c.event.in_(newest)))
    return {row.cohort: row.hash for row in rows}


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that others may be writing, as of one moment. Raises: LedgerError when it is none."""
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=database.BUSY_TIMEOUT_S)) as there,
            closing(sqlite3.connect(target)) as here,
        ):
            there.backup(here)
    except sqlite3.Error as e:
        raise LedgerError(f"{source}: cannot be copied ({e}).") from None


def _run(program: str, url: URL, *args: str) -> None:
    """Run one of PostgreSQL's programs on the database; the password goes by the environment, which others cannot read."""
    if shutil.which(program) is None:
        raise LedgerError(f"{program} is missing. Run: apt-get install postgresql-client (the server's version, or newer)")
    address = url.set(drivername="postgresql", password=None).render_as_string()
    env: Mapping[str, str] = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    command: Sequence[str] = [program, f"--dbname={address}", "--no-password", *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LedgerError(f"{program} failed: {done.stderr.strip()[-800:]}")
