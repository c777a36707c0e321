"""Late work: what a day costs, when nothing is taken any more, and what an extension moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autograder.course import Course, load
from autograder.deadlines import Extension, LatePolicy, due_for, lateness
from autograder.errors import CourseError

DUE = datetime(2027, 1, 31, 23, 59, tzinfo=UTC)
POLICY = LatePolicy(grace_minutes=15, percent_per_day=10, closes_after_days=3)
TOML = """\
title = "T"

[grading]
check_alone = "practice"

[late]
grace_minutes = 15
percent_per_day = 10
closes_after_days = 3

[[assignment]]
id = "a1"
title = "A"
track = "t"
week = 1
due = 2027-01-31T23:59:00Z

[[extension]]
student = "s01"
assignment = "a1"
until = 2027-02-02T12:00:00+01:00
"""


@pytest.mark.parametrize(
    ("after", "n_days", "share", "is_closed"),
    [
        (timedelta(days=-9), 0, 1.0, False),
        (timedelta(minutes=15), 0, 1.0, False),
        (timedelta(minutes=15, seconds=1), 1, 0.9, False),
        (timedelta(days=1, minutes=15), 1, 0.9, False),
        (timedelta(days=1, minutes=16), 2, 0.8, False),
        (timedelta(days=3, minutes=15), 3, 0.7, False),
        (timedelta(days=3, minutes=16), 4, 0.6, True),
    ],
)
def test_a_begun_day_after_the_grace_counts_whole(after: timedelta, n_days: int, share: float, is_closed: bool) -> None:
    """And what comes after the last day is not taken."""
    found = lateness(DUE, POLICY, DUE + after)

    assert (found.n_days, round(found.share, 9), found.is_closed) == (n_days, share, is_closed)


def test_nothing_is_late_without_a_due_date_and_nothing_falls_below_zero() -> None:
    """Nor does late work ever earn less than nothing."""
    assert lateness(None, POLICY, DUE).share == 1.0
    assert lateness(DUE, LatePolicy(percent_per_day=40), DUE + timedelta(days=30)).share == 0.0


def test_an_extension_moves_its_own_students_date_only_and_only_back() -> None:
    """By pseudonym or by name; an earlier "extension" takes nothing away."""
    later = DUE + timedelta(days=2)
    granted = [Extension("s01", "a1", later), Extension("ada", "a1", DUE - timedelta(days=9)), Extension("s01", "a2", later)]

    assert due_for(DUE, granted, "a1", ("ada", "s01")) == later
    assert due_for(DUE, granted, "a1", ("ada",)) == DUE
    assert due_for(None, granted, "a1", ("s01",)) is None


def course(folder: Path, text: str) -> Course:
    (folder / "assignments").mkdir()
    (folder / "assignments" / "course.toml").write_text(text)
    return load(folder)


def test_course_toml_says_it_all(tmp_path: Path) -> None:
    """Policy, extensions and whether one exercise may be checked alone."""
    found = course(tmp_path, TOML)

    assert found.check_alone == "practice"
    assert found.late == POLICY
    late = found.lateness(found.assignments[0], DUE + timedelta(days=2), "ada", "s01")
    assert (late.due, late.n_days) == (datetime(2027, 2, 2, 11, tzinfo=UTC), 1)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("percent_per_day", "percent_a_day", r'8: unknown key "late.percent_a_day". Did you mean "percent_per_day"'),
        ("percent_per_day = 10", "percent_per_day = 101", r"late.percent_per_day: found 101"),
        ('"practice"', '"yes"', r"grading.check_alone: found 'yes'"),
        ('assignment = "a1"', 'assignment = "a2"', r'18: an extension for "a2", which is no assignment'),
        ("2027-02-02T12:00:00+01:00", "2027-01-02T12:00:00+01:00", r"18: an extension of .* Expected a later time"),
        ("2027-02-02T12:00:00+01:00", "2027-02-02T12:00:00", r"extension.0.until: found"),
        ("student =", "who =", r'unknown key "extension.0.who"'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, match: str) -> None:
    """With its line."""
    assert TOML.count(old) == 1
    with pytest.raises(CourseError, match=match):
        course(tmp_path, TOML.replace(old, new))
