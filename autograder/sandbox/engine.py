"""A jailed player's sockets in, an `Engine` out: frames under a budget, and the one reason why the player is gone.

CPU time is the limit that counts; wall time, several times as long, catches what sleeps. Both run only while the player
is being asked. When the player is gone, its monitor's report says whether the student's code ended it (StudentCrashed,
StudentTimeout) or something of ours did (InfraError): only what points at the student is ever held against it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from autograder.errors import InfraError
from autograder.sandbox.clean import clean
from autograder.sandbox.job import Job, Limits, Usage
from autograder.sandbox.protocol import FROM_PLAYER, Frame, ReadAhead, bursts, read_frame
from autograder.sandbox.student import BoxLost, StudentCrashed, StudentTimeout

_CPU_CHECK_S = 0.05  # between two looks at the CPU clock while frames fly
_MIN_WAIT_S = 0.005
_REPORT_WAIT_S = 10.0  # for a monitor to kill and reap; it does nothing else
_NATURAL_END_S = 0.5  # from the line's end to the report, when the process ended by itself
_REPORT_BYTES = 4096
_READS_AT_ONCE = 32
_SMALL_RSS = 512 << 20  # a process below it was not killed for its memory
_POLL_IN = select.POLLIN | select.POLLHUP | select.POLLERR


@dataclass(frozen=True)
class _Budget:
    cpu_s: float
    wall_s: float
    cpu_start_s: float


class JailEngine:
    """One job, asked: frames go out and come back under a budget."""

    def __init__(self, job: Job, limits: Limits) -> None:
        self.job, self.host_uid, self.host_pid = job, job.uid, job.pid
        self._socket, self._output_fd, self._status, self._meter = job.line, job.output_fd, job.status, job.meter
        self._limits = limits
        self._caps = FROM_PLAYER.with_body(limits.reply_bytes)
        self._ahead = ReadAhead(self._receive)
        self._output = bytearray()
        self._output_open = True
        self._report: dict[str, Any] | None = None
        self._last_cpu_s = 0.0
        self._cpu_looked_at = 0.0
        self._waited_s = 0.0
        self._depth = 0
        self._entered_at = 0.0
        self._closed = False
        self._budget = _Budget(limits.cpu_s, limits.wall_s, 0.0)
        self._serve: Callable[[Frame], Frame]
        for fd in (job.line.fileno(), job.output_fd):
            os.set_blocking(fd, False)

    @property
    def line(self) -> JailEngine:
        return self

    def connect(self, serve: Callable[[Frame], Frame]) -> None:
        self._serve = serve

    def allow(self, cpu_s: float, wall_s: float) -> None:
        self._budget = _Budget(cpu_s, wall_s, self.cpu_s())
        self._waited_s = 0.0

    # -- the line --------------------------------------------------------------------------------------------------

    def call(self, frame: Frame) -> Frame:
        """Send a call and return its answer, serving the player's own calls meanwhile."""
        (answer,) = self._converse(frame.parts(), 1)
        return answer

    def calls(self, frames: Sequence[Frame]) -> Iterator[Frame]:
        """Send calls and yield their answers, in as few trips as can be. To be read to its end."""
        for burst in bursts(frames):
            parts = burst[0].parts() if len(burst) == 1 else [memoryview(b"".join(frame.pack() for frame in burst))]
            yield from self._converse(parts, len(burst))

    def _converse(self, parts: Sequence[memoryview], n_answers: int) -> Iterator[Frame]:
        if self._depth == 0:
            self._entered_at = time.monotonic()
        self._depth += 1
        try:
            self._send(parts)
            while n_answers:
                got = read_frame(self._ahead.read, self._caps)
                if got.is_call:
                    self._check_budget()
                    self._send(self._serve(got).parts())
                else:
                    n_answers -= 1
                    yield got
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._waited_s += time.monotonic() - self._entered_at

    def _send(self, parts: Sequence[memoryview]) -> None:
        for part in parts:
            while part:
                try:
                    part = part[self._socket.send(part) :]
                except BlockingIOError:
                    self._wait(select.POLLOUT)
                except (BrokenPipeError, ConnectionError):
                    self._gone()

    def _receive(self, into: memoryview) -> int:
        while True:
            try:
                n_bytes = self._socket.recv_into(into)
            except BlockingIOError:
                self._wait(select.POLLIN)
                continue
            except (BrokenPipeError, ConnectionError):
                self._gone()
            if n_bytes == 0:
                self._gone()
            return n_bytes

    def _wait(self, event: int) -> None:
        """Return when the line is ready. Raises: StudentTimeout when the budget is spent first."""
        while True:
            left_s = self._check_budget()
            poll = select.poll()
            poll.register(self._socket, event)
            if self._output_open:
                poll.register(self._output_fd, select.POLLIN)
            ready = dict(poll.poll(max(left_s, _MIN_WAIT_S) * 1000))
            if self._output_fd in ready:
                self._drain()
            if not ready:
                self._check_budget(at_once=True)
            if self._socket.fileno() in ready:
                return

    def _check_budget(self, at_once: bool = False) -> float:
        """Return the seconds until the next look is due. Raises: StudentTimeout."""
        now = time.monotonic()
        waited_s = self._waited_s + (now - self._entered_at if self._depth else 0.0)
        budget = self._budget
        if at_once or now - self._cpu_looked_at >= _CPU_CHECK_S:
            self._cpu_looked_at = now
            self.cpu_s()
        used_s = self._last_cpu_s - budget.cpu_start_s
        if used_s >= budget.cpu_s:
            self._lose(StudentTimeout(f"used up its {budget.cpu_s:g} s of CPU time", used_s, waited_s))
        if waited_s >= budget.wall_s:
            self._lose(StudentTimeout(f"did not answer within {budget.wall_s:g} s", used_s, waited_s))
        # It cannot use more CPU than time passes, but for threads: the next look corrects that.
        return min(budget.cpu_s - used_s, budget.wall_s - waited_s)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _lose(self, error: BoxLost) -> NoReturn:
        self.cut()
        raise error

    def _gone(self) -> NoReturn:
        """The player closed the line, or ended: find out why."""
        report = self._read_report(_NATURAL_END_S)
        budget, used_s = self._budget, self.cpu_s() - self._budget.cpu_start_s
        if report is None:
            raise InfraError("the monitor of the box was lost; the exercise is tried again")
        status = report["status"]
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if self._meter.ran_out_of_memory():
            raise StudentCrashed("MemoryError", f"more than {self._limits.memory_bytes >> 20} MiB of memory")
        if number in (signal.SIGXCPU, signal.SIGKILL) and report["cpu_s"] >= int(self._limits.max_cpu_s) - 1:
            raise StudentTimeout(f"used up its {self._limits.max_cpu_s:g} s of CPU time", used_s, budget.wall_s)
        if report["why"] == "wall":
            raise StudentTimeout(f"the box is closed after {self._limits.max_wall_s:g} s", used_s, budget.wall_s)
        if number == signal.SIGKILL and report["why"] == "exit" and self.job.alone:
            # Nothing inside a pid namespace can send this to its first process. (Without one, it can kill itself.)
            if self._meter.knows_memory or report["max_rss_bytes"] < _SMALL_RSS:
                raise InfraError("the player was killed from outside the box")
            raise StudentCrashed("MemoryError", "killed for its memory")
        if number == signal.SIGKILL:
            raise StudentCrashed("SystemExit", "it closed its line to the check")
        if number:
            raise StudentCrashed("Killed", f"by signal {number} ({signal.Signals(number).name})")
        raise StudentCrashed("SystemExit", f"the process ended with status {os.waitstatus_to_exitcode(status)}")

    def _read_report(self, wait_first_s: float = 0.0) -> dict[str, Any] | None:
        """Return the monitor's last word, or None if it has none. It comes from our side of the wall."""
        if self._report is None and not self._closed:
            if wait_first_s:
                self._receive_report(wait_first_s)
            # The line may be closed while the process lives on: then the monitor has to end it.
            if self._report is None:
                self._end_player()
                self._receive_report(_REPORT_WAIT_S)
        return self._report

    def _receive_report(self, wait_s: float) -> None:
        self._status.settimeout(wait_s)
        try:
            message = self._status.recv(_REPORT_BYTES)
        except OSError:
            return
        self._report = _parse_report(message)

    def _end_player(self) -> None:
        try:
            self._status.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def cut(self) -> None:
        self._end_player()

    def cpu_s(self) -> float:
        if self._report is not None and not self._meter.counts_all:
            return float(self._report["cpu_s"])
        self._last_cpu_s = max(self._last_cpu_s, (None if self._closed else self._meter.cpu_s()) or 0.0)
        return self._last_cpu_s

    def output(self) -> str:
        if not self._closed:
            self._drain()
        return clean(self._output.decode("utf-8", "replace"), len(self._output))

    def _drain(self) -> None:
        """Keep what was printed up to the cap, and go on reading so that printing never blocks."""
        for _ in range(_READS_AT_ONCE):  # a player that prints without end must not keep us here
            if not self._output_open:
                return
            try:
                data = os.read(self._output_fd, 1 << 16)
            except BlockingIOError:
                return
            self._output += data[: max(self._limits.output_bytes - len(self._output), 0)]
            if not data:
                self._output_open = False

    def close(self) -> Usage:
        report = self._read_report()
        cpu_s = self.cpu_s()
        if not self._closed:
            self._drain()
            self._closed = True
            self.job.close()
        if report is None:
            return Usage(cpu_s, 0, "lost")
        return Usage(max(cpu_s, report["cpu_s"]), report["max_rss_bytes"], report["why"])


def _parse_report(message: bytes) -> dict[str, Any] | None:
    try:
        report = json.loads(message)
    except ValueError:
        return None
    return report if isinstance(report, dict) and {"why", "status", "cpu_s", "max_rss_bytes"} <= set(report) else None
