"""Hidden checks of R1, through a defence: eot_gradient with bpda. Student and rng in, silence or a hint out.

The transformation is ours and notes the seeds that it is given, so that the right average is known to rounding; its law is
checked on top, against an integral. Values in float64 to 1e-9.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, gradients, integers, normal, same, unchanged
from autograder.grading.threat import Threat, Unjudged
from autograder.sandbox.student import Student

EOT = "r1_adversarial_attacks.eot_gradient"
F64 = torch.float64
Model = Callable[[Tensor], Tensor]


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _curved(rng: np.random.Generator, d: int, k: int) -> Model:
    a, b, c = normal(rng, d, 9) * 2 / math.sqrt(d), normal(rng, 9), normal(rng, 9, k)
    return lambda x: torch.tanh(x.flatten(1).double() @ a + b) @ c


class _Affine:
    """x -> a x + noise, both drawn from the seed for every example and pixel; notes what it was asked."""

    def __init__(self, spread: float = 0.3) -> None:
        self.spread, self.seeds, self.inputs = spread, [], []

    def __call__(self, x: Tensor, seed: int) -> Tensor:
        assert type(seed) is int, "transform(x, seed): the seed must be a whole number (int)."
        assert 0 <= seed < 2**31, f"transform(x, seed): seed {seed} is outside 0, ..., 2^31 - 1."
        self.seeds.append(seed)
        self.inputs.append(x.detach().clone())
        return self.apply(x, seed)

    def apply(self, x: Tensor, seed: int) -> Tensor:
        gen = torch.Generator().manual_seed(seed)
        gain = 1 + self.spread * torch.randn(x.shape, generator=gen, dtype=x.dtype)
        return gain * x + self.spread * torch.randn(x.shape, generator=gen, dtype=x.dtype)


def _right(model: Model, transform: _Affine, x: Tensor, y: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    losses = [F.cross_entropy(model(transform.apply(leaf, s)), y, reduction="sum") for s in transform.seeds]
    return torch.autograd.grad(torch.stack(losses).mean(), leaf)[0]


@hidden(EOT, weight=3, core=True)
def mean_of_the_gradients(student: Student, rng: np.random.Generator) -> None:
    """The average of the gradients at n transformed inputs, each example's own, taken at x itself."""
    for shape, n in (((5, 4), 6), ((3, 1, 2, 3), 9), ((1, 5), 1)):
        model, x, y = _curved(rng, math.prod(shape[1:]), 4), normal(rng, *shape), integers(rng, 0, 4, shape[0])
        transform = _Affine()
        found = student.fn("eot_gradient")(Unjudged(model), transform, x, y, n, _generator(rng))
        what = f"eot_gradient, x {shape}, n={n}"
        assert len(transform.seeds) == n, f"{what}: the transformation was called {len(transform.seeds)} times."
        for z in transform.inputs:
            same(z, x, f"{what}: what the transformation was given", "Each draw starts from x, the whole batch at once.")
        slip = "The mean of n gradients, through the transformation; each example's own loss, not the batch's mean."
        close(found, _right(model, transform, x, y), what, rtol=1e-9, slip=slip)
        assert not found.requires_grad, f"{what} still requires gradients."


