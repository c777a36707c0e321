"""Your functions and classes in; an "ok" line, or an AssertionError that guesses the slip, out. Practice, never a score.

Every check tries a handful of small cases, on a little model that it brings along, whose parts have the names of TinyGPT's. The
checks that score try many more, so an "ok" here is encouragement, not proof. Needs torch only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Fn = Callable[..., Any]


@dataclass(frozen=True)
class Config:
    """The sizes of the little model: all different."""

    d_vocab: int = 9
    n_ctx: int = 8
    d_model: int = 6
    n_heads: int = 2
    d_head: int = 4
    d_mlp: int = 7
    n_layers: int = 2
    bias: bool = True
    tied: bool = False
    norm: str = "layer"
    act: str = "gelu"
    eps: float = 0.1
    dtype: torch.dtype = torch.float64


class Heads(nn.Module):
    def __init__(self, c: Config) -> None:
        super().__init__()
        self.n_heads, self.d_head = c.n_heads, c.d_head
        self.qkv = nn.Linear(c.d_model, 3 * c.n_heads * c.d_head, bias=c.bias)
        self.out = nn.Linear(c.n_heads * c.d_head, c.d_model, bias=c.bias)
        self.q, self.k, self.v, self.z, self.scores, self.pattern = (nn.Identity() for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (y.unflatten(-1, (self.n_heads, self.d_head)) for y in self.qkv(x).chunk(3, -1))
        scores = self.scores(torch.einsum("bqhe,bkhe->bhqk", self.q(q), self.k(k)) * self.d_head**-0.5)
        scores.masked_fill_(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1), -torch.inf)
        return self.out(self.z(torch.einsum("bhqk,bkhe->bqhe", self.pattern(scores.softmax(-1)), self.v(v))).flatten(-2))


class Feed(nn.Module):
    def __init__(self, c: Config) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(c.d_model, c.d_mlp, bias=c.bias), nn.Linear(c.d_mlp, c.d_model, bias=c.bias)
        self.act, self.post = nn.GELU() if c.act == "gelu" else nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.post(self.act(self.up(x))))


class Layer(nn.Module):
    def __init__(self, c: Config) -> None:
        super().__init__()
        self.resid_pre, self.resid_mid, self.resid_post = nn.Identity(), nn.Identity(), nn.Identity()
        self.norm1, self.norm2 = (nn.LayerNorm(c.d_model, c.eps) if c.norm == "layer" else nn.Identity() for _ in range(2))
        self.attn, self.mlp = Heads(c), Feed(c)

    def forward(self, x: Tensor) -> Tensor:
        x = self.resid_pre(x)
        x = self.resid_mid(x + self.attn(self.norm1(x)))
        return self.resid_post(x + self.mlp(self.norm2(x)))


class Little(nn.Module):
    """A TinyGPT in miniature, with weights from a seed."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.cfg = c
        self.tok_emb, self.pos_emb = nn.Embedding(c.d_vocab, c.d_model), nn.Embedding(c.n_ctx, c.d_model)
        self.blocks = nn.ModuleList(Layer(c) for _ in range(c.n_layers))
        self.norm_f = nn.LayerNorm(c.d_model, c.eps) if c.norm == "layer" else nn.Identity()
        self.unembed = nn.Linear(c.d_model, c.d_vocab, bias=False)
        if c.tied:
            self.unembed.weight = self.tok_emb.weight
        gen = torch.Generator().manual_seed(7)
        self.to(c.dtype)
        with torch.no_grad():
            for name, p in self.named_parameters():
                p.copy_(torch.randn(p.shape, generator=gen, dtype=p.dtype) * 0.6 + ("norm" in name and name.endswith("weight")))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tok_emb(tokens) + self.pos_emb(torch.arange(tokens.shape[1]))
        for layer in self.blocks:
            x = layer(x)
        return self.unembed(self.norm_f(x))


TOKENS = torch.tensor([[1, 5, 2, 7], [3, 3, 8, 0], [6, 4, 1, 2]])
OTHER = torch.tensor([[2, 5, 2, 7], [0, 3, 8, 0], [1, 4, 1, 2]])


