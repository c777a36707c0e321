"""The small course in nbgrader's hands: submissions, publishing, and nbgrader's own view of its gradebook."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from nbgrader import api
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from autograder.nbgrader_bridge.publish import Submitted, publish
from tests.small_home import ID, SmallDoor, answers, handed_in, small_home

NOW = datetime(2026, 10, 5, 12, 0, 0, 250000, tzinfo=UTC)


class World:
    def __init__(self, folder):
        self.course, self.home = small_home(folder)
        self.root = self.home.nbgrader_root
        self.url = f"sqlite:///{self.root / 'gradebook.db'}"

    def submitted(self, student, at=NOW, raw=None, **changed):
        raw = raw or handed_in(self.course, answers(**changed))
        return Submitted(student, raw, at, SmallDoor(self.home).grade(raw, ID, student, at))

    def publish(self, *submitted):
        return publish(self.home, self.course, submitted)

    def gradebook(self):
        return api.Gradebook(self.url, "bootcamp")

    def scores(self, student, field="auto_score"):
        with self.gradebook() as gradebook:
            grades = gradebook.find_submission_notebook(ID, ID, student).grades
            return {f"{ID}.{g.name.removesuffix('-check')}": getattr(g, field) for g in grades}

    def nbgrader(self):
        config = Config(PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config())
        config.GradeInBox.door = "tests.small_home.open_small_door"
        return NbGraderAPI(CourseDirectory(config=config), config=config)

    def rows(self):
        """Everything that the gradebook holds, without the random ids."""
        with sqlite3.connect(self.root / "gradebook.db") as db:
            db.row_factory = sqlite3.Row
            names = [r[0] for r in db.execute("select name from sqlite_master where type = 'table'")]
            tables = {n: [dict(r) for r in db.execute(f"select * from {n}")] for n in names}
        return {n: sorted(str([(k, v) for k, v in r.items() if "id" not in k]) for r in rows) for n, rows in tables.items()}
