"""Hidden checks of R2, intervals: ibp with ball_box, ibp_train. Student and rng in, silence or a hint out.

The oracle writes every affine layer as a dense matrix and takes least and greatest values by the signs of its entries.
Tolerance 1e-9, float64. What ibp_train returns is judged by the referee's bounds and attacked by the referee.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, integers, normal, pair, raises, same, sizes, unchanged
from autograder.grading.mirror import mirror
from autograder.sandbox.student import Student, StudentModule

# Resolved: the tests build this assignment in a folder of links that is gone when a check reads.
DATA = Path(__file__).resolve().parent / "data"
IBP, TRAIN = "r2_defences.ibp", "r2_defences.ibp_train"
Interval = tuple[Tensor, Tensor]


class Residual(nn.Module):
    """As the given class."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _affine(layer: nn.Module, lo: Tensor, hi: Tensor) -> Interval:
    """Bound an affine layer: positive entries of its matrix take the same end of the interval, negative ones the other."""
    shape = lo.shape[1:]
    zero = torch.zeros(1, *shape, dtype=lo.dtype)
    units = torch.eye(zero.numel(), dtype=lo.dtype).reshape(-1, *shape)
    offset = layer(zero)
    columns = (layer(units) - offset).flatten(1)  # (inputs outputs)
    up, down = columns * (columns > 0), columns * (columns < 0)
    low = lo.flatten(1) @ up + hi.flatten(1) @ down
    high = hi.flatten(1) @ up + lo.flatten(1) @ down
    return low.reshape(-1, *offset.shape[1:]) + offset, high.reshape(-1, *offset.shape[1:]) + offset


def _bounds(net: nn.Module, lo: Tensor, hi: Tensor) -> Interval:
    if isinstance(net, nn.Sequential):
        for layer in net:
            lo, hi = _bounds(layer, lo, hi)
        return lo, hi
    if isinstance(net, Residual):
        low, high = _bounds(net.body, lo, hi)
        return low + lo, high + hi
    if isinstance(net, nn.ReLU):
        return lo * (lo > 0), hi * (hi > 0)
    if isinstance(net, nn.Flatten):
        return lo.flatten(1), hi.flatten(1)
    return _affine(net, lo, hi)


def _interval(rng: np.random.Generator, *shape: int, width: float = 0.4) -> Interval:
    centre = normal(rng, *shape)
    radius = torch.from_numpy(rng.uniform(0, width, shape))
    return centre - radius, centre + radius


def _ibp(student: Student, net: nn.Module, lo: Tensor, hi: Tensor, what: str) -> Interval:
    """Ask for bounds; they are asserted to be in order and of the network's output shape."""
    with torch.no_grad():
        shape = net(lo).shape
        found, after = student.fn("ibp", return_args=True)(mirror(student, net), lo, hi)
    low, high = pair(found, what)
    unchanged(after[1:3], [lo, hi], "lo hi", "ibp")
    low, high = (finite(v, f"{what}: {n}", shape, lo.dtype).detach() for v, n in ((low, "lower"), (high, "upper")))
    slip = "A negative weight turns an interval round."
    assert float((low - high).max()) <= 1e-9, f"{what}: a lower bound is above its upper bound. {slip}"
    return low, high


def _equal(student: Student, net: nn.Module, lo: Tensor, hi: Tensor, what: str, slip: str) -> None:
    low, high = _ibp(student, net.double(), lo, hi, what)
    with torch.no_grad():
        right = _bounds(net, lo, hi)
    close(low, right[0], f"{what}: lower", rtol=1e-9, slip=slip)
    close(high, right[1], f"{what}: upper", rtol=1e-9, slip=slip)


@hidden(IBP, weight=3, core=True)
def exact_for_one_layer(student: Student, rng: np.random.Generator) -> None:
    """For one linear layer the bounds are the least and the greatest value over all corners of the box."""
    for b, d, k in ((3, 4, 2), (2, 1, 3), (4, 6, 1)):
        net = nn.Sequential(nn.Linear(d, k)).double()
        lo, hi = _interval(rng, b, d)
        corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=lo.dtype)] * d).reshape(-1, 1, d)
        with torch.no_grad():
            values = net(lo + corners * (hi - lo))
        what = f"ibp of one linear layer, {d} inputs, {k} outputs"
        low, high = _ibp(student, net, lo, hi, what)
        slip = "Which corner of the box is the worst for an output depends on the signs of its weights."
        close(low, values.amin(0), f"{what}: lower", rtol=1e-9, slip=slip)
        close(high, values.amax(0), f"{what}: upper", rtol=1e-9, slip=slip)


