"""Stages of a track: what was shown so far, counted over the notebooks that were due or handed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autograder.course import Assignment, Exercise, Manifest
from autograder.progress.tracks import Stage, Work, tracks

NOW = datetime(2027, 2, 1, tzinfo=UTC)
DUE = {"f1": -10, "t1": -3, "t2": 4, "r1": 9}  # days from now
REQUIRES = {"f1": (), "t1": ("f1",), "t2": ("t1",), "r1": ("t1",)}
TRACK = {"f1": "foundations", "t1": "transformers", "t2": "transformers", "r1": "robustness"}
COURSE = [Assignment(a, a, TRACK[a], n, REQUIRES[a], NOW + timedelta(days=DUE[a]), Path(), 0) for n, a in enumerate(TRACK, 1)]


def exercise(assignment: str, n: int) -> Exercise:
    return Exercise(f"{assignment}.e{n}", (f"e{n}",), f"E{n}", 2.0, 5, n, 3, f"c{n}", "", ())


MANIFESTS = {a.id: Manifest(a.id, tuple(exercise(a.id, n) for n in range(1, 6)), ()) for a in COURSE}


def ids(assignment: str, *numbers: int) -> set[str]:
    return {f"{assignment}.e{n}" for n in numbers}


def stage(track: str, tried: set[str], passed: set[str], first: set[str] | None = None) -> Stage:
    work = Work(tried, passed, passed if first is None else first)
    return next(t.stage for t in tracks(COURSE, MANIFESTS, work, NOW) if t.name == track)


ALL = ids("f1", 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("tried", "passed", "first", "expected"),
    [
        (set(), set(), set(), Stage.NOT_STARTED),
        (ids("f1", 1), set(), set(), Stage.STARTED),
        (ids("f1", 1, 2), ids("f1", 1, 2), set(), Stage.WORKING),
        (ALL, ids("f1", 1, 2, 3, 4), set(), Stage.SOLID),
        (ALL | ids("t1", 1, 2), ALL | ids("t1", 1, 2), ids("t1", 1, 2), Stage.SOLID),  # two first tries are too few
        (ALL | ids("t1", 1, 2, 3), ids("f1", 1, 2, 3, 4), ids("t1", 1, 2), Stage.CONFIRMED),
        (ALL | ids("t1", 1, 2, 3), ids("f1", 1, 2, 3, 4), ids("t1", 1), Stage.SOLID),  # a third at first try
        (ALL | ids("r1", 1, 2, 3), ALL | ids("r1", 1, 2, 3), ids("r1", 1, 2, 3), Stage.STRETCH),  # builds on it by way of t1
    ],
)
def test_stages(tried: set[str], passed: set[str], first: set[str], expected: Stage) -> None:
    """From nothing to the hard ones: each stage needs what the one before it needs."""
    assert stage("foundations", tried, passed, first) == expected


def test_what_is_not_due_yet_counts_once_it_is_handed_in() -> None:
    """A notebook of the future lowers nobody; work that was begun early counts whole."""
    t1 = ids("t1", 1, 2, 3, 4, 5)
    assert stage("transformers", t1, t1) == Stage.SOLID
    assert stage("transformers", t1 | ids("t2", 1), t1 | ids("t2", 1)) == Stage.WORKING


def test_what_was_due_counts_although_nothing_was_handed_in() -> None:
    """Half of a track that was due is no more than half of it."""
    t2 = ids("t2", 1, 2, 3, 4, 5)
    assert stage("transformers", t2, t2) == Stage.WORKING


def test_tracks_come_as_the_course_begins_them_and_tell_their_numbers() -> None:
    """In teaching order, with what they count."""
    found = tracks(COURSE, MANIFESTS, Work(ALL, ids("f1", 1, 4), set()), NOW)

    assert [t.name for t in found] == ["foundations", "transformers", "robustness"]
    f = found[0]
    assert (f.n_passed, f.n_exercises, f.n_hard, f.n_hard_passed) == (2, 5, 2, 1)
    assert found[2].n_exercises == 0
