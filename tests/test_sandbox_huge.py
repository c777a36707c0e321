"""What a fork server has loaded moves to huge pages where the kernel can do that, and nothing of it is changed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_PROGRAM = """
from autograder.sandbox.jail import huge
def on_huge_pages():
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) << 10 for line in rollup if line.startswith("AnonHugePages"))
data = bytearray(range(256)) * (64 << 10)
before = on_huge_pages()
said = huge.collapse()
assert data == bytearray(range(256)) * (64 << 10)
print(said, on_huge_pages() - before)
"""


@pytest.mark.skipif(tuple(map(int, platform.release().split(".")[:2])) < (6, 1), reason="Linux 6.1 brought MADV_COLLAPSE")
def test_the_heap_moves_to_huge_pages() -> None:
    """Most of a 16 MiB buffer, at the least."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    said, grown = map(int, done.stdout.split())

    assert grown >= 12 << 20
    assert said >= grown
