"""Scores stand in one canonical order, whatever the order of what they are made from."""

from __future__ import annotations

import numpy as np

from autograder.progress import CourseItems, Item, load_policy
from autograder.progress.scores import collect, time_of
from tests.progress_world import first_try

POLICY = load_policy()
ITEMS = [
    Item("Z.b", "late", "t2", 5, 1.0, "", 0),
    Item("B.z", "early_b", "t1", 1, 1.0, "", 1),
    Item("B.a", "early_b", "t1", 1, 1.0, "", 2),
    Item("A.x", "early_a", "t2", 1, 1.0, "", 3),
    Item("Z.a", "late", "t2", 5, 1.0, "", 4),
]


def test_students_notebooks_and_exercises_are_sorted() -> None:
    """Students by pseudonym, notebooks by week and id, exercises by notebook and id; arrays follow."""
    tries = [first_try(s, i, 1.0 if i.exercise == "Z.a" else 0.25) for i in ITEMS for s in ("s2", "s1")]
    course = CourseItems({i.exercise: i for i in ITEMS}, 9)

    for order in (tries, tries[::-1]):
        scores = collect(order, course, POLICY, students=["s3", "s0"])

        assert scores.pseudonyms == ("s0", "s1", "s2", "s3")
        assert scores.notebooks == ("early_a", "early_b", "late")
        assert scores.exercises == ("A.x", "B.a", "B.z", "Z.a", "Z.b")
        assert scores.notebook_of.tolist() == [0, 1, 1, 2, 2]
        assert scores.time.tolist() == [0, 0, 0.5]
        assert scores.track_of[0] == scores.track_of[2] != scores.track_of[1]
        assert scores.seen.sum(axis=1).tolist() == [0, 5, 5, 0]
        assert scores.score[1].tolist() == [0.25, 0.25, 0.25, 1.0, 0.25]
        assert np.flatnonzero(scores.passed[2]).tolist() == [3]


def test_time_runs_from_the_first_week_to_the_last() -> None:
    """Week 1 is 0 and the last week 1; a course of one week has no growth."""
    assert (time_of(1, 12), time_of(12, 12), time_of(1, 1)) == (0, 1, 0)
