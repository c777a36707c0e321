"""Handed-in bytes are kept whole, private and unchanged, or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.errors import InfraError
from autograder.records import Blobs, LedgerError


def test_bytes_come_back_under_their_hash(tmp_path: Path) -> None:
    """The name is the SHA-256 of the content; the same content twice is one file."""
    blobs = Blobs(tmp_path / "blobs")
    sha256 = blobs.put(b"a notebook")

    assert sha256 == hashlib.sha256(b"a notebook").hexdigest() == blobs.put(b"a notebook")
    assert blobs.get(sha256) == b"a notebook"
    assert len([p for p in (tmp_path / "blobs").rglob("*") if p.is_file()]) == 1


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    """Files 0600 in folders 0700, whatever the umask."""
    old = os.umask(0)
    try:
        Blobs(tmp_path / "blobs").put(b"x")
    finally:
        os.umask(old)

    modes = {stat.S_IMODE(p.stat().st_mode) for p in [tmp_path / "blobs", *(tmp_path / "blobs").rglob("*")]}
    assert modes == {0o700, 0o600}


def test_damage_is_found_and_mended_by_the_next_put(tmp_path: Path) -> None:
    """A truncated file is never handed out, and whoever hands the bytes in again makes it whole."""
    blobs = Blobs(tmp_path)
    sha256 = blobs.put(b"a notebook")
    path = next(p for p in tmp_path.rglob("*") if p.is_file())
    path.write_bytes(b"a note")

    with pytest.raises(InfraError, match="was damaged"):
        blobs.get(sha256)
    blobs.put(b"a notebook")
    assert blobs.get(sha256) == b"a notebook"


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_what_is_no_hash_is_no_path(tmp_path: Path, name: str) -> None:
    """A name from elsewhere cannot leave the folder."""
    with pytest.raises(LedgerError, match="no SHA-256"):
        Blobs(tmp_path).get(name)


def test_erased_bytes_are_gone(tmp_path: Path) -> None:
    """After remove there is nothing, and the error says what may have happened."""
    blobs = Blobs(tmp_path)
    sha256 = blobs.put(b"x")

    assert blobs.remove(sha256)
    assert not blobs.remove(sha256)
    with pytest.raises(LedgerError, match="erased"):
        blobs.get(sha256)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    """In a process that may write 1000 bytes to a file, a larger content is refused and no part of it stays."""
    code = f"""
import resource, signal
from pathlib import Path
from autograder.records.blobs import Blobs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
blobs = Blobs(Path({str(tmp_path)!r}))
blobs.put(b"x" * 900)
try:
    blobs.put(b"x" * 2000)
except Exception as e:
    print(type(e).__name__, e)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.startswith("InfraError")
    assert "not taken" in said
    assert [p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()] == [900]
