"""Fixed times for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 9, 7, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """Return the time so many minutes after the start."""
    return START + timedelta(minutes=minutes)
