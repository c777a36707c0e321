"""The first ledger: people, events, attempts, gradings, verdicts, and the guards that make the last four append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from autograder.records.guards import append_only
from autograder.records.schema import Utc

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables and their guards. There is no way back: an append-only ledger is not taken down."""
    _people_and_events()
    _attempts()
    _verdicts()
    guarded = {
        "event": [["id"]],
        "attempt": [["id"], ["event"]],
        "grading": [["event"], ["attempt", "grader_build", "tier", "origin", "try_no"]],
        "verdict": [["grading", "exercise"]],
    }
    dialect = op.get_bind().dialect.name
    for table, keys in guarded.items():
        for statement in append_only(dialect, table, keys):
            op.execute(sa.text(statement))


def _people_and_events() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("at", Utc, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(64)),
        sa.Column("payload", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_subject", "event", ["subject", "id"])
    op.create_table(
        "student",
        sa.Column("pseudonym", sa.String(64), primary_key=True),
        sa.Column("cohort", sa.String(64), nullable=False),
        sa.Column("joined_at", Utc, nullable=False),
        sa.Column("left_at", Utc),
        sa.Column("event", sa.Integer, sa.ForeignKey("event.id"), nullable=False),
    )
    op.create_index("ix_student_cohort", "student", ["cohort"])
    op.create_table(
        "identity",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("pseudonym", sa.String(64), sa.ForeignKey("student.pseudonym"), nullable=False, unique=True),
    )


def _attempts() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("event", sa.Integer, sa.ForeignKey("event.id"), nullable=False, unique=True),
        sa.Column("pseudonym", sa.String(64), sa.ForeignKey("student.pseudonym"), nullable=False),
        sa.Column("assignment", sa.String(128), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("received_at", Utc, nullable=False),
    )
    op.create_index("ix_attempt_student", "attempt", ["pseudonym", "assignment", "received_at", "event"])
    op.create_index("ix_attempt_assignment", "attempt", ["assignment"])


def _verdicts() -> None:
    op.create_table(
        "grading",
        sa.Column("event", sa.Integer, sa.ForeignKey("event.id"), primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.String(64), sa.ForeignKey("attempt.id"), nullable=False),
        sa.Column("grader_build", sa.String(128), nullable=False),
        sa.Column("tier", sa.String(8), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("try_no", sa.Integer, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("graded_at", Utc, nullable=False),
        sa.Column("cpu_s", sa.Float, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("output", sa.Text, nullable=False),
        sa.UniqueConstraint("attempt", "grader_build", "tier", "origin", "try_no", name="uq_grading_try"),
    )
    once = sa.text("complete AND origin = 'graded'")
    columns = ["attempt", "grader_build", "tier"]
    op.create_index("ux_grading_complete", "grading", columns, unique=True, sqlite_where=once, postgresql_where=once)
    op.create_table(
        "verdict",
        sa.Column("grading", sa.Integer, sa.ForeignKey("grading.event"), primary_key=True, autoincrement=False),
        sa.Column("exercise", sa.String(128), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("points", sa.Float),
        sa.Column("max_points", sa.Float, nullable=False),
        sa.Column("fraction", sa.Float),
        sa.Column("evidence", sa.String(16), nullable=False),
        sa.Column("cpu_s", sa.Float, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("checks", sa.JSON, nullable=False),
    )
