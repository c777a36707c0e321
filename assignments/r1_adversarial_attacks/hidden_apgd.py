"""Hidden checks of R1, the adaptive step: apgd with apgd_checkpoints. Student and rng in, silence or a hint out.

`Threat` runs every query. The oracle replays the documented algorithm example by example, in numpy, and the points that
were asked about must be its points, in the order of their first visit: an attack may ask again where it has been. float64
and smooth models, so that points agree to 1e-6 although signs of gradients decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, integers, normal, same, unchanged
from autograder.grading.threat import Threat, Unjudged, are_apart, images
from autograder.sandbox.student import Student

APGD = "r1_adversarial_attacks.apgd"
INF, F64 = math.inf, torch.float64
Model = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


def _schedule(steps: int) -> list[int]:
    """The checkpoints, by fractions."""
    shares, found = [Fraction(0), Fraction(22, 100)], set()
    while shares[-1] <= 1:
        found.add(math.ceil(shares[-1] * steps))
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - Fraction(3, 100), Fraction(6, 100)))
    return sorted(n for n in found if 0 < n <= steps)


def _entropy(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits, y, reduction="none")


class _Way(NamedTuple):
    """The points that the documented algorithm visits for one example, and the smallest gap that decided where it went.

    Gaps are those of losses that were compared, and the sizes of derivatives whose sign was taken.
    """

    points: list[np.ndarray]
    gap: float


def _replay(model: Model, x: Tensor, y: Tensor, eps: float, steps: int, loss: Loss = _entropy) -> _Way:
    """Follow the documented algorithm for one example."""

    def ask(point: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.from_numpy(point)[None].requires_grad_()
        value = loss(model(leaf), y[None]).sum()
        return value.item(), torch.autograd.grad(value, leaf)[0][0].numpy()

    def inside(z: np.ndarray) -> np.ndarray:
        return np.clip(np.clip(z, clean - eps, clean + eps), 0, 1)

    clean = x.numpy()
    points, values = [clean], []
    value, slope = ask(clean)
    best, gap = (value, clean, slope), math.inf
    eta, now, before = 2 * eps, clean, clean
    rises, last, record, halved_last = 0, 0, value, None
    for k in range(1, steps + 1):
        aim = inside(now + eta * np.sign(slope))
        after = aim if k == 1 else inside(now + 0.75 * (aim - now) + 0.25 * (now - before))
        gap = min(gap, np.abs(slope).min())
        before, now = now, after
        found, slope = ask(now)
        gap = min(gap, abs(found - value), abs(found - best[0]))
        points.append(now)
        rises += found > value
        value = found
        values.append(value)
        if value > best[0]:
            best = (value, now, slope)
        if k in _schedule(steps):
            stuck = halved_last is False and best[0] == record
            halved_last = rises < 0.75 * (k - last) or stuck
            if halved_last:
                eta, (value, now, slope) = eta / 2, best
            last, rises, record = k, 0, best[0]
    return _Way(points, float(gap))


def _first_visits(rows: list[np.ndarray]) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for row in rows:
        if not any(np.abs(row - other).max() < 1e-8 for other in found):
            found.append(row)
    return found


def _follows(
    student: Student,
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: float,
    steps: int,
    case: str,
    slip: str,
    loss: Loss | None = None,
    replayed: Callable[[int], Model] | None = None,
) -> None:
    threat = Threat(model, x, eps, limit=steps + 1 + len(_schedule(steps)))
    args = () if loss is None else (loss,)
    finite(student.fn("apgd")(threat, x, y, eps, steps, *args), "apgd", x.shape, F64)
    for i in range(len(x)):
        asked = _first_visits(list(threat.of(i)[0].numpy()))
        right = _first_visits(_replay(replayed(i) if replayed else model, x[i], y[i], eps, steps, loss or _entropy).points)
        what = f"{case}, {steps} steps, checkpoints {_schedule(steps)}, example {i}"
        for k, (point, expected) in enumerate(zip(asked, right, strict=False)):
            close(torch.from_numpy(point), torch.from_numpy(expected), f"{what}: different point number {k}", rtol=1e-6, slip=slip)
        assert len(asked) == len(right), f"{what}: {len(asked)} different points were asked about, expected {len(right)}. {slip}"


def _curved(rng: np.random.Generator, d: int, k: int) -> Model:
    """Smooth, and so strongly curved within the ball that a fixed step overshoots."""
    a, b, c = normal(rng, d, 14) * 9 / math.sqrt(d), normal(rng, 14), normal(rng, 14, k)
    return lambda x: (torch.sin(x.flatten(1).to(F64) @ a + b) @ c).to(x.dtype)


def _decided(
    rng: np.random.Generator, model: Model, shape: tuple[int, ...], eps: float, steps: int, loss: Loss = _entropy
) -> tuple[Tensor, Tensor]:
    """Draw examples of three classes, far apart, for which no comparison on the way is one of rounding errors.

    Where a point rests in a corner of the ball, right answers differ in the last bit, and so in whether the loss rose.
    """
    x, y = torch.empty(0, *shape[1:], dtype=F64), torch.empty(0, dtype=torch.int64)
    for _ in range(2000):
        one, label = images(rng, 1, *shape[1:]), integers(rng, 0, 3, 1)
        more = torch.cat([x, one])
        if are_apart(more, 0.3) and _replay(model, one[0], label[0], eps, steps, loss).gap > 1e-7:
            x, y = more, torch.cat([y, label])
        if len(x) == shape[0]:
            return x, y
    raise ValueError(f"no {shape[0]} examples on which rounding decides nothing")


@hidden(APGD, weight=2)
def checkpoints(student: Student, rng: np.random.Generator) -> None:
    """The schedule, exactly, for every number of steps up to 130 and for some hundreds."""
    schedule = student.fn("apgd_checkpoints")
    for steps in [*range(131), 200, 500, 1000, *(int(n) for n in rng.integers(131, 3000, 5))]:
        found = schedule(steps)
        assert isinstance(found, list), "apgd_checkpoints must return a list of whole numbers."
        assert all(type(n) is int for n in found), "apgd_checkpoints must return a list of whole numbers."
        expected = _schedule(steps)
        slip = (
            "Is a hundredth exact in your arithmetic, and is everything rounded up?"
            if steps >= 50
            else "Each once, none above steps."
        )
        assert found == expected, f"apgd_checkpoints({steps}) is {found[:9]}, expected {expected[:9]}. {slip}"


@hidden(APGD, weight=3, core=True)
def inside_and_best(student: Student, rng: np.random.Generator) -> None:
    """Every query lies in the ball and the box and within the budget; the result is the best point that was asked about."""
    for shape, steps in (((5, 8), 12), ((4, 1, 3, 2), 20), ((1, 6), 7), ((3, 4), 1)):
        x, y, eps = images(rng, *shape, rim=0.4), integers(rng, 0, 4, shape[0]), float(rng.uniform(0.05, 0.12))
        model = _curved(rng, math.prod(shape[1:]), 4)
        threat = Threat(model, x, eps, limit=steps + 1 + len(_schedule(steps)))
        what = f"apgd's result, x {shape}, {steps} steps"
        found = finite(student.fn("apgd")(threat, x, y, eps, steps), what, shape, F64).detach()
        threat.judge(found, what)
        assert threat.n_backward >= steps, f"{what}: only {threat.n_backward} gradients were asked for."
        for i in range(shape[0]):
            rows, logits = threat.of(i)
            assert len(rows) > steps, f"{what}, example {i}: {len(rows)} queries; x_0 to x_{steps} are {steps + 1}."
            seen = float(_entropy(logits, y[i].expand(len(rows))).max())
            reached = float(_entropy(model(found[i : i + 1]), y[i : i + 1]))
            said = f"{what}, example {i}: its loss is {reached:.5f}, at one of the points asked about it was {seen:.5f}"
            assert reached >= seen - 1e-6, f"{said}. Which point is to be returned?"
    # 70 steps that all rise but the last: no condition is met at the end, and the last point is not the best. A draw in which
    # a step comes back to an earlier point has another best, so it is not judged.
    for _ in range(12):
        x, moves = images(rng, 2, 5, low=0.2, high=0.8), np.full((2, 71), 0.1)
        moves[:, -1] = -0.5
        ways = rng.choice([-1.0, 1.0], (2, 71, 5))
        ways[:, :, 0] = np.resize([1.0, -1.0], 71)  # to and fro, so that nearly every step goes to a new point
        model = _Planted(x, moves.cumsum(1), ways)
        found = student.fn("apgd")(Threat(model, x, 0.1), x, torch.zeros(2, dtype=torch.int64), 0.1, 70)
        if all(len(known) == 71 for known in model.known):
            best = torch.stack([known[69] for known in model.known])
            slip = "Return the best point, not the last."
            close(found, best, "apgd's result, 70 steps of which the last one falls", rtol=1e-6, slip=slip)
            break


@hidden(APGD, weight=4)
def visits_the_documented_points(student: Student, rng: np.random.Generator) -> None:
    """On a curved model, where steps overshoot, every point is the documented one: momentum, halving, return to the best."""
    for shape, steps in (((6, 5), 24), ((4, 2, 3), 40)):
        model, eps = _curved(rng, math.prod(shape[1:]), 3), float(rng.uniform(0.08, 0.15))
        x, y = _decided(rng, model, shape, eps, steps)
        slip = "Each example for itself: the step size, the momentum after the first step, and what happens at a checkpoint."
        _follows(student, model, x, y, eps, steps, "a curved model", slip)


@hidden(APGD, weight=3)
def decides_as_documented(student: Student, rng: np.random.Generator) -> None:
    """Losses are planted along the way, rises and falls: each checkpoint halves or not as the two conditions say."""
    for b, d, steps in ((6, 5, 30), (5, 6, 60)):
        x, y, eps = images(rng, b, d, low=0.2, high=0.8), torch.zeros(b, dtype=torch.int64), 0.12
        # Four small rises to one fall that may be deep: the first condition is often met narrowly, and the best loss often old.
        moves = np.where(
            rng.random((b, steps + 20)) < 0.2, -rng.uniform(0.1, 2, (b, steps + 20)), rng.uniform(0.1, 0.4, (b, steps + 20))
        )
        ways = rng.choice([-1.0, 1.0], (b, steps + 20, d))
        case, slip = "planted losses", "At a checkpoint, for each example: which steps were rises, and is the best loss new?"
        _follows(
            student,
            _Planted(x, moves.cumsum(1), ways),
            x,
            y,
            eps,
            steps,
            case,
            slip,
            replayed=lambda i, x=x, m=moves, w=ways: _Planted(x[i : i + 1], m[i : i + 1].cumsum(1), w[i : i + 1]),
        )


class _Planted:
    """A model whose loss is planted: the k-th point that is asked about an example has value k and gradient direction k.

    A point that was asked about before has the value it had.
    """

    def __init__(self, x: Tensor, values: np.ndarray, ways: np.ndarray) -> None:
        self.x, self.values, self.ways = x, torch.from_numpy(values), torch.from_numpy(ways)
        self.known: list[list[Tensor]] = [[] for _ in x]

    def __call__(self, z: Tensor) -> Tensor:
        rows = []
        for row in z:
            i = int((self.x - row.detach()).flatten(1).abs().amax(1).argmin())
            k = next((k for k, p in enumerate(self.known[i]) if float((p - row.detach()).abs().max()) < 1e-8), len(self.known[i]))
            if k == len(self.known[i]):
                self.known[i].append(row.detach().clone())
            k = min(k, self.values.shape[1] - 1)
            rows.append(self.values[i, k] + (row - row.detach()).flatten() @ self.ways[i, k])
        climb = torch.stack(rows)
        return torch.stack([torch.zeros_like(climb), climb], 1)


@hidden(APGD, weight=2)
def climbs_the_loss_it_is_given(student: Student, rng: np.random.Generator) -> None:
    """Another loss is climbed by its own gradient, and on the shipped robust network apgd is no weaker than PGD."""

    def squares(logits: Tensor, y: Tensor) -> Tensor:
        return (logits**2).sum(1) * (y + 1)

    model = _curved(rng, 5, 3)
    x, y = _decided(rng, model, (4, 5), 0.1, 14, squares)
    _follows(student, model, x, y, 0.1, 14, "a loss of ours", "Is the argument `loss` used everywhere?", squares)
    net, digits, labels = _robust_digits()
    chosen = torch.from_numpy(rng.choice(len(digits), 150, replace=False))
    x, y, eps, steps = digits[chosen], labels[chosen], 0.2, 20
    found = finite(student.fn("apgd")(Unjudged(net), x, y, eps, steps), "apgd", x.shape, torch.float32).detach()
    adv = x
    for _ in range(steps):
        leaf = adv.clone().requires_grad_()
        (g,) = torch.autograd.grad(_entropy(net(leaf), y).sum(), leaf)
        adv = torch.minimum(torch.maximum(adv + 0.25 * eps * g.sign(), x - eps), x + eps).clamp(0, 1)
    ours, theirs = (float(_entropy(net(z), y).mean()) for z in (adv, found))
    # 1 %: on single draws of 150 digits PGD came out ahead by at most 0.4 %.
    assert theirs > 0.99 * ours, f"150 digits, {steps} steps: mean loss {theirs:.3f}; PGD from the same start has {ours:.3f}."


@hidden(APGD, weight=1)
def apgd_leaves_nothing_behind(student: Student, rng: np.random.Generator) -> None:
    """Eval mode at every query, modes and gradients as before, no randomness, x unchanged; 0 steps give x."""
    x, y = images(rng, 3, 1, 8, 8).float(), integers(rng, 0, 10, 3)
    threat = Threat(_curved(rng, 64, 10), x, 0.1, eval_only=True)
    found, after = student.fn("apgd", return_args=True)(threat, x, y, 0.1, 5)
    unchanged(after[1:3], [x, y], "x y", "apgd")
    again = student.fn("apgd")(threat, x, y, 0.1, 5)
    same(again, finite(found, "apgd").detach(), "apgd, called again", "There is no randomness in it.")
    close(student.fn("apgd")(threat, x, y, 0.1, 0), x, "apgd with 0 steps", rtol=1e-6)
    net = student.module("DigitsNet", 4)
    net.part("conv2").call("eval")
    student.fn("apgd")(net, x, y, 0.1, 3)
    modes = [net.get("training"), net.get("conv1.training"), net.get("conv2.training")]
    assert modes == [True, True, False], f"apgd leaves the model and its parts in the modes {modes}, they were [True, True, False]."
    assert net.get("out.bias.grad") is None, "apgd leaves gradients in the model's parameters."


def _robust_digits() -> tuple[Model, Tensor, Tensor]:
    """Return the shipped robust network as a function, and the test images with their labels."""
    folder = Path(__file__).parent / "data"
    with np.load(folder / "models.npz", allow_pickle=False) as file:
        w = {key.removeprefix("robust/"): torch.from_numpy(file[key]) for key in file.files if key.startswith("robust/")}
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
