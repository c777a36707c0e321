"""The reference for `i1_hooks_patching`: reading a transformer's activations, splitting its logits, changing what it computes.

The docstrings are the task: a student sees them with the signatures, and nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

HookFn = Callable[[Tensor, str], Tensor | None]


@dataclass(frozen=True)
class ModelConfig:
    """The sizes and choices that define one TinyGPT."""

    d_vocab: int  # tokens in the vocabulary
    n_ctx: int  # positions there are
    d_model: int  # width of the residual stream
    n_heads: int  # heads per block
    d_head: int  # width of a head
    d_mlp: int  # hidden width of the feed-forward layer
    n_layers: int  # blocks
    bias: bool = True  # whether attn.qkv, attn.out, mlp.up and mlp.down have biases; unembed has none
    tied: bool = False  # whether the unembedding is the token embedding's own matrix
    norm: str = "layer"  # "layer" (LayerNorm) or "none"
    act: str = "gelu"  # "gelu" or "none"
    eps: float = 1e-5  # of every LayerNorm
    dtype: torch.dtype = torch.float32  # of every parameter


class HookPoint(nn.Identity):
    """Returns its input. It is there to be hooked."""


def norm_of(cfg: ModelConfig) -> nn.Module:
    return nn.LayerNorm(cfg.d_model, cfg.eps) if cfg.norm == "layer" else nn.Identity()


class Attention(nn.Module):
    """Causal attention. The rows of qkv are all query heads, all key heads, all value heads; the columns of out are the heads."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.n_heads, self.d_head = cfg.n_heads, cfg.d_head
        self.qkv = nn.Linear(cfg.d_model, 3 * cfg.n_heads * cfg.d_head, bias=cfg.bias)
        self.out = nn.Linear(cfg.n_heads * cfg.d_head, cfg.d_model, bias=cfg.bias)
        self.q, self.k, self.v, self.z = HookPoint(), HookPoint(), HookPoint(), HookPoint()
        self.scores, self.pattern = HookPoint(), HookPoint()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (y.unflatten(-1, (self.n_heads, self.d_head)) for y in self.qkv(x).chunk(3, dim=-1))
        q, k, v = self.q(q), self.k(k), self.v(v)
        scores = self.scores(torch.einsum("bqhe,bkhe->bhqk", q, k) / self.d_head**0.5)
        t = x.shape[1]
        # In place, as large models do to save memory: what a hook has seen of the scores changes afterwards.
        scores.masked_fill_(~torch.ones(t, t, dtype=torch.bool).tril(), -torch.inf)
        pattern = self.pattern(scores.softmax(dim=-1))
        z = self.z(torch.einsum("bhqk,bkhe->bqhe", pattern, v))
        return self.out(z.flatten(-2))


class MLP(nn.Module):
    """The feed-forward layer, which works on each position alone."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.up = nn.Linear(cfg.d_model, cfg.d_mlp, bias=cfg.bias)
        self.down = nn.Linear(cfg.d_mlp, cfg.d_model, bias=cfg.bias)
        self.act = nn.GELU() if cfg.act == "gelu" else nn.Identity()
        self.post = HookPoint()

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.post(self.act(self.up(x))))


class Block(nn.Module):
    """Attention, then the feed-forward layer; each reads the normalised stream and adds to the stream."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.resid_pre, self.resid_mid, self.resid_post = HookPoint(), HookPoint(), HookPoint()
        self.norm1, self.attn = norm_of(cfg), Attention(cfg)
        self.norm2, self.mlp = norm_of(cfg), MLP(cfg)

    def forward(self, x: Tensor) -> Tensor:
        x = self.resid_pre(x)
        x = self.resid_mid(x + self.attn(self.norm1(x)))
        return self.resid_post(x + self.mlp(self.norm2(x)))


