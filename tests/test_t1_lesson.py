"""T1's visible checks name the slip. What every lesson must fulfil stands in test_lessons_run.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from solutions import t1_attention as reference
from tests.lesson_world import lesson

T1 = lesson("t1_attention")
# Points per exercise as in the curriculum (T1.1 to T1.11), by the main name.
POINTS = {
    "causal_mask": 6,
    "attention": 14,
    "MultiHeadAttention": 16,
    "sinusoidal": 6,
    "rope": 10,
    "RMSNorm": 10,
    "MLP": 6,
    "GPT": 14,
    "param_count": 6,
    "hand_set_previous_token_head": 12,
    "online_softmax_attention": 0,
}


def no_scale_for(d: int) -> Callable[..., Any]:
    return lambda q, k, v, mask=None, scale=None: reference.attention(q, k, v, mask, (1 / d if scale is None else scale))


def softmax_over_queries(q, k, v, mask=None, scale=None):
    scores = q @ k.mT * (scale or q.shape[-1] ** -0.5)
    pattern = scores.masked_fill(~mask, -torch.inf).softmax(-2) if mask is not None else scores.softmax(-2)
    return pattern @ v, pattern


def masked_after_softmax(q, k, v, mask=None, scale=None):
    pattern = reference.attention(q, k, v, None, scale)[1]
    pattern = pattern if mask is None else pattern.masked_fill(~mask, 0)
    return pattern @ v, pattern


def nan_for_an_empty_row(q, k, v, mask=None, scale=None):
    scores = q @ k.mT * (scale or q.shape[-1] ** -0.5)
    pattern = (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)
    return pattern @ v, pattern


def heads(causal: bool = True, tiled: bool = False, width: str = "head", ahead: int = 0) -> type[nn.Module]:
    """A multi-head attention with the given slip."""

    class Heads(reference.MultiHeadAttention):
        def forward(self, x):
            b, t, d_model = x.shape
            rows = [n * self.d_head for n in (self.n_heads, self.n_kv_heads, self.n_kv_heads)]
            q, k, v = (y.view(b, t, -1, self.d_head).transpose(1, 2) for y in self.qkv(x).split(rows, -1))
            group = self.n_heads // self.n_kv_heads
            k, v = (y.repeat(1, group, 1, 1) if tiled else y.repeat_interleave(group, 1) for y in (k, v))
            mask = torch.ones(t, t, dtype=torch.bool).tril(ahead if causal else t)
            scale = (self.d_head if width == "head" else d_model) ** -0.5
            return self.out(F.scaled_dot_product_attention(q, k, v, mask, scale=scale).transpose(1, 2).reshape(b, t, -1))

    return Heads


def sine_table(n: int, d: int, blocks: bool = False, first: int = 0, twice: bool = False) -> Any:
    if d % 2:
        raise ValueError
    exponent = torch.arange(0, d, 2) / d * (2 if twice else 1)
    angle = torch.arange(first, first + n)[:, None] / 10000**exponent
    return torch.cat([angle.sin(), angle.cos()], -1) if blocks else torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)


class OffsetIgnored(reference.LearnedPos):
    def forward(self, t, offset=0):
        return super().forward(t)


class NeverLearned(reference.LearnedPos):
    def forward(self, t, offset=0):
        return super().forward(t, offset).detach()


def half_split(x, positions, theta=10000.0):
    half = torch.cat([reference.rope(torch.stack(x.chunk(2, -1), -1).flatten(-2), positions, theta)], -1)
    return torch.cat([half[..., 0::2], half[..., 1::2]], -1)


class GateSwapped(reference.MLP):
    def forward(self, x):
        return self.down(F.silu(self.up(x)) * self.gate(x)) if self.kind == "swiglu" else super().forward(x)


class SigmoidGelu(reference.MLP):
    def forward(self, x):
        h = self.up(x)
        return super().forward(x) if self.kind == "swiglu" else self.down(h * torch.sigmoid(1.702 * h))


class MeanSubtracted(reference.RMSNorm):
    def forward(self, x):
        return super().forward(x - x.mean(-1, keepdim=True))


class EpsOutside(reference.RMSNorm):
    def forward(self, x):
        return (x / (x.float().square().mean(-1, keepdim=True).sqrt() + self.eps) * self.weight).to(x.dtype)


class HalfPrecision(reference.RMSNorm):
    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt() * self.weight.to(x.dtype)


class AlwaysPost(reference.Block):
    def __init__(self, cfg, pre_norm=True):
        super().__init__(cfg, False)


class NormOnTheStream(reference.Block):
    def forward(self, x):
        x = self.norm1(x)
        x = self.norm2(x + self.attn(x))
        return x + self.mlp(x)


class NormForgotten(reference.Block):
    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(x) if self.pre_norm else self.norm2(x + self.mlp(x))


def gpt(
    final_norm: bool = True, first: int = 0, offset_used: bool = True, copied: bool = False, flat: bool = False, refuses: Any = None
) -> type[nn.Module]:
    """A GPT with the given slip."""

    class Model(reference.GPT):
        def __init__(self, cfg):
            super().__init__(cfg)
            if copied and cfg.tied:
                self.unembed.weight = nn.Parameter(self.tok_emb.weight.detach().clone())
            for name, p in self.named_parameters():
                if flat and name.endswith(("out.weight", "down.weight")):
                    nn.init.normal_(p, std=0.02)

        def forward(self, tokens, pos_offset=0):
            if refuses and tokens.shape[1] + pos_offset > len(self.pos_emb.weight):
                raise refuses
            x = self.tok_emb(tokens) + self.pos_emb(tokens.shape[1], first + (pos_offset if offset_used else 0))
            for block in self.blocks:
                x = block(x)
            return self.unembed(self.norm_f(x) if final_norm else x)

    return Model


def hand_set(change: Callable[[dict[str, Any], Any], None]) -> Callable[[Any], dict[str, Any]]:
    """The reference's weights, changed."""

    def hand_set_previous_token_head(cfg):
        state = reference.hand_set_previous_token_head(cfg)
        change(state, cfg)
        return state

    return hand_set_previous_token_head


