"""Hidden checks of F1, groups and lengths: scatter_mean, pad_ragged. Student and rng in, silence or a hint out.

The oracles are loops over rows and sequences. Means are compared at 1e-9 relative (sums of float64 terms), padded
sequences exactly: they are only moved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, gradients, integers, normal, pair, raises, same, shapes, strided, unchanged
from autograder.sandbox.student import Call, Student

SCATTER, PAD = "f1_tensors.scatter_mean", "f1_tensors.pad_ragged"


def _means(values: Tensor, index: Tensor, k: int) -> Tensor:
    """Collect the rows of one group after the other; zeros where there are none."""
    chosen = [[v for v, i in zip(values.double(), index.tolist(), strict=True) if i == g] for g in range(k)]
    return torch.stack([torch.stack(rows).mean(0) if rows else torch.zeros(values.shape[1]).double() for rows in chosen])


def _groups(rng: np.random.Generator, n: int, k: int) -> Tensor:
    """Draw an index with every group in it, unsorted, for n >= k."""
    index = torch.cat([torch.arange(k), integers(rng, 0, k, n - k)])
    return index[torch.from_numpy(rng.permutation(n))]


@hidden(SCATTER, weight=3, core=True)
def values_of_groups(student: Student, rng: np.random.Generator) -> None:
    """Row g of the result is the mean of all rows whose index is g, in whatever order they come."""
    drawn = ((7, 3, 2), (9, 4, 5), (5, 5, 3), (6, 1, 4), (8, 3, 1), (int(rng.integers(20, 30)), 6, 4))
    cases = [(normal(rng, n, d) + 1, _groups(rng, n, k), k) for n, k, d in drawn]
    values, index, k = cases[-1]
    order = torch.from_numpy(rng.permutation(len(index)))
    found = student.each("scatter_mean", [*(Call(*case) for case in cases), Call(values[order], index[order], k)])
    for values, index, k in cases:
        slip = "By how many rows is each sum divided? The index is not sorted."
        said = f"result for {shapes(values=values)}, index {index.tolist()[:8]}, k={k}"
        close(next(found), _means(values, index, k), said, rtol=1e-9, slip=slip)
    said = "result after the rows were put in another order, with their indices,"
    close(next(found), _means(values, index, k), said, rtol=1e-9)


@hidden(SCATTER, weight=2)
def empty_groups(student: Student, rng: np.random.Generator) -> None:
    """A group without rows gives zeros: in the middle, at the end, everywhere; the result always has k rows."""
    d = int(rng.integers(2, 6))
    groups = (([0, 3, 3, 1], 5), ([2, 2, 2], 3), ([0], 4), ([4, 1], 7), ([], 3))
    cases = [(normal(rng, len(index), d), torch.tensor(index, dtype=torch.int64), k) for index, k in groups]
    found = student.each("scatter_mean", [Call(*case) for case in cases])
    for values, index, k in cases:
        slip = "0 divided by 0 is nan. How many groups are there, whatever the index says?"
        close(next(found), _means(values, index, k), f"result for index {index.tolist()}, k={k}", rtol=1e-9, slip=slip)


@hidden(SCATTER, weight=1)
def groups_of_many(student: Student, rng: np.random.Generator) -> None:
    """Groups of 300 and of 70,000 rows are counted without overflow."""
    for n in (300, 70_000):
        # All rows alike, so that only a wrong count can be far off; a second group of one row.
        values = torch.full((n + 1, 1), float(rng.uniform(1, 2)), dtype=torch.float64)
        values[-1] = 5.0
        index = torch.zeros(n + 1, dtype=torch.int64)
        index[-1] = 1
        slip = "In which integer type are the rows counted, and how far does it reach?"
        # A sum of 7e4 terms is rounded at 7e4 x 2^-53 = 1e-11 at worst.
        close(
            student.fn("scatter_mean")(values, index, 2), values[[0, -1]], f"result for a group of {n} rows", rtol=1e-9, slip=slip
        )


@hidden(SCATTER, weight=1)
def layouts_of_groups(student: Student, rng: np.random.Generator) -> None:
    """Strided inputs, large values, float32; the inputs stay as they were, and no call depends on the one before."""
    n, k, d = 11, 4, int(rng.integers(2, 6))
    values, index = 1e4 * normal(rng, n, d), _groups(rng, n, k)
    expected, f = _means(values, index, k), student.fn("scatter_mean")
    close(f(values.T.contiguous().T, strided(index), k), expected, "result for strided inputs", rtol=1e-9)
    # Sums of under a dozen float32 terms.
    close(f(values.float(), index, k), expected, "result for float32 values", rtol=1e-5, dtype=torch.float32)
    before = [values.clone(), index.clone()]
    found, after = student.fn("scatter_mean", return_args=True)(values, index, k)
    unchanged(after, before, "values index", "scatter_mean")
    close(found, expected, "result of a later call", rtol=1e-9)


@hidden(SCATTER, weight=2)
def gradients_of_groups(student: Student, rng: np.random.Generator) -> None:
    """Each row gets its group's gradient divided by the number of rows; empty groups poison nothing."""
    for n, k in ((9, 3), (6, 8)):
        values, index = normal(rng, n, 3).requires_grad_(), integers(rng, 0, k - 1, n)
        upstream = normal(rng, k, 3)
        found = gradients(student.fn("scatter_mean")(values, index, k), {"values": values}, upstream, "scatter_mean")
        right = torch.stack([upstream[g] / index.tolist().count(g) for g in index.tolist()])
        slip = "Is a nan repaired after the division, or something detached?"
        close(found["values"], right, f"gradient for index {index.tolist()}, k={k}", rtol=1e-9, slip=slip)


