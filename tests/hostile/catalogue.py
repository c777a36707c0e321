"""Every attack by its name, with the tiers that do not hold it and why; and the sample that one run of the tests takes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

from tests.hostile import attacks, attacks_kernel, attacks_line, attacks_state
from tests.sample import sampled

T = TypeVar("T")
ALL = {
    **attacks.ALL,
    **{f"line: {name}": source for name, source in attacks_line.LINE.items()},
    **{f"player: {name}": source for name, source in attacks_line.PLAYER.items()},
    **{f"kernel: {name}": source for name, source in attacks_kernel.KERNEL.items()},
    **{f"state: {name}": source for name, source in attacks_state.STATE.items()},
}
OUTER_CAP = "no cgroup: only an outer cap holds the memory of many processes together"
NOT_HELD = {("memory: memory of many processes", "B"): OUTER_CAP}
SHARE = "HOSTILE_SHARE"  # a variable: a run in a weaker tier takes a smaller share


def sample(names: Iterable[T], share: float) -> list[T]:
    """Return a share of the names, drawn as tests/sample.py draws."""
    by_text = {str(name): name for name in names}
    n = round(share * float(os.environ.get(SHARE, "1")) * len(by_text))
    taken = sampled(list(by_text), max(n, 1))
    return [name for text, name in by_text.items() if text in taken]
