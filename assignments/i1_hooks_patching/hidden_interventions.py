"""Hidden checks of I1: ablate, activation_patch, attribution_patch. Student and rng in, silence or a hint out.

Metrics are functions of the referee, so every number that is normalised was computed here, from logits that came over the line.
Tolerances as in hidden.py; patched effects are ratios and get 1e-8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

# The loader executes hidden.py first, under this name.
from bootcamp_hidden_i1_hooks_patching import F64, Oracle, as_before, draw_config, draw_model, draw_state, draw_tokens, give
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, evaluate, finite, normal, raises, same, sizes, tensor
from autograder.sandbox.student import Student, StudentModule

ABLATE = "i1_hooks_patching.ablate"
PATCH, ATTRIBUTION = "i1_hooks_patching.activation_patch", "i1_hooks_patching.attribution_patch"
Metric = Callable[[Any], Tensor]

# -- ablate ----------------------------------------------------------------------------------------------------------------


def _with_z(oracle: Oracle, tokens: Tensor, heads: list[tuple[int, int]], other: dict[str, Tensor]) -> Tensor:
    """Return the logits while the heads' z are those of `other`, which is full z by name, of any broadcastable batch."""

    def edit(name: str, value: Tensor) -> Tensor:
        if name not in other:
            return value
        out = value.clone()
        for layer, h in heads:
            if name == f"blocks.{layer}.attn.z":
                out[:, :, h] = other[name].expand_as(out)[:, :, h]
        return out

    return oracle.run(tokens, edit)[0]


def _z(oracle: Oracle, tokens: Tensor) -> dict[str, Tensor]:
    return {name: value for name, value in oracle.run(tokens)[1].items() if name.endswith("attn.z")}


def _heads(rng: np.random.Generator, oracle: Oracle) -> list[list[tuple[int, int]]]:
    """Draw sets of heads: one early, one late, two of one layer, some of both layers."""
    n = oracle.config["n_heads"]
    h, g = sizes(rng, 2, 0, n)
    return [[(0, h)], [(1, g)], [(1, h), (1, g)], [(1, g), (0, h), (0, g)]]


@hidden(ABLATE, weight=2, core=True)
def zeros(student: Student, rng: np.random.Generator) -> None:
    """Mode "zero": the heads write nothing, the others work on what they get then."""
    m, oracle = draw_model(student, rng)
    tokens = draw_tokens(rng, oracle, 3, 5)
    nothing = {name: torch.zeros_like(value) for name, value in _z(oracle, tokens).items()}
    for heads in _heads(rng, oracle):
        found = student.fn("ablate")(m, tokens, heads, "zero")
        slip = "Which layer, which head, and is everything after it computed anew?"
        close(found, _with_z(oracle, tokens, heads, nothing), f"logits with heads {heads} at zero", rtol=1e-9, slip=slip)


@hidden(ABLATE, weight=3)
def means(student: Student, rng: np.random.Generator) -> None:
    """Mode "mean": for each position the mean over the sequences of the reference batch, of an undisturbed run."""
    m, oracle = draw_model(student, rng)
    tokens, t = draw_tokens(rng, oracle, 3, 5), 5
    for n, heads in zip((4, 1, 7, 3), _heads(rng, oracle), strict=True):
        reference = draw_tokens(rng, oracle, n, t)
        mean = {name: value.sum(0, keepdim=True) / n for name, value in _z(oracle, reference).items()}
        found = student.fn("ablate")(m, tokens, heads, "mean", reference=reference)
        slip = "Over which axes, of which batch, and is the batch's own run undisturbed?"
        what = f"logits with heads {heads} at their mean over {n} sequences"
        close(found, _with_z(oracle, tokens, heads, mean), what, rtol=1e-9, slip=slip)


def _taken_from(oracle: Oracle, tokens: Tensor, heads: list[tuple[int, int]], found: Tensor, case: str) -> list[int]:
    """Find for every row which row's z explains the logits."""
    z, order = _z(oracle, tokens), []
    explained = [_with_z(oracle, tokens, heads, {name: value[j : j + 1] for name, value in z.items()}) for j in range(len(tokens))]
    for i in range(len(tokens)):
        fits = [j for j, logits in enumerate(explained) if (logits[i] - found[i]).abs().max() <= 1e-9 * logits[i].abs().max()]
        assert fits, f"{case}: no row of the batch explains row {i}: one row for all heads, from an undisturbed run?"
        order.append(fits[0])
    return order


