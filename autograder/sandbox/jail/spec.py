"""What one job may do: `JobSpec`, as JSON over the control socket. Plain data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

BORN = b"born"  # what a player says on its status socket once every wall stands


@dataclass(frozen=True)
class JobSpec:
    """Limits and walls of one job. Paths are as the zygote sees them."""

    namespaces: bool  # False: no namespaces are to be had; Landlock and seccomp alone hold (tier C)
    folder: str  # the job's working folder
    read_only: tuple[str, ...]  # what Landlock lets it read and execute
    read_write: tuple[str, ...]
    max_wall_s: float
    max_cpu_s: int
    address_bytes: int
    processes: int
    disk_bytes: int
    reply_bytes: int
    open_files: int = 256
    topic: str = ""  # what the fork server loads before it forks
    core: int | None = None  # the only one that it runs on; None: any

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> JobSpec:
        fields = json.loads(data)
        return cls(**{**fields, "read_only": tuple(fields["read_only"]), "read_write": tuple(fields["read_write"])})
