"""Wrong and right answers to F1's layouts: patchify with unpatchify, and sliding_windows.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import einops
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

PATCHIFY, WINDOWS = "f1_tensors.patchify", "f1_tensors.sliding_windows"

# -- patchify, unpatchify --------------------------------------------------------------------------------------------------

mutant_edit(
    PATCHIFY,
    ("-> b (i j) (c p q)", "-> b (j i) (c p q)"),
    ('patches, "b (i j) (c p q)', 'patches, "b (j i) (c p q)'),
    caught_by="index_table",
    label="patches column by column",
    hint="Your patches come column by column: the second patch stands below the first one, not to its right.",
)
mutant_edit(
    PATCHIFY,
    ("-> b (i j) (c p q)", "-> b (i j) (p q c)"),
    ('patches, "b (i j) (c p q)', 'patches, "b (i j) (p q c)'),
    caught_by="index_table",
    label="channels last within a patch",
    hint="Within a patch your channels alternate. All pixels of channel 0 come first.",
)
mutant_edit(
    PATCHIFY,
    ("-> b (i j) (c p q)", "-> b (i j) (c q p)"),
    ('patches, "b (i j) (c p q)', 'patches, "b (i j) (c q p)'),
    caught_by="index_table",
    label="pixels column by column within a patch",
    hint="Within a patch your pixels go down first; they should go to the right first.",
)
mutant_edit(
    PATCHIFY,
    ('"b c (i p) (j q) -> b (i j)', '"b c (p i) (q j) -> b (i j)'),
    ("-> b c (i p) (j q)", "-> b c (p i) (q j)"),
    caught_by="index_table",
    label="every (h/p)-th pixel, not neighbours",
    hint="The pixels of your patches are not neighbours: they lie scattered over the image.",
)
mutant_edit(
    PATCHIFY,
    ("-> b c (i p) (j q)", "-> b c (j q) (i p)"),
    caught_by="inverse_table",
    label="unpatchify turns the image",
    hint="unpatchify returns the image with rows and columns exchanged.",
)
mutant_edit(
    PATCHIFY,
    ("i=h // p, p=p", "j=h // p, p=p"),
    caught_by=("inverse_table", "round_trip"),
    label="h and w exchanged in unpatchify",
    hint="unpatchify takes the number of patches per row for the number of rows of patches.",
)
mutant_edit(
    PATCHIFY,
    ('patches, "b (i j) (c p q) -> b c', 'patches, "b (i j) (c q p) -> b c'),
    caught_by=("inverse_table", "round_trip"),
    label="unpatchify transposes each patch",
    hint="unpatchify puts each patch back transposed.",
)
mutant_edit(
    PATCHIFY,
    ("    return einops.rearrange(img,", "    img = img[..., : h // p * p, : w // p * p]\n    return einops.rearrange(img,"),
    ("    h, w = img.shape[-2:]\n    if h % p or w % p:", "    h, w = img.shape[-2:]\n    if False:"),
    caught_by="refuses_what_does_not_fit",
    label="cuts off what does not fit",
    hint="Where p does not divide the image, your function drops the last rows or columns in silence.",
)
mutant_edit(
    PATCHIFY,
    ("    h, w = img.shape[-2:]\n    if h % p or w % p:", "    h, w = img.shape[-2:]\n    if h % p:"),
    caught_by="refuses_what_does_not_fit",
    label="only the height is tested",
    hint="A width that p does not divide is no ValueError in your patchify.",
)
mutant_edit(
    PATCHIFY,
    ("    h, w = img.shape[-2:]\n    if h % p or w % p:", "    h, w = img.shape[-2:]\n    if (h * w) % (p * p):"),
    caught_by="refuses_what_does_not_fit",
    label="only the area is tested",
    hint="An image of 4 x 6 has the area of six patches of 2 x 2, and of no whole number of rows of 4: test each side.",
)
mutant_edit(
    PATCHIFY,
    ("    h, w = img.shape[-2:]", "    img = img.flip(1)\n    h, w = img.shape[-2:]"),
    caught_by="index_table",
    label="channels in reverse",
    hint="Your channels come in reverse order.",
)
mutant_edit(
    PATCHIFY,
    ("    return einops.rearrange(img,", "    img = img.float()\n    return einops.rearrange(img,"),
    caught_by=("index_table", "round_trip"),
    label="float32 always",
    hint="Your patches are float32 whatever the image is. Nothing is computed here, so no bit may change.",
)


@mutant(
    PATCHIFY,
    caught_by="index_table",
    label="reshape without permute",
    hint="Your patches are runs of consecutive numbers: a reshape alone never brings the second row of a patch next to the first.",
)
def patchify(img: Tensor, p: int) -> Tensor:
    b, c, h, w = img.shape
    if h % p or w % p:
        raise ValueError
    return img.reshape(b, (h // p) * (w // p), c * p * p)


@mutant(
    PATCHIFY,
    caught_by="layouts_and_gradients",
    label="view, which wants a contiguous image",
    hint="Your function fails on an image that is not contiguous in memory: view cannot always do what reshape can.",
)
def patchify(img: Tensor, p: int) -> Tensor:
    b, c, h, w = img.shape
    if h % p or w % p:
        raise ValueError
    cut = img.view(b, c * h // p, p * w).view(b, c, h // p, p, w // p, p)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * p * p)


@mutant(
    PATCHIFY,
    caught_by="index_table",
    label="patches by reshape, channels kept together",
    hint="Each of your patches is a piece of a row of the image, not a square.",
)
def patchify(img: Tensor, p: int) -> Tensor:
    h, w = img.shape[-2:]
    if h % p or w % p:
        raise ValueError
    return img.reshape(*img.shape[:2], -1, p * p).transpose(1, 2).flatten(2)


@mutant(
    PATCHIFY,
    caught_by="index_table",
    label="h and w exchanged in patchify",
    hint="patchify takes the height for the width: a square image hides it. Which of the two comes first in the shape?",
)
def patchify(img: Tensor, p: int) -> Tensor:
    b, c, w, h = img.shape
    if h % p or w % p:
        raise ValueError
    cut = img.reshape(b, c, h // p, p, w // p, p)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * p * p)


@mutant(
    PATCHIFY,
    caught_by="index_table",
    label="overlapping patches",
    hint="Your patches overlap: there are more of them than fit side by side.",
)
def patchify(img: Tensor, p: int) -> Tensor:
    h, w = img.shape[-2:]
    if h % p or w % p:
        raise ValueError
    return F.unfold(img, p, stride=max(1, p - 1)).transpose(1, 2)


@mutant(
    PATCHIFY,
    caught_by=("inverse_table", "round_trip"),
    label="unpatchify for square images",
    hint="unpatchify takes every image for a square one.",
)
def unpatchify(patches: Tensor, p: int, h: int, w: int) -> Tensor:
    if h % p or w % p:
        raise ValueError
    side = round(patches.shape[1] ** 0.5)
    return einops.rearrange(patches, "b (i j) (c p q) -> b c (i p) (j q)", i=side, p=p, q=p)


@mutant(
    PATCHIFY,
    caught_by=("inverse_table", "round_trip"),
    label="unpatchify by reshape",
    hint="unpatchify writes the patches one after the other, row by row, without cutting them up.",
)
def unpatchify(patches: Tensor, p: int, h: int, w: int) -> Tensor:
    if h % p or w % p:
        raise ValueError
    return patches.reshape(len(patches), -1, h, w)


alternative_edit(
    PATCHIFY,
    (
        'einops.rearrange(img, "b c (i p) (j q) -> b (i j) (c p q)", p=p, q=p)',
        "F.unfold(img, kernel_size=p, stride=p).transpose(1, 2)",
    ),
    (
        'einops.rearrange(patches, "b (i j) (c p q) -> b c (i p) (j q)", i=h // p, p=p, q=p)',
        "F.fold(patches.transpose(1, 2), (h, w), kernel_size=p, stride=p)",
    ),
    label="torch's unfold and fold",
)


alternative_edit(
    PATCHIFY,
    (
        'einops.rearrange(img, "b c (i p) (j q) -> b (i j) (c p q)", p=p, q=p)',
        "F.pixel_unshuffle(img, p).flatten(2).transpose(1, 2)",
    ),
    (
        'einops.rearrange(patches, "b (i j) (c p q) -> b c (i p) (j q)", i=h // p, p=p, q=p)',
        "F.pixel_shuffle(patches.mT.unflatten(2, (h // p, w // p)), p)",
    ),
    label="torch's pixel shuffle",
)


@alternative(PATCHIFY, label="reshape, permute, reshape")
def patchify(img: Tensor, p: int) -> Tensor:
    b, c, h, w = img.shape
    if h % p != 0 or w % p != 0:
        raise ValueError("p must divide both sides")
    cut = img.reshape(b, c, h // p, p, w // p, p)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(b, (h // p) * (w // p), c * p * p)


@alternative(PATCHIFY, label="a patch at a time, stacked")
def patchify(img, p):
    h, w = img.shape[2], img.shape[3]
    if h % p or w % p:
        raise ValueError
    return torch.stack([img[:, :, i : i + p, j : j + p].flatten(1) for i in range(0, h, p) for j in range(0, w, p)], dim=1)


@alternative(PATCHIFY, label="unpatchify by writing into an empty image")
def unpatchify(patches, p, h, w):
    if h % p or w % p:
        raise ValueError
    c = patches.shape[-1] // (p * p)
    img = torch.zeros(patches.shape[0], c, h, w, dtype=patches.dtype)
    for n in range(patches.shape[1]):
        i, j = divmod(n, w // p)
        img[:, :, i * p : (i + 1) * p, j * p : (j + 1) * p] = (
            patches[:, n].view(-1, c, p, p) if p == 1 else patches[:, n].reshape(-1, c, p, p)
        )
    return img


@alternative(PATCHIFY, label="views of windows, two dimensions in turn")
def patchify(img: Tensor, p: int) -> Tensor:
    if any(side % p for side in img.shape[-2:]):
        raise ValueError
    return einops.rearrange(img.unfold(2, p, p).unfold(3, p, p), "b c i j p q -> b (i j) (c p q)")


# -- sliding_windows -------------------------------------------------------------------------------------------------------

mutant_edit(
    WINDOWS,
    ("    step = x.stride(-1)\n", "    step = 1\n"),
    caught_by="strides_of_the_input",
    label="neighbours one number apart",
    hint="You take the neighbours of x to be neighbours in memory. In a transposed or sliced tensor they are not.",
)
mutant_edit(
    WINDOWS,
    (", x.storage_offset())", ", 0)"),
    caught_by="begins_anywhere",
    label="begins at the start of the memory",
    hint="Your windows begin where the memory begins, not where x begins.",
)
mutant_edit(
    WINDOWS,
    ("stride * step, step)", "stride * step, stride * step)"),
    caught_by="values_of_windows",
    label="the stride applied within windows too",
    hint="The entries of your windows are `stride` apart. Only the windows are.",
)
mutant_edit(
    WINDOWS,
    ("stride * step, step)", "stride, step)"),
    caught_by="strides_of_the_input",
    label="the windows' stride in numbers of memory",
    hint="Your windows are `stride` numbers of memory apart; they should be `stride` entries of x apart.",
)
mutant_edit(
    WINDOWS,
    ("(x.shape[-1] - size) // stride + 1", "(x.shape[-1] - size) // stride"),
    caught_by="values_of_windows",
    label="the last window is missing",
    hint="Your last window is missing. How many windows of size 5 fit into 5 entries?",
)
mutant_edit(
    WINDOWS,
    ("(x.shape[-1] - size) // stride + 1", "x.shape[-1] // stride"),
    caught_by="values_of_windows",
    label="as many windows as strides",
    hint="Your number of windows does not depend on their size: the last ones reach beyond the end of x.",
)
mutant_edit(
    WINDOWS,
    ("(x.shape[-1] - size) // stride + 1", "-(-(x.shape[-1] - size) // stride) + 1"),
    caught_by="values_of_windows",
    label="rounds up",
    hint="Your last window reaches beyond the end of x when entries are left over.",
)
mutant_edit(
    WINDOWS,
    ("(x.shape[-1] - size) // stride + 1", "(x.shape[-1] - size + 1) // stride"),
    caught_by="values_of_windows",
    label="one added too early",
    hint="Your number of windows is right for stride 1 only.",
)
mutant_edit(
    WINDOWS,
    ("x.as_strided(", "x.contiguous().as_strided("),
    ("(*x.stride()[:-1], stride * step, step), x.storage_offset())", "(*x.contiguous().stride()[:-1], stride, 1))"),
    caught_by="shares_memory",
    label="a copy where x is not contiguous",
    hint="Your numbers are right, but for a transposed x the windows look at a copy of it.",
)
mutant_edit(
    WINDOWS,
    ("x.storage_offset())", "x.storage_offset()).clone()"),
    caught_by="shares_memory",
    label="a copy",
    hint="Your windows are a copy: a change of x does not show in them.",
)
mutant_edit(
    WINDOWS,
    (
        "(*x.shape[:-1], n_windows, size), (*x.stride()[:-1], stride * step, step)",
        "(*x.shape[:-1], size, n_windows), (*x.stride()[:-1], step, stride * step)",
    ),
    caught_by="values_of_windows",
    label="windows as columns",
    hint="Your windows are the columns of the result. They should be its rows.",
)
mutant_edit(
    WINDOWS,
    ("    n_windows = ", "    x = x.detach()\n    n_windows = "),
    caught_by="gradients_of_windows",
    label="detached",
    hint="No gradient flows back to x.",
)


@mutant(
    WINDOWS,
    caught_by="strides_of_the_input",
    label="strides of a contiguous tensor",
    hint="You work out the strides from the shape. x may be laid out in memory in another way; ask it.",
)
def sliding_windows(x: Tensor, size: int, stride: int) -> Tensor:
    m = (x.shape[-1] - size) // stride + 1
    strides, step = [], x.shape[-1]
    for n in reversed(x.shape[:-1]):
        strides.insert(0, step)
        step *= n
    return torch.as_strided(x, (*x.shape[:-1], m, size), (*strides, stride, 1))


@mutant(
    WINDOWS,
    caught_by="values_of_windows",
    label="one leading dimension only",
    hint="Your function wants exactly two dimensions. There may be none before the last, or several.",
)
def sliding_windows(x: Tensor, size: int, stride: int) -> Tensor:
    b, n = x.shape
    return x.as_strided((b, (n - size) // stride + 1, size), (x.stride(0), x.stride(1) * stride, x.stride(1)))


@mutant(
    WINDOWS,
    caught_by="shares_memory",
    label="by an index, which copies",
    hint="Indexing with a tensor of positions copies: the result does not share memory with x.",
)
def sliding_windows(x: Tensor, size: int, stride: int) -> Tensor:
    starts = torch.arange(0, x.shape[-1] - size + 1, stride)
    return x[..., starts[:, None] + torch.arange(size)]


@mutant(
    WINDOWS,
    caught_by="shares_memory",
    label="leading dimensions folded by reshape",
    hint="Your numbers are right, but a reshape of the leading dimensions copies when they cannot be folded, as in a transposed x.",
)
def sliding_windows(x: Tensor, size: int, stride: int) -> Tensor:
    rows = x.reshape(-1, x.shape[-1])
    m, step = (x.shape[-1] - size) // stride + 1, rows.stride(1)
    shape, strides = (len(rows), m, size), (rows.stride(0), stride * step, step)
    return (
        rows.as_strided(shape, strides, rows.storage_offset()).unflatten(0, x.shape[:-1])
        if x.ndim > 1
        else x.unfold(0, size, stride)
    )


@alternative(WINDOWS, label="torch's unfold")
def sliding_windows(x: Tensor, size: int, stride: int) -> Tensor:
    return x.unfold(-1, size, stride)


@alternative(WINDOWS, label="torch.as_strided, lists, the offset by default")
def sliding_windows(x, size, stride):
    *lead, n = x.size()
    *before, last = x.stride()
    m = 1 + (n - size) // stride
    return torch.as_strided(x, [*lead, m, size], [*before, last * stride, last])


@alternative(WINDOWS, label="every window by stride 1, then every stride-th of them")
def sliding_windows(x: Tensor, size: int, stride: int) -> Tensor:
    s = x.stride(-1)
    every = x.as_strided((*x.shape[:-1], x.shape[-1] - size + 1, size), (*x.stride()[:-1], s, s), x.storage_offset())
    return every[..., ::stride, :]


@alternative(WINDOWS, label="the dimensions moved about")
def sliding_windows(x: Tensor, size: int, stride: int) -> Tensor:
    return x.movedim(-1, 0).unfold(0, size, stride).movedim(0, -2)