def check_hooks(Hooks: Fn) -> None:
    m = _little()
    plain, names = m(TOKENS), []

    def note(value: Tensor, name: str) -> None:
        names.append(name)

    with Hooks(m, [("blocks.0.mlp", note), ("blocks.1.attn.z", note)]):
        seen = m(TOKENS)
    assert names == ["blocks.0.mlp", "blocks.1.attn.z"], (
        f"hooks at blocks.0.mlp and blocks.1.attn.z are called as {names}. Which name does each function keep from the loop?"
    )
    assert torch.equal(seen, plain), "functions that return None changed the logits. None leaves the output as it is."
    _clean(m, plain, "after the block")
    with Hooks(m, [("blocks.0.mlp", lambda value, name: value + 1), ("blocks.0.mlp", lambda value, name: value * 2)]):
        changed = m(TOKENS)
    expected = _run(m, "blocks.0.mlp", lambda value: (value + 1) * 2)
    assert not torch.equal(changed, plain), "functions that return something changed nothing. Is what they return used?"
    _close(changed, expected, "at blocks.0.mlp + 1 and then x 2. Does the second function see what the first one left?")
    permanent = m.blocks[0].mlp.register_forward_hook(lambda module, inputs, output: output * 3)
    kept = m(TOKENS)
    try:
        with Hooks(m, [("blocks.0.mlp", note)]):
            inside = m(TOKENS)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("an exception inside the block did not come out of it. What does __exit__ return?")
    assert torch.equal(inside, kept), "a hook of somebody else stops acting inside the block."
    n = _n_hooks(m)
    assert n <= 1, f"after an exception inside the block {n} hooks are on the model; one of somebody else was there before."
    assert n == 1, "a hook of somebody else was removed along with yours."
    permanent.remove()
    try:
        with Hooks(m, [("blocks.0.mlp", note), ("blocks.9.mlp", note)]):
            pass
    except ValueError:
        pass
    except Exception as e:
        raise AssertionError(
            f'the unknown name "blocks.9.mlp" raises {type(e).__name__}. The docstring asks for ValueError.'
        ) from None
    else:
        raise AssertionError('the unknown name "blocks.9.mlp" raises nothing. The docstring asks for ValueError.')
    _clean(m, plain, "after an unknown name")
    _ok("Hooks")


def check_run_with_cache(run_with_cache: Fn) -> None:
    m = _little()
    plain, sites = m(TOKENS), ["blocks.0.mlp", "blocks.1.attn.scores"]
    logits, cache = _pair(run_with_cache(m, TOKENS, sites), "run_with_cache(model, tokens, names)")
    _close(logits, plain, "the logits of run_with_cache")
    assert set(cache) == set(sites), f"names={sites}: the cache has {sorted(cache)[:4]}."
    _close(cache["blocks.0.mlp"], _value(m, "blocks.0.mlp"), 'cache["blocks.0.mlp"]. The output, not the input?')
    scores = cache["blocks.1.attn.scores"]
    assert not scores.isinf().any(), (
        'cache["blocks.1.attn.scores"] holds -inf: the model masked its own tensor after your hook. Did you keep a copy?'
    )
    assert not logits.requires_grad, "grad=False: the logits carry a graph."
    assert not scores.requires_grad, "grad=False: the copies carry a graph."
    logits, cache = run_with_cache(m, TOKENS, sites, grad=True)
    assert logits.requires_grad, "grad=True: the logits carry no graph."
    assert cache["blocks.0.mlp"].requires_grad, "grad=True: the copies carry no graph. Are they detached?"
    everything = run_with_cache(m, TOKENS)[1]
    for name in ("tok_emb", "blocks.0", "blocks.0.mlp", "blocks.1.resid_post", "unembed"):
        assert name in everything, f'names=None: "{name}" is missing in the cache.'
    assert not run_with_cache(m, TOKENS, [])[1], "names=[]: the cache should be empty. Is an empty list taken for None?"
    _clean(m, plain, "after run_with_cache")
    _ok("run_with_cache")


