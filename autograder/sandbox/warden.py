"""Limits in, an opened `Job` out: the one that holds the right to make boxes. It never reads a byte of a job's line.

It starts the zygote, gives each job its group in the kernel's cgroups, and waits until the player stands behind its
walls. It may run as root, so it knows no torch, no check and no submission; who asks the player may be somewhere else.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from autograder.errors import InfraError
from autograder.sandbox import jailed_process, outer, zygote_process
from autograder.sandbox.cgroups import Cgroups, Group
from autograder.sandbox.folder import remove
from autograder.sandbox.jail.spec import BORN, JobSpec
from autograder.sandbox.jailed_process import JailedProcess
from autograder.sandbox.job import Job, Limits, Meter

_NEW_SERVERS = 2  # are started for one job, before it is given up
_BORN_WAIT_S = 30.0
_MESSAGE_BYTES = 1 << 12
_UCRED = struct.Struct("=iII")  # pid, uid, gid
_NUMBERS = itertools.count(1)
GROUP_PREFIX = "autograder-"
MAX_SPARE = 2  # groups kept for each kind of limits
StartServer = Callable[[bool, str], JailedProcess]


class Warden:
    """Opens jobs from one warm fork server, for one thread or several.

    start_server(namespaces, search_path) starts the fork server: the zygote, if nothing else is said.
    weaker_because: why its jobs have no namespaces, for a person; empty if they have.
    """

    def __init__(self, env: Mapping[str, str] | None = None, start_server: StartServer = zygote_process.start) -> None:
        """Start the server. `env` is looked at for PATH only; nothing of it goes into the box.

        Raises: InfraError that says what to install, or what was refused.
        """
        self._search_path = (env or {}).get("PATH", jailed_process.SEARCH_PATH)
        self._start_server = start_server
        self._mutex = threading.Lock()
        self._spare: dict[tuple[int, int], list[Group]] = {}
        self._closed = False
        self.weaker_because = ""
        try:
            self.server = start_server(True, self._search_path)
        except InfraError as e:
            # Landlock and seccomp alone are a weaker box (tier C): never silently, and only where a course accepts it.
            self.weaker_because = str(e)
            try:
                self.server = start_server(False, self._search_path)
            except InfraError:
                raise e from None
        self.cgroups = Cgroups.find()
        if self.cgroups is not None:
            self.cgroups.sweep(GROUP_PREFIX)

    @property
    def has_namespaces(self) -> bool:
        return self.server.namespaces

    @property
    def has_cgroup(self) -> bool:
        return self.cgroups is not None

    def open(self, limits: Limits, topic: str = "", core: int | None = None) -> Job:
        """Open a job, on one core if that is said.

        Raises: InfraError when that failed, the last times from new servers: one of those may be lost, too.
        """
        with self._mutex:
            for _ in range(_NEW_SERVERS):
                try:
                    return self._open(limits, topic, core)
                except InfraError:
                    self._restart()
            return self._open(limits, topic, core)

    def close(self) -> None:
        """End the zygote with every job that is still open."""
        with self._mutex:
            self._closed = True
            self.server.stop()
            for group in [g for groups in self._spare.values() for g in groups]:
                group.remove()
            self._spare.clear()

    def _restart(self) -> None:
        namespaces = self.server.namespaces
        self.server.stop()
        self.server = self._start_server(namespaces, self._search_path)

    def _open(self, limits: Limits, topic: str, core: int | None) -> Job:
        if self.server.process.poll() is not None:
            raise InfraError("the jail of the boxes was lost")
        try:
            with contextlib.ExitStack() as undo:
                job = self._hand_over(self._spec(limits, topic, core), limits, undo)
                undo.pop_all()
                return job
        except (OSError, ValueError) as e:
            raise InfraError(f"a box could not be opened: {e}") from None

    def _hand_over(self, spec: JobSpec, limits: Limits, undo: contextlib.ExitStack) -> Job:
        """Give the server its ends of a job, and return ours once the player stands behind its walls."""
        group = self._make_group(limits)
        give_back = undo.enter_context(contextlib.ExitStack())
        if group is not None:
            give_back.callback(self._put_back, group, limits)
        if not spec.namespaces:
            spec = self._with_folder(spec, give_back)
        line, far_line = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        status, far_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, far_output = os.pipe()
        far = [far_line.detach(), far_output, far_status.detach()]
        undo.callback(line.close)
        undo.callback(status.close)
        undo.callback(os.close, output)
        # Before the player speaks: the kernel then tells its pid as we see it.
        status.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with contextlib.ExitStack() as stack:
            for fd in far:
                stack.callback(os.close, fd)
            entries = stack.enter_context(group.entries()) if group else []
            socket.send_fds(self.server.control, [spec.to_bytes()], [*far, *entries])
        pid, uid = _wait_until_born(status)
        meter = group.meter(pid) if group else Meter("stat", os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC))
        return Job(line, output, status, meter, pid, uid, spec.namespaces, give_back.pop_all().close)

    def _spec(self, limits: Limits, topic: str, core: int | None) -> JobSpec:
        return JobSpec(
            namespaces=self.server.namespaces,
            folder=outer.HOME,
            read_only=(*self.server.readable, "/proc"),
            read_write=(*outer.WRITABLE, *outer.DEVICES),
            max_wall_s=limits.max_wall_s,
            max_cpu_s=math.ceil(limits.max_cpu_s),
            address_bytes=limits.address_bytes,
            processes=limits.processes,
            disk_bytes=limits.disk_bytes,
            reply_bytes=limits.reply_bytes,
            topic=topic,
            core=core,
        )

    def _with_folder(self, spec: JobSpec, give_back: contextlib.ExitStack) -> JobSpec:
        """Give a job that gets no mounts of its own a working folder, and no sight of other processes."""
        folder = tempfile.mkdtemp(prefix="box-job-")
        give_back.callback(remove, folder)
        if self.server.uid is not None:
            os.chown(folder, self.server.uid.value, self.server.uid.value)
        readable = (*self.server.readable, *outer.READABLE_PROC)
        return replace(spec, folder=folder, read_only=readable, read_write=(folder, *outer.DEVICES))

    def _make_group(self, limits: Limits) -> Group | None:
        if self.cgroups is None:
            return None
        spare = self._spare.setdefault((limits.memory_bytes, limits.processes), [])
        for group in spare:
            if group.renew():
                spare.remove(group)
                return group
        return self.cgroups.make(f"{GROUP_PREFIX}{os.getpid()}-{next(_NUMBERS)}", limits.memory_bytes, limits.processes)

    def _put_back(self, group: Group, limits: Limits) -> None:
        """Keep a group for a later job with the same limits: making one costs the kernel a millisecond.

        Its last process may still be dying, which nobody waits for here: whether it is empty is seen when it is wanted.
        """
        spare = self._spare.setdefault((limits.memory_bytes, limits.processes), [])
        group.kill()
        spare.append(group)
        while len(spare) > (0 if self._closed else MAX_SPARE):
            spare.pop(0).remove()


def _wait_until_born(status: socket.socket) -> tuple[int, int]:
    """Return the player's pid and uid, as this process sees them, once all its walls stand.

    Raises: InfraError with what went wrong instead.
    """
    status.settimeout(_BORN_WAIT_S)
    try:
        message, ancillary, _, _ = status.recvmsg(_MESSAGE_BYTES, socket.CMSG_SPACE(_UCRED.size))
    except TimeoutError:
        raise InfraError(f"a box did not open within {_BORN_WAIT_S:g} s") from None
    if message != BORN:
        raise InfraError(f"a box did not open: {message.decode('utf-8', 'replace') or 'the zygote was lost'}")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid, uid, _ = _UCRED.unpack(data)
            return pid, uid
    raise InfraError("a box did not open: the kernel did not tell its pid")
