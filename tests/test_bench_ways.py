"""Costs are counted in a group of their own, which is gone with all that was made in it."""

from __future__ import annotations

import os

import pytest

from autograder.bench.ways import cpu_s_of, own_group
from autograder.sandbox.cgroups import Cgroups


@pytest.fixture(autouse=True)
def home() -> Cgroups:
    """Where this process's groups are made."""
    found = Cgroups.find()
    if found is None:
        pytest.skip("needs root or a delegated cgroup")
    return found


def test_nothing_is_left_of_the_group(home: Cgroups) -> None:
    """What a killed slot leaves below it goes too, and this process is back where it was."""
    with own_group() as group:
        below = Cgroups.find().make(f"autograder-{os.getpid()}-1", 1 << 30, 8)
        assert all(folder.parent in group.folders.values() for folder in below.folders.values())

    assert not [f for f in (*below.folders.values(), *group.folders.values()) if f.exists()]
    assert Cgroups.find() == home


def test_the_group_counts_what_runs_in_it() -> None:
    """CPU seconds of this process, from when it joined."""
    with own_group() as group:
        before_s = cpu_s_of(group)
        sum(i * i for i in range(300_000))
        assert 0.0 < cpu_s_of(group) - before_s < 5.0