@hidden(IBP, weight=3)
def layer_after_layer(student: Student, rng: np.random.Generator) -> None:
    """Deep networks: linear layers with and without bias, ReLU, residual blocks, nested rows; each layer by itself exact."""
    a, b, c = sizes(rng, 3, 3, 8)
    block = Residual(nn.Linear(b, c), nn.ReLU(), nn.Linear(c, b, bias=False))
    for what, net in (
        ("ibp of linear, relu, linear", nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c))),
        (
            "ibp of a nested row without biases",
            nn.Sequential(nn.Sequential(nn.Linear(a, b, bias=False), nn.ReLU()), nn.Linear(b, 2)),
        ),
        ("ibp of a network with a residual block", nn.Sequential(nn.Linear(a, b), nn.ReLU(), block, nn.ReLU(), nn.Linear(b, 3))),
        ("ibp of a network that ends in relu", nn.Sequential(nn.Linear(a, 4), nn.ReLU())),
    ):
        lo, hi = _interval(rng, 4, a)
        _equal(student, net, lo, hi, what, "Each layer takes an interval to an interval, and hands on both ends.")


@hidden(IBP, weight=2)
def convolutions(student: Student, rng: np.random.Generator) -> None:
    """Stride, padding, dilation, groups and a missing bias count for the width of the interval as for its middle."""
    for options in ({"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 2, "bias": False}, {"groups": 2, "padding": (0, 2)}):
        net = nn.Sequential(nn.Conv2d(2, 4, 3, **options), nn.ReLU(), nn.Flatten())
        net.append(nn.Linear(net(torch.zeros(1, 2, 6, 5)).shape[1], 3))
        lo, hi = _interval(rng, 2, 2, 6, 5, width=0.1)
        _equal(student, net, lo, hi, f"ibp of a convolution with {options}", "Do both halves use the same geometry?")


@hidden(IBP, weight=2)
def holds_for_every_sample(student: Student, rng: np.random.Generator) -> None:
    """No output at 5,000 points of the box, corners among them, lies outside of the bounds; larger boxes, wider bounds."""
    net = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), Residual(nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 9)), nn.Linear(9, 3)).double()
    x, before = normal(rng, 1, 6), None
    for eps in (0.0, 0.05, 0.3, 2.0):
        low, high = _ibp(student, net, x - eps, x + eps, f"ibp, eps={eps}")
        unit = torch.from_numpy(rng.uniform(-1, 1, (5000, 6)))
        unit[:1500] = unit[:1500].sign()
        with torch.no_grad():
            values = net(x + eps * unit)
        outside = int(((values < low - 1e-9) | (values > high + 1e-9)).any(1).sum())
        assert not outside, f"ibp, eps={eps}: at {outside} of 5000 points of the box an output lies outside of its bounds."
        if eps == 0:
            close(low, values[:1], "ibp of a box that is one point: lower", rtol=1e-9)
        assert before is None or bool(((low <= before[0]) & (high >= before[1])).all()), (
            f"eps={eps}: bounds are tighter than for a smaller box."
        )
        before = (low, high)


@hidden(IBP, weight=2)
def trains_through_the_bounds(student: Student, rng: np.random.Generator) -> None:
    """Both bounds are differentiable by weights and by the ends of the box."""
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    there = mirror(student, net)
    lo, hi = _interval(rng, 3, 4)
    ends, mine = [[v.clone().requires_grad_() for v in (lo, hi)] for _ in range(2)]
    weights = [normal(rng, 3, 3) for _ in range(2)]
    low, high = pair(student.fn("ibp")(there, *ends), "ibp")
    assert isinstance(low, Tensor) and low.requires_grad, "no gradient flows through ibp's lower bound."  # noqa: PT018
    assert isinstance(high, Tensor) and high.requires_grad, "no gradient flows through ibp's upper bound."  # noqa: PT018
    theirs = dict(there.named_parameters())
    found = torch.autograd.grad((low * weights[0]).sum() + (high * weights[1]).sum(), [*theirs.values(), *ends], allow_unused=True)
    right = _bounds(net, *mine)
    expected = torch.autograd.grad((right[0] * weights[0]).sum() + (right[1] * weights[1]).sum(), [*net.parameters(), *mine])
    for name, got, want in zip([*theirs, "lo", "hi"], found, expected, strict=True):
        assert got is not None, f"no gradient of the bounds by {name}."
        close(got, want, f"gradient of the bounds by {name}", rtol=1e-9, slip="Is there a detach() or .data?")


