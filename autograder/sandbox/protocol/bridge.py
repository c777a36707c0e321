"""Let gradients flow through a call to the other side: each side keeps its own graph, and only gradients cross.

The side that computes keeps (outputs, roots) under the call's id in `Graphs`. The side that asked ties the outputs into
its own graph with `weave`; its backward asks for the vector-Jacobian product of that id. The graph lives as long as the
asking side's does. Double backward is refused, not wrong.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from autograder.sandbox.protocol.frames import WireError

Like = Sequence[tuple[torch.Size, torch.dtype]]
# (id of the call, gradients of its outputs, what its roots look like) -> gradients of its roots, checked to look so
Backward = Callable[[int, list[Tensor | None], Like], Sequence[Tensor | None]]
Free = Callable[[int], None]
_GRAPH_BYTES = 1024


@dataclass
class Graphs:
    """The graphs of calls that the other side may still differentiate, up to a number of bytes of inputs and outputs."""

    max_bytes: int
    kept: dict[int, tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = field(default_factory=dict)
    n_bytes: int = 0

    def keep(self, call: int, outputs: Sequence[Tensor], roots: Sequence[Tensor]) -> None:
        """Keep a graph. Raises: MemoryError when the other side lets too few go."""
        n_bytes = _n_bytes(outputs, roots)
        if self.n_bytes + n_bytes > self.max_bytes:
            raise MemoryError("too many results that gradients may still be asked of")
        self.n_bytes += n_bytes
        self.kept[call] = (tuple(outputs), tuple(roots))

    def free(self, calls: Iterable[int]) -> None:
        for call in calls:
            if call in self.kept:
                self.n_bytes -= _n_bytes(*self.kept.pop(call))

    def backward(self, call: int, grads: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return the gradients of the call's roots. Raises: KeyError, ValueError on a call or gradients not of it."""
        outputs, roots = self.kept[call]
        if len(grads) != len(outputs):
            raise ValueError(f"{len(grads)} gradients for {len(outputs)} outputs")
        known = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None]
        if not known or not roots:
            return [None] * len(roots)
        # Kept for a second backward, which the asking side may want; it goes when that side lets go.
        found = torch.autograd.grad([o for o, _ in known], list(roots), [g for _, g in known], allow_unused=True, retain_graph=True)
        return list(found)


def _n_bytes(outputs: Sequence[Tensor], roots: Sequence[Tensor]) -> int:
    # Even an empty tensor's graph takes some room.
    return sum(t.nbytes + _GRAPH_BYTES for t in (*outputs, *roots))


@dataclass
class _Answer:
    """One call's outputs and how to ask for its gradients. Collected together with the autograd node that holds it."""

    call: int
    outputs: tuple[Tensor, ...]
    backward: Backward


def weave(call: int, outputs: Sequence[Tensor], roots: Sequence[Tensor], backward: Backward, free: Free) -> tuple[Tensor, ...]:
    """Return the outputs as tensors of this side's graph, which depends on `roots`."""
    if not outputs:
        free(call)
        return ()
    answer = _Answer(call, tuple(outputs), backward)
    weakref.finalize(answer, free, call).atexit = False
    with torch.enable_grad():
        woven: tuple[Tensor, ...] = _Woven.apply(answer, *roots)
    return woven


class _Woven(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, answer: _Answer, *roots: Tensor) -> tuple[Tensor, ...]:
        ctx.answer = answer
        ctx.set_materialize_grads(False)
        ctx.like = [(r.shape, r.dtype) for r in roots]
        outputs, answer.outputs = answer.outputs, ()
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        return (None, *ctx.answer.backward(ctx.answer.call, list(grads), ctx.like))


def check_gradients(found: Any, like: Like) -> list[Tensor | None]:
    """Return `found` if it is a list of gradients (or None) of these shapes and dtypes. Raises: WireError."""
    if type(found) is not list or len(found) != len(like):
        raise WireError("gradients for other inputs")
    for g, (shape, dtype) in zip(found, like, strict=True):
        if g is not None and not (isinstance(g, Tensor) and g.layout is torch.strided and (g.shape, g.dtype) == (shape, dtype)):
            raise WireError("a gradient of another shape or dtype")
    return found
