"""Hidden checks of F1, sums of products: pairwise_sq_dists, bilinear. Student and rng in, silence or a hint out.

The oracles are Python loops over single numbers and vectors. Tolerances: 1e-9 relative, since these are sums of under a
hundred float64 terms (rounding 1e-14); wider only where a check says why.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, gradients, normal, shapes, sizes, strided, unchanged
from autograder.sandbox.student import Call, Student

DISTANCES, BILINEAR = "f1_tensors.pairwise_sq_dists", "f1_tensors.bilinear"


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Add up squared differences, one pair of rows and one feature at a time."""
    rows = [[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in y.double().tolist()] for p in x.double().tolist()]
    return torch.tensor(rows, dtype=torch.float64).reshape(len(x), len(y))


@hidden(DISTANCES, weight=3, core=True)
def values(student: Student, rng: np.random.Generator) -> None:
    """Every entry is the sum of the squared differences of one row of x and one row of y."""
    cases = []
    for case in range(9):
        n, m, d = sizes(rng, 3, 2, 8)
        if case >= 6:  # size 1 in turn
            n, m, d = (1 if i == case - 6 else size for i, size in enumerate((n, m, d)))
        cases.append((normal(rng, n, d), normal(rng, m, d)))
    found = student.each("pairwise_sq_dists", [Call(x, y) for x, y in cases])
    for x, y in cases:
        slip = "Row i of the result belongs to row i of x. Squared distances are asked for: is there a root, a mean, a sign?"
        close(next(found), _distances(x, y), f"result for {shapes(x=x, y=y)}", rtol=1e-9, slip=slip)


@hidden(DISTANCES, weight=1)
def of_a_set_to_itself(student: Student, rng: np.random.Generator) -> None:
    """Where y is x the result is symmetric with zeros on the diagonal; as many rows of y as of x change nothing else."""
    cases = [(normal(rng, n, d), normal(rng, n, d)) for n, d in ((5, 3), (4, 4), (int(rng.integers(6, 20)), 2))]
    answers = student.each("pairwise_sq_dists", [Call(x, other) for x, y in cases for other in (x, y)])
    for x, y in cases:
        n, d = x.shape
        found = close(next(answers), _distances(x, x), f"result for y = x ({n} {d})", rtol=1e-9)
        close(found.T, found.detach(), f"transposed result for y = x ({n} {d})", rtol=1e-9, slip="Distances are symmetric.")
        slip = "With as many rows in y as in x: are rows of x compared with rows of y?"
        close(next(answers), _distances(x, y), f"result for {shapes(x=x, y=y)}", rtol=1e-9, slip=slip)


@hidden(DISTANCES, weight=2)
def never_negative(student: Student, rng: np.random.Generator) -> None:
    """Nearly equal points far from the origin: rounding may blur a distance, but never makes it negative or NaN."""
    for dtype, offset in ((torch.float32, 1e4), (torch.float64, 1e8), (torch.float32, 3e2)):
        n, m, d = (int(i) for i in rng.integers((30, 20, 6), (40, 29, 12)))
        x = (normal(rng, n, d) + offset).to(dtype)
        y = torch.cat([x[:m], (x[:3].double() + 1e-3).to(dtype)])
        said = f"result for {n} {dtype} points near {offset:g} and {m} of the same points again".replace("torch.", "")
        found = finite(student.fn("pairwise_sq_dists")(x, y), said, (n, m + 3), dtype).detach()
        lowest = float(found.min())
        assert lowest >= 0, f"{said}: the smallest entry is {lowest:.4g}. What does rounding do to a difference of large numbers?"


