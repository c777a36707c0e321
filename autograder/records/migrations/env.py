"""Alembic's entry: run the migrations on the connection that the caller is holding, inside the caller's transaction."""

from __future__ import annotations

from alembic import context

from autograder.records.schema import metadata

connection = context.config.attributes["connection"]
# SQLite can roll back its DDL: the caller's transaction covers it, which Alembic would not believe by itself.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