@hidden(IBP, weight=1)
def box_and_unknown_layers(student: Student, rng: np.random.Generator) -> None:
    """ball_box cuts the ball to [0, 1]; a layer of another kind raises TypeError, wherever it stands."""
    x, eps = torch.from_numpy(rng.uniform(0, 1, (3, 2, 4))), float(rng.uniform(0.1, 0.4))
    x[0, 0, 0], x[1, 1, 1] = 0.0, 1.0
    found, after = student.fn("ball_box", return_args=True)(x, eps)
    low, high = pair(found, "ball_box")
    slip = "Pixels below 0 or above 1 do not exist; a box that holds them is larger than it need be."
    close(low, torch.maximum(x - eps, torch.zeros_like(x)), "ball_box: lo", rtol=1e-9, slip=slip)
    close(high, torch.minimum(x + eps, torch.ones_like(x)), "ball_box: hi", rtol=1e-9, slip=slip)
    unchanged(after[:1], [x], "x", "ball_box")
    for net in (nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()), nn.Sequential(Residual(nn.Linear(3, 3), nn.Tanh()))):
        there, lo = mirror(student, net), torch.zeros(2, 3)
        raises("TypeError", lambda there=there, lo=lo: student.fn("ibp")(there, lo, lo + 1), "ibp with a layer of another kind")


# -- ibp_train -------------------------------------------------------------------------------------------------------------

# The reference certifies 0.756 and is right on 0.961, with standard deviations of 0.019 and 0.007 over 20 draws of network and
# split: both limits lie more than three of them below, and a second draw is made before the answer fails.
CERTIFIED, CLEAN = 0.69, 0.935
PLAN = {"epochs": 40, "warm_up": 4, "ramp": 20, "kappa": 0.5, "batch": 100, "lr": 1e-2}


def _trained(student: Student, net: nn.Module, x: Tensor, y: Tensor, eps: float, plan: dict[str, float]) -> nn.Module:
    """Let the student train the network in the player; return it with the weights that came out."""
    return _trained_there(student, mirror(student, net), net, x, y, eps, plan)


def _trained_there(
    student: Student, there: StudentModule, net: nn.Module, x: Tensor, y: Tensor, eps: float, plan: dict[str, float]
) -> nn.Module:
    schedule = student.make("Schedule", **plan)
    _, after = student.fn("ibp_train", return_args=True)(there, (x, y), eps, schedule)
    unchanged(after[1], [x, y], "x y", "ibp_train")
    state, done = there.state_dict(), copy.deepcopy(net)
    for name, value in net.state_dict().items():
        assert name in state, f"after ibp_train the network has lost its {name}."
        finite(state[name], f"after ibp_train: {name}", value.shape, value.dtype)
    done.load_state_dict({name: state[name] for name in net.state_dict()})
    return done


