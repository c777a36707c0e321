"""What is known of some students' targets: mean, SD and chances to lie above any bar, whatever engine computed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from autograder.progress.scores import Floats

# Bars at which chances are kept, in prior SDs of the target. Between them chances are interpolated by a cubic.
BARS = np.linspace(-5.0, 5.0, 101)
_STEP = BARS[1] - BARS[0]


@dataclass(frozen=True)
class Posterior:
    """Units: prior SDs of the target; 0 is the middle. Shapes: mean, sd, growing (n); above (n m).

    `above` is P(T > bar) at `BARS`, falling from about 1 to about 0. `growing` is P(growth > 0), relative to the cohort.
    """

    mean: Floats
    sd: Floats
    above: Floats
    growing: Floats

    def __len__(self) -> int:
        return len(self.mean)

    def chances(self, bar: float) -> Floats:
        """Return P(T > bar). Shapes: (n)."""
        at = float(np.clip((bar - BARS[0]) / _STEP, 1.0, len(BARS) - 2.001))
        i, t = int(at), at % 1.0
        weights = np.array(
            [-t * (t - 1) * (t - 2) / 6, (t + 1) * (t - 1) * (t - 2) / 2, -(t + 1) * t * (t - 2) / 2, (t + 1) * t * (t - 1) / 6]
        )
        return np.clip(self.above[:, i - 1 : i + 3] @ weights, 0.0, 1.0)

    def quantile(self, share: float) -> Floats:
        """Return the value below which the target lies with probability `share`. Shapes: (n)."""
        below = 1 - self.above
        # Strictly rising, so that a plateau of exact zeros or ones has one answer.
        rising = below + np.arange(len(BARS)) * 1e-12
        return np.array([np.interp(share, row, BARS) for row in rising])

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Return the central interval that holds the target with probability `level`."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)


def normal(mean: Floats, sd: Floats, growing: Floats) -> Posterior:
    """Return posteriors that are normal."""
    return Posterior(mean, sd, np.asarray(ndtr((mean[:, None] - BARS) / sd[:, None])), growing)


def mixture(parts: Sequence[Posterior]) -> Posterior:
    """Return the average of equally likely posteriors of the same students."""
    mean = np.mean([p.mean for p in parts], axis=0)
    square = np.mean([p.sd**2 + p.mean**2 for p in parts], axis=0)
    above, growing = np.mean([p.above for p in parts], axis=0), np.mean([p.growing for p in parts], axis=0)
    return Posterior(mean, np.sqrt(np.maximum(square - mean**2, 1e-9)), above, growing)


def joined(parts: Sequence[Posterior]) -> Posterior:
    """Return the posteriors of one group of students after another."""
    return Posterior(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("mean", "sd", "above", "growing")))
