"""A job's own namespaces and mounts: after these calls nothing of another job can be named."""

from __future__ import annotations

import os

from autograder.sandbox.jail import kernel
from autograder.sandbox.jail.spec import JobSpec

ALL = kernel.NEWUSER | kernel.NEWNS | kernel.NEWPID | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS | kernel.NEWCGROUP
INSIDE_ID = 1000
_NO_DEVICES = kernel.MS_NOSUID | kernel.MS_NODEV
_N_INODES = 4096


def enter() -> None:
    """Leave all shared namespaces; the next fork is pid 1 of the new pid namespace. Needs no privilege but user namespaces."""
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(ALL)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{INSIDE_ID} {uid} 1"), ("gid_map", f"{INSIDE_ID} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)


def mount_own(spec: JobSpec) -> None:
    """Give the job empty writable folders of limited size and a /proc of its own processes."""
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    for path in spec.read_write:
        if os.path.isdir(path):
            limits = f"size={spec.disk_bytes},nr_inodes={_N_INODES},mode=700"
            kernel.mount("tmpfs", path, "tmpfs", _NO_DEVICES, limits)
    _mount_proc()
    # The seccomp filter denies new namespaces too; this holds even for a call that it does not know.
    _write_if_there("/proc/sys/user/max_user_namespaces", "0")
    kernel.libc().sethostname(b"box", 3)


def _mount_proc() -> None:
    try:
        kernel.mount("proc", "/proc", "proc", _NO_DEVICES | kernel.MS_NOEXEC, "hidepid=2")
    except OSError:
        # A container that masks parts of its own /proc forbids a fresh one: an empty one then.
        flags = _NO_DEVICES | kernel.MS_NOEXEC
        kernel.mount("tmpfs", "/proc", "tmpfs", flags, "size=4k,nr_inodes=8,mode=555")
        kernel.mount("tmpfs", "/proc", None, kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | flags)


def prefer_for_oom() -> None:
    """Let the kernel's out-of-memory killer take this process first."""
    _write_if_there("/proc/self/oom_score_adj", "1000")


def _write_if_there(path: str, text: str) -> None:
    try:
        with open(path, "w") as f:
            f.write(text)
    except OSError:
        return
