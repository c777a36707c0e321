"""What nbgrader's plugins of ours need to know: which course, and where its state lives. Set in nbgrader_config.py."""

from __future__ import annotations

import os
from pathlib import Path

from nbgrader.coursedir import CourseDirectory
from traitlets import Unicode
from traitlets.config import Configurable

from autograder import course as courses
from autograder.course import Course
from autograder.home import Home


class InCourse(Configurable):
    """A plugin that works inside the bootcamp's course folder."""

    course_root = Unicode(help="The folder that holds assignments/, solutions/ and release/.").tag(config=True)
    home = Unicode(help="The folder of the running course: ledger, seed, nbgrader's course folder.").tag(config=True)

    def home_folder(self) -> Home:
        """Return where the course keeps its state; a ledger elsewhere is named by the environment."""
        return Home.from_env({**os.environ, "BOOTCAMP_HOME": self.home}, Path(self.course_root))

    def course(self) -> Course:
        """Read the course. Raises: CourseError."""
        return courses.load(Path(self.course_root))

    def coursedir(self) -> CourseDirectory:
        """Return the course folder of the nbgrader application that this plugin works for."""
        parent = self.parent
        while parent is not None:
            found = getattr(parent, "coursedir", None)
            if isinstance(found, CourseDirectory):
                return found
            parent = getattr(parent, "parent", None)
        return CourseDirectory(parent=self)
