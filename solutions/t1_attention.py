"""The reference for `t1_attention`: every part of a decoder, in the order in which the parts need each other.

The docstrings are the task: a student sees them with the signatures, and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import einops
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class GPTConfig:
    """The sizes and choices that define one GPT."""

    d_model: int  # width of the residual stream
    n_heads: int  # query heads per block, each d_model // n_heads wide
    n_layers: int  # blocks
    d_vocab: int  # tokens in the vocabulary
    n_ctx: int  # positions there are
    d_mlp: int  # hidden width of the feed-forward layer
    n_kv_heads: int | None = None  # key/value heads; None: as many as query heads
    mlp_kind: str = "gelu"  # "gelu", "gelu_tanh" or "swiglu"
    tied: bool = False  # whether the unembedding is the token embedding's own matrix
    eps: float = 1e-5  # of every RMSNorm


def causal_mask(q_len: int, k_len: int, offset: int = 0) -> Tensor:
    """Say which keys each query may see: itself and what came before, nothing later.

    Query i stands at absolute position i + offset, key j at absolute position j. The entry is True where the
    query may see the key. `offset` is the number of keys that were there before the first query (0, or the
    length of a cache).

    Shapes: -> (q k), dtype bool.
    Source: Vaswani et al. 2017, section 3.2.3.
    """
    query = torch.arange(q_len)[:, None] + offset
    return torch.arange(k_len)[None, :] <= query


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    """Average the values, weighted by how well each key matches the query: return (out, pattern).

    The scores q·k are multiplied by `scale`, which is 1 / sqrt(d) when it is None. `pattern` holds the
    weights: each of its rows is a softmax over the keys that the query may see. Where `mask` is False the
    weight is exactly 0, however low the other scores are. A query that may see no key at all gets zeros, in
    `pattern` and in `out`, and every gradient stays finite. The inputs are not modified.

    Shapes: q (... q d), k (... k d), v (... k e), mask bool, broadcastable to (... q k)
        -> out (... q e), pattern (... q k), in the dtype of q. The leading dimensions of q, k and v are
        equal; there may be none.
    Source: Vaswani et al. 2017, equation 1 and section 3.2.1.
    """
    if scale is None:
        scale = q.shape[-1] ** -0.5
    scores = einops.einsum(q, k, "... q d, ... k d -> ... q k") * scale
    if mask is None:
        pattern = scores.softmax(dim=-1)
    else:
        # A row of -inf only would give 0/0: such a row goes through the softmax as zeros, and is emptied afterwards.
        empty = ~mask.any(dim=-1, keepdim=True)
        scores = scores.masked_fill(~mask, -math.inf).masked_fill(empty, 0.0)
        pattern = scores.softmax(dim=-1).masked_fill(empty, 0.0)
    return einops.einsum(pattern, v, "... q k, ... k e -> ... q e"), pattern


class MultiHeadAttention(nn.Module):
    """Causal self-attention with several heads, whose key/value heads may be shared by groups of query heads.

    Every head is d_head = d_model // n_heads wide. There are n_kv_heads key heads and as many value heads
    (None: as many as query heads); query head h reads key/value head h // (n_heads // n_kv_heads), so
    neighbours share.

    Parameters, no biases:
        qkv: nn.Linear. The rows of its weight are all query heads, then all key heads, then all value heads,
            head after head: ((n_heads + 2 n_kv_heads) d_head, d_model).
        out: nn.Linear. The columns of its weight are the heads in order: (d_model, n_heads d_head).
    Raises: ValueError when d_model is not a multiple of n_heads, or n_heads not of n_kv_heads.
    Source: Vaswani et al. 2017, section 3.2.2; Ainslie et al. 2023, section 2.2 (grouped queries).
    """

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None) -> None:
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        if d_model % n_heads or n_heads % n_kv_heads:
            raise ValueError(f"d_model={d_model}, n_heads={n_heads}, n_kv_heads={n_kv_heads}: each must divide the one before")
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads
        self.d_head = d_model // n_heads
        self.qkv = nn.Linear(d_model, (n_heads + 2 * n_kv_heads) * self.d_head, bias=False)
        self.out = nn.Linear(n_heads * self.d_head, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Let every position read from itself and the positions before it, once per head.

        Shapes: x (b t d) -> (b t d).
        """
        q, k, v = einops.rearrange(self.qkv(x), "b t (h d) -> b h t d", d=self.d_head).split(
            [self.n_heads, self.n_kv_heads, self.n_kv_heads], dim=1
        )
        group = self.n_heads // self.n_kv_heads
        k = einops.repeat(k, "b h t d -> b (h g) t d", g=group)
        v = einops.repeat(v, "b h t d -> b (h g) t d", g=group)
        mixed, _ = attention(q, k, v, causal_mask(x.shape[1], x.shape[1]))
        return self.out(einops.rearrange(mixed, "b h t d -> b t (h d)"))


