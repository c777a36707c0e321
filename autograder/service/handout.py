"""Built releases in, nbgrader's outbound folder out: what students find in their Assignment List.

nbgrader's own exchange on a shared folder, laid out as `nbgrader release_assignment` does it. Good enough for one
machine with one Unix user; an exchange behind the Hub takes its place.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from autograder.course import MANIFEST, Course

COURSE_ID = "bootcamp"  # the same as in docker/common/nbgrader_config.py


def hand_out(course: Course, exchange: Path) -> tuple[str, ...]:
    """Copy every built assignment to where students fetch it, replacing older copies; return their ids."""
    for folder in ("outbound", "inbound", "feedback"):
        (exchange / COURSE_ID / folder).mkdir(parents=True, exist_ok=True)
    built = tuple(a for a in course if (a.release / f"{a.id}.ipynb").is_file())
    for assignment in built:
        target = exchange / COURSE_ID / "outbound" / assignment.id
        shutil.rmtree(target, ignore_errors=True)
        # The manifest is the graders' table of contents; nobody solves exercises with it.
        shutil.copytree(assignment.release, target, ignore=shutil.ignore_patterns(MANIFEST, "__pycache__", ".ipynb_checkpoints"))
    return tuple(a.id for a in built)
