"""Hidden checks of R1, without a gradient: square_attack with square_side. Student and rng in, silence or a hint out.

`Threat` runs every query and gives logits only. What is a legal proposal is decided by search: some square of the scheduled
side explains every changed pixel of the query.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import finite, integers, normal, same, unchanged
from autograder.grading.threat import Threat, images
from autograder.sandbox.student import Student

SQUARE = "r1_adversarial_attacks.square_attack"
F32 = torch.float32
Model = Callable[[Tensor], Tensor]
MARKS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def _side(i: int, queries: int, side: int, p: float = 0.8) -> int:
    share = Fraction(10_000 * i, queries)
    for mark in MARKS:
        p = p / 2 if share > mark else p
    return min(side, max(1, int(math.sqrt(p * side * side) + 0.5)))


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _stubborn(rng: np.random.Generator, d: int, k: int) -> Model:
    """A curved model that says class 0 wherever it is asked, more or less surely."""
    a, b, c = normal(rng, d, 12) * 4 / math.sqrt(d), normal(rng, 12), normal(rng, 12, k)
    first = 80 * torch.eye(k, dtype=torch.float64)[0]
    # In float32, as a network answers: then whoever keeps margins in float32 decides as we do.
    return lambda x: (torch.tanh(x.flatten(1).double() @ a + b) @ c + first).to(x.dtype)


def _margin(logits: Tensor, y: int) -> Tensor:
    others = [j for j in range(logits.shape[1]) if j != y]
    return logits[:, others].amax(1) - logits[:, y]


@hidden(SQUARE, weight=2)
def schedule_of_sides(student: Student, rng: np.random.Generator) -> None:
    """square_side: the nearest whole side of the scheduled area, from the first query to the last, at least 1."""
    for queries, side, p in ((10_000, 32, 0.8), (300, 8, 0.8), (57, 10, 0.3), (1000, 28, 0.05), (5000, 224, 0.8), (40, 3, 1.0)):
        marks = [-(-queries * m // 10_000) + k for m in MARKS for k in (-1, 0, 1)]
        drawn = [int(i) for i in rng.integers(0, queries, 15)]
        for i in sorted({i for i in (*marks, *drawn, 0, 1, queries - 1) if 0 <= i < queries}):
            args = (i, queries, side) if p == 0.8 else (i, queries, side, p)
            found = student.fn("square_side")(*args)
            assert type(found) is int, f"square_side{args} must be a whole number."
            slip = "How often has the share been halved, and is the side that of a square of this area?"
            assert found == _side(i, queries, side, p), (
                f"square_side{args} is {found}, expected {_side(i, queries, side, p)}. {slip}"
            )


@hidden(SQUARE, weight=3, core=True)
def keeps_ball_box_and_budget(student: Student, rng: np.random.Generator) -> None:
    """Logits only; every query in the ball and the box; the budget is used up, and the best point comes back."""
    for (b, c, side), queries in (((4, 1, 6), 40), ((3, 3, 5), 25), ((5, 2, 4), 1), ((1, 1, 3), 60)):
        x, eps = images(rng, b, c, side, side, rim=0.4).to(F32), float(rng.uniform(0.04, 0.12))
        model, y = _stubborn(rng, c * side * side, 5), torch.zeros(b, dtype=torch.int64)
        threat = Threat(model, x, eps, limit=queries, differentiable=False)
        what = f"square_attack's result, x {(b, c, side, side)}, {queries} queries"
        found = finite(student.fn("square_attack")(threat, x, y, eps, queries, _generator(rng)), what, x.shape, F32).detach()
        threat.judge(found, what)
        for i in range(b):
            rows, logits = threat.of(i)
            slip = "The model was right about it all the time, so the whole budget may be used: stripes first, then squares."
            assert len(rows) == queries, f"{what}: example {i} was asked about {len(rows)} times. {slip}"
            reached, seen = float(_margin(model(found[i : i + 1]), 0)), float(_margin(logits, 0).max())
            said = f"{what}, example {i}: its margin loss is {reached:.5f}, one of the queries had {seen:.5f}"
            assert reached >= seen - 1e-6, f"{said}. Is the better point kept, and returned?"


@hidden(SQUARE, weight=2)
def begins_with_stripes(student: Student, rng: np.random.Generator) -> None:
    """The first query moves whole columns by eps, up or down, each channel and column by itself, and clips."""
    b, c, side, eps = 6, 3, 7, 0.1
    x = images(rng, b, c, side, side).to(F32)
    threat = Threat(_stubborn(rng, c * side * side, 3), x, eps, differentiable=False)
    student.fn("square_attack")(threat, x, torch.zeros(b, dtype=torch.int64), eps, 2, _generator(rng))
    up, down = (x + eps).clamp(0, 1), (x - eps).clamp(0, 1)
    signs = []
    for i in range(b):
        first = threat.of(i)[0][0]
        for channel in range(c):
            for column in range(side):
                got = first[channel, :, column]
                is_up, is_down = ((got - e[i, channel, :, column]).abs().max() < 1e-5 for e in (up, down))
                what = f"first query, example {i}, channel {channel}, column {column}"
                assert is_up or is_down, f"{what}: not the column of x, all of it moved by eps or all of it by -eps, and clipped."
                signs.append(bool(is_up))
    n_up, flips = sum(signs), sum(a != b for a, b in itertools.pairwise(signs))
    # 126 fair coins: fewer than 25 of one side, or of changes, once in 10^11.
    assert 25 <= n_up <= 101, f"first query: {n_up} of 126 stripes go up, expected about half."
    assert 25 <= flips <= 101, (
        f"first query: the signs of neighbouring stripes differ {flips} times of 125. Is each drawn for itself?"
    )
    others = sum(a != b for a, b in zip(signs, signs[c * side :], strict=False))
    slip = "expected about half."
    assert 20 <= others <= 85, f"first query: the stripes of neighbouring examples differ in {others} of 105 signs, {slip}"


def _explained(query: Tensor, best: Tensor, x: Tensor, eps: float, size: int) -> list[tuple[int, int]]:
    """Return the corners of the squares of this side that explain the query: one sign per channel inside, the best outside."""
    c, side = x.shape[0], x.shape[1]
    near_best = ((query - best).abs() < 1e-5).all(0)
    fits = [((query - (x + s * eps).clamp(0, 1)).abs() < 1e-5) for s in (1, -1)]
    found = []
    for r in range(side - size + 1):
        for q in range(side - size + 1):
            window = (slice(r, r + size), slice(q, q + size))
            outside = torch.ones(side, side, dtype=torch.bool)
            outside[window] = False
            if near_best[outside].all() and all(any(f[(ch, *window)].all() for f in fits) for ch in range(c)):
                found.append((r, q))
    return found


@hidden(SQUARE, weight=3)
def proposes_squares_on_the_best(student: Student, rng: np.random.Generator) -> None:
    """Each query is the best point so far with one square of the scheduled side changed, anywhere in the image."""
    (b, c, side), queries, eps = (4, 2, 6), 130, 0.08
    x = images(rng, b, c, side, side, low=0.15, high=0.85).to(F32)
    threat = Threat(_stubborn(rng, c * side * side, 4), x, eps, limit=queries, differentiable=False)
    student.fn("square_attack")(threat, x, torch.zeros(b, dtype=torch.int64), eps, queries, _generator(rng))
    places, per_channel = [], set()
    for i in range(b):
        rows, logits = threat.of(i)
        margins, best = _margin(logits, 0), 0
        for k in range(1, len(rows)):
            size = _side(k, queries, side)
            corners = _explained(rows[k], rows[best], x[i], eps, size)
            what = f"query {k} of {queries}, image {side} x {side}, square of side {size}"
            slip = (
                "Outside the square it is the best point so far; inside, every channel of x is moved by eps one way, and clipped."
            )
            assert corners, f"{what}: the query is not the best point so far with one such square. {slip}"
            if len(corners) == 1 and size == 1:
                places.append(corners[0])
                per_channel.add(tuple(bool(s) for s in (rows[k] > x[i])[:, corners[0][0], corners[0][1]]))
            if margins[k] > margins[best]:
                best = k
    # Of several hundred squares of one pixel, more than 150 show where they were: that a given row of 6 is never hit happens
    # once in 10^11, and so does a combination of signs that is missing.
    rows_hit, columns_hit = {r for r, _ in places}, {q for _, q in places}
    slip = "Every place where the square fits should be possible, up to the last row and column."
    assert len(rows_hit) == side, f"{len(places)} squares of side 1 were seen in rows {sorted(rows_hit)} only. {slip}"
    assert len(columns_hit) == side, f"{len(places)} squares of side 1 were seen in columns {sorted(columns_hit)} only. {slip}"
    assert len(per_channel) == 4, "Inside a square both channels are always moved the same way, or some way never occurs."


@hidden(SQUARE, weight=2)
def breaks_what_has_no_gradient(student: Student, rng: np.random.Generator) -> None:
    """A network behind rounded pixels has no gradient; random search finds its mistakes all the same."""
    net, digits, labels = _natural_digits()

    def rounded(x: Tensor) -> Tensor:
        return net(torch.round(x * 6) / 6)

    # Further apart than the ball is wide: a query is nearest to its own digit, whatever squares were changed.
    chosen: list[int] = []
    for i in rng.permutation((rounded(digits).argmax(1) == labels).nonzero()[:, 0].numpy()).tolist():
        if len(chosen) < 40 and all((digits[i] - digits[j]).abs().max() > 0.51 for j in chosen):
            chosen.append(i)
    x, y = digits[chosen], labels[chosen]
    threat = Threat(rounded, x, 0.25, limit=200, differentiable=False)
    found = finite(student.fn("square_attack")(threat, x, y, 0.25, 200, _generator(rng)), "square_attack", x.shape, F32).detach()
    threat.judge(found, "square_attack's result")
    left = float((rounded(found).argmax(1) == y).double().mean())
    # The reference leaves 0.09 on average, with a standard deviation of 0.04 over draws.
    assert left < 0.3, f"40 digits behind rounded pixels, eps=0.25, 200 queries: {left:.0%} are still recognised."


@hidden(SQUARE, weight=1)
def square_leaves_nothing_behind(student: Student, rng: np.random.Generator) -> None:
    """Eval mode at every query, modes as before, randomness from gen alone, x unchanged."""
    x, y, seed = images(rng, 3, 1, 8, 8).to(F32), integers(rng, 0, 1, 3), int(rng.integers(2**31))
    model, results = _stubborn(rng, 64, 10), []
    for k in range(2):
        student.seed(k)
        expected = student.fn("torch.rand")(3)
        student.seed(k)
        threat = Threat(model, x, 0.1, differentiable=False, eval_only=True)
        gen = torch.Generator().manual_seed(seed)
        found, after = student.fn("square_attack", return_args=True)(threat, x, y, 0.1, 12, gen)
        results.append(finite(found, "square_attack").detach())
        unchanged(after[1:3], [x, y], "x y", "square_attack")
        same(student.fn("torch.rand")(3), expected, "torch.rand(3) after square_attack", "All randomness must come from gen.")
    same(results[1], results[0], "square_attack with the same generator again", "All randomness must come from gen.")
    net = student.module("DigitsNet", 4)
    net.part("conv2").call("eval")
    student.fn("square_attack")(net, x, y, 0.1, 4, _generator(rng))
    modes = [net.get("training"), net.get("conv1.training"), net.get("conv2.training")]
    assert modes == [True, True, False], (
        f"square_attack leaves the model's parts in the modes {modes}, they were [True, True, False]."
    )


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
