"""What a benchmark gets and gives: a place to work in, and one row of the table."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bench:
    """`folder` is empty and removed after; `scale` is a share of the full size."""

    course_root: Path
    folder: Path
    scale: float
    n_cores: int


@dataclass(frozen=True)
class Row:
    """A promise, whether it was kept, and the numbers."""

    promised: str
    kept: bool
    measured: str


def own_cpu_s() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(r.ru_utime + r.ru_stime for r in found)


class Watch:
    """Seconds since it was made: of the wall, and of the CPU that `used` counts.

    That is the CPU of this process and of children that have ended, if nothing else is said.
    """

    def __init__(self, used: Callable[[], float] = own_cpu_s) -> None:
        self._used = used
        self._wall, self._cpu = time.perf_counter(), used()

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu_s(self) -> float:
        return self._used() - self._cpu