@torch.no_grad()
def check_logit_lens(logit_lens: Fn) -> None:
    m = _little()
    cache = _everything(m, TOKENS)
    found = _tensor(logit_lens(cache, m), "the lens of 2 blocks, tokens (3 4), 9 words", (3, 3, 4, 9))
    guess = "Is the final norm applied to each entry, and does the last one stand after the last block?"
    _close(found[2], m(TOKENS), f"the last entry, against the logits. {guess}")
    start = cache["tok_emb"] + cache["pos_emb"]
    _close(found[0], m.unembed(m.norm_f(start)), "entry 0: the embeddings alone, token and position")
    _close(found[1], m.unembed(m.norm_f(cache["blocks.0.resid_post"])), "entry 1: the stream after block 0, by its own statistics")
    _ok("logit_lens")


@torch.no_grad()
def check_direct_logit_attribution(direct_logit_attribution: Fn) -> None:
    m = _little()
    cache, logits = _everything(m, TOKENS), m(TOKENS)
    parts = direct_logit_attribution(cache, m, 2, 5, 8)
    names = {"tok_emb", "pos_emb", "final_bias"} | {
        f"blocks.{i}.{p}" for i in (0, 1) for p in ("head.0", "head.1", "attn_bias", "mlp")
    }
    assert isinstance(parts, dict), "the attribution should be a dict."
    assert set(parts) == names, f"parts that are missing or too many: {sorted(set(parts) ^ names)[:4]}"
    for name in sorted(names):
        _tensor(parts[name], f'part "{name}" for 3 rows', (3,))
    total, whole = sum(parts.values()), logits[:, 2, 5] - logits[:, 2, 8]
    assert torch.allclose(total, whole, atol=1e-9), (
        f"the parts sum to {float(total[0]):.4f}, the logits differ by {float(whole[0]):.4f}. The norm centres, scales and weighs; "
        "each head has its own columns, each bias counts once."
    )
    last, towards = cache["blocks.1.resid_post"][:, 2], m.unembed.weight[5] - m.unembed.weight[8]
    direction = m.norm_f.weight * towards
    direction = (direction - direction.mean()) / (last.var(-1, correction=0) + m.norm_f.eps).sqrt()[:, None]
    alone = cache["blocks.0.attn.z"][:, 2].clone()
    alone[:, 0] = 0
    wanted = (alone.flatten(1) @ m.blocks[0].attn.out.weight.T * direction).sum(-1)
    _close(
        parts["blocks.0.head.1"], wanted, 'part "blocks.0.head.1". Which columns of attn.out are head 1\'s, and whose is the bias?'
    )
    _close(parts["blocks.0.attn_bias"], direction @ m.blocks[0].attn.out.bias, 'part "blocks.0.attn_bias"')
    _ok("direct_logit_attribution")


@torch.no_grad()
def check_fold_layernorm(fold_layernorm: Fn) -> None:
    for c in (Config(), Config(tied=True, bias=False)):
        m, case = Little(c), "a tied model without biases" if c.tied else "a model"
        before = {name: w.clone() for name, w in m.state_dict().items()}
        plain = m(TOKENS)
        folded = fold_layernorm(m)
        changed = [name for name, w in m.state_dict().items() if name not in before or not torch.equal(w, before[name])]
        assert not changed, f"{case}: folding changed {changed[0]} of the model that it was given. Deep copies share nothing."
        left = [n for n, w in folded.state_dict().items() if "norm" in n and not torch.equal(w, torch.full_like(w, "weight" in n))]
        assert not left, f"{case}: {left[0]} is not yet what it should be. There are three kinds of norms."
        guess = "Which is moved first, bias or weight? And where does the bias go if the map that reads it has none?"
        _close(folded(TOKENS), plain, f"logits of {case} after folding. {guess}")
        stream = _value(folded, "blocks.1.resid_post").mean(-1)
        assert stream.abs().max() < 1e-9, (
            f"{case}: the stream's mean is {float(stream[0, 0]):.3f} after folding, not 0. Which writer still has one?"
        )
    _ok("fold_layernorm")


