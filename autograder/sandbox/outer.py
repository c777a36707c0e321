"""An interpreter and some files of ours in, the command that runs one of them in an outer jail out. Starts nothing itself.

The outer jail shows the system's /usr, the interpreter, the virtual environment and the player's own files,
all read-only, and nothing else: no home, no course, no network, no other process.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOM = "/box"  # where our files stand inside
# What runs in the box. Nothing else of ours may be in there.
_FILES = [
    "__init__.py",
    "sandbox/__init__.py",
    "sandbox/player*.py",
    "sandbox/zygote.py",
    "sandbox/monitor.py",
    "sandbox/warm.py",
    "sandbox/protocol/*.py",
    "sandbox/jail/*.py",
]
_SYSTEM = ("/lib", "/lib64", "/lib32", "/libx32", "/bin", "/sbin")
_FROM_ETC = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
HOME = "/job"
WRITABLE = ("/tmp", "/job", "/dev/shm")  # of the zygote; each job mounts its own over them
_HIDDEN = (*WRITABLE, "/dev", "/proc", "/sys", ROOM)  # what stands below these outside cannot stand there inside
_PLACE = "/python"  # and stands in a folder of this name and a number instead
READABLE_PROC = ("/proc/cpuinfo", "/proc/meminfo")  # where /proc shows other processes too
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/full")


@dataclass(frozen=True)
class Interpreter:
    """The Python that runs the player, and the folders that it needs."""

    executable: str
    folders: tuple[str, ...]  # outside /usr, parents before children
    packages: tuple[str, ...]  # the site-packages folders, in which a copy of our own engine may stand

    def inside(self, path: str) -> str:
        """Return where a path of the interpreter stands in the outer jail.

        Mostly where it stands outside. But a checkout below /tmp, say, would vanish under every job's own /tmp.
        """
        for n, folder in enumerate(self.folders):
            if _is_below(path, folder) and any(_is_below(folder, hidden) for hidden in _HIDDEN):
                return f"{_PLACE}{n}{path[len(folder) :]}"
        return path

    @classmethod
    def current(cls) -> Interpreter:
        """Describe the interpreter that runs this."""
        real = str(Path(sys.executable).resolve())
        wanted = [sys.base_prefix, sys.prefix, sysconfig.get_path("stdlib"), os.path.dirname(os.path.dirname(real))]
        folders: list[str] = []
        for folder in sorted({os.path.realpath(f) for f in wanted if f}):
            if not any(_is_below(folder, known) for known in ["/usr", *folders]):
                folders.append(folder)
        if os.path.realpath(sys.prefix) != sys.prefix:
            folders.append(sys.prefix)
        packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        return cls(sys.executable, tuple(folders), tuple(sorted(p for p in packages if p)))


@dataclass(frozen=True)
class Contents:
    """What of ours a jail shows: single files of this package, whole folders and where they stand inside, and what runs."""

    module: str
    files: tuple[Path, ...]
    folders: Mapping[str, str] = field(default_factory=dict)
    argument: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("-s", "-P", "-m", self.module, self.argument)


def our_files(patterns: Iterable[str]) -> tuple[Path, ...]:
    """Return the files of this package that match."""
    package = Path(__file__).parents[1]
    return tuple(sorted(path for pattern in patterns for path in package.glob(pattern)))


def zygote_contents() -> Contents:
    """Return what the zygote's jail shows: the player's files, and those that put up its walls."""
    return Contents("autograder.sandbox.zygote", our_files(_FILES))


def inside(path: Path) -> str:
    """Return where one of our files stands in the box."""
    return f"{ROOM}/autograder/{path.relative_to(Path(__file__).parents[1])}"


def environment(room: str = ROOM) -> dict[str, str]:
    """Return the whole environment of the zygote and so of every job: no variable of ours goes in.

    Python's own allocator, though glibc's alone has a tunable for huge pages: it is faster, and jail/huge.py moves both.
    """
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": HOME,
        "TMPDIR": "/tmp",
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": room,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "",
    }


def bwrap_command(
    bwrap: str, interpreter: Interpreter, contents: Contents, source_of: Callable[[str], str] = lambda path: path
) -> list[str]:
    """Return the command that runs the contents' module inside bubblewrap.

    source_of(path) says where to bind a folder or file of ours from, if not from its own place.
    """
    # As pid 1, so that with the zygote everything below it ends.
    args = [bwrap, "--as-pid-1", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    args += ["--uid", "1000", "--gid", "1000", "--hostname", "box", "--new-session", "--ro-bind", "/usr", "/usr"]
    for path in _SYSTEM:
        if os.path.islink(path):
            args += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            args += ["--ro-bind", path, path]
    for folder in interpreter.folders:
        args += ["--ro-bind", source_of(folder), interpreter.inside(folder)]
    for packages in interpreter.packages:
        # An installed engine would stand there with the course's service and bridge; the box needs none of it.
        if os.path.isdir(os.path.join(packages, "autograder")):
            args += ["--tmpfs", os.path.join(interpreter.inside(packages), "autograder")]
    for file in contents.files:
        args += ["--ro-bind", source_of(str(file)), inside(file)]
    for folder, place in contents.folders.items():
        args += ["--ro-bind", source_of(folder), place]
    for path in _FROM_ETC:
        args += ["--ro-bind-try", path, path]
    args += ["--proc", "/proc", "--dev", "/dev"]
    for folder in WRITABLE:
        args += ["--dir", folder]
    # bubblewrap's root and /dev stay writable for its uid: jobs of one zygote would share a blackboard. /tmp is for the
    # zygote's own start; every job mounts its own over it.
    args += ["--tmpfs", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]
    return [*args, "--", interpreter.inside(interpreter.executable), *contents.arguments]


def landlock_folders(interpreter: Interpreter, *, jailed: bool) -> tuple[str, ...]:
    """Return what a job may read beside our files: the system and the interpreter, in the outer jail or without one."""
    folders = map(interpreter.inside, interpreter.folders) if jailed else interpreter.folders
    return ("/usr", *_SYSTEM, *_FROM_ETC, *folders)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
