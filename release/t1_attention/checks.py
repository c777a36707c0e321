"""Your functions and classes in; an "ok" line, or an AssertionError that guesses the slip, out. Practice, never a score.

Every check tries a handful of small cases. The checks that score try many more, so an "ok" here is encouragement, not proof.
Needs torch only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """Has the fields of GPTConfig, so that the checks need nothing from your notebook but what they check."""

    d_model: int = 8
    n_heads: int = 2
    n_layers: int = 2
    d_vocab: int = 11
    n_ctx: int = 6
    d_mlp: int = 12
    n_kv_heads: int | None = None
    mlp_kind: str = "gelu"
    tied: bool = False
    eps: float = 1e-5


def check_causal_mask(causal_mask: Callable[..., Tensor]) -> None:
    square = _tensor(causal_mask(3, 3), "causal_mask(3, 3)", (3, 3), torch.bool)
    assert square.diagonal().all(), "causal_mask(3, 3): some query may not see its own key. Is the diagonal part of the past?"
    late = square.triu(1).nonzero()
    assert not len(late), f"causal_mask(3, 3): query {late[0, 0]} may see key {late[0, 1]}, which is later. Rows are queries."
    assert square.sum() == 6, f"causal_mask(3, 3): {int(square.sum())} places are open, not 6. Is some of the past closed?"
    cached = _tensor(causal_mask(1, 4, 3), "causal_mask(1, 4, offset=3)", (1, 4), torch.bool)
    assert cached.all(), (
        f"causal_mask(1, 4, offset=3) = {cached[0].tolist()}. The one query stands at position 3 and 4 keys are there. "
        "Which row of the whole mask is that? Does your code use the offset?"
    )
    chunk = causal_mask(2, 6, 1).sum(-1).tolist()
    assert chunk == [2, 3], (
        f"causal_mask(2, 6, offset=1): the rows see {chunk} keys, not [2, 3]. The offset alone says where the queries stand; "
        "how many keys there are does not."
    )
    _ok("causal_mask")


def check_attention(attention: Callable[..., tuple[Tensor, Tensor]]) -> None:
    q, k, v = (_draw(seed, 2, n, d) for seed, n, d in ((0, 3, 4), (1, 5, 4), (2, 5, 7)))
    before = q.clone(), k.clone(), v.clone()
    result = attention(q, k, v)
    assert isinstance(result, (tuple, list)), "attention(q, k, v) must return the pair (out, pattern)."
    out = _tensor(result[0], "out, for q (2 3 4), k (2 5 4), v (2 5 7),", (2, 3, 7), torch.float64)
    pattern = _tensor(result[1], "pattern, for 3 queries and 5 keys,", (2, 3, 5), torch.float64)
    assert all(torch.equal(a, b) for a, b in zip(before, (q, k, v), strict=True)), "attention changed one of its inputs in place."
    total = float(pattern[0, 0].sum())
    assert abs(total - 1) < 1e-9, f"Row 0 of the pattern sums to {total:.3f}, not 1. Is the softmax over the keys (the last axis)?"
    _close(out, pattern @ v, "out is not the pattern's average of the values")

    # Two keys; the first one's score is 2 before scaling, the other's is 0.
    one, two = torch.tensor([[2.0, 0, 0, 0]]), torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]])
    weight = float(attention(one, two, two)[1][0, 0])
    slip = {_sigmoid(0.5): "Is the divisor d where it should be its root?", _sigmoid(2): "Are the scores scaled at all?"}
    _near(weight, _sigmoid(1), "q=(2,0,0,0), keys (1,0,0,0) and 0, d=4: the first weight", slip)
    weight = float(attention(one, two, two, scale=3.0)[1][0, 0])
    _near(weight, _sigmoid(6), "the same with scale=3.0: the first weight", {_sigmoid(1): "Is the argument `scale` ignored?"})

    mask = torch.tensor([[True, True, False, False, False], [True] * 5, [False] * 5])
    out, pattern = attention(q, k, v, mask)
    assert not pattern[:, 0, 2:].any(), (
        f"The mask closes keys 2 to 4 for query 0, whose weights are {_few(pattern[0, 0])}. True means that it may look."
    )
    assert abs(float(pattern[0, 0].sum()) - 1) < 1e-9, (
        "Query 0 may see 2 of 5 keys; its weights do not sum to 1. Which comes first, mask or softmax?"
    )
    assert not pattern[:, 2].isnan().any(), (
        "Query 2 may see no key, and its weights are nan: 0/0 in the softmax. They should be zeros."
    )
    assert not pattern[:, 2].any(), "Query 2 may see no key: its weights should be zeros."
    assert not out[:, 2].any(), "Query 2 may see no key: its output should be zeros."
    _ok("attention")


@torch.no_grad()
def check_multi_head_attention(MultiHeadAttention: Callable[..., nn.Module]) -> None:
    _layout(MultiHeadAttention(8, 2), "MultiHeadAttention(8, 2)", {"qkv.weight": (24, 8), "out.weight": (8, 8)})
    _layout(MultiHeadAttention(8, 4, 2), "MultiHeadAttention(8, 4, 2)", {"qkv.weight": (16, 8), "out.weight": (8, 8)})
    torch.manual_seed(0)
    m, x = MultiHeadAttention(8, 2), torch.randn(1, 5, 8)
    changed = x.clone()
    changed[:, 3] += 1
    first, second = _tensor(m(x), "the output for x (1 5 8)", (1, 5, 8)), m(changed)
    moved = [i for i in range(3) if not torch.equal(first[0, i], second[0, i])]
    assert not moved, f"Token 3 of 5 was changed, and the output at positions {moved} moved. Who may look at whom?"

    # One wire each: head 0's query reads feature 0, its key feature 1, its value feature 2; the output passes heads through.
    m = MultiHeadAttention(8, 2)
    m.qkv.weight.zero_()
    for row, feature, gain in ((0, 0, 2.0), (8, 1, 1.0), (16, 2, 1.0)):
        m.qkv.weight[row, feature] = gain
    m.out.weight.copy_(torch.eye(8))
    x = torch.zeros(1, 2, 8)
    x[0, 0, 1] = x[0, 0, 2] = x[0, 1, 0] = 1
    got = float(m(x)[0, 1, 0])
    slip = {
        _sigmoid(2 / math.sqrt(8)): "That is the scale for d_model; a head is d_model / n_heads wide.",
        0.5: "That is an even split: are query, key and value rows where the docstring puts them?",
        0.0: "Are query, key and value rows where the docstring puts them?",
    }
    _near(got, _sigmoid(1), "Two tokens, head 0 wired by hand, a score of 2 before scaling, d_head=4: head 0's output", slip)

    # No query, no key: every head averages the values. Value head 0 holds ones, value head 1 holds tens.
    m = MultiHeadAttention(8, 4, 2)
    m.qkv.weight.zero_()
    m.qkv.weight[12:14, 0], m.qkv.weight[14:16, 0] = 1.0, 10.0
    m.out.weight.copy_(torch.eye(8))
    heads = [round(float(h)) for h in m(torch.ones(1, 3, 8))[0, 2, ::2]]
    assert heads == [1, 1, 10, 10], (
        f"Four query heads share two value heads, which hold 1 and 10: the heads return {heads}. Which query heads are neighbours?"
    )
    _ok("MultiHeadAttention")


def check_sinusoidal(sinusoidal: Callable[..., Tensor], LearnedPos: Callable[..., nn.Module]) -> None:
    table = _tensor(sinusoidal(6, 4), "sinusoidal(6, 4)", (6, 4), torch.float32)
    assert table[0].tolist() != [0, 0, 1, 1], "Row 0 is 0 0 1 1. Are sines and cosines in two blocks? They should alternate."
    assert table[0].tolist() == [0, 1, 0, 1], f"Row 0 is {_few(table[0])}. At position 0 every angle is 0: sine? cosine?"
    _near(float(table[1, 0]), math.sin(1), "sinusoidal(6, 4)[1, 0]", {math.sin(2): "Do positions begin at 0?"}, 1e-6)
    slow = {1e-4: "Is the factor 2 of the exponent in twice?", 0.1: "Is the factor 2 of the exponent missing?"}
    _near(float(table[1, 2]), 0.0099998, "sinusoidal(6, 4)[1, 2]", slow, 1e-6)
    _raises(ValueError, lambda: sinusoidal(3, 5), "sinusoidal(3, 5): d is odd")
    p = LearnedPos(5, 3)
    _layout(p, "LearnedPos(5, 3)", {"weight": (5, 3)})
    rows = _tensor(p(2, offset=1), "LearnedPos(5, 3)(2, offset=1)", (2, 3))
    assert torch.equal(rows, p.weight[1:3]), "LearnedPos(5, 3)(2, offset=1) should be rows 1 and 2 of the table."
    assert rows.requires_grad, "The vectors that LearnedPos returns carry no gradient. How should they be learned?"
    _raises(ValueError, lambda: p(2, offset=4), "LearnedPos(5, 3)(2, offset=4): row 5 does not exist")
    _ok("sinusoidal, LearnedPos")


def check_rope(rope: Callable[..., Tensor]) -> None:
    x = _draw(0, 2, 3, 8)
    turned = _tensor(rope(x, torch.tensor([4, 0, 4])), "rope(x, positions) for x (2 3 8)", (2, 3, 8), torch.float64)
    # Angles may be computed in float32, so the tolerance is float32's, also where x is float64.
    alone = rope(x[:, 2:], torch.tensor([4]))
    _close(turned[:, 2:], alone, "Position 4 gives one vector alone, another among three. Are the given positions used?", 1e-6)
    _close(turned[:, 1], x[:, 1], "A vector at position 0 changed. Does the first position count as 1?", 1e-6)
    _close(turned.norm(dim=-1), x.norm(dim=-1), "A rotation keeps the length, and some length changed", 1e-6)
    east = torch.tensor([[1.0, 0, 0, 0]])
    got = rope(east, torch.tensor([1]))[0]
    assert not got[2:].any(), f"(1 0 0 0) became {_few(got)}: features 0 and 2 were taken for a pair. Here neighbours are pairs."
    angle = math.atan2(float(got[1]), float(got[0]))
    _near(angle, 1, "The angle of the first pair at position 1", {-1.0: "Counter-clockwise is the positive direction."}, 1e-6)
    third = rope(torch.tensor([[0, 0, 1.0, 0]]), torch.tensor([1]), theta=100.0)[0]
    slip = {100**-0.25: "Is a factor 2 missing from the exponent?", 0.01: "Is theta ignored, or a factor 2 too many?"}
    _near(math.atan2(float(third[3]), float(third[2])), 0.1, "The angle of the second pair, position 1, d=4, theta=100", slip, 1e-6)
    q, k = _draw(1, 1, 8), _draw(2, 1, 8)
    near, far = ((rope(q, torch.tensor([m])) * rope(k, torch.tensor([m - 3]))).sum() for m in (3, 40))
    _close(near, far, "The score of positions (3, 0) is not that of (40, 37)", 1e-5)
    _raises(ValueError, lambda: rope(torch.ones(2, 3), torch.arange(2)), "rope of 3 features: d is odd")
    _ok("rope")


@torch.no_grad()
def check_mlp(MLP: Callable[..., nn.Module]) -> None:
    biased = {"up.weight": (5, 3), "up.bias": (5,), "down.weight": (3, 5), "down.bias": (3,)}
    for kind in ("gelu", "gelu_tanh"):
        _layout(MLP(3, 5, kind), f'MLP(3, 5, "{kind}")', biased)
        m = _wired(MLP(1, 1, kind), up=1.0, down=1.0)
        got, want = m(torch.tensor([[-1.0]], dtype=torch.float64)), -0.15865525393145707 if kind == "gelu" else -0.15880800939172324
        slip = {
            -_sigmoid(-1.702): "That is the approximation x·sigmoid(1.702x).",
            -_sigmoid(-1): "That is SiLU.",
            -0.15865525393145707: "That is the exact GELU.",
            -0.15880800939172324: "That is the approximation by tanh.",
            0.0: "That is ReLU.",
        }
        _near(float(got), want, f'One hidden unit, kind "{kind}": its activation at -1', slip, 1e-12)
    _layout(MLP(3, 5, "swiglu"), 'MLP(3, 5, "swiglu")', {"up.weight": (5, 3), "gate.weight": (5, 3), "down.weight": (3, 5)})
    m = _wired(MLP(1, 1, "swiglu"), up=2.0, gate=1.0, down=1.0)
    slip = {_sigmoid(-2) * 2: "Which of the two branches passes through SiLU?", 0.0: "Is the gate's negative side cut off?"}
    got = float(m(torch.tensor([[-1.0]], dtype=torch.float64)))
    _near(got, _sigmoid(-1) * 2, "swiglu with gate weight 1 and up weight 2, at x=-1", slip, 1e-12)
    _raises(ValueError, lambda: MLP(3, 5, "relu"), 'MLP(3, 5, "relu")')
    _ok("MLP")


@torch.no_grad()
def check_rms_norm(RMSNorm: Callable[..., nn.Module], Block: Callable[..., nn.Module]) -> None:
    _layout(RMSNorm(4), "RMSNorm(4)", {"weight": (4,)})
    pair = torch.ones(1, 2)
    got = float(RMSNorm(2, eps=3.0)(pair)[0, 0])
    slip = {0.0: "Is a mean subtracted?", 1 / (1 + 3.0): "Is eps outside the root?"}
    _near(got, 0.5, "RMSNorm(2, eps=3) of (1, 1): its first entry", slip, 1e-6)
    half = _tensor(RMSNorm(2)(torch.full((1, 2), 300.0).half()), "RMSNorm of float16 input", (1, 2), torch.float16)
    assert float(half[0, 0]) == 1, f"RMSNorm of (300, 300) in float16 is {_few(half[0])}. What is 300 squared in float16?"
    cfg, x = Config(), 3 * _draw(0, 1, 4, 8).float()
    _has(Block(cfg), "norm1.weight", "attn.qkv.weight", "attn.out.weight", "norm2.weight", "mlp.up.weight", "mlp.down.weight")
    silent = _silence(_silence(Block(cfg), "attn"), "mlp")
    kept = _tensor(silent(x), "Block(cfg)(x)", (1, 4, 8))
    assert torch.equal(kept, x), (
        "Attention and MLP were set to return 0, and the pre-norm block changed its input. What stands on the stream itself?"
    )
    rms = _silence(_silence(Block(cfg, pre_norm=False), "attn"), "mlp")(x).square().mean(-1).sqrt()
    assert (rms - 1).abs().max() < 1e-3, f"Post-norm: the block's output has root mean square {float(rms[0, 0]):.3f}, not 1."
    for quiet, loud in (("attn", "mlp"), ("mlp", "attn")):
        block = _silence(Block(replace(cfg, eps=0.0)), quiet)
        added = block(4 * x) - 4 * x
        _close(added, block(x) - x, f"Pre-norm: {loud} should read a normalised stream, so 4x should add what x adds", 1e-4)
    _ok("RMSNorm, Block")


@torch.no_grad()
def check_gpt(GPT: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    cfg, tokens = Config(), torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    m = GPT(cfg)
    _has(m, "tok_emb.weight", "pos_emb.weight", "blocks.1.mlp.down.weight", "norm_f.weight", "unembed.weight")
    logits = _tensor(m(tokens), "the logits for tokens (2 5)", (2, 5, 11))
    _close(m(tokens[:, :3]), logits[:, :3], "The logits of the first three tokens change when two more follow", 1e-5)
    m.norm_f.weight.mul_(2)
    doubled = m(tokens)
    _close(
        doubled, 2 * logits, "norm_f.weight was doubled and the logits were not. Does the final norm stand before unembed?", 1e-5
    )
    m.pos_emb.weight[0, 0] += 1
    assert not torch.equal(m(tokens), doubled), "Row 0 of the position table was changed, nothing moved. Where does a text begin?"
    shifted = m(tokens, pos_offset=1)
    m.pos_emb.weight[0, 0] += 1
    assert torch.equal(m(tokens, pos_offset=1), shifted), "With pos_offset=1, row 0 of the position table should not be used."
    tied = GPT(replace(cfg, tied=True))
    fewer = len(list(m.parameters())) - len(list(tied.parameters()))
    assert fewer == 1, f"tied=True: {fewer} parameters fewer than untied, not 1. Two equal matrices are not one Parameter."
    _raises(ValueError, lambda: m(tokens, pos_offset=2), "5 tokens from position 2 on, n_ctx=6")
    deep = GPT(replace(cfg, d_model=64, d_mlp=128, n_layers=8))
    for name, want in (("unembed", 0.02), ("blocks.0.mlp.up", 0.02), ("blocks.0.attn.out", 0.005), ("blocks.7.mlp.down", 0.005)):
        std = float(deep.get_submodule(name).weight.std())
        # 4096 draws or more, but 704 for the unembedding, whose standard deviation is then within 12 % almost surely.
        message = f"8 layers: {name}.weight has standard deviation {std:.4f}, not {want}. Does it write into the stream?"
        assert abs(std / want - 1) < 0.12, message
    _ok("GPT")


def check_param_count(param_count: Callable[..., int], flops_per_token: Callable[..., float]) -> None:
    cfg = Config(d_model=4, n_heads=2, n_layers=1, d_vocab=3, n_ctx=5, d_mlp=6)
    slips = {166: "Is a token matrix missing?", 168: "Are there biases?", 158: "Are the positions counted?"}
    _count(param_count(cfg), 178, "a small GPT", slips)
    _count(param_count(replace(cfg, tied=True)), 166, "the same, tied", {178: "A tied matrix is one matrix."})
    _count(param_count(replace(cfg, n_kv_heads=1)), 162, "the same, one key/value head", {178: "Do shared heads need fewer rows?"})
    swiglu = {202: "Has swiglu biases?", 208: "Has swiglu biases?", 168: "How many matrices has swiglu?"}
    _count(param_count(replace(cfg, mlp_kind="swiglu")), 192, "the same with swiglu", swiglu)
    _count(param_count(replace(cfg, n_layers=3)), 438, "the same with three layers", {446: "How often is there a final norm?"})
    one, two = flops_per_token(cfg, 1), flops_per_token(cfg, 2)
    assert two != one, "flops_per_token does not depend on t. How many scores does a token need?"
    growth = f"From t=1 to t=2 the cost per token grows by {two - one:g}, not 16. What besides the scores depends on t?"
    assert abs(two - one - 16) < 1e-6, growth
    slip = "A multiplication and its addition are two." if abs(one - 132) < 1e-6 else "Which matrix products does one token need?"
    assert abs(one - 264) < 1e-6, f"flops_per_token(cfg, 1) is {one:g}, not 264. {slip}"
    _ok("param_count, flops_per_token")


@torch.no_grad()
def check_hand_set_previous_token_head(hand_set_previous_token_head: Callable[..., dict[str, Tensor]]) -> None:
    for cfg in (Config(20, 1, 1, 5, 7, 8, eps=0.1), Config(40, 2, 2, 6, 9, 8, mlp_kind="swiglu")):
        state = hand_set_previous_token_head(cfg)
        assert isinstance(state, dict), f"Expected a dict of tensors, found {type(state).__name__}. Did you forget `return`?"
        # The weights run on your own GPT: the one that your function's notebook defines.
        model = _gpt_beside(hand_set_previous_token_head)(cfg)
        _has(model, *state)
        missing = sorted(set(model.state_dict()) - set(state))
        assert not missing, f"The state dict lacks {missing[:3]}. A state dict that can be loaded names every parameter."
        model.load_state_dict(state)
        torch.manual_seed(cfg.n_ctx)
        for t in (2, cfg.n_ctx // 2, cfg.n_ctx):
            tokens = torch.randint(cfg.d_vocab, (3, t))
            _looks_back(_pattern(model, tokens, cfg), t)
            said = model(tokens)[:, 1:].argmax(-1)
            wrong = (said != tokens[:, :-1]).nonzero()
            assert not len(wrong), (
                f"n_heads={cfg.n_heads}: after {tokens[wrong[0, 0], : int(wrong[0, 1]) + 2].tolist()} the model says "
                f"{int(said[tuple(wrong[0])])}. Where it looks is right. Does the value reach the unembedding, and only the value?"
            )
    _ok("hand_set_previous_token_head")


def check_online_softmax_attention(online_softmax_attention: Callable[..., Tensor]) -> None:
    q, k, v = _draw(0, 2, 3, 4), _draw(1, 2, 10, 4), _draw(2, 2, 10, 5)
    want = F.scaled_dot_product_attention(q, k, v)
    guesses = {
        10: "Is it scaled?",
        5: "Is what came before rescaled?",
        4: "Is the short last block lost?",
        64: "Is a short block padded?",
    }
    for block, guess in guesses.items():
        got = _tensor(online_softmax_attention(q, k, v, block), f"the output for 10 keys, block={block},", (2, 3, 5), torch.float64)
        _close(got, want, f"10 keys, block={block}: not what attention gives. {guess}")
    # Scores from -2000 up to 2000, so the maximum rises with every block.
    k = torch.linspace(-1000, 1000, 10, dtype=torch.float64)[:, None].expand(10, 4)
    got = online_softmax_attention(torch.ones(1, 4, dtype=torch.float64), k, v[0], 3)
    assert got.isfinite().all(), "Scores up to 2000 give inf or nan. What is subtracted before exp, and from which block on?"
    _close(got[0], v[0, -1], "Scores rise with every block, the last key wins by far, and the output is not its value")
    _ok("online_softmax_attention")


def _gpt_beside(function: Callable[..., Any]) -> Any:
    names: dict[str, Any] = getattr(function, "__globals__", {})
    assert "GPT" in names, "This check runs your weights on your own GPT. Run the cell that defines GPT first."
    return names["GPT"]


def _pattern(model: Any, tokens: Tensor, cfg: Config) -> Tensor:
    # Attention whose values are the identity returns its own pattern.
    d_head, t = cfg.d_model // cfg.n_heads, tokens.shape[1]
    x = model.blocks[0].norm1(model.tok_emb(tokens) + model.pos_emb(t))
    rows = model.blocks[0].attn.qkv.weight
    q, k = x @ rows[:d_head].T, x @ rows[cfg.d_model : cfg.d_model + d_head].T
    return F.scaled_dot_product_attention(q, k, torch.eye(t).expand(len(tokens), t, t), is_causal=True)


def _looks_back(pattern: Tensor, t: int) -> None:
    back = pattern.diagonal(-1, -2, -1)
    row, i = divmod(int(back.argmin()), t - 1)
    weights = pattern[row, i + 1]
    slip = "It looks at itself." if int(weights.argmax()) == i + 1 else "Right place, too little: can the score be larger?"
    if int(weights.argmax()) < i:
        slip = f"It looks at position {int(weights.argmax())}."
    share = float(weights[i])
    assert share > 0.99, f"{t} tokens, query {i + 1}: position {i} gets {share:.2f} of the attention. {slip}"


def _draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def _few(x: Tensor) -> str:
    return "(" + ", ".join(f"{float(e):.3g}" for e in x.flatten()[:5]) + (", ...)" if x.numel() > 5 else ")")


def _tensor(value: Any, what: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
    assert value is not None, f"{what} is None. Did you forget `return`?"
    assert isinstance(value, Tensor), f"{what} is a {type(value).__name__}, not a tensor."
    assert value.shape == shape, f"{what} has shape {tuple(value.shape)}, not {shape}."
    assert dtype is None or value.dtype == dtype, f"{what} has dtype {value.dtype}, not {dtype}."
    return value


def _close(got: Tensor, want: Tensor, message: str, tolerance: float = 1e-9) -> None:
    gap = float((got - want).abs().max())
    assert gap <= tolerance * max(1.0, float(want.abs().max())), f"{message.rstrip('.')} (largest difference {gap:.2g})."


def _near(got: float, want: float, what: str, slips: dict[float, str], tolerance: float = 1e-5) -> None:
    if abs(got - want) <= tolerance * max(1, abs(want)):
        return
    guess = next((text for value, text in slips.items() if abs(got - value) < 1e-4), "")
    raise AssertionError(f"{what} is {got:.6g}, and should be {want:.6g}. {guess}".rstrip())


def _count(got: float, want: int, what: str, slips: dict[float, str]) -> None:
    message = f"param_count of {what} is {got}; the model has {want} numbers, a difference of {got - want:+g}. {slips.get(got, '')}"
    assert got == want, message.rstrip()


def _raises(error: type[Exception], call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except error:
        return
    except Exception as other:
        found = type(other).__name__
        raise AssertionError(f"{what}, and {found} was raised. The docstring asks for {error.__name__}.") from None
    raise AssertionError(f"{what}, and no {error.__name__} was raised. The docstring asks for one.")


def _layout(m: nn.Module, what: str, want: dict[str, tuple[int, ...]]) -> None:
    have = {name: tuple(p.shape) for name, p in m.named_parameters()}
    assert have == want, f"{what} has the parameters {have}, and should have {want}."


def _has(m: nn.Module, *names: str) -> None:
    have = m.state_dict()
    missing = [n for n in names if n not in have]
    assert not missing, f"There is no parameter {missing[0]}. There are: {', '.join(list(have)[:9])}."


def _silence(block: Any, part: str) -> Any:
    last = block.attn.out if part == "attn" else block.mlp.down
    for p in last.parameters():
        p.zero_()
    return block


def _wired(m: nn.Module, **weights: float) -> nn.Module:
    m.double()
    for name, p in m.named_parameters():
        p.fill_(weights[name.split(".")[0]] if name.endswith("weight") else 0.0)
    return m


def _ok(names: str) -> None:
    print(f"ok  {names}")
