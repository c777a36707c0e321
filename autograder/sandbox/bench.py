"""Nothing in, a table of what a job costs out: the box beside a bare fork and beside fresh interpreters, in one run.

Run: python -m autograder.sandbox.bench [jobs]. The rounds are interleaved, since a shared machine drifts: read the
ratios. CPU is the whole tree's, from a cgroup of its own, so it needs root or a delegated cgroup.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from autograder.errors import InfraError
from autograder.sandbox import jailed_process, outer
from autograder.sandbox.box import Limits, Slot
from autograder.sandbox.cgroups import Cgroups, Group
from autograder.submission.model import Cell

CELLS = (
    Cell("set-up", "import torch\nimport numpy as np\nfrom torch import nn"),
    Cell("answer", "def double(x):\n    return x + x"),
    Cell("use", "assert double(torch.ones(3)).sum() == 6"),
)
ROUNDS = 3
_SOURCE = "\n".join(cell.source for cell in CELLS)
# A fork server without a single wall: what the isolation is measured against.
_BARE_FORK = f"""
import gc, os, sys
from pathlib import Path
from autograder.sandbox.warm import one_thread, warm_up
from autograder.sandbox.player import Player
one_thread(); warm_up(); gc.collect(); gc.freeze()
cells = {[(c.label, c.source) for c in CELLS]!r}
print("ready", flush=True)
for _ in sys.stdin:
    if os.fork() == 0:
        player = Player(module="__main__", folder=lambda: Path("/tmp"))
        player.seed(0)
        for cell in cells:
            player.exec(*cell)
        os._exit(0)
    os.wait()
    print("done", flush=True)
"""


@dataclass
class Way:
    """One way to execute a program, and what it has cost so far."""

    name: str
    run: Callable[[], None]
    n: int
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    def measure(self, group: Group) -> None:
        cpu_s, wall_s = _cpu_s(group), time.perf_counter()
        for _ in range(self.n):
            self.run()
        self.cpu_s.append((_cpu_s(group) - cpu_s) / self.n)
        self.wall_s.append((time.perf_counter() - wall_s) / self.n)


def main() -> None:
    """Measure, and print the table."""
    n_jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with ExitStack() as stack:
        group = stack.enter_context(_own_group())
        slot = stack.enter_context(Slot.start())
        fork = stack.enter_context(_bare_fork())
        ways = [
            Way("box (warm fork, all walls)", lambda: _in_box(slot), n_jobs),
            Way("bare fork, no wall, no line", fork, n_jobs),
            Way("fresh python, no wall", _fresh, 1),
            Way("fresh python in bubblewrap", _fresh_in_bubblewrap, 1),
        ]
        _in_box(slot)
        for _ in range(ROUNDS):
            for way in ways:
                way.measure(group)
        print(f"tier {slot.tier}; medians of {ROUNDS} interleaved rounds; {n_jobs} jobs a round in the warm rows\n")
        print_table(ways)


def print_table(ways: list[Way]) -> None:
    """Print one row per way, with its ratio to the first."""
    print(f"{'':32}{'CPU ms':>9}{'wall ms':>9}{'CPU x box':>11}{'wall x box':>12}")
    box_cpu_s, box_wall_s = _median(ways[0].cpu_s), _median(ways[0].wall_s)
    for way in ways:
        cpu_s, wall_s = _median(way.cpu_s), _median(way.wall_s)
        ratios = f"{cpu_s / box_cpu_s:11.2f}{wall_s / box_wall_s:12.2f}"
        print(f"{way.name:32}{cpu_s * 1e3:9.1f}{wall_s * 1e3:9.1f}{ratios}")


@contextmanager
def _own_group() -> Iterator[Group]:
    cgroups = Cgroups.find()
    if cgroups is None:
        raise InfraError("the bench counts the CPU of whole trees and needs a cgroup. Run it as root, or in a delegated one.")
    group = cgroups.make(f"autograder-bench-{os.getpid()}", 1 << 40, 1 << 15)
    homes = dict(cgroups.folders)
    try:
        _join(group.folders)
        yield group
    finally:
        _join(homes)
        group.remove()


def _join(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        (folder / "cgroup.procs").write_text(str(os.getpid()))


@contextmanager
def _bare_fork() -> Iterator[Callable[[], None]]:
    env = outer.environment(str(Path(__file__).parents[2]))
    command = [sys.executable, "-s", "-P", "-c", _BARE_FORK]
    with subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        told, asked = server.stdout, server.stdin
        told.readline()

        def run() -> None:
            asked.write("job\n")
            asked.flush()
            told.readline()

        yield run
        asked.close()


def _in_box(slot: Slot) -> None:
    with slot.open_box(CELLS, Limits()):
        pass


def _fresh() -> None:
    subprocess.run([sys.executable, "-c", _SOURCE], check=True)


def _fresh_in_bubblewrap() -> None:
    interpreter = outer.Interpreter.current()
    bwrap = "/usr/bin/bwrap"
    command = outer.bwrap_command(bwrap, interpreter, outer.zygote_contents())
    command[command.index("--") + 1 :] = [interpreter.inside(interpreter.executable), "-c", _SOURCE]
    subprocess.run(command, check=True, env={"PATH": jailed_process.SEARCH_PATH})


def _cpu_s(group: Group) -> float:
    return group.meter(os.getpid()).cpu_s() or 0.0


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    main()
