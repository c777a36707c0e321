"""Paths in, graded and recorded results out: whose notebook is it, what did grading say, what did the ledger do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autograder.course import Course
from autograder.errors import BootcampError, SubmissionError
from autograder.grading.pool import Finished, Job, grade_all
from autograder.grading.verdict import Graded
from autograder.home import Home
from autograder.nbgrader_bridge.folders import refuse_bad_name
from autograder.records import Blobs, Ledger
from autograder.records.recording import pseudonym_of, record
from autograder.sandbox.clean import clean
from autograder.submission.notebook import MAX_BYTES
from autograder.submission.read import assignment_named_in

_PATH_CHARS = 4096


@dataclass(frozen=True)
class Entry:
    """One notebook to grade. `problem` says why it cannot be: then no box is opened for it."""

    path: Path
    student: str
    assignment: str
    raw: bytes
    received_at: datetime
    problem: str = ""


@dataclass(frozen=True)
class Result:
    """One entry's end. `problem` is the student's file, `fault` is ours; without either there are verdicts."""

    entry: Entry
    graded: Graded | None
    fault: str = ""
    recorded: str = ""
    wall_s: float = 0.0

    @property
    def problem(self) -> str:
        return self.entry.problem or (self.graded.error if self.graded else "")

    @property
    def is_unreadable(self) -> bool:
        return bool(self.problem)

    @property
    def is_ours(self) -> bool:
        """Whether something is unscored by our fault."""
        return bool(self.fault) or (self.graded is not None and not self.graded.error and not self.graded.is_complete)

    def as_json(self) -> dict[str, Any]:
        return {
            "path": clean(str(self.entry.path), _PATH_CHARS),
            "student": self.entry.student,
            "assignment": self.entry.assignment,
            "problem": self.problem,
            "fault": self.fault,
            "recorded": self.recorded,
            "points": self.graded.points if self.graded else None,
            "max_points": self.graded.max_points if self.graded else None,
            "graded": self.graded.as_json() if self.graded else None,
        }


def find_entries(course: Course, paths: Sequence[Path], assignment: str = "", student: str = "") -> list[Entry]:
    """Return one entry per notebook, in path order. Raises: BootcampError when there is none or an option is wrong."""
    if assignment:
        course.assignment(assignment)
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise BootcampError(f"{path}: not found.")
        inside = sorted(p for p in path.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts) if path.is_dir() else [path]
        found += [p for p in inside if p not in found]
    if not found:
        raise BootcampError(f"no notebook (*.ipynb) in {', '.join(map(str, paths))}.")
    if student and len(found) > 1:
        raise BootcampError(f"--student names one person, but there are {len(found)} notebooks.")
    return [_entry(course, p, assignment, student) for p in found]


def grade_batch(
    home: Home, entries: Sequence[Entry], cohort: str, n_workers: int, *, keep: bool, now: Callable[[], datetime]
) -> Iterator[Result]:
    """Yield each entry's result as it comes. With keep=False nothing is recorded."""
    if not keep:
        yield from _grade(home, entries, {e.student: e.student for e in entries}, n_workers, None, now)
        return
    with Ledger.open(home.ledger_url) as ledger:
        gradable = [e for e in entries if not e.problem]
        pseudonyms = {e.student: pseudonym_of(ledger, e.student, cohort, now()) for e in gradable}
        yield from _grade(home, entries, pseudonyms, n_workers, ledger, now)


def _grade(
    home: Home,
    entries: Sequence[Entry],
    pseudonyms: dict[str, str],
    n_workers: int,
    ledger: Ledger | None,
    now: Callable[[], datetime],
) -> Iterator[Result]:
    yield from (Result(e, None) for e in entries if e.problem)
    jobs = [Job(i, e.assignment, pseudonyms[e.student], e.raw) for i, e in enumerate(entries) if not e.problem]
    if jobs:
        for end in grade_all(jobs, home.course_root, home.seed(), home.path / "admitted", n_workers, os.environ):
            entry = entries[end.key]
            recorded = _record(home, ledger, pseudonyms[entry.student], entry, end, now)
            yield Result(entry, end.graded, end.fault, recorded, end.wall_s)


def _record(home: Home, ledger: Ledger | None, pseudonym: str, entry: Entry, end: Finished, now: Callable[[], datetime]) -> str:
    # Without a build nothing was graded (the assignment was not admitted): there is nothing to record.
    if ledger is None or end.graded is None or not end.graded.grader_build:
        return ""
    Blobs(home.blobs).put(entry.raw)  # a regrade needs the bytes again
    return str(record(ledger, pseudonym, end.graded, entry.received_at, now()).outcome)


def _entry(course: Course, path: Path, assignment: str, student: str) -> Entry:
    ids = {a.id for a in course}
    in_layout = len(path.parts) >= 3 and path.parent.name in ids
    student = student or (path.parent.parent.name if in_layout else path.stem)
    received_at = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    try:
        refuse_bad_name(student)
    except BootcampError as e:
        return Entry(path, clean(student, 80), assignment, b"", received_at, str(e))
    if path.is_symlink() or not path.is_file():
        return Entry(path, student, assignment, b"", received_at, "not a regular file: links and devices are not followed.")
    with path.open("rb") as f:
        raw = f.read(MAX_BYTES + 1)
    try:
        named = assignment or (path.parent.name if in_layout else assignment_named_in(raw))
    except SubmissionError as e:
        named, problem = "", str(e)
    else:
        problem = "" if named in ids else _unknown(named, ids)
    if not named and len(ids) == 1:
        named, problem = next(iter(ids)), ""  # one assignment: it can only be this one; grading says what is wrong
    return Entry(path, student, named, raw, received_at, problem)


def _unknown(named: str, ids: set[str]) -> str:
    what = f'the notebook says it is "{clean(named, 60)}"' if named else "neither path nor notebook says which assignment it is"
    return f"{what}; expected one of {', '.join(sorted(ids))}. Name it with --assignment."
