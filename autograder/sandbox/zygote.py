"""Job descriptions in over a control socket, one confined, warm player per job out. A fork server without secrets.

It is started by the controller inside an outer jail and holds torch, numpy and einops, ready to use. For each job it
forks a player into namespaces of its own, which puts up its walls and then serves the student's code; the zygote goes on
as its monitor. It never sees a byte of a student's, and ends, with all below it, when the controller closes the socket.

Standard input is the control socket. The first message is {"filter": hex, "namespaces": bool, "warm": bool}; then one
message per job: a JobSpec with the descriptors [line, output, status, cgroup.procs...].
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import gc
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from autograder.sandbox.jail import huge, kernel, landlock, namespaces
from autograder.sandbox.jail.confine import confine
from autograder.sandbox.jail.spec import BORN, JobSpec
from autograder.sandbox.monitor import Monitor

MESSAGE_BYTES = 1 << 16
LINE_FD, _REPORT_FD = 3, 4
_FREE_FD = 32  # above every descriptor with a fixed place
_N_FDS = 16
_STATUS = 2  # among the descriptors of a job


@dataclass(frozen=True)
class Server:
    """What a fork server's children do behind their walls, and what it loads for a topic before it forks them."""

    play: Callable[[JobSpec], NoReturn]
    load: Callable[[str], None] = lambda topic: None


def main() -> None:
    """Serve until the controller closes the control socket."""
    run(_players)


def run(make_server: Callable[[], Server]) -> NoReturn:
    """Fork a child for every job and let it play, until the controller closes the control socket.

    make_server() imports what is to be shared by the children, warm.
    """
    control = socket.socket(fileno=os.dup(0))
    _set_stdin_to_null()
    settings = json.loads(control.recv(MESSAGE_BYTES))
    filter_program = bytes.fromhex(settings["filter"])
    # First of all: what was loaded before this fork would stay shared with a process that only waits, and every later
    # write to it would break up a huge page.
    keeper = namespaces.Keeper() if settings["namespaces"] else None
    server = _prepared(make_server, settings["warm"])
    n_threads = len(os.listdir("/proc/self/task"))
    control.send(json.dumps({"n_threads": n_threads, "landlock_abi": landlock.abi(), "uid": os.getuid()}).encode())
    monitor = Monitor(control.fileno())
    while True:
        monitor.wait()
        message, fds = _receive(control)
        if not message:
            os._exit(0)  # with the first process of a pid namespace ends all that is below
        spec = JobSpec.from_bytes(message)
        server.load(spec.topic)
        pid = keeper.fork() if keeper else os.fork()
        if pid == 0:
            _become(spec, fds, filter_program, server)
        monitor.add(pid, os.dup(fds[_STATUS]), spec.max_wall_s)
        for fd in fds:
            os.close(fd)


def _prepared(make_server: Callable[[], Server], warm: bool) -> Server:
    from autograder.sandbox.warm import one_thread, warm_up

    variables = set(os.environ)
    one_thread()
    server = make_server()
    if warm:
        warm_up()
    for name in set(os.environ) - variables:  # torch leaves some; a job starts with what the controller gave
        del os.environ[name]
    # A frozen heap is not touched by the collector, so that forks go on sharing its pages.
    gc.collect()
    gc.freeze()
    huge.collapse()
    return server


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


def _become(spec: JobSpec, fds: Sequence[int], filter_program: bytes, server: Server) -> NoReturn:
    line, output, status, *groups = (fcntl.fcntl(fd, fcntl.F_DUPFD, _FREE_FD) for fd in fds)
    try:
        for group in groups:
            os.write(group, b"0")
        _stay_on(spec.core)
        for fd, place in ((output, 1), (output, 2), (line, LINE_FD), (status, _REPORT_FD)):
            os.dup2(fd, place)
        kernel.close_all_but(range(_REPORT_FD + 1))
        confine(spec, filter_program)
        server.play(spec)
    except BaseException as e:
        _report_failure(status, e)
    os._exit(70)


def _stay_on(core: int | None) -> None:
    """Keep to one core. Who asks and who answers take turns: a core of its own for each would sleep and be woken each time."""
    if core is not None:
        with contextlib.suppress(OSError):  # no wall: without it the job only takes longer
            os.sched_setaffinity(0, {core})


def say_born() -> None:
    """Tell the controller that every wall stands; the kernel tells it who says so."""
    os.write(_REPORT_FD, BORN)
    os.close(_REPORT_FD)


def _players() -> Server:
    from autograder.sandbox.player import Player
    from autograder.sandbox.player_line import serve
    from autograder.sandbox.protocol import FROM_PLAYER

    def play(spec: JobSpec) -> NoReturn:
        sys.path.insert(0, spec.folder)
        sys.argv = [""]
        player = Player(module="__main__", folder=lambda: Path(spec.folder), caps=FROM_PLAYER.with_body(spec.reply_bytes))
        say_born()
        serve(LINE_FD, player)

    return Server(play)


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
