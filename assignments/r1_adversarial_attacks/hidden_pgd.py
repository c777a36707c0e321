"""Hidden checks of R1, many steps: pgd. Student and rng in, silence or a hint out.

The model is ours: `Threat` runs every query and refuses one outside the ball or the box. The oracles are the closed-form
optimum of a linear model, points that were planted, and the documented walk, replayed in numpy from where the attack began.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, integers, normal, same, unchanged
from autograder.grading.threat import Threat, Unjudged, are_apart, images
from autograder.sandbox.student import Student

PGD = "r1_adversarial_attacks.pgd"
INF, F32, F64 = math.inf, torch.float32, torch.float64
NORMS = {INF: "math.inf", 2: "2"}
Model = Callable[[Tensor], Tensor]


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _curved(rng: np.random.Generator, d: int, k: int) -> Model:
    a, b, c = normal(rng, d, 12) * 4 / math.sqrt(d), normal(rng, 12), normal(rng, 12, k)
    return lambda x: (torch.tanh(x.flatten(1).to(F64) @ a + b) @ c).to(x.dtype)


def _entropy(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits.double(), y, reduction="none")


@hidden(PGD, weight=3, core=True)
def stays_in_ball_and_box(student: Student, rng: np.random.Generator) -> None:
    """At every query, and at the end, each point lies in its ball and in [0, 1], and the budget of queries is kept."""
    for norm, shape, dtype in ((INF, (6, 1, 4, 3), F32), (2, (5, 9), F32), (2, (7, 2, 5), F64), (INF, (1, 8), F64)):
        x, y = images(rng, *shape, rim=0.4).to(dtype), integers(rng, 0, 4, shape[0])
        eps, steps, restarts = float(rng.uniform(0.05, 0.12)), int(rng.integers(4, 9)), int(rng.integers(1, 4))
        threat = Threat(_curved(rng, math.prod(shape[1:]), 4), x, eps, norm, limit=restarts * (steps + 1))
        found = student.fn("pgd")(threat, x, y, eps, eps / 2, steps, restarts, norm, _generator(rng))
        what = f"pgd's result, x {shape}, norm={NORMS[norm]}, eps={eps:.3g}"
        threat.judge(finite(found, what, shape, dtype), what)
        slip = "Is the gradient asked for at every step?"
        assert threat.n_backward >= steps, f"{what}: {threat.n_backward} backward passes for {steps} steps. {slip}"


@hidden(PGD, weight=3, core=True)
def optimum_of_a_linear_model(student: Student, rng: np.random.Generator) -> None:
    """With two classes and a linear model the best point is known, and enough steps reach it, for every example."""
    for norm, shape in ((INF, (6, 7)), (2, (6, 7)), (INF, (3, 1, 2, 4)), (2, (3, 2, 4))):
        x, d = images(rng, *shape, gap=0.2, low=0.3, high=0.7), math.prod(shape[1:])
        if norm == INF:
            x.flatten()[::4] = 0.02  # here the box comes before the ball
        y, eps = integers(rng, 0, 2, shape[0]), float(rng.uniform(0.05, 0.1))
        w = torch.from_numpy(rng.choice([-1.0, 1.0], d) * rng.uniform(0.5, 1.5, d))
        logits = torch.stack([-w, w], 1) * float(rng.uniform(0.3, 1))
        away = w[None] * (1 - 2 * y)[:, None]
        best = x + eps * (away.sign() if norm == INF else away / away.norm(dim=1, keepdim=True)).reshape(shape)
        found = student.fn("pgd")(
            Threat(lambda z, m=logits: z.flatten(1) @ m, x, eps, norm), x, y, eps, eps / 3, 40, 2, norm, _generator(rng)
        )
        what = f"pgd of a linear model, x {shape}, norm={NORMS[norm]}, 40 steps of eps / 3"
        slip = "Ball around x, then the box; up the loss of y, with the step that the norm asks for."
        # 40 steps turn the last direction into the best one up to (3/4)^40.
        close(found, best.clamp(0, 1), what, rtol=1e-4, slip=slip)


@hidden(PGD, weight=2)
def starts_anywhere_in_the_ball(student: Student, rng: np.random.Generator) -> None:
    """Each restart begins at a uniform point of the ball: with a step of next to nothing it also ends there."""
    for norm in (INF, 2):
        eps, d, slip = 0.2, 5, "Is the random start used, and drawn anew for each example?"

        def draw(norm: float = norm, eps: float = eps, d: int = d) -> np.ndarray:
            x = 0.5 + 0.05 * torch.from_numpy(rng.choice([-1.0, 1.0], (300, d)))
            model = _curved(rng, d, 3)
            found = student.fn("pgd")(Unjudged(model), x, integers(rng, 0, 3, 300), eps, 1e-9, 1, 1, norm, _generator(rng))
            gap = (finite(found, "pgd", x.shape, F64).detach() - x).numpy() / eps
            return (gap.ravel() + 1) / 2 if norm == INF else np.linalg.norm(gap, axis=1) ** d

        share = draw()
        if stats.kstest(share, "uniform").pvalue < 1e-6:
            share = draw()
            said = "the changes, as parts of the way from -eps to eps" if norm == INF else f"(length / eps)^{d} of the changes"
            low, middle, high = np.quantile(share, (0.1, 0.5, 0.9))
            told = f"norm={NORMS[norm]}, one step of 1e-9: {said} should be uniform in [0, 1]; tenth, median and ninth tenth are"
            assert stats.kstest(share, "uniform").pvalue > 1e-6, f"{told} {low:.3g}, {middle:.3g}, {high:.3g}. {slip}"


@hidden(PGD, weight=3)
def best_restart_of_each_example(student: Student, rng: np.random.Generator) -> None:
    """Where the start decides which of two hills is climbed, each example keeps the higher one of all its restarts."""
    d, eps = 10, 0.05
    a = torch.from_numpy(rng.choice([-1.0, 1.0], d))
    x = torch.zeros(24, d, dtype=F64)
    while not are_apart(x, 2.5 * eps):
        x = torch.from_numpy(rng.uniform(0.2, 0.8, (24, d)))
        x = x - ((x - 0.5) @ a / d)[:, None] * a  # every example on the ridge between the hills
    side = torch.from_numpy(rng.choice([-1.0, 1.0], 24))
    centre = x.clone()

    def model(z: Tensor) -> Tensor:
        owner = torch.cdist(z.detach(), centre, p=INF).argmin(1)
        height = ((z - 0.5) @ a) * side[owner]
        climb = torch.where(height > 0, 3 * height, -height)  # both ways up, one three times as steep
        return torch.stack([torch.zeros_like(climb), climb], 1)

    y = torch.zeros(24, dtype=torch.int64)
    threat = Threat(model, x, eps, limit=10 * 7)
    found = finite(student.fn("pgd")(threat, x, y, eps, eps / 2, 6, 10, INF, _generator(rng)), "pgd", x.shape, F64).detach()
    n_best = 0
    for i in range(24):
        rows, logits = threat.of(i)
        reached = float(_entropy(model(found[i : i + 1]), y[:1]))
        seen = float(_entropy(logits, y[:1].expand(len(rows))).max())
        what = f"10 restarts, example {i}: the result's loss is {reached:.4f}, one of its restarts had reached {seen:.4f}"
        assert reached >= seen - 1e-6, f"{what}. Is the best restart chosen for each example by itself, and at the end point?"
        n_best += reached > 0.9 * float(_entropy(torch.tensor([[0.0, 3 * eps * d]]), y[:1]))
    # A start leads to the higher hill with probability 1/2: that two of 24 examples miss it 10 times happens once in 4000.
    assert n_best >= 20, f"10 restarts: only {n_best} of 24 examples end on the higher of two hills. Are the restarts different?"


def _walk(
    model: Model, x: np.ndarray, y: Tensor, start: np.ndarray, eps: float, alpha: float, steps: int, norm: float
) -> list[np.ndarray]:
    """Replay the documented steps for one example, in numpy."""
    path = [start]
    for _ in range(steps):
        leaf = torch.from_numpy(path[-1])[None].requires_grad_()
        (g,) = torch.autograd.grad(_entropy(model(leaf), y).sum(), leaf)
        g = g[0].numpy()
        if norm == INF:
            point = np.clip(path[-1] + alpha * np.sign(g), x - eps, x + eps)
        else:
            length = math.sqrt(float((g * g).sum()))
            point = path[-1] + (alpha * g / length if length else 0 * g)
            off = math.sqrt(float(((point - x) ** 2).sum()))
            point = x + (point - x) * min(1.0, eps / off) if off else point
        path.append(np.clip(point, 0, 1))
    return path


@hidden(PGD, weight=3)
def walks_as_documented(student: Student, rng: np.random.Generator) -> None:
    """From the start of each example on, every point follows from the one before as the docstring says."""
    for norm, shape in ((INF, (5, 6)), (2, (5, 6)), (2, (4, 2, 3))):
        x, y = images(rng, *shape), integers(rng, 0, 4, shape[0])
        model, eps, steps = _curved(rng, math.prod(shape[1:]), 4), float(rng.uniform(0.06, 0.12)), 6
        alpha = eps * float(rng.uniform(0.3, 0.7))
        threat = Threat(model, x, eps, norm)
        found = student.fn("pgd")(threat, x, y, eps, alpha, steps, 1, norm, _generator(rng))
        found = finite(found, "pgd", shape, F64).detach()
        for i in range(shape[0]):
            rows, _ = threat.of(i)
            what = f"norm={NORMS[norm]}, x {shape}, example {i}, one restart"
            assert len(rows) >= steps, f"{what}: {len(rows)} queries for {steps} steps."
            path = _walk(model, x[i].numpy(), y[i : i + 1], rows[0].numpy(), eps, alpha, steps, norm)
            for k in range(1, steps):
                slip = "Step of alpha (sign, or length 1 per example), then the ball around x, then the box."
                close(rows[k], torch.from_numpy(path[k]), f"{what}: point after step {k}", rtol=1e-6, slip=slip)
            end = float(_entropy(model(torch.from_numpy(path[-1])[None]), y[i : i + 1]))
            reached = float(_entropy(model(found[i : i + 1]), y[i : i + 1]))
            assert reached >= end - 1e-6, f"{what}: the result's loss is {reached:.5f}, that of the end point {end:.5f}."


@hidden(PGD, weight=2)
def finds_what_was_planted(student: Student, rng: np.random.Generator) -> None:
    """A worst point is planted in each ball, and the attack gets there; on digits it is no weaker than one step."""
    d, eps = 12, 0.1
    for norm in (INF, 2):
        x = images(rng, 8, d, gap=0.21, low=0.25, high=0.75)
        way = normal(rng, 8, d)
        worst = x + 0.8 * eps * way / way.norm(p=norm, dim=1, keepdim=True)

        def model(z: Tensor, x: Tensor = x, worst: Tensor = worst) -> Tensor:
            owner = torch.cdist(z.detach(), x).argmin(1)
            hill = -200 * (z - worst[owner]).square().sum(1)
            return torch.stack([torch.zeros_like(hill), hill], 1)

        y = torch.zeros(8, dtype=torch.int64)
        threat = Threat(model, x, eps, norm)
        found = finite(student.fn("pgd")(threat, x, y, eps, eps / 15, 45, 1, norm, _generator(rng)), "pgd", x.shape, F64).detach()
        before, left = (float((z - worst).norm(dim=1).mean()) for z in (x, found))
        what = f"norm={NORMS[norm]}: the planted points lie {before:.3f} from x on average, and {left:.3f} from pgd's results"
        assert left < 0.25 * before, f"{what}. 45 steps of eps / 15 lead there."
        if norm == 2:  # a flat model has no direction
            flat = student.fn("pgd")(Threat(lambda z: 0 * z[:, :3], x, eps, 2), x, y, eps, eps / 4, 3, 1, 2, _generator(rng))
            finite(flat, "pgd, norm=2, on a model whose gradient is 0", x.shape, F64, "What is 0 divided by its length?")
    net, digits, labels = _digits("natural")
    chosen = torch.from_numpy(rng.choice(len(digits), 60, replace=False))
    x, y = digits[chosen], labels[chosen]
    found = finite(student.fn("pgd")(Threat(net, x), x, y, 0.1, 0.025, 10, 1, INF, _generator(rng)), "pgd", x.shape, F32).detach()
    leaf = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(_entropy(net(leaf), y).sum(), leaf)
    one = float(_entropy(net((x + 0.1 * g.sign()).clamp(0, 1)), y).mean())
    many = float(_entropy(net(found), y).mean())
    assert many > one, f"60 digits, eps=0.1: mean loss {many:.3f} after 10 steps of eps / 4, {one:.3f} after one step of eps."


@hidden(PGD, weight=1)
def leaves_nothing_but_its_result(student: Student, rng: np.random.Generator) -> None:
    """Eval mode at every query, the model's modes and gradients as before, randomness from gen alone, x unchanged."""
    x, y, eps = images(rng, 4, 1, 8, 8).to(F32), integers(rng, 0, 10, 4), 0.1
    model, seed = _curved(rng, 64, 10), int(rng.integers(2**31))
    results = []
    for k in range(2):
        student.seed(k)
        expected = student.fn("torch.rand")(3)
        student.seed(k)
        threat = Threat(model, x, eps, eval_only=True)
        gen = torch.Generator().manual_seed(seed)
        found, after = student.fn("pgd", return_args=True)(threat, x, y, eps, eps / 4, 2, 2, INF, gen)
        results.append(finite(found, "pgd").detach())
        unchanged(after[1:3], [x, y], "x y", "pgd")
        same(student.fn("torch.rand")(3), expected, "torch.rand(3) after pgd", "All randomness must come from gen.")
    same(results[1], results[0], "pgd with the same generator again", "All randomness must come from gen.")
    net = student.module("DigitsNet", 4)
    net.part("conv2").call("eval")
    student.fn("pgd")(net, x, y, eps, eps / 4, 2, 1, INF, _generator(rng))
    modes = [net.get("training"), net.get("conv1.training"), net.get("conv2.training")]
    assert modes == [True, True, False], f"pgd leaves the model and its parts in the modes {modes}, they were [True, True, False]."
    assert net.get("out.bias.grad") is None, "pgd leaves gradients in the model's parameters."


def _digits(name: str) -> tuple[Model, Tensor, Tensor]:
    """Return a shipped network as a function, and the test images with their labels."""
    folder = Path(__file__).parent / "data"
    with np.load(folder / "models.npz", allow_pickle=False) as file:
        w = {key.removeprefix(f"{name}/"): torch.from_numpy(file[key]) for key in file.files if key.startswith(f"{name}/")}
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
