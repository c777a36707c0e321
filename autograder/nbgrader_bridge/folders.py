"""Names and bytes in, nbgrader's submitted/ and autograded/ folders out, as its collect and autograde would leave them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from autograder.errors import BootcampError, SubmissionError
from autograder.submission.notebook import MAX_BYTES

_TIMESTAMP = "timestamp.txt"
_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"
_FORMATS = (_FORMAT, "%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S")
_MAX_NAME_CHARS = 128  # what nbgrader's database holds


def refuse_bad_name(student: str) -> None:
    """Raises: BootcampError for a name that cannot be a folder, or that nbgrader would read as a pattern."""
    bad = sorted({c for c in student if c in "/\\*?[]+" or not c.isprintable()})
    if bad or not student or student != student.strip() or student.startswith((".", "-")) or len(student) > _MAX_NAME_CHARS:
        what = f"it contains {' '.join(map(repr, bad))}" if bad else "expected a letter or digit first, and no spaces around it"
        raise BootcampError(
            f"{student[:40]!r} cannot be a student's name in nbgrader's folders: {what}; at most {_MAX_NAME_CHARS} characters."
        )


class Folders:
    """nbgrader's course folder, one student's assignment at a time."""

    def __init__(self, root: Path, student: str, assignment: str) -> None:
        refuse_bad_name(student)
        self.assignment = assignment
        self.submitted = root / "submitted" / student / assignment
        self.autograded = root / "autograded" / student / assignment

    def collected_at(self, raw: bytes) -> datetime | None:
        """Return when these very bytes were submitted, if nbgrader has collected them with their time."""
        try:
            if read_regular(self.submitted / f"{self.assignment}.ipynb") != raw:
                return None
        except SubmissionError:
            return None
        return self.newest_at()

    def newest_at(self) -> datetime | None:
        """Return when what lies in submitted/ was submitted, graded or not; None when nothing with a time lies there."""
        return read_timestamp(self.submitted / _TIMESTAMP)

    def lay_submitted(self, raw: bytes, at: datetime) -> None:
        """Put the notebook where nbgrader collects; a folder that holds these bytes already keeps its other files."""
        if self.collected_at(raw) != at:
            _replace(self.submitted, {f"{self.assignment}.ipynb": raw}, at)

    def lay_autograded(self, files: Mapping[str, bytes], at: datetime) -> None:
        """Put what formgrader opens; files by their name below the folder."""
        _replace(self.autograded, files, at)

    def drop_autograded(self) -> None:
        """Take the folder away, so that formgrader shows the submission as one that still needs autograding."""
        _remove(self.autograded)


def read_timestamp(path: Path) -> datetime | None:
    """Return the time in one of nbgrader's timestamp files, UTC; None when there is none that can be read."""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def read_regular(path: Path) -> bytes:
    """Return a submitted file's bytes, at most one more than are read of any notebook.

    Raises: SubmissionError for a link, a device or a pipe: what it points at is not the student's.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        raise SubmissionError(f"{path}: {e.strerror}. Links are not followed.") from None
    with os.fdopen(fd, "rb") as f:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise SubmissionError(f"{path}: not a regular file.")
        return f.read(MAX_BYTES + 1)


def _replace(folder: Path, files: Mapping[str, bytes], at: datetime) -> None:
    _remove(folder)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / _TIMESTAMP).write_text(at.astimezone(UTC).strftime(_FORMAT), "utf-8")


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
