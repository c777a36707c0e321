"""Job descriptions in over a control socket, one confined, warm player per job out. A fork server without secrets.

It is started by the controller inside an outer jail and holds torch, numpy and einops, ready to use. For each job it
forks a monitor, which enters new namespaces and forks the player, which puts up its walls and then serves the student's
code. The zygote never sees a byte of a student's; it ends when the controller closes the socket.

Standard input is the control socket. The first message is {"filter": hex}; then one message per job: a JobSpec with the
descriptors [line, output, status, cgroup.procs...].
"""

from __future__ import annotations

import array
import fcntl
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from autograder.sandbox.jail import kernel, landlock, namespaces
from autograder.sandbox.jail.confine import confine
from autograder.sandbox.jail.spec import BORN, JobSpec
from autograder.sandbox.monitor import watch
from autograder.sandbox.player import Player, serve
from autograder.sandbox.protocol import FROM_PLAYER
from autograder.sandbox.warm import warm_up

MESSAGE_BYTES = 1 << 16
_LINE_FD, _REPORT_FD = 3, 4
_FREE_FD = 32  # above every descriptor with a fixed place
_N_FDS = 16


def main() -> None:
    """Serve until the controller closes the control socket."""
    control = socket.socket(fileno=os.dup(0))
    _set_stdin_to_null()
    filter_program = bytes.fromhex(json.loads(control.recv(MESSAGE_BYTES))["filter"])
    variables = set(os.environ)
    warm_up()
    for name in set(os.environ) - variables:  # torch leaves some; a job starts with what the controller gave
        del os.environ[name]
    # A frozen heap is not touched by the collector, so that forks go on sharing its pages.
    gc.collect()
    gc.freeze()
    n_threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    control.send(json.dumps({"n_threads": n_threads, "landlock_abi": landlock.abi(), "uid": os.getuid()}).encode())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # monitors are reaped by the kernel
    while True:
        message, fds = _receive(control)
        if not message:
            return
        if os.fork() == 0:
            control.detach()
            _run_job(JobSpec.from_bytes(message), fds, filter_program)
        for fd in fds:
            os.close(fd)


def _set_stdin_to_null() -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    message, ancillary, _, _ = control.recvmsg(MESSAGE_BYTES, socket.CMSG_SPACE(_N_FDS * 4))
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return message, list(fds)


def _run_job(spec: JobSpec, fds: Sequence[int], filter_program: bytes) -> NoReturn:
    """Become the monitor of one job, or its player."""
    line, output, status, *groups = (fcntl.fcntl(fd, fcntl.F_DUPFD, _FREE_FD) for fd in fds)
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if spec.namespaces:
            namespaces.enter()
        pid = os.fork()
        if pid:
            watch(pid, status, spec.max_wall_s)
        for group in groups:
            os.write(group, b"0")
        for fd, place in ((output, 1), (output, 2), (line, _LINE_FD), (status, _REPORT_FD)):
            os.dup2(fd, place)
        kernel.close_all_but(range(_REPORT_FD + 1))
        _play(spec, filter_program)
    except BaseException as e:
        _report_failure(status, e)
    os._exit(70)


def _play(spec: JobSpec, filter_program: bytes) -> NoReturn:
    confine(spec, filter_program)
    sys.path.insert(0, spec.folder)
    sys.argv = [""]
    player = Player(module="__main__", folder=Path(spec.folder), caps=FROM_PLAYER.with_body(spec.reply_bytes))
    os.write(_REPORT_FD, BORN)
    os.close(_REPORT_FD)
    serve(_LINE_FD, player)


def _report_failure(status: int, error: BaseException) -> None:
    text = f"{type(error).__name__}: {error}"[:500].encode()
    for fd in (status, _REPORT_FD):  # the first is closed once the second stands
        try:
            os.write(fd, text)
            return
        except OSError:
            continue


if __name__ == "__main__":
    main()
