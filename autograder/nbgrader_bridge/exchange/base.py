"""What every plugin of ours has: the client, the folder that it works in, the folder's files, and nbgrader's way to fail."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from nbgrader.exchange import abc
from traitlets import Bool, Unicode

from autograder.errors import BootcampError
from autograder.nbgrader_bridge.exchange.archive import Limits, RefusedFiles, shown
from autograder.nbgrader_bridge.exchange.client import Client

# Written by nbgrader's other exchange or by us; never a part of what a student hands in.
_OURS = ("timestamp.txt", "submission_secret.txt")


class Exchange(abc.Exchange):
    """The exchange behind the Hub. It has no folder of its own, and nothing of it is shared."""

    path_includes_course = Bool(False, help="Whether assignments are fetched to COURSE/ASSIGNMENT.").tag(config=True)
    service = Unicode("", help="The service's address; empty: BOOTCAMP_SERVICE, which the Hub sets.").tag(config=True)

    def client(self) -> Client:
        env = dict(os.environ)
        return Client.from_env({**env, "BOOTCAMP_SERVICE": self.service} if self.service else env)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Turn our errors into nbgrader's, which its commands and pages show."""
        try:
            yield
        except BootcampError as e:
            self.fail(str(e))

    def fail(self, msg: str) -> NoReturn:
        self.log.fatal(msg)
        raise abc.ExchangeError(msg)

    def start(self) -> Any:
        with self.failing():
            return self.exchange()

    def exchange(self) -> Any:
        """Do the work. Raises: BootcampError, which `start` turns into nbgrader's error."""
        raise NotImplementedError

    def assignment_folder(self, assignment: str) -> Path:
        """Return where a user's copy of the assignment lies."""
        parts = (self.coursedir.course_id, assignment) if self.path_includes_course else (assignment,)
        return Path(self.assignment_dir, *parts).absolute()

    def named(self) -> str:
        """Return the assignment that was asked for, "" for all. Raises: ExchangeError when the name is a path."""
        assignment = str(self.coursedir.assignment_id)
        if "/" in assignment or assignment.startswith("."):
            self.fail(f"{assignment!r} is not an assignment's name.")
        return "" if assignment == "*" else assignment

    def stamp(self, received_at: str) -> str:
        """Return the server's time as nbgrader writes times."""
        return datetime.fromisoformat(received_at).astimezone(UTC).strftime(self.timestamp_format)

    def read_folder(self, folder: Path, limits: Limits) -> dict[str, bytes]:
        """Return a folder's files by name, as nbgrader would copy it. Raises: RefusedFiles for links and devices."""
        ignored = list(self.coursedir.ignore)
        found: dict[str, bytes] = {}
        for name, path in _walk(folder, folder, ignored):
            if name in _OURS:
                continue
            size = path.lstat().st_size
            if size > limits.file_bytes or len(found) >= limits.n_files:
                limit = f"{limits.file_bytes / 2**20:g} MiB a file, {limits.n_files} files"
                raise RefusedFiles(
                    f"{shown(name)} ({size / 2**20:.1f} MiB) is over the limit of {limit}. Remove it, or clear its outputs."
                )
            found[name] = path.read_bytes()
        return found


def _walk(top: Path, folder: Path, ignored: list[str]) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored):
            continue
        name, mode = path.relative_to(top).as_posix(), path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _walk(top, path, ignored)
        elif stat.S_ISREG(mode):
            yield name, path
        else:
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"
            raise RefusedFiles(f"{shown(name)} is {kind}; only regular files are taken. Replace it by a copy of the file.")


def write_files(folder: Path, files: Mapping[str, bytes], *, replace: bool) -> list[str]:
    """Write files below a folder; return those written. Existing ones are kept unless `replace`, links never followed."""
    written = []
    for name, content in files.items():
        path = folder.joinpath(*name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not replace:
            continue
        if path.is_symlink():
            path.unlink()
        path.write_bytes(content)
        written.append(name)
    return written
