"""Room for job groups in the kernel's cgroups, if this process may make any: v2, v1 or a hybrid of both.

A group bounds the memory and the processes of a job together, measures their CPU, and tells whether memory ran out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autograder.sandbox.job import Meter, MeterKind

_V1 = ("memory", "pids", "cpuacct")
_V2_NEEDED = {"memory", "pids"}
_SWEEPS = 50  # attempts to remove a group whose last process is being reaped


@dataclass(frozen=True)
class Cgroups:
    """The folders below which groups can be made, by controller; "" is the unified one."""

    folders: dict[str, Path]

    @classmethod
    def find(cls, proc: Path = Path("/proc/self"), root: Path = Path("/sys/fs/cgroup")) -> Cgroups | None:
        """Return where this process may make groups that limit memory, or None."""
        own = dict(_memberships(proc / "cgroup"))
        v1 = {name: _below(root / name, own[name]) for name in _V1 if name in own}
        v1 = {name: folder for name, folder in v1.items() if os.access(folder, os.W_OK)}
        if "memory" in v1:
            return cls(v1)
        unified = _below(root, own.get("", "/"))
        with contextlib.suppress(OSError):
            enabled = set((unified / "cgroup.subtree_control").read_text().split())
            missing = _V2_NEEDED - enabled
            if missing:
                (unified / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(missing)))
            if os.access(unified, os.W_OK):
                return cls({"": unified})
        return None

    def make(self, name: str, memory_bytes: int, processes: int) -> Group:
        """Make a group. Raises: OSError."""
        group = Group({kind: folder / name for kind, folder in self.folders.items()})
        try:
            for kind, folder in group.folders.items():
                folder.mkdir(exist_ok=True)
                _limit(kind, folder, memory_bytes, processes)
        except OSError:
            group.remove()
            raise
        return group

    def sweep(self, prefix: str) -> None:
        """Remove the empty groups, named prefix + pid + "-...", of processes that are gone."""
        for folder in self.folders.values():
            for left in folder.glob(f"{prefix}*-*"):
                pid = left.name.removeprefix(prefix).partition("-")[0]
                # Only empty ones: their jobs ended with the process, and a foreign pid namespace's may look gone.
                if pid.isdigit() and not Path(f"/proc/{pid}").exists():
                    _rmdir(left)

    def leftovers(self, prefix: str) -> list[Group]:
        """Return the groups of that prefix."""
        names = {p.name for folder in self.folders.values() for p in folder.glob(f"{prefix}*") if p.is_dir()}
        return [Group({kind: folder / name for kind, folder in self.folders.items()}) for name in sorted(names)]


@dataclass
class Group:
    """One job's group."""

    folders: dict[str, Path]
    start_s: float = field(default=0.0, repr=False)  # what it had counted before the job at hand
    start_kills: int = field(default=0, repr=False)
    _removed: bool = field(default=False, repr=False)

    @contextlib.contextmanager
    def entries(self) -> Iterator[list[int]]:
        """Open the files into which a process writes "0" to join."""
        fds: list[int] = []
        try:
            for folder in self.folders.values():
                fds.append(os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
            yield fds
        finally:
            for fd in fds:
                os.close(fd)

    def meter(self, pid: int) -> Meter:
        """Open the files that count the CPU of the group (of the process where no group counts it) and its kills for memory."""
        kind: MeterKind
        cpu, kind = Path(f"/proc/{pid}/stat"), "stat"
        if "" in self.folders:
            cpu, kind = self.folders[""] / "cpu.stat", "cpu.stat"
        elif "cpuacct" in self.folders:
            cpu, kind = self.folders["cpuacct"] / "cpuacct.usage", "cpuacct.usage"
        memory = self.folders[""] / "memory.events" if "" in self.folders else self.folders["memory"] / "memory.oom_control"
        cpu_fd, memory_fd = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (cpu, memory))
        return Meter(kind, cpu_fd, memory_fd, self.start_s, self.start_kills)

    def renew(self) -> bool:
        """Make it ready for another job, and say whether it is: nothing may be left in it."""
        try:
            if any((folder / "cgroup.procs").read_bytes() for folder in self.folders.values()):
                return False
            with contextlib.closing(self.meter(os.getpid())) as meter:
                self.start_s, self.start_kills = meter.read_s() if meter.counts_all else 0.0, meter.read_kills()
        except (OSError, ValueError):
            return False
        return True

    def kill(self) -> None:
        """Kill whatever is left in it."""
        for folder in self.folders.values():
            with contextlib.suppress(OSError):
                if (folder / "cgroup.kill").exists():
                    (folder / "cgroup.kill").write_text("1")
                    continue
                for pid in (folder / "cgroup.procs").read_text().split():
                    os.kill(int(pid), 9)

    def remove(self) -> bool:
        """Remove the group and say whether it is gone."""
        if self._removed:
            return True
        left = list(self.folders.values())
        for _ in range(_SWEEPS):
            left = [folder for folder in left if not _rmdir(folder)]
            if not left:
                break
            self.kill()
            os.sched_yield()
        self._removed = not left
        return self._removed


def _limit(kind: str, folder: Path, memory_bytes: int, processes: int) -> None:
    v1 = {"memory.limit_in_bytes": memory_bytes, "memory.memsw.limit_in_bytes": memory_bytes, "memory.swappiness": 0}
    v2 = {"memory.max": memory_bytes, "memory.swap.max": 0, "memory.oom.group": 1, "pids.max": processes}
    wanted: dict[str, int] = {"memory": v1, "pids": {"pids.max": processes}, "": v2}.get(kind, {})
    for name, value in wanted.items():
        # Swap accounting may be off; the memory limit itself may not.
        if name in ("memory.limit_in_bytes", "memory.max", "pids.max") or (folder / name).exists():
            (folder / name).write_text(str(value))


def _memberships(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (controller, path) of this process; the unified hierarchy's controller is ""."""
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            _, controllers, where = line.split(":", 2)
            for name in controllers.split(","):
                yield name, where


def _below(mount: Path, where: str) -> Path:
    # In a cgroup namespace the path is relative to what is mounted; elsewhere the mount shows the whole tree.
    found = mount / where.lstrip("/")
    return found if found.is_dir() else mount


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
