"""Late points in nbgrader: by course.toml's rule, from each student's own due date."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbgrader.preprocessors import AssignLatePenalties

from autograder.nbgrader_bridge.late import CourseLatePolicy
from autograder.records import Ledger
from tests.exchange_world import START
from tests.small_home import ID, small_home

DAY_S = 86_400.0
RULE = """
[late]
grace_minutes = 10
percent_per_day = 25

[[extension]]
student = "{pseudonym}"
assignment = "s1_sums"
until = 2027-02-03T23:59:00+00:00
"""


@pytest.fixture
def plugin(tmp_path: Path) -> CourseLatePolicy:
    course, home = small_home(tmp_path)
    with Ledger.open(home.ledger_url) as ledger:
        pseudonym = ledger.enrol("eve", "2027", START)
    with (course.root / "assignments" / "course.toml").open("a") as f:
        f.write(RULE.format(pseudonym=pseudonym))
    parent = AssignLatePenalties()
    parent.assignment_id = ID
    return CourseLatePolicy(parent=parent, course_root=str(course.root), home=str(home.path))


@pytest.mark.parametrize(
    ("student", "late_s", "taken"),
    [
        ("ada", 600.0, None),
        ("ada", 601.0, 2.0),
        ("ada", 2 * DAY_S, 4.0),
        ("ada", 9 * DAY_S, 8.0),
        ("eve", 2 * DAY_S, None),
        ("eve", 4 * DAY_S, 2.0),
    ],
)
def test_points_follow_the_days(plugin: CourseLatePolicy, student: str, late_s: float, taken: float | None) -> None:
    """A quarter of 8 points a begun day, at most all of them; an extension by pseudonym counts from its own date."""
    assert plugin.late_submission_penalty(student, 8.0, late_s) == taken
