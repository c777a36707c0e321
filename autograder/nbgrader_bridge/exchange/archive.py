"""Named files in, a plain tar archive out, and back: whatever is odd in an archive is refused before anything is written.

How it works. An archive is uncompressed ustar: a header of 512 bytes per file, then its bytes. Reading takes regular
files only and stops at the first header that is anything else; sizes are checked before bytes are read, so an archive
costs at most what the limits allow. Links, devices, sparse files, compression and extended headers do not exist here.
Both ends use this: the client to pack, the server to read what some client packed.
"""

from __future__ import annotations

import io
import tarfile
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from autograder.errors import BootcampError

_BLOCK = tarfile.BLOCKSIZE
_FILE_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.DIRTYPE: "a folder",
}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7z": "xz", b"PK": "zip", b"\x28\xb5\x2f\xfd": "zstd"}


class RefusedFiles(BootcampError):
    """Files that the exchange does not take; the message names the file and the limit."""


@dataclass(frozen=True)
class Limits:
    """What one hand-in may hold."""

    n_files: int = 100
    file_bytes: int = 32 << 20
    total_bytes: int = 40 << 20
    name_chars: int = 120
    n_folders: int = 6

    @property
    def archive_bytes(self) -> int:
        """The size of the largest archive that can pass: headers, padding and the end come on top of the files."""
        return self.total_bytes + (self.n_files + 22) * 2 * _BLOCK


def pack(files: Mapping[str, bytes], limits: Limits) -> bytes:
    """Return the archive, files in the order of their names. Raises: RefusedFiles as `unpack` would."""
    names = _Names(limits)
    total = 0
    for name, content in files.items():
        names.add(name)
        total = _check_size(name, len(content), total, limits)
    buffer = io.BytesIO()
    for name in sorted(files):
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(files[name]), 0o644
        try:
            buffer.write(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict"))
        except ValueError:
            raise RefusedFiles(f"{shown(name)}: the name is too long for the exchange. Shorten it.") from None
        buffer.write(files[name])
        buffer.write(bytes(-len(files[name]) % _BLOCK))
    buffer.write(bytes(2 * _BLOCK))
    return buffer.getvalue()


def unpack(stream: BinaryIO, limits: Limits) -> dict[str, bytes]:
    """Return the files by name. Raises: RefusedFiles that says what is wrong with which file, and the limit."""
    names = _Names(limits)
    found: dict[str, bytes] = {}
    total = 0
    for header in _headers(stream):
        info = _read_header(header)
        if info.type not in _FILE_TYPES:
            kind = _KINDS.get(info.type, f"an archive record of type {info.type!r}")
            raise RefusedFiles(f"{shown(info.name)} is {kind}; only regular files are taken. Replace it by a copy of the file.")
        names.add(info.name)
        total = _check_size(info.name, info.size, total, limits)
        content = _read(stream, info.size, info.name)
        _read(stream, -info.size % _BLOCK, info.name)
        found[info.name] = content
    if not found:
        raise RefusedFiles("the archive holds no file.")
    return found


def refuse_bad_name(name: str, limits: Limits) -> None:
    """Raises: RefusedFiles for a name that is no plain relative path, with the reason."""
    why = _why_bad(name, limits)
    if why:
        raise RefusedFiles(f"{shown(name)}: {why}. Rename the file.")


def shown(name: str) -> str:
    """Return the name as a message may show it: quoted, no control characters, not long."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return f'"{text[:80]}…"' if len(text) > 80 else f'"{text}"'


class _Names:
    """The names of one archive: each plain, no two the same on any file system, none both file and folder."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.files: dict[str, str] = {}
        self.folders: dict[str, str] = {}

    def add(self, name: str) -> None:
        refuse_bad_name(name, self.limits)
        if len(self.files) >= self.limits.n_files:
            raise RefusedFiles(
                f"{shown(name)} is one file too many: at most {self.limits.n_files} are taken. Remove what is not needed."
            )
        key = _key(name)
        if key in self.files or key in self.folders:
            other = self.files.get(key) or self.folders[key]
            raise RefusedFiles(f"{shown(name)} and {shown(other)} would be one file on some file systems. Rename one of them.")
        for folder in _parents(key):
            if folder in self.files:
                raise RefusedFiles(f"{shown(name)}: {shown(self.files[folder])} is a file, and cannot be a folder too.")
            self.folders.setdefault(folder, name)
        self.files[key] = name


def _key(name: str) -> str:
    """What a file system that folds case or composes accents would take the name for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")
    yield from ("/".join(parts[:n]) for n in range(1, len(parts)))


def _why_bad(name: str, limits: Limits) -> str:
    parts = name.split("/")
    if not name:
        return "a file without a name"
    if len(name) > limits.name_chars:
        return f"the name has {len(name)} characters; at most {limits.name_chars} are taken"
    if not all(c.isprintable() for c in name):
        return "the name holds control characters"
    if name.startswith("/") or "\\" in name or ":" in name:
        return 'expected a path inside the assignment\'s folder, without a leading "/", "\\" or ":"'
    if any(part in ("", ".", "..") for part in parts):
        return 'expected a path inside the assignment\'s folder, without "." or ".." in it'
    if any(part != part.strip() or part.endswith(".") for part in parts):
        return "a part of the name begins or ends with a space, or ends with a dot"
    if len(parts) - 1 > limits.n_folders:
        return f"it stands {len(parts) - 1} folders deep; at most {limits.n_folders} are taken"
    return ""


def _check_size(name: str, size: int, total: int, limits: Limits) -> int:
    """Return the new total. Raises: RefusedFiles."""
    if size < 0:
        raise RefusedFiles(f"{shown(name)}: damaged archive, a size below zero.")
    if size > limits.file_bytes:
        raise RefusedFiles(
            f"{shown(name)} has {size / 2**20:.1f} MiB; at most {limits.file_bytes / 2**20:g} are taken. "
            "Clear all outputs, save, and try again."
        )
    if total + size > limits.total_bytes:
        raise RefusedFiles(
            f"{shown(name)} is too much: all files together may have {limits.total_bytes / 2**20:g} MiB. Remove what is not needed."
        )
    return total + size


def _headers(stream: BinaryIO) -> Iterator[bytes]:
    first = True
    while True:
        block = stream.read(_BLOCK)
        if first and (kind := next((k for magic, k in _COMPRESSED.items() if block.startswith(magic)), "")):
            raise RefusedFiles(f"the archive is compressed ({kind}); expected a plain tar archive.")
        first = False
        if len(block) < _BLOCK:
            raise RefusedFiles("the archive ends in the middle: the upload was cut off. Try again.")
        if not block.strip(b"\0"):
            return
        yield block


def _read_header(block: bytes) -> tarfile.TarInfo:
    name, _, rest = block[:100].partition(b"\0")
    if rest.strip(b"\0"):
        raise RefusedFiles(f"{shown(name.decode('utf-8', 'replace'))}: the name holds a NUL character. Rename the file.")
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.TarError, ValueError) as e:
        raise RefusedFiles(f"not a tar archive, or a damaged one ({e}).") from None


def _read(stream: BinaryIO, size: int, name: str) -> bytes:
    content = stream.read(size) if size else b""
    if len(content) != size:
        raise RefusedFiles(f"{shown(name)}: the archive ends in the middle: the upload was cut off. Try again.")
    return content
