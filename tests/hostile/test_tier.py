"""What the box says of itself: the tier is what was refused, and a missing wall is named."""

from __future__ import annotations

import os

from autograder.sandbox.tiers import meets, tier_of


def test_the_tier_is_the_expected_one(slot):
    """As root with cgroups A, as a plain user B, without bubblewrap C; each missing wall has advice."""
    expected = os.environ.get("HOSTILE_TIER", "A" if os.getuid() == 0 and slot.has_cgroup else "B")
    assert slot.tier == expected
    failed = {p.name for p in slot.probes if not p.held}
    total, disk = {"memory of all processes together"}, {"disk of a job"}
    assert failed == {"A": set(), "B": total, "C": total | disk}[expected]
    assert all(p.advice for p in slot.probes)
    assert bool(slot.weaker_because) == (expected == "C")
    assert len(slot.probes) >= 20


def test_a_weaker_box_never_meets_a_stronger_requirement(slot):
    """Fail closed: the comparison has no exception, and an unknown word meets nothing."""
    assert tier_of(slot.probes) == slot.tier
    assert [meets("B", required) for required in "ABCD"] == [False, True, True, True]
    assert not meets("D", "D")
    assert not meets("", "C")
    assert not meets("A", "Z")
