"""Text from a student's process is harmless where it is shown."""

from __future__ import annotations

import pytest

from autograder.sandbox.clean import clean


@pytest.mark.parametrize(
    "bad", ["\x1b[2J", "\x07", "\x00", "\r", "\x9b31m", "\u202e", "\u2066", "\ufeff", "\ud800", "\u2028", "\x7f"]
)
def test_controls_and_marks_that_hide_text_are_replaced(bad):
    """Escape sequences, carriage returns, direction overrides, zero-width marks, half characters."""
    assert clean(f"a{bad[0]}b", 10) == "a\ufffdb"


def test_ordinary_text_stays():
    """Newlines, tabs, letters of any script and mathematical signs are kept; the length is capped."""
    text = "é ß 漢字 ∑ → \t x\n"
    assert clean(text, 100) == text
    assert clean("abcdef", 3) == "abc"