@hidden(DISTANCES, weight=1)
def sizes_and_layouts(student: Student, rng: np.random.Generator) -> None:
    """No rows at all, huge values, float32, transposed and strided inputs; the inputs stay as they were."""
    n, m, d = sizes(rng, 3, 2, 8)
    empty = [(normal(rng, rows, d), normal(rng, others, d)) for rows, others in ((0, m), (n, 0))]
    x, y = 1e4 * strided(normal(rng, n, d)), normal(rng, d, m).T
    short = x.float() / 1e4, y.float()
    found = student.each("pairwise_sq_dists", [Call(*xy) for xy in (*empty, (strided(x), y), short)])
    for p, q in empty:
        close(next(found), torch.zeros(len(p), len(q), dtype=torch.float64), f"result for {shapes(x=p, y=q)}", rtol=0)
    close(next(found), _distances(x, y), f"result for {shapes(x=x, y=y)}, strided, x of size 1e4", rtol=1e-9)
    # Sums of under ten float32 terms.
    close(next(found), _distances(*short), "result for float32 inputs", rtol=1e-5, dtype=torch.float32)
    before = [x.clone(), y.clone()]
    _, after = student.fn("pairwise_sq_dists", return_args=True)(x, y)
    unchanged(after, before, "x y", "pairwise_sq_dists")


@hidden(DISTANCES, weight=1)
def gradients_of_distances(student: Student, rng: np.random.Generator) -> None:
    """Gradients reach x and y, are finite where two points coincide, and are those of a squared distance."""
    for n, m, d in (sizes(rng, 3, 2, 8), sizes(rng, 3, 2, 8)):
        x, y = normal(rng, n, d), normal(rng, m, d)
        # Whole numbers are added up exactly, so that the two points are at distance 0 also by way of the lengths.
        x[-1] = y[0] = (2 * x[-1]).round()
        upstream = normal(rng, n, m)
        inputs = {"x": x.requires_grad_(), "y": y.requires_grad_()}
        found = gradients(student.fn("pairwise_sq_dists")(x, y), inputs, upstream, "pairwise_sq_dists")
        with torch.no_grad():
            apart = 2 * upstream[:, :, None] * (x[:, None] - y[None])
        slip = "Is something detached, or is there a root, whose slope at 0 is infinite?"
        close(found["x"], apart.sum(1), f"gradient of x ({n} {d})", rtol=1e-9, slip=slip)
        close(found["y"], -apart.sum(0), f"gradient of y ({m} {d})", rtol=1e-9, slip=slip)


@hidden(DISTANCES, evidence="observed")
def no_cube(student: Student, rng: np.random.Generator) -> None:
    """No tensor has n·m·d numbers, and there is no loop over rows."""
    n, m, d = 40, 30, 20
    _, seen = student.observe("pairwise_sq_dists", normal(rng, n, d), normal(rng, m, d))
    assert seen.max_numel <= 2 * n * m, f"A tensor of {seen.max_numel} numbers was made for a result of {n * m}."
    assert sum(seen.operators.values()) < n, f"{sum(seen.operators.values())} operations ran. Is there a loop over rows?"


