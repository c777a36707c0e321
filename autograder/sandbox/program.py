"""An engine and a program of cells in, a `Box` out: the `Student` to ask, and what it used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

from autograder.sandbox.client import RemoteStudent
from autograder.sandbox.job import Limits, Usage
from autograder.sandbox.link import Lines, Link
from autograder.sandbox.protocol import FROM_PLAYER, Frame
from autograder.sandbox.student import BoxLost, StudentError
from autograder.submission.model import Cell


class Engine(Protocol):
    """A running player: the line to it and the levers on it. In a jail, or in this process."""

    host_uid: int
    host_pid: int

    @property
    def line(self) -> Lines: ...

    def connect(self, serve: Callable[[Frame], Frame]) -> None:
        """Serve the player's own calls by this while it is asked."""

    def allow(self, cpu_s: float, wall_s: float) -> None:
        """From now, let the player use so much before a call raises StudentTimeout."""

    def cpu_s(self) -> float:
        """Return the CPU seconds that the player and its children have used."""

    def output(self) -> str:
        """Return what the player has printed, up to its cap, cleaned."""

    def cut(self) -> None:
        """Kill the player; calling it twice is no error."""

    def close(self) -> Usage:
        """Kill the player, wait until nothing of it is left, and say what it used."""


class Box:
    """One program, executed, and the student to ask. A context manager; closing twice is no error.

    failures: cell label -> what executing it raised. When a cell killed the box, it is the last one, `lost` holds the
    same error, and the cells after it were not executed.
    """

    def __init__(self, engine: Engine, program: Sequence[Cell], limits: Limits, seed: int = 0) -> None:
        self._engine = engine
        self._usage: Usage | None = None
        self._link = Link(engine.line, FROM_PLAYER.with_body(limits.reply_bytes), engine.cut)
        engine.connect(self._link.serve)
        self.student = RemoteStudent(self._link)
        engine.allow(limits.cpu_s, limits.wall_s)
        self.failures: dict[str, StudentError] = {}
        try:
            self.student.seed(seed)
        except BoxLost as e:
            self.failures["start"] = e
            return
        self.failures = self.student.execute(program)

    @property
    def alive(self) -> bool:
        return self._link.lost is None and self._link.fault is None and self._usage is None

    @property
    def lost(self) -> BoxLost | None:
        """Return what ended the box, if the student's code did."""
        return self._link.lost

    @property
    def cpu_s(self) -> float:
        """Return the CPU seconds that the player has used so far."""
        return self._usage.cpu_s if self._usage else self._engine.cpu_s()

    @property
    def output(self) -> str:
        """Return what the program printed, cleaned and cut. For instructors only: it may hold hidden inputs."""
        return self._engine.output()

    @property
    def host_uid(self) -> int:
        """Return the uid that the player has outside of its namespaces."""
        return self._engine.host_uid

    @property
    def host_pid(self) -> int:
        """Return the pid that the player has outside of its namespaces; 0 where that cannot be told."""
        return self._engine.host_pid

    def allow(self, cpu_s: float, wall_s: float) -> None:
        """Give what follows its own budget. A call that overruns it raises StudentTimeout, and the box is dead."""
        self._engine.allow(cpu_s, wall_s)
        self._link.allow()

    @contextmanager
    def listening(self) -> Iterator[list[Any]]:
        """Note every answer, and the kind of every exception, while the block runs."""
        heard: list[Any] = []
        before, self._link.heard = self._link.heard, heard.append
        try:
            yield heard
        finally:
            self._link.heard = before

    def close(self) -> Usage:
        """End the player and return what it used."""
        if self._usage is None:
            self._usage = self._engine.close()
        return self._usage

    def __enter__(self) -> Box:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
