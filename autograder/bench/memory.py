"""A slot in, what it and its jobs hold out: proportional and private memory, descriptors, and whether either grows."""

from __future__ import annotations

import os
from pathlib import Path

from autograder.bench.ways import CELLS, in_box
from autograder.sandbox.box import Slot
from autograder.sandbox.warden import Warden


def memory_mib(pid: int, *fields: str) -> float:
    """Return the sum of these fields of the process's smaps_rollup, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in fields) / 1024


def zygote_of(slot: Slot) -> int:
    """Return the pid of the process that forks: below bubblewrap and the keeper that waits."""
    assert isinstance(slot.opener, Warden)
    pid = slot.opener.server.process.pid
    for _ in range(2):
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return pid


def job_mib(slot: Slot) -> float:
    """Return what a job holds of its own once its set-up cells have run."""
    with slot.open_box(CELLS) as box:
        return memory_mib(box.host_pid, "Private_Dirty", "Private_Clean")


def held(slot: Slot) -> tuple[float, int]:
    """Return MiB and descriptors of the zygote and of this process."""
    pids = [zygote_of(slot), os.getpid()]
    return sum(memory_mib(p, "Pss") for p in pids), sum(len(os.listdir(f"/proc/{p}/fd")) for p in pids)


def grown(slot: Slot, n_jobs: int) -> tuple[float, int]:
    """Return by how many MiB and descriptors slot and controller grow between the 20th job and the last."""
    for _ in range(20):
        in_box(slot)
    mib, n_fds = held(slot)
    for _ in range(n_jobs - 20):
        in_box(slot)
    mib_after, n_fds_after = held(slot)
    return mib_after - mib, n_fds_after - n_fds