def looks_at_itself(state, cfg):
    rows = state["blocks.0.attn.qkv.weight"]
    rows[: cfg.n_ctx] = 1000 * rows[cfg.d_model : cfg.d_model + cfg.n_ctx]


def too_soft(state, cfg):
    state["blocks.0.attn.qkv.weight"][: cfg.d_model] *= 0.1


def token_still_heard(state, cfg):
    state["unembed.weight"] += 3 * state["tok_emb.weight"]


def one_pass(reset: bool = False, short: bool = True, stable: bool = True) -> Callable[..., Any]:
    """A one-pass attention with the given slip."""

    def run(q, k, v, block):
        top, total, mixed = torch.full_like(q[..., :1], -torch.inf), 0.0, 0.0
        for s in range(0, k.shape[-2] if short else k.shape[-2] // block * block, block):
            scores = q @ k[..., s : s + block, :].mT * q.shape[-1] ** -0.5
            new = torch.maximum(top, scores.amax(-1, keepdim=True)) if stable else torch.zeros_like(top)
            shrink = 1.0 if reset or not stable else (top - new).exp()
            weights = (scores - new).exp()
            total = total * shrink + weights.sum(-1, keepdim=True)
            mixed = mixed * shrink + weights @ v[..., s : s + block, :]
            top = new
        return (
            torch.zeros_like(q[..., :1]) + mixed / total
            if not isinstance(mixed, float)
            else q.new_zeros(*q.shape[:-1], v.shape[-1])
        )

    return run


GPT = reference.GPT  # as in a notebook, where it stands beside the function that sets weights by hand
MASK, ROPE, COUNT, FLOPS = reference.causal_mask, reference.rope, reference.param_count, reference.flops_per_token
# (exercise, what is wrong, what the message must guess)
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(q, k, offset - 1)}, "its own key"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(q, k)}, "use the offset"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(k, q).T}, "Rows are queries"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(q, k, k - q)}, "how many keys there are does not"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(q, k, offset).float()}, "dtype"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: None}, "forget `return`"),
    ("attention", {"attention": no_scale_for(4)}, "its root"),
    ("attention", {"attention": no_scale_for(1)}, "scaled at all"),
    ("attention", {"attention": lambda q, k, v, mask=None, scale=None: reference.attention(q, k, v, mask)}, "`scale` ignored"),
    ("attention", {"attention": softmax_over_queries}, "over the keys"),
    ("attention", {"attention": masked_after_softmax}, "Which comes first"),
    ("attention", {"attention": nan_for_an_empty_row}, "nan"),
    (
        "attention",
        {"attention": lambda q, k, v, m=None, scale=None: reference.attention(q, k, v, None if m is None else ~m, scale)},
        "True means",
    ),
    ("MultiHeadAttention", {"MultiHeadAttention": heads(width="model")}, "scale for d_model"),
    ("MultiHeadAttention", {"MultiHeadAttention": heads(causal=False)}, "Who may look"),
    ("MultiHeadAttention", {"MultiHeadAttention": heads(ahead=1)}, "Who may look"),
    ("MultiHeadAttention", {"MultiHeadAttention": heads(tiled=True)}, "neighbours"),
    ("sinusoidal", {"sinusoidal": lambda n, d: sine_table(n, d, blocks=True)}, "two blocks"),
    ("sinusoidal", {"sinusoidal": lambda n, d: sine_table(n, d, first=1)}, "At position 0"),
    ("sinusoidal", {"sinusoidal": lambda n, d: sine_table(n, d, twice=True)}, "in twice"),
    ("sinusoidal", {"LearnedPos": OffsetIgnored}, "rows 1 and 2"),
    ("sinusoidal", {"LearnedPos": NeverLearned}, "gradient"),
    (
        "rope",
        {"rope": lambda x, p, theta=1e4: ROPE(x, torch.arange(x.shape[-2]), theta)},
        "given positions used",
    ),
    ("rope", {"rope": lambda x, p, theta=1e4: ROPE(x, -p, theta)}, "Counter-clockwise"),
    ("rope", {"rope": lambda x, p, theta=1e4: ROPE(x, p + 1, theta)}, "count as 1"),
    ("rope", {"rope": lambda x, p, theta=1e4: ROPE(x, p, theta**0.5)}, "factor 2 missing"),
    ("rope", {"rope": half_split}, "neighbours are pairs"),
    ("MLP", {"MLP": GateSwapped}, "Which of the two branches"),
    ("MLP", {"MLP": SigmoidGelu}, "1.702"),
    ("RMSNorm", {"RMSNorm": MeanSubtracted}, "mean subtracted"),
    ("RMSNorm", {"RMSNorm": EpsOutside}, "outside the root"),
    ("RMSNorm", {"RMSNorm": HalfPrecision}, "300 squared"),
    ("RMSNorm", {"Block": AlwaysPost}, "on the stream itself"),
    ("RMSNorm", {"Block": NormOnTheStream}, "on the stream itself"),
    ("RMSNorm", {"Block": NormForgotten}, "mlp should read a normalised stream"),
    ("GPT", {"GPT": gpt(final_norm=False)}, "final norm"),
    ("GPT", {"GPT": gpt(first=1)}, "Where does a text begin"),
    ("GPT", {"GPT": gpt(offset_used=False)}, "should not be used"),
    ("GPT", {"GPT": gpt(copied=True)}, "one Parameter"),
    ("GPT", {"GPT": gpt(flat=True)}, "write into the stream"),
    ("GPT", {"GPT": gpt(refuses=IndexError)}, "IndexError was raised. The docstring asks for ValueError"),
    ("param_count", {"param_count": lambda cfg: COUNT(replace(cfg, tied=False))}, "one matrix"),
    ("param_count", {"param_count": lambda cfg: COUNT(cfg) - cfg.n_layers * (cfg.d_mlp + cfg.d_model)}, "biases"),
    ("param_count", {"flops_per_token": lambda cfg, t: FLOPS(cfg, 0)}, "does not depend on t"),
    ("param_count", {"flops_per_token": lambda cfg, t: FLOPS(cfg, t) - 2 * cfg.n_layers * t * cfg.d_model}, "besides the scores"),
    ("hand_set_previous_token_head", {"hand_set_previous_token_head": hand_set(looks_at_itself)}, "It looks at itself"),
    ("hand_set_previous_token_head", {"hand_set_previous_token_head": hand_set(too_soft)}, "too little"),
    ("hand_set_previous_token_head", {"hand_set_previous_token_head": hand_set(token_still_heard)}, "only the value"),
    ("hand_set_previous_token_head", {"hand_set_previous_token_head": hand_set(lambda s, c: s.pop("norm_f.weight"))}, "lacks"),
    ("online_softmax_attention", {"online_softmax_attention": one_pass(reset=True)}, "rescaled"),
    ("online_softmax_attention", {"online_softmax_attention": one_pass(short=False)}, "last block lost"),
    ("online_softmax_attention", {"online_softmax_attention": one_pass(stable=False)}, "subtracted before exp"),
]


@pytest.mark.parametrize(("name", "wrong", "guess"), WRONG, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(WRONG)])
def test_a_plausible_wrong_answer_is_told_its_slip(name, wrong, guess):
    """The visible check fails with a message that guesses what went wrong."""
    with pytest.raises(AssertionError, match=guess):
        T1.visible(name, **wrong)


def test_every_exercise_has_two_wrong_answers_or_more():
    """No visible check goes untested."""
    assert {name: sum(n == name for n, _, _ in WRONG) >= 2 for name in T1.exercises} == dict.fromkeys(T1.exercises, True)


def test_weights_by_hand_are_checked_on_the_readers_own_gpt():
    """The check carries no model, so it must say when there is none to run the weights on."""
    lonely: dict[str, Any] = {}
    exec("def hand_set_previous_token_head(cfg):\n    return {}", lonely)

    with pytest.raises(AssertionError, match="Run the cell that defines GPT"):
        T1.check("hand_set_previous_token_head")(lonely["hand_set_previous_token_head"])


def test_points_are_the_curriculums():
    """Eleven exercises, 100 points, the bonus without any."""
    assert T1.points == POINTS