def _rows(rng: np.random.Generator, oracle: Oracle, b: int, t: int) -> Tensor:
    """Draw tokens of which no two rows are equal, from their first position on."""
    tokens = draw_tokens(rng, oracle, b, t)
    tokens[:, 0] = torch.from_numpy(rng.permutation(oracle.config["d_vocab"])[:b])
    return tokens


def _resampled(
    student: Student, m: StudentModule, oracle: Oracle, tokens: Tensor, heads: list[tuple[int, int]], seed: int
) -> Tensor:
    gen = torch.Generator().manual_seed(seed)
    found = student.fn("ablate")(m, tokens, heads, "resample", gen=gen)
    return finite(found, f"logits with heads {heads} resampled", (*tokens.shape, oracle.config["d_vocab"]), F64).detach()


@hidden(ABLATE, weight=3)
def resamples(student: Student, rng: np.random.Generator) -> None:
    """Mode "resample": one permutation for all heads, no row keeps its own, drawn from gen and repeatable."""
    m, oracle = draw_model(student, rng)
    for b, heads in zip((2, 3, 4, 5), _heads(rng, oracle), strict=True):
        tokens, seed = _rows(rng, oracle, b, 4), int(rng.integers(1 << 30))
        first, second = (_resampled(student, m, oracle, tokens, heads, seed) for _ in range(2))
        what = f"heads {heads} resampled among {b} rows"
        same(second, first, f"{what}, again with gen in the same state", "Everything random comes from gen.")
        order = _taken_from(oracle, tokens, heads, first, what)
        stay = [i for i, j in enumerate(order) if i == j]
        assert not stay, f"{what}: row {stay[0] if stay else 0} keeps its own. No row may."
        assert len(set(order)) == b, f"{what}: taken from rows {order}. A permutation takes each row once."
    orders = set()
    for seed in range(16):
        found = _resampled(student, m, oracle, tokens, [(0, 0)], seed)
        order = _taken_from(oracle, tokens, [(0, 0)], found, "one head resampled among 5 rows")
        assert sorted(order) == [0, 1, 2, 3, 4], f"one head resampled among 5 rows: taken from rows {order}."
        assert not any(i == j for i, j in enumerate(order)), "one head resampled among 5 rows: a row keeps its own."
        orders.add(tuple(order))
    # A roll by a random number of rows has four outcomes, and is the same 16 times with 4^-15.
    assert len(orders) > 1, "over 16 seeds of gen the rows are always taken from the same rows. Is gen used?"


@hidden(ABLATE, weight=1)
def nothing_to_ablate(student: Student, rng: np.random.Generator) -> None:
    """Without heads the logits are the model's, bit for bit, and what stands before the first head is never touched."""
    m, oracle = draw_model(student, rng)
    tokens, reference = draw_tokens(rng, oracle, 3, 4), draw_tokens(rng, oracle, 2, 4)
    plain = evaluate(m, tokens)
    for mode in ("zero", "mean", "resample"):
        found = student.fn("ablate")(m, tokens, [], mode, reference=reference, gen=torch.Generator().manual_seed(1))
        same(tensor(found, "logits").detach(), plain, f'logits with no heads, mode "{mode}"')
    seen: list[Tensor] = []
    handle = m.part("blocks.0.mlp").call("register_forward_hook", lambda part, args, out: seen.append(out.detach()))
    evaluate(m, tokens)
    student.fn("ablate")(m, tokens, [(1, 0)], "zero")
    handle.call("remove")
    assert len(seen) > 1, "a permanent hook on blocks.0.mlp is not called in the ablated run."
    same(seen[-1], seen[0], "what blocks.0.mlp returns while a head of block 1 is ablated", "It comes before that head.")


@hidden(ABLATE, weight=1)
def ablation_leaves_nothing(student: Student, rng: np.random.Generator) -> None:
    """Afterwards the model is as it was; unknown modes and resampling one row are refused; tokens are not changed."""
    m, oracle = draw_model(student, rng)
    tokens, reference = draw_tokens(rng, oracle, 3, 4), draw_tokens(rng, oracle, 2, 4)
    plain, before = evaluate(m, tokens), tokens.clone()
    for mode in ("zero", "mean", "resample"):
        gen = torch.Generator().manual_seed(1)
        _, after = student.fn("ablate", return_args=True)(m, tokens, [(0, 1), (1, 0)], mode, reference, gen)
        same(after[1], before, f'tokens after ablate, mode "{mode}"')
        as_before(student, m, tokens, plain, f'ablate, mode "{mode}"')
    for mode in ("median", "Zero", ""):
        raises("ValueError", lambda mode=mode: student.fn("ablate")(m, tokens, [(0, 0)], mode, reference), f'mode="{mode}"')
    gen = torch.Generator().manual_seed(1)
    raises("ValueError", lambda: student.fn("ablate")(m, tokens[:1], [(0, 0)], "resample", gen=gen), "resampling a single row")
    as_before(student, m, tokens, plain, "what was refused")