@torch.no_grad()
def check_ablate(ablate: Fn) -> None:
    m = _little()
    plain, z = m(TOKENS), _everything(m, TOKENS)["blocks.1.attn.z"]
    mean = _everything(m, OTHER)["blocks.1.attn.z"].mean(0)

    def with_head(other: Tensor) -> Tensor:
        def edit(value: Tensor) -> Tensor:
            value = value.clone()
            value[:, :, 0] = other[..., 0, :]
            return value

        return _run(m, "blocks.1.attn.z", edit)

    found = ablate(m, TOKENS, [(1, 0)], "zero")
    _close(
        found, with_head(torch.zeros_like(z)), "head 0 of block 1 at zero. Layers and heads count from 0, and only that head goes"
    )
    found = ablate(m, TOKENS, [(1, 0)], "mean", reference=OTHER)
    _close(found, with_head(mean), "head 0 of block 1 at its mean. Over which axis, and of which batch?")
    seen = set()
    for seed in range(8):
        found = ablate(m, TOKENS, [(1, 0)], "resample", gen=torch.Generator().manual_seed(seed))
        rows = [[j for j in range(3) if torch.allclose(with_head(z[[j] * 3])[i], found[i])] for i in range(3)]
        assert all(rows), "resample: some row's result is explained by no other row's z. One row for the whole head?"
        order = tuple(r[0] for r in rows)
        assert all(i != j for i, j in enumerate(order)), f"resample: rows take from {order}. Some row keeps its own."
        assert sorted(order) == [0, 1, 2], f"resample: rows take from {order}. A permutation takes each once."
        seen.add(order)
    assert len(seen) == 2, "resample: eight seeds of gen, always the same permutation. Is gen used?"
    _raises(lambda: ablate(m, TOKENS, [(0, 0)], "median"), 'mode="median"')
    _raises(lambda: ablate(m, TOKENS[:1], [(0, 0)], "resample", gen=torch.Generator()), "resampling a single row")
    _clean(m, plain, "after ablate")
    _ok("ablate")


def check_activation_patch(activation_patch: Fn) -> None:
    m = _little()
    plain = m(TOKENS)
    sites = ["blocks.1.resid_post", "blocks.0.resid_pre", "blocks.0.attn.z"]
    found = _tensor(activation_patch(m, TOKENS, OTHER, _metric, sites), "the sweep over 3 sites and 4 positions", (3, 4))
    assert not found.requires_grad, "the effects carry a graph."
    ends = found[0].tolist()
    assert abs(ends[2] - 1) < 1e-9, (
        f"the last stream at position 2, which alone counts, has effect {ends[2]:.3f}, not 1. Which run is patched, which is 0?"
    )
    assert max(abs(ends[0]), abs(ends[1]), abs(ends[3])) < 1e-12, (
        f"the last stream at other positions has effects {ends}, not 0. Is each patch undone before the next one?"
    )
    guess = "The texts differ at position 0 only. Is each patch undone before the next one?"
    assert abs(found[1, 0] - 1) < 1e-9, f"before block 0, position 0 has effect {float(found[1, 0]):.3f}, not 1. {guess}"
    assert found[1, 1:].abs().max() < 1e-9, f"before block 0, later positions have effects {found[1, 1:].tolist()}, not 0. {guess}"
    _close(found[2], _swept(m, "blocks.0.attn.z"), "the effects at blocks.0.attn.z. Is it the corrupt run that is patched?")
    _raises(lambda: activation_patch(m, TOKENS, TOKENS, _metric, sites), "clean equal to corrupt")
    _clean(m, plain, "after activation_patch")
    _ok("activation_patch")


