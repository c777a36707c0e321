"""A table's name and a dialect in, the statements out that make the database refuse to change or remove its rows.

SQLite's INSERT OR REPLACE removes the old row without firing a DELETE trigger, so a trigger of its own looks for the
key first (BEFORE INSERT runs ahead of conflict handling).
"""

from __future__ import annotations

from collections.abc import Sequence

_REFUSAL = "the ledger is append-only"


def append_only(dialect: str, table: str, keys: Sequence[Sequence[str]]) -> list[str]:
    """Return the statements that guard `table`; `keys` lists its unique keys. Raises: ValueError on another dialect."""
    if dialect == "sqlite":
        return _sqlite(table, keys)
    if dialect == "postgresql":
        return _postgresql(table)
    raise ValueError(f"no append-only guard is written for {dialect!r}; expected sqlite or postgresql")


def _sqlite(table: str, keys: Sequence[Sequence[str]]) -> list[str]:
    stop = f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}: {table}'); END"
    taken = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE {' AND '.join(f'{column} = NEW.{column}' for column in key)})" for key in keys
    )
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {stop}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {stop}",
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {taken} {stop}",
    ]


def _postgresql(table: str) -> list[str]:
    return [
        "CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}: %', TG_TABLE_NAME; END $$",
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()",
    ]