# -- activation_patch ------------------------------------------------------------------------------------------------------


def _metric(rng: np.random.Generator, oracle: Oracle, b: int, t: int, at: int = -1) -> tuple[Metric, list[bool]]:
    """Draw a metric that is linear in the logits of one position; note for each call whether the logits carry a graph."""
    weights, graphs = normal(rng, b, oracle.config["d_vocab"]), []

    def metric(logits: Any) -> Tensor:
        found = finite(logits, "what the metric is given", (b, t, oracle.config["d_vocab"]), F64)
        graphs.append(found.requires_grad)
        return (found[:, at] * weights).sum() / b

    return metric, graphs


def _effects(oracle: Oracle, clean: Tensor, corrupt: Tensor, metric: Metric, sites: list[str]) -> Tensor:
    """Patch by brute force."""
    best, cache = oracle.run(clean)
    low, high = metric(oracle.run(corrupt)[0]), metric(best)

    def run(site: str, p: int) -> Tensor:
        def edit(name: str, value: Tensor) -> Tensor:
            if name != site:
                return value
            return torch.cat([value[:, :p], cache[name][:, p : p + 1], value[:, p + 1 :]], dim=1)

        return (metric(oracle.run(corrupt, edit)[0]) - low) / (high - low)

    rows = [torch.stack([run(site, p) for p in range(clean.shape[1])]) for site in sites]
    return torch.stack(rows) if rows else torch.zeros(0, clean.shape[1], dtype=F64)


def _pair(rng: np.random.Generator, oracle: Oracle, b: int, t: int) -> tuple[Tensor, Tensor]:
    """Draw two batches that differ at every place: the metrics are then not equal by accident."""
    clean = draw_tokens(rng, oracle, b, t)
    step = torch.from_numpy(rng.integers(1, oracle.config["d_vocab"], (b, t)))
    return clean, (clean + step) % oracle.config["d_vocab"]


SITES = ["blocks.1.attn.z", "blocks.0.resid_pre", "blocks.0.mlp", "blocks.1.resid_post", "blocks.0.attn.v"]


@hidden(PATCH, weight=3, core=True)
def sweep(student: Student, rng: np.random.Generator) -> None:
    """Every entry equals a run in which that one activation was exchanged, whatever kind of site it is."""
    for n_sites, (b, t) in ((5, (2, 4)), (1, (3, 5)), (0, (1, 3))):
        m, oracle = draw_model(student, rng)
        clean, corrupt = _pair(rng, oracle, b, t)
        metric, _ = _metric(rng, oracle, b, t)
        expected = _effects(oracle, clean, corrupt, metric, SITES[:n_sites])
        found = student.fn("activation_patch")(m, clean, corrupt, metric, SITES[:n_sites])
        slip = "Which run is patched, with what, at one position at a time; and which metric counts as 0, which as 1?"
        close(found, expected, f"effects at {n_sites} sites and {t} positions", rtol=1e-8, slip=slip)


def _planted(rng: np.random.Generator) -> tuple[Oracle, Tensor, Tensor, int, int]:
    """Make a model in which only one block's attention speaks, and sequences that differ in one token before the last.

    The answer sits in that token's column until the block, and in the last column from then on.
    """
    c = draw_config(rng, n_layers=3)
    state, block = draw_state(rng, c), int(rng.integers(3))
    for i in range(3):
        for part in ("mlp.down", "attn.out"):
            if (part, i) != ("attn.out", block):
                state[f"blocks.{i}.{part}.weight"] = torch.zeros_like(state[f"blocks.{i}.{part}.weight"])
    oracle, t = Oracle(c, state), 6
    where = int(rng.integers(t - 1))
    clean = draw_tokens(rng, oracle, 2, t)
    corrupt = clean.clone()
    corrupt[:, where] = (clean[:, where] + int(rng.integers(1, c["d_vocab"]))) % c["d_vocab"]
    return oracle, clean, corrupt, block, where


