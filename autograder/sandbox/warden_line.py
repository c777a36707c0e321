"""A referee's wishes for boxes in, jobs out: the line between the one who judges and the one who opens boxes.

Only JSON and open descriptors cross. The warden's side checks what it is asked for, and ends what the referee leaves.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from autograder.errors import InfraError
from autograder.sandbox.job import Job, Limits, Meter
from autograder.sandbox.warden import Warden

_MESSAGE_BYTES = 1 << 14
_N_FDS = 5
_MOST = Limits()  # what no referee may exceed, but for its own patience (cpu_s, wall_s)


def serve(warden: Callable[[], Warden], line: socket.socket, core: int | None = None) -> None:
    """Open and end jobs for whoever holds the other end of the line, on its core if it keeps to one, until it is gone.

    warden() may raise InfraError: the other side is told.
    """
    jobs: dict[int, Job] = {}
    numbers = itertools.count(1)
    with line, contextlib.ExitStack() as left:
        left.callback(_end_all, jobs)
        while message := _received(line):
            try:
                wish = json.loads(message)
                if "done" in wish:
                    jobs.pop(wish["done"]).give_back()
                    continue
                if "open" in wish:
                    number, job = next(numbers), warden().open(_limits(wish["open"]), core=core)
                    jobs[number] = job
                    _hand_on(line, number, job)
                    continue
                line.send(json.dumps(_about(warden())).encode())
            except InfraError as e:
                with contextlib.suppress(OSError):  # the referee may be gone meanwhile
                    line.send(json.dumps({"fault": str(e)}).encode())
            except (ValueError, TypeError, KeyError, OSError):
                return  # not a wish: the referee is not what it should be, or gone


def _received(line: socket.socket) -> bytes:
    try:
        return line.recv(_MESSAGE_BYTES)
    except OSError:
        return b""


def _end_all(jobs: dict[int, Job]) -> None:
    while jobs:
        jobs.popitem()[1].give_back()


def _about(warden: Warden) -> dict[str, Any]:
    return {"namespaces": warden.has_namespaces, "cgroup": warden.has_cgroup, "weaker_because": warden.weaker_because}


def _hand_on(line: socket.socket, number: int, job: Job) -> None:
    """Send our ends of the job away; what remains here is the duty to clean up after it."""
    meter = job.meter
    told = {"job": number, "kind": meter.kind, "start_s": meter.start_s, "start_kills": meter.start_kills}
    told |= {"pid": job.pid, "uid": job.uid, "alone": job.alone}
    ends = [job.line.detach(), job.output_fd, job.status.detach(), meter.cpu_fd]
    ends += [meter.memory_fd] if meter.memory_fd is not None else []
    with contextlib.ExitStack() as stack:
        for fd in ends:
            stack.callback(os.close, fd)
        socket.send_fds(line, [json.dumps(told).encode()], ends)


def _limits(data: dict[str, Any]) -> Limits:
    """Return the limits asked for. Raises: ValueError, TypeError when they are none, or more than anyone may have."""
    limits = Limits(**data)
    for field in fields(Limits):
        value, most = getattr(limits, field.name), getattr(_MOST, field.name)
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise ValueError(field.name)
        if value > most and field.name not in ("cpu_s", "wall_s"):
            raise ValueError(field.name)
    return limits


class RemoteWarden:
    """A Warden elsewhere, over the line. Raises InfraError when it is gone."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        about, _ = self._ask({})
        self.has_namespaces, self.has_cgroup = bool(about["namespaces"]), bool(about["cgroup"])
        self.weaker_because = str(about["weaker_because"])

    def open(self, limits: Limits) -> Job:
        """Open a job. Raises: InfraError."""
        told, fds = self._ask({"open": asdict(limits)})
        line, output_fd, status, cpu_fd, *memory = fds
        meter = Meter(told["kind"], cpu_fd, memory[0] if memory else None, told["start_s"], told["start_kills"])
        done = json.dumps({"done": told["job"]}).encode()
        ends = socket.socket(fileno=line), output_fd, socket.socket(fileno=status)
        return Job(*ends, meter, told["pid"], told["uid"], told["alone"], lambda: self._tell(done))

    def close(self) -> None:
        self._line.close()

    def _ask(self, wish: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        try:
            self._line.send(json.dumps(wish).encode())
            message, fds, _, _ = socket.recv_fds(self._line, _MESSAGE_BYTES, _N_FDS)
        except OSError as e:
            raise InfraError(f"the warden of the boxes is gone ({e})") from None
        told = json.loads(message) if message else {"fault": "the warden of the boxes is gone"}
        if "fault" in told:
            raise InfraError(str(told["fault"]))
        return told, fds

    def _tell(self, message: bytes) -> None:
        with contextlib.suppress(OSError):
            self._line.send(message)
