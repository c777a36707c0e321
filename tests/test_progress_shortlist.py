"""The shortlist is the largest that keeps the expected share of false names, and a draw that a seed repeats."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from autograder.progress import load_policy
from autograder.progress.shortlist import Candidate, choose, events, largest

RULE = load_policy().shortlist


def _some(chances: list[float], sds: list[float] | None = None) -> list[Candidate]:
    return [Candidate(f"s{n}", p, (sds or [0.5] * len(chances))[n]) for n, p in enumerate(chances)]


@pytest.mark.parametrize("seed", range(8))
def test_no_larger_set_keeps_alpha(seed: int) -> None:
    """Against every subset of ten candidates, by brute force."""
    p = np.round(np.random.default_rng(seed).random(10), 2).tolist()
    sizes = [k for k in range(1, 11) for own in combinations(p, k) if np.mean([1 - x for x in own]) <= 0.2 + 1e-12]

    found = largest(_some(p), 0.2, 99)

    assert len(found) == max(sizes, default=0)
    assert [c.p for c in found] == sorted(p, reverse=True)[: len(found)]


def test_seats_bound_the_list_and_ties_go_to_the_surer() -> None:
    """At most k; of equal chances the lower SD first, then an order that nobody chose."""
    found = largest(_some([0.9, 0.9, 0.9, 0.95], [0.4, 0.3, 0.5, 0.9]), 0.2, 3)

    assert [c.pseudonym for c in found] == ["s3", "s1", "s0"]


def test_what_is_expected_false_is_said() -> None:
    """The mean of 1 - p over the invited, and who was drawn from the middle; the same seed draws the same."""
    many = _some([0.95] * 8 + [0.5] * 30 + [0.1] * 20)

    made, again, other = (choose(many, RULE, seed) for seed in ("2026-12-01", "2026-12-01", "2026-12-08"))

    assert made == again
    assert made.explored != other.explored
    assert {c.p for c in made.explored} == {0.5}
    assert len(made.explored) == round(RULE.explore_share * RULE.seats)
    assert len(made.invited) + len(made.explored) <= RULE.seats
    assert made.expected_false == pytest.approx(sum(1 - c.p for c in made.invited))
    assert str(made).startswith(f"expected false: {made.expected_false:.1f} of {len(made.invited)}")
    assert not {c.pseudonym for c in made.invited} & {c.pseudonym for c in made.explored}


def test_a_list_of_nobody_is_a_list() -> None:
    """Nobody above alpha: nobody invited, nothing false."""
    made = choose(_some([0.1, 0.15]), RULE, "x")

    assert (made.invited, made.explored, made.expected_false) == ((), (), 0)
    assert len(events(made, "2026-12-01", 7, None, load_policy())) == 1
