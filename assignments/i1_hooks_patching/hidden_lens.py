"""Hidden checks of I1: logit_lens, direct_logit_attribution, fold_layernorm. Student and rng in, silence or a hint out.

Caches are made by the oracle and handed over, so that these exercises depend on no other. Tolerances as in hidden.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

# The loader executes hidden.py first, under this name.
from bootcamp_hidden_i1_hooks_patching import F64, Oracle, as_before, draw_config, draw_model, draw_state, draw_tokens, give
from torch import Tensor, nn

from autograder.grading.checks import hidden
from autograder.grading.compare import close, evaluate, finite, integers, normal, same, sizes
from autograder.sandbox.student import Student, StudentModule

LENS, DLA = "i1_hooks_patching.logit_lens", "i1_hooks_patching.direct_logit_attribution"
FOLD = "i1_hooks_patching.fold_layernorm"


def _streams(oracle: Oracle, cache: dict[str, Tensor]) -> list[Tensor]:
    return [cache["blocks.0.resid_pre"], *(cache[f"blocks.{i}.resid_post"] for i in range(oracle.n_layers))]


def _biased_unembedding(student: Student, rng: np.random.Generator, m: StudentModule, oracle: Oracle) -> Oracle:
    """Give the unembedding a bias, as a folded model has one."""
    bias = normal(rng, oracle.config["d_vocab"])
    m.part("unembed").set("bias", student.keep(nn.Parameter(bias)))
    return Oracle(oracle.config, {**oracle.state, "unembed.bias": bias})


# -- logit_lens ------------------------------------------------------------------------------------------------------------


@hidden(LENS, weight=2, core=True)
def ends_in_the_logits(student: Student, rng: np.random.Generator) -> None:
    """One entry more than there are blocks, and the last one is what the model says."""
    for n_layers in (1, 3):
        m, oracle = draw_model(student, rng, n_layers=n_layers)
        tokens = draw_tokens(rng, oracle, *sizes(rng, 2, 2, 6))
        logits, cache = oracle.run(tokens)
        found = finite(student.fn("logit_lens")(cache, m), f"the lens for {n_layers} blocks", (n_layers + 1, *logits.shape), F64)
        slip = "Is the final norm applied, with its bias, before unembedding?"
        close(found[-1], logits, f"the last of {n_layers + 1} entries, against the model's logits", rtol=1e-9, slip=slip)


@hidden(LENS, weight=3)
def every_entry(student: Student, rng: np.random.Generator) -> None:
    """Each entry is the stream at its place, normalised by its own statistics and unembedded."""
    for choices in ({}, {"tied": True, "n_layers": 3}, {"bias": False}, {"norm": "none"}):
        m, oracle = draw_model(student, rng, **choices)
        tokens = draw_tokens(rng, oracle, 3, 4)
        _, cache = oracle.run(tokens)
        found = finite(student.fn("logit_lens")(cache, m), "the lens", None, F64)
        assert len(found) == oracle.n_layers + 1, f"{oracle.n_layers} blocks, and the lens has {len(found)} entries."
        for i, stream in enumerate(_streams(oracle, cache)):
            expected = oracle.norm("norm_f", stream) @ oracle.unembedding.T
            slip = "Which stream stands there? Entry 0 belongs to the embeddings, entry l to the stream after l blocks."
            close(found[i], expected, f"entry {i} of {oracle.n_layers + 1}, {choices or 'as usual'}", rtol=1e-9, slip=slip)


@hidden(LENS, weight=2)
def statistics_of_its_own(student: Student, rng: np.random.Generator) -> None:
    """A stream that is scaled or shifted as a whole is read as before: each entry is normalised by itself."""
    m, oracle = draw_model(student, rng, eps=1e-12)
    tokens = draw_tokens(rng, oracle, 2, 5)
    _, cache = oracle.run(tokens)
    plain = finite(student.fn("logit_lens")(cache, m), "the lens")
    for name, entry in (("blocks.0.resid_pre", 0), ("blocks.0.resid_post", 1)):
        scale, shift = float(rng.uniform(3, 9)), float(rng.uniform(1, 4))
        edited = {**cache, name: cache[name] * scale + shift}
        if name == "blocks.0.resid_post":
            edited["blocks.1.resid_pre"] = edited[name]
        found = finite(student.fn("logit_lens")(edited, m), "the lens", plain.shape, F64)
        what = f"the lens after {name} was scaled and shifted"
        slip = "Mean and deviation belong to each stream itself."
        # eps is not quite nothing beside a variance: 1e-12 of it, and some rounding of the shifted numbers.
        close(found[entry], plain[entry], f"{what}, entry {entry}", rtol=1e-8, slip=slip)


@hidden(LENS, weight=1)
def cache_stays_and_bias_counts(student: Student, rng: np.random.Generator) -> None:
    """An unembedding with a bias adds it to every entry; the cache is not changed."""
    m, oracle = draw_model(student, rng)
    oracle = _biased_unembedding(student, rng, m, oracle)
    tokens = draw_tokens(rng, oracle, 2, 3)
    logits, cache = oracle.run(tokens)
    before = {name: value.clone() for name, value in cache.items()}
    found, (after, _) = student.fn("logit_lens", return_args=True)(cache, m)
    finite(found, "the lens", (3, *logits.shape), F64)
    expected = torch.stack([oracle.norm("norm_f", s) @ oracle.unembedding.T for s in _streams(oracle, cache)])
    close(found, expected + oracle.state["unembed.bias"], "the lens of a model whose unembed has a bias", rtol=1e-9)
    for name, value in before.items():
        same(after.get(name), value, f'cache["{name}"] after logit_lens', "The cache belongs to the caller.")


# -- direct_logit_attribution ----------------------------------------------------------------------------------------------


def _names(oracle: Oracle) -> list[str]:
    names = ["tok_emb", "pos_emb"]
    for i in range(oracle.n_layers):
        heads = [f"blocks.{i}.head.{h}" for h in range(oracle.config["n_heads"])]
        names += [*heads, f"blocks.{i}.attn_bias", f"blocks.{i}.mlp"]
    return [*names, "final_bias"]


def _parts(student: Student, m: StudentModule, oracle: Oracle, cache: dict[str, Tensor], pos: int, a: int, b: int) -> Any:
    """Ask for the attribution; assert that it has every part, of the right shape."""
    found = student.fn("direct_logit_attribution")(cache, m, pos, a, b)
    assert type(found) is dict, "the attribution must be a dict of parts."
    missing = [name for name in _names(oracle) if name not in found]
    assert not missing, f"{len(missing)} parts are missing, the first is {missing[0]}."
    assert len(found) == len(_names(oracle)), f"there are {len(found)} parts, expected {len(_names(oracle))}."
    rows = len(cache["tok_emb"])
    return {name: finite(found[name], f'part "{name}"', (rows,), F64).detach() for name in _names(oracle)}


def _expected(oracle: Oracle, cache: dict[str, Tensor], pos: int, a: int, b: int) -> dict[str, Tensor]:
    """The norm, frozen, is linear: fold it into one direction d and multiply what each component wrote by it."""
    d_model, last = oracle.config["d_model"], cache[f"blocks.{oracle.n_layers - 1}.resid_post"][:, pos]
    towards = oracle.unembedding[a] - oracle.unembedding[b]
    centre = torch.eye(d_model, dtype=F64) - 1 / d_model
    direction = centre @ (oracle.state["norm_f.weight"] * towards)
    spread = ((last @ centre).square().sum(-1) / d_model + oracle.config["eps"]).rsqrt()
    wrote = {"tok_emb": cache["tok_emb"][:, pos], "pos_emb": cache["pos_emb"][pos].expand_as(last)}
    for i in range(oracle.n_layers):
        z, out = cache[f"blocks.{i}.attn.z"][:, pos], oracle.state[f"blocks.{i}.attn.out.weight"]
        for h in range(z.shape[1]):
            alone = torch.zeros_like(z)
            alone[:, h] = z[:, h]
            wrote[f"blocks.{i}.head.{h}"] = alone.flatten(1) @ out.T
        bias = oracle.state.get(f"blocks.{i}.attn.out.bias", torch.zeros(d_model, dtype=F64))
        wrote[f"blocks.{i}.attn_bias"], wrote[f"blocks.{i}.mlp"] = bias.expand_as(last), cache[f"blocks.{i}.mlp"][:, pos]
    parts = {name: value @ direction * spread for name, value in wrote.items()}
    bias = oracle.state.get("unembed.bias", torch.zeros(oracle.config["d_vocab"], dtype=F64))
    return parts | {"final_bias": (oracle.state["norm_f.bias"] @ towards + bias[a] - bias[b]).expand(len(last))}


def _ask(rng: np.random.Generator, oracle: Oracle, b: int, t: int) -> tuple[Tensor, int, int, int]:
    tok_a, tok_b = sizes(rng, 2, 0, oracle.config["d_vocab"])
    return draw_tokens(rng, oracle, b, t), int(rng.integers(0, t)), tok_a, tok_b


@hidden(DLA, weight=3, core=True)
def parts_sum_to_the_difference(student: Student, rng: np.random.Generator) -> None:
    """Over models, positions and pairs of tokens the parts sum to the difference of the logits."""
    for case in range(5):
        m, oracle = draw_model(student, rng, n_layers=1 + case % 3)
        tokens, pos, a, b = _ask(rng, oracle, *sizes(rng, 2, 1, 7))
        logits, cache = oracle.run(tokens)
        parts = _parts(student, m, oracle, cache, pos, a, b)
        what = f"sum of the {len(parts)} parts at position {pos} of {tokens.shape[1]}"
        slip = "What does the final norm do to a sum? Is a bias counted twice, or never?"
        total = torch.stack(list(parts.values())).sum(0)
        # The parts may cancel: rounding is relative to the largest of them.
        largest = float(torch.stack(list(parts.values())).abs().max())
        close(total, logits[:, pos, a] - logits[:, pos, b], what, rtol=1e-9, atol=1e-9 * largest, slip=slip)


@hidden(DLA, weight=3)
def every_part_is_right(student: Student, rng: np.random.Generator) -> None:
    """Each part is what its component wrote, centred, scaled and read in the direction of the difference."""
    for _ in range(3):
        m, oracle = draw_model(student, rng)
        tokens, pos, a, b = _ask(rng, oracle, *sizes(rng, 2, 2, 7))
        _, cache = oracle.run(tokens)
        parts, expected = _parts(student, m, oracle, cache, pos, a, b), _expected(oracle, cache, pos, a, b)
        largest = max(float(x.abs().max()) for x in expected.values())
        for name, value in expected.items():
            slip = "Which numbers of the cache, which columns of attn.out, which bias does this part own?"
            close(parts[name], value, f'part "{name}"', rtol=1e-9, atol=1e-9 * largest, slip=slip)


@hidden(DLA, weight=2)
def each_part_alone(student: Student, rng: np.random.Generator) -> None:
    """When what one component wrote is doubled in the cache, its part doubles and no other part moves."""
    m, oracle = draw_model(student, rng)
    tokens, pos, a, b = _ask(rng, oracle, 3, 4)
    _, cache = oracle.run(tokens)
    plain = _parts(student, m, oracle, cache, pos, a, b)
    for i in range(oracle.n_layers):
        h = int(rng.integers(oracle.config["n_heads"]))
        z = cache[f"blocks.{i}.attn.z"].clone()
        z[:, :, h] *= 2
        edits = {
            f"blocks.{i}.head.{h}": {f"blocks.{i}.attn.z": z},
            f"blocks.{i}.mlp": {f"blocks.{i}.mlp": cache[f"blocks.{i}.mlp"] * 2},
        }
        for name, edit in edits.items():
            found = _parts(student, m, oracle, {**cache, **edit}, pos, a, b)
            largest = max(float(x.abs().max()) for x in plain.values())
            for other, value in plain.items():
                times = 2 if other == name else 1
                what = f'part "{other}" after what "{name}" wrote was doubled'
                slip = "A part depends on its own component and on the final norm's deviation only."
                close(found[other], times * value, what, rtol=1e-9, atol=1e-9 * largest, slip=slip)


@hidden(DLA, weight=2)
def without_biases_and_with(student: Student, rng: np.random.Generator) -> None:
    """Models without biases, with a tied matrix, with a bias of the unembedding; positions from the end; one row."""
    for choices in ({"bias": False}, {"tied": True}, {}):
        m, oracle = draw_model(student, rng, **choices)
        if not choices:
            oracle = _biased_unembedding(student, rng, m, oracle)
        tokens, pos, a, b = _ask(rng, oracle, 1, 5)
        _, cache = oracle.run(tokens)
        for at in (pos - 5, -1):
            parts, expected = _parts(student, m, oracle, cache, at, a, b), _expected(oracle, cache, at, a, b)
            largest = max(float(x.abs().max()) for x in expected.values())
            for name, value in expected.items():
                what = f'part "{name}" at position {at}, {choices or "unembed with a bias"}'
                close(parts[name], value, what, rtol=1e-9, atol=1e-9 * largest, slip="Read what the docstring says of biases.")


# -- fold_layernorm --------------------------------------------------------------------------------------------------------

_KINDS: tuple[dict[str, Any], ...] = ({}, {"bias": False}, {"tied": True, "n_layers": 1}, {"tied": True, "bias": False})


def _folded(student: Student, m: StudentModule) -> Any:
    folded = student.fn("fold_layernorm")(m)
    assert getattr(folded, "kind", "") == "module", "fold_layernorm must return a model."
    return folded


@hidden(FOLD, weight=3, core=True)
def same_logits(student: Student, rng: np.random.Generator) -> None:
    """The folded model computes what the model computed, with biases and without, tied and not."""
    for choices in _KINDS:
        m, oracle = draw_model(student, rng, **choices)
        tokens = draw_tokens(rng, oracle, 3, 5)
        found = evaluate(_folded(student, m), tokens)
        slip = "Which linear map reads each norm? What happens where it has no bias, or is shared with the embedding?"
        close(found, oracle.run(tokens)[0], f"logits of the folded model, {choices or 'as usual'}", rtol=1e-9, slip=slip)


@hidden(FOLD, weight=2, core=True)
def norms_do_nothing(student: Student, rng: np.random.Generator) -> None:
    """Every norm's weight becomes 1 and its bias 0, and it still normalises."""
    m, oracle = draw_model(student, rng)
    tokens = draw_tokens(rng, oracle, 2, 4)
    folded, d = _folded(student, m), oracle.config["d_model"]
    state = folded.state_dict()
    names = [f"blocks.{i}.norm{n}" for i in range(oracle.n_layers) for n in (1, 2)] + ["norm_f"]
    for name in names:
        same(state.get(f"{name}.weight"), torch.ones(d, dtype=F64), f"{name}.weight after folding", "All three kinds of norms.")
        same(state.get(f"{name}.bias"), torch.zeros(d, dtype=F64), f"{name}.bias after folding", "All three kinds of norms.")
    with torch.no_grad():
        _, seen = folded.capture(names, tokens)
    for name in names:
        value = finite(seen.get(name), f"output of {name}", (2, 4, d), F64)
        zero = torch.zeros(2, 4, dtype=F64)
        close(value.mean(-1), zero, f"mean of what {name} returns after folding", rtol=0, atol=1e-9)
        assert (value.square().mean(-1) > 0.05).all(), f"{name} no longer scales its input to length."


