"""Draws of a random answer and the law that they should follow in, AssertionError or silence out.

A right sampler fails a test at p < 1e-6 once in a million draws, a wrong one nearly always; so a first failure is answered
by a second, independent draw, and only two in a row count: about one false alarm in 10^12.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy import stats
from torch import Tensor

_P = 1e-6
_ENOUGH = 8.0  # the law of the G statistic is only good where a cell expects some draws; rarer cells are counted together


def follows(draw: Callable[[], Tensor], law: Tensor, what: str, slip: str = "") -> None:
    """Assert that independent draws of categories follow the law, by a G-test, a second time if need be.

    draw returns category numbers (n) int64 and is called once or twice; each must be below len(law), or it is a draw that
    cannot happen. law holds the probability of each category. A category with probability 0 may not occur at all.
    """
    told = _deviation(draw(), law)
    if told:
        told = _deviation(draw(), law)
        assert not told, f"{what}: {told}. {slip}".rstrip()


def _deviation(drawn: Tensor, law: Tensor) -> str:
    """Return what is unlikely about the draws, empty if nothing is."""
    law, n = law.double() / law.double().sum(), len(drawn)
    if n and not 0 <= int(drawn.min()) <= int(drawn.max()) < len(law):
        return "something was drawn that is no possible outcome"
    seen = torch.bincount(drawn, minlength=len(law)).double()
    never = (law == 0) & (seen > 0)
    if never.any():
        return f"{int(seen[never].sum())} of {n} draws are outcomes with probability 0"
    expected = law * n
    rare = expected < _ENOUGH
    o = torch.cat([seen[~rare], seen[rare].sum()[None]])
    e = torch.cat([expected[~rare], expected[rare].sum()[None]])
    o, e = o[e > 0], e[e > 0]
    if len(e) < 2:
        return ""
    g = 2 * float(torch.where(o > 0, o * (o.clamp(min=1e-300) / e).log(), 0.0).sum())
    if stats.chi2.sf(g, len(e) - 1) > _P:
        return ""
    worst = int(((o - e).abs() / e.sqrt()).argmax())
    return f"one outcome makes up {float(o[worst]) / n:.3f} of {n} draws, expected {float(e[worst]) / n:.3f}"
