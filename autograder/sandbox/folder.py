"""A job's working folder on the host in, nothing left of it out, whatever a student made of it. Only without namespaces.

Recursion would end at a thousand levels, and a path at 4096 bytes, so the levels are taken apart one by one: what stands in
a folder below is moved to the top first. Nothing runs in it any more, and no link is followed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(folder: Path | str) -> None:
    """Remove the folder and all that is in it; a folder that is not there is no error."""
    prefix, numbers = secrets.token_hex(8), itertools.count()
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)
        top = os.open(folder, _FOLDER)
        try:
            while names := os.listdir(top):
                for name in names:
                    if not _is_folder(name, top):
                        os.unlink(name, dir_fd=top)
                        continue
                    _empty(name, top, prefix, numbers)
                    os.rmdir(name, dir_fd=top)
        finally:
            os.close(top)
        os.rmdir(folder)


def _empty(name: str, top: int, prefix: str, numbers: itertools.count[int]) -> None:
    """Move the folders that stand in a folder to the top, and remove what else stands in it."""
    os.chmod(name, 0o700, dir_fd=top)
    inner = os.open(name, _FOLDER, dir_fd=top)
    try:
        for child in os.listdir(inner):
            if _is_folder(child, inner):
                os.chmod(child, 0o700, dir_fd=inner)  # to move a folder, one must be allowed to write in it
                os.rename(child, f"{prefix}-{next(numbers)}", src_dir_fd=inner, dst_dir_fd=top)
            else:
                os.unlink(child, dir_fd=inner)
    finally:
        os.close(inner)


def _is_folder(name: str, parent: int) -> bool:
    return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & 0o170000 == 0o040000