def _fresh(rng: np.random.Generator, net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Draw weights as torch does at first, from rng."""
    net.to(dtype)
    for layer in net:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            with torch.no_grad():
                for p in layer.parameters():
                    p.copy_(torch.from_numpy(rng.uniform(-bound, bound, tuple(p.shape))))
    return net


def _worst(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    low, high = _bounds(net, (x - eps).clamp(min=0), (x + eps).clamp(max=1))
    own = F.one_hot(y, low.shape[1])
    return own * low + (1 - own) * high


def _replayed(net: nn.Module, x: Tensor, y: Tensor, eps: float, plan: dict[str, float]) -> nn.Module:
    """Train a copy as documented, where the order decides nothing: all images in one batch, or all of them the same."""
    done = copy.deepcopy(net)
    opt = torch.optim.Adam(done.parameters(), lr=plan["lr"])
    rows = torch.arange(len(y))
    for e in range(int(plan["epochs"])):
        r = 0.0 if e < plan["warm_up"] else min(1.0, (e - plan["warm_up"] + 1) / plan["ramp"])
        kappa = (1 - r) + r * plan["kappa"]
        for _ in range(math.ceil(len(y) / plan["batch"])):
            losses = [-v.log_softmax(1)[rows, y].mean() for v in (done(x), _worst(done, x, y, r * eps))]
            opt.zero_grad()
            (kappa * losses[0] + (1 - kappa) * losses[1]).backward()
            opt.step()
    return done


@hidden(TRAIN, weight=3, core=True)
def as_the_schedule_says(student: Student, rng: np.random.Generator) -> None:
    """With all images in one batch, or all images the same, the weights are those of the documented loss and schedule."""
    n, d, k = 7, 5, 3
    x, y = torch.from_numpy(rng.uniform(0, 1, (n, d))), integers(rng, 0, k, n)
    net = _fresh(rng, nn.Sequential(nn.Linear(d, 8), nn.ReLU(), nn.Linear(8, k)), torch.float64)
    several = {"epochs": 6, "warm_up": 2, "ramp": 3, "batch": 3}  # three batches in each epoch
    whole = ((1, 1, 3), (2, 1, 1), (3, 0, 2), (13, 1, 4))
    for case in (several, *(dict(zip(("epochs", "warm_up", "ramp"), c, strict=True), batch=n + 2) for c in whole)):
        plan = {"kappa": 0.3, "lr": 0.02, "seed": 1} | case
        images, labels = (x[:1].expand(n, d).clone(), y[:1].expand(n).clone()) if case is several else (x, y)
        found, right = _trained(student, net, images, labels, 0.15, plan), _replayed(net, images, labels, 0.15, plan)
        slip = "Which radius and which weight of the clean loss belong to this epoch, and which logits are the worst?"
        for name, value in right.state_dict().items():
            inputs = f"{n} times the same image" if case is several else f"{n} images"
            what = f"{inputs}, {', '.join(f'{key}={v}' for key, v in case.items())}: {name}"
            # Adam divides by the root of squared gradients, which amplifies rounding where they are small.
            close(found.state_dict()[name], value, what, rtol=1e-6, slip=slip)


def _column(start: Tensor, label: Tensor, lr: float, n: int, epochs: int) -> tuple[Tensor, Tensor]:
    """Train the weights of one of n one-hot images with Adam, for every way in which its turn may fall in each epoch.

    Shapes: start (k), the image's weights before; label: a number -> turns (m epochs), weights after (m k); m = n ** epochs.
    """
    turns = torch.cartesian_prod(*[torch.arange(n)] * epochs)
    w = start.expand(len(turns), -1).clone()
    first, second = torch.zeros_like(w), torch.zeros_like(w)
    for t in range(n * epochs):
        slope = w.softmax(1) - F.one_hot(label, len(start))
        slope = slope * (turns[:, t // n] == t % n)[:, None]
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        w = w - lr * first / (1 - 0.9 ** (t + 1)) / ((second / (1 - 0.999 ** (t + 1))).sqrt() + 1e-8)
    return turns, w


@hidden(TRAIN, weight=2)
def every_image_every_epoch(student: Student, rng: np.random.Generator) -> None:
    """Each epoch uses each image once, in an order of its own, and makes one step per batch, the smaller last one included."""
    # One-hot images in batches of one: an image's weights are moved by its own turns alone, which can be read off from them.
    n, k, epochs = 6, 3, 4
    x, y = torch.eye(n, dtype=torch.float64), integers(rng, 0, k, n)
    net = _fresh(rng, nn.Sequential(nn.Linear(n, k, bias=False)), torch.float64)
    plan = {"epochs": epochs, "warm_up": 9, "ramp": 1, "kappa": 1.0, "batch": 1, "lr": 0.01, "seed": int(rng.integers(99))}
    found, orders = _trained(student, net, x, y, 0.1, plan), []
    for start, end, label in zip(net[0].weight.T.detach(), found[0].weight.T.detach(), y, strict=True):
        turns, ends = _column(start, label, 0.01, n, epochs)
        miss, at = (ends - end).abs().amax(1).min(0)
        told = f"{n} images in batches of 1, {epochs} epochs: the weights fit no order in which each epoch uses each image once."
        assert float(miss) < 1e-9, f"{told} Is every image in one batch of each epoch, and no image in two?"
        orders.append(turns[at])
    told = f"{n} images in batches of 1: all {epochs} epochs used them in the same order."
    # By chance: below 1 in 10^8, for 720 orders.
    assert any(len(set(turn.tolist())) > 1 for turn in orders), f"{told} Is the order drawn anew in each epoch?"
    # The first step of Adam moves by lr exactly, whatever the gradient; so the bias of a sure mistake moves by lr per step.
    for n, batch, steps in ((5, 2, 3), (4, 4, 1), (7, 3, 3), (3, 8, 1)):
        x, y = torch.from_numpy(rng.uniform(0, 1, (n, 2))), torch.zeros(n, dtype=torch.int64)
        net = nn.Sequential(nn.Linear(2, 2)).double()
        with torch.no_grad():
            net[0].weight.zero_()
            net[0].bias.copy_(torch.tensor([-30.0, 30.0]))
        plan |= {"epochs": 1, "batch": batch}
        found = _trained(student, net, x, y, 0.1, plan)
        made = float((found[0].bias - net[0].bias).detach()[0]) / 0.01
        what = f"{n} images in batches of {batch}: {made:.2f} steps of lr were made in an epoch"
        assert abs(made - steps) < 0.1, f"{what}, expected {steps}. Is the smaller last batch used, and the optimiser kept?"


@hidden(TRAIN, weight=4)
def certified_on_hidden_digits(student: Student, rng: np.random.Generator) -> None:
    """On images that it never saw, the trained network is certified by the referee's bounds, and right when it is let alone."""
    clean, certified, told = _on_digits(student, rng)
    if clean < CLEAN or certified < CERTIFIED:
        clean, certified, told = _on_digits(student, rng)
    assert clean >= CLEAN, f"{told}. At least {CLEAN} should be right when nobody attacks. Does the ramp begin gently?"
    assert certified >= CERTIFIED, (
        f"{told}. At least {CERTIFIED} should be certified. Does the radius reach eps, with the right worst logits?"
    )


def _on_digits(student: Student, rng: np.random.Generator) -> tuple[float, float, str]:
    """Let the student train on a split of its own; return the shares right and certified of the rest, and words of them."""
    images, labels = _digits()
    order = torch.from_numpy(rng.permutation(len(images)))
    train, test = order[:1000], order[1000:]
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    net = _fresh(rng, net, torch.float32)
    done = _trained(student, net, images[train], labels[train], 0.1, PLAN | {"seed": int(rng.integers(2**31))})
    x, y = images[test], labels[test]
    with torch.no_grad():
        clean = float((done(x).argmax(1) == y).double().mean())
        certified = float((_worst(done, x, y, 0.1).argmax(1) == y).double().mean())
    attacked = float((done(_attack(done, x, y, 0.1)).argmax(1) == y).double().mean())
    told = f"{len(x)} unseen digits: clean {clean:.3f}, attacked at eps=0.1 {attacked:.3f}, certified {certified:.3f}"
    assert certified <= attacked + 1e-9, f"{told}. The referee's bound is beaten by its attack; please report this."
    return clean, certified, told


@hidden(TRAIN, weight=1)
def training_leaves_nothing_behind(student: Student, rng: np.random.Generator) -> None:
    """The order follows from the schedule's seed; torch's generator is as before; other seeds give other orders."""
    x, y = torch.from_numpy(rng.uniform(0, 1, (12, 4))), integers(rng, 0, 3, 12)
    net = _fresh(rng, nn.Sequential(nn.Linear(4, 3)), torch.float64)
    plan = {"epochs": 2, "warm_up": 0, "ramp": 2, "kappa": 0.5, "batch": 2, "lr": 0.05}
    ends = []
    for k, seed in enumerate((3, 3, 4)):
        there = mirror(student, net)  # before the seed: torch draws a new layer's weights
        student.seed(k)
        expected = student.fn("torch.rand")(3)
        student.seed(k)
        ends.append(_trained_there(student, there, net, x, y, 0.05, plan | {"seed": seed})[0].weight.detach())
        same(
            student.fn("torch.rand")(3),
            expected,
            "torch.rand(3) after ibp_train",
            "The order must not come from the global generator.",
        )
    same(ends[1], ends[0], "weights after training twice with the same seed", "The order should follow from schedule.seed.")
    assert not torch.equal(ends[2], ends[0]), "Another seed gives the same weights. Is the order drawn?"


def _attack(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    point = x
    for _ in range(10):
        leaf = point.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(leaf), y, reduction="sum"), leaf)
        point = (x + (leaf.detach() + eps / 4 * gradient.sign() - x).clamp(-eps, eps)).clamp(0, 1)
    return point


def _digits() -> Interval:
    with np.load(DATA / "digits.npz", allow_pickle=False) as file:
        return torch.from_numpy(file["images"]).float()[:, None] / 16, torch.from_numpy(file["labels"]).long()
