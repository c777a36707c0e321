"""A course and what one student passed in; how far they are in every track out. Pure; nothing of anybody else enters.

A stage says what was shown, not how able somebody is: it counts the notebooks that the student handed in or that were due.
`solid` says that most of it passes; `confirmed` that a later notebook, which builds on this track, went well at first try:
somebody who has the track needs no second try there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from autograder.course import Assignment, Manifest

WORKING, SOLID = 1 / 3, 4 / 5  # shares of the exercises that count
CONFIRMED, MIN_LATER = 1 / 2, 3  # of the first tries later on, and how many there must be
HARD = 4  # a difficulty from 1 to 5


class Stage(StrEnum):
    """In order."""

    NOT_STARTED = "not started"
    STARTED = "started"
    WORKING = "working"
    SOLID = "solid"
    CONFIRMED = "confirmed"
    STRETCH = "stretch"


@dataclass(frozen=True)
class Work:
    """What a student did, as ids of exercises: `tried` ever, `passed` ever, `first` those passed at the first try."""

    tried: Set[str]
    passed: Set[str]
    first: Set[str]


@dataclass(frozen=True)
class Track:
    """`n_later` first tries in notebooks that build on the track, `n_first` of them passed."""

    name: str
    stage: Stage
    n_passed: int
    n_exercises: int
    n_later: int
    n_first: int
    n_hard: int
    n_hard_passed: int


def tracks(course: Sequence[Assignment], manifests: Mapping[str, Manifest], work: Work, now: datetime) -> tuple[Track, ...]:
    """Return every track of the course, in the order in which they begin."""
    names = list(dict.fromkeys(a.track for a in course))
    return tuple(_track(name, course, manifests, work, now) for name in names)


def _track(name: str, course: Sequence[Assignment], manifests: Mapping[str, Manifest], work: Work, now: datetime) -> Track:
    own = [a for a in course if a.track == name and a.id in manifests]
    counted = [e for a in own if _counts(a, manifests[a.id], work, now) for e in manifests[a.id].exercises]
    ids = {a.id for a in own}
    later = _later(ids, course, manifests) & work.tried
    hard = {e.id for e in counted if e.difficulty >= HARD}
    n_passed, n_first = sum(e.id in work.passed for e in counted), len(later & work.first)
    started = any(e.id in work.tried for e in counted)
    found = Track(name, Stage.NOT_STARTED, n_passed, len(counted), len(later), n_first, len(hard), len(hard & work.passed))
    return replace(found, stage=_stage(found, started))


def _stage(t: Track, started: bool) -> Stage:
    if not started:
        return Stage.NOT_STARTED
    share = t.n_passed / t.n_exercises
    if share < WORKING:
        return Stage.STARTED
    if share < SOLID:
        return Stage.WORKING
    if t.n_later < MIN_LATER or t.n_first / t.n_later < CONFIRMED:
        return Stage.SOLID
    return Stage.STRETCH if t.n_hard and t.n_hard_passed == t.n_hard else Stage.CONFIRMED


def _counts(assignment: Assignment, manifest: Manifest, work: Work, now: datetime) -> bool:
    was_due = assignment.due is not None and assignment.due < now
    return was_due or any(e.id in work.tried for e in manifest.exercises)


def _later(track: Set[str], course: Iterable[Assignment], manifests: Mapping[str, Manifest]) -> set[str]:
    """Exercises of other tracks' notebooks that build, directly or not, on one of these."""
    building = set(track)
    found: set[str] = set()
    for a in course:  # teaching order: what a notebook requires stands before it
        if building & set(a.requires) and a.id not in track:
            building.add(a.id)
            found |= {e.id for e in manifests[a.id].exercises} if a.id in manifests else set()
    return found
