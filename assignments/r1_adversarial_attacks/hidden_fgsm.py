"""Hidden checks of R1, one step: fgsm with loss_gradient. Student and rng in, silence or a hint out.

The model is ours: `Threat` runs and judges every query. Values in float64 to 1e-9, since only a product, a softmax and a
sign are involved; an entry of a gradient that is compared by its sign is never small.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, integers, normal, pair, same, unchanged
from autograder.grading.threat import Threat, images
from autograder.sandbox.student import Student

FGSM = "r1_adversarial_attacks.fgsm"
F64 = torch.float64
Model = Callable[[Tensor], Tensor]


def _weights(rng: np.random.Generator, k: int, d: int) -> Tensor:
    """Rows whose differences have no small entry: no sign is in doubt."""
    return torch.from_numpy(rng.permuted(np.tile(np.arange(k)[:, None], (1, d)), axis=0) + rng.uniform(-0.2, 0.2, (k, d)))


def _two_classes(rng: np.random.Generator, d: int) -> tuple[Model, Tensor]:
    """A linear model of two classes, and by which sign each pixel favours class 1."""
    w = _weights(rng, 2, d) * torch.from_numpy(rng.uniform(0.1, 2, d))
    return (lambda x: x.flatten(1) @ w.T), (w[1] - w[0]).sign()


def _curved(rng: np.random.Generator, d: int, k: int) -> Model:
    """A smooth model; its gradient differs from example to example."""
    a, b, c = normal(rng, d, 9) / math.sqrt(d), normal(rng, 9), normal(rng, 9, k)
    return lambda x: torch.tanh(x.flatten(1).to(F64) @ a * 2 + b) @ c


@hidden(FGSM, weight=3, core=True)
def best_corner_of_a_linear_model(student: Student, rng: np.random.Generator) -> None:
    """With two classes and a linear model one step of sign(gradient) is the best attack there is, from one query at x."""
    for shape in ((5, 7), (4, 1, 3, 2), (1, 6), (3, 1)):
        x, eps = images(rng, *shape, gap=1e-3, low=0.3, high=0.7), float(rng.uniform(0.01, 0.2))
        model, favours = _two_classes(rng, math.prod(shape[1:]))
        y = integers(rng, 0, 2, shape[0])
        away = favours[None] * (1 - 2 * y)[:, None]  # towards the other class
        threat = Threat(model, x, 0.0)
        found = student.fn("fgsm")(threat, x, y, eps)
        what = f"fgsm of a linear model, x {shape}, eps={eps:.4g}"
        close(found, x + eps * away.reshape(shape), what, rtol=1e-9, slip="Each pixel moves by eps, up or down. Which way?")
        assert len(threat.queries) == 1, f"{what}: the model was asked {len(threat.queries)} times, once is enough."


@hidden(FGSM, weight=2)
def towards_a_target(student: Student, rng: np.random.Generator) -> None:
    """With targeted=True the classes named become likelier, by the step that a linear model favours most."""
    x, y, eps = images(rng, 6, 8, gap=1e-3, low=0.3, high=0.7), integers(rng, 0, 2, 6), float(rng.uniform(0.02, 0.2))
    model, favours = _two_classes(rng, 8)
    found = student.fn("fgsm")(Threat(model, x, 0.0), x, y, eps, targeted=True)
    towards = favours[None] * (2 * y - 1)[:, None]
    slip = "y are then the classes that the model shall say: their loss must fall."
    close(found, x + eps * towards, "fgsm, targeted=True, linear model", rtol=1e-9, slip=slip)
    model, eps = _curved(rng, 8, 5), 1e-3
    y = integers(rng, 0, 5, 6)
    found = finite(student.fn("fgsm")(Threat(model, x, 0.0), x, y, eps, True), "fgsm, targeted", x.shape, F64).detach()
    # A step of 1e-3: the curvature is too small to turn the change around, unless the gradient is.
    before, after = (float(F.cross_entropy(model(z), y)) for z in (x, found))
    assert after < before, f"targeted=True, 5 classes: the mean loss of the targets went from {before:.5f} to {after:.5f}. {slip}"


@hidden(FGSM, weight=2)
def clipped_to_the_box(student: Student, rng: np.random.Generator) -> None:
    """The result lies in [0, 1], or in the range that is given; a pixel that may move moves by eps."""
    for clip in (None, (-1.0, 2.0), (0.2, 0.7), (0.0, 255.0)):
        low, high = clip or (0.0, 1.0)
        x, y = images(rng, 9, 6, gap=1e-3, low=low, high=high), integers(rng, 0, 2, 9)
        x[0], x[1] = low, high
        eps = float(rng.uniform(0.2, 0.45)) * (high - low)
        model, favours = _two_classes(rng, 6)
        args = () if clip is None else (False, clip)
        found = student.fn("fgsm")(Threat(lambda z, m=model, r=high - low: m(z / r), x, 0.0, box=(low, high)), x, y, eps, *args)
        moved = x + eps * favours[None] * (1 - 2 * y)[:, None]
        expected = torch.minimum(torch.maximum(moved, torch.tensor(low, dtype=F64)), torch.tensor(high, dtype=F64))
        close(found, expected, f"fgsm with clip={clip or 'the default'}", rtol=1e-9, slip="Is the result, not the change, clipped?")


@hidden(FGSM, weight=2)
def gradient_of_each_example(student: Student, rng: np.random.Generator) -> None:
    """loss_gradient: each example's own loss and gradient, whatever the batch, for any loss, also with gradients off."""

    def squares(logits: Tensor, y: Tensor) -> Tensor:
        return (logits**2).sum(1) * (y + 1)

    def entropy(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits, y, reduction="none")

    for shape, loss in (((5, 4), None), ((7, 1, 2, 3), squares), ((1, 5), None)):
        model, x, y = _curved(rng, math.prod(shape[1:]), 4), images(rng, *shape, gap=1e-3), integers(rng, 0, 4, shape[0])
        leaf = x.clone().requires_grad_()
        own = (loss or entropy)(model(leaf), y)
        rows = [torch.autograd.grad(own[i], leaf, retain_graph=True)[0][i] for i in range(len(x))]
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                args = (Threat(model, x, 0.0, limit=1), x, y) if loss is None else (Threat(model, x, 0.0, limit=1), x, y, loss)
                losses, gradient = pair(student.fn("loss_gradient")(*args), "loss_gradient")
            case = f", x {shape}" + ("" if grad else ", called with gradients switched off")
            close(losses, own.detach(), f"losses{case}", rtol=1e-9, slip="One loss per example, not their mean.")
            slip = "Does an example's gradient depend on how many others there are? Is another loss ignored?"
            close(gradient, torch.stack(rows), f"gradient{case}", rtol=1e-9, slip=slip)
            assert not losses.requires_grad, f"losses{case} still require gradients."
            assert not gradient.requires_grad, f"gradient{case} still requires gradients."


