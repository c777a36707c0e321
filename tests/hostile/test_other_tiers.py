"""The same attacks where the box is weaker: as a plain user (tier B), and without bubblewrap (tier C)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UIDS = {"B": 65534, "C": 65533}


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become a second uid; the suite itself then ran as a plain user")
@pytest.mark.parametrize("tier", UIDS)
def test_the_attacks_are_held_in_the_tier(tier):
    """A second, unprivileged uid runs the whole suite; the only skip is what the tier is known not to hold."""
    suite = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/hostile/test_attacks.py", "tests/hostile/test_tier.py"]
    command = [sys.executable, "-m", "tests.hostile.plain_user", str(UIDS[tier]), sys.executable, *suite]
    env = {"HOSTILE_TIER": tier, "PATH": os.environ["PATH"]}
    if tier == "C":
        env["HOSTILE_PATH"] = "/nonexistent"
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped)", done.stdout)}
    assert counts.get("skipped", 0) == 1
    assert counts["passed"] > 100
