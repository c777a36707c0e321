"""Hidden checks of I1: integrated_gradients, steering_vector with steer. Student and rng in, silence or a hint out.

The function whose gradient is integrated is the referee's own: every query is seen and checked here.
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
from autograder.grading.compare import close, evaluate, finite, normal, same, sizes, tensor, unchanged
from autograder.sandbox.student import Student

GRADIENTS, STEER = "i1_hooks_patching.integrated_gradients", "i1_hooks_patching.steering_vector"
F = Callable[[Any], Tensor]

# -- integrated_gradients --------------------------------------------------------------------------------------------------


class Asked:
    """A function of rows that notes what it was asked."""

    def __init__(self, shape: tuple[int, ...], f: Callable[[Tensor], Tensor]) -> None:
        self.shape, self.f, self.rows = shape, f, []

    def __call__(self, x: Any) -> Tensor:
        found = finite(x, "what f is asked", None, F64)
        assert tuple(found.shape[1:]) == self.shape, f"f is asked with shape {tuple(found.shape)}, expected (n {self.shape})."
        self.rows.append(found.detach())
        return self.f(found)


def _quadratic(rng: np.random.Generator, d: int) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    bend, slope = normal(rng, d, d), normal(rng, d)
    return lambda x: torch.einsum("ni,ij,nj->n", x, bend, x) + x @ slope + 0.7, bend, slope


@hidden(GRADIENTS, weight=3, core=True)
def exact_for_quadratics(student: Student, rng: np.random.Generator) -> None:
    """For a quadratic function the attribution has a closed form, which any number of steps must give."""
    for steps in (1, 2, 5):
        n, d = sizes(rng, 2, 1, 7)
        f, bend, slope = _quadratic(rng, d)
        x, baseline = normal(rng, n, d), normal(rng, n, d)
        found = student.fn("integrated_gradients")(Asked((d,), f), x, baseline, steps)
        # The gradient is linear in the point, so its mean over the line is its value half way.
        expected = (x - baseline) * ((x + baseline) / 2 @ (bend + bend.T) + slope)
        slip = "At which points of the line is the gradient taken, and by what is their mean multiplied?"
        close(found, expected, f"attribution for a quadratic f, {steps} steps, x ({n} {d})", rtol=1e-9, slip=slip)


def _smooth(rng: np.random.Generator, d: int) -> Callable[[Tensor], Tensor]:
    """Draw a function whose second derivative along a unit vector is at most 0.77 x 2 + 1 < 2.6."""
    a, b = normal(rng, 6, d), normal(rng, 6)
    a, b = a / a.norm(dim=1, keepdim=True), 2 * b / b.abs().sum()
    return lambda x: torch.tanh(x.flatten(1) @ a.T) @ b + (x.flatten(1) @ a[0]).sin()


@hidden(GRADIENTS, weight=3)
def sums_to_the_difference(student: Student, rng: np.random.Generator) -> None:
    """Completeness: for a smooth function and 64 steps the attributions sum to f(x) - f(baseline)."""
    for shape in ((5,), (2, 3), (1,)):
        f, n = _smooth(rng, int(np.prod(shape))), int(rng.integers(2, 5))
        baseline, way = normal(rng, n, *shape), normal(rng, n, *shape).flatten(1)
        x = baseline + (1.2 * way / way.norm(dim=1, keepdim=True)).reshape(baseline.shape)
        found = finite(student.fn("integrated_gradients")(Asked(shape, f), x, baseline, 64), "attribution", x.shape, F64).detach()
        # The midpoint rule is off by the change of f'' along the line over 24 x 64^2, here at most 2 x 2.6 x 1.2^2 / 98304 < 8e-5.
        slip = "Sundararajan et al., section 5. Is the sum over the steps divided by their number?"
        what = f"sum of the attributions of each row {shape}, 64 steps, against f(x) - f(baseline)"
        close(found.flatten(1).sum(1), f(x) - f(baseline), what, rtol=0, atol=1e-4, slip=slip)


@hidden(GRADIENTS, weight=2)
def points_on_the_line(student: Student, rng: np.random.Generator) -> None:
    """f is asked at `steps` points per row, on the line from baseline to x, each row on its own line."""
    for steps in (1, int(rng.integers(4, 9))):
        d = int(rng.integers(3, 7))
        asked = Asked((d,), _smooth(rng, d))
        x, baseline = normal(rng, 3, d), normal(rng, 3, d)
        student.fn("integrated_gradients")(asked, x, baseline, steps)
        _on_their_lines(torch.cat(asked.rows), x, baseline, steps)


def _on_their_lines(rows: Tensor, x: Tensor, baseline: Tensor, steps: int) -> None:
    assert len(rows) == 3 * steps, f"3 rows, steps={steps}: f is asked for {len(rows)} rows, expected {3 * steps}."
    way, shares = x - baseline, [[] for _ in x]
    for row in rows:
        share = ((row - baseline) * way).sum(1) / way.square().sum(1)
        off = (baseline + share[:, None] * way - row).abs().amax(1)
        i = int(off.argmin())
        assert off[i] < 1e-9, "f is asked at a point that is on no line from a row's baseline to that row of x."
        assert -1e-9 <= share[i] <= 1 + 1e-9, "f is asked beyond the ends of the line between baseline and x."
        shares[i].append(float(share[i]))
    for i, places in enumerate(shares):
        assert len(places) == steps, f"row {i} is asked at {len(places)} points of its line, expected {steps}."
        mean = sum(places) / steps
        assert abs(mean - 0.5) < 1e-9, (
            f"row {i}, steps={steps}: the points lie at {mean:.3f} of the way on average, expected half way."
        )


@hidden(GRADIENTS, weight=2)
def baselines_and_blind_spots(student: Student, rng: np.random.Generator) -> None:
    """A baseline broadcasts; an input that f ignores, or that equals its baseline, gets 0; another formula of f changes nothing."""
    n, d = 4, int(rng.integers(4, 7))
    f, bend, slope = _quadratic(rng, d)
    x = normal(rng, n, d)
    for baseline in (normal(rng, d), normal(rng, 1, d), torch.zeros((), dtype=F64)):
        found = student.fn("integrated_gradients")(Asked((d,), f), x, baseline, 3)
        expected = (x - baseline) * ((x + baseline) / 2 @ (bend + bend.T) + slope)
        slip = "Where does the line begin?"
        close(found, expected, f"attribution with a baseline of shape {tuple(baseline.shape)}", rtol=1e-9, slip=slip)
    baseline = normal(rng, n, d)
    baseline[:, 1] = x[:, 1]
    blind = Asked((d,), lambda y: y[:, 1:].square().sum(1).exp().log() + y[:, 1] ** 3)
    found = finite(student.fn("integrated_gradients")(blind, x, baseline, 5), "attribution", (n, d), F64).detach()
    same(found[:, :2], torch.zeros(n, 2, dtype=F64), "attribution of an ignored input, and of one that is its baseline")
    plain = student.fn("integrated_gradients")(Asked((d,), lambda y: y[:, 1:].square().sum(1) + y[:, 1] ** 3), x, baseline, 5)
    close(found, tensor(plain, "attribution").detach(), "attribution of the same function, written differently", rtol=1e-8)


@hidden(GRADIENTS, weight=1)
def inputs_stay_as_they_are(student: Student, rng: np.random.Generator) -> None:
    """x and baseline are not modified, a graph on them is no obstacle, and the result carries none."""
    f, bend, slope = _quadratic(rng, 4)
    x, baseline = normal(rng, 3, 4).requires_grad_(), normal(rng, 3, 4)
    before = [x.detach().clone(), baseline.clone()]
    found, after = student.fn("integrated_gradients", return_args=True)(Asked((4,), f), x, baseline, 2)
    assert not tensor(found, "attribution").requires_grad, "the attribution carries a graph."
    unchanged([None, *(a.detach() for a in after[1:3])], [None, *before], "f x baseline", "integrated_gradients")
    assert after[1].grad is None, "x has a .grad after integrated_gradients; it had none."
    x = x.detach()
    expected = (x - baseline) * ((x + baseline) / 2 @ (bend + bend.T) + slope)
    close(found, expected, "attribution of an x that requires gradients", rtol=1e-9)


# -- steering_vector and steer ---------------------------------------------------------------------------------------------


def _kind(rng: np.random.Generator, oracle: Oracle, b: int, t: int) -> tuple[Tensor, Tensor]:
    """Draw texts of different lengths, padded on the right, and where they are: at least one place, not all."""
    lengths = torch.from_numpy(rng.integers(1, t + 1, b))
    lengths[0], lengths[-1] = t, max(1, t - 2)
    return draw_tokens(rng, oracle, b, t), torch.arange(t) < lengths[:, None]


def _mean(oracle: Oracle, tokens: Tensor, mask: Tensor, layer: int) -> Tensor:
    stream = oracle.run(tokens)[1][f"blocks.{layer}.resid_pre"]
    rows = [stream[i, j] for i in range(tokens.shape[0]) for j in range(tokens.shape[1]) if mask[i, j]]
    return torch.stack(rows).mean(0)


@hidden(STEER, weight=2, core=True)
def difference_of_means(student: Student, rng: np.random.Generator) -> None:
    """One mean over all places of the positive texts, minus one over all places of the negative ones."""
    for layer in (0, 1):
        m, oracle = draw_model(student, rng)
        (b1, t1), (b2, t2) = sizes(rng, 2, 2, 7), sizes(rng, 2, 2, 7)
        pos, neg = draw_tokens(rng, oracle, b1, t1), draw_tokens(rng, oracle, b2, t2)
        masks = torch.ones_like(pos, dtype=torch.bool), torch.ones_like(neg, dtype=torch.bool)
        found = student.fn("steering_vector")(m, pos, neg, layer, *masks)
        expected = _mean(oracle, pos, masks[0], layer) - _mean(oracle, neg, masks[1], layer)
        close(found, expected, f"vector before block {layer}", rtol=1e-9, slip="Which stream, which way round?")


@hidden(STEER, weight=2)
def places_that_count(student: Student, rng: np.random.Generator) -> None:
    """Only where the mask is true, every place alike: padding is left out, and long texts count more than short ones."""
    for layer in (0, 1):
        m, oracle = draw_model(student, rng)
        (pos, pos_mask), (neg, neg_mask) = _kind(rng, oracle, 4, 5), _kind(rng, oracle, 3, 6)
        if layer:
            neg_mask &= torch.from_numpy(rng.random((3, 6)) < 0.5)
            neg_mask[1, 2] = True
        found = student.fn("steering_vector")(m, pos, neg, layer, pos_mask, neg_mask)
        expected = _mean(oracle, pos, pos_mask, layer) - _mean(oracle, neg, neg_mask, layer)
        slip = "Are places outside the mask taken in, or texts averaged before they are pooled?"
        close(found, expected, f"vector before block {layer}, with masks", rtol=1e-9, slip=slip)


def _planted(rng: np.random.Generator) -> tuple[Oracle, Tensor]:
    """Make a model with silent blocks, in which the first half of the tokens has one direction more than the others.

    The last token, used for padding, stands far off. The unembedding reads the direction into token 0.
    """
    c = draw_config(rng, d_vocab=31, d_model=24, eps=1e-5)
    state = draw_state(rng, c)
    direction = normal(rng, 24)
    direction = direction - direction.mean()
    direction = direction / direction.norm()
    state["tok_emb.weight"] = 0.1 * normal(rng, 31, 24)
    state["tok_emb.weight"][:15] += 2 * direction
    state["tok_emb.weight"][30] = 40 * normal(rng, 24)
    state["pos_emb.weight"] *= 0.1
    state |= {name: torch.zeros_like(w) for name, w in state.items() if ".attn.out." in name or ".mlp.down." in name}
    state["norm_f.weight"], state["norm_f.bias"] = torch.ones(24, dtype=F64), torch.zeros(24, dtype=F64)
    state["unembed.weight"][0] = direction
    return Oracle(c, state), direction


@hidden(STEER, weight=2)
def planted_direction(student: Student, rng: np.random.Generator) -> None:
    """A direction that separates two kinds of tokens is found, past the padding, and more of it raises the logit that reads it."""
    oracle, direction = _planted(rng)
    m = give(student, oracle.config, oracle.state)
    (pos, pos_mask), (neg, neg_mask) = _kind(rng, oracle, 5, 6), _kind(rng, oracle, 4, 7)
    pos, neg = (pos % 15).where(pos_mask, 30), (15 + neg % 15).where(neg_mask, 30)
    vector = finite(student.fn("steering_vector")(m, pos, neg, 1, pos_mask, neg_mask), "vector", (24,), F64).detach()
    cosine = float(vector @ direction / vector.norm())
    assert cosine > 0.95, (
        f"the vector has cosine {cosine:.3f} with the planted direction, expected over 0.95. Padding stands far off."
    )
    tokens = draw_tokens(rng, oracle, 3, 4) % 30
    alphas = (-2.0, -0.5, 0.0, 0.7, 3.0)
    rises = [finite(student.fn("steer")(m, tokens, vector, 1, a), "logits", (3, 4, 31), F64).detach()[..., 0] for a in alphas]
    for low, high, a, b in zip(rises, rises[1:], alphas, alphas[1:], strict=False):
        falls = int((high <= low).sum())
        assert not falls, f"from alpha={a} to {b} the logit that reads the direction does not rise at {falls} of 12 places."


@hidden(STEER, weight=3, core=True)
def adds_everywhere(student: Student, rng: np.random.Generator) -> None:
    """alpha times the vector is added before the block, at every position of every row, before anything reads the stream."""
    for layer in (0, 1):
        m, oracle = draw_model(student, rng)
        tokens, vector = draw_tokens(rng, oracle, *sizes(rng, 2, 2, 6)), normal(rng, oracle.config["d_model"])
        for alpha in (float(rng.uniform(1, 3)), -0.5):
            site = f"blocks.{layer}.resid_pre"
            expected, _ = oracle.run(tokens, lambda n, x, s=site, v=alpha * vector: x + v if n == s else x)
            found = student.fn("steer")(m, tokens, vector, layer, alpha)
            slip = "To the stream itself, at all positions: which place of the block is that?"
            close(found, expected, f"logits steered before block {layer}, alpha={alpha:.2f}", rtol=1e-9, slip=slip)


@hidden(STEER, weight=1)
def only_where_the_mask_is(student: Student, rng: np.random.Generator) -> None:
    """With a mask the vector is added where it is true, and nothing else is disturbed before that place."""
    m, oracle = draw_model(student, rng)
    tokens, vector = draw_tokens(rng, oracle, 3, 5), 2 * normal(rng, oracle.config["d_model"])
    mask = torch.from_numpy(rng.random((3, 5)) < 0.4)
    mask[:, 0], mask[1, 3] = False, True
    expected, _ = oracle.run(tokens, lambda n, x: x + 1.5 * mask[..., None] * vector if n == "blocks.1.resid_pre" else x)
    found = finite(student.fn("steer")(m, tokens, vector, 1, 1.5, mask=mask), "logits", expected.shape, F64).detach()
    close(found, expected, "logits steered where the mask is true", rtol=1e-9, slip="Each row has a mask of its own.")
    nowhere = student.fn("steer")(m, tokens, vector, 0, 1.5, torch.zeros(3, 5, dtype=torch.bool))
    same(tensor(nowhere, "logits").detach(), evaluate(m, tokens), "logits steered nowhere")


@hidden(STEER, weight=1)
def steering_leaves_nothing(student: Student, rng: np.random.Generator) -> None:
    """alpha = 0 is the model, bit for bit; afterwards the model and the arguments are as they were; the vector has no graph."""
    m, oracle = draw_model(student, rng)
    (pos, pos_mask), (neg, neg_mask) = _kind(rng, oracle, 3, 4), _kind(rng, oracle, 2, 5)
    plain, before = evaluate(m, pos), [pos.clone(), neg.clone(), pos_mask.clone(), neg_mask.clone()]
    vector, after = student.fn("steering_vector", return_args=True)(m, pos, neg, 1, pos_mask, neg_mask)
    assert not tensor(vector, "vector", (oracle.config["d_model"],)).requires_grad, "the steering vector carries a graph."
    unchanged([*after[1:3], *after[4:6]], before, "pos neg pos_mask neg_mask", "steering_vector")
    as_before(student, m, pos, plain, "steering_vector")
    kept = vector.clone()
    for alpha in (0.0, 2.0):
        found, after = student.fn("steer", return_args=True)(m, pos, vector, 0, alpha)
        same(after[2], kept, "the vector after steer", "Nothing of the caller's is changed in place.")
        if not alpha:
            same(tensor(found, "logits").detach(), plain, "logits with alpha = 0, against the model's own")
        as_before(student, m, pos, plain, f"steer with alpha={alpha}")
