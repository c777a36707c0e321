"""Hidden checks of T2, KVCache and CachedLM. Student and rng in, silence or a hint out.

The oracle is a decoder of plain functions over a dict of weights, in float64, one head after the other, with rotations as
complex numbers; it never sees a cache. Logits agree to 1e-10: the same sums in another order. That keys are not computed
again is seen from outside: the weights are changed between two chunks, and old tokens must keep their old keys.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, evaluate, gradients, integers, load, normal, pair, raises, same, tensor
from autograder.sandbox.student import Student, StudentModule, StudentObject

CACHE = "t2_language_model.kv_cache"
F32, F64 = torch.float32, torch.float64
Config = dict[str, Any]
State = dict[str, Tensor]


def _config(rng: np.random.Generator, **choices: Any) -> Config:
    n_heads, d_head = int(rng.integers(2, 4)), 2 * int(rng.integers(2, 4))
    drawn = {"d_model": n_heads * d_head, "n_heads": n_heads, "n_layers": int(rng.integers(2, 4)), "d_vocab": 11, "n_ctx": 12}
    return {**drawn, "positions": "learned", **choices}


def _weights(rng: np.random.Generator, c: Config) -> State:
    d = c["d_model"]
    block = {"norm1.weight": (d,), "qkv.weight": (3 * d, d), "out.weight": (d, d), "norm2.weight": (d,)}
    block |= {"up.weight": (4 * d, d), "up.bias": (4 * d,), "down.weight": (d, 4 * d), "down.bias": (d,)}
    shapes: dict[str, tuple[int, ...]] = {
        "tok_emb.weight": (c["d_vocab"], d),
        "norm_f.weight": (d,),
        "unembed.weight": (c["d_vocab"], d),
    }
    shapes |= {"pos_emb.weight": (c["n_ctx"], d)} if c["positions"] == "learned" else {}
    shapes |= {f"blocks.{i}.{name}": shape for i in range(c["n_layers"]) for name, shape in block.items()}
    drawn = {}
    for name, shape in shapes.items():
        w = normal(rng, *shape)
        drawn[name] = 1 + 0.3 * w if "norm" in name else w * (1.5 / math.sqrt(d) if "qkv" in name else 0.7)
    return drawn


def _norm(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def _turn(x: Tensor, positions: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    rate = 10000.0 ** (-torch.arange(half, dtype=F64) / half)
    turned = torch.view_as_complex(x.reshape(*x.shape[:-1], half, 2).contiguous()) * torch.polar(
        torch.ones(len(positions), half, dtype=F64), positions.double()[:, None] * rate
    )
    return torch.view_as_real(turned).flatten(-2)


def _logits(states: list[tuple[State, int]], tokens: Tensor, c: Config) -> Tensor:
    """Return the logits of a text whose parts were read with different weights: (weights, number of tokens), in order.

    A token's stream, keys and values come from the weights with which it was read.
    """
    out, older = [], [(None, None)] * c["n_layers"]
    start = 0
    for s, n in states:
        part, positions = tokens[:, start : start + n], torch.arange(start, start + n)
        x = s["tok_emb.weight"][part]
        if c["positions"] == "learned":
            x = x + s["pos_emb.weight"][positions]
        for i in range(c["n_layers"]):
            w = {name.removeprefix(f"blocks.{i}."): p for name, p in s.items() if name.startswith(f"blocks.{i}.")}
            q, k, v = (_norm(x, w["norm1.weight"]) @ w["qkv.weight"].T).chunk(3, dim=-1)
            if c["positions"] == "rope":
                q, k = (torch.cat([_turn(h, positions) for h in y.chunk(c["n_heads"], -1)], -1) for y in (q, k))
            past_k, past_v = older[i]
            k, v = (k, v) if past_k is None else (torch.cat([past_k, k], 1), torch.cat([past_v, v], 1))
            older[i] = (k, v)
            heads = []
            for qh, kh, vh in zip(*(y.chunk(c["n_heads"], -1) for y in (q, k, v)), strict=True):
                scores = torch.einsum("bqd,bkd->bqk", qh, kh) / math.sqrt(qh.shape[-1])
                closed = torch.ones(n, start + n, dtype=torch.bool).triu(start + 1)
                heads.append(scores.masked_fill(closed, -math.inf).softmax(-1) @ vh)
            x = x + torch.cat(heads, -1) @ w["out.weight"].T
            hidden_units = F.gelu(_norm(x, w["norm2.weight"]) @ w["up.weight"].T + w["up.bias"])
            x = x + hidden_units @ w["down.weight"].T + w["down.bias"]
        out.append(_norm(x, s["norm_f.weight"]) @ s["unembed.weight"].T)
        start += n
    return torch.cat(out, dim=1)


def _model(student: Student, c: Config, state: State) -> StudentModule:
    m = student.module("CachedLM", student.make("LMConfig", **c))
    m.call("double")
    load(m, state, "CachedLM(cfg)")
    m.eval()
    return m


def _said(c: Config) -> str:
    return f'{c["n_layers"]} layers, positions="{c["positions"]}"'


def _close(value: Any, wanted: Tensor, what: str, slip: str) -> None:
    close(value, wanted, what, rtol=1e-10, slip=slip)


def _in_chunks(
    m: StudentModule, cache: StudentObject, tokens: Tensor, split: list[int], wanted: Tensor, case: str, slip: str
) -> None:
    """Feed the tokens in chunks and compare each chunk's logits with the whole text's."""
    start = 0
    for n in split:
        found = evaluate(m, tokens[:, start : start + n], cache=cache)
        what = f"{case}: logits of tokens {start} to {start + n - 1}, chunks {split}"
        _close(found, wanted[:, start : start + n], what, slip)
        start += n


@hidden(CACHE, weight=2, core=True)
def append_gives_all_so_far(student: Student, rng: np.random.Generator) -> None:
    """A cache returns everything of the layer, oldest first; layers and caches are apart; length counts tokens."""
    b, h, d, n_layers = 2, 3, 4, 3
    first, second = student.make("KVCache"), student.make("KVCache")
    for cache in (first, second):
        assert cache.call("length") == 0, f"A new cache has length {cache.call('length')!r}, expected 0. Is it shared with another?"
        kept: list[list[Tensor]] = [[] for _ in range(2 * n_layers)]
        total = 0
        for t in (3, 1, 2, 1):
            total += t
            for layer in range(n_layers):
                k, v = normal(rng, b, h, t, d), normal(rng, b, h, t, d)
                kept[2 * layer].append(k)
                kept[2 * layer + 1].append(v)
                all_k, all_v = pair(cache.call("append", layer, k, v), "what append returns")
                for name, found, parts in (("keys", all_k, kept[2 * layer]), ("values", all_v, kept[2 * layer + 1])):
                    what = f"{name} of layer {layer} after chunks of {[p.shape[2] for p in parts]}"
                    same(found, torch.cat(parts, 2), what, "Old ones first, along the axis of positions, layer by layer.")
            length = cache.call("length")
            slip = "Count tokens once, not once per layer."
            assert length == total, f"length() after {total} tokens in {n_layers} layers is {length!r}. {slip}"


@hidden(CACHE, weight=3, core=True)
def one_token_at_a_time(student: Student, rng: np.random.Generator) -> None:
    """Decoding token by token gives the logits of the whole text, in every row, with both kinds of positions."""
    for positions, b in (("learned", 3), ("rope", 2)):
        c = _config(rng, positions=positions)
        state = _weights(rng, c)
        m, tokens = _model(student, c, state), integers(rng, 0, c["d_vocab"], b, c["n_ctx"])
        wanted = _logits([(state, c["n_ctx"])], tokens, c)
        _close(
            evaluate(m, tokens), wanted, f"{_said(c)}: logits without a cache", "What is wrong without a cache is wrong with one."
        )
        cache = student.make("KVCache")
        slip = "Where do the new tokens stand, and which keys may they see?"
        _in_chunks(m, cache, tokens, [1] * c["n_ctx"], wanted, _said(c), slip)
        assert cache.call("length") == c["n_ctx"], f"{_said(c)}: length() is {cache.call('length')!r} after {c['n_ctx']} tokens."


@hidden(CACHE, weight=4)
def any_chunks_give_the_same(student: Student, rng: np.random.Generator) -> None:
    """Any split of a text into chunks gives the logits of the whole: prompts in parts, single tokens, all at once."""
    for positions in ("learned", "rope", "rope", "learned"):
        c = _config(rng, positions=positions)
        state, n = _weights(rng, c), c["n_ctx"]
        m, tokens = _model(student, c, state), integers(rng, 0, c["d_vocab"], int(rng.integers(1, 4)), n)
        wanted = _logits([(state, n)], tokens, c)
        cuts = sorted(int(i) for i in rng.choice(np.arange(1, n), 3, replace=False))
        for split in ([*np.diff([0, *cuts, n]).tolist()], [n], [4, 3, 1, 4], [1, n - 1]):
            slip = "Within a chunk a token sees the cache, itself and what came before, and stands behind all of the cache."
            _in_chunks(m, student.make("KVCache"), tokens, split, wanted, _said(c), slip)


@hidden(CACHE, weight=3)
def old_keys_are_kept(student: Student, rng: np.random.Generator) -> None:
    """When the weights change between two chunks, old tokens keep the keys and values that they got when they arrived."""
    for positions, split in (("rope", [5, 3]), ("learned", [4, 1, 2])):
        c = _config(rng, positions=positions)
        states = [(_weights(rng, c), n) for n in split]
        tokens = integers(rng, 0, c["d_vocab"], 2, sum(split))
        wanted = _logits(states, tokens, c)
        m, cache, start = _model(student, c, states[0][0]), student.make("KVCache"), 0
        for state, n in states:
            load(m, state, "CachedLM(cfg)")
            what = f"{_said(c)}: logits of tokens {start} to {start + n - 1}, after the weights were changed"
            slip = "Keys and values are computed once: what is in the cache is neither computed, rotated nor scaled again."
            _close(evaluate(m, tokens[:, start : start + n], cache=cache), wanted[:, start : start + n], what, slip)
            start += n


@hidden(CACHE, weight=2)
def caches_do_not_meet(student: Student, rng: np.random.Generator) -> None:
    """Two conversations in turn, each with its cache, and calls without one in between: nobody hears the other."""
    c = _config(rng, positions=str(rng.choice(["learned", "rope"])))
    state = _weights(rng, c)
    m = _model(student, c, state)
    texts = [integers(rng, 0, c["d_vocab"], b, 8) for b in (2, 1)]
    wanted = [_logits([(state, 8)], text, c) for text in texts]
    caches = [student.make("KVCache"), student.make("KVCache")]
    slip = "Is something kept outside of the cache that is given, or between calls without one?"
    for start, n in ((0, 3), (3, 1), (4, 4)):
        for text, want, cache, name in zip(texts, wanted, caches, ("first", "second"), strict=True):
            what = f"{name} of two conversations, tokens {start} to {start + n - 1}"
            _close(evaluate(m, text[:, start : start + n], cache=cache), want[:, start : start + n], what, slip)
        _close(evaluate(m, texts[0][:, :5]), wanted[0][:, :5], "five tokens without a cache, in between", slip)
    other = _model(student, c, {name: w * 0.7 for name, w in state.items()})
    fresh = student.make("KVCache")
    shrunk = _logits([({name: w * 0.7 for name, w in state.items()}, 4)], texts[1][:, :4], c)
    _close(evaluate(other, texts[1][:, :4], cache=fresh), shrunk, "another model with a new cache", slip)


@hidden(CACHE, weight=1)
def too_long_is_refused(student: Student, rng: np.random.Generator) -> None:
    """Tokens beyond n_ctx raise ValueError, those in the cache included, and the cache can be used as before."""
    for positions in ("learned", "rope"):
        c = _config(rng, positions=positions)
        state, n = _weights(rng, c), c["n_ctx"]
        m, tokens = _model(student, c, state), integers(rng, 0, c["d_vocab"], 2, n + 1)
        wanted = _logits([(state, n)], tokens[:, :n], c)
        raises("ValueError", lambda m=m, tokens=tokens: evaluate(m, tokens), f"{_said(c)}, n_ctx={n}: {n + 1} tokens")
        cache = student.make("KVCache")
        _in_chunks(m, cache, tokens, [n - 2], wanted, _said(c), "")
        what = f"{_said(c)}, n_ctx={n}: three tokens behind {n - 2} in the cache"
        raises("ValueError", lambda m=m, t=tokens, cache=cache: evaluate(m, t[:, -3:], cache=cache), what)
        slip = "After a refusal the cache should hold what it held before."
        _close(
            evaluate(m, tokens[:, n - 2 : n], cache=cache), wanted[:, n - 2 :], f"{_said(c)}: two tokens after the refusal", slip
        )


@hidden(CACHE, weight=1)
def it_still_learns(student: Student, rng: np.random.Generator) -> None:
    """Without a cache the model trains: gradients of all weights are those of the whole text, in float32 too."""
    c = _config(rng, positions=str(rng.choice(["learned", "rope"])))
    state = {name: w.float() for name, w in _weights(rng, c).items()}
    m = student.module("CachedLM", student.make("LMConfig", **c))
    load(m, state, "CachedLM(cfg)")
    tokens, upstream = integers(rng, 0, c["d_vocab"], 2, 6), normal(rng, 2, 6, c["d_vocab"], dtype=F32)
    own = dict(m.named_parameters())
    found = gradients(tensor(m(tokens), f"{_said(c)}: logits", upstream.shape, F32), own, upstream, f"{_said(c)}, float32")
    leaves = {name: w.double().requires_grad_() for name, w in state.items()}
    right = torch.autograd.grad(_logits([(leaves, 6)], tokens, c), list(leaves.values()), upstream.double())
    for name, wanted in zip(leaves, right, strict=True):
        close(found[name], wanted, f"{_said(c)}: gradient of {name}", rtol=2e-4, dtype=F32, slip="Is something detached?")
