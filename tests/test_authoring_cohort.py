"""The demo's cohort: real notebooks of known right and wrong answers, the same for the same seed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autograder.authoring.cohort import NAMES, Member, draw_abilities, make_cohort
from autograder.course import Course
from autograder.grading.bundle import load_bundle
from autograder.grading.grade import Grader
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.compose import compose
from tests import tiny


@pytest.fixture
def cohort(tiny_course: Course) -> list[Member]:
    return make(tiny_course)


def make(course: Course) -> list[Member]:
    bundle = load_bundle(course.assignment(tiny.ASSIGNMENT), variants=True)
    released = json.loads(compose(bundle.manifest, {}))
    rng = np.random.default_rng(3)
    return make_cohort(bundle, released, draw_abilities(rng), rng, accidents=True)


def test_the_same_seed_makes_the_same_notebooks(tiny_course: Course, cohort: list[Member]):
    """A second demo finds its results in the ledger."""
    assert [m.name for m in cohort] == list(NAMES)
    assert make(tiny_course) == cohort


def test_the_first_member_did_everything_right(tiny_course: Course, cohort: list[Member]):
    """So that the demo's student sees a full page."""
    bundle = load_bundle(tiny_course.assignment(tiny.ASSIGNMENT))
    graded = Grader(bundle, open_in_process, "C", b"seed" * 8).grade(cohort[0].raw, cohort[0].name)

    assert graded.points == graded.max_points == 12


def test_accidents_are_those_that_happen_and_each_happens(cohort: list[Member]):
    """Broken syntax, loops, exits, deleted and copied cells, a file cut off: one each, beside plain notebooks."""
    odd = [m.accident for m in cohort if m.accident]

    assert len(odd) == len(set(odd)) == 11
    broken = [m for m in cohort if m.accident == "file cut off"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken[0].raw)


def test_members_differ(cohort: list[Member]):
    """Abilities do: not everybody hands in the same answers."""
    assert len({m.raw for m in cohort}) > 12