@hidden(EOT, weight=2)
def fresh_seeds_from_the_generator(student: Student, rng: np.random.Generator) -> None:
    """n different seeds over the whole range, from gen alone; a second call with the same generator draws others."""
    model, x, y = _curved(rng, 3, 3), normal(rng, 2, 3), integers(rng, 0, 3, 2)
    eot, seed = student.fn("eot_gradient", return_args=True), int(rng.integers(2**31))
    drawn, after = [], None
    for k in range(3):
        student.seed(k)
        expected = student.fn("torch.rand")(3)
        student.seed(k)
        transform = _Affine()
        gen = torch.Generator().manual_seed(seed) if k < 2 else after[5]
        _, after = eot(Unjudged(model), transform, x, y, 40, gen)
        drawn.append(transform.seeds)
        same(student.fn("torch.rand")(3), expected, "torch.rand(3) after eot_gradient", "All randomness must come from gen.")
        unchanged(after[2:4], [x, y], "x y", "eot_gradient")
    # Two of 40 numbers below 2^31 are equal once in three million draws.
    assert len(set(drawn[0])) >= 39, (
        f"40 draws used {len(set(drawn[0]))} different seeds. Is one transformation used again and again?"
    )
    assert drawn[0] == drawn[1], "The same generator did not give the same seeds."
    assert drawn[0] != drawn[2], "A second call with the same generator gave the same seeds. Is it seeded anew?"
    # 40 uniform numbers: that none lies in the upper or in the lower quarter happens once in 10^5, in two draws of 10^10.
    pooled = drawn[0] + drawn[2]
    assert max(pooled) > 2**31 * 3 // 4, "The seeds should be uniform in 0, ..., 2^31 - 1; the largest of 80 is far below that."
    assert min(pooled) < 2**31 // 4, "The seeds should be uniform in 0, ..., 2^31 - 1; the smallest of 80 is far above 0."


@hidden(EOT, weight=2)
def unbiased_and_steadier(student: Student, rng: np.random.Generator) -> None:
    """For noise in front of a logistic model the expected gradient is an integral; the variance falls as 1 / n."""
    b, spread, w, at = 1500, 0.8, float(rng.uniform(1.0, 2.0)), float(rng.uniform(-0.5, 0.5))

    def noisy(x: Tensor, seed: int) -> Tensor:
        return x + spread * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=F64)

    model = lambda z: torch.cat([torch.zeros_like(z), w * z], 1)  # noqa: E731
    x, y = torch.full((b, 1), at, dtype=F64), torch.zeros(b, dtype=torch.int64)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    expected = float((w / (1 + np.exp(-w * (at + spread * nodes))) * weights).sum() / weights.sum())
    variance = {}
    for n in (2, 16):
        found = student.fn("eot_gradient")(Unjudged(model), noisy, x, y, n, _generator(rng))
        found = finite(found, "eot_gradient", (b, 1), F64).detach()
        variance[n] = float(found.var())
        off = abs(float(found.mean()) - expected) / max(math.sqrt(variance[n] / b), 1e-12)
        # 6.5 standard errors: once in 10^10.
        assert off < 6.5, f"n={n}: the mean of {b} estimates is {float(found.mean()):.4f}, the expected gradient is {expected:.4f}."
    ratio = variance[2] / max(variance[16], 1e-12)
    # Of 1500 estimates a variance is known to 4 %: a ratio off by 40 % is seven standard deviations.
    assert 8 / 1.4 < ratio < 8 * 1.4, (
        f"from n=2 to n=16 the variance falls by a factor of {ratio:.2f}, expected about 8. Are the draws independent?"
    )


@hidden(EOT, weight=1)
def eot_leaves_nothing_behind(student: Student, rng: np.random.Generator) -> None:
    """Eval mode at every query, n queries, modes and gradients as before, x unchanged; it works with gradients off."""
    x, y = torch.from_numpy(rng.random((2, 1, 8, 8))).float(), integers(rng, 0, 10, 2)
    model = _curved(rng, 64, 10)
    threat = Threat(model, x, limit=4, eval_only=True)
    with torch.no_grad():
        student.fn("eot_gradient")(threat, lambda z, seed: z * 0.9, x, y, 4, _generator(rng))
    given = x.clone().requires_grad_()
    _, after = student.fn("eot_gradient", return_args=True)(Unjudged(model), lambda z, seed: z * 0.9, given, y, 2, _generator(rng))
    unchanged(after[2:4], [x, y], "x y", "eot_gradient")
    assert after[2].grad is None, "eot_gradient leaves a gradient in x.grad."
    net = student.module("DigitsNet", 4)
    net.part("conv2").call("eval")
    student.fn("eot_gradient")(net, lambda z, seed: z * 0.9, x, y, 2, _generator(rng))
    modes = [net.get("training"), net.get("conv1.training"), net.get("conv2.training")]
    assert modes == [True, True, False], (
        f"eot_gradient leaves the model's parts in the modes {modes}, they were [True, True, False]."
    )
    assert net.get("out.bias.grad") is None, "eot_gradient leaves gradients in the model's parameters."


