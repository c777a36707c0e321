"""A student's folder in, an attempt out (submit); attempts in, nbgrader's submitted/ out (collect)."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.exchange import abc

from autograder.nbgrader_bridge.exchange.archive import Limits
from autograder.nbgrader_bridge.exchange.base import Exchange, write_files
from autograder.nbgrader_bridge.folders import read_timestamp, refuse_bad_name

_TIMESTAMP = "timestamp.txt"


class ExchangeSubmit(Exchange, abc.ExchangeSubmit):
    """Hands the assignment's folder in. Who and when is for the Hub and the server to say."""

    def exchange(self) -> None:
        folder = Path(self.assignment_dir, str(self.coursedir.assignment_id)).absolute()
        assignment = self.coursedir.assignment_id = folder.name
        if not folder.is_dir():
            self.fail(f"Assignment not found at: {folder}. Fetch it first: nbgrader fetch_assignment {assignment}")
        limits = Limits()
        files = self.read_folder(folder, limits)
        if f"{assignment}.ipynb" not in files:
            others = ", ".join(n for n in files if n.endswith(".ipynb")) or "no notebook"
            self.fail(f"{assignment}.ipynb is missing in {folder}: found {others}. Rename your notebook to {assignment}.ipynb.")
        said = self.client().send_files(f"api/assignments/{assignment}/hand-in", files, limits)
        self.timestamp = self.stamp(said["received_at"])
        what = "Submitted as" if said["is_new"] else "The same notebook was submitted before, as"
        self.log.info("%s: %s %s %s", what, self.coursedir.course_id, assignment, self.timestamp)
        self.log.info("Attempt %s: %s. See it at %s", said["number"], said["words"], said["page"])


class ExchangeCollect(Exchange, abc.ExchangeCollect):
    """Lays each student's newest attempt into nbgrader's submitted/ folder, with the server's time."""

    def exchange(self) -> None:
        assignment, student = self.named(), str(self.coursedir.student_id)
        client = self.client()
        query = {"assignment": assignment, "latest": "due" if self.before_duedate else "any"}
        if student and student != "*":
            query["student"] = student
        found = client.get("api/submissions", **query)["submissions"]
        if not found:
            self.log.warning("No submissions of '%s' for course '%s' to collect", assignment, self.coursedir.course_id)
        for one in found:
            refuse_bad_name(one["student_id"])
            self._collect(assignment, one)

    def _collect(self, assignment: str, one: dict[str, Any]) -> None:
        student = one["student_id"]
        folder = Path(self.coursedir.format_path(self.coursedir.submitted_directory, student, assignment))
        at, held = datetime.fromisoformat(one["received_at"]), read_timestamp(folder / _TIMESTAMP)
        if folder.is_dir():
            is_newer = held is None or at > held
            if not (self.update and is_newer) and not (self.before_duedate and at != held):
                hint = "No newer submission to collect" if self.update else "Submission already exists, use --update to update"
                self.log.info("%s: %s %s", hint, student, assignment)
                return
        # Asked for before anything is taken away.
        files = self.client().files(f"api/submissions/{one['attempt']}/files")
        self.log.info("%s submission: %s %s", "Updating" if folder.is_dir() else "Collecting", student, assignment)
        if folder.is_symlink():
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        write_files(folder, files, replace=True)
        (folder / _TIMESTAMP).write_text(self.stamp(one["received_at"]), "utf-8")
