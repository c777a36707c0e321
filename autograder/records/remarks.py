"""Events with a text that may hold personal data in; the text beside the log out, until it is erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from autograder.records import schema as t
from autograder.records.append import add_event, storable
from autograder.records.ledger import Ledger


def with_remark(
    ledger: Ledger, kind: str, at: datetime, actor: str, subject: str, payload: Mapping[str, Any], remark: str | None
) -> int:
    """Append an event and, if there is one, its text, in one transaction; return the event's number."""
    with ledger.writing() as db:
        event = add_event(db, kind, at, actor, subject, payload)
        if remark is not None:
            db.execute(insert(t.remark).values(event=event, text=storable(remark)))
        return event


def remarks_of(ledger: Ledger, events: Sequence[int]) -> dict[int, str]:
    """Return event -> its text, of those that have one that was not erased."""
    with ledger.reading() as db:
        query = select(t.remark.c.event, t.remark.c.text).where(t.remark.c.event.in_(events))
        return {row.event: row.text for row in db.execute(query)}
