"""nbgrader's autograde in, verdicts of our box in its cells out. Takes the place of nbgrader's Execute; nothing runs here.

How it works. The bytes that the student handed in go through the same door as `bootcamp grade` uses; the notebook that
nbgrader carries through its preprocessors is only the form in which the result is written. A verdict that is our fault
raises: nbgrader then takes the autograded folder away, so the submission still "needs autograding", and its log says why.
Only nbgrader loads this module; it is named in nbgrader_config.py.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode

from autograder.errors import InfraError, SubmissionError
from autograder.grading.verdict import Graded
from autograder.home import Home
from autograder.nbgrader_bridge.door import Door, OpenDoor
from autograder.nbgrader_bridge.folders import read_regular, read_timestamp
from autograder.nbgrader_bridge.in_course import InCourse
from autograder.nbgrader_bridge.outputs import add_outputs


class GradeInBox(InCourse, NbGraderPreprocessor):
    """Fill each check cell with the points that grading gave, and with its words."""

    door = Unicode(
        "autograder.nbgrader_bridge.door.open_door", help="The factory of what grades, by its dotted name: called with the Home."
    ).tag(config=True)

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Grade the submission that `resources` name. Raises: InfraError or SubmissionError when it stays ungraded."""
        of = resources["nbgrader"]
        assignment, student = of["assignment"], of["student"]
        coursedir = self.coursedir()
        folder = Path(coursedir.format_path(coursedir.submitted_directory, student, assignment))
        path = folder / f"{of['notebook']}.ipynb"
        raw = read_regular(path)
        received_at = read_timestamp(folder / "timestamp.txt") or datetime.fromtimestamp(path.stat().st_mtime, UTC)
        graded = _DESK.door(self.run(), self.door, self.home_folder()).grade(raw, assignment, student, received_at)
        _refuse_ungraded(graded)
        add_outputs(nb.cells, self.course().assignment(assignment).manifest(), graded)
        return nbformat.from_dict(nb), resources

    def run(self) -> object:
        """Return the nbgrader run that this plugin works for: the converter, which owns the exporter that owns us."""
        exporter = self.parent
        return getattr(exporter, "parent", None) or exporter or self


def _refuse_ungraded(graded: Graded) -> None:
    if graded.error:
        raise SubmissionError(f"the submission cannot be read: {graded.error}")
    if not graded.is_complete:
        reasons = {note for v in graded.verdicts if v.points is None for note in v.notes}
        unscored = ", ".join(v.exercise for v in graded.verdicts if v.points is None)
        message = "not graded, by our fault and not the student's; nothing counts as zero. Autograde it again later."
        raise InfraError(f"{unscored}: {message} {' '.join(sorted(reasons))}")


class _Desk:
    """Keeps one door open for as long as the nbgrader run that asked for it lives.

    A run over many submissions then warms one box. In a server, where a run is one click on a button, the door closes
    with the run, or when the next one begins: checks that were rebuilt in between are read anew.
    """

    def __init__(self) -> None:
        self._run: weakref.ref[object] | None = None
        self._door: Door | None = None
        self._close: Callable[[], object] = lambda: None

    def door(self, run: object, factory: str, home: Home) -> Door:
        if self._door is None or self._run is None or self._run() is not run:
            self._close()
            self._door = None
            stack = ExitStack()
            module, _, name = factory.rpartition(".")
            open_door = cast(OpenDoor, getattr(importlib.import_module(module), name))
            self._door = stack.enter_context(open_door(home))
            # Each run closes its own door and no later one's; the interpreter's end closes what is still open.
            self._run, self._close = weakref.ref(run), weakref.finalize(run, stack.close)
        return self._door


_DESK = _Desk()
