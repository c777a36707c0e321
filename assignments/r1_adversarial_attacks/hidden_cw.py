"""Hidden checks of R1, the nearest mistake: cw_l2. Student and rng in, silence or a hint out.

`Threat` runs every query, with the box but without a ball. The oracles: the distance to the boundary of a linear model in
closed form, and the documented minimisation, replayed in numpy for a linear model for as long as it is smooth.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, integers, normal, pair, same, tensor, unchanged
from autograder.grading.threat import Threat, Unjudged, images
from autograder.sandbox.student import Student

CW = "r1_adversarial_attacks.cw_l2"
F64 = torch.float64
Model = Callable[[Tensor], Tensor]


def _linear(w: Tensor, b: Tensor | float = 0.0) -> Model:
    return lambda x: x.flatten(1) @ w.T + b


def _margin(logits: Tensor, y: Tensor) -> Tensor:
    own = torch.zeros_like(logits).scatter(1, y[:, None], 1.0).bool()
    return logits.masked_fill(own, -math.inf).amax(1) - logits[own]


def _result(
    student: Student, model: object, x: Tensor, y: Tensor, what: str, *args: object, **kwargs: object
) -> tuple[Tensor, Tensor]:
    adv, found = pair(student.fn("cw_l2")(model, x, y, *args, **kwargs), what)
    adv = finite(adv, f"{what}: adv", x.shape, x.dtype).detach()
    assert float(adv.min()) >= 0, f"{what}: adv has a pixel of {float(adv.min()):.4g}."
    assert float(adv.max()) <= 1, f"{what}: adv has a pixel of {float(adv.max()):.4g}."
    return adv, tensor(found, f"{what}: found", (len(x),), torch.bool)


def _named(x: Tensor) -> Tensor:
    """Give each example a first pixel of its own, by which its rows are known again: no model here depends on it."""
    x = x.clone()
    x[:, 0] = (torch.arange(len(x)) + 1) / 16
    return x


def _owner(rows: Tensor) -> Tensor:
    return (rows.flatten(1)[:, 0] * 16).round().long() - 1


@hidden(CW, weight=3, core=True)
def distance_to_a_linear_boundary(student: Student, rng: np.random.Generator) -> None:
    """For a linear model the nearest mistake is known: what is found is a mistake, and less than 2 % further away."""
    for shape, k in (((5, 9), 3), ((4, 1, 3, 5), 2)):
        d = math.prod(shape[1:])
        # Orthogonal rows of one length: then the likeliest other class is also the one with the nearest boundary.
        w = 2 * torch.linalg.qr(normal(rng, d, k))[0].T
        model = lambda z, w=w: (z.flatten(1) - 0.5) @ w.T  # noqa: E731
        drawn = torch.from_numpy(rng.uniform(0.35, 0.65, (3000, d)))
        top = model(drawn).topk(2).values
        distance = (top[:, 0] - top[:, 1]) / (w[0] - w[1]).norm()
        chosen = ((distance > 0.05) & (distance < 0.15)).nonzero()[: shape[0], 0]
        x, expected = drawn[chosen].reshape(shape), distance[chosen]
        y = model(x).argmax(1)
        what = f"cw_l2 of a linear model, x {shape}, {k} classes"
        adv, found = _result(student, Threat(model, x), x, y, what, 3, 100, c=0.3)
        assert found.all(), f"{what}: nothing was found for {int((~found).sum())} of {shape[0]} examples."
        assert (_margin(model(adv), y) > 0).all(), f"{what}: adv is not misclassified, though found says so."
        reached = (adv - x).flatten(1).norm(dim=1)
        i = int((reached / expected).argmax())
        told = f"{what}, example {i}: distance {float(reached[i]):.4f}, the boundary is at {float(expected[i]):.4f}"
        assert (reached <= 1.02 * expected + 5e-4).all(), f"{told}. Of all mistakes that were met, is the nearest one returned?"


@hidden(CW, weight=2)
def found_or_flagged(student: Student, rng: np.random.Generator) -> None:
    """found says for each example whether adv is a mistake; where there is none adv is x; what is wrong already stays near."""
    d = 6
    w = 3 * torch.linalg.qr(normal(rng, d, 3))[0].T
    w[:, 0] = 0
    x = _named(images(rng, 9, d, gap=0.0, low=0.3, high=0.7))
    kind = torch.arange(9) % 3
    y = ((x - 0.5) @ w.T).argmax(1)
    y[kind == 2] = (y[kind == 2] + 1) % 3  # wrong from the start

    def model(z: Tensor) -> Tensor:
        owner = _owner(z.detach())
        sure = F.one_hot(y[owner], 3) * 500.0 * (kind[owner] == 1)[:, None]
        return (z - 0.5) @ w.T + sure

    adv, found = _result(student, Unjudged(model), x, y, "cw_l2, examples that can, cannot and need not be fooled", 4, 60, c=0.1)
    wrong = _margin(model(adv), y) > 0
    assert not found[kind == 1].any(), "found is True for an example that cannot be fooled."
    close(adv[kind == 1], x[kind == 1], "adv where nothing was found", rtol=0, atol=1e-4, slip="Nothing found: x comes back.")
    assert found[kind == 0].all(), "found is False for an example that is easily fooled. Does one example's failure count for all?"
    assert wrong[found].all(), "found is True, but the model is right about adv."
    assert found[kind == 2].all(), "found is False for an example that the model gets wrong as it is."
    slip = "The nearest mistake is x itself."
    close(adv[kind == 2], x[kind == 2], "adv for what was wrong from the start", rtol=0, atol=2e-3, slip=slip)


@hidden(CW, weight=2)
def in_the_box_by_construction(student: Student, rng: np.random.Generator) -> None:
    """Pixels of 0 and 1 are no trouble: every query is finite and within [0, 1], and the budget is kept."""
    for dtype in (torch.float32, F64):
        x = _named(torch.from_numpy(rng.choice([0.0, 1.0, 0.5, 0.02], (5, 9)))).to(dtype).reshape(5, 3, 3)
        w = normal(rng, 4, 9).to(dtype) * 4
        w[:, 0] = 0
        model = _linear(w)
        y = model(x).argmax(1)
        threat = Threat(model, x, limit=3 * 41, owner=_owner)
        _result(student, threat, x, y, f"cw_l2, pixels of 0 and 1, {dtype}", 3, 40)
        rows = torch.cat([q.rows for q in threat.queries])
        assert float(rows.min()) >= 0 <= 1 - float(rows.max()), "cw_l2: a query has pixels outside [0, 1]."
        for i in range(5):
            first, n = threat.of(i)[0][0], len(threat.of(i)[0])
            close(first, x[i], f"first query about example {i}", rtol=0, atol=2e-3, dtype=dtype, slip="w starts where x' is x.")
            assert n in (120, 123), f"{n} queries about an example, expected 3 x 40, or one more for each c."
    # Here every pixel that matters is 0 or 1, and must come in from there.
    x = _named(torch.from_numpy(rng.choice([0.0, 1.0], (4, 7))))
    inward = 0.5 - x[0]
    x[:, 1:] = x[0, 1:]
    inward[0] = 0
    model = lambda z: torch.stack([0 * z[:, 0], (z - x[0]) @ inward - 0.3], 1)  # noqa: E731
    _, found = _result(student, Unjudged(model), x, torch.zeros(4, dtype=torch.int64), "cw_l2", 2, 60, c=10.0, lr=0.3)
    slip = "Pixels of exactly 0 or 1 must be able to move: where is w then?"
    assert found.all(), f"images of pixels that are 0 or 1, 60 steps of lr=0.3: nothing was found. {slip}"


@hidden(CW, weight=2)
def nearest_of_all_that_was_met(student: Student, rng: np.random.Generator) -> None:
    """Of all points that were asked about and misclassified, over every c, the nearest comes back, for each example."""
    # Until the last mistake that was met is not the nearest, for some example: on few draws it is for all.
    for _ in range(5):
        if _last_is_not_nearest(student, rng):
            break


def _last_is_not_nearest(student: Student, rng: np.random.Generator) -> bool:
    """Check the result on one curved model; return whether it told the nearest mistake from the last one."""
    d, tells = 7, False
    a, b, c = normal(rng, d, 10) * 2, normal(rng, 10), normal(rng, 10, 4) * 2
    a[0] = 0
    model = lambda x: torch.tanh(x @ a + b) @ c  # noqa: E731
    x = _named(images(rng, 6, d, gap=0.0, low=0.2, high=0.8))
    y = model(x).argmax(1)
    threat = Threat(model, x, owner=_owner)
    adv, found = _result(student, threat, x, y, "cw_l2, a curved model", 5, 60, c=0.3, lr=0.05)
    for i in range(6):
        rows, logits = threat.of(i)
        wrong = _margin(logits, y[i].expand(len(rows))) > 0
        assert bool(found[i]) == bool(wrong.any()), (
            f"found[{i}] is {bool(found[i])}, {int(wrong.sum())} queries were misclassified."
        )
        if wrong.any():
            distances = (rows[wrong] - x[i]).norm(dim=1)
            nearest, reached = float(distances.min()), float((adv[i] - x[i]).norm())
            said = f"example {i}: distance {reached:.5f}, a mistake at {nearest:.5f} had been met"
            assert reached <= nearest + 1e-6, f"{said}. The nearest of all steps and of all values of c is asked for."
            tells |= float(distances[-1]) > nearest + 1e-4
    return tells


@hidden(CW, weight=3)
def searches_c_for_each_example(student: Student, rng: np.random.Generator) -> None:
    """c grows tenfold until it is large enough, then the interval is halved, for each example by itself; Adam begins anew."""
    d, steps, n_c, lr, first = 6, 70, 4, 0.008, 0.005
    w = torch.stack([torch.zeros(d, dtype=F64), torch.from_numpy(rng.choice([-1.0, 1.0], d) * rng.uniform(0.8, 1.2, d))])
    w[:, 0] = 0
    length = float(w[1].norm())
    # The first c is enough for none of these distances, ten times it for two of them, a hundred times it for all.
    reach = torch.tensor([0.03, 0.04, 0.2, 0.33], dtype=F64)
    noise = normal(rng, 4, d) * 0.02
    noise = noise - (noise @ w[1] / length**2)[:, None] * w[1]
    x = _named(0.5 + noise - reach[:, None] * w[1] / length)
    y = torch.zeros(4, dtype=torch.int64)
    centred = lambda z: (z - 0.5) @ w.T  # noqa: E731
    threat = Threat(centred, x, owner=_owner)
    _result(student, threat, x, y, "cw_l2, a linear model of two classes", n_c, steps, c=first, lr=lr)
    for i in range(4):
        rows, logits = threat.of(i)
        per_c = len(rows) // n_c
        assert per_c in (steps, steps + 1), f"example {i}: {len(rows)} queries for {n_c} values of c and {steps} steps."
        c, small, enough = first, 0.0, math.inf
        for k in range(n_c):
            part = slice(k * per_c, k * per_c + per_c)
            # Until the boundary is near the objective is smooth. The first pixel is left out: the model ignores it, and Adam
            # makes steps of full length of whatever rounding leaves there.
            path = _path(w, x[i], c, lr, steps)
            smooth = int((path["margin"] < -0.005).cumprod().sum())
            what = f"example {i}, value number {k + 1} of c (should be {c:.4g})"
            slip = "Was c large enough before? Then half way down; else half way up, or tenfold. Adam begins anew at x."
            for t in range(min(smooth, steps)):
                expected = torch.from_numpy(path["images"][t, 1:])
                close(rows[part][t][1:], expected, f"{what}: image at step {t}", rtol=0, atol=1e-3, slip=slip)
            succeeded = bool((_margin(logits[part], y[i].expand(per_c)) > 0).any())
            small, enough = (small, c) if succeeded else (c, enough)
            c = 10 * c if enough == math.inf else (small + enough) / 2


def _path(w: Tensor, x: Tensor, c: float, lr: float, steps: int) -> dict[str, np.ndarray]:
    """Replay the minimisation for one example of class 0 of the centred linear model; images and margins, step by step."""
    slope, clean = (w[1] - w[0]).numpy(), x.numpy()
    u = np.arctanh(2 * clean - 1)
    m, v, images, margins = np.zeros_like(u), np.zeros_like(u), [], []
    for t in range(1, steps + 1):
        image = (np.tanh(u) + 1) / 2
        images.append(image)
        margins.append((image - 0.5) @ slope)
        g = 2 * (image - clean) - (c * slope if margins[-1] < 0 else 0 * slope)
        g = g * (1 - np.tanh(u) ** 2) / 2
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        u = u - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return {"images": np.array(images), "margin": np.array(margins)}


@hidden(CW, weight=1)
def cw_leaves_nothing_behind(student: Student, rng: np.random.Generator) -> None:
    """Eval mode at every query, modes and gradients as before, no randomness, x unchanged; it works with gradients off."""
    x, y = images(rng, 2, 1, 8, 8).float(), integers(rng, 0, 10, 2)
    w = normal(rng, 10, 64).float()
    threat = Threat(_linear(w), x, eval_only=True)
    result, after = student.fn("cw_l2", return_args=True)(threat, x, y, 2, 5)
    unchanged(after[1:3], [x, y], "x y", "cw_l2")
    with torch.no_grad():
        again, _ = pair(student.fn("cw_l2")(threat, x, y, 2, 5), "cw_l2")
    same(again, finite(pair(result, "cw_l2")[0], "adv").detach(), "cw_l2, called again with gradients off")
    net = student.module("DigitsNet", 4)
    net.part("conv2").call("eval")
    student.fn("cw_l2")(net, x, y, 1, 3)
    modes = [net.get("training"), net.get("conv1.training"), net.get("conv2.training")]
    assert modes == [True, True, False], (
        f"cw_l2 leaves the model and its parts in the modes {modes}, they were [True, True, False]."
    )
    assert net.get("out.bias.grad") is None, "cw_l2 leaves gradients in the model's parameters."
