"""An instructor's notebook in, the student version out, made by nbgrader's own generate_assignment. No database, no trace."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from autograder.errors import BootcampError


def student_version(source: bytes, assignment: str) -> bytes:
    """Blank the marked regions, lock cells and compute checksums, as `nbgrader generate_assignment` does.

    The process's working directory is elsewhere while this runs, so do not call it from a thread.
    Raises: BootcampError with nbgrader's own words when it refuses the notebook.
    """
    # Half a second to three, because it imports Jupyter's server: only a build pays it.
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.preprocessors import SaveCells
    from nbgrader.utils import capture_log
    from traitlets.config import Config

    with tempfile.TemporaryDirectory(prefix="bootcamp-build-") as folder:
        root = Path(folder).resolve()
        path = root / "source" / assignment / f"{assignment}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(source)
        config = Config()
        # Points are registered when the course folder is prepared; here a database would only cost seconds.
        config.GenerateAssignment.no_database = True
        config.GenerateAssignment.preprocessors = [
            p for p in GenerateAssignment.class_traits()["preprocessors"].default() if p is not SaveCells
        ]
        config.CourseDirectory.assignment_id = assignment
        converter = GenerateAssignment(coursedir=CourseDirectory(root=str(root), config=config), config=config)
        converter.log = _quiet()
        result = capture_log(converter)
        released = root / "release" / assignment / f"{assignment}.ipynb"
        if not result["success"] or not released.is_file():
            raise BootcampError(f"nbgrader refused the notebook of {assignment}:\n{result.get('log') or result.get('error', '')}")
        return released.read_bytes()


def _quiet() -> logging.Logger:
    """A logger of our own: nbgrader's default one prints each step to the terminal."""
    log = logging.getLogger("autograder.nbgrader_bridge")
    log.propagate = False
    log.setLevel(logging.INFO)
    return log