@hidden(FGSM, weight=1)
def no_gradient_no_move(student: Student, rng: np.random.Generator) -> None:
    """Pixels that the model ignores stay where they are, exactly; tiny gradients count like large ones."""
    x, y = images(rng, 5, 8, gap=1e-3, low=0.3, high=0.7), integers(rng, 0, 2, 5)
    model, favours = _two_classes(rng, 8)
    seen = torch.tensor([True, False] * 4)
    for scale in (1.0, 1e-7):
        threat = Threat(lambda z, s=scale: model(torch.where(seen, z, 0.5)) * s, x, 0.0)
        found = finite(student.fn("fgsm")(threat, x, y, 0.1), "fgsm", x.shape, F64).detach()
        case = f"fgsm, a model that reads every second pixel, logits x {scale:g}"
        same(found[:, ~seen], x[:, ~seen], f"{case}: the other pixels", "The sign of 0 is 0.")
        moved = x + 0.1 * favours[None] * (1 - 2 * y)[:, None]
        close(
            found[:, seen], moved[:, seen], f"{case}: the pixels it reads", rtol=1e-9, slip="The size of the gradient is no matter."
        )


@hidden(FGSM, weight=1)
def nothing_is_left_behind(student: Student, rng: np.random.Generator) -> None:
    """The model is asked in eval mode; its gradients, the modes of its parts, x and the gradient of x are as before."""
    x, y = images(rng, 3, 1, 8, 8).float(), integers(rng, 0, 10, 3)
    model = _curved(rng, 64, 10)
    for name, args in (("fgsm", (0.1,)), ("loss_gradient", ())):
        threat = Threat(lambda z: model(z).float(), x, 0.0, eval_only=True)
        given = x.clone().requires_grad_()
        _, after = student.fn(name, return_args=True)(threat, given, y, *args)
        unchanged(after[1:3], [x, y], "x y", name)
        assert after[1].grad is None, f"{name} leaves a gradient in x.grad."
        net = student.module("DigitsNet", 4)
        net.part("conv2").call("eval")
        student.fn(name)(net, x, y, *args)
        modes = [net.get("training"), net.get("conv1.training"), net.get("conv2.training")]
        slip = f"{name} leaves the model and its parts in the modes {modes}, they were [True, True, False]. Is `evaluating` used?"
        assert modes == [True, True, False], slip
        for p in ("conv1.weight", "out.bias"):
            assert net.get(f"{p}.grad") is None, f"{name} leaves a gradient in the model's {p}. Who asked for that one?"
