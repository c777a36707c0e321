"""A course in, a working nbgrader course folder out: source/, release/, configuration, gradebook.

Preparing again is quick where nothing changed: each assignment is remembered by the hash of all that it was made from.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from autograder.course import Assignment, Course
from autograder.errors import BootcampError
from autograder.home import Home
from autograder.nbgrader_bridge.config import config_text
from autograder.nbgrader_bridge.generate import register, student_version
from autograder.nbgrader_bridge.publish import release_files

SourceOf = Callable[[Assignment], bytes]
_FORMAT = "1"  # change it when the same sources must make another folder
_REMEMBERED = ".prepared.json"


def prepare(course: Course, home: Home, source_of: SourceOf) -> tuple[str, ...]:
    """Bring nbgrader's course folder up to date; return the assignments that had changed.

    `source_of` makes the instructor's notebook, answers included: it is called only for what changed.
    Raises: CourseError when an assignment is not built, BootcampError when its release is stale.
    """
    root = home.nbgrader_root
    root.mkdir(parents=True, exist_ok=True)
    # Answers lie in source/, and submissions in submitted/.
    root.chmod(0o700)
    _write_if_new(root / "nbgrader_config.py", config_text(course.root, home))
    remembered = _remembered(root)
    changed = []
    for assignment in course:
        key = _key(assignment)
        if remembered.get(assignment.id) != key or not (root / "source" / assignment.id).is_dir():
            _prepare(assignment, root, source_of)
            changed.append(assignment.id)
            remembered[assignment.id] = key
            # After each one: an error in a later assignment does not undo what was done.
            (root / _REMEMBERED).write_text(json.dumps(remembered, indent=1), "utf-8")
    return tuple(changed)


def _prepare(assignment: Assignment, root: Path, source_of: SourceOf) -> None:
    name = f"{assignment.id}.ipynb"
    notebook = source_of(assignment)
    released = (assignment.release / name).read_bytes()
    if json.loads(student_version(notebook, assignment.id)) != json.loads(released):
        raise BootcampError(f"{assignment.release / name} is stale: the lesson has changed. Run: bootcamp build {assignment.id}")
    folder = root / "source" / assignment.id
    if folder.exists():
        shutil.rmtree(folder)
    for file, content in [(name, notebook), *release_files(assignment.release, name)]:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    register(root, assignment.id, assignment.due)


def _key(assignment: Assignment) -> str:
    """Return the hash of what the folder of an assignment is made from. Raises: CourseError when it is not built.

    The lesson is not among it: an edit that nobody has built yet must not keep results out of the gradebook.
    """
    digest = hashlib.sha256(_FORMAT.encode())
    assignment.manifest()
    solution = assignment.solution.read_bytes() if assignment.solution.is_file() else b""
    parts = [*release_files(assignment.release), ("solution", solution), ("due", str(assignment.due).encode())]
    for name, content in parts:
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _remembered(root: Path) -> dict[str, str]:
    """Return assignment -> key; nothing is remembered of a gradebook that is not there any more."""
    try:
        found = json.loads((root / _REMEMBERED).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(found) if (root / "gradebook.db").is_file() and isinstance(found, dict) else {}


def _write_if_new(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
