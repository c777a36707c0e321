"""Kinds of events in; all events of those kinds out, each looked for once: a log is long, and most of it is of other kinds."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from autograder.records.ledger import Ledger
from autograder.records.model import Event

_PAGE = 1000


class Following:
    """Everything of these kinds so far. Safe to ask from several threads; reads what came since it was asked last."""

    def __init__(self, ledger: Ledger, kinds: Sequence[str]) -> None:
        self._ledger, self._kinds = ledger, tuple(kinds)
        self._lock = threading.Lock()
        self._found: list[Event] = []
        self._read_to = 0

    def events(self) -> tuple[Event, ...]:
        """Return them in the order of the log."""
        with self._lock:
            # The newest event first: what is not of these kinds need not be looked through again.
            newest = self._ledger.last_event()
            while found := self._ledger.events(self._read_to, self._kinds, limit=_PAGE):
                self._found += found
                self._read_to = found[-1].id
            self._read_to = max(self._read_to, newest)
            return tuple(self._found)
