"""A machine in, a `Slot` out: one warm zygote from which a box is opened in milliseconds, and the tier that it holds."""

from __future__ import annotations

import array
import contextlib
import itertools
import math
import os
import shutil
import socket
import struct
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from autograder.errors import InfraError
from autograder.sandbox import outer, zygote_process
from autograder.sandbox.cgroups import Cgroups, Group
from autograder.sandbox.engine import JailEngine
from autograder.sandbox.jail.spec import BORN, JobSpec
from autograder.sandbox.probes import Probe, attempt
from autograder.sandbox.program import Box, Limits
from autograder.sandbox.tiers import Tier, tier_of
from autograder.sandbox.zygote_process import ZygoteProcess
from autograder.submission.model import Cell

_BORN_WAIT_S = 30.0
_MESSAGE_BYTES = 1 << 12
_UCRED = struct.Struct("=iII")  # pid, uid, gid
_NUMBERS = itertools.count(1)
GROUP_PREFIX = "autograder-"


class Slot:
    """One warm zygote. A context manager; one box after the other, or a few at once, from one thread.

    tier, probes: what a throw-away player could and could not do, tried at the start.
    weaker_because: why it is not the strongest kind of box, for a person; empty if it is.
    """

    tier: Tier
    probes: tuple[Probe, ...]

    def __init__(self, zygote: ZygoteProcess, cgroups: Cgroups | None, weaker_because: str) -> None:
        self._zygote, self._cgroups, self.weaker_because = zygote, cgroups, weaker_because
        self._engines: weakref.WeakSet[JailEngine] = weakref.WeakSet()

    @classmethod
    def start(cls, env: Mapping[str, str] | None = None) -> Self:
        """Start a zygote, attack it, and return the slot with the tier that it earned.

        `env` is looked at for PATH only; nothing of it goes into the box.
        Raises: InfraError that says what to install, or what was refused.
        """
        search_path = (env or {}).get("PATH", zygote_process.SEARCH_PATH)
        weaker_because = ""
        try:
            zygote = zygote_process.start(True, search_path)
        except InfraError as e:
            # Landlock and seccomp alone are a weaker box (tier C): never silently, and only where a course accepts it.
            weaker_because = str(e)
            try:
                zygote = zygote_process.start(False, search_path)
            except InfraError:
                raise e from None
        slot = cls(zygote, Cgroups.find(), weaker_because)
        try:
            if slot._cgroups is not None:
                slot._cgroups.sweep(GROUP_PREFIX)
            slot.probes = attempt(slot)
            slot.tier = tier_of(slot.probes)
        except BaseException:
            slot.close()
            raise
        return slot

    def open_box(self, program: Sequence[Cell], limits: Limits = Limits(), *, seed: int = 0) -> Box:  # noqa: B008
        """Execute the cells in a fresh player and return the box. What the cells do wrong is in `Box.failures`.

        Raises: InfraError when the box could not be opened, twice.
        """
        try:
            engine = self._start_player(limits)
        except InfraError:
            self._restart()
            engine = self._start_player(limits)
        try:
            return Box(engine, program, limits, seed)
        except BaseException:
            engine.close()
            raise

    @property
    def has_namespaces(self) -> bool:
        return self._zygote.namespaces

    @property
    def has_cgroup(self) -> bool:
        return self._cgroups is not None

    def close(self) -> None:
        """End the zygote with every box that is still open."""
        for engine in list(self._engines):
            engine.close()
        self._zygote.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _restart(self) -> None:
        namespaces = self._zygote.namespaces
        self._zygote.stop()
        self._zygote = zygote_process.start(namespaces)

    def _start_player(self, limits: Limits) -> JailEngine:
        try:
            with contextlib.ExitStack() as undo:
                engine = self._hand_over(limits, undo)
                undo.pop_all()
                self._engines.add(engine)
                return engine
        except (OSError, ValueError) as e:
            raise InfraError(f"a box could not be opened: {e}") from None

    def _hand_over(self, limits: Limits, undo: contextlib.ExitStack) -> JailEngine:
        """Give the zygote its ends of a job, and return the engine of ours once the player stands behind its walls."""
        group, folder = self._make_group(limits), self._make_folder()
        if group is not None:
            undo.callback(group.remove)
        if folder is not None:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
        line, far_line = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        status, far_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, far_output = os.pipe()
        far = [far_line.detach(), far_output, far_status.detach()]
        undo.callback(line.close)
        undo.callback(status.close)
        undo.callback(os.close, output)
        # Before the player speaks: the kernel then tells its pid as we see it.
        status.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            with contextlib.ExitStack() as stack:
                entries = stack.enter_context(group.entries()) if group else []
                rights = array.array("i", [*far, *entries])
                message = self._spec(limits, folder).to_bytes()
                self._zygote.control.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        finally:
            for fd in far:
                os.close(fd)
        pid, uid = _wait_until_born(status)
        return JailEngine(line, output, status, pid, uid, group, limits, folder)

    def _spec(self, limits: Limits, folder: Path | None) -> JobSpec:
        zygote = self._zygote
        readable = (*outer.landlock_folders(zygote.interpreter, jailed=zygote.namespaces), str(zygote.room or outer.ROOM))
        writable = (str(folder),) if folder else outer.WRITABLE
        return JobSpec(
            namespaces=zygote.namespaces,
            folder=str(folder) if folder else outer.HOME,
            read_only=(*readable, *outer.READABLE_PROC) if folder else (*readable, "/proc"),
            read_write=(*writable, *outer.DEVICES),
            max_wall_s=limits.max_wall_s,
            max_cpu_s=math.ceil(limits.max_cpu_s),
            address_bytes=limits.address_bytes,
            processes=limits.processes,
            disk_bytes=limits.disk_bytes,
            reply_bytes=limits.reply_bytes,
        )

    def _make_group(self, limits: Limits) -> Group | None:
        if self._cgroups is None:
            return None
        return self._cgroups.make(f"{GROUP_PREFIX}{os.getpid()}-{next(_NUMBERS)}", limits.memory_bytes, limits.processes)

    def _make_folder(self) -> Path | None:
        """Make the working folder of a job that gets no mounts of its own."""
        if self._zygote.namespaces:
            return None
        folder = Path(tempfile.mkdtemp(prefix="box-job-"))
        if self._zygote.uid is not None:
            os.chown(folder, self._zygote.uid.value, self._zygote.uid.value)
        return folder


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
