"""Hidden checks of R2, one number for a network: spectral_norm, lipschitz_bound, margin_radius. Student and rng in, a hint out.

The oracle writes every layer as a dense matrix, column by column, and takes its singular values. Maps are drawn such that
the second singular value is at most 0.9 of the first: then 300 rounds of power iteration are exact to 1e-9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.grading.checks import hidden
from autograder.grading.compare import close, normal, number, raises, same, sizes, unchanged
from autograder.grading.mirror import mirror
from autograder.sandbox.student import Student

NORM = "r2_defences.spectral_norm"
ROUNDS = 300


class Residual(nn.Module):
    """As the given class."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _matrix(w: Tensor, shape: Sequence[int], stride: int, padding: int) -> Tensor:
    """Write the convolution as a matrix: what it makes of each unit vector."""
    units = torch.eye(math.prod(shape), dtype=w.dtype).reshape(-1, *shape)
    return F.conv2d(units, w, stride=stride, padding=padding).flatten(1).T


def _largest(matrix: Tensor) -> float:
    return float(torch.linalg.svdvals(matrix.detach().double())[0])


def _is_clear(matrix: Tensor) -> bool:
    values = torch.linalg.svdvals(matrix.double())
    return len(values) == 1 or float(values[1]) <= 0.9 * float(values[0])


def _clear(rng: np.random.Generator, o: int, i: int, scale: float = 1.0) -> Tensor:
    """Draw a matrix whose largest singular value stands clear of the others."""
    u, s, v = torch.linalg.svd(normal(rng, o, i), full_matrices=False)
    s[0] = s[0] * 1.5
    return u @ torch.diag(s) @ v * scale


def _clear_kernel(rng: np.random.Generator, shape: Sequence[int], o: int, size: int, stride: int, padding: int) -> Tensor:
    """Draw a kernel whose operator has a clear largest singular value: a constant part makes it likelier."""
    for _ in range(500):
        w = normal(rng, o, shape[0], size, size) + float(rng.uniform(0.5, 2)) * torch.sign(normal(rng, o, 1, 1, 1))
        if _is_clear(_matrix(w, shape, stride, padding)):
            return w
    raise ValueError(f"no clear kernel for {shape}, stride {stride}, padding {padding}")


def _norm(student: Student, w: Tensor, iters: int, *more: object, what: str) -> float:
    found, after = student.fn("spectral_norm", return_args=True)(w, iters, *more)
    unchanged(after[:1], [w], "w", what)
    assert type(found) is float, f"{what} must be a plain float."
    return number(found, what)


def _equal(found: float, right: float, what: str, slip: str, rtol: float = 1e-6) -> None:
    assert abs(found - right) <= rtol * abs(right), f"{what} is {found:.8g}, expected {right:.8g}. {slip}"


@hidden(NORM, weight=3, core=True)
def largest_singular_value_of_a_matrix(student: Student, rng: np.random.Generator) -> None:
    """For matrices of any shape and scale the estimate is the largest singular value."""
    for o, i in (sizes(rng, 2, 3, 9), (1, 5), (6, 1), (4, 4)):
        for scale in (1.0, 1e4, 1e-3):
            w = _clear(rng, o, i, scale)
            what = f"spectral_norm of a matrix {o} x {i}, scale {scale:g}, {ROUNDS} rounds"
            slip = "Through the map and back through its transpose, normalised in each round."
            _equal(_norm(student, w, ROUNDS, what=what), _largest(w), what, slip)


@hidden(NORM, weight=3)
def norm_of_the_convolution(student: Student, rng: np.random.Generator) -> None:
    """For a kernel it is the norm of the whole convolution, with its image size, stride and padding."""
    for shape, o, size, stride, padding in (
        ((1, 5, 4), 2, 3, 1, 1),
        ((2, 6, 6), 3, 3, 2, 1),
        ((3, 4, 5), 2, 2, 1, 0),
        ((1, 6, 5), 1, 3, 2, 2),
    ):
        w = _clear_kernel(rng, shape, o, size, stride, padding)
        what = f"spectral_norm of a kernel {tuple(w.shape)} on images {shape}, stride {stride}, padding {padding}"
        slip = "The map is the convolution of the whole image, not the kernel written as a matrix."
        found = _norm(student, w, ROUNDS, shape, stride, padding, what=what)
        _equal(found, _largest(_matrix(w, shape, stride, padding)), what, slip)


@hidden(NORM, weight=2)
def any_map_and_never_above(student: Student, rng: np.random.Generator) -> None:
    """After few rounds the estimate is not above the norm; maps that annul a special start, and 0, are no exception."""
    for iters in (1, 2, 5):
        w = normal(rng, 6, 5)
        found, right = _norm(student, w, iters, what=f"spectral_norm, {iters} rounds"), _largest(w)
        slip = "Power iteration comes from below: how long is the image of a vector of length 1?"
        assert 0 < found <= right * (1 + 1e-9), (
            f"spectral_norm after {iters} rounds is {found:.6g}, the norm is {right:.6g}. {slip}"
        )
    for k in range(4):
        w = _clear(rng, 5, 4)
        annulled = torch.eye(4, dtype=w.dtype)[k] if k < 2 else torch.ones(4, dtype=w.dtype) / 2
        w = w - torch.outer(w @ annulled, annulled)
        what = "spectral_norm of a matrix that annuls " + ("a unit vector" if k < 2 else "the vector of ones")
        right = _largest(w)
        found = _norm(student, w, 2000, what=what)
        slip = "A fixed start may be orthogonal to what is looked for."
        assert right * (1 - 1e-3) <= found <= right * (1 + 1e-9), f"{what} is {found:.6g}, expected {right:.6g}. {slip}"
    edge = torch.tensor([[[[-1.0, 0.0, 1.0]] * 3]], dtype=torch.float64).reshape(1, 1, 3, 3)
    found = _norm(student, edge, 2000, (1, 5, 5), 1, 0, what="spectral_norm of an edge filter")
    right = _largest(_matrix(edge, (1, 5, 5), 1, 0))
    assert right * (1 - 1e-3) <= found <= right * (1 + 1e-9), (
        f"spectral_norm of an edge filter is {found:.6g}, expected {right:.6g}."
    )
    for w, more in ((torch.zeros(3, 4), ()), (torch.zeros(2, 1, 3, 3), ((1, 4, 4), 1, 1))):
        found = _norm(student, w, 5, *more, what="spectral_norm of a map that is 0")
        assert found == 0, f"spectral_norm of a map that is 0 is {found}."
    student.seed(7)
    expected = student.fn("torch.rand")(3)
    student.seed(7)
    _norm(student, normal(rng, 3, 2), 3, what="spectral_norm")
    same(student.fn("torch.rand")(3), expected, "torch.rand(3) after spectral_norm", "The global generator must be left alone.")


