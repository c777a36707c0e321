"""An instructor's notebook in, the student version out, made by nbgrader's own generate_assignment."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autograder.errors import BootcampError
from autograder.nbgrader_bridge.config import COURSE_ID


def student_version(source: bytes, assignment: str) -> bytes:
    """Blank the marked regions, lock cells and compute checksums. No database, and no file stays behind.

    The process's working directory is elsewhere while this runs, so do not call it from a thread.
    Raises: BootcampError with nbgrader's own words when it refuses the notebook.
    """
    from nbgrader.converters import GenerateAssignment
    from nbgrader.preprocessors import SaveCells

    with tempfile.TemporaryDirectory(prefix="bootcamp-build-") as folder:
        root = Path(folder).resolve()
        path = root / "source" / assignment / f"{assignment}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(source)
        preprocessors = [p for p in GenerateAssignment.class_traits()["preprocessors"].default() if p is not SaveCells]
        # Points are registered when the course folder is prepared; here a database would only cost seconds.
        return _generate(root, assignment, {"no_database": True, "preprocessors": preprocessors})


def register(root: Path, assignment: str, due: datetime | None) -> None:
    """Generate release/<assignment> in nbgrader's course folder, and register its points and due date in the gradebook.

    Raises: BootcampError, also when exercises were added or removed after submissions came.
    """
    from nbgrader.api import Gradebook

    with _our_programs_on_path():
        with Gradebook(f"sqlite:///{root / 'gradebook.db'}", COURSE_ID) as gradebook:
            naive = due.astimezone(UTC).replace(tzinfo=None) if due else None
            gradebook.update_or_create_assignment(assignment, duedate=naive, course_id=COURSE_ID)
        _generate(root, assignment, {"force": True})


@contextmanager
def _our_programs_on_path() -> Iterator[None]:
    """nbgrader creates its database by calling `alembic` by name. (Its own `setenv` would take PATH away at the end.)"""
    before = os.environ.get("PATH")
    os.environ["PATH"] = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{before or os.defpath}"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = before


def _generate(root: Path, assignment: str, options: dict[str, Any]) -> bytes:
    # nbgrader imports Jupyter's server, 3 s of CPU: only a build pays them, and not the import of this module.
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.utils import capture_log
    from traitlets.config import Config

    config = Config()
    config.GenerateAssignment = Config(options)
    config.CourseDirectory = Config({"assignment_id": assignment, "course_id": COURSE_ID, "root": str(root)})
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
    converter.log = _quiet()
    result = capture_log(converter)
    released = root / "release" / assignment / f"{assignment}.ipynb"
    if not result["success"] or not released.is_file():
        raise BootcampError(_explain(assignment, result.get("log") or result.get("error", "")))
    return released.read_bytes()


def _explain(assignment: str, log: str) -> str:
    if "Cannot add or remove cells" in log:
        return (
            f"{assignment}: exercises were added, removed or renamed, and nbgrader's gradebook already holds submissions. "
            "nbgrader cannot change that. Move gradebook.db aside, run bootcamp init, then grade the folder submitted/ again: "
            "automatic scores come back, scores by hand do not."
        )
    return f"nbgrader refused the notebook of {assignment}:\n{log}"


def _quiet() -> logging.Logger:
    """A logger of our own: nbgrader's default one prints each step to the terminal."""
    log = logging.getLogger("autograder.nbgrader_bridge")
    log.propagate = False
    log.setLevel(logging.INFO)
    return log
