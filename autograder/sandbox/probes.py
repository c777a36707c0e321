"""A slot in, what its box holds out: about twenty attacks in a throw-away player, each refused or not.

A tier is never inferred from versions or settings: only what was refused just now counts.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autograder.errors import InfraError
from autograder.sandbox import attacks, outer
from autograder.sandbox.job import Limits
from autograder.sandbox.student import BoxLost, StudentCrashed, StudentError
from autograder.submission.model import Cell

if TYPE_CHECKING:
    from autograder.sandbox.program import Box
    from autograder.sandbox.slot import Slot

_MIB = 1 << 20
LIMITS = Limits(cpu_s=20.0, wall_s=120.0, memory_bytes=192 * _MIB, disk_bytes=4 * _MIB, address_bytes=4096 * _MIB)
_REFUSED = ("PermissionError", "FileNotFoundError", "OSError", "ProcessLookupError", "BlockingIOError", "MemoryError")
_SECCOMP = "Install libseccomp 2.5 or later (sudo apt-get install libseccomp2) and a kernel with CONFIG_SECCOMP_FILTER."
_NAMESPACES = "Install bubblewrap (sudo apt-get install bubblewrap) and allow user namespaces to this user."
_LANDLOCK = "Use Linux 6.12 or later with CONFIG_SECURITY_LANDLOCK and landlock in the list of security modules."
_CGROUP = "Run workers as root, or with a delegated cgroup (systemd-run --user --scope -p Delegate=yes), or cap the container."
_UNPRIVILEGED = "Do not run workers in a privileged container."
_FAMILIES = [socket.AF_INET, socket.AF_INET6, 16, 17, 40, 38, 15]  # netlink, packet, vsock, alg, key


@dataclass(frozen=True)
class Probe:
    """One attack. `tier` is the lowest tier that needs it to fail; `advice` says what to change if it did not."""

    name: str
    held: bool
    tier: Literal["A", "B", "C"]
    advice: str
    detail: str = ""


@dataclass(frozen=True)
class _Attack:
    name: str
    tier: Literal["A", "B", "C"]
    advice: str
    function: str
    args: tuple[Any, ...] = ()


def attempt(slot: Slot) -> tuple[Probe, ...]:
    """Open a throw-away box, attack it from inside, and return what held. Raises: InfraError when it cannot be opened."""
    text = (Path(__file__).parent / "attacks.py").read_text("utf-8")
    with slot.open_box([Cell("attacks", text)], LIMITS) as box:
        if box.failures:
            raise InfraError(f"the probes of the box do not run: {next(iter(box.failures.values()))}")
        found = [_probe(a, box.student.fn(a.function)) for a in _attacks(slot)]
        found.append(_is_unprivileged(box))
        found.append(_total_memory(slot, box))
    return tuple(found)


def attempt_here(out_of_reach: Sequence[str]) -> tuple[Probe, ...]:
    """Attack from inside this very process, which wants to be sure that its walls stand, and return what held.

    out_of_reach: folders and files that it must not be able to read.
    """
    # What stands in a folder such as /tmp is hidden by a scratch of our own.
    read = [*(p for p in out_of_reach if p not in outer.WRITABLE), "/etc/shadow", "/etc/passwd", "/root", "/home", "/var/log"]
    written = ["/", "/usr", "/etc", "/dev", "/var/tmp", outer.ROOM, *sys.path, sys.prefix, "/proc/sys/kernel/core_pattern"]
    here = [
        _Attack("network and other socket families", "C", _SECCOMP, "any_socket", (_FAMILIES,)),
        _Attack("reading ledger, homes and accounts", "C", _LANDLOCK, "read_any", (read,)),
        _Attack("writing to the system, the interpreter, the course", "C", _LANDLOCK, "write_any", (written,)),
        _Attack("signalling other processes", "C", _LANDLOCK, "signal_others"),
        *(_Attack(f"system call {name}", "C", _SECCOMP, "system_call", (name,)) for name in attacks.SYSCALLS["x86_64"]),
        _Attack("starting a process", "C", _SECCOMP, "start_a_process"),
        _Attack("raising a resource limit", "C", _SECCOMP, "raise_a_limit"),
        _Attack("capabilities and set-uid programs", "C", _UNPRIVILEGED, "hold_a_capability"),
    ]
    return tuple(map(_probe_here, here))


def _probe_here(attack: _Attack) -> Probe:
    try:
        reached = getattr(attacks, attack.function)(*attack.args)
    except OSError as e:
        return Probe(attack.name, True, attack.tier, attack.advice, str(e)[:200])
    return Probe(attack.name, False, attack.tier, attack.advice, str(reached)[:200])


def _probe(attack: _Attack, function: Callable[..., Any]) -> Probe:
    try:
        reached = function(*attack.args)
    except BoxLost as e:
        raise InfraError(f'probe "{attack.name}" ended the box: {e}') from None
    except StudentError as e:
        if e.kind not in _REFUSED:
            raise InfraError(f'probe "{attack.name}" does not run: {e}') from None
        return Probe(attack.name, True, attack.tier, attack.advice, e.message)
    return Probe(attack.name, False, attack.tier, attack.advice, str(reached)[:200])


def _attacks(slot: Slot) -> list[_Attack]:
    package = Path(__file__).parents[1]
    ours = [str(package / "grading" / "__init__.py"), str(package.parent / "assignments"), "/root", "/home", "/etc/shadow"]
    ours += ["/etc/passwd", "/var/log", *({str(Path.home())} - {*outer.WRITABLE, "/"})]
    fixed = ["/", "/usr", "/etc", "/dev", "/var/tmp", sys.prefix, sys.base_prefix, "/proc/sys/kernel/core_pattern"]
    variables = [*outer.environment(), "PWD", "LC_CTYPE"]
    folder = "/tmp" if slot.has_namespaces else "."
    return [
        _Attack("network and other socket families", "C", _SECCOMP, "any_socket", (_FAMILIES,)),
        _Attack("reading the course, homes and accounts", "C", _LANDLOCK, "read_any", (ours,)),
        _Attack("writing to the system, the interpreter, /dev", "C", _LANDLOCK, "write_any", (fixed,)),
        _Attack("signalling other processes", "C", _LANDLOCK, "signal_others"),
        _Attack("slowing other processes", "C", _SECCOMP, "slow_others"),
        _Attack("seeing other processes", "B", _NAMESPACES, "see_others"),
        *(_Attack(f"system call {name}", "C", _SECCOMP, "system_call", (name,)) for name in attacks.SYSCALLS["x86_64"]),
        _Attack("file locks as a covert channel", "C", _SECCOMP, "lock_a_shared_file", (os.__file__,)),
        _Attack("raising a resource limit", "C", _SECCOMP, "raise_a_limit"),
        _Attack("capabilities and set-uid programs", "C", _UNPRIVILEGED, "hold_a_capability"),
        _Attack("changing the host name", "C", _NAMESPACES, "set_the_hostname"),
        _Attack("leaked descriptors", "C", "Please report this.", "find_descriptors", (4,)),
        _Attack("our environment", "C", "Please report this.", "find_variables", (variables,)),
        _Attack("memory of one process", "C", "Please report this.", "map_memory", (LIMITS.address_bytes + _MIB,)),
        _Attack("too many tasks", "C", "Please report this.", "start_threads", (LIMITS.processes + 1,)),
        _Attack("disk of a job", "B", _NAMESPACES, "fill_the_disk", (folder, 2 * LIMITS.disk_bytes, 4)),
    ]


def _is_unprivileged(box: Box) -> Probe:
    """The player's uid as the host sees it, which it cannot see itself."""
    uid = box.host_uid
    advice = "Start workers as root, so that each slot drops to a uid of its own, or as a plain user."
    return Probe("root on the host", uid != 0, "C", advice, f"uid {uid}")


def _total_memory(slot: Slot, box: Box) -> Probe:
    name = "memory of all processes together"
    if not slot.has_cgroup:
        return Probe(name, False, "A", _CGROUP, "no cgroup to be had")
    try:
        box.student.fn("fill_memory")(2 * LIMITS.memory_bytes)
    except StudentCrashed as e:
        return Probe(name, e.kind == "MemoryError", "A", _CGROUP, str(e))
    except StudentError as e:
        return Probe(name, False, "A", _CGROUP, str(e))
    return Probe(name, False, "A", _CGROUP, f"{2 * LIMITS.memory_bytes >> 20} MiB were to be had")