@hidden(EOT, weight=3)
def forward_of_one_backward_of_the_other(student: Student, rng: np.random.Generator) -> None:
    """bpda: module's value, backward's derivative, at the same x, whatever module's own derivative is."""
    # torch's own functions, on the student's side of the line: the derivative is asked for after the call has ended.
    cases: list[tuple[str, str, Model]] = [
        ("round", "clone", lambda x: torch.ones_like(x)),
        ("sign", "tanh", lambda x: 1 - torch.tanh(x) ** 2),
        ("square", "sin", torch.cos),
        ("floor", "exp", torch.exp),
    ]
    for name, smooth, slope in cases:
        module = getattr(torch, name)
        for shape in ((4, 3), (2, 1, 3, 2)):
            x = normal(rng, *shape, scale=2).requires_grad_()
            wrapped = student.fn("bpda")(student.get(f"torch.{name}"), student.get(f"torch.{smooth}"))
            assert callable(wrapped), "bpda must return a function of x."
            upstream, case = normal(rng, *shape), f"bpda({name}, {smooth})(x), x {shape}"
            value = close(wrapped(x), module(x.detach()), case, rtol=1e-9, slip="The value is module's, not backward's.")
            found = gradients(value, {"x": x}, upstream, case)["x"]
            expected = slope(x.detach()) * upstream
            slip = "The derivative is that of backward at x, times what comes in; module's own plays no role."
            close(found, expected, f"gradient of {case}", rtol=1e-9, slip=slip)
            plain = wrapped(x.detach())
            close(plain, module(x.detach()), f"{case}, x without a gradient", rtol=1e-9)


@hidden(EOT, weight=2)
def breaks_the_shipped_defence(student: Student, rng: np.random.Generator) -> None:
    """Behind rounded pixels a network looks robust; through bpda the same attack leaves less than 10 %."""
    net, digits, labels = _natural_digits()
    right = (net(torch.round(digits * 4) / 4).argmax(1) == labels).nonzero()[:, 0].numpy()
    chosen = torch.from_numpy(rng.choice(right, 60, replace=False))
    x, y, eps = digits[chosen], labels[chosen], 0.25
    rounded = student.fn("bpda")(student.get("torch.round"), student.get("torch.clone"))
    adv = x
    for _ in range(15):
        leaf = adv.clone().requires_grad_()
        out = finite(rounded(leaf * 4), "bpda(round, clone)(4 x)", x.shape, torch.float32) / 4
        g = gradients(F.cross_entropy(net(out), y, reduction="sum").reshape(1), {"x": leaf}, torch.ones(1), "bpda(round, clone)")[
            "x"
        ]
        adv = torch.minimum(torch.maximum(adv + 0.2 * eps * g.sign(), x - eps), x + eps).clamp(0, 1)
    left = float((net(torch.round(adv * 4) / 4).argmax(1) == y).double().mean())
    assert left < 0.1, f"60 digits, eps=0.25, 15 steps of PGD through bpda: {left:.0%} are still recognised. Does a gradient pass?"


def _natural_digits() -> tuple[Model, Tensor, Tensor]:
    """Return the shipped natural network as a function, and the test images with their labels."""
    folder = Path(__file__).parent / "data"
    with np.load(folder / "models.npz", allow_pickle=False) as file:
        w = {key.removeprefix("natural/"): torch.from_numpy(file[key]) for key in file.files if key.startswith("natural/")}
    with np.load(folder / "digits.npz", allow_pickle=False) as file:
        images, labels = (
            torch.from_numpy(file["images"][1200:]).float()[:, None] / 16,
            torch.from_numpy(file["labels"][1200:]).long(),
        )

    def net(x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1))
        x = F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], padding=1, stride=2))
        x = F.relu(F.linear(x.flatten(1), w["hidden.weight"], w["hidden.bias"]))
        return F.linear(x, w["out.weight"], w["out.bias"])

    return net, images, labels
