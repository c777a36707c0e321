"""Bytes that were handed in, in; their SHA-256 out, and the same bytes again for ever. One file per content, immutable.

A file appears whole or not at all: it is written beside its place, flushed to the disk and renamed; then the folder is
flushed, so that a hash which a transaction mentions names bytes that survive a power cut. What is read is verified.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path

from autograder.errors import InfraError
from autograder.records.model import LedgerError

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A folder of contents, named by their hash. Any number of processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, content: bytes) -> str:
        """Keep the bytes and return their SHA-256; bytes that are there already are not written again.

        Raises: InfraError when the disk refuses (it is full, or read-only): nothing is left half-written.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._path(sha256)
        try:
            if not self._is_whole(path, len(content)):
                self._write(path, content)
        except OSError as e:
            raise InfraError(f"{path}: {e.strerror}. The hand-in was not taken; nothing is half-written.") from None
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return the bytes. Raises: LedgerError when there are none, InfraError when the disk changed them."""
        path = self._path(sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise LedgerError(f"{path}: not found. Were the student's bytes erased, or is this another machine's folder?") from None
        if (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise InfraError(f"{path}: its content hashes to {found[:12]}: the file was damaged. Restore it from a backup.")
        return content

    def has(self, sha256: str) -> bool:
        return self._path(sha256).is_file()

    def remove(self, sha256: str) -> bool:
        """Remove the bytes for good (a subject's erasure); return whether there were any."""
        try:
            self._path(sha256).unlink()
        except FileNotFoundError:
            return False
        return True

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise LedgerError(f"{sha256[:80]!r} is no SHA-256: expected 64 hexadecimal digits.")
        return self.folder / sha256[:2] / sha256

    def _is_whole(self, path: Path, n_bytes: int) -> bool:
        try:
            return path.stat().st_size == n_bytes
        except FileNotFoundError:
            return False

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as f:
                f.write(content)
                f.flush()
                os.fsync(f.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        for folder in (path.parent, self.folder):
            _sync(folder)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
