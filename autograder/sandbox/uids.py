"""One unprivileged uid per slot, held by a lock that the kernel lets go of with the process."""

from __future__ import annotations

import contextlib
import socket

from autograder.errors import InfraError

# Between the ranges that Linux distributions and systemd give out; inside the 65,536 ids of a container.
RANGE = range(60706, 61184)


class SlotUid:
    """A uid that no other slot of this machine uses."""

    def __init__(self) -> None:
        self._lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        for uid in RANGE:
            # An abstract name can be bound once, and needs no cleaning up after a crash.
            with contextlib.suppress(OSError):
                self._lock.bind(f"\0autograder-slot-{uid}")
                self.value = uid
                return
        self._lock.close()
        raise InfraError(f"all {len(RANGE)} uids for slots are in use. Are workers of an earlier run still alive?")

    def release(self) -> None:
        self._lock.close()
