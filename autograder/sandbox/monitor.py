"""A running player's pid in, the end of its pid namespace out: at the deadline, when the controller lets go, or by itself.

The monitor stands outside the player's namespaces, so that nothing in there can signal it or clear what ends the job.
"""

from __future__ import annotations

import json
import os
import select
import signal
from typing import NoReturn

from autograder.sandbox.jail import kernel

_STATUS_FD = 3


def watch(pid: int, status_fd: int, max_wall_s: float) -> NoReturn:
    """Wait for the end, kill if need be, report {why, status, cpu_s, max_rss_bytes} on the status socket, and exit.

    `why` is exit (by itself), wall (the deadline) or closed (the controller shut its end, or is gone).
    """
    if status_fd != _STATUS_FD:
        os.dup2(status_fd, _STATUS_FD)
    kernel.close_all_but([_STATUS_FD])
    player = os.pidfd_open(pid)
    events = select.poll()
    events.register(player, select.POLLIN)
    events.register(_STATUS_FD, select.POLLIN | select.POLLHUP)
    ready = dict(events.poll(max_wall_s * 1000))
    why = "exit" if player in ready else "closed" if ready else "wall"
    if why != "exit":
        signal.pidfd_send_signal(player, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    report = {"why": why, "status": status, "cpu_s": used.ru_utime + used.ru_stime, "max_rss_bytes": used.ru_maxrss * 1024}
    try:
        os.write(_STATUS_FD, json.dumps(report).encode())
    except OSError:
        os._exit(1)  # nobody listens any more
    os._exit(0)