def _padded(seqs: list[Tensor], value: float, side: str) -> tuple[Tensor, Tensor]:
    """Fill one row after the other."""
    t = max(len(s) for s in seqs)
    x, mask = torch.full((len(seqs), t), value, dtype=seqs[0].dtype), torch.zeros(len(seqs), t, dtype=torch.bool)
    for i, s in enumerate(seqs):
        first = t - len(s) if side == "left" else 0
        for j, entry in enumerate(s):
            x[i, first + j], mask[i, first + j] = entry, True
    return x, mask


def _pads(student: Student, cases: Sequence[tuple[list[Tensor], float, str]], slip: str = "") -> None:
    answers = student.each("pad_ragged", [Call(*case) for case in cases])
    for seqs, value, side in cases:
        said = f'for lengths {[len(s) for s in seqs]}, value={value}, side="{side}"'
        x, mask = pair(next(answers), f"pad_ragged {said}")
        expected = _padded(seqs, value, side)
        same(mask, expected[1], f"mask {said}", slip)
        if math.isnan(value):
            x, expected = _without_nan(x, expected[0], said), (_without_nan(expected[0], expected[0], said), mask)
        same(x, expected[0], f"x {said}", slip)


def _without_nan(x: Tensor, like: Tensor, said: str) -> Tensor:
    """Write nan as a number that can be compared."""
    same(x.isnan() if isinstance(x, Tensor) else x, like.isnan(), f"where x is nan {said}")
    return x.detach().nan_to_num(12345.0)


def _seqs(rng: np.random.Generator, lengths: list[int], dtype: torch.dtype = torch.int64) -> list[Tensor]:
    return [integers(rng, 1, 50, n).to(dtype) for n in lengths]


@hidden(PAD, weight=2, core=True)
def on_the_right(student: Student, rng: np.random.Generator) -> None:
    """side="right": every sequence at the beginning of its row, the padding behind it."""
    lengths = ([3, 5, 2], [4, 4], [1], [2, 1, 6, 3], [int(n) for n in rng.integers(1, 9, 5)])
    slip = "The side is where the padding goes. True stands where a sequence has entries."
    _pads(student, [(_seqs(rng, some), 0, "right") for some in lengths], slip)


@hidden(PAD, weight=2, core=True)
def on_the_left(student: Student, rng: np.random.Generator) -> None:
    """side="left": every sequence at the end of its row, in its own order, the padding before it."""
    lengths = ([3, 5, 2], [4, 4], [1], [2, 1, 6, 3], [int(n) for n in rng.integers(1, 9, 5)])
    slip = "The padding goes before the sequence, whose order stays. The mask moves with it."
    _pads(student, [(_seqs(rng, some), 0, "left") for some in lengths], slip)


@hidden(PAD, weight=2)
def value_in_the_data(student: Student, rng: np.random.Generator) -> None:
    """Entries that equal the padding value are entries all the same; a nan as value is no exception."""
    cases: list[tuple[list[Tensor], float, str]] = []
    for side in ("left", "right"):
        seqs = _seqs(rng, [3, 6, 4, 1])
        for s in seqs:
            s[int(rng.integers(len(s)))] = 0
        cases.append((seqs, 0, side))
        cases.append(([torch.zeros(2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)], 0, side))
        cases.append(([normal(rng, 2), torch.tensor([1.0, math.nan, 2.0]).double()], math.nan, side))
    _pads(student, cases, "The mask says where sequences stand, not where x differs from the value.")


@hidden(PAD, weight=2)
def empty_sequences_too(student: Student, rng: np.random.Generator) -> None:
    """A sequence without entries is a row of padding: first, in the middle, last, or all of them."""
    drawn = ([2, 0, 3], [0, 2], [3, 0], [0, 0], [0])
    cases = [(_seqs(rng, lengths), 7, side) for lengths in drawn for side in ("left", "right")]
    _pads(student, cases, "A row of padding has a mask without any True.")


@hidden(PAD, weight=1)
def kept_as_they_are(student: Student, rng: np.random.Generator) -> None:
    """Dtypes stay, also for whole numbers beyond a float's reach; strided sequences; the sequences are not modified."""
    values = ((torch.int32, -100), (torch.float32, 0.5), (torch.float64, -math.inf), (torch.uint8, 255))
    cases = [(_seqs(rng, [2, 4, 3], dtype), value, side) for dtype, value in values for side in ("left", "right")]
    _pads(student, cases, "The dtype is the sequences'.")
    large = 2**53 + 1 + 2 * integers(rng, 0, 100, 7)
    _pads(student, [([large, large[:3]], -1, "left")], "Whole numbers must not pass through a float.")
    seqs = [strided(large), strided(large)[2:]]
    _pads(student, [(seqs, 0, "right")])
    before = [s.clone() for s in seqs]
    _, after = student.fn("pad_ragged", return_args=True)(seqs, 0, "left")
    unchanged(after[0], before, "seqs[0] seqs[1]", "pad_ragged")


@hidden(PAD, weight=1)
def refuses_other_sides(student: Student, rng: np.random.Generator) -> None:
    """A side that is neither "left" nor "right" is a ValueError, not one of the two."""
    sides = ("center", "Left", "")
    answers = student.each("pad_ragged", [Call(_seqs(rng, [2, 3]), 0, side) for side in sides])
    for side in sides:
        raises("ValueError", lambda: next(answers), f'pad_ragged with side="{side}"')
