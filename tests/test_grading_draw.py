"""Drawing: the same attempt draws the same inputs for ever, and nobody can tell them without the course seed."""

from __future__ import annotations

from autograder.grading.draw import rng_for

WHO = ("x1_tiny/ada/00ff", "x1_tiny.double", "doubles")


def first(seed: bytes, *who: str) -> int:
    return int(rng_for(seed, *who).integers(2**62))


def test_the_same_attempt_draws_the_same():
    """A replay sees the inputs of the first run, on every machine: the number is what HMAC-SHA256 and PCG64 give."""
    assert first(b"seed", *WHO) == first(b"seed", *WHO)


def test_everything_else_draws_otherwise():
    """Seed, attempt, exercise and check each change the draw; moving a character between them does too."""
    keys = [
        (b"seed", *WHO),
        (b"other", *WHO),
        (b"seed", "x1_tiny/bela/00ff", *WHO[1:]),
        (b"seed", WHO[0], "x1_tiny.quadruple", WHO[2]),
        (b"seed", *WHO[:2], "other"),
        (b"seed", "x1_tiny/ada/00f", "fx1_tiny.double", WHO[2]),
    ]

    assert len({first(*k) for k in keys}) == len(keys)
