"""Hidden checks of R2, linear bounds: crown, verify_exact. Student and rng in, silence or a hint out.

Three oracles. Soundness: the exact minimum of networks with two inputs, by cutting the box along every ReLU into polygons on
which the network is linear, so that every activation pattern that occurs is enumerated. Tightness: the documented bound,
recomputed row by row in numpy. Closed form: the minimum of a linear network. Tolerance 1e-9, float64.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, normal, pair, sizes, unchanged
from autograder.grading.mirror import mirror
from autograder.sandbox.student import Student

# Resolved: the tests build this assignment in a folder of links that is gone when a check reads.
DATA = Path(__file__).resolve().parent / "data"
CROWN, EXACT = "r2_defences.crown", "r2_defences.verify_exact"
Array = np.ndarray


def _net(rng: np.random.Generator, *widths: int, bias: bool = True, scale: float = 1.0) -> nn.Sequential:
    """Draw a network of these widths, with ReLU between its linear layers."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layer = nn.Linear(a, b, bias=bias).double()
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_(normal(rng, *p.shape, scale=scale * (1.5 / a**0.5 if p.ndim == 2 else 0.4)))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _layers(net: nn.Sequential) -> list[tuple[Array, Array] | None]:
    """Write the network as weights and biases, None for a ReLU."""
    found: list[tuple[Array, Array] | None] = []
    for layer in net:
        if isinstance(layer, nn.Linear):
            w = layer.weight.detach().double().numpy()
            found.append((w, layer.bias.detach().double().numpy() if layer.bias is not None else np.zeros(len(w))))
        elif isinstance(layer, nn.ReLU):
            found.append(None)
    return found


