"""Fractions become levels that the cohort shows, in order, with all right always apart."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.progress.irt.levels import CUTS, cuts_of, levels_of


@pytest.mark.parametrize(
    ("score", "n_levels"),
    [
        ([0.0] * 9 + [1.0] * 9, 2),
        ([1.0] * 9, 2),
        ([0.0] * 5 + [0.25] * 5 + [0.75] * 5 + [1.0], 4),
        ([0.0] * 5 + [0.75] * 5 + [1.0] * 5, 3),
        ([0.0] * 5 + [0.25] * 2 + [1.0] * 5, 2),
        ([0.25] * 8 + [0.75] * 8, 3),
    ],
)
def test_levels_follow_what_is_seen(score: list[float], n_levels: int) -> None:
    """A level that fewer than four reached is joined to its neighbour; levels rise with the fraction."""
    column = np.array(score)[:, None]
    seen = np.ones_like(column, dtype=bool)
    (cuts,) = cuts_of(column, seen)
    level = levels_of(column, seen, (cuts,))[:, 0]

    assert len(cuts) + 1 == n_levels
    assert cuts[-1] == CUTS[-1]
    assert np.all(np.diff(level[np.argsort(column[:, 0])]) >= 0)
    assert np.all((level == n_levels - 1) == (column[:, 0] == 1))


def test_what_was_not_tried_has_no_level() -> None:
    """-1, whatever stands in the score."""
    assert levels_of(np.zeros((2, 1)), np.zeros((2, 1), bool), ((CUTS[-1],),)).tolist() == [[-1], [-1]]
