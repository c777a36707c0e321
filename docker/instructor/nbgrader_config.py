"""nbgrader, for instructors: the course folder inside the bootcamp's home."""

import os
from pathlib import Path

c = get_config()  # noqa: F821 - nbgrader's own

c.CourseDirectory.root = str(Path(os.environ["BOOTCAMP_HOME"]) / "course")
