"""The seam for grading: `Slot`, `Box`, `Limits` and `Usage`."""

from autograder.sandbox.program import Box, Limits, Usage

__all__ = ["Box", "Limits", "Usage"]
