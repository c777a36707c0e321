"""Hidden checks of T1, the model: rms_norm with Block, and gpt. Student and rng in, silence or a hint out.

The oracle is a decoder in float64, made of torch's own functions. The student's modules are float32: 1e-5 of the largest
entry for one block, 3e-5 for a whole model and for gradients, which are longer sums (float32 rounds at 6e-8).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import (
    close,
    evaluate,
    evaluate_each,
    evaluate_together,
    finite,
    gradients,
    integers,
    load,
    normal,
    raises,
    same,
    sizes,
    strided,
    tensor,
)
from autograder.sandbox.student import Call, Student, StudentModule

NORM, GPT = "t1_attention.rms_norm", "t1_attention.gpt"
F32 = torch.float32
SHARED = {"unembed.weight": "tok_emb.weight"}  # of a tied model
Config = dict[str, Any]
State = dict[str, Tensor]


def _config(rng: np.random.Generator, **choices: Any) -> Config:
    """Draw a small GPTConfig, all sizes different."""
    d_vocab, n_ctx, d_mlp = sizes(rng, 3, 7, 20)
    n_heads, d_head = ((2, 3), (3, 2), (2, 5))[int(rng.integers(3))]
    drawn = {"d_model": n_heads * d_head, "n_heads": n_heads, "n_layers": 2, "d_vocab": d_vocab, "n_ctx": n_ctx, "d_mlp": d_mlp}
    return {**drawn, **choices}


def _block_layout(c: Config) -> dict[str, tuple[int, ...]]:
    d, m, kv = c["d_model"], c["d_mlp"], c.get("n_kv_heads") or c["n_heads"]
    shapes: dict[str, tuple[int, ...]] = {"norm1.weight": (d,), "norm2.weight": (d,)}
    shapes |= {"attn.qkv.weight": (d + 2 * kv * d // c["n_heads"], d), "attn.out.weight": (d, d)}
    shapes |= {"mlp.up.weight": (m, d), "mlp.down.weight": (d, m)}
    swiglu = c.get("mlp_kind") == "swiglu"
    return shapes | ({"mlp.gate.weight": (m, d)} if swiglu else {"mlp.up.bias": (m,), "mlp.down.bias": (d,)})


def _layout(c: Config) -> dict[str, tuple[int, ...]]:
    d, v = c["d_model"], c["d_vocab"]
    shapes: dict[str, tuple[int, ...]] = {"tok_emb.weight": (v, d), "pos_emb.weight": (c["n_ctx"], d), "norm_f.weight": (d,)}
    for i in range(c["n_layers"]):
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in _block_layout(c).items()}
    return shapes if c.get("tied") else shapes | {"unembed.weight": (v, d)}


def _weights(rng: np.random.Generator, layout: dict[str, tuple[int, ...]]) -> State:
    """Draw weights under which every part matters: norms around 1, biases not 0."""
    state = {}
    for name, shape in layout.items():
        scale = 0.3 if len(shape) == 1 else 1.0 if "emb" in name else shape[-1] ** -0.5
        state[name] = normal(rng, *shape, dtype=F32, scale=scale) + (1.0 if "norm" in name else 0.0)
    return state


def _norm(x: Tensor, weight: Tensor, c: Config) -> Tensor:
    return F.rms_norm(x, weight.shape, weight, c.get("eps", 1e-5))


def _attn(s: State, x: Tensor, c: Config) -> Tensor:
    b, t, d = x.shape
    h, kv = c["n_heads"], c.get("n_kv_heads") or c["n_heads"]
    heads = F.linear(x, s["attn.qkv.weight"]).view(b, t, h + 2 * kv, d // h).transpose(1, 2)
    q, k, v = heads[:, :h], heads[:, h : h + kv], heads[:, h + kv :]
    k, v = (y.repeat_interleave(h // kv, dim=1) for y in (k, v))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return F.linear(mixed.transpose(1, 2).reshape(b, t, d), s["attn.out.weight"])


def _mlp(s: State, x: Tensor, c: Config) -> Tensor:
    up, kind = F.linear(x, s["mlp.up.weight"], s.get("mlp.up.bias")), c.get("mlp_kind", "gelu")
    if kind == "swiglu":
        return F.linear(F.silu(F.linear(x, s["mlp.gate.weight"])) * up, s["mlp.down.weight"])
    return F.linear(F.gelu(up, approximate="tanh" if kind == "gelu_tanh" else "none"), s["mlp.down.weight"], s["mlp.down.bias"])


def _block(s: State, x: Tensor, c: Config, pre_norm: bool = True) -> Tensor:
    if pre_norm:
        x = x + _attn(s, _norm(x, s["norm1.weight"], c), c)
        return x + _mlp(s, _norm(x, s["norm2.weight"], c), c)
    x = _norm(x + _attn(s, x, c), s["norm1.weight"], c)
    return _norm(x + _mlp(s, x, c), s["norm2.weight"], c)


def _gpt(s: State, tokens: Tensor, c: Config, offset: int = 0) -> Tensor:
    x = s["tok_emb.weight"][tokens] + s["pos_emb.weight"][offset : offset + tokens.shape[1]]
    for i in range(c["n_layers"]):
        prefix = f"blocks.{i}."
        x = _block({name.removeprefix(prefix): w for name, w in s.items() if name.startswith(prefix)}, x, c)
    return F.linear(_norm(x, s["norm_f.weight"], c), s.get("unembed.weight", s["tok_emb.weight"]))


def _double(state: State) -> State:
    return {name: w.double() for name, w in state.items()}


def _rms(student: Student, rng: np.random.Generator, d: int, eps: float | None = None) -> tuple[StudentModule, Tensor, str]:
    m = student.module_soon("RMSNorm", d) if eps is None else student.module_soon("RMSNorm", d, eps=eps)
    weight, case = 1 + 0.5 * normal(rng, d, dtype=F32), f"RMSNorm({d})" if eps is None else f"RMSNorm({d}, eps={eps:.3g})"
    load(m, {"weight": weight}, case)
    return m, weight, case


def _rms_close(found: object, x: Tensor, weight: Tensor, eps: float, case: str, rtol: float, slip: str) -> None:
    wide = x.double()
    expected = wide / (wide.pow(2).sum(-1, keepdim=True) / x.shape[-1] + eps).sqrt() * weight.double()
    close(found, expected, f"{case} of x {tuple(x.shape)}", rtol=rtol, dtype=x.dtype, slip=slip)


@hidden(NORM, weight=1, core=True)
def rms_norm_values(student: Student, rng: np.random.Generator) -> None:
    """Every vector is divided by its root mean square; the mean stays; any leading shape."""
    m = student.module_soon("RMSNorm", 6)
    first = dict(m.named_parameters())
    same(first.get("weight"), torch.ones(6), "weight of a new RMSNorm(6)")
    leads = ((3,), (2, 4), (), (2, 1, 5))
    made = [_rms(student, rng, int(rng.integers(2, 12))) for _ in leads]
    xs = [strided(normal(rng, *lead, len(w), dtype=F32) * 3 + 1) for lead, (_, w, _) in zip(leads, made, strict=True)]
    answers = evaluate_together(student, [m for m, _, _ in made], xs)
    for (_, weight, case), x in zip(made, xs, strict=True):
        slip = "Nothing is subtracted; squares, mean, root. Zhang and Sennrich, section 4."
        _rms_close(next(answers), x, weight, 1e-5, case, 1e-5, slip)


@hidden(NORM, weight=2)
def rms_norm_eps(student: Student, rng: np.random.Generator) -> None:
    """An eps of 0.5, small inputs, and the zero vector."""
    cases = ((0.5, 1.0), (0.5, 0.1), (2.0, 1.0), (1e-5, 1e-3), (None, 1e-3))
    made = [_rms(student, rng, int(rng.integers(3, 12)), eps) for eps, _ in cases]
    xs = [normal(rng, 2, 5, len(w), dtype=F32, scale=scale) for (_, scale), (_, w, _) in zip(cases, made, strict=True)]
    for x in xs:
        x[0, 0] = 0.0
    answers = evaluate_together(student, [m for m, _, _ in made], xs)
    for (eps, _), (_, weight, case), x in zip(cases, made, xs, strict=True):
        slip = "Where exactly is eps added? Docstring, second sentence."
        _rms_close(next(answers), x, weight, 1e-5 if eps is None else eps, case, 1e-5, slip)


@hidden(NORM, weight=1)
def rms_norm_half_precision(student: Student, rng: np.random.Generator) -> None:
    """float16 goes in, float32 is inside, float16 comes out: squares neither overflow nor vanish."""
    # Three roundings to float16, at 2^-11 each, are allowed: weight, normalised vector, product.
    for scale, eps in ((400.0, 1e-5), (1e-4, 1e-12)):
        m, weight, case = _rms(student, rng, 9, eps)
        x = normal(rng, 4, 9, scale=scale).half()
        slip = "What is 400 squared in float16? Convert first, and back at the end."
        _rms_close(evaluate(m, x), x, weight, eps, f"{case}, float16", 2e-3, slip)
    m, weight, case = _rms(student, rng, 9)
    # The same three roundings to bfloat16, at 2^-8 each: 0.0118 at worst.
    x = normal(rng, 4, 9, scale=3.0).bfloat16()
    _rms_close(evaluate(m, x), x, weight, 1e-5, f"{case}, bfloat16", 1.6e-2, "")


@hidden(NORM, weight=1)
def rms_norm_learns(student: Student, rng: np.random.Generator) -> None:
    """Gradients of the input and of the weight are right under a random upstream gradient."""
    for eps in (1e-5, 0.3):
        m, weight, case = _rms(student, rng, 7, eps)
        x, upstream = normal(rng, 2, 3, 7, dtype=F32).requires_grad_(), normal(rng, 2, 3, 7, dtype=F32)
        own = dict(m.named_parameters())
        found = gradients(finite(m(x), f"{case}(x)", x.shape, F32), {"x": x, **own}, upstream, case)
        leaves = {"x": x.detach().double().requires_grad_(), "weight": weight.double().requires_grad_()}
        out = F.rms_norm(leaves["x"], (7,), leaves["weight"], eps)
        for name, expected in zip(leaves, torch.autograd.grad(out, list(leaves.values()), upstream.double()), strict=True):
            slip = "The root mean square depends on x too: is it detached?"
            close(found[name], expected, f"{case}: gradient of {name}", rtol=3e-5, dtype=F32, slip=slip)


def _new_block(student: Student, rng: np.random.Generator, c: Config, pre_norm: bool | None) -> tuple[StudentModule, State]:
    cfg, state = student.make_soon("GPTConfig", **c), _weights(rng, _block_layout(c))
    m = student.module_soon("Block", cfg) if pre_norm is None else student.module_soon("Block", cfg, pre_norm=pre_norm)
    load(m, state, "Block(cfg)")
    return m, state


@hidden(NORM, weight=2, core=True)
def pre_norm_block(student: Student, rng: np.random.Generator) -> None:
    """The default order: silent sublayers leave the stream as it is, and each sublayer adds to it."""
    c = _config(rng)
    x = normal(rng, 2, 5, c["d_model"], dtype=F32) * 2
    m, state = _new_block(student, rng, c, None)
    silent = {name: torch.zeros_like(w) if "out" in name or "down" in name else w for name, w in state.items()}
    load(m, silent, "Block(cfg)")
    slip = "A sublayer that returns 0 must leave the stream alone. Xiong et al., figure 1 (b)."
    same(evaluate(m, x), x, "pre-norm block with attn.out and mlp.down set to 0", slip)
    for t in (1, 6):
        c = _config(rng)
        m, state = _new_block(student, rng, c, True if t == 1 else None)
        x = normal(rng, 3, t, c["d_model"], dtype=F32) * 2
        slip = "Each sublayer reads the normalised stream and adds to the stream itself. Xiong et al., table 1."
        expected = _block(_double(state), x.double(), c)
        close(evaluate(m, x), expected, f"pre-norm block on x {tuple(x.shape)}", rtol=1e-5, dtype=F32, slip=slip)


@hidden(NORM, weight=2)
def post_norm_block(student: Student, rng: np.random.Generator) -> None:
    """With pre_norm=False each sum is normalised."""
    configs = [_config(rng) for _ in range(3)]
    made = [_new_block(student, rng, c, False) for c in configs]
    xs = [normal(rng, 3, t, c["d_model"], dtype=F32) * 2 for t, c in zip((1, 6, 4), configs, strict=True)]
    answers = evaluate_together(student, [m for m, _ in made], xs)
    for c, (_, state), x in zip(configs, made, xs, strict=True):
        slip = "Add, then normalise, twice. Xiong et al., figure 1 (a) and table 1."
        expected = _block(_double(state), x.double(), c, pre_norm=False)
        close(next(answers), expected, f"post-norm block on x {tuple(x.shape)}", rtol=1e-5, dtype=F32, slip=slip)


@hidden(NORM, weight=1)
def block_reads_its_config(student: Student, rng: np.random.Generator) -> None:
    """eps, n_kv_heads and mlp_kind reach the parts, in both orders."""
    for kind, kv, eps in (("swiglu", 1, 1e-5), ("gelu_tanh", None, 0.4)):
        configs = [_config(rng, mlp_kind=kind, n_kv_heads=kv, eps=eps) for _ in range(2)]
        made = [_new_block(student, rng, c, pre_norm) for c, pre_norm in zip(configs, (True, False), strict=True)]
        xs = [normal(rng, 2, 4, c["d_model"], dtype=F32) for c in configs]
        answers = evaluate_together(student, [m for m, _ in made], xs)
        for c, (_, state), x, pre_norm in zip(configs, made, xs, (True, False), strict=True):
            expected = _block(_double(state), x.double(), c, pre_norm)
            what = f'Block, mlp_kind="{kind}", n_kv_heads={kv}, eps={eps:.3g}, pre_norm={pre_norm}'
            close(next(answers), expected, what, rtol=1e-5, dtype=F32, slip="Is the config handed on to every part?")


def _new_gpt(student: Student, rng: np.random.Generator, c: Config) -> tuple[StudentModule, State]:
    m, state = student.module_soon("GPT", student.make_soon("GPTConfig", **c)), _weights(rng, _layout(c))
    load(m, state, "GPT(cfg)", SHARED if c.get("tied") else None)
    return m, state


def _logits(found: object, state: State, tokens: Tensor, c: Config, case: str, slip: str, offset: int = 0) -> Tensor:
    expected = _gpt(_double(state), tokens, c, offset)
    return close(found, expected, f"logits, {case}tokens {tuple(tokens.shape)}", rtol=3e-5, dtype=F32, slip=slip)


@hidden(GPT, weight=3, core=True)
def logits_of_a_small_model(student: Student, rng: np.random.Generator) -> None:
    """Prefixes keep their logits when tokens follow, and all logits equal the oracle's."""
    for b, n_layers in ((3, 2), (2, 1), (1, 3)):
        c = _config(rng, n_layers=n_layers)
        m, state = _new_gpt(student, rng, c)
        tokens = integers(rng, 0, c["d_vocab"], b, c["n_ctx"] - 1)
        k = int(rng.integers(1, c["n_ctx"] - 1))
        shape = (b, c["n_ctx"] - 1, c["d_vocab"])
        answers = evaluate_each(m, [Call(tokens), Call(tokens[:, :k]), Call(tokens), Call(tokens)])
        whole = finite(next(answers), f"logits of tokens {tuple(tokens.shape)}", shape, F32)
        said = f"logits of the first {k} tokens, alone and with {c['n_ctx'] - 1 - k} more"
        close(next(answers), whole[:, :k], said, rtol=3e-5, dtype=F32, slip="A later token must not matter.")
        slip = "Embeddings, positions from 0, blocks, final norm, unembedding: is one missing, or in another order?"
        _logits(next(answers), state, tokens, c, "", slip)
        same(next(answers), whole, "logits of the same tokens, asked again", "Does the model keep something from call to call?")


