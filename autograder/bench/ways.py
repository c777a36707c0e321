"""Ways to execute one small program in, what each costs a job out: the box, the same fork without a wall, fresh interpreters.

CPU is the whole tree's, from a cgroup of its own, so it needs root or a delegated cgroup.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from autograder.errors import InfraError
from autograder.sandbox import jailed_process, outer
from autograder.sandbox.box import Limits, Slot
from autograder.sandbox.cgroups import Cgroups, Group
from autograder.sandbox.jailed_process import JailedProcess
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
        cpu_s, wall_s = cpu_s_of(group), time.perf_counter()
        for _ in range(self.n):
            self.run()
        self.cpu_s.append((cpu_s_of(group) - cpu_s) / self.n)
        self.wall_s.append((time.perf_counter() - wall_s) / self.n)


@contextmanager
def own_group() -> Iterator[Group]:
    """Put this process and all that it starts into a group that counts their CPU. Raises: InfraError where none is to be had."""
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
        # What was started here made its own groups below: those that a killed process left keep this one from going.
        for left in Cgroups(group.folders).leftovers(""):
            left.remove()
        group.remove()


def _join(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        (folder / "cgroup.procs").write_text(str(os.getpid()))


@contextmanager
def bare_fork() -> Iterator[Callable[[], None]]:
    """Start a fork server without wall, line or monitor, and yield what runs one job in it."""
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


def in_box(slot: Slot) -> None:
    """Execute the program in a box."""
    with slot.open_box(CELLS, Limits()):
        pass


def fresh() -> None:
    """Execute the program in a fresh interpreter."""
    subprocess.run([sys.executable, "-c", _SOURCE], check=True)


def fresh_in_bubblewrap() -> None:
    """Execute the program in a fresh interpreter in bubblewrap."""
    interpreter = outer.Interpreter.current()
    bwrap = "/usr/bin/bwrap"
    command = outer.bwrap_command(bwrap, interpreter, outer.zygote_contents())
    command[command.index("--") + 1 :] = [interpreter.inside(interpreter.executable), "-c", _SOURCE]
    subprocess.run(command, check=True, env={"PATH": jailed_process.SEARCH_PATH})


def cpu_s_of(group: Group) -> float:
    return group.meter(os.getpid()).cpu_s() or 0.0


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


# The same fork server, line, player and monitor, but no wall.
_NO_WALLS = """
from autograder.sandbox import zygote
zygote.confine = lambda spec, program: None
zygote.main()
"""


def without_walls(namespaces: bool, search_path: str) -> JailedProcess:
    """Start a zygote whose players have no walls: what the walls cost is measured against it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    env = outer.environment(str(Path(__file__).parents[2]))
    with theirs:
        process = subprocess.Popen([sys.executable, "-s", "-P", "-c", _NO_WALLS], stdin=theirs.fileno(), stderr=said, env=env)
    server = JailedProcess(ours, process, False, (), None, None, said)
    server.greet({"filter": "", "namespaces": False, "warm": True})
    return server