def check_attribution_patch(attribution_patch: Fn) -> None:
    m = Little(Config(norm="none", act="none"))
    with torch.no_grad():
        for layer in m.blocks:
            layer.attn.qkv.weight[:16] = 0  # no query, no key: attention looks everywhere alike
            layer.attn.qkv.bias[:16] = 0
    sites = ["blocks.0.attn.z", "blocks.0.resid_pre", "blocks.1.mlp"]
    found = _tensor(attribution_patch(m, TOKENS, OTHER, _metric, sites), "the estimates for 3 sites and 4 positions", (3, 4))
    for site, row in zip(sites, found, strict=True):
        exact = _swept(m, site)
        if row.abs().max() == 0 and exact.abs().max() > 0:
            raise AssertionError(f"the estimates at {site} are all 0. Does the graph end at a site further up?")
        guess = (
            "The sign is the opposite."
            if torch.allclose(row, -exact)
            else "Does the graph end at another site? What is summed over, and is the scale right?"
        )
        _close(row, exact, f"a linear model, {site}: estimates against patched effects. {guess}")
    m = _little()
    plain = m(TOKENS).detach()
    clean, at = _value(m, "blocks.1.resid_mid"), {}
    handle = m.blocks[1].resid_mid.register_forward_hook(lambda module, inputs, out: at.update(value=out))
    low = _metric(m(OTHER))
    handle.remove()
    slope = torch.autograd.grad(low, at["value"])[0]
    wanted = ((clean - at["value"].detach()) * slope).sum((0, 2)) / (_metric(plain) - low.detach())
    found = attribution_patch(m, TOKENS, OTHER, _metric, ["blocks.1.resid_mid", "tok_emb"])
    _close(found[0], wanted, "the estimates at blocks.1.resid_mid. In which run is the gradient taken?")
    assert all(p.grad is None for p in m.parameters()), "a parameter has a .grad afterwards. Which gradients did you ask for?"
    assert not found.requires_grad, "the estimates carry a graph."
    frozen = attribution_patch(m.requires_grad_(False), TOKENS, OTHER, _metric, ["blocks.1.resid_mid", "tok_emb"])
    _close(frozen, found, "the estimates when the parameters are frozen")
    _raises(lambda: attribution_patch(m, TOKENS, TOKENS, _metric, sites), "clean equal to corrupt")
    _clean(m, plain, "after attribution_patch")
    _ok("attribution_patch")


def check_integrated_gradients(integrated_gradients: Fn) -> None:
    asked: list[Tensor] = []

    def square(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        return x.square().sum(-1)

    x, start = torch.tensor([[3.0, -1.0], [2.0, 5.0]]).double(), torch.tensor([[1.0, 0.0], [2.0, 1.0]]).double()
    for steps in (1, 4):
        asked.clear()
        found = _tensor(integrated_gradients(square, x, start, steps), "the attribution of x (2 2)", (2, 2))
        n = sum(len(rows) for rows in asked)
        assert n == 2 * steps, f"2 rows, steps={steps}: f was asked for {n} rows, expected {2 * steps}."
        got = float(found[0, 0])
        slips = {12.0: "That is the gradient at x times the way.", 9.0: "Is the baseline ignored?", 4.0: "Left ends of the steps?"}
        guess = next((text for v, text in slips.items() if abs(got - v) < 1e-6), "Where on the way is the gradient taken?")
        assert abs(got - 8) < 1e-9, (
            f"f = x1² + x2², from (1, 0) to (3, -1), steps={steps}: the first entry is {got:.4f}, not 8. {guess}"
        )
        _close(found, x.square() - start.square(), f"f = x1² + x2², steps={steps}: what each entry added")
    assert x[0, 0] == 3, "x was changed in place."
    leaf = x.clone().requires_grad_()
    found = integrated_gradients(lambda y: y[:, 0].exp(), leaf, torch.zeros(2).double(), 60)
    assert not found.requires_grad, "the attribution carries a graph."
    assert leaf.grad is None, "x has a .grad afterwards."
    assert not found[:, 1].any(), "f ignores the second input, and it is given credit."
    gap = float((found.sum(-1) - (x[:, 0].exp() - 1)).abs().max())
    assert gap < 0.01, f"f = exp(x1), 60 steps: the attributions miss f(x) - f(baseline) by {gap:.3f}."
    _ok("integrated_gradients")


@torch.no_grad()
def check_steering_vector(steering_vector: Fn, steer: Fn) -> None:
    m = _little()
    plain = m(TOKENS)
    mask = torch.tensor([[True, True, True, True], [True, False, False, False], [True, True, False, False]])
    for layer in (0, 1):
        found = _tensor(steering_vector(m, TOKENS, OTHER, layer, mask, ~mask), f"the vector before block {layer}", (6,))
        stream, other = (_everything(m, t)[f"blocks.{layer}.resid_pre"] for t in (TOKENS, OTHER))
        wanted = stream[mask].mean(0) - other[~mask].mean(0)
        if torch.allclose(found, -wanted):
            raise AssertionError("your vector points from the positive texts to the negative ones.")
        if torch.allclose(found, stream.mean((0, 1)) - other.mean((0, 1))):
            raise AssertionError("your means are over all places. The masks say which count.")
        _close(found, wanted, f"the vector before block {layer}. Every place where the mask is true counts alike")
    vector = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, 1.0]).double()
    for layer, alpha in ((0, 1.5), (1, -2.0)):
        wanted = _run(m, f"blocks.{layer}.resid_pre", lambda value, a=alpha: value + a * vector)
        guess = "At all positions, to the stream itself, before the block reads it?"
        _close(steer(m, TOKENS, vector, layer, alpha), wanted, f"logits steered before block {layer}, alpha={alpha}. {guess}")
    assert torch.equal(steer(m, TOKENS, vector, 1, 0.0), plain), "alpha=0 should be the model itself, bit for bit."
    wanted = _run(m, "blocks.1.resid_pre", lambda value: value + mask[..., None] * vector)
    _close(steer(m, TOKENS, vector, 1, 1.0, mask), wanted, "logits steered with a mask. Each row has a mask of its own")
    _clean(m, plain, "after steer")
    _ok("steering_vector, steer")