def sinusoidal(n: int, d: int) -> Tensor:
    """Return the sinusoidal encodings of the positions 0, 1, ..., n - 1.

    Sines and cosines are interleaved: entries 2i and 2i+1 of a row are the sine and the cosine of one angle,
    which is the position divided by 10000^(2i/d).

    Shapes: -> (n d), dtype float32.
    Raises: ValueError when d is odd.
    Source: Vaswani et al. 2017, section 3.5.
    """
    if d % 2:
        raise ValueError(f"d={d} is odd: sines and cosines come in pairs")
    angle = torch.arange(n)[:, None] / 10000 ** (torch.arange(0, d, 2) / d)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


class LearnedPos(nn.Module):
    """A table of n learned position vectors, of which a contiguous part is read.

    Parameter: weight (n d), at first normal with standard deviation 0.02.
    Source: Radford et al. 2019, section 2.3.
    """

    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, d) * 0.02)

    def forward(self, t: int, offset: int = 0) -> Tensor:
        """Return the vectors of the positions offset, ..., offset + t - 1.

        Shapes: -> (t d).
        Raises: ValueError when offset + t is more than the n positions there are.
        """
        if offset + t > len(self.weight):
            raise ValueError(f"positions up to {offset + t} are asked for, there are {len(self.weight)}")
        return self.weight[offset : offset + t]


def rope(x: Tensor, positions: Tensor, theta: float = 10000.0) -> Tensor:
    """Rotate adjacent pairs of features by angles in proportion to the position.

    The pair (x[..., 2i], x[..., 2i+1]), seen as a point of the plane, is turned counter-clockwise by the
    angle position * theta^(-2i/d). The positions are arbitrary: in any order, repeated, different for every
    sequence of a batch. x is not modified.

    Shapes: x (... t d), positions (t) or anything that broadcasts to (... t), integers -> (... t d), in the
        dtype of x.
    Raises: ValueError when d is odd.
    Source: Su et al. 2021, section 3.4.2 (equation 34).
    """
    d = x.shape[-1]
    if d % 2:
        raise ValueError(f"d={d} is odd: features are rotated in pairs")
    pair = torch.arange(0, d, 2, dtype=torch.float64)
    angle = positions[..., None] * theta ** (-pair / d)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


