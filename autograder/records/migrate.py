"""A connection in a write transaction in, the same database at the newest revision out. Alembic is loaded only if it must."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from autograder.records.model import LedgerError
from autograder.records.schema import HEAD


def revision(connection: Connection) -> str | None:
    """Return the revision that the database is at, None when it holds no ledger."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection) -> None:
    """Bring the database to HEAD inside the caller's transaction. Compare `revision` with HEAD first: this is slow.

    Raises: LedgerError when the database is newer than this program.
    """
    # Alembic costs half a second, which every command would pay.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as e:
        raise LedgerError(
            f"the ledger is at revision {revision(connection)}, which this program (revision {HEAD}) does not know ({e}). "
            "It was written by a newer release: install that one, or name another ledger in BOOTCAMP_LEDGER."
        ) from None
