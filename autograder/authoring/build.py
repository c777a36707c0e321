"""A course in, release/ out: for each assignment the student's notebook, visible checks, data, and the manifest.

lesson.py and the solution -> plan -> the instructor's notebook -> nbgrader -> the student's notebook -> files. A second
run changes no byte. Files that this builder did not make disappear from the folder of an assignment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.authoring.leak import leaks
from autograder.authoring.lesson import read_lesson
from autograder.authoring.notebook import source_notebook
from autograder.authoring.place import placed
from autograder.authoring.plan import Plan, plan, read_solution
from autograder.authoring.release import manifest, manifest_bytes, released_notebook
from autograder.authoring.scope import check_names, uses
from autograder.course import MANIFEST, Assignment, Course, load
from autograder.errors import CourseError
from autograder.nbgrader_bridge.generate import student_version

_SECRET = ("hidden*.py", "mutants*.py")


@dataclass(frozen=True)
class Built:
    """What one build did. `changed` are the files that were written or removed, relative to the release folder."""

    assignment: str
    folder: Path
    n_exercises: int
    points: float
    changed: tuple[str, ...]


def build(course: Course, out: Path, only: Iterable[str] | None = None) -> list[Built]:
    """Write out/<assignment>/ for every assignment of the course, or for those named.

    Raises: CourseError naming file and line; BootcampError for an unknown assignment. Nothing is written for the
    assignment that has the error.
    """
    chosen = list(course) if only is None else [course.assignment(name) for name in only]
    return [_build(course, a, out / a.id) for a in chosen]


def instructor_notebook(assignment: Assignment) -> bytes:
    """Return the notebook with the answers, as nbgrader's source/ folder wants it. Raises: CourseError."""
    return source_notebook(_plan(load(assignment.root), assignment)[0])


def _build(course: Course, assignment: Assignment, folder: Path) -> Built:
    planned, found_uses = _plan(course, assignment)
    notebook = released_notebook(student_version(source_notebook(planned), assignment.id))
    found = manifest(planned, notebook, found_uses)
    files = {
        f"{assignment.id}.ipynb": notebook,
        "checks.py": (assignment.folder / "checks.py").read_bytes(),
        MANIFEST: manifest_bytes(found),
        **_data(assignment),
    }
    _refuse_leaks(assignment, planned, files)
    return Built(assignment.id, folder, len(found.exercises), found.max_points, _write(folder, files))


def _plan(course: Course, assignment: Assignment) -> tuple[Plan, dict[str, tuple[str, ...]]]:
    lesson = placed(read_lesson(assignment.folder / "lesson.py"), course, assignment)
    solution = read_solution(assignment.solution, lesson.path)
    planned = plan(assignment.id, lesson, solution, assignment.folder / "checks.py")
    check_names(planned, lesson.path, solution)
    return planned, dict(uses(planned))


def _data(assignment: Assignment) -> dict[str, bytes]:
    """Return the files of the assignment's data folder by their released name. Raises: CourseError for a symbolic link."""
    found = {}
    folder = assignment.folder / "data"
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        name = path.relative_to(assignment.folder)
        if any(part.startswith((".", "__")) for part in name.parts):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise CourseError(path, None, "only plain files can be released, found a link or a device.")
        if path.is_file():
            found[name.as_posix()] = path.read_bytes()
    return found


def _refuse_leaks(assignment: Assignment, planned: Plan, files: Mapping[str, bytes]) -> None:
    answers = [line for t in planned.tasks for line in t.hidden]
    answer_set = {line.strip() for line in answers}
    solution = assignment.solution.read_text("utf-8").split("\n")
    visible = [line for line in solution if line.strip() not in answer_set]
    given = "\n".join([*visible, *(c.source for c in planned.cells if c.kind == "setup")])
    published = [(assignment.folder / name).read_text("utf-8") for name in ("lesson.py", "checks.py")]
    secret = {p.name: p.read_text("utf-8").split("\n") for pattern in _SECRET for p in sorted(assignment.folder.glob(pattern))}
    # An answer may stand in given code, where its author put it on purpose; nowhere else in what students get.
    found = leaks(files, {assignment.solution.name: answers}, given)
    found += leaks(files, secret, "\n".join([given, *published]))
    for leak in found:
        message = f'{leak.file} would tell students a line of {leak.secret}: "{leak.text}". Write it differently in what they get.'
        raise CourseError(assignment.folder / "lesson.py", None, message)


def _write(folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Make the folder hold exactly these files; return the names of those that changed."""
    changed = []
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            changed.append(name)
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in files:
            path.unlink()
            changed.append(name)
    return tuple(changed)
