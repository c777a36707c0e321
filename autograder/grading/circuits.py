"""Weights of a small transformer in, a `Toy` out: the oracle of checks about circuits, where every connection can be bent.

It computes head by head and connection by connection, in float64, unlike the model that students are given: each part reads
a list of what was written before it, so that a check can say who hears whom. `draw` makes random models in which everything
matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

Node = tuple[str, int, int]  # ("embed", -1, 0), ("head", layer, number), ("mlp", layer, 0)
Wrote = list[tuple[Node, Tensor]]
EMBED: Node = ("embed", -1, 0)
END: Node = ("end", 0, 0)
Read = Callable[[Node, str, Wrote], Tensor]
Write = Callable[[Node, Tensor], Tensor]


@dataclass
class Trace:
    """What a run left: logits (b t v), what every node wrote (b t d), what it read by kind, and patterns (b t t)."""

    logits: Tensor
    wrote: dict[Node, Tensor] = field(default_factory=dict)
    read: dict[tuple[Node, str], Tensor] = field(default_factory=dict)
    pattern: dict[Node, Tensor] = field(default_factory=dict)


def add_up(node: Node, kind: str, wrote: Wrote) -> Tensor:
    """Read the whole stream, as an unedited model does."""
    return torch.stack([value for _, value in wrote]).sum(0)


def as_it_is(node: Node, value: Tensor) -> Tensor:
    """Write what was computed."""
    return value


@dataclass(frozen=True)
class Toy:
    """A transformer by its sizes (n_layers, n_heads, d_model, d_head, d_vocab, n_ctx, d_mlp, norm) and its weights.

    The weights are named W_E, W_pos, W_U, and blocks.l.W_Q, W_K, W_V (h d e), W_O (h e d), W_in, b_in, W_out, b_out.
    """

    sizes: Mapping[str, Any]
    weights: Mapping[str, Tensor]

    def head(self, layer: int, h: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return W_Q, W_K, W_V (d e) and W_O (e d) of one head."""
        q, k, v, o = (self.weights[f"blocks.{layer}.{name}"][h] for name in ("W_Q", "W_K", "W_V", "W_O"))
        return q, k, v, o

    @property
    def heads(self) -> list[tuple[int, int]]:
        return [(layer, h) for layer in range(self.sizes["n_layers"]) for h in range(self.sizes["n_heads"])]

    def run(self, tokens: Tensor, read: Read = add_up, write: Write = as_it_is) -> Trace:
        """Run on tokens (b t). `read` makes what a node reads from what was written before; `write` may replace what it says."""
        w, trace = self.weights, Trace(torch.empty(0))
        wrote: Wrote = []

        def say(node: Node, value: Tensor) -> None:
            trace.wrote[node] = write(node, value)
            wrote.append((node, trace.wrote[node]))

        def hear(node: Node, kind: str, before: Wrote) -> Tensor:
            trace.read[node, kind] = read(node, kind, before)
            return self._normed(trace.read[node, kind])

        say(EMBED, w["W_E"][tokens] + w["W_pos"][: tokens.shape[1]])
        for layer in range(self.sizes["n_layers"]):
            before = list(wrote)  # the heads of a layer do not hear each other
            for h in range(self.sizes["n_heads"]):
                node = ("head", layer, h)
                w_q, w_k, w_v, w_o = self.head(layer, h)
                q, k, v = hear(node, "q", before) @ w_q, hear(node, "k", before) @ w_k, hear(node, "v", before) @ w_v
                trace.pattern[node] = _look_back(q, k)
                say(node, trace.pattern[node] @ v @ w_o)
            if self.sizes.get("d_mlp"):
                node = ("mlp", layer, 0)
                p = f"blocks.{layer}."
                inner = (hear(node, "mlp", list(wrote)) @ w[p + "W_in"] + w[p + "b_in"]).clamp(min=0)
                say(node, inner @ w[p + "W_out"] + w[p + "b_out"])
        trace.logits = hear(END, "end", list(wrote)) @ w["W_U"]
        return trace

    def _normed(self, x: Tensor) -> Tensor:
        return x / (x.pow(2).sum(-1, keepdim=True) / x.shape[-1] + 1e-5).sqrt() if self.sizes.get("norm") else x


def _look_back(q: Tensor, k: Tensor) -> Tensor:
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    scores = torch.where(later, -math.inf, scores)
    # The largest score that may be looked at: beside a larger one of the future all others would vanish.
    weights = torch.exp(scores - scores.max(-1, keepdim=True).values)
    return weights / weights.sum(-1, keepdim=True)


def draw(rng: np.random.Generator, gain: float = 1.0, **sizes: Any) -> Toy:
    """Draw a model in which everything matters: patterns are sharp and differ, heads and MLPs speak about as loud."""
    h, d, e, m = sizes["n_heads"], sizes["d_model"], sizes["d_head"], sizes.get("d_mlp", 0)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape) * scale)

    weights = {
        "W_E": normal(sizes["d_vocab"], d),
        "W_pos": normal(sizes["n_ctx"], d),
        "W_U": normal(d, sizes["d_vocab"], scale=d**-0.5),
    }
    for layer in range(sizes["n_layers"]):
        p = f"blocks.{layer}."
        weights |= {p + name: normal(h, d, e, scale=gain * d**-0.5) for name in ("W_Q", "W_K", "W_V")}
        weights[p + "W_O"] = normal(h, e, d, scale=e**-0.5)
        if m:
            weights |= {p + "W_in": normal(d, m, scale=d**-0.5), p + "b_in": normal(m, scale=0.3)}
            weights |= {p + "W_out": normal(m, d, scale=m**-0.5), p + "b_out": normal(d, scale=0.3)}
    return Toy(sizes, weights)


def named(heads: Sequence[tuple[int, int]]) -> list[Node]:
    """Return the nodes of these heads."""
    return [("head", layer, h) for layer, h in heads]
