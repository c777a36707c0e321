"""What a benchmark gets and gives: a place to work in, and one row of the table."""

from __future__ import annotations

import resource
import time
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


class Watch:
    """Seconds since it was made: of the wall, and of the CPU in this process and in children that have ended."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._used()

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu_s(self) -> float:
        return self._used() - self._cpu

    def _used(self) -> float:
        found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(r.ru_utime + r.ru_stime for r in found)