def _net(rng: np.random.Generator) -> tuple[nn.Sequential, tuple[int, ...], float]:
    """Draw a network with every kind of layer, and compute its bound from dense matrices."""
    shape, a, b = (2, 5, 5), 6, 4
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1).double()
    inner, outer = nn.Linear(a, b).double(), nn.Linear(b, a).double()
    first, last = nn.Linear(27, a).double(), nn.Linear(a, 3, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(_clear_kernel(rng, shape, 3, 3, 2, 1))
        for layer in (inner, outer, first, last):
            layer.weight.copy_(_clear(rng, *layer.weight.shape) * 0.7)
    block = Residual(nn.ReLU(), inner, nn.ReLU(), outer)
    net = nn.Sequential(conv, nn.ReLU(), nn.Sequential(nn.Flatten(), first), block, nn.ReLU(), last)
    bound = _largest(_matrix(conv.weight, shape, 2, 1)) * _largest(first.weight) * _largest(last.weight)
    return net, shape, bound * (1 + _largest(inner.weight) * _largest(outer.weight))


def _bound(student: Student, net: nn.Module, shape: Sequence[int], what: str) -> float:
    found = student.fn("lipschitz_bound")(mirror(student, net), tuple(shape), ROUNDS)
    assert type(found) is float, f"{what} must be a plain float."
    return number(found, what)


@hidden(NORM, weight=3)
def product_of_the_layers(student: Student, rng: np.random.Generator) -> None:
    """lipschitz_bound multiplies over layers, adds 1 around a residual body, and holds for every pair of inputs."""
    for _ in range(2):
        net, shape, right = _net(rng)
        what = "lipschitz_bound of conv, relu, linear, residual, relu, linear"
        found = _bound(student, net, shape, what)
        _equal(found, right, what, "Layers in a row multiply; in x + body(x) two paths add up.")
        x, z = normal(rng, 200, *shape), normal(rng, 200, *shape)
        with torch.no_grad():
            slope = float(((net(x) - net(z)).norm(dim=1) / (x - z).flatten(1).norm(dim=1)).max())
        assert slope <= found, f"{what} is {found:.4g}, but some pair of inputs is moved apart by {slope:.4g}."
    linear = nn.Sequential(nn.Linear(4, 3)).double()
    with torch.no_grad():
        linear[0].weight.copy_(_clear(rng, 3, 4))
    _equal(
        _bound(student, linear, (4,), "lipschitz_bound of one layer"),
        _largest(linear[0].weight),
        "lipschitz_bound of one layer",
        "",
    )


@hidden(NORM, weight=1)
def unknown_layers_have_no_bound(student: Student, rng: np.random.Generator) -> None:
    """A layer of another kind raises TypeError, wherever it stands."""
    for net in (nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()), nn.Sequential(Residual(nn.Linear(3, 3), nn.Tanh()), nn.Linear(3, 2))):
        there = mirror(student, net)
        raises(
            "TypeError",
            lambda there=there: student.fn("lipschitz_bound")(there, (3,), 5),
            "lipschitz_bound with a layer of another kind",
        )


@hidden(NORM, weight=2)
def radius_from_the_margin(student: Student, rng: np.random.Generator) -> None:
    """The radius is the largest that follows: for an orthonormal linear model it is the distance of the boundary."""
    for b, k in ((5, 4), (1, 2), (6, 3)):
        L = float(rng.uniform(0.3, 5))
        q = torch.linalg.qr(normal(rng, k + 3, k))[0].T * L  # k rows of length L, at right angles
        x, bias = normal(rng, b, k + 3), normal(rng, k)
        logits = x @ q.T + bias
        best = logits.argmax(1)
        distance = torch.stack(
            [
                min((logits[i, best[i]] - logits[i, j]) / (q[best[i]] - q[j]).norm() for j in range(k) if j != best[i])
                for i in range(b)
            ]
        )
        found, after = student.fn("margin_radius", return_args=True)(logits, L)
        slip = "By how much can the difference of two logits change when the vector of logits moves by 1?"
        close(found, distance, f"margin_radius of {b} x {k} logits, L={L:.3g}", rtol=1e-9, slip=slip)
        unchanged(after[:1], [logits], "logits", "margin_radius")
        shifted = student.fn("margin_radius")(logits - 1e3, L)
        close(shifted, distance, "margin_radius of logits minus 1000", rtol=1e-6, slip="Only differences count.")
    tied = torch.tensor([[2.0, 2.0, 0.0]], dtype=torch.float64)
    close(student.fn("margin_radius")(tied, 1.0), torch.zeros(1, dtype=torch.float64), "margin_radius of a tie", rtol=0, atol=1e-12)