@hidden(PATCH, weight=2)
def planted_site(student: Student, rng: np.random.Generator) -> None:
    """In a model in which one block moves the answer from one place to the last, the sweep shows where and when."""
    oracle, clean, corrupt, block, where = _planted(rng)
    m = give(student, oracle.config, oracle.state)
    metric, _ = _metric(rng, oracle, *clean.shape)
    sites = [f"blocks.{i}.resid_pre" for i in range(3)] + ["blocks.2.resid_post"]
    found = finite(student.fn("activation_patch")(m, clean, corrupt, metric, sites), "effects", (4, 6), F64).detach()
    for i, site in enumerate(sites):
        place = where if i <= block else 5
        expected = torch.zeros(6, dtype=F64)
        expected[place] = 1.0
        what = f"effects at {site} when the answer stands at position {place} there"
        close(found[i], expected, what, rtol=0, atol=1e-7, slip="Is the patch undone before the next place is tried?")


@hidden(PATCH, weight=2)
def all_or_nothing(student: Student, rng: np.random.Generator) -> None:
    """Where everything is exchanged the effect is 1, where nothing that counts is exchanged it is exactly 0."""
    m, oracle = draw_model(student, rng)
    clean, corrupt = _pair(rng, oracle, 2, 5)
    at = int(rng.integers(1, 4))
    metric, _ = _metric(rng, oracle, 2, 5, at)
    found = finite(
        student.fn("activation_patch")(m, clean, corrupt, metric, ["blocks.1.resid_post", "blocks.0.resid_pre"]), "effects", (2, 5)
    ).detach()
    expected = torch.zeros(5, dtype=F64)
    expected[at] = 1.0
    close(found[0], expected, f"effects at the last stream, metric at position {at}", rtol=0, atol=1e-9)
    later = found[:, at + 1 :]
    same(later, torch.zeros_like(later), f"effects at positions after {at}, where the metric is", "Later positions cannot matter.")
    m, oracle = draw_model(student, rng)
    clean, corrupt = _pair(rng, oracle, 3, 1)
    metric, _ = _metric(rng, oracle, 3, 1)
    found = student.fn("activation_patch")(m, clean, corrupt, metric, ["blocks.0.resid_pre", "tok_emb"])
    close(found, torch.ones(2, 1, dtype=F64), "effects when there is one position only", rtol=1e-8)


@hidden(PATCH, weight=2)
def patching_leaves_nothing(student: Student, rng: np.random.Generator) -> None:
    """No gradients are recorded, the model and the inputs are as they were; equal metrics are refused."""
    m, oracle = draw_model(student, rng)
    clean, corrupt = _pair(rng, oracle, 2, 4)
    metric, graphs = _metric(rng, oracle, 2, 4)
    plain, before = evaluate(m, clean), [clean.clone(), corrupt.clone()]
    found, after = student.fn("activation_patch", return_args=True)(m, clean, corrupt, metric, SITES[:2])
    assert not tensor(found, "effects").requires_grad, "the effects carry a graph."
    assert not any(graphs), "the metric is given logits that require gradients: a sweep of many runs should record none."
    same(after[1], before[0], "clean after activation_patch")
    same(after[2], before[1], "corrupt after activation_patch")
    as_before(student, m, clean, plain, "activation_patch")
    raises("ValueError", lambda: student.fn("activation_patch")(m, clean, clean, metric, SITES[:1]), "clean equal to corrupt")
    as_before(student, m, clean, plain, "activation_patch that was refused")


# -- attribution_patch -----------------------------------------------------------------------------------------------------


def _first_order(oracle: Oracle, clean: Tensor, corrupt: Tensor, metric: Metric, sites: list[str]) -> Tensor:
    """Differentiate with respect to what is added to each site's output, at nothing added."""
    high, at_clean = oracle.run(clean)
    _, at_corrupt = oracle.run(corrupt)
    added = {site: torch.zeros_like(at_corrupt[site]).requires_grad_() for site in sites}
    low = metric(oracle.run(corrupt, lambda name, x: x + added[name] if name in added else x)[0])
    slopes = torch.autograd.grad(low, list(added.values()))
    rows = []
    for site, slope in zip(sites, slopes, strict=True):
        change = (slope * (at_clean[site] - at_corrupt[site])).movedim(1, -1)
        rows.append(change.reshape(-1, change.shape[-1]).sum(0) / (metric(high) - low.detach()))
    return torch.stack(rows)


def _linear(student: Student, rng: np.random.Generator) -> tuple[StudentModule, Oracle]:
    """Draw a model that is linear from the embeddings on: no norm, no activation, attention that looks everywhere alike."""
    c = draw_config(rng, norm="none", act="none")
    state, looks = draw_state(rng, c), 2 * c["n_heads"] * c["d_head"]
    for i in range(2):
        for kind in ("weight", "bias"):
            state[f"blocks.{i}.attn.qkv.{kind}"][:looks] = 0.0
    return give(student, c, state), Oracle(c, state)


