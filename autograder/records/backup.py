"""A running course in, one tar archive of all that cannot be made again out; and back into an empty home.

What is in it: the ledger with its queue, every notebook that was handed in, the course seed, the keys that sign
transcripts, what passed the gate, and nbgrader's course folder with its gradebook. What is not: caches,
and people's own home folders.

The ledger comes first and the notebooks after it. They are put down before the transaction that names them and never
change, so whatever the copied ledger names is there to be copied, while the course goes on.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from autograder.errors import BootcampError
from autograder.home import TRANSCRIPT_KEYS, Home
from autograder.records import snapshot

MANIFEST = "manifest.json"
FORMAT = 1
_MAX_MANIFEST_BYTES = 1 << 20
_FOLDERS = ("blobs", "course", "gate", TRANSCRIPT_KEYS)
_SEED = "course_seed"


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself; it is its first member."""

    made_at: str
    ledger: str  # the name of the ledger's file
    ledger_sha256: str
    heads: dict[str, str]  # cohort -> hash of its newest event
    format: int = FORMAT


@dataclass
class Contents:
    """How much went in or out."""

    n_blobs: int = 0
    n_bytes: int = 0
    heads: dict[str, str] = field(default_factory=dict)


def write(home: Home, path: Path, at: datetime) -> Contents:
    """Write the archive; it appears whole or not at all, and only its owner can read it. Raises: BootcampError."""
    part = path.with_name(f".{path.name}.part")
    found = Contents()
    try:
        with tempfile.TemporaryDirectory(prefix="bootcamp-backup-", dir=path.parent) as folder:
            taken = snapshot.take(home.ledger_url, Path(folder))
            found.heads = taken.heads
            manifest = Manifest(at.isoformat(), taken.path.name, _sha256(taken.path), taken.heads)
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                _add_text(archive, MANIFEST, json.dumps(asdict(manifest), indent=1))
                archive.add(taken.path, taken.path.name, recursive=False)
                _add_text(archive, _SEED, home.seed().decode() + "\n")
                for member, source in _members(home, Path(folder)):
                    archive.add(source, member, recursive=False)
                    found.n_blobs += member.startswith("blobs/")
                found.n_bytes = file.tell()
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except OSError as e:
        raise BootcampError(f"{path}: {e.strerror}. No backup was made.") from None
    finally:
        part.unlink(missing_ok=True)
    return found


def read(home: Home, path: Path) -> Contents:
    """Put everything back. The home and the ledger must be empty, so nothing is ever overwritten.

    Every notebook is checked against its name, and the ledger against the manifest. Raises: BootcampError.
    """
    refuse_full(home)
    found = Contents()
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with tarfile.open(path, "r:") as archive, tempfile.TemporaryDirectory(dir=home.path, prefix=".restore-") as folder:
            manifest = _manifest(path, archive)
            for member in archive:
                if member.isfile():
                    _extract(archive, member, home, Path(folder), manifest, found)
            ledger = Path(folder) / manifest.ledger
            _refuse_other_seed(home)
            if not ledger.is_file() or _sha256(ledger) != manifest.ledger_sha256:
                raise BootcampError(f"{path}: the ledger in it is missing or damaged. Take another backup.")
            snapshot.put_back(ledger, home.ledger_url)
    except (tarfile.TarError, EOFError) as e:
        raise BootcampError(f"{path}: no backup, or a damaged one ({e}).") from None
    except OSError as e:
        raise BootcampError(f"{e.filename or path}: {e.strerror}.") from None
    found.heads = snapshot.heads(home.ledger_url)
    if found.heads != manifest.heads:
        raise BootcampError(f"{path}: the ledger that came back ends otherwise than the one that was saved. Do not use it.")
    return found


def refuse_full(home: Home) -> None:
    """Raises: BootcampError when something would be overwritten."""
    for name in (*_FOLDERS, _SEED):
        place = home.path / name
        if place.is_file() or (place.is_dir() and any(p.is_file() for p in place.rglob("*"))):
            raise BootcampError(f"{place} is there already. Restore into an empty folder: name one in BOOTCAMP_HOME.")
    if not snapshot.is_empty(home.ledger_url):
        raise BootcampError("the database in BOOTCAMP_LEDGER holds tables already. Name an empty one: nothing is overwritten.")


def _refuse_other_seed(home: Home) -> None:
    """Raises: BootcampError when the environment's seed, which would win, is not the one that came back."""
    if not (home.path / _SEED).is_file():
        raise BootcampError("the backup holds no course seed. Take another one.")
    saved = (home.path / _SEED).read_text("ascii").strip()
    if home.seed_text and home.seed_text != saved:
        raise BootcampError("the seed in BOOTCAMP_SEED is not the one in the backup: every draw would change. Give the old one.")


def _members(home: Home, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name in the archive, file) of everything in the home, databases as copies of one moment."""
    for name in _FOLDERS:
        for path in sorted(p for p in (home.path / name).rglob("*") if p.is_file() and not p.is_symlink()):
            inside = path.relative_to(home.path)
            if any(part.startswith(".") for part in inside.parts) or path.name.endswith(("-wal", "-shm", "-journal")):
                continue
            if path.suffix in (".db", ".sqlite"):
                copy = scratch / hashlib.sha256(str(inside).encode()).hexdigest()
                snapshot.copy_sqlite(path, copy)
                yield str(inside), copy
            else:
                yield str(inside), path


def _extract(
    archive: tarfile.TarFile, member: tarfile.TarInfo, home: Home, scratch: Path, manifest: Manifest, found: Contents
) -> None:
    if member.name == MANIFEST:
        return
    parts = Path(member.name).parts
    is_ours = member.name in (manifest.ledger, _SEED) or (len(parts) > 1 and parts[0] in _FOLDERS)
    if not is_ours or ".." in parts or Path(member.name).is_absolute():
        raise BootcampError(f"{member.name!r} does not belong into a backup.")
    target = (scratch if member.name == manifest.ledger else home.path) / member.name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    source = archive.extractfile(member)
    assert source is not None  # a regular file
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        sha256 = _copy(source, file)
    found.n_bytes += member.size
    if parts[0] == "blobs":
        found.n_blobs += 1
        if sha256 != target.name:
            raise BootcampError(f"{member.name}: damaged in the backup: its content hashes to {sha256[:12]}. Take another backup.")


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := source.read(1 << 20):
        digest.update(block)
        target.write(block)
    return digest.hexdigest()


def _manifest(path: Path, archive: tarfile.TarFile) -> Manifest:
    first = archive.next()
    if first is None or first.name != MANIFEST or first.size > _MAX_MANIFEST_BYTES:
        raise BootcampError(f"{path}: no backup of a bootcamp: it does not begin with {MANIFEST}.")
    source = archive.extractfile(first)
    try:
        data = json.loads(source.read() if source else b"")
        manifest = Manifest(**data)
    except (ValueError, TypeError):
        raise BootcampError(f"{path}: its {MANIFEST} cannot be read.") from None
    if manifest.format != FORMAT:
        raise BootcampError(f"{path}: format {manifest.format}; this program reads {FORMAT}. Use the release that wrote it.")
    if manifest.ledger not in snapshot.FILES.values():
        raise BootcampError(f"{path}: its {MANIFEST} names a ledger {manifest.ledger!r}.")
    return manifest


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(text.encode()), 0o600
    archive.addfile(info, io.BytesIO(text.encode()))


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
