"""A course of one small assignment, written into a temporary folder: plain Python, no torch, every feature of a lesson."""

from __future__ import annotations

from pathlib import Path

from autograder.course import Course, load

COURSE = """\
title = "Small course"

[[assignment]]
id = "s1_sums"
title = "Sums"
track = "basics"
week = 1
due = 2027-01-31T23:59:00+00:00
"""

SOLUTION = '''\
"""The reference of the small course."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Given to students."""

    start: int = 0


def total(values):
    """Add up the values.

    Raises: ValueError when there are none.
    """
    # An empty sum would be 0, and hide a mistake.
    if not values:
        raise ValueError("no values to add up")
    return sum(values)
    # the remark below the last statement


class RunningMean:
    """The mean of everything seen so far."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.seen_so_far = [config.start] if config.start else []

    def _mean_of_what_was_seen(self):
        return total(self.seen_so_far) / len(self.seen_so_far)

    def update(self, value):
        """Take one more value in; return the mean."""
        self.seen_so_far.append(value)
        return self._mean_of_what_was_seen()


def low(values):
    """Return the smallest value."""
    return min(value for value in values)


def high(values):
    """Return the largest value."""
    return max(value for value in values)


def countdown(n):
    """Yield n, n-1, ..., 1."""
    while n:
        yield n
        n -= 1
'''

LESSON = """\
# %% [markdown]
# # Sums
# Add things up.

# %% setup
from dataclasses import dataclass
from solutions.s1_sums import Config
LIMIT = 10

# %% [markdown]
# ## First

# %% exercise points=4 minutes=5 difficulty=1 importance=5 title="A total"
from solutions.s1_sums import total

# %% demo
print(total([1, 2, 3]), LIMIT)

# %% exercise points=5 minutes=15 difficulty=3 importance=3 title="A running mean"
from solutions.s1_sums import RunningMean

# %%
RunningMean(Config()).update(3)

# %% exercise points=1.5 minutes=5 difficulty=1 importance=1 title="Two ends"
from solutions.s1_sums import low, high

# %% exercise points=0 minutes=5 difficulty=2 importance=1 title="Backwards" bonus=true
from solutions.s1_sums import countdown
"""

CHECKS = '''\
"""Visible checks: plain Python, and nothing that students lack."""


def check_total(total):
    assert total([2, 3]) == 5


class _Config:
    start = 0


def check_running_mean(cls):
    assert cls(_Config()).update(3) == 3


def check_low(low, high):
    assert low([3, 2]) == 2 and high([2, 3]) == 3


def check_countdown(countdown):
    assert list(countdown(2)) == [2, 1]
'''

HIDDEN = '''\
"""Secret words of the referee stand here."""


def grows_with_every_value(student, rng):
    """Secretly adds one hundred and seventeen."""
    assert student.call("total", [117]) == 117, "A hint that only the referee may give."
'''

MUTANTS = """\
def total(values):
    return sum(values) + len(values) - 1  # a wrong way that students must not read
"""

DATA = "value\n1\n2\n"


def write_course(root: Path, **replaced: str | None) -> Course:
    """Write the course below `root` and load it.

    Keyword arguments (course, lesson, solution, checks, hidden, mutants, data) replace a file's text; None leaves it out.
    """
    folder = root / "assignments" / "s1_sums"
    files = {
        "course": (root / "assignments" / "course.toml", COURSE),
        "solution": (root / "solutions" / "s1_sums.py", SOLUTION),
        "lesson": (folder / "lesson.py", LESSON),
        "checks": (folder / "checks.py", CHECKS),
        "hidden": (folder / "hidden.py", HIDDEN),
        "mutants": (folder / "mutants.py", MUTANTS),
        "data": (folder / "data" / "values.csv", DATA),
    }
    for key, (path, text) in files.items():
        content = replaced.get(key, text)
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_text(content, "utf-8")
    return load(root)
