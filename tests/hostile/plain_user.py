"""A command in, the same command under an unprivileged uid out: run as root, `python -m tests.hostile.plain_user UID cmd...`.

The interpreter may stand in root's home, which no other uid may enter. In a mount namespace of its own that home is
covered by an empty folder in which only the interpreter's path is left.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from autograder.sandbox.jail import kernel

ROOT = Path(__file__).parents[2]
UIDS = {"B": 65534, "C": 65533}  # for C there is no bubblewrap in PATH


def run_suite(tier: str, suite: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run pytest over the files in the tier, as the plain user that it needs. For root."""
    command = [sys.executable, "-m", "tests.hostile.plain_user", str(UIDS[tier]), sys.executable, "-m", "pytest", "-q"]
    command += ["-p", "no:cacheprovider", *suite]
    variables = {"HOSTILE_TIER": tier, **{k: os.environ[k] for k in ("PATH", "BOOTCAMP_TEST_ALL") if k in os.environ}, **env}
    if tier == "C":
        variables["HOSTILE_PATH"] = "/nonexistent"
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=3600, check=False)


def main() -> None:
    uid, command = int(sys.argv[1]), sys.argv[2:]
    kernel.unshare(kernel.NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    _uncover(Path(sys.base_prefix))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    os.execve(command[0], command, {**env, **{k: v for k, v in os.environ.items() if k.startswith(("HOSTILE_", "BOOTCAMP_TEST_"))}})


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