@hidden(GPT, weight=1)
def gpt_reads_its_config(student: Student, rng: np.random.Generator) -> None:
    """eps, n_kv_heads, mlp_kind and n_layers reach the parts; one token and one layer are enough; n_ctx is reached."""
    for kind, kv, eps, n_layers in (("swiglu", 1, 1e-5, 3), ("gelu_tanh", None, 0.4, 1)):
        c = _config(rng, mlp_kind=kind, n_kv_heads=kv, eps=eps, n_layers=n_layers)
        m, state = _new_gpt(student, rng, c)
        given = [integers(rng, 0, c["d_vocab"], 2, t) for t in (1, c["n_ctx"])]
        for tokens, found in zip(given, evaluate_each(m, [Call(tokens) for tokens in given]), strict=True):
            slip = "Is the config handed on to every part, the final norm too?"
            case = f'mlp_kind="{kind}", n_kv_heads={kv}, eps={eps:.3g}, '
            _logits(found, state, tokens, c, case, slip)


@hidden(GPT, weight=2)
def positions_from_an_offset(student: Student, rng: np.random.Generator) -> None:
    """With pos_offset the tokens stand further on, the same for every sequence of the batch."""
    c = _config(rng)
    m, state = _new_gpt(student, rng, c)
    cases = [(offset, integers(rng, 0, c["d_vocab"], 5, 4)) for offset in (1, c["n_ctx"] - 4, 0)]
    answers = evaluate_each(m, [Call(tokens, pos_offset=offset) for offset, tokens in cases])
    for offset, tokens in cases:
        slip = "Token i stands at pos_offset + i, in every row of the batch; only the position vectors change."
        _logits(next(answers), state, tokens, c, f"pos_offset={offset}, ", slip, offset)


