"""What the tracker knows of exercises comes from course.toml and the built manifests."""

from __future__ import annotations

import json
from pathlib import Path

from autograder.course import Course, load
from autograder.progress import Item, course_items

COURSE_TOML = """
title = "A course"
[[assignment]]
id = "a1"
title = "First"
track = "basics"
week = 2
[[assignment]]
id = "a2"
title = "Second, not built yet"
track = "depth"
week = 9
"""


def _course(root: Path) -> Course:
    (root / "assignments").mkdir()
    (root / "assignments" / "course.toml").write_text(COURSE_TOML, "utf-8")
    (root / "release" / "a1").mkdir(parents=True)
    exercise = {
        "names": ["f"], "minutes": 5, "difficulty": 1, "importance": 1, "cell_id": "c", "stub": "", "uses": [],
    }  # fmt: skip
    exercises = [{**exercise, "id": f"A1.{n}", "title": f"Title {n}", "points": points} for n, points in (("f", 2.0), ("g", 0.0))]
    manifest = {"assignment": "a1", "exercises": exercises, "cells": []}
    (root / "release" / "a1" / "assignment.json").write_text(json.dumps(manifest), "utf-8")
    return load(root)


def test_items_come_from_built_assignments_and_the_end_from_all(tmp_path: Path) -> None:
    """Exercises of what is built, in teaching order; the course ends in the last week of course.toml, built or not."""
    found = course_items(_course(tmp_path))

    assert list(found.items.values()) == [
        Item("A1.f", "a1", "basics", 2, 2.0, "Title f", 0),
        Item("A1.g", "a1", "basics", 2, 0.0, "Title g", 1),
    ]
    assert found.end_week == 9
