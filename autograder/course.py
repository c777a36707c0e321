"""course.toml and the built manifests in, `Course` out. Unknown keys and impossible values are errors with a line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from autograder.deadlines import Extension, Lateness, LatePolicy, due_for, lateness
from autograder.errors import BootcampError, CourseError

MANIFEST = "assignment.json"  # beside the released notebook; written by the builder, holds nothing secret
Tier = Literal["A", "B", "C", "D"]
# Whether a student may ask for the official verdict on one exercise before handing in; assignments/README.md says why.
CheckAlone = Literal["off", "practice", "counts"]


@dataclass(frozen=True)
class Exercise:
    """One graded slot of an assignment. `names` are the definitions that an answer must bring, the main one first."""

    id: str
    names: tuple[str, ...]
    title: str
    points: float
    minutes: int
    difficulty: int
    importance: int
    cell_id: str
    stub: str
    uses: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[0]


@dataclass(frozen=True)
class ManifestCell:
    """A cell of the released notebook, in order. `kind` is setup, answer, check, demo or text.

    Set-up cells are given code that grading executes, from here and never from a submission.
    """

    kind: str
    id: str
    source: str
    exercise: str = ""


def short_name(assignment_id: str) -> str:
    """Return what people call an assignment: T1 for t1_attention."""
    return assignment_id.split("_")[0].upper()


@dataclass(frozen=True)
class Assignment:
    """One assignment: its place in the course and, once built, its exercises and cells."""

    id: str
    title: str
    track: str
    week: int
    requires: tuple[str, ...]
    due: datetime | None
    root: Path
    line: int

    @property
    def folder(self) -> Path:
        return self.root / "assignments" / self.id

    @property
    def solution(self) -> Path:
        return self.root / "solutions" / f"{self.id}.py"

    @property
    def release(self) -> Path:
        return self.root / "release" / self.id

    def manifest(self) -> Manifest:
        """Read what the builder wrote. Raises: CourseError when the release is missing or damaged."""
        return read_manifest(self.release / MANIFEST, self.id)


@dataclass(frozen=True)
class Manifest:
    """What the released notebook of one assignment consists of."""

    assignment: str
    exercises: tuple[Exercise, ...]
    cells: tuple[ManifestCell, ...]

    def exercise(self, exercise_id: str) -> Exercise:
        for e in self.exercises:
            if e.id == exercise_id:
                return e
        raise BootcampError(f'no exercise "{exercise_id}" in {self.assignment}{_near(exercise_id, [e.id for e in self.exercises])}')

    @property
    def max_points(self) -> float:
        return sum(e.points for e in self.exercises)

    def as_json(self) -> dict[str, Any]:
        return {
            "generated": "by `bootcamp build` from assignments/ and solutions/; do not edit",
            "assignment": self.assignment,
            "exercises": [vars(e) for e in self.exercises],
            "cells": [vars(c) for c in self.cells],
        }


@dataclass(frozen=True)
class Course:
    """The whole course, in teaching order."""

    root: Path
    title: str
    require_tier: Tier
    assignments: tuple[Assignment, ...]
    check_alone: CheckAlone = "off"
    late: LatePolicy = field(default_factory=LatePolicy)
    extensions: tuple[Extension, ...] = ()

    def __iter__(self) -> Iterator[Assignment]:
        return iter(self.assignments)

    def assignment(self, assignment_id: str) -> Assignment:
        """Return the assignment. Raises: BootcampError that names the ones there are."""
        for a in self.assignments:
            if a.id == assignment_id:
                return a
        ids = [a.id for a in self.assignments]
        raise BootcampError(
            f'unknown assignment "{assignment_id}"{_near(assignment_id, ids)} The course has: {", ".join(ids) or "none"}.'
        )

    def lateness(self, assignment: Assignment, at: datetime, *names: str, granted: Iterable[Extension] = ()) -> Lateness:
        """Return how late something at `at` is for a student who goes by these names (the Hub's, the pseudonym).

        `granted` are extensions besides those of course.toml.
        """
        return lateness(due_for(assignment.due, (*self.extensions, *granted), assignment.id, names), self.late, at)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Grading(_Strict):
    require_tier: Tier = "B"
    check_alone: CheckAlone = "off"


class _Late(_Strict):
    grace_minutes: int = Field(default=0, ge=0, le=1440)
    percent_per_day: float = Field(default=0.0, ge=0, le=100)
    closes_after_days: int | None = Field(default=None, ge=0, le=366)


class _Extension(_Strict):
    student: str = Field(min_length=1)
    assignment: str = Field(min_length=1)
    until: AwareDatetime


class _Assignment(_Strict):
    id: str = Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")
    title: str = Field(min_length=1)
    track: str = Field(min_length=1)
    week: int = Field(ge=1)
    requires: list[str] = []
    due: AwareDatetime | None = None


class _CourseFile(_Strict):
    title: str = Field(min_length=1)
    grading: _Grading = _Grading()
    late: _Late = _Late()
    assignment: list[_Assignment] = []
    extension: list[_Extension] = []


def load(root: Path) -> Course:
    """Read root/assignments/course.toml. Raises: CourseError naming file, line, what was found and expected."""
    path = root / "assignments" / "course.toml"
    if not path.is_file():
        raise CourseError(path, None, "not found. Run this in the course's folder, or name it with --course.")
    text = path.read_text("utf-8")
    try:
        data = _CourseFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as e:
        line = re.search(r"at line (\d+)", str(e))
        raise CourseError(path, int(line[1]) if line else None, f"not valid TOML: {e}") from None
    except ValidationError as e:
        raise _explain(path, text, e) from None
    starts = _headers(text, "assignment")
    found = tuple(
        Assignment(a.id, a.title, a.track, a.week, tuple(a.requires), a.due, root, line)
        for a, line in zip(data.assignment, starts or [0] * len(data.assignment), strict=True)
    )
    _check_graph(path, found)
    extensions = tuple(Extension(e.student, e.assignment, e.until) for e in data.extension)
    _check_extensions(path, found, zip(extensions, _headers(text, "extension") or [0] * len(extensions), strict=True))
    late = LatePolicy(**data.late.model_dump())
    return Course(root, data.title, data.grading.require_tier, found, data.grading.check_alone, late, extensions)


def read_manifest(path: Path, assignment_id: str) -> Manifest:
    """Read a manifest that the builder wrote. Raises: CourseError."""
    try:
        data = json.loads(path.read_text("utf-8"))
        exercises = tuple(Exercise(**{**e, "names": tuple(e["names"]), "uses": tuple(e["uses"])}) for e in data["exercises"])
        return Manifest(data["assignment"], exercises, tuple(ManifestCell(**c) for c in data["cells"]))
    except FileNotFoundError:
        raise CourseError(path, None, f"the assignment is not built. Run: bootcamp build {assignment_id}") from None
    except (ValueError, KeyError, TypeError) as e:
        raise CourseError(path, None, f"damaged manifest ({e}). Run: bootcamp build {assignment_id}") from None


def _check_graph(path: Path, found: tuple[Assignment, ...]) -> None:
    seen: dict[str, int] = {}
    for a in found:
        if a.id in seen:
            raise CourseError(
                path, a.line, f'assignment "{a.id}" stands twice; the first is at line {seen[a.id]}. Ids must be unique.'
            )
        for needed in a.requires:
            # Order in the file is teaching order, so requiring only earlier ones also keeps the graph acyclic.
            if needed not in seen:
                raise CourseError(
                    path, a.line, f'"{a.id}" requires "{needed}", which no earlier assignment has{_near(needed, list(seen))}'
                )
        seen[a.id] = a.line


def _check_extensions(path: Path, found: tuple[Assignment, ...], extensions: Iterable[tuple[Extension, int]]) -> None:
    known = {a.id: a for a in found}
    for e, line in extensions:
        if e.assignment not in known:
            raise CourseError(
                path, line, f'an extension for "{e.assignment}", which is no assignment{_near(e.assignment, list(known))}'
            )
        due = known[e.assignment].due
        if due is None or e.until <= due:
            raise CourseError(
                path,
                line,
                f'an extension of "{e.assignment}" until {e.until}, and it is due {due or "never"}. Expected a later time.',
            )


def _headers(text: str, table: str) -> list[int]:
    """Return the lines at which the entries of a table begin."""
    return [n for n, line in enumerate(text.splitlines(), 1) if re.match(rf"\s*\[\[\s*{table}\s*\]\]", line)]


def _explain(path: Path, text: str, error: ValidationError) -> CourseError:
    # A misspelt key is both unknown and missing: say the first, which names the slip.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    loc = [str(x) for x in first["loc"]]
    key = next((x for x in reversed(loc) if not x.isdigit()), "")
    line = _line_of(text, first["loc"], key)
    where = ".".join(loc)
    if first["type"] == "extra_forbidden":
        models: dict[str, type[_Strict]] = {"grading": _Grading, "late": _Late, "assignment": _Assignment, "extension": _Extension}
        model = models.get(loc[0], _CourseFile) if len(loc) > 1 else _CourseFile
        known = list(model.model_fields)
        return CourseError(path, line, f'unknown key "{where}"{_near(key, known)} Expected one of: {", ".join(known)}.')
    if first["type"] == "missing":
        return CourseError(path, line, f'"{where}" is missing.')
    return CourseError(path, line, f"{where}: found {first.get('input')!r}. {first['msg']}.")


def _line_of(text: str, loc: tuple[int | str, ...], key: str) -> int | None:
    lines = text.splitlines()
    start = 0
    if len(loc) > 1 and isinstance(loc[1], int):
        headers = [n for n, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{re.escape(str(loc[0]))}\s*\]\]", line)]
        start = headers[loc[1]] if loc[1] < len(headers) else 0
    elif len(loc) > 1:
        start = next((n for n, line in enumerate(lines) if re.match(rf"\s*\[\s*{re.escape(str(loc[0]))}\s*\]", line)), 0)
    pattern = rf"\s*(\[+\s*)?{re.escape(key)}\s*(\]+|=)"
    return next((n + 1 for n in range(start, len(lines)) if re.match(pattern, lines[n])), start + 1 if start else None)


def _near(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, 1)
    return f'. Did you mean "{near[0]}"?' if near else "."