@hidden(GPT, weight=1)
def too_long_is_refused(student: Student, rng: np.random.Generator) -> None:
    """Positions beyond n_ctx raise ValueError, also when an offset leads there."""
    c = _config(rng)
    m, _ = _new_gpt(student, rng, c)
    beyond = ((c["n_ctx"] + 1, 0), (3, c["n_ctx"] - 2), (1, c["n_ctx"]))
    answers = evaluate_each(m, [Call(integers(rng, 0, c["d_vocab"], 2, t), pos_offset=offset) for t, offset in beyond])
    for t, offset in beyond:
        raises("ValueError", lambda: next(answers), f"GPT with n_ctx={c['n_ctx']}: t={t}, pos_offset={offset}")


@hidden(GPT, weight=3)
def tied_matrix_is_one(student: Student, rng: np.random.Generator) -> None:
    """Tied: one matrix embeds and unembeds, it is listed once, and its gradient has both parts."""
    c = _config(rng, tied=True)
    m, state = _new_gpt(student, rng, c)
    tokens = integers(rng, 0, c["d_vocab"], 3, c["n_ctx"])
    slip = "One Parameter under two names, or a copy made at the start?"
    _logits(evaluate(m, tokens), state, tokens, c, "tied, ", slip)
    own = {SHARED.get(name, name): leaf for name, leaf in m.named_parameters()}
    names = [name for name in state if "emb" in name or "norm" in name]
    upstream = normal(rng, 3, c["n_ctx"], c["d_vocab"], dtype=F32)
    output = finite(m(tokens), "logits, tied", upstream.shape, F32)
    found = gradients(output, {name: own[name] for name in names}, upstream, "GPT, tied")
    leaves = {name: w.requires_grad_() for name, w in _double(state).items()}
    right = torch.autograd.grad(_gpt(leaves, tokens, c), [leaves[name] for name in names], upstream.double())
    for name, expected in zip(names, right, strict=True):
        close(found[name], expected, f"GPT, tied: gradient of {name}", rtol=5e-5, dtype=F32, slip=slip)


