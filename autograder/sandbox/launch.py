"""Started by root: a plan as its argument in, the outer jail under an unprivileged uid out. Standard library only.

Root below a user namespace is still root on the host's files (/etc/shadow, core_pattern), so the process drops to the
slot's own uid before bubblewrap starts. What lies where that uid cannot go (root's home, a closed checkout) is first
bound to a traversable place in a private mount namespace, which ends with the process.

Standard input stays what it is: the zygote's control socket. The plan is JSON:
{"uid", "binds": [[source, place]], "copies": [[file or folder, place]], "command", "env"}.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

PLACE = "/mnt"  # covered by a tmpfs in the private namespace
_NEWNS, _MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 2, 4, 4096, 16384, 1 << 18


def main() -> None:
    """Follow the plan and become its command."""
    plan = json.loads(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_NEWNS), "unshare")
    _check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount /")
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV)
    _check(libc.mount(b"tmpfs", PLACE.encode(), b"tmpfs", flags, b"mode=755"), f"mount {PLACE}")
    for source, place in plan["binds"]:
        os.makedirs(place, 0o755)
        _check(libc.mount(source.encode(), place.encode(), None, ctypes.c_ulong(_MS_BIND | _MS_REC), None), f"bind {source}")
    os.umask(0o022)
    for source, place in plan["copies"]:
        _copy(source, place)
    os.setgroups([])
    os.setresgid(plan["uid"], plan["uid"], plan["uid"])
    os.setresuid(plan["uid"], plan["uid"], plan["uid"])
    os.execve(plan["command"][0], plan["command"], plan["env"])


def _copy(source: str, place: str) -> None:
    """Copy a file or all that is below a folder, readable by everyone: modes and owners stay behind."""
    os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
    if os.path.isdir(source):
        os.makedirs(place, 0o755, exist_ok=True)
        for name in os.listdir(source):
            _copy(os.path.join(source, name), os.path.join(place, name))
    elif os.path.isfile(source):
        with open(source, "rb") as read, open(place, "wb") as written:
            written.write(read.read())


def _check(result: int, call: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")


if __name__ == "__main__":
    main()