class TinyGPT(nn.Module):
    """A decoder with learned positions: tokens (b t) -> logits (b t d_vocab). Every submodule's output can be hooked."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.d_vocab, cfg.d_model)
        self.pos_emb = nn.Embedding(cfg.n_ctx, cfg.d_model)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.n_layers))
        self.norm_f = norm_of(cfg)
        self.unembed = nn.Linear(cfg.d_model, cfg.d_vocab, bias=False)
        if cfg.tied:
            self.unembed.weight = self.tok_emb.weight
        self.to(cfg.dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        t = tokens.shape[1]
        if t > self.cfg.n_ctx:
            raise ValueError(f"{t} tokens, but there are {self.cfg.n_ctx} positions")
        x = self.tok_emb(tokens) + self.pos_emb(torch.arange(t))
        for block in self.blocks:
            x = block(x)
        return self.unembed(self.norm_f(x))


def inside(context, body: Callable[[], Tensor]) -> Tensor:
    """Run body() within `with context:` and return its result. The checks use this to work with your Hooks."""
    with context:
        return body()


def count_hooks(model: nn.Module) -> int:
    """Count the forward and backward hooks there are, on the model and on all its submodules."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(part, kind)) for part in model.modules() for kind in kinds)


class Hooks:
    """Functions that see, and may replace, the outputs of named submodules while a `with` block runs.

    `with Hooks(model, [(name, fn), ...]):` calls fn(output, name) for every output of the submodule
    model.get_submodule(name). When fn returns None, the output stays as it is; what it returns otherwise
    takes the output's place. Of several functions for one name each sees what the one before it in the list
    left; functions of a block further out come first.

    Hooks are added on entering, not before, and only these same hooks are removed on leaving, whatever
    happened inside; an exception passes through. Hooks that others have put on the model before stay there,
    and act first. An object may be entered again after it was left.

    Raises: ValueError when a name is no submodule of the model, here or on entering; then no hook is left
        behind.
    Source: Nanda and Bloom 2022 (TransformerLens: `HookedRootModule.hooks`).
    """

    def __init__(self, model: nn.Module, hooks: Sequence[tuple[str, HookFn]]) -> None:
        parts = dict(model.named_modules())
        unknown = [name for name, _ in hooks if name not in parts]
        if unknown:
            raise ValueError(f"the model has no submodule {unknown[0]!r}")
        self._hooks = [(parts[name], name, fn) for name, fn in hooks]
        self._handles = ExitStack()

    def __enter__(self) -> Self:
        for part, name, fn in self._hooks:
            handle = part.register_forward_hook(lambda _part, _args, out, name=name, fn=fn: fn(out, name))
            self._handles.callback(handle.remove)
        return self

    def __exit__(self, *exception: object) -> None:
        self._handles.close()


