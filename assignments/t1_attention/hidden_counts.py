"""Hidden checks of T1, numbers and weights from a config: param_count with flops_per_token, hand_set_previous_token_head.

Student and rng in, silence or a hint out. Parameters are counted over a table of shapes, operations by torch's own counter
on a model of matrix products, and the hand-set weights are put into a decoder of torch's own functions, in float32 as the
student's: scores that overflow there are wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from autograder.grading.checks import hidden
from autograder.grading.compare import integers, number, sizes, tensor
from autograder.sandbox.student import Call, Student

COUNTS, HAND_SET = "t1_attention.param_count", "t1_attention.hand_set_previous_token_head"
Config = dict[str, Any]
State = dict[str, Tensor]


def _layout(c: Config) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every parameter, as the docstrings of the lesson state them."""
    d, v, m, kv = c["d_model"], c["d_vocab"], c["d_mlp"], c.get("n_kv_heads") or c["n_heads"]
    block: dict[str, tuple[int, ...]] = {"norm1.weight": (d,), "norm2.weight": (d,)}
    block |= {"attn.qkv.weight": (d + 2 * kv * d // c["n_heads"], d), "attn.out.weight": (d, d)}
    block |= {"mlp.up.weight": (m, d), "mlp.down.weight": (d, m)}
    block |= {"mlp.gate.weight": (m, d)} if c.get("mlp_kind") == "swiglu" else {"mlp.up.bias": (m,), "mlp.down.bias": (d,)}
    shapes: dict[str, tuple[int, ...]] = {"tok_emb.weight": (v, d), "pos_emb.weight": (c["n_ctx"], d), "norm_f.weight": (d,)}
    shapes |= {f"blocks.{i}.{name}": shape for i in range(c["n_layers"]) for name, shape in block.items()}
    return shapes if c.get("tied") else shapes | {"unembed.weight": (v, d)}


def _draw(rng: np.random.Generator, **choices: Any) -> Config:
    n_heads, d_head = int(rng.integers(2, 5)), int(rng.integers(3, 7))
    d_vocab, n_ctx, d_mlp = sizes(rng, 3, 20, 60)
    drawn = {"d_model": n_heads * d_head, "n_heads": n_heads, "n_layers": int(rng.integers(1, 5))}
    return {**drawn, "d_vocab": d_vocab, "n_ctx": n_ctx, "d_mlp": d_mlp, **choices}


def _options(rng: np.random.Generator) -> list[Config]:
    """Draw ten configs in which tied, swiglu, gelu_tanh and grouped queries come in all company."""
    found = []
    for i in range(10):
        kind = ("swiglu", "gelu", "gelu_tanh")[i % 3]
        kv = (None, 1, 2, 4)[i % 4]
        found.append(_draw(rng, n_heads=4, d_model=4 * int(rng.integers(3, 7)), mlp_kind=kind, tied=i % 2 == 0, n_kv_heads=kv))
    return found


def _case(c: Config) -> str:
    return ", ".join(f"{name}={value}" for name, value in c.items())


def _counts(student: Student, configs: list[Config], slip: str) -> None:
    answers = student.each("param_count", [Call(student.make_soon("GPTConfig", **c)) for c in configs])
    for c in configs:
        expected = sum(int(np.prod(shape)) for shape in _layout(c).values())
        found = number(next(answers), f"param_count for {_case(c)}")
        assert found == expected, f"param_count for {_case(c)}: {found:.12g}, the model has {expected}. {slip}"


@hidden(COUNTS, weight=2, core=True)
def parameters_of_plain_models(student: Student, rng: np.random.Generator) -> None:
    """The count equals the sum over the tensors: plain models, untied, gelu, no shared heads."""
    _counts(
        student, [_draw(rng) for _ in range(4)], "Biases, norms, positions, both token matrices: is everything counted, and once?"
    )


@hidden(COUNTS, weight=2)
def parameters_of_every_option(student: Student, rng: np.random.Generator) -> None:
    """The count follows tied, mlp_kind and n_kv_heads."""
    _counts(
        student, _options(rng), "Tied is one matrix; swiglu has three and no bias; shared key/value heads are fewer rows of qkv."
    )


def _measured(c: Config, t: int) -> float:
    """Let torch count one pass over t tokens: a bare decoder with the products and nothing else."""
    s = {name: torch.zeros(shape, device="meta") for name, shape in _layout(c).items()}
    d, h, kv = c["d_model"], c["n_heads"], c.get("n_kv_heads") or c["n_heads"]
    with FlopCounterMode(display=False) as counter:
        x = torch.zeros(t, d, device="meta")
        for i in range(c["n_layers"]):
            heads = (x @ s[f"blocks.{i}.attn.qkv.weight"].T).view(t, h + 2 * kv, d // h).transpose(0, 1)
            q, k, v = heads[:h], heads[h : h + kv].repeat_interleave(h // kv, 0), heads[h + kv :].repeat_interleave(h // kv, 0)
            mixed = torch.softmax(q @ k.transpose(1, 2), -1) @ v
            x = mixed.transpose(0, 1).reshape(t, d) @ s[f"blocks.{i}.attn.out.weight"].T
            mlp = {name: w for name, w in s.items() if name.startswith(f"blocks.{i}.mlp.")}
            into = [w for name, w in mlp.items() if name.endswith(("up.weight", "gate.weight"))]
            x = sum(x @ w.T for w in into) @ s[f"blocks.{i}.mlp.down.weight"].T
        x @ s.get("unembed.weight", s["tok_emb.weight"]).T
    return counter.get_total_flops() / t


def _flops(student: Student, cases: list[tuple[Config, int]], slip: str) -> None:
    answers = student.each("flops_per_token", [Call(student.make_soon("GPTConfig", **c), t) for c, t in cases])
    for c, t in cases:
        expected = _measured(c, t)
        what = f"flops_per_token for {_case(c)}, t={t}"
        found = number(next(answers), what)
        # 1 % forgives rounding to an integer, and no term of these models is smaller.
        assert abs(found / expected - 1) < 0.01, f"{what}: {found:.12g}, torch counts {expected:.12g}. {slip}"


@hidden(COUNTS, weight=2, core=True)
def operations_of_plain_models(student: Student, rng: np.random.Generator) -> None:
    """The operations per token equal those that torch counts, for short and long sequences of plain models."""
    lengths = (1, int(rng.integers(5, 12)), int(rng.integers(20, 60)), 500)
    _flops(
        student,
        [(_draw(rng), t) for t in lengths],
        "Two per multiply-add; which products depend on t? Which matrix is only looked up?",
    )


@hidden(COUNTS, weight=1)
def operations_of_every_option(student: Student, rng: np.random.Generator) -> None:
    """The operations follow mlp_kind and n_kv_heads; a tied unembedding costs as much as another."""
    cases = [(c, int(rng.integers(1, 40))) for c in _options(rng)[:6]]
    _flops(student, cases, "Sharing heads saves projections, not scores; tying saves memory, not operations.")


def _roomy(rng: np.random.Generator, **choices: Any) -> Config:
    """Draw a config in which the simple construction fits: see the docstring."""
    d_vocab, n_ctx, d_mlp = sizes(rng, 3, 5, 12)
    n_heads = choices.get("n_heads", 2)
    d_head = max(d_vocab, n_ctx, -(-(2 * d_vocab + n_ctx) // n_heads)) + int(rng.integers(0, 3))
    drawn = {"d_model": n_heads * d_head, "n_heads": n_heads, "n_layers": 1, "d_vocab": d_vocab, "n_ctx": n_ctx, "d_mlp": d_mlp}
    return {**drawn, **choices}


def _state(student: Student, c: Config) -> State:
    """Ask for the weights and return them in float32, as GPT(cfg) holds them, all there and of the right shapes."""
    what = "hand_set_previous_token_head(cfg)"
    found = student.fn("hand_set_previous_token_head")(student.make_soon("GPTConfig", **c))
    assert isinstance(found, dict), f"{what} must return a dict of tensors, named as in GPT(cfg).state_dict()."
    layout = _layout(c)
    missing, surplus = [name for name in layout if name not in found], len([name for name in found if name not in layout])
    assert not missing, f"{what} lacks {missing[0]}, and {len(missing) - 1} more names of GPT(cfg).state_dict()."
    assert not surplus, f"{what} has {surplus} names that GPT(cfg) does not have."
    for name, shape in layout.items():
        w = tensor(found[name], f"{what}: {name}", shape, (torch.float32, torch.float64))
        assert torch.isfinite(w).all(), f"{what}: {name} has NaN or infinite entries."
    return {name: found[name].detach().float() for name in layout}


def _run(s: State, tokens: Tensor, c: Config) -> tuple[Tensor, Tensor]:
    """Run the decoder; return the logits and the attention pattern of head 0 of block 0."""
    x = s["tok_emb.weight"][tokens] + s["pos_emb.weight"][: tokens.shape[1]]
    pattern = x
    for i in range(c["n_layers"]):
        w = {name.removeprefix(f"blocks.{i}."): p for name, p in s.items() if name.startswith(f"blocks.{i}.")}
        q, k, v = _heads(_norm(x, w["norm1.weight"], c), w["attn.qkv.weight"], c)
        if i == 0:
            scores = q[:, 0] @ k[:, 0].transpose(1, 2) / q.shape[-1] ** 0.5
            later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
            pattern = scores.masked_fill(later, -torch.inf).softmax(-1)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + mixed.transpose(1, 2).flatten(2) @ w["attn.out.weight"].T
        x = x + _mlp(_norm(x, w["norm2.weight"], c), w, c)
    return _norm(x, s["norm_f.weight"], c) @ s["unembed.weight"].T, pattern


def _norm(x: Tensor, weight: Tensor, c: Config) -> Tensor:
    return F.rms_norm(x, weight.shape, weight, c.get("eps", 1e-5))


def _heads(x: Tensor, qkv: Tensor, c: Config) -> tuple[Tensor, Tensor, Tensor]:
    h, kv = c["n_heads"], c.get("n_kv_heads") or c["n_heads"]
    q, k, v = (x @ qkv.T).unflatten(-1, (h + 2 * kv, -1)).transpose(1, 2).split([h, kv, kv], 1)
    return q, k.repeat_interleave(h // kv, 1), v.repeat_interleave(h // kv, 1)


def _mlp(x: Tensor, w: State, c: Config) -> Tensor:
    up, kind = F.linear(x, w["mlp.up.weight"], w.get("mlp.up.bias")), c.get("mlp_kind", "gelu")
    if kind == "swiglu":
        inner = F.silu(x @ w["mlp.gate.weight"].T) * up
    else:
        inner = F.gelu(up, approximate="tanh" if kind == "gelu_tanh" else "none")
    return F.linear(inner, w["mlp.down.weight"], w.get("mlp.down.bias"))


def _looks_back(s: State, tokens: Tensor, c: Config, case: str) -> None:
    logits, pattern = _run(s, tokens, c)
    t = tokens.shape[1]
    back = pattern.diagonal(-1, dim1=1, dim2=2)  # of query i + 1 to key i
    b, i = divmod(int(back.argmin()), t - 1)
    said = f"{case}, length {t}, query {i + 1}: position {i} gets {float(back[b, i]):.4f} of the attention of head 0 of block 0"
    most = f"position {int(pattern[b, i + 1].argmax())} gets most"
    assert float(back[b, i]) > 0.99, f"{said}, {most}. Is its score far above all others?"
    previous = tokens[:, :-1, None]
    others = logits[:, 1:].clone().scatter_(-1, previous, -torch.inf).amax(-1)
    margin = logits[:, 1:].gather(-1, previous)[..., 0] - others
    b, i = divmod(int(margin.argmin()), t - 1)
    said = (
        f"{case}, length {t}, tokens ...{tokens[b, i : i + 2].tolist()}: the logit of token {int(tokens[b, i])} should be largest"
    )
    slip = "Does the value reach the unembedding, and does nothing else?"
    assert float(margin[b, i]) > 0.01, f"{said} by more than 0.01; it is ahead by {float(margin[b, i]):.3g}. {slip}"


@hidden(HAND_SET, weight=2, core=True)
def repeats_the_token_before(student: Student, rng: np.random.Generator) -> None:
    """Random sequences of a middle length: head 0 looks one back, and the logits repeat that token."""
    for _ in range(3):
        c = _roomy(rng)
        tokens = integers(rng, 0, c["d_vocab"], 6, int(rng.integers(3, c["n_ctx"])))
        _looks_back(_state(student, c), tokens, c, "one block, two heads")


@hidden(HAND_SET, weight=2)
def at_every_length(student: Student, rng: np.random.Generator) -> None:
    """One set of weights serves every length from 2 to n_ctx."""
    c = _roomy(rng)
    s = _state(student, c)
    for t in range(2, c["n_ctx"] + 1):
        _looks_back(s, integers(rng, 0, c["d_vocab"], 4, t), c, f"n_ctx={c['n_ctx']}")


@hidden(HAND_SET, weight=1)
def looks_at_places_not_tokens(student: Student, rng: np.random.Generator) -> None:
    """Where one token fills the sequence, or two alternate, the head still looks one back; every pair of tokens works."""
    c = _roomy(rng)
    s, v = _state(student, c), c["d_vocab"]
    pairs = torch.cartesian_prod(torch.arange(v), torch.arange(v))
    _looks_back(s, pairs, c, "all pairs of tokens")
    alternating = pairs.repeat(1, c["n_ctx"])[:, : c["n_ctx"]]
    _looks_back(s, alternating, c, "two tokens in turn, or one for all")


@hidden(HAND_SET, weight=1)
def in_every_config(student: Student, rng: np.random.Generator) -> None:
    """Other blocks, other heads, shared key/value heads, other layers and a large eps do not get in the way."""
    for choices in (
        {"n_layers": 3, "mlp_kind": "swiglu", "n_kv_heads": 1},
        {"n_heads": 4, "n_kv_heads": 2, "eps": 0.3},
        {"n_heads": 1, "mlp_kind": "gelu_tanh", "n_layers": 2},
    ):
        c = _roomy(rng, **choices)
        _looks_back(_state(student, c), integers(rng, 0, c["d_vocab"], 5, c["n_ctx"]), c, _case(choices))


@hidden(HAND_SET, evidence="observed")
def set_by_hand(student: Student, rng: np.random.Generator) -> None:
    """No backward pass and no long computation: the weights are chosen, not trained."""
    _, seen = student.observe("hand_set_previous_token_head", student.make_soon("GPTConfig", **_roomy(rng)))
    backward = [name for name in seen.operators if "backward" in name]
    assert not backward, "A backward pass was seen. The weights are to be chosen by thought."
    n_products = sum(n for name, n in seen.operators.items() if any(p in name for p in ("mm", "matmul", "linear")))
    assert n_products < 500, f"{n_products} matrix products were seen. The weights are to be chosen by thought."