@hidden(GPT, weight=2)
def first_weights(student: Student, rng: np.random.Generator) -> None:
    """At first matrices are normal with the documented deviations, biases 0, norm weights 1."""
    for kind in ("gelu", "swiglu"):
        n_layers = int(rng.integers(3, 6))
        c = _config(rng, d_model=48, n_heads=4, d_mlp=90, d_vocab=70, n_ctx=60, n_layers=n_layers, mlp_kind=kind)
        cfg, layout = student.make_soon("GPTConfig", **c), _layout(c)
        found, other = ({name: p.detach() for name, p in student.module_soon("GPT", cfg).named_parameters()} for _ in range(2))
        for name, shape in layout.items():
            _at_first(tensor(found.get(name), name, shape, F32), name, n_layers)
        same_twice = torch.equal(found["tok_emb.weight"], tensor(other.get("tok_emb.weight"), "tok_emb.weight"))
        assert not same_twice, "Two new models are equal: is a seed set inside?"


def _at_first(w: Tensor, name: str, n_layers: int) -> None:
    what = f"first {name}, n_layers={n_layers}"
    if w.ndim == 1:
        same(w, torch.zeros_like(w) if "bias" in name else torch.ones_like(w), what)
    elif name.endswith(("attn.out.weight", "mlp.down.weight")):
        slip = "What writes into the stream begins smaller, the more so the deeper the model."
        _normal_at_first(w, 0.02 / (2 * n_layers) ** 0.5, what, slip)
    else:
        _normal_at_first(w, 0.02, what, "See the docstring, last paragraph.")


def _normal_at_first(w: Tensor, std: float, what: str, slip: str) -> None:
    # Of n normal numbers the deviation is known to 1/sqrt(2n), the mean to std/sqrt(n). Seven of these are missed once in 10^11,
    # and there are under 100 matrices in a check.
    n, found, mean, fourth = w.numel(), float(w.double().std()), float(w.double().mean()), float(w.double().pow(4).mean())
    assert abs(found / std - 1) < 7 / (2 * n) ** 0.5, f"{what}: standard deviation {found:.5f}, expected {std:.5f}. {slip}"
    assert abs(mean) < 7 * std / n**0.5, f"{what}: mean {mean:.5f}, expected 0. {slip}"
    # The fourth moment over the squared second is 3 for normal numbers, 1.8 for uniform ones, and known to 0.1 here.
    assert fourth / found**4 > 2.3, f"{what}: the deviation is right, but the numbers are not normal. {slip}"
