"""`follows` accepts draws from the law, rejects others, and asks twice before it does."""

from __future__ import annotations

import pytest
import torch

from autograder.grading.law import follows

LAW = torch.tensor([0.5, 0.3, 0.2, 0.0])


def drawn(law: torch.Tensor, n: int, seed: int) -> torch.Tensor:
    return torch.multinomial(law, n, replacement=True, generator=torch.Generator().manual_seed(seed))


def test_draws_from_the_law_pass():
    """Two hundred samples, none of them refused at the first look."""
    for seed in range(200):
        calls = [drawn(LAW, 2000, seed)]
        follows(calls.pop, LAW, "draws")


@pytest.mark.parametrize(
    ("other", "n", "said"),
    [
        ([0.45, 0.35, 0.2, 0.0], 5000, "0.45.? of 5000 draws, expected 0.500|0.3[45].* expected 0.300"),
        ([0.5, 0.3, 0.19, 0.01], 50000, "outcomes with probability 0"),
        ([1.0, 0.0, 0.0, 0.0], 100, "expected"),
    ],
)
def test_draws_from_another_law_fail(other: list[float], n: int, said: str):
    """The text gives the outcome that is furthest off, as a share."""
    samples = [drawn(torch.tensor(other), n, seed) for seed in (1, 2)]
    with pytest.raises(AssertionError, match=said):
        follows(samples.pop, LAW, "draws")


def test_what_cannot_be_an_outcome_fails():
    """Numbers beyond the law are an answer of another kind."""
    for strange in (4, -1):
        with pytest.raises(AssertionError, match="no possible outcome"):
            follows(lambda strange=strange: torch.tensor([0, strange]), LAW, "draws")


def test_a_failure_is_drawn_again():
    """An unlucky first draw is forgiven when the second one is good, and the second one is not drawn without need."""
    unlucky = [drawn(LAW, 3000, 1), torch.zeros(3000, dtype=torch.int64)]
    follows(unlucky.pop, LAW, "draws")
    assert unlucky == []


def test_equal_draws_are_no_sample():
    """Rows that all share one random number give one outcome: as improbable as it looks."""
    with pytest.raises(AssertionError, match=r"makes up 1\.000"):
        follows(lambda: torch.zeros(400, dtype=torch.int64), LAW, "rows", "Do all rows share one draw?")