def run_with_cache(
    model: nn.Module, tokens: Tensor, names: Collection[str] | None = None, grad: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return model(tokens) and copies of the outputs of the named submodules, by name.

    names: of submodules; None stands for every submodule that returns a tensor, the model itself ("")
        excepted. A copy holds the output as it was when the submodule returned it, whatever is done in place
        to the original later.
    grad=False: neither logits nor copies require gradients. grad=True: both do, and gradients flow from them,
    and from the copies too, to the parameters.

    Afterwards the model has the hooks that it had before, also when it raises. Hooks that are there already
    act as ever.

    Raises: ValueError when a name is no submodule.
    Source: Nanda and Bloom 2022 (TransformerLens: `run_with_cache`).
    """
    cache: dict[str, Tensor] = {}

    def keep(value: Tensor, name: str) -> None:
        if isinstance(value, Tensor):
            cache[name] = value.clone()

    chosen = [name for name, _ in model.named_modules() if name] if names is None else list(names)
    with torch.set_grad_enabled(grad), Hooks(model, [(name, keep) for name in chosen]):
        logits = model(tokens)
    return logits, cache


def logit_lens(cache: dict[str, Tensor], model: TinyGPT) -> Tensor:
    """Read the residual stream before every block, and after the last one, as if it were the final one.

    `cache` holds the output of every submodule, as run_with_cache(model, tokens) returns it. Entry 0 is what
    the embeddings alone would predict, entry l what is predicted from the stream after l blocks: normalised
    by the final norm (with that stream's own mean and deviation), then unembedded. The last entry equals the
    model's logits.

    Shapes: -> (n_layers + 1, b, t, d_vocab).
    Source: nostalgebraist 2020.
    """
    streams = [cache["blocks.0.resid_pre"]] + [cache[f"blocks.{i}.resid_post"] for i in range(len(model.blocks))]
    return model.unembed(model.norm_f(torch.stack(streams)))


def direct_logit_attribution(cache: dict[str, Tensor], model: TinyGPT, pos: int, tok_a: int, tok_b: int) -> dict[str, Tensor]:
    """Split logit(tok_a) - logit(tok_b) at position pos into what each component wrote into the stream.

    The parts, for l = 0, ... and h = 0, ...: "tok_emb", "pos_emb", "blocks.{l}.head.{h}" (without the bias of
    attn.out), "blocks.{l}.attn_bias" (that bias), "blocks.{l}.mlp" (with its bias), and "final_bias" (the
    bias of norm_f, and of unembed where it has one). A part that the model lacks is 0. For every sequence the
    parts sum to the logit difference.

    `cache` holds the output of every submodule. What a component wrote is what the cache holds of it: of
    `tok_emb`, `pos_emb`, `blocks.{l}.attn.z` (the heads, before attn.out) and `blocks.{l}.mlp`. The final
    norm's deviation is a constant here, that of the last `resid_post` in the cache; each part is centred and
    scaled as the norm centres and scales the stream. The model has LayerNorm (cfg.norm == "layer"). pos may
    be negative, as an index.

    Shapes: every part (b).
    Source: Elhage et al. 2021, sections "Virtual weights and the residual stream" and "Splitting attention
        head terms into circuits"; with the norm frozen as in Wang et al. 2022, section 3.
    """
    final = cache[f"blocks.{len(model.blocks) - 1}.resid_post"][:, pos]
    deviation = (final.var(dim=-1, unbiased=False) + model.norm_f.eps).sqrt()
    towards = model.unembed.weight[tok_a] - model.unembed.weight[tok_b]

    def part(written: Tensor) -> Tensor:
        return (written - written.mean(dim=-1, keepdim=True)) * model.norm_f.weight @ towards / deviation

    parts = {"tok_emb": part(cache["tok_emb"][:, pos]), "pos_emb": part(cache["pos_emb"][pos])}
    for i, block in enumerate(model.blocks):
        z = cache[f"blocks.{i}.attn.z"][:, pos]
        columns = block.attn.out.weight.unflatten(1, z.shape[1:])
        for h in range(z.shape[1]):
            parts[f"blocks.{i}.head.{h}"] = part(z[:, h] @ columns[:, h].T)
        bias = block.attn.out.bias
        parts[f"blocks.{i}.attn_bias"] = torch.zeros_like(deviation) if bias is None else part(bias)
        parts[f"blocks.{i}.mlp"] = part(cache[f"blocks.{i}.mlp"][:, pos])
    unembed_bias = model.unembed.bias
    constant = model.norm_f.bias @ towards + (0 if unembed_bias is None else unembed_bias[tok_a] - unembed_bias[tok_b])
    return {**parts, "final_bias": constant.expand_as(deviation)}


def fold_layernorm(model: TinyGPT) -> TinyGPT:
    """Return a new model with the same logits, whose norms do nothing but centre and scale.

    The weight and the bias of each LayerNorm (norm1, norm2, norm_f) move into the linear map that reads it
    (attn.qkv, mlp.up, unembed): afterwards every norm's weight is 1 and its bias 0. A linear map without a
    bias is given one. Whatever writes into the stream (tok_emb, pos_emb, attn.out, mlp.down; weights and
    biases) is centred over the features of the stream, so that the stream's mean is 0 at every point.

    The given model is not changed and shares no memory with the new one. Dtypes stay as they are. A tied
    unembedding becomes a matrix of its own: the embedding must not be scaled. The model has LayerNorm
    (cfg.norm == "layer").

    Source: Nanda and Bloom 2022 (TransformerLens: `fold_ln`, `center_writing_weights`); Elhage et al. 2021,
        "Handling layer normalization".
    """
    folded = copy.deepcopy(model)
    if folded.unembed.weight is folded.tok_emb.weight:
        folded.unembed.weight = nn.Parameter(folded.unembed.weight.detach().clone())
    readers = [(folded.norm_f, folded.unembed)]
    writers = []
    for block in folded.blocks:
        writers += [block.attn.out, block.mlp.down]
        readers += [(block.norm1, block.attn.qkv), (block.norm2, block.mlp.up)]
    with torch.no_grad():
        for norm, linear in readers:
            moved = linear.weight @ norm.bias
            linear.bias = nn.Parameter(moved if linear.bias is None else linear.bias + moved)
            linear.weight *= norm.weight
            norm.weight.fill_(1.0)
            norm.bias.zero_()
        for embedding in (folded.tok_emb, folded.pos_emb):
            embedding.weight -= embedding.weight.mean(dim=1, keepdim=True)
        for linear in writers:
            linear.weight -= linear.weight.mean(dim=0)
            if linear.bias is not None:
                linear.bias -= linear.bias.mean()
    return folded


def ablate(
    model: TinyGPT,
    tokens: Tensor,
    heads: Sequence[tuple[int, int]],
    mode: str,
    reference: Tensor | None = None,
    gen: torch.Generator | None = None,
) -> Tensor:
    """Return the logits for tokens while the given heads, as (layer, head), write something else than what they computed.

    What takes the place of a head's z (`blocks.{l}.attn.z`, at every position):
    "zero": zeros.
    "mean": for each position the mean of that head's z over the sequences of `reference`, in an undisturbed
        run.
    "resample": the head's z in another row of `tokens`, in an undisturbed run. Row i takes it from row p(i),
        where the permutation p, one for all heads, leaves no row in its place. It is drawn from `gen`, by any
        rule that does not always draw the same.
    All other heads work as ever, on what they then get, and so do hooks that are on the model. Afterwards it
    is as it was.

    Shapes: tokens (b t), reference (n t) -> (b t d_vocab).
    Raises: ValueError when mode is none of the three, or when "resample" has a single row.
    Source: Wang et al. 2022, section 2.1 (mean ablation); Chan et al. 2022 (resampling).
    """
    if mode not in ("zero", "mean", "resample"):
        raise ValueError(f'mode="{mode}"; expected "zero", "mean" or "resample"')
    b = len(tokens)
    if mode == "resample" and b < 2:
        raise ValueError("resampling needs another row to take from")
    chosen: dict[str, list[int]] = {}
    for layer, head in heads:
        chosen.setdefault(f"blocks.{layer}.attn.z", []).append(head)
    order = torch.arange(b)
    while mode == "resample" and (order == torch.arange(b)).any():
        order = torch.randperm(b, generator=gen)
    source = run_with_cache(model, reference if mode == "mean" else tokens, chosen)[1]

    def replace(z: Tensor, name: str) -> Tensor:
        other = torch.zeros_like(z) if mode == "zero" else source[name].mean(dim=0) if mode == "mean" else source[name][order]
        z = z.clone()
        z[:, :, chosen[name]] = other[..., chosen[name], :]
        return z

    with Hooks(model, [(name, replace) for name in chosen]):
        return model(tokens)


def activation_patch(
    model: nn.Module, clean: Tensor, corrupt: Tensor, metric: Callable[[Tensor], Tensor], sites: Sequence[str]
) -> Tensor:
    """Measure how much of the clean result each activation of the clean run brings back into the corrupt run.

    metric(logits) is a number, as a tensor without dimensions. Entry [s, p] belongs to a run on `corrupt` in
    which the output of submodule sites[s] at position p (of axis 1), for all rows, is taken from the run on
    `clean`, and everything else is computed as ever:

        (metric of that run - metric of the corrupt run) / (metric of the clean run - metric of the corrupt run)

    0 means that nothing came back, 1 that everything did. No gradients are recorded; afterwards the model is
    as it was.

    Shapes: clean, corrupt (b t) -> (len(sites), t), in the dtype of the metric. Each site's output is (b t
        ...).
    Raises: ValueError when the clean and the corrupt metric are equal: there is nothing to bring back.
    Source: Meng et al. 2022, section 2.1; Zhang and Nanda 2023, section 2.1.
    """
    with torch.no_grad():
        clean_logits, cache = run_with_cache(model, clean, sites)
        best, worst = metric(clean_logits), metric(model(corrupt))
        if best == worst:
            raise ValueError("the clean and the corrupt run have the same metric")
        found = torch.zeros(len(sites), clean.shape[1], dtype=best.dtype)
        for s, site in enumerate(sites):
            for p in range(clean.shape[1]):

                def patch(value: Tensor, name: str, p: int = p) -> Tensor:
                    value = value.clone()
                    value[:, p] = cache[name][:, p]
                    return value

                with Hooks(model, [(site, patch)]):
                    found[s, p] = (metric(model(corrupt)) - worst) / (best - worst)
    return found


def attribution_patch(
    model: nn.Module, clean: Tensor, corrupt: Tensor, metric: Callable[[Tensor], Tensor], sites: Sequence[str]
) -> Tensor:
    """Estimate what activation_patch measures, to first order, from one forward pass on each input and one backward pass.

    Entry [s, p] is the change of the metric that its gradient, taken in the corrupt run at the output of
    sites[s], predicts for moving that output at position p from its corrupt to its clean value, over the
    difference of the metrics as in activation_patch. The metric is differentiable. It works as well when the
    model's parameters are frozen. No parameter's `.grad` changes, and the result carries no graph; afterwards
    the model is as it was.

    Shapes: clean, corrupt (b t) -> (len(sites), t), in the dtype of the metric. Each site's output is (b t
        ...).
    Raises: ValueError when the clean and the corrupt metric are equal.
    Source: Nanda 2023; Syed et al. 2023, section 3.
    """
    clean_logits, at_clean = run_with_cache(model, clean, sites)
    at_corrupt: dict[str, Tensor] = {}

    def watch(value: Tensor, name: str) -> Tensor:
        at_corrupt[name] = value if value.requires_grad else value.detach().requires_grad_()
        return at_corrupt[name]

    with torch.enable_grad(), Hooks(model, [(site, watch) for site in dict.fromkeys(sites)]):
        worst = metric(model(corrupt))
    best = metric(clean_logits).detach()
    if best == worst:
        raise ValueError("the clean and the corrupt run have the same metric")
    slopes = dict(zip(at_corrupt, torch.autograd.grad(worst, list(at_corrupt.values()), allow_unused=True), strict=True))
    found = torch.zeros(len(sites), clean.shape[1], dtype=best.dtype)
    for s, site in enumerate(sites):
        if slopes[site] is not None:
            moved = (at_clean[site] - at_corrupt[site].detach()) * slopes[site]
            found[s] = moved.transpose(0, 1).flatten(1).sum(dim=1) / (best - worst.detach())
    return found


def integrated_gradients(f: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """Attribute f(x) - f(baseline) to the entries of x: integrate the gradient along the straight line between the two.

    f gives one number per row, (n ...) -> (n), each row by itself; it may be asked with any number of rows at
    once. The integral is taken with `steps` points by the midpoint rule or by Gauss-Legendre: of each row f
    is asked at exactly `steps` points, all of them on the line, and the result is exact for a quadratic f
    from one point on.
    x is not modified, and the result carries no graph.

    Shapes: x (b ...), baseline the same or anything that broadcasts to it -> as x.
    Source: Sundararajan, Taly and Yan 2017, section 3 (the integral) and section 5 (its sum).
    """
    x = x.detach()
    way = x - baseline.detach()
    total = torch.zeros_like(x)
    for k in range(steps):
        point = (x - way * (1 - (k + 0.5) / steps)).requires_grad_()
        with torch.enable_grad():
            total += torch.autograd.grad(f(point).sum(), point)[0]
    return way * total / steps


def steering_vector(model: TinyGPT, pos: Tensor, neg: Tensor, layer: int, pos_mask: Tensor, neg_mask: Tensor) -> Tensor:
    """Return the direction from one kind of text to another: the difference of two means of the stream before block `layer`.

    Each mean is taken over all places where the kind's mask is true, every such place counting the same,
    whatever row it is in. Where the mask is false (padding, say) nothing is taken from. The result carries no
    graph; afterwards the model is as it was.

    Shapes: pos (b1 t1), neg (b2 t2), their masks alike, dtype bool, each with a true entry -> (d_model).
    Source: Turner et al. 2023, section 3 (activation addition); Rimsky et al. 2024, section 3 (difference of
        means).
    """
    site = f"blocks.{layer}.resid_pre"
    towards, away = (
        run_with_cache(model, tokens, [site])[1][site][mask].mean(dim=0) for tokens, mask in ((pos, pos_mask), (neg, neg_mask))
    )
    return towards - away


def steer(model: TinyGPT, tokens: Tensor, vector: Tensor, layer: int, alpha: float, mask: Tensor | None = None) -> Tensor:
    """Return the logits while alpha times the vector is added to the stream before block `layer`.

    It is added at every position of every row, or where the mask is true. With alpha = 0 the logits are those
    of the model, bit for bit. Afterwards the model is as it was.

    Shapes: tokens (b t), vector (d_model), mask (b t), dtype bool -> (b t d_vocab).
    Source: Turner et al. 2023, section 3; Rimsky et al. 2024, section 3.
    """
    where = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask

    def add(stream: Tensor, name: str) -> Tensor:
        return torch.where(where[..., None], stream + alpha * vector, stream)

    with Hooks(model, [(f"blocks.{layer}.resid_pre", add)]):
        return model(tokens)
