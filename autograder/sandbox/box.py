"""The seam for grading: `Slot`, which opens a `Box` in milliseconds, its `Limits` and what it used."""

from autograder.sandbox.job import Limits, Usage
from autograder.sandbox.program import Box
from autograder.sandbox.slot import Slot

__all__ = ["Box", "Limits", "Slot", "Usage"]