def _little() -> Little:
    return Little(Config())


def _metric(logits: Tensor) -> Tensor:
    return (logits[:, 2, 1] - logits[:, 2, 4]).mean()


def _everything(m: nn.Module, tokens: Tensor) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    handles = [
        part.register_forward_hook(lambda module, inputs, out, name=name: seen.update({name: out.clone()}))
        for name, part in m.named_modules()
        if name
    ]
    with torch.no_grad():
        m(tokens)
    for handle in handles:
        handle.remove()
    return seen


def _value(m: nn.Module, site: str) -> Tensor:
    return _everything(m, TOKENS)[site]


def _run(m: nn.Module, site: str, change: Fn, tokens: Tensor = TOKENS) -> Tensor:
    """Run the model while one output is changed."""
    handle = m.get_submodule(site).register_forward_hook(lambda module, inputs, out: change(out))
    with torch.no_grad():
        logits = m(tokens)
    handle.remove()
    return logits


def _swept(m: nn.Module, site: str) -> Tensor:
    """Patch TOKENS' activation into OTHER, position by position."""
    clean, low = _value(m, site), _metric(m(OTHER)).detach()

    def effect(p: int) -> Tensor:
        here = torch.arange(4).reshape(1, 4, *[1] * (clean.ndim - 2)) == p
        return _metric(_run(m, site, lambda out: torch.where(here, clean, out), OTHER))

    return torch.stack([(effect(p) - low) / (_metric(m(TOKENS)).detach() - low) for p in range(4)])


def _n_hooks(m: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in m.modules())


def _clean(m: nn.Module, plain: Tensor, when: str) -> None:
    n = _n_hooks(m)
    assert not n, f"{when} {n} hooks are still on the model."
    assert torch.equal(m(TOKENS), plain), f"{when} the model computes something else than before."


def _tensor(value: Any, what: str, shape: tuple[int, ...]) -> Tensor:
    assert value is not None, f"{what}: you return None. Did you forget `return`?"
    assert isinstance(value, Tensor), f"{what}: {type(value).__name__}, expected a tensor."
    assert tuple(value.shape) == shape, f"{what}: shape {tuple(value.shape)}, expected {shape}."
    return value


def _pair(value: Any, what: str) -> tuple[Any, Any]:
    assert isinstance(value, (tuple, list)), f"{what} must return the pair (logits, cache)."
    assert len(value) == 2, f"{what} must return the pair (logits, cache)."
    return value[0], value[1]


def _close(found: Any, wanted: Tensor, what: str) -> None:
    found = _tensor(found, what, tuple(wanted.shape)).detach()
    off = (found.double() - wanted.detach()).abs()
    largest = float(off.max())
    limit = 1e-8 * (1 + float(wanted.detach().abs().max()))
    assert largest <= limit, f"not as expected, off by {largest:.4g}: {what}"
    assert not found.isnan().any(), f"there are nans: {what}"


def _raises(call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except ValueError:
        return
    raise AssertionError(f"{what} raises nothing. The docstring asks for ValueError.")


def _ok(what: str) -> None:
    print(f"ok  {what}")
