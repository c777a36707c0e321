"""What is too dear for every run in, a sample of it out: drawn anew for every commit, from a seed that pytest's header prints."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

ALL = bool(os.environ.get("BOOTCAMP_TEST_ALL"))


def _seed() -> str:
    """Return BOOTCAMP_TEST_SEED, else the commit's short hash, as the gate's sample has it, else a constant."""
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return os.environ.get("BOOTCAMP_TEST_SEED") or git.stdout.strip() or "release"


SEED = _seed()


def sampled(things: Sequence[str], n: int) -> list[str]:
    """Return n of the things in their order, or all of them when BOOTCAMP_TEST_ALL is set."""
    chosen = set(things if ALL else random.Random(SEED).sample(sorted(things), min(n, len(things))))
    return [thing for thing in things if thing in chosen]  # the same list in every process that collects tests