def _forms(x: Tensor, w: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    """Multiply out vector, matrix, vector for one sample and one output at a time."""
    made = [torch.dot(x[b], torch.mv(w[o], y[b])) + bias[o] for b in range(len(x)) for o in range(len(w))]
    return torch.stack(made).reshape(len(x), len(w))


def _forms_inputs(rng: np.random.Generator, b: int, i: int, o: int, j: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return normal(rng, b, i), normal(rng, o, i, j), normal(rng, b, j), normal(rng, o)


@hidden(BILINEAR, weight=3, core=True)
def values_of_forms(student: Student, rng: np.random.Generator) -> None:
    """x^T w[o] y + bias[o] for every sample and output, all sizes different, each size 1 in turn."""
    cases = []
    for case in range(9):
        b, i, o, j = sizes(rng, 4, 2, 8)
        if case >= 5:
            b, i, o, j = (1 if k == case - 5 else size for k, size in enumerate((b, i, o, j)))
        cases.append(_forms_inputs(rng, b, i, o, j))
    found = student.each("bilinear", [Call(*inputs) for inputs in cases])
    for inputs in cases:
        said = shapes(**dict(zip(("x", "w", "y", "bias"), inputs, strict=True)))
        slip = "Which letters does the equation sum over, and which stay?"
        close(next(found), _forms(*inputs), f"result for {said}", rtol=1e-9, slip=slip)


@hidden(BILINEAR, weight=1)
def equal_sizes(student: Student, rng: np.random.Generator) -> None:
    """With all sizes equal no shape gives an error away: only the right letters give the right numbers."""
    cases = [_forms_inputs(rng, n, n, n, n) for n in (2, 3, 4)]
    found = student.each("bilinear", [Call(*inputs) for inputs in cases])
    for inputs in cases:
        slip = "All sizes are equal here, so that mistaken letters raise no error. x meets the second index of w, y the third."
        close(next(found), _forms(*inputs), f"result for sizes all {len(inputs[0])}", rtol=1e-9, slip=slip)


@hidden(BILINEAR, weight=2)
def linear_in_each(student: Student, rng: np.random.Generator) -> None:
    """Without x or y only the bias is left; the rest is linear in x; a sample does not depend on its neighbours."""
    b, i, o, j = sizes(rng, 4, 2, 8)
    x, w, y, bias = _forms_inputs(rng, b, i, o, j)
    order = torch.from_numpy(rng.permutation(b))
    changed = x.clone(), y.clone()
    changed[0][0], changed[1][0] = 100.0, -100.0
    inputs = ((0 * x, y), (x, 0 * y), (x, y), (-3 * x, y), (x[order], y[order]), changed)
    found = student.each("bilinear", [Call(p, w, q, bias) for p, q in inputs])
    for name in "xy":
        close(next(found), bias.expand(b, o), f"result for {name} = 0", rtol=1e-12, slip="What is left is the bias, once.")
    whole = next(found).detach()
    slip = "The form is linear in x; the bias is not part of it."
    close(next(found), 4 * bias - 3 * whole, "result for -3 x", rtol=1e-9, slip=slip)
    slip = "Do samples of the batch mix?"
    close(next(found), whole[order], "result for the batch in another order", rtol=1e-9, slip=slip)
    close(next(found)[1:], whole[1:], "the other samples after sample 0 was changed", rtol=1e-9, slip=slip)


@hidden(BILINEAR, weight=1)
def empty_batch_and_layouts(student: Student, rng: np.random.Generator) -> None:
    """An empty batch, float32, strided inputs, large values; the inputs stay as they were."""
    b, i, o, j = sizes(rng, 4, 2, 8)
    x, w, y, bias = _forms_inputs(rng, b, i, o, j)
    turned = 1e4 * strided(x), w.permute(2, 0, 1).contiguous().permute(1, 2, 0), strided(y), bias
    short = tuple(t.float() for t in (x, w, y, bias))
    found = student.each("bilinear", [Call(*inputs) for inputs in ((x[:0], w, y[:0], bias), turned, short)])
    close(next(found), torch.zeros(0, o, dtype=torch.float64), "result for an empty batch", rtol=0)
    close(next(found), _forms(1e4 * x, w, y, bias), "result for strided inputs", rtol=1e-9)
    # Sums of under a hundred float32 products.
    close(next(found), _forms(*(t.double() for t in short)), "result for float32 inputs", rtol=1e-5, dtype=torch.float32)
    before = [t.clone() for t in (x, w, y, bias)]
    _, after = student.fn("bilinear", return_args=True)(x, w, y, bias)
    unchanged(after, before, "x w y bias", "bilinear")


@hidden(BILINEAR, weight=1)
def gradients_of_forms(student: Student, rng: np.random.Generator) -> None:
    """Gradients reach all four inputs under a random upstream gradient."""
    for _ in range(2):
        b, i, o, j = sizes(rng, 4, 2, 8)
        inputs = dict(zip(("x", "w", "y", "bias"), _forms_inputs(rng, b, i, o, j), strict=True))
        inputs = {name: t.requires_grad_() for name, t in inputs.items()}
        upstream = normal(rng, b, o)
        found = gradients(student.fn("bilinear")(*inputs.values()), inputs, upstream, "bilinear")
        right = torch.autograd.grad(_forms(*inputs.values()), list(inputs.values()), upstream)
        for (name, t), g in zip(inputs.items(), right, strict=True):
            close(found[name], g, f"gradient of {name} {tuple(t.shape)}", rtol=1e-9, slip="Is something detached on the way?")
