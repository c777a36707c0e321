"""A number in, its digits as people read them out: 9999, 10,000, 1.5. One rule for pages, papers and the tracker's reasons."""

from __future__ import annotations

_LONG = 10_000  # from here on digits come in groups


def whole(n: int) -> str:
    """Return a count as people read it: 9999, 10,000."""
    return f"{n:,}" if abs(n) >= _LONG else str(n)


def number(value: float) -> str:
    """Return points as people write them: 2, 1.5, 0.33, 10,496."""
    return f"{value:{',' if abs(value) >= _LONG else ''}.2f}".rstrip("0").rstrip(".")


def gain(value: float) -> str:
    """Return a change of points: +2, −0.5, +10,496; +0 where there is none."""
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"
