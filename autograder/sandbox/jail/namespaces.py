"""Namespaces: a keeper in, jobs forked into namespaces of their own out; nothing of another job can then be named.

The keeper (the zygote) lives in a user and a pid namespace of its own, in which it may make more. For each job it points
its next child at a new pid namespace, forks, and points back. The child mounts its own folders while it still may, and
then enters a user namespace of its own, in which it gives up everything: over its mounts it has no power left.
"""

from __future__ import annotations

import contextlib
import os

from autograder.sandbox.jail import kernel
from autograder.sandbox.jail.spec import JobSpec

_OF_A_JOB = kernel.NEWUSER | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS | kernel.NEWCGROUP
INSIDE_ID = 1000
_NO_DEVICES = kernel.MS_NOSUID | kernel.MS_NODEV
_N_INODES = 4096


class Keeper:
    """The right to fork processes into new pid namespaces."""

    def __init__(self) -> None:
        """Enter namespaces of our own, in a child that takes this process's place. Raises: OSError if they are refused."""
        _enter_user_namespace(kernel.NEWUSER | kernel.NEWPID, os.open("/proc/self", os.O_PATH))
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        # Once for all jobs: what is copied from private mounts is private, too.
        kernel.unshare(kernel.NEWNS)
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)

    def fork(self) -> int:
        """Fork; the child is the first process of a new pid namespace."""
        kernel.unshare(kernel.NEWPID)
        try:
            pid = os.fork()
        except OSError:
            kernel.enter(self._own, kernel.NEWPID)
            raise
        if pid:
            kernel.enter(self._own, kernel.NEWPID)
        return pid


def enter(spec: JobSpec) -> None:
    """Leave every namespace that is shared with others, the job's folders mounted. For the keeper's child."""
    self_folder = os.open("/proc/self", os.O_PATH)
    kernel.unshare(kernel.NEWNS)
    _mount_own(spec)
    _enter_user_namespace(_OF_A_JOB, self_folder)
    # The seccomp filter denies new namespaces too; this holds even for a call that it does not know.
    _write_if_there("/proc/sys/user/max_user_namespaces", "0")
    kernel.libc().sethostname(b"box", 3)


def prefer_for_oom() -> None:
    """Let the kernel's out-of-memory killer take this process first."""
    _write_if_there("/proc/self/oom_score_adj", "1000")


def _enter_user_namespace(flags: int, self_folder: int) -> None:
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(flags)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{INSIDE_ID} {uid} 1"), ("gid_map", f"{INSIDE_ID} {gid} 1")):
        fd = os.open(name, os.O_WRONLY, dir_fd=self_folder)
        os.write(fd, text.encode())
        os.close(fd)
    os.close(self_folder)


def _mount_own(spec: JobSpec) -> None:
    """Mount empty writable folders of limited size, and a /proc of the job's own processes."""
    for path in spec.read_write:
        if os.path.isdir(path):
            limits = f"size={spec.disk_bytes},nr_inodes={_N_INODES},mode=700,uid={os.getuid()},gid={os.getgid()}"
            kernel.mount("tmpfs", path, "tmpfs", _NO_DEVICES, limits)
    try:
        kernel.mount("proc", "/proc", "proc", _NO_DEVICES | kernel.MS_NOEXEC, "hidepid=2")
    except OSError:
        # A container that masks parts of its own /proc forbids a fresh one: an empty one then.
        flags = _NO_DEVICES | kernel.MS_NOEXEC
        kernel.mount("tmpfs", "/proc", "tmpfs", flags, "size=4k,nr_inodes=8,mode=555")
        kernel.mount("tmpfs", "/proc", None, kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | flags)


def _write_if_there(path: str, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.write(fd, text.encode())
    os.close(fd)
