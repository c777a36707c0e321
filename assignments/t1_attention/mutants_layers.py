"""Wrong and right answers to T1's layers: MultiHeadAttention and MLP.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import einops
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

MHA, MLP_ID = "t1_attention.multi_head_attention", "t1_attention.mlp"

# -- MultiHeadAttention ----------------------------------------------------------------------------------------------------

mutant_edit(
    MHA,
    ("causal_mask(x.shape[1], x.shape[1]))", "causal_mask(x.shape[1], x.shape[1]), x.shape[2] ** -0.5)"),
    caught_by="equals_each_head_alone",
    label="scaled by d_model",
    hint="Your scores are divided by the root of d_model. How long are the vectors that a head multiplies?",
)
mutant_edit(
    MHA,
    ("causal_mask(x.shape[1], x.shape[1]))", "causal_mask(x.shape[1], x.shape[1]), 1.0)"),
    caught_by="equals_each_head_alone",
    label="not scaled",
    hint="Your scores are not scaled.",
)
mutant_edit(
    MHA,
    (", causal_mask(x.shape[1], x.shape[1]))", ")"),
    caught_by=("sees_no_later_token", "equals_each_head_alone"),
    label="no causal mask",
    hint="Your positions read from the future: there is no mask.",
)
mutant_edit(
    MHA,
    ("causal_mask(x.shape[1], x.shape[1])", "causal_mask(x.shape[1], x.shape[1], 1)"),
    caught_by=("sees_no_later_token", "equals_each_head_alone"),
    label="the mask leaks one step ahead",
    hint="Your positions see one token too many: the next one.",
)
mutant_edit(
    MHA,
    ("causal_mask(x.shape[1], x.shape[1])", "causal_mask(x.shape[1], x.shape[1], -1)"),
    caught_by="equals_each_head_alone",
    label="the mask hides the position itself",
    hint="Your positions do not see themselves, and the first one sees nothing.",
)
mutant_edit(
    MHA,
    ("causal_mask(x.shape[1], x.shape[1])", "causal_mask(x.shape[1], x.shape[1]).T"),
    caught_by=("sees_no_later_token", "equals_each_head_alone"),
    label="the mask is transposed",
    hint="Your positions see what comes after them and nothing before.",
)
mutant_edit(
    MHA,
    ('k = einops.repeat(k, "b h t d -> b (h g) t d", g=group)', 'k = einops.repeat(k, "b h t d -> b (g h) t d", g=group)'),
    ('v = einops.repeat(v, "b h t d -> b (h g) t d", g=group)', 'v = einops.repeat(v, "b h t d -> b (g h) t d", g=group)'),
    caught_by="grouped_queries",
    label="key/value heads dealt out in turn",
    hint="You deal the key/value heads out in turn: 0, 1, 0, 1. Neighbours should share: 0, 0, 1, 1.",
)
mutant_edit(
    MHA,
    ('v = einops.repeat(v, "b h t d -> b (h g) t d", g=group)', 'v = einops.repeat(v, "b h t d -> b (g h) t d", g=group)'),
    caught_by="grouped_queries",
    label="keys and values repeated in different orders",
    hint="Your keys and your values are repeated in different orders: a head then reads the values of another.",
)
mutant_edit(
    MHA,
    (
        'k = einops.repeat(k, "b h t d -> b (h g) t d", g=group)',
        "k = k[:, :1].expand(-1, self.n_heads, -1, -1) if group > 1 else k",
    ),
    (
        'v = einops.repeat(v, "b h t d -> b (h g) t d", g=group)',
        "v = v[:, :1].expand(-1, self.n_heads, -1, -1) if group > 1 else v",
    ),
    caught_by="grouped_queries",
    label="all heads share the first key/value head",
    hint="With groups, all of your query heads read the first key/value head.",
)
mutant_edit(
    MHA,
    ("n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads", "n_kv_heads = n_heads"),
    caught_by="grouped_queries",
    label="n_kv_heads is ignored",
    hint="Your layer has as many key/value heads as query heads, whatever n_kv_heads says.",
)
mutant_edit(
    MHA,
    ('"b t (h d) -> b h t d"', '"b t (d h) -> b h t d"'),
    caught_by="equals_each_head_alone",
    label="heads taken as every h-th feature",
    hint="A head of yours is every h-th feature of the projection. It should be d_head neighbours.",
)
mutant_edit(
    MHA,
    ('"b h t d -> b t (h d)"', '"b h t d -> b t (d h)"'),
    caught_by="equals_each_head_alone",
    label="heads interleaved before the output projection",
    hint="Your heads' outputs are interleaved before `out`. Its columns are the heads in order.",
)
mutant_edit(
    MHA,
    ('einops.rearrange(mixed, "b h t d -> b t (h d)")', "mixed.reshape(x.shape)"),
    caught_by="equals_each_head_alone",
    label="reshaped without moving the head axis",
    hint="You reshape (b h t d) to (b t d) without moving the head axis behind the time axis first.",
)
mutant_edit(
    MHA,
    (
        'einops.rearrange(self.qkv(x), "b t (h d) -> b h t d", d=self.d_head)',
        "self.qkv(x).view(x.shape[0], -1, x.shape[1], self.d_head)",
    ),
    caught_by="equals_each_head_alone",
    label="viewed as heads without moving the time axis",
    hint="You view (b t d) as (b h t d): time steps and features get mixed up.",
)
mutant_edit(
    MHA,
    ("        q, k, v = einops", "        k, q, v = einops"),
    ("[self.n_heads, self.n_kv_heads, self.n_kv_heads]", "[self.n_kv_heads, self.n_heads, self.n_kv_heads]"),
    caught_by="equals_each_head_alone",
    label="keys first in the fused projection",
    hint="Your fused projection has the keys first. The docstring says in which order the rows stand.",
)
mutant_edit(
    MHA,
    ("        q, k, v = einops", "        q, v, k = einops"),
    caught_by="equals_each_head_alone",
    label="keys and values swapped",
    hint="Your keys and values have changed places.",
)
mutant_edit(
    MHA,
    ("return self.out(", "return ("),
    caught_by="equals_each_head_alone",
    label="no output projection",
    hint="The heads' outputs are joined, but not projected.",
)
mutant_edit(
    MHA,
    ("return self.out(", "return x + self.out("),
    caught_by="equals_each_head_alone",
    label="adds its input",
    hint="Your layer adds its input to its output. The residual connection belongs to the block.",
)
mutant_edit(
    MHA,
    ("* self.d_head, bias=False)\n        self.out", "* self.d_head)\n        self.out"),
    caught_by="equals_each_head_alone",
    label="a bias in qkv",
    hint="Your qkv has a bias. The docstring asks for none.",
)
mutant_edit(
    MHA,
    ("self.qkv = ", "self.in_proj = "),
    ("self.qkv(x)", "self.in_proj(x)"),
    caught_by="equals_each_head_alone",
    label="another name for qkv",
    hint="Your fused projection has another name, so that no weights can be loaded into it.",
)
mutant_edit(
    MHA,
    ("if d_model % n_heads or n_heads % n_kv_heads:", "if d_model % n_heads:"),
    caught_by="impossible_heads_are_refused",
    label="groups that do not divide are accepted",
    hint="Your layer accepts a number of query heads that is no multiple of n_kv_heads.",
)
mutant_edit(
    MHA,
    ("if d_model % n_heads or n_heads % n_kv_heads:", "if n_heads % n_kv_heads:"),
    caught_by="impossible_heads_are_refused",
    label="a width that does not divide is accepted",
    hint="Your layer accepts a width that is no multiple of the number of heads.",
)
mutant_edit(
    MHA,
    ("raise ValueError(", "raise AssertionError("),
    caught_by="impossible_heads_are_refused",
    label="an assertion in place of a ValueError",
    hint="You assert that the sizes fit. The docstring asks for a ValueError: assertions can be switched off.",
)
mutant_edit(
    MHA,
    ("        mixed, _", "        v = v.detach()\n        mixed, _"),
    caught_by="attention_learns",
    label="values are detached",
    hint="No gradient reaches the values of your layer.",
)
mutant_edit(
    MHA,
    ("        mixed, _", "        with torch.no_grad():\n            mixed, _"),
    caught_by="attention_learns",
    label="attends without gradients",
    hint="Your layer attends under no_grad, so that qkv is never trained.",
)
mutant_edit(
    MHA,
    ("        mixed, _ =", "        mixed = F.dropout("),
    ("causal_mask(x.shape[1], x.shape[1]))", "causal_mask(x.shape[1], x.shape[1]))[0], 0.1)"),
    caught_by="equals_each_head_alone",
    label="with dropout",
    hint="Parts of your output are 0 at random. There is no dropout here.",
)
mutant_edit(
    MHA,
    ('"b h t d -> b t (h d)"))', '"b h t d -> b t (h d)").squeeze())'),
    caught_by="equals_each_head_alone",
    label="axes of size 1 are squeezed away",
    hint="Your output loses an axis when the batch or the length is 1.",
)


mutant_edit(
    MHA,
    (
        "causal_mask(x.shape[1], x.shape[1])",
        "F.pad(causal_mask(16, 16)[: x.shape[1], : x.shape[1]], 2 * (0, max(0, x.shape[1] - 16)), value=True)",
    ),
    caught_by="sees_no_later_token",
    label="a mask of fixed size",
    hint="Your mask is right for short sequences only.",
)


@mutant(
    MHA,
    caught_by="equals_each_head_alone",
    label="query, key and value of one head side by side",
    hint="Your fused rows go head by head: its query, its key, its value. The docstring wants all queries first.",
)
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None) -> None:
        super().__init__()
        self.h = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = einops.rearrange(self.qkv(x), "b t (h s d) -> s b h t d", s=3, h=self.h)
        mixed, _ = attention(q, k, v, causal_mask(x.shape[1], x.shape[1]))
        return self.out(einops.rearrange(mixed, "b h t d -> b t (h d)"))


@mutant(
    MHA,
    caught_by="equals_each_head_alone",
    label="one head as wide as the model",
    hint="Your layer has one head as wide as the model, whatever n_heads says.",
)
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None) -> None:
        super().__init__()
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.out(attention(q, k, v, causal_mask(x.shape[1], x.shape[1]))[0])


@mutant(
    MHA,
    caught_by="equals_each_head_alone",
    label="attends over the batch",
    hint="Your layer takes the first axis for time: sequences of a batch read from each other.",
)
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None) -> None:
        super().__init__()
        self.h = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = einops.rearrange(self.qkv(x), "t b (s h d) -> s b h t d", s=3, h=self.h)
        mixed, _ = attention(q, k, v, causal_mask(x.shape[0], x.shape[0]))
        return self.out(einops.rearrange(mixed, "b h t d -> t b (h d)"))


@mutant(
    MHA,
    caught_by="heads_are_interchangeable",
    label="every head reads the output columns of the first",
    hint="All of your heads are added up before `out`. Each head has columns of its own there.",
)
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None) -> None:
        super().__init__()
        self.h = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = einops.rearrange(self.qkv(x), "b t (s h d) -> s b h t d", s=3, h=self.h)
        mixed, _ = attention(q, k, v, causal_mask(x.shape[1], x.shape[1]))
        return mixed.sum(1) @ self.out.weight[:, : mixed.shape[-1]].T


@alternative(MHA, label="torch's own attention, is_causal")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None) -> None:
        super().__init__()
        self.h, self.g = n_heads, n_kv_heads or n_heads
        if d_model % self.h != 0:
            raise ValueError("heads do not fit")
        if self.h % self.g != 0:
            raise ValueError("groups do not fit")
        self.qkv = nn.Linear(d_model, d_model + 2 * self.g * d_model // n_heads, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.size()
        e = d // self.h
        q, k, v = torch.split(self.qkv(x), [d, self.g * e, self.g * e], dim=2)
        q = q.view(b, t, self.h, e).transpose(1, 2)
        k = k.view(b, t, self.g, e).transpose(1, 2).repeat_interleave(self.h // self.g, dim=1)
        v = v.view(b, t, self.g, e).transpose(1, 2).repeat_interleave(self.h // self.g, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).contiguous().view(b, t, d))


@alternative(MHA, label="head by head, with a mask kept in a buffer")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads, n_kv_heads=None):
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        if d_model % n_heads or n_heads % n_kv_heads:
            raise ValueError
        self._sizes = n_heads, n_kv_heads, d_model // n_heads
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.qkv = nn.Linear(d_model, d_model + 2 * n_kv_heads * (d_model // n_heads), bias=False)
        self.register_buffer("bias", torch.tril(torch.ones(64, 64)).bool())

    def forward(self, x):
        h, g, e = self._sizes
        t, y = x.shape[1], self.qkv(x)
        mixed = []
        for a in range(h):
            kv = h + a // (h // g)
            q, k, v = (y[..., s * e : (s + 1) * e] for s in (a, kv, kv + g))
            scores = (q @ k.transpose(1, 2) / math.sqrt(e)).masked_fill(~self.bias[:t, :t], -torch.inf)
            mixed.append(scores.softmax(-1) @ v)
        return self.out(torch.cat(mixed, dim=-1))


@alternative(MHA, label="query heads in groups, by einsum")
class MultiHeadAttention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None) -> None:
        super().__init__()
        kv = n_heads if n_kv_heads is None else n_kv_heads
        if d_model % n_heads or n_heads % kv:
            raise ValueError(f"{d_model} {n_heads} {kv}")
        self.kv, self.r, self.e = kv, n_heads // kv, d_model // n_heads
        self.qkv = nn.Linear(d_model, (n_heads + 2 * kv) * self.e, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.qkv(x)
        n = self.kv * self.e
        q = einops.rearrange(y[..., : self.r * n], "b t (g r e) -> b g r t e", g=self.kv, r=self.r)
        k = einops.rearrange(y[..., self.r * n : (self.r + 1) * n], "b t (g e) -> b g t e", g=self.kv)
        v = einops.rearrange(y[..., (self.r + 1) * n :], "b t (g e) -> b g t e", g=self.kv)
        scores = torch.einsum("bgrte,bgse->bgrts", q, k) * self.e**-0.5
        later = torch.arange(x.shape[1])[None] > torch.arange(x.shape[1])[:, None]
        pattern = torch.where(later, torch.tensor(float("-inf")), scores).softmax(-1)
        return F.linear(
            einops.rearrange(torch.einsum("bgrts,bgse->bgrte", pattern, v), "b g r t e -> b t (g r e)"), self.out.weight
        )


# -- MLP -------------------------------------------------------------------------------------------------------------------

mutant_edit(
    MLP_ID,
    ("F.silu(self.gate(x)) * self.up(x)", "self.gate(x) * F.silu(self.up(x))"),
    caught_by="swiglu_kind",
    label="SiLU on the wrong branch",
    hint="Your SiLU is on the branch `up`. Which of the two is the gate?",
)
mutant_edit(
    MLP_ID,
    ("F.silu(self.gate(x))", "self.gate(x).relu() * self.gate(x).sigmoid()"),
    caught_by="swiglu_kind",
    label="relu times sigmoid for SiLU",
    hint="Your SiLU is 0 for negative inputs. z·sigmoid(z) is not.",
)
mutant_edit(
    MLP_ID,
    ("F.silu(self.gate(x))", "F.gelu(self.gate(x))"),
    caught_by="swiglu_kind",
    label="GELU on the gate",
    hint="Your gate goes through a GELU: that is GEGLU.",
)
mutant_edit(
    MLP_ID,
    ("F.silu(self.gate(x))", "self.gate(x).sigmoid()"),
    caught_by="swiglu_kind",
    label="a bare sigmoid on the gate",
    hint="Your gate is a bare sigmoid: that is the older GLU.",
)
mutant_edit(
    MLP_ID,
    ("F.silu(self.gate(x)) * self.up(x)", "F.silu(self.gate(x)) * F.silu(self.up(x))"),
    caught_by="swiglu_kind",
    label="SiLU on both branches",
    hint="Both of your branches go through SiLU. One of them stays linear.",
)
mutant_edit(
    MLP_ID,
    ("F.silu(self.gate(x)) * self.up(x)", "F.silu(self.gate(x)) + self.up(x)"),
    caught_by="swiglu_kind",
    label="branches added",
    hint="Your branches are added. A gate multiplies.",
)
mutant_edit(
    MLP_ID,
    ("F.silu(self.gate(x)) * self.up(x)", "F.silu(self.gate(x) * self.up(x))"),
    caught_by="swiglu_kind",
    label="SiLU of the product",
    hint="You take the SiLU of the product. Only the gate goes through it.",
)
mutant_edit(
    MLP_ID,
    ('bias = kind != "swiglu"', "bias = True"),
    caught_by="swiglu_kind",
    label="biases in swiglu too",
    hint="Your swiglu layers have biases. The docstring asks for none there.",
)
mutant_edit(
    MLP_ID,
    ('bias = kind != "swiglu"', "bias = False"),
    caught_by="gelu_kind",
    label="no biases at all",
    hint="Your gelu layers have no biases.",
)
mutant_edit(
    MLP_ID,
    ('F.gelu(self.up(x), approximate="none" if self.kind == "gelu" else "tanh")', "torch.sigmoid(1.702 * self.up(x)) * self.up(x)"),
    caught_by=("gelu_kind", "gelu_tanh_kind"),
    label="sigmoid(1.702 x) for GELU",
    hint="Your GELU is the rough approximation by a sigmoid, off by up to 0.02.",
)
mutant_edit(
    MLP_ID,
    ('approximate="none" if self.kind == "gelu" else "tanh"', 'approximate="tanh"'),
    caught_by="gelu_kind",
    label="always the approximation",
    hint='Your "gelu" is the approximation by tanh, off by up to 0.0005. The exact one is asked for.',
)
mutant_edit(
    MLP_ID,
    (', approximate="none" if self.kind == "gelu" else "tanh")', ")"),
    caught_by="gelu_tanh_kind",
    label="never the approximation",
    hint='Your "gelu_tanh" is the exact GELU.',
)
mutant_edit(
    MLP_ID,
    ('"none" if self.kind == "gelu" else "tanh"', '"tanh" if self.kind == "gelu" else "none"'),
    caught_by=("gelu_kind", "gelu_tanh_kind"),
    label="the two GELUs swapped",
    hint='Your "gelu" and "gelu_tanh" have changed places.',
)
mutant_edit(
    MLP_ID,
    ('F.gelu(self.up(x), approximate="none" if self.kind == "gelu" else "tanh")', "F.relu(self.up(x))"),
    caught_by="gelu_kind",
    label="a ReLU",
    hint="Your activation is 0 for all negative inputs. GELU is not.",
)
mutant_edit(
    MLP_ID,
    ('self.down(F.gelu(self.up(x), approximate="none" if self.kind == "gelu" else "tanh"))', "F.gelu(self.down(self.up(x)))"),
    caught_by="gelu_kind",
    label="the activation at the end",
    hint="Your activation comes after the second layer. Without one between them two linear layers are one.",
)
mutant_edit(
    MLP_ID,
    (
        'F.gelu(self.up(x), approximate="none" if self.kind == "gelu" else "tanh")',
        "(lambda z: z * (1 + torch.erf(z)) / 2)(self.up(x))",
    ),
    caught_by="gelu_kind",
    label="erf without the root of 2",
    hint="Your GELU uses erf(x). What is the normal distribution function in terms of erf?",
)
mutant_edit(
    MLP_ID,
    ('kind: str = "gelu"', 'kind: str = "swiglu"'),
    caught_by="gelu_kind",
    label="another default kind",
    hint='Your default is not "gelu".',
)
mutant_edit(
    MLP_ID,
    ('if kind not in ("gelu", "gelu_tanh", "swiglu"):', 'if kind == "":'),
    caught_by="other_kinds_are_refused",
    label="unknown kinds are accepted",
    hint="Your layer accepts any kind and computes something else for it in silence.",
)
mutant_edit(
    MLP_ID,
    ("raise ValueError(", "raise NotImplementedError("),
    caught_by="other_kinds_are_refused",
    label="another exception",
    hint="An unknown kind should raise ValueError in the constructor.",
)
mutant_edit(
    MLP_ID,
    ("        if self.kind", "        x = x.detach()\n        if self.kind"),
    caught_by="mlp_learns",
    label="the input is detached",
    hint="No gradient passes through your layer to what came before.",
)
mutant_edit(
    MLP_ID,
    ("self.down(F.silu", "self.down(F.dropout(F.silu"),
    ("* self.up(x))", "* self.up(x), 0.1))"),
    caught_by="swiglu_kind",
    label="with dropout",
    hint="Parts of your output are 0 at random. There is no dropout here.",
)
mutant_edit(
    MLP_ID,
    ("        if self.kind", "        x = x.unsqueeze(0).flatten(0, -2)\n        if self.kind"),
    caught_by=("gelu_kind", "gelu_tanh_kind", "swiglu_kind"),
    label="the leading axes are lost",
    hint="Your output has lost its leading axes. A linear layer works on the last axis, whatever comes before.",
)
mutant_edit(
    MLP_ID,
    ("self.up(x), approximate", "self.up(x).clamp(-3, 3), approximate"),
    caught_by="gelu_kind",
    label="inputs are clamped",
    hint="Your activation is wrong for large inputs.",
)


@mutant(
    MLP_ID,
    caught_by="gelu_tanh_kind",
    label="the square in place of the cube",
    hint="Your approximation by tanh is not odd in its argument: look at the power in it.",
)
class MLP(nn.Module):
    def __init__(self, d_model: int, d_mlp: int, kind: str = "gelu") -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d_model, d_mlp), nn.Linear(d_mlp, d_model)

    def forward(self, x: Tensor) -> Tensor:
        z = self.up(x)
        return self.down(0.5 * z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**2))))


@mutant(
    MLP_ID,
    caught_by="gelu_tanh_kind",
    label="another constant in the approximation",
    hint="Your approximation by tanh has the root of 2·pi where the root of 2/pi belongs, or the like.",
)
class MLP(nn.Module):
    def __init__(self, d_model: int, d_mlp: int, kind: str = "gelu") -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d_model, d_mlp), nn.Linear(d_mlp, d_model)

    def forward(self, x: Tensor) -> Tensor:
        z = self.up(x)
        return self.down(0.5 * z * (1 + torch.tanh((z + 0.044715 * z**3) / math.sqrt(2 * math.pi))))


@alternative(MLP_ID, label="every formula by hand")
class MLP(nn.Module):
    def __init__(self, d_model: int, d_mlp: int, kind: str = "gelu") -> None:
        super().__init__()
        acts = {
            "gelu": lambda z: 0.5 * z * (1 + torch.erf(z / math.sqrt(2))),
            "gelu_tanh": lambda z: 0.5 * z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
            "swiglu": lambda z: z * torch.sigmoid(z),
        }
        if kind not in acts:
            raise ValueError(kind)
        self.act, self.gated = acts[kind], kind == "swiglu"
        self.down = nn.Linear(d_mlp, d_model, bias=not self.gated)
        self.gate = nn.Linear(d_model, d_mlp, bias=False) if self.gated else None
        self.up = nn.Linear(d_model, d_mlp, bias=not self.gated)

    def forward(self, x: Tensor) -> Tensor:
        if self.gate is not None:
            return self.down(self.up(x) * self.act(self.gate(x)))
        return self.down(self.act(self.up(x)))


@alternative(MLP_ID, label="torch's activation modules")
class MLP(nn.Module):
    def __init__(self, d_model, d_mlp, kind="gelu"):
        super().__init__()
        if kind == "swiglu":
            self.gate = nn.Linear(d_model, d_mlp, bias=False)
            self.up = nn.Linear(d_model, d_mlp, bias=False)
            self.down = nn.Linear(d_mlp, d_model, bias=False)
            self.act = nn.SiLU()
        elif kind == "gelu" or kind == "gelu_tanh":
            self.up = nn.Linear(d_model, d_mlp)
            self.down = nn.Linear(d_mlp, d_model)
            self.act = nn.GELU(approximate="tanh" if kind == "gelu_tanh" else "none")
        else:
            raise ValueError("kind must be gelu, gelu_tanh or swiglu")

    def forward(self, x):
        gate = getattr(self, "gate", None)
        return self.down(self.act(self.up(x)) if gate is None else self.act(gate(x)) * self.up(x))


alternative_edit(
    MLP_ID,
    ("F.silu(self.gate(x)) * self.up(x)", "self.up(x) * self.gate(x) / (1 + torch.exp(-self.gate(x)))"),
    label="SiLU as a quotient",
)
