"""Running players in, their ends out: each ends by itself, at its deadline, or when its controller lets go.

The monitor is the zygote, which stands outside the players' namespaces: nothing in there can signal it or clear what
ends the job. It does nothing else between two forks, and everything below it ends with it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import time
from dataclasses import dataclass

_LET_GO = select.POLLIN | select.POLLHUP | select.POLLERR


@dataclass
class _Player:
    pid: int
    pidfd: int
    status_fd: int
    deadline: float
    why: str = "exit"


class Monitor:
    """Watches players until each is gone, and reports {why, status, cpu_s, max_rss_bytes} on its status socket.

    `why` is exit (by itself), wall (the deadline) or closed (the controller shut its end, or is gone).
    """

    def __init__(self, control_fd: int) -> None:
        self._poll = select.poll()
        self._control_fd = control_fd
        self._poll.register(control_fd, select.POLLIN)
        self._players: dict[int, _Player] = {}  # by both of its descriptors

    def add(self, pid: int, status_fd: int, max_wall_s: float) -> None:
        """Watch one more player; its status descriptor is closed after the report."""
        player = _Player(pid, os.pidfd_open(pid), status_fd, time.monotonic() + max_wall_s)
        for fd in (player.pidfd, status_fd):
            self._players[fd] = player
            self._poll.register(fd, _LET_GO)

    def wait(self) -> None:
        """Watch until the control socket has something to read."""
        while True:
            ready = {fd for fd, _ in self._poll.poll(self._until_deadline_ms())}
            for fd in ready - {self._control_fd}:
                player = self._players.get(fd)
                if player is None:
                    continue
                if player.pidfd in ready:
                    self._report(player)
                else:
                    self._kill(player, "closed")
            for player in self._overdue():
                self._kill(player, "wall")
            if self._control_fd in ready:
                return

    def _until_deadline_ms(self) -> float | None:
        first = min((p.deadline for p in self._players.values()), default=math.inf)
        return None if first == math.inf else max(first - time.monotonic(), 0.0) * 1000 + 1

    def _overdue(self) -> list[_Player]:
        now = time.monotonic()
        return list({p.pid: p for p in self._players.values() if p.deadline <= now}.values())

    def _kill(self, player: _Player, why: str) -> None:
        """Kill, and go on waiting for the end: the report follows when the process is gone."""
        player.why, player.deadline = why, math.inf
        if player.status_fd in self._players:
            self._poll.unregister(player.status_fd)
            del self._players[player.status_fd]
        signal.pidfd_send_signal(player.pidfd, signal.SIGKILL)

    def _report(self, player: _Player) -> None:
        _, status, used = os.wait4(player.pid, 0)
        for fd in (player.pidfd, player.status_fd):
            if self._players.pop(fd, None) is not None:
                self._poll.unregister(fd)
        rss_bytes = used.ru_maxrss * 1024
        report = {"why": player.why, "status": status, "cpu_s": used.ru_utime + used.ru_stime, "max_rss_bytes": rss_bytes}
        with contextlib.suppress(OSError):  # nobody may be listening any more
            os.write(player.status_fd, json.dumps(report).encode())
        os.close(player.pidfd)
        os.close(player.status_fd)
