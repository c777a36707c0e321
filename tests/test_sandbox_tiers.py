"""Tiers: what was refused just now makes the tier, and a missing wall is found, named and costs it."""

from __future__ import annotations

import dataclasses
import struct

import pytest

from autograder.sandbox import warden
from autograder.sandbox.box import Slot
from autograder.sandbox.jail import seccomp
from autograder.sandbox.probes import Probe
from autograder.sandbox.tiers import meets, tier_of

RETURN_ALLOW = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)


def probe(tier, held):
    return Probe(f"probe {tier}", held, tier, "advice")


@pytest.mark.parametrize(
    ("failed", "tier"), [("", "A"), ("A", "B"), ("B", "C"), ("AB", "C"), ("C", "D"), ("AC", "D")], ids=lambda x: x or "none"
)
def test_the_tier_is_the_highest_whose_probes_all_held(failed, tier):
    """A probe that only tier A needs costs only tier A; one that C needs costs everything."""
    assert tier_of([probe(t, t not in failed) for t in "ABC"]) == tier


def test_a_tier_meets_itself_and_what_is_lower():
    """D meets nothing, not even D."""
    assert [[meets(have, want) for want in "ABCD"] for have in "ABCD"] == [
        [True, True, True, True],
        [False, True, True, True],
        [False, False, True, True],
        [False, False, False, False],
    ]


def held(slot):
    return {p.name: p.held for p in slot.probes}


def test_a_box_without_a_system_call_filter_is_refused(monkeypatch):
    """The probes see that seccomp is missing, although every other wall stands."""
    monkeypatch.setattr(seccomp, "compile_filter", lambda *, namespaces: RETURN_ALLOW)
    with Slot.start() as slot:
        assert slot.tier == "D"
        missing = {name for name, ok in held(slot).items() if not ok}
    assert {"system call io_uring_setup", "network and other socket families", "file locks as a covert channel"} <= missing


def test_a_box_whose_limits_are_not_set_is_refused(monkeypatch):
    """A missing limit of memory is found, although the group would catch it later."""
    spec = warden.Warden._spec
    monkeypatch.setattr(warden.Warden, "_spec", lambda self, *args: dataclasses.replace(spec(self, *args), address_bytes=1 << 46))
    with Slot.start() as slot:
        assert slot.tier == "D"
        assert not held(slot)["memory of one process"]
