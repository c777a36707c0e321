"""What probes found in, the tier that a box earns out: A, B, C or D. Pure.

A: everything holds, the memory and processes of a whole job together too.
B: everything but that; graded where something outside, such as a container, caps the memory.
C: no namespaces; Landlock and seccomp alone. Provisional: it cannot raise a flag.
D: anything less. Refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from autograder.sandbox.probes import Probe

Tier = Literal["A", "B", "C", "D"]
_ORDER: tuple[Tier, ...] = get_args(Tier)


def tier_of(probes: Iterable[Probe]) -> Tier:
    """Return the highest tier whose probes all held."""
    failed = {p.tier for p in probes if not p.held}
    # A probe of tier C is needed by C and by all above it, one of tier A by A alone.
    return next((t for t in _ORDER if not any(f >= t for f in failed)), "D")


def meets(tier: str, required: str) -> bool:
    """Say whether a box of `tier` may be used where `required` is asked for. An unknown tier never is."""
    return tier in _ORDER and required in _ORDER and tier <= required and tier != "D"
