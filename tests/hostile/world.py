"""A slot and an attack in, what was graded out: the tiny course, graded for real in boxes."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.grade import Budget, Grader
from autograder.grading.verdict import Graded
from autograder.sandbox.box import Slot
from autograder.submission.compose import compose
from tests import tiny

DOUBLE, QUADRUPLE, SCALER = "x1_tiny.double", "x1_tiny.quadruple", "x1_tiny.scaler"
# Tight, so that what never ends costs little: a loop 2 s of CPU, a sleep, which is tried twice, 9 s of waiting. The honest
# parts need a thirtieth of it; of what ends, the longest (an exception of a gigabyte) has time to do its harm.
BUDGET = Budget(shared_floor_s=0.3, alone_floor_s=1.6, notebook_floor_s=0.0, wall_per_cpu=2.5)


@functools.cache
def bundle() -> Bundle:
    """Return the tiny course's bundle."""
    root = Path(tempfile.mkdtemp(prefix="tiny-course-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return load_bundle(tiny.write(root).assignment("x1_tiny"))


def grader(slot: Slot) -> Grader:
    return Grader(bundle(), slot.open_box, slot.tier, b"a secret of the course's own " * 2, budget=BUDGET)


def grade(slot: Slot, double: str) -> Graded:
    """Grade a notebook whose answer to `double` is given and whose other answers are right."""
    return grader(slot).grade(compose(bundle().manifest, {**tiny.REFERENCE, DOUBLE: double}), "mallory")


def grade_honest(slot: Slot) -> Graded:
    """Grade the reference."""
    return grader(slot).grade(compose(bundle().manifest, tiny.REFERENCE), "alice")