def _exact_minimum(net: nn.Sequential, x: Tensor, eps: float, c: Tensor) -> float:
    """Return the least value of c @ net(z) over the square of radius eps around x (two inputs)."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * eps + x.numpy()
    pieces = [(corners, np.eye(2), np.zeros(2))]  # a polygon, and the map A z + b from it to the current layer
    for layer in _layers(net):
        if layer is not None:
            pieces = [(p, layer[0] @ A, layer[0] @ b + layer[1]) for p, A, b in pieces]
            continue
        for i in range(len(pieces[0][2])):
            pieces = [half for p, A, b in pieces for half in _halves(p, A, b, i)]
    return min(float((p @ (c.numpy() @ A) + c.numpy() @ b).min()) for p, A, b in pieces)


def _halves(p: Array, A: Array, b: Array, i: int) -> list[tuple[Array, Array, Array]]:
    """Cut a polygon where neuron i is 0; on the side where it is negative its row becomes 0."""
    value = p @ A[i] + b[i]
    off_A, off_b = A.copy(), b.copy()
    off_A[i], off_b[i] = 0, 0
    if value.min() >= 0:
        return [(p, A, b)]
    if value.max() <= 0:
        return [(p, off_A, off_b)]
    return [(_clipped(p, value), A, b), (_clipped(p, -value), off_A, off_b)]


def _clipped(p: Array, value: Array) -> Array:
    kept = []
    for k in range(len(p)):
        a, b, u, v = p[k - 1], p[k], value[k - 1], value[k]
        if (u < 0) != (v < 0):
            kept.append(a + (b - a) * (u / (u - v)))
        if v >= 0:
            kept.append(b)
    return np.array(kept)


def _documented(net: nn.Sequential, x: Tensor, eps: float, C: Tensor) -> Tensor:
    """Compute the documented bound: one example, one row at a time."""
    layers = _layers(net)
    rows = []
    for centre, wanted in zip(x.flatten(1).double().numpy(), C.double().numpy(), strict=True):
        known: dict[int, tuple[Array, Array]] = {}
        for i, layer in enumerate(layers):
            if layer is None:
                width = len(layers[i - 1][1]) if i else len(centre)  # type: ignore[index]
                unit = np.eye(width)
                low = np.array([_row(layers, known, i, unit[j], centre, eps) for j in range(width)])
                high = np.array([-_row(layers, known, i, -unit[j], centre, eps) for j in range(width)])
                known[i] = low, high
        rows.append([_row(layers, known, len(layers), c, centre, eps) for c in wanted])
    return torch.tensor(rows, dtype=torch.float64)


def _row(layers: list[Any], known: dict[int, tuple[Array, Array]], n: int, a: Array, centre: Array, eps: float) -> float:
    constant = 0.0
    for i in range(n - 1, -1, -1):
        if layers[i] is not None:
            constant, a = constant + float(a @ layers[i][1]), a @ layers[i][0]
            continue
        low, high = known[i]
        after = np.zeros_like(a)
        for j in range(len(a)):
            if low[j] >= 0:
                after[j] = a[j]
            elif high[j] > 0:
                if a[j] < 0:
                    slope = high[j] / (high[j] - low[j])
                    after[j], constant = a[j] * slope, constant - a[j] * slope * low[j]
                else:
                    after[j] = a[j] * (high[j] > -low[j])
        a = after
    return constant + float(a @ centre) - eps * float(np.abs(a).sum())


def _crown(student: Student, net: nn.Sequential, x: Tensor, eps: float, C: Tensor, what: str) -> Tensor:
    with torch.no_grad():
        found, after = student.fn("crown", return_args=True)(mirror(student, net), x, eps, C)
    unchanged([after[1], after[3]], [x, C], "x C", "crown")
    return finite(found, what, C.shape[:2], x.dtype).detach()


@hidden(CROWN, weight=2, core=True)
def exact_without_a_bend(student: Student, rng: np.random.Generator) -> None:
    """Where no ReLU is in doubt, and where there is none, the bound is the exact minimum over the ball."""
    for bias in (True, False):
        a, b, k = sizes(rng, 3, 2, 7)
        x, C, eps = normal(rng, 4, a), normal(rng, 4, 3, k), float(rng.uniform(0.1, 1))
        plain = nn.Sequential(nn.Linear(a, b, bias=bias), nn.Linear(b, k, bias=bias)).double()
        sure = _net(rng, a, b, k)
        with torch.no_grad():
            on = torch.from_numpy(rng.choice([-1.0, 1.0], b))
            on[0], on[1] = 1.0, -1.0
            sure[0].bias.copy_(50 * on)
        for net, what in ((plain, "crown of two linear layers"), (sure, "crown where every ReLU is surely on or surely off")):
            z = x.clone().requires_grad_()
            value = torch.einsum("bmk,bk->bm", C, net(z))
            slopes = torch.stack([torch.autograd.grad(value[:, m].sum(), z, retain_graph=True)[0] for m in range(3)], 1)
            right = value.detach() - eps * slopes.abs().sum(-1)
            found = _crown(student, net, x, eps, C, what)
            slip = "A linear function is least in one corner; biases count, and a neuron that is surely on passes its input."
            close(found, right, f"{what}, bias={bias}", rtol=1e-9, slip=slip)


@hidden(CROWN, weight=4)
def holds_on_every_pattern(student: Student, rng: np.random.Generator) -> None:
    """For networks 2-6-6-2 no activation pattern gives a value below the bound: the exact minimum is known."""
    for scale in (0.6, 1.0, 1.0, 1.6):
        net = _net(rng, 2, 6, 6, 2, scale=scale)
        x, C = normal(rng, 5, 2), normal(rng, 5, 2, 2)
        for eps in (0.02, 0.2, 0.8):
            found = _crown(student, net, x, eps, C, f"crown of a network 2-6-6-2, eps={eps}")
            for i in range(5):
                for m in range(2):
                    least = _exact_minimum(net, x[i], eps, C[i, m])
                    assert found[i, m] <= least + 1e-9 * (1 + abs(least)), (
                        f"crown of a network 2-6-6-2, eps={eps}: the bound is {float(found[i, m]):.6g}, but a point has "
                        f"{least:.6g}. Which line lies below a ReLU, and which above?"
                    )


@hidden(CROWN, weight=4)
def as_tight_as_documented(student: Student, rng: np.random.Generator) -> None:
    """The bound is the documented one: adaptive slopes, intermediate bounds by the same procedure, several layers."""
    for widths, bias in (((3, 5, 2), True), ((4, 6, 5, 3), True), ((2, 5, 4, 6, 2), False), ((3, 4, 4, 4, 4, 1), True)):
        net = _net(rng, *widths, bias=bias)
        x, C = normal(rng, 3, widths[0]), normal(rng, 3, int(rng.integers(1, 5)), widths[-1])
        for eps in (0.05, 0.4):
            what = f"crown of a network {'-'.join(map(str, widths))}, eps={eps}"
            found = _crown(student, net, x, eps, C, what)
            slip = "Sound, but not the documented bound, or not sound: slopes, offsets and intermediate bounds, one by one."
            close(found, _documented(net, x, eps, C), what, rtol=1e-9, slip=slip)


@hidden(CROWN, weight=2)
def tighter_than_intervals_on_average(student: Student, rng: np.random.Generator) -> None:
    """Over 20 trained networks the mean bound is above that of interval arithmetic (for one network it need not be)."""
    gaps, eps = [], float(rng.uniform(0.05, 0.15))
    for net in _moons():
        x = torch.from_numpy(rng.uniform(-1.5, 2.5, (4, 2)))
        C = torch.tensor([[[1.0, -1.0]]], dtype=torch.float64).repeat(4, 1, 1)
        low, high = x - eps, x + eps
        for layer in _layers(net):
            if layer is None:
                low, high = low.clamp(min=0), high.clamp(min=0)
                continue
            w, b = torch.from_numpy(layer[0]), torch.from_numpy(layer[1])
            middle, spread = (low + high) / 2 @ w.T + b, (high - low) / 2 @ w.abs().T
            low, high = middle - spread, middle + spread
        interval = low[:, 0] - high[:, 1]
        found = _crown(student, net, x, eps, C, "crown of a network trained on two moons")[:, 0]
        for i in range(4):
            least = _exact_minimum(net, x[i], eps, C[i, 0])
            assert found[i] <= least + 1e-9 * (1 + abs(least)), (
                f"trained network, eps={eps:.3g}: bound {float(found[i]):.5g}, a point has {least:.5g}."
            )
        gaps.append(float((found - interval).mean()))
    mean = float(np.mean(gaps))
    assert mean > 0, f"20 trained networks, eps={eps:.3g}: crown's bound is {-mean:.4g} below that of intervals on average."


@hidden(CROWN, weight=1)
def edges_of_crown(student: Student, rng: np.random.Generator) -> None:
    """Radius 0, images behind nn.Flatten, float32, a network that ends in ReLU."""
    net = _net(rng, 6, 5, 3)
    x, C = normal(rng, 2, 6), normal(rng, 2, 4, 3)
    with torch.no_grad():
        right = torch.einsum("bmk,bk->bm", C, net(x))
    close(_crown(student, net, x, 0.0, C, "crown, eps=0"), right, "crown, eps=0", rtol=1e-9, slip="Then it is the value at x.")
    flat = nn.Sequential(nn.Flatten(), *net)
    found = _crown(student, flat, x.reshape(2, 1, 2, 3), 0.3, C, "crown of images")
    close(found, _documented(net, x, 0.3, C), "crown of images behind nn.Flatten", rtol=1e-9)
    ending = nn.Sequential(*net, nn.ReLU())
    found = _crown(student, ending, x, 0.3, C, "crown")
    close(found, _documented(ending, x, 0.3, C), "crown of a network that ends in ReLU", rtol=1e-9)
    single = _net(rng, 6, 5, 3).float()
    found = _crown(student, single, x.float(), 0.2, C.float(), "crown in float32")
    close(found, _documented(single, x.float(), 0.2, C.float()), "crown in float32", rtol=1e-4, dtype=torch.float32)


def _moons() -> list[nn.Sequential]:
    """Return the 20 shipped networks (train.py makes them)."""
    nets = []
    with np.load(DATA / "moons.npz", allow_pickle=False) as file:
        for k in range(20):
            net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
            net.load_state_dict({name: torch.from_numpy(file[f"{k}/{name}"]) for name in net.state_dict()})
            nets.append(net.double())
    return nets


# -- verify_exact ----------------------------------------------------------------------------------------------------------


def _instances(rng: np.random.Generator, n: int) -> list[tuple[nn.Sequential, Tensor, float, int, float]]:
    """Draw networks, points and radii with the exact least margin; what is closer to 0 than 0.05 is not taken.

    Every second instance is robust, and the next is the same one with a ball at most 1.4 times as wide, which holds mistakes
    in one of its quadrants, each of the four in turn. So who looks too far, not far enough, or not everywhere, errs.
    """
    found: list[tuple[nn.Sequential, Tensor, float, int, float]] = []
    quadrants = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=2)), dtype=torch.float64)
    while len(found) < n:
        net, x = _net(rng, 2, 5, 5, 3), normal(rng, 2)
        with torch.no_grad():
            label = int(net(x).argmax())
        robust = None
        for eps in (float(rng.uniform(0.05, 0.06)) * 1.18 ** np.arange(18)).tolist():
            least = _least_margin(net, x, eps, label)
            if least > 0.05:
                robust = (net, x, eps, label, least)
            elif least < -0.05 or robust is None:
                break
        if robust is None or least > -0.05 or eps > 1.4 * robust[2]:
            continue
        wrong = [q for q in quadrants if _least_margin(net, x + q * eps / 2, eps / 2, label) < 0]
        if len(wrong) == 1:
            turn = wrong[0] * quadrants[len(found) // 2 % 4]  # mirrors the plane
            with torch.no_grad():
                net[0].weight.mul_(turn)
                x.mul_(turn)
            found += [robust, (net, x, eps, label, least)]
    return found


def _least_margin(net: nn.Sequential, x: Tensor, eps: float, label: int) -> float:
    eye = torch.eye(3, dtype=torch.float64)
    return min(_exact_minimum(net, x, eps, eye[label] - eye[j]) for j in range(3) if j != label)


def _verdict(student: Student, net: nn.Sequential, x: Tensor, eps: float, label: int, budget: int, what: str) -> tuple[str, Any]:
    found, after = student.fn("verify_exact", return_args=True)(mirror(student, net), x, eps, label, budget)
    unchanged(after[1:2], [x], "x", "verify_exact")
    verdict, point = pair(found, what)
    assert verdict in ("robust", "falsified", "timeout"), f'{what}: the verdict must be "robust", "falsified" or "timeout".'
    if verdict != "falsified":
        assert point is None, f"{what}: with the verdict {verdict} comes None, not a point."
        return verdict, None
    z = finite(point, f"{what}: the counterexample", x.shape, x.dtype).detach()
    gap = float((z - x).abs().max())
    assert gap <= eps * (1 + 1e-9), f"{what}: the counterexample lies {gap:.5g} from x, outside the ball of radius {eps:.5g}."
    with torch.no_grad():
        logits = net(z)
    others = max(float(logits[j]) for j in range(len(logits)) if j != label)
    assert others > float(logits[label]), f"{what}: at the counterexample the label has the largest logit. It falsifies nothing."
    return verdict, z


@hidden(EXACT, weight=3, core=True)
def agrees_with_enumeration(student: Student, rng: np.random.Generator) -> None:
    """For 16 networks and two radii each the verdict is that of enumerating every pattern; counterexamples are real."""
    for net, x, eps, label, least in _instances(rng, 32):
        what = f"verify_exact of a network 2-5-5-3, eps={eps:.3g}"
        verdict, _ = _verdict(student, net, x, eps, label, 20_000, what)
        right = "robust" if least > 0 else "falsified"
        slip = "Does every part of the ball end up proved or split, and the parts cover it?"
        assert verdict == right, f"{what}: the verdict is {verdict}, the least margin in the ball is {least:.4g}. {slip}"


@hidden(EXACT, weight=2)
def says_so_when_the_budget_ends(student: Student, rng: np.random.Generator) -> None:
    """With too small a budget the verdict is "timeout", never a guess."""
    n_late = 0
    eye = torch.eye(3, dtype=torch.float64)
    for net, x, eps, label, least in _instances(rng, 16):
        if least < 0:
            continue
        what = f"verify_exact of a robust network, eps={eps:.3g}"
        verdict, _ = _verdict(student, net, x, eps, label, 0, f"{what}, budget=0")
        assert verdict == "timeout", f'{what}, budget=0: "{verdict}", though nothing may be bounded.'
        C = (eye[label] - eye[[j for j in range(3) if j != label]])[None]
        at_once = bool((_documented(net, x[None], eps, C) > 0).all())
        verdict, _ = _verdict(student, net, x, eps, label, 1, f"{what}, budget=1")
        right = "robust" if at_once else "timeout"
        n_late += not at_once
        assert verdict == right, f'{what}, budget=1: "{verdict}", expected "{right}". One subproblem, bounded by crown, decides.'


@hidden(EXACT, weight=1)
def other_numbers_of_inputs(student: Student, rng: np.random.Generator) -> None:
    """One input, three inputs, a label that is wrong at x itself."""
    for d in (1, 3):
        net, x = _net(rng, d, 4, 3), normal(rng, d)
        with torch.no_grad():
            logits = net(x)
        best, worst = int(logits.argmax()), int(logits.argmin())
        verdict, _ = _verdict(student, net, x, 0.1, worst, 200, f"verify_exact, {d} inputs, a label that is wrong at x")
        assert verdict == "falsified", f'{d} inputs, the label is wrong at x itself: the verdict is "{verdict}".'
        tiny = 1e-6
        verdict, _ = _verdict(student, net, x, tiny, best, 200, f"verify_exact, {d} inputs, eps={tiny}")
        assert verdict == "robust", f'{d} inputs, eps={tiny}: the verdict is "{verdict}".'
