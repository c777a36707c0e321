"""A course's folder in, a running trunk out: the warm process from which a referee is forked for every submission."""

from __future__ import annotations

from pathlib import Path

from autograder.sandbox import jailed_process, outer
from autograder.sandbox.jailed_process import JailedProcess

COURSE = "/course"  # where the course stands inside
_SHOWN = ("assignments", "solutions", "release")
_FILES = ["*.py", "submission/*.py", "sandbox/**/*.py", "grading/*.py"]


def start(course_root: Path, namespaces: bool, search_path: str) -> JailedProcess:
    """Start the trunk. Raises: InfraError naming what to install or what was refused."""
    # The weaker filter's rules: a referee starts no process, whatever walls its players have.
    filter_program = jailed_process.compile_filter(namespaces=False)
    folders = {str(course_root / name): f"{COURSE}/{name}" for name in _SHOWN}
    root = COURSE if namespaces else str(course_root)
    contents = outer.Contents("autograder.grading.trunk", outer.our_files(_FILES), folders, root)
    trunk = jailed_process.start(contents, namespaces, search_path)
    trunk.greet({"filter": filter_program, "namespaces": namespaces, "warm": True})
    return trunk
