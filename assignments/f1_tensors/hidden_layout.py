"""Hidden checks of F1, layouts: patchify with unpatchify, sliding_windows. Student and rng in, silence or a hint out.

Nothing is computed here, only moved, so every comparison is exact. The oracles are tables of indices, written by loops.
What shares memory is found out by changing an input inside the student's process and looking at the result again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import (
    close,
    gradients,
    integers,
    normal,
    raises,
    same,
    shapes,
    sizes,
    strided,
    tensor,
    unchanged,
)
from autograder.sandbox.student import Call, Student, StudentObject

PATCHIFY, WINDOWS = "f1_tensors.patchify", "f1_tensors.sliding_windows"


def _patches(img: Tensor, p: int) -> Tensor:
    """Write every number to its place, one at a time."""
    b, c, h, w = img.shape
    out = torch.empty(b, (h // p) * (w // p), c * p * p, dtype=img.dtype)
    for channel in range(c):
        for row in range(h):
            for column in range(w):
                patch = (row // p) * (w // p) + column // p
                out[:, patch, channel * p * p + (row % p) * p + column % p] = img[:, channel, row, column]
    return out


def _image(rng: np.random.Generator, rows: int, columns: int, p: int, b: int = 2, c: int = 3) -> Tensor:
    """Count up from a drawn number, so that every entry tells where it was."""
    shape = (b, c, rows * p, columns * p)
    return torch.arange(int(np.prod(shape)), dtype=torch.float64).reshape(shape) + int(rng.integers(100))


def _cases(rng: np.random.Generator) -> list[tuple[Tensor, int]]:
    """Draw images (rows of patches, patches per row, p) that are higher, wider, of one row, of one patch, of one pixel."""
    grids = [(2, 3, 2), (3, 2, 2), (1, 4, 3), (4, 1, 2), (3, 5, 1), (1, 1, 4), (*sizes(rng, 2, 2, 6), 3)]
    images = [(_image(rng, rows, columns, p), p) for rows, columns, p in grids]
    return [*images, (_image(rng, 2, 3, 2, b=1, c=1), 2), (_image(rng, 3, 2, 3, b=3, c=2), 3)]


@hidden(PATCHIFY, weight=3, core=True)
def index_table(student: Student, rng: np.random.Generator) -> None:
    """Every pixel is in its patch and at its place, for images that count their pixels."""
    cases = _cases(rng)
    found = student.each("patchify", [Call(img, p) for img, p in cases])
    for img, p in cases:
        slip = "Patches as one reads, row by row; in a patch channel by channel. Which axis is cut into which two?"
        same(next(found), _patches(img, p), f"patchify for {shapes(img=img)}, p={p}", slip)


@hidden(PATCHIFY, weight=3)
def inverse_table(student: Student, rng: np.random.Generator) -> None:
    """unpatchify brings every pixel of correct patches back to its place."""
    cases = _cases(rng)
    found = student.each("unpatchify", [Call(_patches(img, p), p, *img.shape[-2:]) for img, p in cases])
    for img, p in cases:
        h, w = img.shape[-2:]
        slip = "h comes before w. Go through the steps of patchify backwards."
        same(next(found), img, f"unpatchify to an image of {h} x {w}, p={p}", slip)


@hidden(PATCHIFY, weight=2)
def round_trip(student: Student, rng: np.random.Generator) -> None:
    """unpatchify after patchify gives the image back bit for bit, also where h = w; and dtypes stay."""
    cases = []
    for k, (rows, columns, p) in enumerate(((2, 4, 2), (3, 3, 2), (4, 2, 3), (1, 3, 4))):
        cases.append((normal(rng, 2, 3, rows * p, columns * p, dtype=(torch.float32, torch.float64)[k % 2]), p))
    there = list(student.each("patchify", [Call(img, p) for img, p in cases]))
    for (img, p), patches in zip(cases, there, strict=True):
        tensor(patches, f"patchify for {shapes(img=img)}, p={p}", _patches(img, p).shape, img.dtype)
    calls = [Call(patches, p, *img.shape[-2:]) for (img, p), patches in zip(cases, there, strict=True)]
    for (img, p), back in zip(cases, student.each("unpatchify", calls), strict=True):
        same(back, img, f"{shapes(img=img)} there and back, p={p}")


@hidden(PATCHIFY, weight=1)
def refuses_what_does_not_fit(student: Student, rng: np.random.Generator) -> None:
    """A patch size that does not divide the height, or not the width, is a ValueError in both directions."""
    cases, asked = ((6, 7, 3), (7, 6, 3), (4, 6, 4), (6, 4, 4), (2, 8, 4), (9, 4, 6), (2, 2, 3)), []
    for h, w, p in cases:
        img, patches = normal(rng, 1, 2, h, w), normal(rng, 1, max(1, (h // p) * (w // p)), 2 * p * p)
        asked += [("patchify", Call(img, p)), ("unpatchify", Call(patches, p, h, w))]
    answers = student.together(asked)
    for h, w, p in cases:
        raises("ValueError", lambda: next(answers), f"patchify of {h} x {w} with p={p}")
        raises("ValueError", lambda: next(answers), f"unpatchify to {h} x {w} with p={p}")


@hidden(PATCHIFY, weight=1)
def layouts_and_gradients(student: Student, rng: np.random.Generator) -> None:
    """Images with channels last in memory, strided patches; the image stays as it was; gradients go back where they came from."""
    img = normal(rng, 2, 6, 4, 3).permute(0, 3, 1, 2)
    close(student.fn("patchify")(img, 2), _patches(img, 2), "patchify of an image with its channels last in memory", rtol=0)
    found = student.fn("unpatchify")(strided(_patches(img, 2)), 2, 6, 4)
    close(found, img, "unpatchify of strided patches", rtol=0)
    before = img.clone()
    _, after = student.fn("patchify", return_args=True)(img, 2)
    unchanged(after, [before], "img", "patchify")
    img, upstream = img.contiguous().requires_grad_(), normal(rng, 2, 3, 6, 4)
    back = gradients(student.fn("patchify")(img, 2), {"img": img}, _patches(upstream, 2), "patchify")
    close(back["img"], upstream, "gradient of img", rtol=0)
    patches = _patches(img.detach(), 2).requires_grad_()
    back = gradients(student.fn("unpatchify")(patches, 2, 6, 4), {"patches": patches}, upstream, "unpatchify")
    close(back["patches"], _patches(upstream, 2), "gradient of patches", rtol=0)


def _windows(x: Tensor, size: int, stride: int) -> Tensor:
    """Copy the windows out one by one."""
    starts = range(0, x.shape[-1] - size + 1, stride)
    return torch.stack([torch.stack([x[..., s + i] for i in range(size)], -1) for s in starts], -2)


# (n, size, stride): windows that end exactly at the end, that leave entries over, that are whole, single, or far apart.
_FITS = ((7, 3, 2), (8, 3, 2), (9, 3, 3), (5, 5, 1), (5, 5, 3), (6, 1, 1), (6, 1, 4), (11, 2, 4), (10, 2, 4), (1, 1, 1))
_BOUNDARY = "How many windows fit when entries are left over, and when none are?"


@hidden(WINDOWS, weight=3, core=True)
def values_of_windows(student: Student, rng: np.random.Generator) -> None:
    """Window j begins at entry j·stride: with any leading dimensions, at every boundary."""
    drawn = (int(rng.integers(12, 20)), int(rng.integers(2, 5)), int(rng.integers(2, 5)))
    fits = enumerate((*_FITS, drawn))
    cases = [(normal(rng, *((), (3,), (2, 4))[k % 3], n), size, stride) for k, (n, size, stride) in fits]
    found = student.each("sliding_windows", [Call(*case) for case in cases])
    for x, size, stride in cases:
        what = f"windows of {shapes(x=x)}, size={size}, stride={stride}"
        same(next(found), _windows(x, size, stride), what, _BOUNDARY)


@hidden(WINDOWS, weight=3)
def strides_of_the_input(student: Student, rng: np.random.Generator) -> None:
    """Transposed, strided and expanded inputs, float and integer: the numbers are the same as for a copy of them."""
    a, b, n = sizes(rng, 3, 7, 12)
    inputs = {
        "transposed": normal(rng, n, a).T,
        "strided along the windows": strided(normal(rng, a, n)),
        "strided along the rows": strided(normal(rng, n, a)).T,
        "permuted": integers(rng, 0, 99, n, a, b).permute(2, 1, 0),
        "expanded": normal(rng, n).expand(a, n),
        "of one repeated number": normal(rng, a, 1).expand(a, n),
    }
    cases = [(name, x, int(rng.integers(2, 5)), int(rng.integers(1, 4))) for name, x in inputs.items()]
    found = student.each("sliding_windows", [Call(x, size, stride) for _, x, size, stride in cases])
    for name, x, size, stride in cases:
        what = f"windows of x {name} ({' '.join(map(str, x.shape))}), strides {x.stride()}, size={size}, stride={stride}"
        slip = "How far apart in memory are neighbours of x? x knows."
        same(next(found), _windows(x, size, stride), what, slip)


def _kept(student: Student, base: Tensor, path: str) -> tuple[StudentObject, StudentObject]:
    """Keep a tensor in the player and return it and one of its views: the view is made there, so it keeps its offset."""
    there = student.keep(base)
    return there, there.part(path)


def _made(student: Student, view: StudentObject, size: int, stride: int, what: str, slip: str, expected: Tensor) -> Any:
    made = student.make_soon("sliding_windows", view, size, stride)
    same(made.value(), expected, what, slip)
    return made


@hidden(WINDOWS, weight=2)
def begins_anywhere(student: Student, rng: np.random.Generator) -> None:
    """An input that begins in the middle of its memory: its windows do too."""
    a, n = sizes(rng, 2, 7, 12)
    for path in ("imag", "mT.imag"):
        base = torch.complex(normal(rng, a, n), normal(rng, a, n))
        _, view = _kept(student, base, path)
        seen = base.imag if path == "imag" else base.mT.imag
        what = f"windows of a view with storage_offset 1 and strides {seen.stride()}, size=3, stride=2"
        _made(student, view, 3, 2, what, "Where in memory does x begin?", _windows(seen, 3, 2))


@hidden(WINDOWS, weight=2)
def shares_memory(student: Student, rng: np.random.Generator) -> None:
    """The result is a view: when x changes afterwards, the windows change too."""
    a, b, n = sizes(rng, 3, 7, 12)
    for path, shape in (("mT.mT", (a, n)), ("mT", (a, n)), ("mT", (a, b, n))):
        base = normal(rng, *shape)
        there, view = _kept(student, base, path)
        seen = base if path == "mT.mT" else base.mT
        what = f"windows of {'a transposed' if path == 'mT' else 'an'} x of {tuple(seen.shape)}"
        made = _made(student, view, 3, 2, what, "", _windows(seen, 3, 2))
        there.call("mul_", -2.0)
        slip = "The result is a copy. Indexing copies, and a reshape may."
        same(made.value(), _windows(-2.0 * seen, 3, 2), f"{what}, looked at again after x was multiplied by -2", slip)


@hidden(WINDOWS, weight=1)
def gradients_of_windows(student: Student, rng: np.random.Generator) -> None:
    """An entry that stands in several windows collects the gradients of all of them; x stays as it was."""
    for lead, n, size, stride in (((), 9, 4, 1), ((3,), 8, 3, 2), ((2, 3), 7, 2, 3)):
        x = normal(rng, *lead, n).requires_grad_()
        expected = _windows(x, size, stride)
        upstream = normal(rng, *expected.shape)
        found = gradients(student.fn("sliding_windows")(x, size, stride), {"x": x}, upstream, "sliding_windows")
        right = torch.autograd.grad(expected, x, upstream)[0]
        close(found["x"], right, f"gradient of {shapes(x=x)}, size={size}, stride={stride}", rtol=1e-12)
        _, after = student.fn("sliding_windows", return_args=True)(x.detach(), size, stride)
        unchanged(after, [x.detach()], "x", "sliding_windows")


@hidden(WINDOWS, evidence="observed")
def by_as_strided(student: Student, rng: np.random.Generator) -> None:
    """The windows are made by as_strided, not by unfold."""
    _, seen = student.observe("sliding_windows", normal(rng, 3, 9), 3, 2)
    assert not any("unfold" in name for name in seen.operators), "unfold was called; the exercise is to write it with as_strided."
