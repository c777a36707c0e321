"""The second path: a slot that starts a new interpreter for each box. A hundred times slower, and nothing is inherited.

For what cannot be forked (a GPU's context), and to compare: both paths must give the same verdicts.
"""

from __future__ import annotations

from autograder.sandbox import zygote_process
from autograder.sandbox.engine import JailEngine
from autograder.sandbox.program import Limits
from autograder.sandbox.slot import Slot


class FreshSlot(Slot):
    """As a Slot, but one box at a time: opening the next ends the one before."""

    def _start_player(self, limits: Limits) -> JailEngine:
        self._restart()
        return super()._start_player(limits)

    def _restart(self) -> None:
        namespaces = self._zygote.namespaces
        self._zygote.stop()
        self._zygote = zygote_process.start(namespaces, warm=False)
