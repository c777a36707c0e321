"""The second path: a slot that starts a new interpreter for each box. A hundred times slower, and nothing is inherited.

For what cannot be forked (a GPU's context), and to compare: both paths must give the same verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from autograder.sandbox import zygote_process
from autograder.sandbox.job import Job, Limits
from autograder.sandbox.slot import Opener, Slot
from autograder.sandbox.warden import Warden


class FreshWarden(Warden):
    """As a Warden, but one job at a time: opening the next ends the one before."""

    def _open(self, limits: Limits, topic: str, core: int | None) -> Job:
        self._restart()
        return super()._open(limits, topic, core)


class FreshSlot(Slot):
    """As a Slot, but one box at a time: opening the next ends the one before."""

    @classmethod
    def opener_of(cls, env: Mapping[str, str] | None) -> Opener:
        return FreshWarden(env, partial(zygote_process.start, warm=False))
