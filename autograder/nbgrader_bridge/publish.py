"""Graded submissions in, nbgrader's gradebook and folders out. The ledger is the truth; this can be made again from it.

nbgrader keeps one submission per student and assignment: the newest. A submission that is older than what the gradebook
holds is left out; the same one may come again and changes nothing. Where some exercise is unscored by our fault, what was
scored is written, and the submission shows in formgrader as one that still needs autograding.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from autograder.course import MANIFEST, Assignment, Course, Manifest
from autograder.deadlines import Extension
from autograder.errors import BootcampError
from autograder.grading.verdict import Graded
from autograder.home import Home
from autograder.nbgrader_bridge.folders import Folders
from autograder.nbgrader_bridge.gradebook import Gradebook, Row
from autograder.nbgrader_bridge.outputs import add_outputs
from autograder.nbgrader_bridge.repair import repaired
from autograder.submission.notebook import parse


@dataclass(frozen=True)
class Submitted:
    """One graded submission. `raw` are the bytes that were handed in; `received_at` is aware.

    course.toml may name the student by `pseudonym`; `granted` are the extensions that it does not hold.
    """

    student: str
    raw: bytes
    received_at: datetime
    graded: Graded
    pseudonym: str = ""
    granted: tuple[Extension, ...] = ()


class _Entry(Protocol):
    @property
    def student(self) -> str: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def received_at(self) -> datetime: ...


class Result(Protocol):
    """What `bootcamp grade` has in hand at its end."""

    @property
    def entry(self) -> _Entry: ...
    @property
    def graded(self) -> Graded | None: ...


def publish_results(home: Home, course: Course, results: Iterable[Result]) -> int:
    """Publish what could be graded; return how many submissions the gradebook now shows. Raises as `publish`."""
    found = [Submitted(r.entry.student, r.entry.raw, r.entry.received_at, r.graded) for r in results if r.graded]
    return publish(home, course, found)


def publish(home: Home, course: Course, submissions: Sequence[Submitted]) -> int:
    """Write the newest readable submission of each student and assignment; return how many were written.

    All of them or none: one transaction. Raises: BootcampError when the gradebook is missing, was prepared for other
    exercises, or a student's name cannot be a folder's.
    """
    newest = _newest(s for s in submissions if not s.graded.error)
    if not newest:
        return 0
    frames = {id: _Frame(course.assignment(id)) for id in {s.graded.assignment for s in newest}}
    written = []
    with Gradebook.writing(home.nbgrader_root / "gradebook.db", {id: f.manifest for id, f in frames.items()}) as gradebook:
        for s in newest:
            folders = Folders(home.nbgrader_root, s.student, s.graded.assignment)
            s = replace(s, received_at=folders.collected_at(s.raw) or s.received_at)
            held = (gradebook.submitted_at(s.student, s.graded.assignment), folders.newest_at())
            if all(at is None or s.received_at >= at for at in held):
                assignment = course.assignment(s.graded.assignment)
                late = course.lateness(assignment, s.received_at, s.student, s.pseudonym, granted=s.granted)
                gradebook.write(Row(s.student, assignment.id, s.received_at, s.graded.verdicts, late.share))
                written.append((s, folders))
    for s, folders in written:
        _lay(s, folders, frames[s.graded.assignment])
    return len(written)


class _Frame:
    """The release of an assignment: what a graded notebook is put into."""

    def __init__(self, assignment: Assignment) -> None:
        self.manifest: Manifest = assignment.manifest()
        self.name = f"{assignment.id}.ipynb"
        try:
            self.notebook = json.loads((assignment.release / self.name).read_text("utf-8"))
        except (OSError, ValueError) as e:
            raise BootcampError(f"{assignment.release / self.name}: {e}. Run: bootcamp build {assignment.id}") from None
        self.files = dict(release_files(assignment.release, self.name))


def release_files(release: Path, *without: str) -> Iterable[tuple[str, bytes]]:
    """Yield the files of a release that students get, by their name: not the manifest, nor those named."""
    for path in sorted(release.rglob("*")):
        name = path.relative_to(release).as_posix()
        if path.is_file() and name not in (MANIFEST, *without) and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts):
            yield name, path.read_bytes()


def _newest(submissions: Iterable[Submitted]) -> list[Submitted]:
    found: dict[tuple[str, str], Submitted] = {}
    for s in submissions:
        key = (s.student, s.graded.assignment)
        if key not in found or s.received_at >= found[key].received_at:
            found[key] = s
    return list(found.values())


def _lay(s: Submitted, folders: Folders, frame: _Frame) -> None:
    folders.lay_submitted(s.raw, s.received_at)
    if not s.graded.is_complete:
        folders.drop_autograded()
        return
    notebook = repaired(frame.notebook, frame.manifest, parse(s.raw))
    add_outputs(notebook["cells"], frame.manifest, s.graded)
    content = (json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8", "replace")
    folders.lay_autograded({**frame.files, frame.name: content}, s.received_at)
