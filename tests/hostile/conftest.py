"""One slot for the whole suite: the strongest that there is, or the one that HOSTILE_PATH leaves (no bubblewrap in it)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from autograder.sandbox.box import Slot


@pytest.fixture(scope="session")
def slot() -> Iterator[Slot]:
    path = os.environ.get("HOSTILE_PATH")
    with Slot.start({"PATH": path} if path else None) as slot:
        assert slot.tier != "D"
        yield slot