@hidden(FOLD, weight=2)
def writes_are_centred(student: Student, rng: np.random.Generator) -> None:
    """Everything that writes into the stream has mean 0 over its features, biases too."""
    for choices in ({}, {"bias": False}):
        m, oracle = draw_model(student, rng, **choices)
        tokens = draw_tokens(rng, oracle, 2, 4)
        names = ["tok_emb", "pos_emb"]
        names += [f"blocks.{i}.{part}" for i in range(oracle.n_layers) for part in ("attn", "mlp", "resid_post")]
        with torch.no_grad():
            _, seen = _folded(student, m).capture(names, tokens)
        for name in names:
            value = finite(seen.get(name), f"output of {name}")
            what = f"mean over the features of what {name} writes, after folding"
            slip = "Over which axis is a matrix centred that writes into the stream? And its bias?"
            close(value.mean(-1), torch.zeros(value.shape[:-1], dtype=F64), what, rtol=0, atol=1e-9, slip=slip)


@hidden(FOLD, weight=2)
def the_original_stays(student: Student, rng: np.random.Generator) -> None:
    """The given model is not changed, and shares no memory with the folded one."""
    for choices in ({}, {"tied": True, "bias": False}):
        m, oracle = draw_model(student, rng, **choices)
        tokens = draw_tokens(rng, oracle, 2, 4)
        before, plain = m.state_dict(), evaluate(m, tokens)
        folded = _folded(student, m)
        after = m.state_dict()
        assert set(after) == set(before), "after folding, the given model has other parameters than before."
        for name, value in before.items():
            same(after[name], value, f"{name} of the given model after folding", "Work on a copy, and a deep one.")
        folded.load_state_dict({name: torch.zeros_like(w) for name, w in folded.state_dict().items()})
        as_before(student, m, tokens, plain, "setting every weight of the folded model to 0")


@hidden(FOLD, weight=1)
def float32_stays_float32(student: Student, rng: np.random.Generator) -> None:
    """Parameters keep their dtype, new biases included; the embedding of a tied model is only centred."""
    c = draw_config(rng, tied=True, bias=False, dtype=torch.float32)
    state = {name: w.float() for name, w in draw_state(rng, c).items()}
    m = give(student, c, state)
    folded = _folded(student, m)
    wrong = [name for name, w in folded.state_dict().items() if w.dtype != torch.float32]
    assert not wrong, f"float32 model: {wrong[0]} has another dtype after folding."
    expected = state["tok_emb.weight"].double()
    expected = expected - expected.mean(1, keepdim=True)
    slip = "The embedding is not what reads the final norm, even where it was one matrix with the unembedding."
    found = folded.state_dict()["tok_emb.weight"]
    close(found, expected, "tok_emb.weight after folding a tied model", rtol=1e-5, dtype=torch.float32, slip=slip)
    tokens = integers(rng, 0, c["d_vocab"], 2, 4)
    plain = evaluate(m, tokens)
    close(evaluate(folded, tokens), plain.double(), "float32 logits after folding", rtol=1e-4, dtype=torch.float32)
