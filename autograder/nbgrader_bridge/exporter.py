"""A submitted file in, the released notebook with the student's answers in it out: how nbgrader reads a submission.

nbgrader's own reader gives up on a file that is not quite a notebook, before any preprocessor could mend it; a deleted,
copied or retyped cell and edited metadata break it later. So reading and mending are one step here. Only nbgrader loads
this module; it is named in nbgrader_config.py.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter

from autograder.nbgrader_bridge.folders import read_regular
from autograder.nbgrader_bridge.in_course import InCourse
from autograder.nbgrader_bridge.repair import repaired
from autograder.submission.notebook import parse


class RepairingExporter(InCourse, NotebookExporter):
    """Hands on a valid notebook whatever was handed in. Raises: SubmissionError when the file is no notebook at all."""

    def from_filename(self, filename: str, resources: dict[str, Any] | None = None, **kw: Any) -> tuple[Any, dict[str, Any]]:
        """Read the file; `resources["nbgrader"]` says whose it is and of which assignment."""
        resources = {} if resources is None else resources
        if self._is_ours(filename):
            # nbgrader's second pass, over what the first one wrote.
            return super().from_filename(filename, resources, **kw)
        folder, name = os.path.split(filename)
        resources["metadata"] = {"name": os.path.splitext(name)[0], "path": folder}
        assignment = self.course().assignment(resources["nbgrader"]["assignment"])
        frame = json.loads((assignment.release / f"{assignment.id}.ipynb").read_text("utf-8"))
        notebook = repaired(frame, assignment.manifest(), parse(read_regular(Path(filename))))
        return self.from_notebook_node(nbformat.from_dict(notebook), resources=resources, **kw)

    def _is_ours(self, filename: str) -> bool:
        coursedir = self.coursedir()
        return Path(filename).resolve().is_relative_to(Path(coursedir.root, coursedir.autograded_directory).resolve())
