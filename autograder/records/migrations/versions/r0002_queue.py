"""Hand in and replay: the grade queue, files beside a notebook, the hash chain, keys of verdicts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from autograder.records import chain
from autograder.records.guards import append_only
from autograder.records.model import LedgerError
from autograder.records.schema import Utc

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the new tables and link every event that is there."""
    dialect = op.get_bind().dialect.name
    op.create_table(
        "attempt_file",
        sa.Column("attempt", sa.String(64), sa.ForeignKey("attempt.id"), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_index("ix_attempt_file_sha256", "attempt_file", ["sha256"])
    op.add_column("verdict", sa.Column("key", sa.String(255)))
    _link(dialect)
    if dialect == "sqlite":
        _job()
    else:
        _procrastinate()


def _link(dialect: str) -> None:
    op.create_table(
        "link",
        sa.Column("event", sa.Integer, sa.ForeignKey("event.id"), primary_key=True, autoincrement=False),
        sa.Column("cohort", sa.String(64), nullable=False),
        sa.Column("facts", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("ix_link_cohort", "link", ["cohort", "event"])
    for statement in append_only(dialect, "link", [["event"]]):
        op.execute(sa.text(statement))
    chain.seal(op.get_bind())


def _job() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("attempt", sa.String(64), sa.ForeignKey("attempt.id"), nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("n_tries", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(128), nullable=False),
        sa.Column("boot", sa.String(64), nullable=False),
        sa.Column("not_before_s", sa.Float, nullable=False),
        sa.Column("lease_until_s", sa.Float, nullable=False),
        sa.Column("enqueued_at", Utc, nullable=False),
        sa.Column("changed_at", Utc, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_attempt", "job", ["attempt", "id"])
    op.create_index("ix_job_next", "job", ["state", "rank", "id"])


def _procrastinate() -> None:
    try:
        from procrastinate.schema import SchemaManager
    except ModuleNotFoundError:
        raise LedgerError("a ledger on PostgreSQL needs Procrastinate. Run: pip install 'autograder[postgres]'") from None
    bind = op.get_bind()
    if not sa.inspect(bind).has_table("procrastinate_jobs"):
        # Many statements at once, which only the driver's own cursor takes.
        cursor = bind.connection.cursor()
        cursor.execute(SchemaManager.get_schema())
        cursor.close()
    # Procrastinate looks for jobs by number; we ask by attempt, which is a job's lock.
    op.create_index("ix_bootcamp_attempt", "procrastinate_jobs", ["lock", "id"])
