"""A command in, the same command under an unprivileged uid out: run as root, `python -m tests.hostile.plain_user UID cmd...`.

The interpreter may stand in root's home, which no other uid may enter. In a mount namespace of its own that home is
covered by an empty folder in which only the interpreter's path is left.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from autograder.sandbox.jail import kernel


def main() -> None:
    uid, command = int(sys.argv[1]), sys.argv[2:]
    kernel.unshare(kernel.NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    _uncover(Path(sys.base_prefix))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    os.execve(command[0], command, {**env, **{k: v for k, v in os.environ.items() if k.startswith("HOSTILE_")}})


def _uncover(folder: Path) -> None:
    closed = [p for p in reversed(folder.parents) if not p.stat().st_mode & 0o001]
    if not closed:
        return
    inside = os.open(folder, os.O_PATH)
    kernel.mount("tmpfs", str(closed[0]), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    folder.mkdir(parents=True)
    kernel.mount(f"/proc/self/fd/{inside}", str(folder), None, kernel.MS_BIND | kernel.MS_REC)
    os.close(inside)


if __name__ == "__main__":
    main()
