"""A notebook in, nbgrader's own autograde of it, in a course folder of its own, and what that costs out."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.bench.in_cell import COURSE
from autograder.course import Manifest
from autograder.submission.compose import compose


@dataclass(frozen=True)
class Course:
    """A course folder as nbgrader wants it, with one assignment."""

    root: Path
    assignment: str
    variables: Mapping[str, str]

    def run(self, *args: str) -> None:
        """Run an nbgrader command. Raises: RuntimeError with what it said."""
        # nbgrader asks the alembic command beside it for its own schema's version.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        env = {**os.environ, "OMP_NUM_THREADS": "1", "JUPYTER_CONFIG_DIR": str(self.root / "none"), "PATH": path, **self.variables}
        command = [sys.executable, "-m", "nbgrader", *args, "--CourseDirectory.root=" + str(self.root)]
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(args)} failed: {done.stderr[-2000:]}")

    def folder(self, step: str, student: str = "") -> Path:
        """Return the folder of the assignment at a step (source, release, submitted, autograded), made if need be."""
        place = self.root / step / student / self.assignment
        place.mkdir(parents=True, exist_ok=True)
        return place

    def autograde(self, pattern: str) -> None:
        """Autograde the students whose names match, one after the other, in one process."""
        self.run("autograde", self.assignment, "--create", "--force", f"--student={pattern}")

    def scores(self) -> list[float]:
        """Return every graded student's score, as nbgrader keeps it."""
        self.run("export")
        with (self.root / "grades.csv").open(newline="") as file:
            return [float(row["score"]) for row in csv.DictReader(file)]


def with_hidden_checks(
    root: Path, course_root: Path, manifest: Manifest, answers: Mapping[str, str], students: Iterable[str]
) -> Course:
    """Lay a course whose test cells run our hidden checks, and hand the answers in for every student.

    Of the notebook only set-up, answers and tests are in it: what the box executes too.
    """
    course = Course(root, manifest.assignment, {COURSE: str(course_root)})
    file = f"{manifest.assignment}.ipynb"
    (course.folder("source") / file).write_text(json.dumps(_notebook(manifest, answers)), "utf-8")
    course.run("generate_assignment", manifest.assignment, "--force")
    for student in students:
        shutil.copy(course.folder("source") / file, course.folder("submitted", student) / file)
    return course


def _notebook(manifest: Manifest, answers: Mapping[str, str]) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(compose(manifest, answers))
    exercise_of = {c.id: c.exercise for c in manifest.cells if c.kind == "check"}
    kept = []
    for cell in notebook["cells"]:
        if "nbgrader" not in cell["metadata"]:
            continue
        if cell["id"] in exercise_of:
            cell["metadata"]["nbgrader"]["points"] = 1
            cell["source"] = f'from autograder.bench.in_cell import run\nrun("{exercise_of[cell["id"]]}")'
        kept.append(cell)
    return {**notebook, "cells": kept}


def wall_s(course: Course, *patterns: str) -> float:
    """Return the seconds that it takes to autograde, with one process for each pattern, at once."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(patterns)) as pool:
        list(pool.map(course.autograde, patterns))
    return time.perf_counter() - started
