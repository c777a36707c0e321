"""Resource limits and capabilities: what is given up here cannot be had back."""

from __future__ import annotations

import contextlib
import os
import resource
import struct

from autograder.sandbox.jail import kernel
from autograder.sandbox.jail.spec import JobSpec

_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522


def set_resource_limits(spec: JobSpec) -> None:
    """Set soft and hard limits alike; a lower limit that already holds is kept."""
    wanted = {
        resource.RLIMIT_AS: spec.address_bytes,
        resource.RLIMIT_NPROC: spec.processes + (0 if spec.namespaces else _tasks_of_this_user()),
        resource.RLIMIT_FSIZE: spec.disk_bytes,
        resource.RLIMIT_NOFILE: spec.open_files,
        resource.RLIMIT_CPU: spec.max_cpu_s,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    for which, value in wanted.items():
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def drop_capabilities() -> None:
    """Give up every capability. None can come back: no_new_privs, which every filter sets, makes set-uid files ordinary."""
    with contextlib.suppress(OSError):
        kernel.prctl(kernel.PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    kernel.checked(kernel.libc().capset(header, bytes(24)), "capset")


def _tasks_of_this_user() -> int:
    # Without a user namespace of its own, a job shares its count with whatever else this user runs.
    n_tasks, uid = 0, os.getuid()
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{process}").st_uid == uid:
                n_tasks += len(os.listdir(f"/proc/{process}/task"))
    return n_tasks