class RMSNorm(nn.Module):
    """Divide each vector by its root mean square, then scale every feature by a learned weight.

    eps is added to the mean of the squares, under the root. float16 and bfloat16 inputs are computed in
    float32, from the squares on, and come back in their own dtype.

    Parameter: weight (d), at first ones.
    Shapes: (... d) -> (... d), in the dtype of the input.
    Source: Zhang and Sennrich 2019, section 4.
    """

    def __init__(self, d: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised and scaled vectors. Shapes: (... d) -> (... d)."""
        y = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        y = y * torch.rsqrt(y.square().mean(dim=-1, keepdim=True) + self.eps)
        return (y * self.weight).to(x.dtype)


class MLP(nn.Module):
    """The feed-forward layer, which works on each position alone, in one of three kinds.

    "gelu", "gelu_tanh": down(g(up(x))), both layers with biases, where g is the exact GELU x·Phi(x), or its
        approximation by tanh.
    "swiglu": down(silu(gate(x)) * up(x)), no biases, where silu(z) = z·sigmoid(z).

    Parameters: up (and gate): nn.Linear, d_model to d_mlp; down: nn.Linear, d_mlp to d_model.
    Raises: ValueError when kind is none of the three.
    Source: Hendrycks and Gimpel 2016, section 2; Shazeer 2020, section 2.
    """

    def __init__(self, d_model: int, d_mlp: int, kind: str = "gelu") -> None:
        super().__init__()
        if kind not in ("gelu", "gelu_tanh", "swiglu"):
            raise ValueError(f'kind="{kind}"; expected "gelu", "gelu_tanh" or "swiglu"')
        self.kind = kind
        bias = kind != "swiglu"
        self.up = nn.Linear(d_model, d_mlp, bias=bias)
        self.down = nn.Linear(d_mlp, d_model, bias=bias)
        if kind == "swiglu":
            self.gate = nn.Linear(d_model, d_mlp, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (... d) -> (... d), d being d_model."""
        if self.kind == "swiglu":
            return self.down(F.silu(self.gate(x)) * self.up(x))
        return self.down(F.gelu(self.up(x), approximate="none" if self.kind == "gelu" else "tanh"))


class Block(nn.Module):
    """One layer of the decoder: attention, then the feed-forward layer, each with a norm and a residual connection.

    pre_norm=True: each sublayer reads the normalised stream, and what it returns is added to the stream itself.
    pre_norm=False: each sublayer reads the stream, what it returns is added, and the sum is normalised.

    Sub-modules: norm1 (RMSNorm) and attn (MultiHeadAttention), then norm2 (RMSNorm) and mlp (MLP). Sizes,
    mlp_kind and eps are the config's.
    Source: Xiong et al. 2020, figure 1 and table 1 (both orders, there with LayerNorm).
    """

    def __init__(self, cfg: GPTConfig, pre_norm: bool = True) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.norm1 = RMSNorm(cfg.d_model, cfg.eps)
        self.attn = MultiHeadAttention(cfg.d_model, cfg.n_heads, cfg.n_kv_heads)
        self.norm2 = RMSNorm(cfg.d_model, cfg.eps)
        self.mlp = MLP(cfg.d_model, cfg.d_mlp, cfg.mlp_kind)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: x (b t d) -> (b t d)."""
        if self.pre_norm:
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.attn(x))
        return self.norm2(x + self.mlp(x))


class GPT(nn.Module):
    """A decoder: token and learned position embeddings, pre-norm blocks, a final norm, the unembedding. No dropout.

    Sub-modules: tok_emb (nn.Embedding), pos_emb (LearnedPos), blocks (nn.ModuleList of Block), norm_f
    (RMSNorm) and unembed (nn.Linear without bias, d_model to d_vocab).
    With cfg.tied the unembedding is the token embedding's own matrix: one Parameter, which parameters()
    yields once.

    At first every matrix is normal with mean 0 and standard deviation 0.02, but for those that write into the
    residual stream (attn.out and mlp.down): they have 0.02 / sqrt(2 n_layers). Biases are 0, norm weights 1.
    Source: Radford et al. 2019, section 2.3.
    """

    def __init__(self, cfg: GPTConfig) -> None:
        super().__init__()
        self.tok_emb = nn.Embedding(cfg.d_vocab, cfg.d_model)
        self.pos_emb = LearnedPos(cfg.n_ctx, cfg.d_model)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.n_layers))
        self.norm_f = RMSNorm(cfg.d_model, cfg.eps)
        self.unembed = nn.Linear(cfg.d_model, cfg.d_vocab, bias=False)
        if cfg.tied:
            self.unembed.weight = self.tok_emb.weight
        for name, p in self.named_parameters():
            if name.endswith(("attn.out.weight", "mlp.down.weight")):
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * cfg.n_layers))
            elif p.ndim == 2:
                nn.init.normal_(p, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, tokens: Tensor, pos_offset: int = 0) -> Tensor:
        """Return the logits of the next token, at every position.

        Token i stands at position pos_offset + i and sees the tokens up to itself. `tokens` is not modified.

        Shapes: tokens (b t), int64 -> (b t d_vocab).
        Raises: ValueError when pos_offset + t is more than n_ctx.
        """
        x = self.tok_emb(tokens) + self.pos_emb(tokens.shape[1], pos_offset)
        for block in self.blocks:
            x = block(x)
        return self.unembed(self.norm_f(x))


def param_count(cfg: GPTConfig) -> int:
    """Count the trainable numbers of GPT(cfg) from the config alone, each once, without building the model.

    Source: Kaplan et al. 2020, section 2.1, there without embeddings and biases; here everything counts.
    """
    d, n_kv_heads = cfg.d_model, cfg.n_kv_heads or cfg.n_heads
    d_head = d // cfg.n_heads
    attn = d * (cfg.n_heads + 2 * n_kv_heads) * d_head + d * d
    mlp = 3 * d * cfg.d_mlp if cfg.mlp_kind == "swiglu" else 2 * d * cfg.d_mlp + cfg.d_mlp + d
    embeddings = (cfg.d_vocab + cfg.n_ctx) * d + (0 if cfg.tied else cfg.d_vocab * d)
    return embeddings + cfg.n_layers * (attn + mlp + 2 * d) + d


def flops_per_token(cfg: GPTConfig, t: int) -> float:
    """Count the floating-point operations of a forward pass over t tokens, divided by t.

    A multiplication and an addition are two operations. Only matrix products count: the projections, the
    feed-forward layers, the unembedding, and in every head all t x t scores and the average of the values
    (the causal half is computed, then masked). Embeddings are looked up and cost nothing; biases, norms,
    softmax and activations are left out.

    Source: Kaplan et al. 2020, section 2.1 and table 1, there with fewer terms.
    """
    d, n_kv_heads = cfg.d_model, cfg.n_kv_heads or cfg.n_heads
    d_head = d // cfg.n_heads
    attn = d * (cfg.n_heads + 2 * n_kv_heads) * d_head + d * d
    mlp = (3 if cfg.mlp_kind == "swiglu" else 2) * d * cfg.d_mlp
    scores_and_average = 2 * t * d
    return 2 * (cfg.n_layers * (attn + mlp + scores_and_average) + d * cfg.d_vocab)


def hand_set_previous_token_head(cfg: GPTConfig) -> dict[str, Tensor]:
    """Choose every weight of GPT(cfg), by thought and without training, so that it repeats the token before.

    Return a state dict that GPT(cfg).load_state_dict accepts: all names, all shapes. With it, for every
    sequence of length 2 to n_ctx and at every position i >= 1, head 0 of block 0 gives more than 0.99 of its
    attention to position i - 1, and the largest logit, by more than 0.01, is that of token i - 1. What
    happens at position 0 is free.

    There is room to be simple: cfg.tied is False, d_model >= 2 d_vocab + n_ctx, and d_head >= max(d_vocab,
    n_ctx). The other heads, the feed-forward layers and the blocks after the first must not get in the way.
    Mind the norms.

    Source: Elhage et al. 2021, sections "Virtual weights and the residual stream" and "Attention heads as
        information movement".
    """
    d, v, n = cfg.d_model, cfg.d_vocab, cfg.n_ctx
    d_head, n_kv_heads = d // cfg.n_heads, cfg.n_kv_heads or cfg.n_heads
    state = {name: torch.zeros_like(p) for name, p in GPT(cfg).state_dict().items()}
    for name, p in state.items():
        if "norm" in name:
            p.fill_(1.0)
    # The stream has three subspaces: which token, which position, and the answer.
    token, position, answer = slice(0, v), slice(v, v + n), slice(v + n, v + n + v)
    state["tok_emb.weight"][:, token] = torch.eye(v)
    state["pos_emb.weight"][:, position] = torch.eye(n)
    # Every vector has two ones, so the norm multiplies by a constant: its square is undone in the score, which becomes 30.
    w_q, w_k, w_v = state["blocks.0.attn.qkv.weight"].split([d, n_kv_heads * d_head, n_kv_heads * d_head])
    w_q[: n - 1, position] = 30 * math.sqrt(d_head) * (2 / d + cfg.eps) * torch.eye(n)[1:]
    w_k[:n, position] = torch.eye(n)
    w_v[:v, token] = torch.eye(v)
    state["blocks.0.attn.out.weight"][answer, :v] = torch.eye(v)
    state["unembed.weight"][:, answer] = torch.eye(v)
    return state


def online_softmax_attention(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    """Return softmax(q·k / sqrt(d)) v exactly, in one pass over the keys, `block` of them at a time, without a mask.

    The last block may be shorter, and `block` may be more than there are keys. No tensor as large as all the
    scores together is made: nothing larger than the inputs, the output and the scores of one block. The
    scores may be far from 0.

    Shapes: q (... q d), k (... k d), v (... k e) -> (... q e), in the dtype of q. The leading dimensions are
        equal; there may be none. There is at least one key.
    Source: Milakov and Gimelshein 2018, section 3; Dao et al. 2022, section 3.1 and algorithm 1.
    """
    largest = q.new_full((*q.shape[:-1], 1), -math.inf)
    total = q.new_zeros((*q.shape[:-1], 1))
    mixed = q.new_zeros((*q.shape[:-1], v.shape[-1]))
    for start in range(0, k.shape[-2], block):
        k_block, v_block = k[..., start : start + block, :], v[..., start : start + block, :]
        scores = q @ k_block.transpose(-1, -2) * q.shape[-1] ** -0.5
        new_largest = torch.maximum(largest, scores.amax(dim=-1, keepdim=True))
        weights, shrink = (scores - new_largest).exp(), (largest - new_largest).exp()
        total = total * shrink + weights.sum(dim=-1, keepdim=True)
        mixed = mixed * shrink + weights @ v_block
        largest = new_largest
    return mixed / total
