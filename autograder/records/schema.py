"""The ledger's tables, as SQLAlchemy Core sees them, and the revision that they stand for. No connection here.

The truth about a database is its migrations (migrations/versions); a test compares both. Whoever changes a table here
writes a migration and moves HEAD.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.exc import DontWrapMixin

from autograder.records.model import LedgerError

HEAD = "0003"
APPEND_ONLY = ("event", "attempt", "grading", "verdict", "link")


class NaiveTimeError(LedgerError, DontWrapMixin):
    """A time without a zone. SQLAlchemy lets it through as it is."""


class Utc(TypeDecorator[datetime]):
    """Aware datetimes in, aware datetimes in UTC out, also on SQLite, which forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise NaiveTimeError(f"the time {value} has no time zone. Pass an aware time (UTC).")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()
# Tables of the SQLite engine of the queue only.
queue_metadata = MetaData()

event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(64), nullable=False),
    Column("at", Utc, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("subject", String(64)),
    Column("payload", JSON, nullable=False),
    Index("ix_event_subject", "subject", "id"),
    # Numbers of SQLite rows may be given twice without this, and events must never share one.
    sqlite_autoincrement=True,
)

student = Table(
    "student",
    metadata,
    Column("pseudonym", String(64), primary_key=True),
    Column("cohort", String(64), nullable=False, index=True),
    Column("joined_at", Utc, nullable=False),
    Column("left_at", Utc),
    Column("event", ForeignKey("event.id"), nullable=False),
)

identity = Table(
    "identity",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("pseudonym", ForeignKey("student.pseudonym"), nullable=False, unique=True),
)

# The hash chain: one link per event, each cohort a chain of its own ("" for events of no student). `facts` hashes the
# rows that the event explains, `hash` the event, its facts and the link before.
link = Table(
    "link",
    metadata,
    Column("event", ForeignKey("event.id"), primary_key=True, autoincrement=False),
    Column("cohort", String(64), nullable=False),
    Column("facts", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_link_cohort", "cohort", "event"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("event", ForeignKey("event.id"), nullable=False, unique=True),
    Column("pseudonym", ForeignKey("student.pseudonym"), nullable=False),
    Column("assignment", String(128), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("received_at", Utc, nullable=False),
    Index("ix_attempt_student", "pseudonym", "assignment", "received_at", "event"),
    Index("ix_attempt_assignment", "assignment"),
)

# What was handed in beside the notebook. Names of files may name people, so an erasure removes these rows.
attempt_file = Table(
    "attempt_file",
    metadata,
    Column("attempt", ForeignKey("attempt.id"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
)

# Texts of events that may hold personal data.
remark = Table(
    "remark",
    metadata,
    Column("event", ForeignKey("event.id"), primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)

grading = Table(
    "grading",
    metadata,
    Column("event", ForeignKey("event.id"), primary_key=True, autoincrement=False),
    Column("attempt", ForeignKey("attempt.id"), nullable=False),
    Column("grader_build", String(128), nullable=False),
    Column("tier", String(8), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("try_no", Integer, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("graded_at", Utc, nullable=False),
    Column("cpu_s", Float, nullable=False),
    Column("error", Text, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("output", Text, nullable=False),
    UniqueConstraint("attempt", "grader_build", "tier", "origin", "try_no", name="uq_grading_try"),
    Index(
        "ux_grading_complete",
        "attempt",
        "grader_build",
        "tier",
        unique=True,
        sqlite_where=text("complete AND origin = 'graded'"),
        postgresql_where=text("complete AND origin = 'graded'"),
    ),
)

verdict = Table(
    "verdict",
    metadata,
    Column("grading", ForeignKey("grading.event"), primary_key=True, autoincrement=False),
    Column("exercise", String(128), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("points", Float),
    Column("max_points", Float, nullable=False),
    Column("fraction", Float),
    Column("evidence", String(16), nullable=False),
    Column("cpu_s", Float, nullable=False),
    # The long columns stand last: SQLite then reads past none of them when a query wants the short ones only.
    Column("hint", Text, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("checks", JSON, nullable=False),
    # What the verdict follows from, hashed (grading/known.py); absent where it must not be used again.
    Column("key", String(255)),
)

# The grade queue on SQLite (on PostgreSQL Procrastinate's tables take its place). Rows change: it is no part of the log.
job = Table(
    "job",
    queue_metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("attempt", ForeignKey(attempt.c.id), nullable=False),
    # The priority with its sign turned: lower goes first, as an index runs.
    Column("rank", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("n_tries", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("worker", String(128), nullable=False),
    Column("boot", String(64), nullable=False),
    Column("not_before_s", Float, nullable=False),
    Column("lease_until_s", Float, nullable=False),
    Column("enqueued_at", Utc, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_job_attempt", "attempt", "id"),
    Index("ix_job_next", "state", "rank", "id"),
    sqlite_autoincrement=True,
)
