"""What a throw-away player attempts, one function per wall: returning means that the wall is missing, OSError that it holds.

This text is executed inside the box as a student's cell, so it imports the standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import resource
import socket
import threading
from collections.abc import Callable

SYSCALLS = {
    "x86_64": {
        "ptrace": 101, "process_vm_readv": 310, "add_key": 248, "io_uring_setup": 425, "bpf": 321, "perf_event_open": 298,
        "userfaultfd": 323, "unshare": 272, "mount": 165, "msgget": 68,
    },
    "aarch64": {
        "ptrace": 117, "process_vm_readv": 270, "add_key": 217, "io_uring_setup": 425, "bpf": 280, "perf_event_open": 241,
        "userfaultfd": 282, "unshare": 97, "mount": 40, "msgget": 186,
    },
}  # fmt: skip


def system_call(name: str) -> None:
    """Make the call with arguments that a kernel without a filter accepts, or refuses otherwise than with EPERM."""
    number = SYSCALLS[os.uname().machine][name]
    buffer = ctypes.create_string_buffer(256)
    arguments = {
        "unshare": (ctypes.c_ulong(0x10000000),),
        "add_key": (b"user", b"box", b"x", ctypes.c_ulong(1), ctypes.c_long(-3)),
        "userfaultfd": (ctypes.c_ulong(1),),
        "process_vm_readv": (ctypes.c_long(os.getpid()), None, ctypes.c_ulong(0), None, ctypes.c_ulong(0), ctypes.c_ulong(0)),
        "mount": (b"none", b"/tmp", b"tmpfs", ctypes.c_ulong(0), None),
        "msgget": (ctypes.c_long(0), ctypes.c_ulong(0o1600)),
    }.get(name, (ctypes.c_ulong(0), ctypes.addressof(buffer), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    if libc.syscall(ctypes.c_long(number), *arguments) < 0 and ctypes.get_errno() == 1:
        raise PermissionError(name)


def any_socket(families: list[int]) -> list[int]:
    """Open a socket of any of the families."""
    opened = []
    for family in families:
        try:
            socket.socket(family, socket.SOCK_RAW if family in (16, 17) else socket.SOCK_STREAM).close()
        except OSError:
            continue
        opened.append(family)
    if not opened:
        raise PermissionError("socket")
    return opened


def read_any(paths: list[str]) -> list[str]:
    """Read a file or list a folder."""
    return _any_of(paths, lambda path: os.listdir(path) if os.path.isdir(path) else open(path, "rb").close())


def write_any(folders: list[str]) -> list[str]:
    """Make a file in a folder, or open a file for writing."""

    def write(path: str) -> None:
        name = os.path.join(path, "left-behind") if os.path.isdir(path) else path
        os.close(os.open(name, os.O_WRONLY | (os.O_CREAT if name != path else 0)))

    return _any_of(folders, write)


def signal_others() -> list[int]:
    """Signal a process that is not one's own."""
    return _any_process(lambda pid: os.kill(pid, 0))


def slow_others() -> list[int]:
    """Set the priority or the cores of a process that is not one's own: to what they are, so that a success does no harm."""

    def slow(pid: int) -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))
        except OSError:
            os.sched_setaffinity(pid, os.sched_getaffinity(pid))

    return _any_process(slow)


def _any_process(act: Callable[[int], None]) -> list[int]:
    try:
        others = [int(p) for p in os.listdir("/proc") if p.isdigit()]
    except OSError:
        others = list(range(max(os.getpid() - 100, 2), os.getpid() + 100))  # a number needs no list
    reached = []
    for pid in {*others, os.getppid(), 1} - {0, os.getpid()}:
        try:
            act(pid)
        except OSError:
            continue
        reached.append(pid)
    if not reached:
        raise PermissionError("other processes")
    return reached


def see_others() -> list[str]:
    """See processes that are not one's own."""
    others = [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
    if not others:
        raise PermissionError("/proc")
    return others


def lock_a_shared_file(path: str) -> None:
    """Lock a file that other jobs can lock too: one bit of a covert channel."""
    with open(path, "rb") as f:
        fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)


def start_a_process() -> int:
    """Fork."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def raise_a_limit() -> None:
    """Raise the limit of open files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))
    except ValueError as e:
        raise PermissionError(str(e)) from None


def hold_a_capability() -> int:
    """Hold any capability, or be able to gain one by executing a set-uid program."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    no_new_privileges = libc.prctl(39, 0, 0, 0, 0)
    if not any(data) and no_new_privileges == 1:
        raise PermissionError("capabilities")
    return sum(data)


def set_the_hostname() -> None:
    """Change the machine's name."""
    socket.sethostname("box")


def find_descriptors(known: int) -> list[int]:
    """Find a descriptor beside standard input, output, error and the line."""
    found = []
    for fd in range(known, 1024):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found.append(fd)
    if not found:
        raise PermissionError("descriptors")
    return found


def find_variables(known: list[str]) -> list[str]:
    """Find a variable of the environment that is not part of the box."""
    found = sorted(set(os.environ) - set(known))
    if not found:
        raise PermissionError("environment")
    return found


def map_memory(n_bytes: int) -> None:
    """Reserve more memory than one process may have."""
    try:
        mmap.mmap(-1, n_bytes).close()
    except (OSError, MemoryError) as e:
        raise PermissionError(str(e)) from None


def start_threads(n: int) -> int:
    """Start more tasks than a job may have."""
    done = threading.Event()
    threads = []
    try:
        for _ in range(n):
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError as e:
        raise PermissionError(str(e)) from None
    finally:
        done.set()
        for thread in threads:
            thread.join()
    return n


def fill_the_disk(folder: str, n_bytes: int, n_files: int) -> int:
    """Write more than a job may, over several files."""
    names = [os.path.join(folder, f"fill{i}") for i in range(n_files)]
    try:
        for name in names:
            with open(name, "wb") as f:
                f.write(bytes(n_bytes // n_files))
    finally:
        for name in names:
            if os.path.exists(name):
                os.unlink(name)
    return n_bytes


def fill_memory(n_bytes: int) -> int:
    """Use more memory than a job may, page by page."""
    block = bytearray(n_bytes)
    block[::4096] = b"x" * len(range(0, n_bytes, 4096))
    return len(block)


def _any_of(paths: list[str], act: Callable[[str], object]) -> list[str]:
    done = []
    for path in paths:
        try:
            act(path)
        except OSError:
            continue
        done.append(path)
    if not done:
        raise PermissionError("files")
    return done
