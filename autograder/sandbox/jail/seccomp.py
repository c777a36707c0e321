"""The system calls that a job may make: an allow-list, compiled once by libseccomp, installed in each job.

Everything else fails with EPERM: ptrace, process_vm_*, keyrings, io_uring, bpf, perf, userfaultfd, mounts, namespaces,
file locks and leases, what tells which pages of a shared file are in memory (covert channels), message queues, modules,
setuid, raising limits, others' priorities. A call through another ABI
(32-bit, x32) kills the process. What is not covered by namespaces must be denied here: AF_VSOCK, keyrings.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket

from autograder.sandbox.jail import kernel

ALLOWED = """
read write readv writev pread64 pwrite64 preadv pwritev close close_range dup dup2 dup3 lseek
open openat openat2 creat stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat
getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat
symlink symlinkat truncate ftruncate fallocate umask chmod fchmod fchmodat fchmodat2 utimensat futimesat
utime utimes fsync fdatasync sync_file_range statfs fstatfs copy_file_range sendfile splice tee mmap munmap mprotect
mremap madvise brk mlock munlock msync get_mempolicy membarrier rt_sigaction rt_sigprocmask rt_sigreturn
rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack kill tkill tgkill pause
alarm getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create
timerfd_settime timerfd_gettime clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times futex
futex_waitv futex_wake futex_wait set_robust_list get_robust_list set_tid_address gettid getpid getppid getpgrp
getpgid setpgid getsid setsid getuid geteuid getgid getegid getresuid getresgid getgroups getrlimit getrusage sysinfo
uname getcpu getpriority sched_yield sched_getaffinity sched_getparam sched_getscheduler
sched_get_priority_max sched_get_priority_min arch_prctl rseq getrandom restart_syscall exit exit_group wait4 waitid
pipe pipe2 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd
eventfd2 sendmsg recvmsg sendto recvfrom sendmmsg recvmmsg shutdown getsockname getpeername getsockopt setsockopt
memfd_create capget pidfd_open pidfd_send_signal
"""
# With namespaces of its own a job may also start processes and use unix sockets: they reach no one else.
INSIDE_NAMESPACES = "fork vfork execve execveat bind connect listen accept accept4 sched_setaffinity"
_SOCKET_TYPE, _STREAM = 0xF, 1
_PRIO_PROCESS = 0
_BINARY_TREE = 2
_CLONE_THREAD = 0x10000
_ANY_NAMESPACE = kernel.NEWNS | kernel.NEWCGROUP | kernel.NEWUTS | kernel.NEWIPC | kernel.NEWUSER | kernel.NEWPID | kernel.NEWNET
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIONCLEX FIOCLEX; no TIOCSTI
_PIPE_SIZE, _SEALS, _CLOEXEC_DUP = (1031, 1032), (1033, 1034), 1030
_FCNTLS = (fcntl.F_DUPFD, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, _CLOEXEC_DUP, *_PIPE_SIZE, *_SEALS)
# Getting the death signal, dumpable, the name, anonymous memory's name, no_new_privs, the bounding set. Not setting the
# death signal: it is what ends the job when its monitor dies.
_PRCTLS = (2, 3, 4, 15, 16, 23, 38, 39, 0x53564D41)


def compile_filter(*, namespaces: bool) -> bytes:
    """Return the filter as BPF, for jobs with or without namespaces. Raises: OSError when libseccomp is not installed."""
    try:
        import pyseccomp as sec
    except (ImportError, RuntimeError, AttributeError) as e:
        raise OSError(errno.ENOENT, f"libseccomp cannot be loaded ({e})") from None
    rules = sec.SyscallFilter(defaction=sec.ERRNO(errno.EPERM))
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # libseccomp before 2.5 knows no tree
        # The kernel tries every number when a filter is installed, in each job: in a tree it gets there in a few steps.
        rules.set_attr(sec.Attr.CTL_OPTIMIZE, _BINARY_TREE)
    for name in f"{ALLOWED} {INSIDE_NAMESPACES if namespaces else ''}".split():
        _allow(sec, rules, name)
    unix = sec.Arg(0, sec.EQ, socket.AF_UNIX)
    if namespaces:
        rules.add_rule(sec.ALLOW, "socket", unix)
        rules.add_rule(sec.ALLOW, "socketpair", unix)
        rules.add_rule(sec.ALLOW, "clone", sec.Arg(0, sec.MASKED_EQ, _ANY_NAMESPACE, 0))
    else:
        # A datagram socket of a pair could still send to any name on the host; a stream cannot.
        rules.add_rule(sec.ALLOW, "socketpair", unix, sec.Arg(1, sec.MASKED_EQ, _SOCKET_TYPE, _STREAM))
        rules.add_rule(sec.ALLOW, "clone", sec.Arg(0, sec.MASKED_EQ, _ANY_NAMESPACE | _CLONE_THREAD, _CLONE_THREAD))
        # Of itself alone: every process of the user, the worker too, could be pinned to one core.
        rules.add_rule(sec.ALLOW, "sched_setaffinity", sec.Arg(0, sec.EQ, 0))
    # Its own priority, not that of all processes of the user.
    rules.add_rule(sec.ALLOW, "setpriority", sec.Arg(0, sec.EQ, _PRIO_PROCESS), sec.Arg(1, sec.EQ, 0))
    # Its flags stand behind a pointer, where a filter cannot look; glibc then falls back to clone.
    rules.add_rule(sec.ERRNO(errno.ENOSYS), "clone3")
    for call, index, values in (("ioctl", 1, _IOCTLS), ("fcntl", 1, _FCNTLS), ("prctl", 0, _PRCTLS), ("prlimit64", 2, (0,))):
        for value in values:
            rules.add_rule(sec.ALLOW, call, sec.Arg(index, sec.EQ, value))
    # Not a temporary file: where no folder is writable, the fault would look like libseccomp's.
    with open(os.memfd_create("filter"), "w+b") as f:
        rules.export_bpf(f)
        f.seek(0)
        return f.read()


def _allow(sec: object, rules: object, name: str) -> None:
    try:
        rules.add_rule(sec.ALLOW, name)  # type: ignore[attr-defined]
    except (OSError, RuntimeError, ValueError):
        return  # this architecture or libseccomp does not know the call, so it stays denied


class _Program(ctypes.Structure):
    _fields_ = (("n_instructions", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def install(program: bytes) -> None:
    """Apply the filter to this process and its children, for good. Raises: OSError."""
    buffer = ctypes.create_string_buffer(program, len(program))
    described = _Program(len(program) // 8, ctypes.addressof(buffer))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    mode_filter = 2
    result = kernel.libc().prctl(
        kernel.PR_SET_SECCOMP, ctypes.c_ulong(mode_filter), ctypes.byref(described), ctypes.c_ulong(0), ctypes.c_ulong(0)
    )
    kernel.checked(result, "seccomp")
