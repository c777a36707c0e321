"""An exercise's id in, its hidden checks run on what this kernel's cells define: how a grader without a box grades."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from autograder.course import load
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.draw import rng_for
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.model import Cell

COURSE = "BENCH_COURSE"  # the variable that names the course's root


def run(exercise_id: str) -> None:
    """Raise where a check fails, as a test cell does."""
    bundle = _bundle(exercise_id.split(".")[0])
    student = open_in_process([Cell("the kernel", "from __main__ import *")]).student
    for check in bundle.checks[exercise_id]:
        check.run(student, rng_for(b"bench" * 8, "nbgrader", exercise_id, check.name))


@cache
def _bundle(assignment_id: str) -> Bundle:
    return load_bundle(load(Path(os.environ[COURSE])).assignment(assignment_id))
