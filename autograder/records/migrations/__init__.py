"""The ledger's migrations: run by Alembic, in order, from `migrate.py`."""
