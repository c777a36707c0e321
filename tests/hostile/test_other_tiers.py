"""The same attacks where the box is weaker: as a plain user (tier B), and without bubblewrap (tier C)."""

from __future__ import annotations

import os
import re

import pytest

from tests.hostile import catalogue, plain_user
from tests.sample import SEED

SUITE = ["tests/hostile/test_attacks.py", "tests/hostile/test_attacks_check.py", "tests/hostile/test_tier.py"]


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become a second uid; the suite itself then ran as a plain user")
@pytest.mark.parametrize("tier", plain_user.UIDS)
def test_the_attacks_are_held_in_the_tier(tier):
    """A second, unprivileged uid runs a sample of the suite; the only skip is what the tier is known not to hold."""
    done = plain_user.run_suite(tier, SUITE, {catalogue.SHARE: "0.25", "BOOTCAMP_TEST_SEED": f"{SEED}{tier}"})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped)", done.stdout)}
    assert counts.get("skipped", 0) <= sum(t == tier for _, t in catalogue.NOT_HELD)
    assert counts["passed"] > 20
