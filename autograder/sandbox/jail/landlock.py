"""Landlock: after `restrict` this process and its children reach the named paths and no others, and no network port.

Source: the kernel's userspace-api/landlock, ABI 1 to 7.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from autograder.sandbox.jail import kernel

_CREATE, _ADD_RULE, _RESTRICT = kernel.SYS_LANDLOCK, kernel.SYS_LANDLOCK + 1, kernel.SYS_LANDLOCK + 2
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_N_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # 16 from ABI 5 on
_EXECUTE, _WRITE, _READ, _READ_DIR, _TRUNCATE, _IOCTL_DEV = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_MAKE_DEVICES = 1 << 6 | 1 << 11
_OF_A_FILE = _EXECUTE | _WRITE | _READ | _TRUNCATE | _IOCTL_DEV
_TCP, _SCOPES = 0b11, 0b11  # bind and connect; abstract unix sockets and signals
NET_ABI, SCOPE_ABI = 4, 6


def abi() -> int:
    """Return the kernel's Landlock version, 0 if there is none."""
    found: int = kernel.libc().syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(found, 0)


def restrict(read_only: Sequence[str], read_write: Sequence[str]) -> None:
    """Deny everything but reading and executing below the one, and all but devices below the other. Raises: OSError."""
    version = abi()
    files = (1 << _N_FILE_RIGHTS.get(version, 16)) - 1
    fields = [files, _TCP if version >= NET_ABI else 0, _SCOPES if version >= SCOPE_ABI else 0]
    size = 24 if version >= SCOPE_ABI else 16 if version >= NET_ABI else 8
    attributes = struct.pack("<QQQ", *fields)[:size]
    call = kernel.libc().syscall
    ruleset = kernel.checked(call(_CREATE, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0)), "landlock_create_ruleset")
    for paths, rights in ((read_only, _EXECUTE | _READ | _READ_DIR), (read_write, files & ~_MAKE_DEVICES)):
        for path in paths:
            _allow(ruleset, path, rights & files)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.checked(call(_RESTRICT, ruleset, ctypes.c_uint32(0)), "landlock_restrict_self")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # what is not there needs no right
    try:
        rule = struct.pack("<Qi", rights if os.path.isdir(path) else rights & _OF_A_FILE, fd)
        kernel.checked(
            kernel.libc().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, ctypes.c_uint32(0)), f"landlock_add_rule {path}"
        )
    finally:
        os.close(fd)
