"""What one box is made of, as plain data: its `Limits`, the ends of its `Job`, and its `Usage`. No torch.

A job may have been opened by another process: everything that it needs came over as a descriptor.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_METER_BYTES = 1 << 14
MeterKind = Literal["cpu.stat", "cpuacct.usage", "stat"]


@dataclass(frozen=True)
class Limits:
    """What one box may use. `cpu_s` and `wall_s` are for executing the program; `Box.allow` sets them anew.

    max_cpu_s, max_wall_s: of the box's whole life, enforced by the kernel and the monitor even if we are gone.
    """

    cpu_s: float = 20.0
    wall_s: float = 120.0
    max_cpu_s: float = 600.0
    max_wall_s: float = 3600.0
    memory_bytes: int = 1536 << 20  # of all processes together, where a cgroup is to be had
    address_bytes: int = 4 << 30  # of one process: an allocation above it fails inside, as an exception
    processes: int = 64
    disk_bytes: int = 32 << 20  # of each writable folder
    output_bytes: int = 64 << 10
    reply_bytes: int = 16 << 20


@dataclass(frozen=True)
class Usage:
    """What a box had used when it ended. `why`: closed, exit, wall, or lost (its monitor did not answer)."""

    cpu_s: float
    max_rss_bytes: int
    why: str


@dataclass
class Meter:
    """A job's CPU clock and its word on memory, read through open files of the kernel's: no pid, no path."""

    kind: MeterKind
    cpu_fd: int
    memory_fd: int | None = None  # None: nothing bounds the job's memory as a whole
    start_s: float = 0.0  # what the group had used, and killed, for the jobs before this one
    start_kills: int = 0

    @property
    def counts_all(self) -> bool:
        """Whether it counts all the job's processes, past ones too."""
        return self.kind != "stat"

    @property
    def knows_memory(self) -> bool:
        """Whether the kernel would say that it killed the job for its memory."""
        return self.memory_fd is not None

    def cpu_s(self) -> float | None:
        """Return the CPU seconds so far, None when the job is gone and they can no longer be read."""
        with contextlib.suppress(OSError, ValueError):
            return self.read_s() - self.start_s
        return None

    def read_s(self) -> float:
        """Return the kernel's count. Raises: OSError, ValueError."""
        text = os.pread(self.cpu_fd, _METER_BYTES, 0)
        if self.kind == "cpuacct.usage":
            return int(text) / 1e9
        if self.kind == "cpu.stat":
            words = text.split()
            return int(words[words.index(b"usage_usec") + 1]) / 1e6
        user, system = text.rpartition(b") ")[2].split()[11:13]  # fields 14 and 15 of proc_pid_stat(5)
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def ran_out_of_memory(self) -> bool:
        """Say whether the kernel killed a process of the job's group for its memory."""
        with contextlib.suppress(OSError, ValueError):
            return self.read_kills() > self.start_kills
        return False

    def read_kills(self) -> int:
        """Return the kernel's count. Raises: OSError, ValueError."""
        words = os.pread(self.memory_fd, _METER_BYTES, 0).split() if self.memory_fd is not None else [b"oom_kill", b"0"]
        # "oom" counts how often the group itself was out of memory; "oom_kill", all that v1 tells, also counts what died
        # because the whole machine was, which is no student's fault.
        word = b"oom" if b"oom" in words else b"oom_kill"
        return int(words[words.index(word) + 1])

    def close(self) -> None:
        for fd in (self.cpu_fd, self.memory_fd):
            if fd is not None:
                os.close(fd)


@dataclass
class Job:
    """The ends of one player: its line, what it prints, its monitor's word, and its meter.

    `alone` means that it has a pid namespace. `give_back` says that we are done with it.
    """

    line: socket.socket
    output_fd: int
    status: socket.socket
    meter: Meter
    pid: int  # this one and the next as the host sees them
    uid: int
    alone: bool
    give_back: Callable[[], None]

    def close(self) -> None:
        """Close our ends: what is left of the job ends, too."""
        self.line.close()
        self.status.close()
        os.close(self.output_fd)
        self.meter.close()
        self.give_back()
