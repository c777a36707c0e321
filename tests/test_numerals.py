"""Digits come in groups from 10,000 on, in counts, points and changes alike."""

from __future__ import annotations

import pytest

from autograder.numerals import gain, number, whole


@pytest.mark.parametrize(("n", "text"), [(0, "0"), (9999, "9999"), (10_000, "10,000"), (2_244_000, "2,244,000")])
def test_a_count_is_grouped_from_ten_thousand_on(n: int, text: str) -> None:
    """Four digits are read at a glance, five are not. Points follow the same rule."""
    assert whole(n) == number(float(n)) == text
    assert gain(float(n)) == f"+{text}"


@pytest.mark.parametrize(("value", "text"), [(-0.5, "−0.5"), (-10_496.25, "−10,496.25"), (1 / 3, "+0.33"), (0.0, "+0")])
def test_a_change_has_a_sign_and_no_trailing_zeros(value: float, text: str) -> None:
    """A true minus, at most two decimals."""
    assert gain(value) == text
