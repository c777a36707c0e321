"""What people decided, as the log holds it up to some event, in; what it changes for an evaluation out.

Nothing here judges a student: a decision can only take evidence out, put it back, or say who looked at what and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from autograder.records.model import Event

# Event kinds. Subject: a pseudonym for what concerns one student, None for what concerns an exercise.
EXCLUDED, INCLUDED = "progress.excluded", "progress.included"
CLEARED = "progress.cleared"
REVIEWED, APPEALED, HEARD = "progress.reviewed", "progress.appealed", "progress.heard"
LEFT = "student.left"
KINDS = (EXCLUDED, INCLUDED, CLEARED, LEFT)
HUMAN = (EXCLUDED, INCLUDED, CLEARED, REVIEWED, APPEALED, HEARD)


@dataclass(frozen=True)
class Decisions:
    """`set_aside`: (pseudonym, assignment). `excluded`: exercises out for everybody. `cleared`: (exercise, grader build)
    whose check somebody looked at and found right. `left`: when a student left; later hand-ins do not count.
    """

    set_aside: frozenset[tuple[str, str]] = frozenset()
    excluded: frozenset[str] = frozenset()
    cleared: frozenset[tuple[str, str]] = frozenset()
    left: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))


def decisions(events: Iterable[Event]) -> Decisions:
    """Return what holds after these events, which are in the order of the log."""
    aside: set[tuple[str, str]] = set()
    excluded: set[str] = set()
    cleared: set[tuple[str, str]] = set()
    left: dict[str, datetime] = {}
    for e in events:
        if e.kind == LEFT and e.subject:
            left[e.subject] = e.at
        elif e.kind == CLEARED:
            cleared.add((str(e.payload["exercise"]), str(e.payload["grader_build"])))
        elif e.kind == EXCLUDED and e.subject:
            aside.add((e.subject, str(e.payload["assignment"])))
        elif e.kind == INCLUDED and e.subject:
            aside.discard((e.subject, str(e.payload["assignment"])))
        elif e.kind == EXCLUDED:
            excluded.add(str(e.payload["exercise"]))
        elif e.kind == INCLUDED:
            excluded.discard(str(e.payload["exercise"]))
    return Decisions(frozenset(aside), frozenset(excluded), frozenset(cleared), left)