@hidden(ATTRIBUTION, weight=3, core=True)
def first_order(student: Student, rng: np.random.Generator) -> None:
    """The gradient of the corrupt run, times the step from corrupt to clean, summed over all but the positions."""
    for n_sites, (b, t) in ((5, (2, 4)), (1, (3, 5)), (2, (1, 3))):
        m, oracle = draw_model(student, rng)
        clean, corrupt = _pair(rng, oracle, b, t)
        metric, _ = _metric(rng, oracle, b, t)
        expected = _first_order(oracle, clean, corrupt, metric, SITES[:n_sites])
        found = student.fn("attribution_patch")(m, clean, corrupt, metric, SITES[:n_sites])
        slip = "In which run is the gradient taken, which way does the step go, what is summed over?"
        close(found, expected, f"estimates at {n_sites} sites and {t} positions", rtol=1e-8, slip=slip)


@hidden(ATTRIBUTION, weight=3)
def exact_where_all_is_linear(student: Student, rng: np.random.Generator) -> None:
    """On a linear model the estimate is the patched effect itself, and the embeddings' estimates sum to 1."""
    m, oracle = _linear(student, rng)
    clean, corrupt = _pair(rng, oracle, 2, 4)
    metric, _ = _metric(rng, oracle, 2, 4)
    expected = _effects(oracle, clean, corrupt, metric, SITES)
    found = finite(student.fn("attribution_patch")(m, clean, corrupt, metric, SITES), "estimates", (5, 4), F64).detach()
    largest = float(expected.abs().max())
    close(found, expected, "estimates on a linear model, against patched effects", rtol=1e-8, slip="Compare sign and scale.")
    close(found[1].sum(), torch.tensor(1.0, dtype=F64), "sum of the estimates before block 0", rtol=0, atol=1e-8 * (1 + largest))


@hidden(ATTRIBUTION, weight=2)
def where_the_metric_is(student: Student, rng: np.random.Generator) -> None:
    """Positions after the metric's have estimate 0; a metric that bends is differentiated at the corrupt run."""
    m, oracle = draw_model(student, rng)
    clean, corrupt = _pair(rng, oracle, 2, 5)
    linear, _ = _metric(rng, oracle, 2, 5, 2)

    def bent(logits: Any) -> Tensor:
        return (linear(logits) / 3).exp()

    sites = ["blocks.0.resid_pre", "blocks.1.resid_pre", "blocks.1.mlp"]
    found = finite(student.fn("attribution_patch")(m, clean, corrupt, bent, sites), "estimates", (3, 5), F64).detach()
    same(found[:, 3:], torch.zeros(3, 2, dtype=F64), "estimates at positions after the metric's", "Later positions cannot matter.")
    expected = _first_order(oracle, clean, corrupt, bent, sites)
    close(found, expected, "estimates for a metric that is not linear in the logits", rtol=1e-8, slip="Gradient of which run?")


@hidden(ATTRIBUTION, weight=2)
def no_gradient_is_left(student: Student, rng: np.random.Generator) -> None:
    """Frozen parameters are no obstacle; no .grad changes, nothing stays on the model; equal metrics are refused."""
    m, oracle = draw_model(student, rng)
    clean, corrupt = _pair(rng, oracle, 2, 4)
    metric, _ = _metric(rng, oracle, 2, 4)
    plain = evaluate(m, clean)
    sites = ["blocks.0.resid_pre", "blocks.1.attn.z"]
    expected = _first_order(oracle, clean, corrupt, metric, sites)
    found = tensor(student.fn("attribution_patch")(m, clean, corrupt, metric, sites), "estimates")
    assert not found.requires_grad, "the estimates carry a graph."
    for part in ("unembed", "blocks.1.mlp.up", "tok_emb"):
        grad = m.part(part).part("weight").get("grad")
        assert grad is None, f"{part}.weight has a .grad after attribution_patch; it had none. Which gradients did you ask for?"
    as_before(student, m, clean, plain, "attribution_patch")
    m.call("requires_grad_", False)
    found = student.fn("attribution_patch")(m, clean, corrupt, metric, sites)
    close(found, expected, "estimates for a model whose parameters are frozen", rtol=1e-8)
    as_before(student, m, clean, plain, "attribution_patch on a frozen model")
    raises("ValueError", lambda: student.fn("attribution_patch")(m, clean, clean, metric, sites), "clean equal to corrupt")
