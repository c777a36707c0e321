"""Cgroups: each of the three layouts that machines have is found and spoken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autograder.sandbox.cgroups import Cgroups, Group


def tree(tmp_path: Path, membership: str, folders: dict[str, dict[str, str]]) -> Cgroups | None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cgroup").write_text(membership)
    for name, files in folders.items():
        folder = tmp_path / "fs" / name
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text)
    return Cgroups.find(tmp_path / "proc", tmp_path / "fs")


def test_the_unified_layout(tmp_path):
    """v2: controllers are enabled for children, and the limits are written where v2 has them."""
    found = tree(tmp_path, "0::/slice\n", {"slice": {"cgroup.subtree_control": "cpu"}})
    assert found == Cgroups({"": tmp_path / "fs" / "slice"})
    assert (tmp_path / "fs/slice/cgroup.subtree_control").read_text() == "+memory +pids"
    job = found.folders[""] / "job"
    found.make("job", 1 << 20, 7)
    assert (job / "memory.max").read_text() == "1048576"
    assert (job / "pids.max").read_text() == "7"
    (job / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (job / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    meter = Group({"": job}).meter(os.getpid())
    assert meter.cpu_s() == 2.5
    assert meter.ran_out_of_memory()
    # Killed because the whole machine had no memory left: not the job's doing.
    (job / "memory.events").write_text("low 0\noom 0\noom_kill 1\n")
    assert not Group({"": job}).meter(os.getpid()).ran_out_of_memory()


def test_the_old_layout_and_the_hybrid(tmp_path):
    """v1: each controller has its own tree; a unified tree without controllers beside it is not used."""
    membership = "4:memory:/a\n3:cpu,cpuacct:/b\n2:pids:/\n0::/\n"
    found = tree(tmp_path, membership, {"memory/a": {}, "cpuacct/b": {}, "pids": {}, "unified": {}})
    fs = tmp_path / "fs"
    assert found == Cgroups({"memory": fs / "memory/a", "pids": fs / "pids", "cpuacct": fs / "cpuacct/b"})
    found.make("job", 1 << 20, 7)
    assert (fs / "memory/a/job/memory.limit_in_bytes").read_text() == "1048576"
    assert (fs / "pids/job/pids.max").read_text() == "7"
    (fs / "cpuacct/b/job/cpuacct.usage").write_text("1500000000\n")
    (fs / "memory/a/job/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    group = Group({kind: folder / "job" for kind, folder in found.folders.items()})
    meter = group.meter(os.getpid())
    assert meter.cpu_s() == 1.5
    assert not meter.ran_out_of_memory()


def test_nothing_to_be_had(tmp_path):
    """Without a writable group that limits memory there is none."""
    assert tree(tmp_path, "", {}) is None


def test_groups_of_dead_workers_are_swept(tmp_path):
    """Empty groups of processes that are gone are removed; those of living ones stay."""
    found = Cgroups({"": tmp_path})
    dead, alive, other = (tmp_path / name for name in ("autograder-999999999-1", f"autograder-{os.getpid()}-1", "autograder-x"))
    for folder in (dead, alive, other):
        folder.mkdir()
    found.sweep("autograder-")
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()


@pytest.mark.skipif(Cgroups.find() is None, reason="this user may make no cgroup; root or a delegated one can")
def test_a_real_group_measures_and_goes():
    """A process that joins is counted, and the group is gone after remove()."""
    group = Cgroups.find().make(f"autograder-{os.getpid()}-test", 64 << 20, 4)
    with group.entries() as entries:
        r, w = os.pipe()
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "read x; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], {},
                             file_actions=[(os.POSIX_SPAWN_DUP2, r, 0)])  # fmt: skip
        for kind, fd in zip(group.folders, entries, strict=True):
            assert kind is not None
            os.write(fd, str(pid).encode())
        os.write(w, b"go\n")
        os.waitpid(pid, 0)
        for fd in (r, w):
            os.close(fd)
    assert (group.meter(os.getpid()).cpu_s() or 0) > 0
    assert group.renew()
    assert group.meter(os.getpid()).cpu_s() == 0.0, "the next job does not pay for this one"
    assert group.remove()
    assert not any(folder.exists() for folder in group.folders.values())
