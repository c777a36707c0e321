"""The C library's calls that Python does not offer: an errno becomes an OSError that names the call."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from functools import cache

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 22, 38, 47
SYS_CLOSE_RANGE, SYS_LANDLOCK = 436, 444  # the same on every architecture since Linux 5.1


@cache
def libc() -> ctypes.CDLL:
    """Return the C library with errno kept."""
    return ctypes.CDLL(None, use_errno=True)


def checked(result: int, call: str) -> int:
    """Return the result of a call. Raises: OSError when it is negative."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")
    return result


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    checked(libc().unshare(ctypes.c_int(flags)), f"unshare({flags:#x})")


def enter(namespace_fd: int, kind: int) -> None:
    """Enter the namespace that a descriptor stands for; for a pid namespace, let the children do so."""
    checked(libc().setns(ctypes.c_int(namespace_fd), ctypes.c_int(kind)), f"setns({kind:#x})")


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """Mount a file system."""
    texts = [None if t is None else t.encode() for t in (source, target, kind, data)]
    checked(libc().mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]), f"mount {target}")


def prctl(option: int, *args: int) -> int:
    """Call prctl with the rest of its arguments zero."""
    five = [option, *args, 0, 0, 0, 0][:5]
    return checked(libc().prctl(*(ctypes.c_ulong(x) for x in five)), f"prctl({option})")


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor that is not kept."""
    start = 0
    for fd in [*sorted(set(keep)), 1 << 30]:
        if fd > start:
            checked(libc().syscall(SYS_CLOSE_RANGE, ctypes.c_uint(start), ctypes.c_uint(fd - 1), ctypes.c_uint(0)), "close_range")
        start = fd + 1
