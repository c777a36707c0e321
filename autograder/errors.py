"""The errors that a person may see. Each message says what was found, where, what was expected and what to do."""

from __future__ import annotations

from pathlib import Path


class BootcampError(Exception):
    """A message for a person: printed without a traceback; the command ends with exit status 2."""


class CourseError(BootcampError):
    """The course's own files are wrong: course.toml, a lesson, a solution, a hidden check."""

    def __init__(self, path: Path | str, line: int | None, message: str) -> None:
        self.path, self.line = Path(path), line
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")


class SubmissionError(BootcampError):
    """A submitted file cannot be read as a notebook of this course."""


class InfraError(BootcampError):
    """Our own fault: the box did not start, a check broke, a slot was lost. Never a zero."""
