"""The service's releases in, a student's folder out (fetch); an instructor's release folder in, a release out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import mkdtemp

from nbgrader.exchange import abc

from autograder.nbgrader_bridge.exchange.base import Exchange, write_files
from autograder.nbgrader_bridge.exchange.client import RELEASE_LIMITS


class ExchangeFetchAssignment(Exchange, abc.ExchangeFetchAssignment):
    """Copies a released assignment into the user's folder."""

    def exchange(self) -> None:
        assignment = self.named()
        folder = self.assignment_folder(assignment)
        if folder.is_dir() and not self.replace_missing_files:
            self.fail(f"You already have a copy of the assignment in this directory: {folder.name}. To get files back: --replace.")
        files = self.client().files(f"api/assignments/{assignment}/files")
        if folder.is_dir():
            for name in write_files(folder, files, replace=False):
                self.log.warning("Replacing missing file '%s'", name)
        else:
            _write_new(folder, files)
        self.log.info("Fetched as: %s %s", self.coursedir.course_id, assignment)


class ExchangeReleaseAssignment(Exchange, abc.ExchangeReleaseAssignment):
    """Releases an assignment, if the gate has passed exactly these files."""

    def exchange(self) -> None:
        assignment = self.named()
        folder = Path(self.coursedir.format_path(self.coursedir.release_directory, ".", assignment))
        if not folder.is_dir():
            source = self.coursedir.format_path(self.coursedir.source_directory, ".", assignment)
            hint = "run `nbgrader generate_assignment` first" if Path(source).is_dir() else "run `bootcamp init` first"
            self.fail(f"Assignment not found at: {folder}; {hint}.")
        files = self.read_folder(folder, RELEASE_LIMITS)
        said = self.client().send_files(f"api/assignments/{assignment}/release", files, RELEASE_LIMITS)
        self.log.info("Released as: %s %s (%s)", self.coursedir.course_id, assignment, json.dumps(said))


def _write_new(folder: Path, files: dict[str, bytes]) -> None:
    """Write the folder whole or not at all: what is cut off must not look like a fetched assignment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write_files(part, files, replace=True)
        part.chmod(0o755)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
