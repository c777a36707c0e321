"""A number of nodes in; an equally spaced grid of abilities, normal kernels on it and chances to lie above a bar out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr, sici

from autograder.progress.scores import Floats

HALF_WIDTH = 6.0
# Below this many steps a kernel would fall between the nodes; see `kernel`.
MIN_KERNEL_STEPS = 0.6


@dataclass(frozen=True)
class Grid:
    """Equally spaced abilities. The trapezoidal rule on them is exact but for what lies beyond the spacing's resolution.

    With 21 Gauss-Hermite nodes, the textbook's choice, 90 % intervals of simulated students covered 42 %: they stand too far
    apart for a posterior that 120 exercises have made narrow.
    """

    n_nodes: int

    @cached_property
    def nodes(self) -> Floats:
        return np.linspace(-HALF_WIDTH, HALF_WIDTH, self.n_nodes)

    @property
    def step(self) -> float:
        return 2 * HALF_WIDTH / (self.n_nodes - 1)

    @property
    def min_sd(self) -> float:
        return MIN_KERNEL_STEPS * self.step

    def kernel(self, sd: float, shift: Floats) -> Floats:
        """Return P(to | from + shift), rows (from) that sum to 1, one kernel per shift. Shapes: (m) -> (m from to).

        `sd` at least `min_sd`, or a kernel would fall between the nodes. It depends on to - from only: a normal at 2 q - 1
        differences, laid out as a matrix.
        """
        q = self.n_nodes
        away = (np.arange(1 - q, q) * self.step - shift[:, None]) / max(sd, self.min_sd)
        # Beyond 8 SD a row at the grid's end would be 0 / 0; below 1e-30 denormals would make every product slow.
        weight = np.exp(-0.5 * np.minimum(np.abs(away), 8.0) ** 2)
        rows = weight[:, (q - 1) + np.arange(q)[None, :] - np.arange(q)[:, None]]
        return np.asarray(rows / rows.sum(axis=2, keepdims=True))

    def normal(self, mean: Floats | float, sd: float) -> Floats:
        """Return normal weights at the nodes, one row per mean, that sum to 1."""
        away = (self.nodes - np.asarray(mean)[..., None]) / sd
        weight = np.exp(-0.5 * away**2) + 1e-30
        return np.asarray(weight / weight.sum(axis=-1, keepdims=True))

    def above(self, bar: Floats | float) -> Floats:
        """Return the weight of every node in P(ability > bar), one row per bar.

        The integral of the interpolating sinc: for a density that the grid resolves as exact as the trapezoidal rule is for
        its sum. Counting nodes above the bar would be off by up to half a node's mass. Far from the bar it is blended with
        the step that it tends to, so that what lies at the other end of the grid adds no ripple.
        """
        away = (self.nodes - np.asarray(bar)[..., None]) / self.step
        ripple = 0.5 + sici(np.pi * away)[0] / np.pi
        near = np.exp(-0.5 * (away / 6) ** 2)
        return np.asarray(near * ripple + (1 - near) * ndtr(away))
