"""What is known of one student, as a normal around the estimate: enough to ask which exercise would sharpen it most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autograder.progress.mixed_model import Layout, Variances, covariance
from autograder.progress.scores import Floats


@dataclass(frozen=True)
class Local:
    """Means and covariances given the student's evidence. Shapes: ability, with_target (b); spread (b b).

    `information(exercise, b)` is what a first try of that exercise would add to the precision of the ability in notebook b.
    """

    ability: Floats
    spread: Floats
    with_target: Floats
    variance: float
    information: Callable[[str, int], float]


def local(v: Variances, at: Layout, precision: Floats, ability: Floats, information: Callable[[str, int], float]) -> Local:
    """Return what evidence of this precision per notebook leaves uncertain. Shapes: precision, ability (b)."""
    k, c = covariance(v, at)
    # Cov(f, T) after = M K^-1 c = c - K S A^-1 S c, and likewise for T itself.
    s = np.sqrt(precision)
    a = np.eye(len(c)) + s[:, None] * k * s
    u = s * np.linalg.solve(a, s * c)
    ks = k * s[None, :]
    m = k - ks @ np.linalg.solve(a, ks.T)
    return Local(ability, m, c - k @ u, v.target_sd**2 - float(c @ u), information)
