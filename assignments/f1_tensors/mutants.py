"""Wrong and right answers to F1's sums of products: pairwise_sq_dists and bilinear.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

DISTANCES, BILINEAR = "f1_tensors.pairwise_sq_dists", "f1_tensors.bilinear"

# -- pairwise_sq_dists -----------------------------------------------------------------------------------------------------

mutant_edit(
    DISTANCES,
    (".clamp(min=0)", ".clamp(min=0).sqrt()"),
    caught_by="values",
    label="distances, not squared",
    hint="Your entries are the roots of the right ones: squared distances are asked for.",
)
mutant_edit(
    DISTANCES,
    ("    return (squares - 2 * x @ y.T).clamp(min=0)", "    return (squares - 2 * x @ y.T).clamp(min=0).T"),
    caught_by="values",
    label="the output, transposed",
    hint="Your result has a row per row of y. Row i should belong to row i of x.",
)
mutant_edit(
    DISTANCES,
    (".clamp(min=0)", ""),
    caught_by="never_negative",
    label="no clamp",
    hint="Some of your squared distances are negative: nearly equal points far from the origin lose all digits.",
)
mutant_edit(
    DISTANCES,
    ("2 * x @ y.T", "x @ y.T"),
    caught_by="values",
    label="the mixed term once",
    hint="Multiply out (a - b)^2 once more: how often does the mixed term occur?",
)
mutant_edit(
    DISTANCES,
    ("squares - 2", "squares + 2"),
    caught_by="values",
    label="the mixed term added",
    hint="Your entries are squared lengths of sums, not of differences.",
)
mutant_edit(
    DISTANCES,
    ("squares - 2 * x @ y.T", "(squares - 2 * x @ y.T) / x.shape[1]"),
    caught_by="values",
    label="a mean over features",
    hint="You average over the features; a distance adds them up.",
)
mutant_edit(
    DISTANCES,
    (".clamp(min=0)", ".sqrt().square()"),
    caught_by="never_negative",
    label="NaN where rounding makes a negative number",
    hint="A root of a number that rounding made negative is nan.",
)
mutant_edit(
    DISTANCES,
    (".clamp(min=0)", ".clamp(min=1e-6)"),
    caught_by="of_a_set_to_itself",
    label="at least an epsilon",
    hint="A point is at distance 0 from itself; your smallest entry is a small positive number.",
)
mutant_edit(
    DISTANCES,
    ("    squares = ", "    x, y = x.detach(), y.detach()\n    squares = "),
    caught_by="gradients_of_distances",
    label="detached",
    hint="No gradient reaches x and y in your function.",
)
mutant_edit(
    DISTANCES,
    (".clamp(min=0)", ".clamp(min=0).sqrt().square()"),
    caught_by="gradients_of_distances",
    label="a root on the way",
    hint="Your values are right, but a root was taken on the way: its slope at 0 is infinite, and gradients become nan.",
)
mutant_edit(
    DISTANCES,
    ("    squares = ", "    dtype, x, y = x.dtype, x.float(), y.float()\n    squares = "),
    (".clamp(min=0)", ".clamp(min=0).to(dtype)"),
    caught_by="values",
    label="computes in float32",
    hint="float64 inputs lose half of their digits in your function. Is a dtype fixed somewhere?",
)
mutant_edit(
    DISTANCES,
    ("    squares = ", "    x -= x.mean(dim=0)\n    y -= x.mean(dim=0)\n    squares = "),
    caught_by="values",
    label="each set moved to its own mean, in place",
    hint="You move x and y by different vectors. Distances survive only a move of both, and the inputs belong to the caller.",
)
mutant_edit(
    DISTANCES,
    ("    squares = ", "    mean = y.mean(dim=0)\n    x.sub_(mean)\n    y.sub_(mean)\n    squares = "),
    caught_by="sizes_and_layouts",
    label="both moved, in place",
    hint="Moving both sets by one vector is a good idea, but your function changes the inputs that it is given.",
)


@mutant(
    DISTANCES,
    caught_by="values",
    label="absolute differences",
    hint="You add up absolute differences (the distance of a taxi). Squares are asked for.",
)
def pairwise_sq_dists(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, p=1)


@mutant(
    DISTANCES,
    caught_by="values",
    label="row i with row i only",
    hint="You subtract the sets row by row. Every row of x meets every row of y.",
)
def pairwise_sq_dists(x: Tensor, y: Tensor) -> Tensor:
    n = min(len(x), len(y))
    return (x[:n] - y[:n]).square().sum(-1).expand(len(x), n)


@mutant(
    DISTANCES,
    caught_by=("values", "of_a_set_to_itself"),
    label="x with itself",
    hint="Your result compares x with x. It should compare x with y.",
)
def pairwise_sq_dists(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None] - x[None]).square().sum(-1)


@mutant(
    DISTANCES,
    caught_by="values",
    label="fails when there is one feature",
    hint="With one feature your result loses a dimension. Is there a squeeze?",
)
def pairwise_sq_dists(x: Tensor, y: Tensor) -> Tensor:
    return (x.squeeze()[:, None] - y.squeeze()[None]).square().sum(-1)


@alternative(DISTANCES, label="torch's cdist, squared")
def pairwise_sq_dists(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist") ** 2


@alternative(DISTANCES, label="the whole cube of differences")
def pairwise_sq_dists(x, y):
    return torch.sum((x.unsqueeze(1) - y.unsqueeze(0)) ** 2, dim=-1)


@alternative(DISTANCES, label="feature by feature")
def pairwise_sq_dists(x: Tensor, y: Tensor) -> Tensor:
    total = torch.zeros(x.size(0), y.size(0), dtype=x.dtype)
    for k in range(x.size(1)):
        total = total + (x[:, k].unsqueeze(1) - y[:, k]) ** 2
    return total


@alternative(DISTANCES, label="moved to a common mean, by einsum, cut off by relu")
def pairwise_sq_dists(x: Tensor, y: Tensor) -> Tensor:
    middle = torch.cat([x, y]).mean(0)
    x, y = x - middle, y - middle
    return torch.relu((x * x).sum(1, keepdim=True) + (y * y).sum(1)[None, :] - 2 * torch.einsum("nd,md->nm", x, y))


alternative_edit(DISTANCES, (".clamp(min=0)", ".abs()"), label="the absolute value in place of a clamp")

# -- bilinear --------------------------------------------------------------------------------------------------------------

mutant_edit(
    BILINEAR,
    ('"b i, o i j, b j -> b o")', '"b i, o i j, c j -> b o")'),
    caught_by="values_of_forms",
    label="y summed over its batch",
    hint="Every sample meets the y of all samples in your result. The batch letter of x and of y should be one letter.",
)
mutant_edit(
    BILINEAR,
    ('"b i, o i j, b j -> b o") + bias', '"b i, o i j, b j -> o").expand(len(x), len(w)) + bias'),
    caught_by="values_of_forms",
    label="summed over the batch",
    hint="All rows of your result are equal: the samples of the batch were added up.",
)
mutant_edit(
    BILINEAR,
    ("einops.einsum(x, w, y,", "einops.einsum(x, w.mT if x.shape[1] == y.shape[1] else w, y,"),
    caught_by="equal_sizes",
    label="i and j swapped where the sizes allow it",
    hint="x meets the last index of your w, and y the one before: it should be the other way round.",
)
mutant_edit(
    BILINEAR,
    ('-> b o") + bias', '-> b o")'),
    caught_by="values_of_forms",
    label="the bias is ignored",
    hint="Your result lacks the bias.",
)
mutant_edit(
    BILINEAR,
    ('"b i, o i j, b j -> b o") + bias', '"b i, o i j, b j -> o b") + bias[:, None]'),
    caught_by="values_of_forms",
    label="the output, transposed",
    hint="Your result has a row per output. It should have a row per sample.",
)
mutant_edit(
    BILINEAR,
    ("x, w, y,", "x, w.abs(), y,"),
    caught_by="values_of_forms",
    label="absolute weights",
    hint="Negative weights count as positive ones in your result.",
)
mutant_edit(
    BILINEAR,
    ('-> b o") + bias', '-> b o") + bias.sum()'),
    caught_by="values_of_forms",
    label="all biases added to each output",
    hint="Each output has a bias of its own; yours adds all of them to each.",
)
mutant_edit(
    BILINEAR,
    ('-> b o") + bias', '-> b o") + len(x) * bias'),
    caught_by=("values_of_forms", "linear_in_each"),
    label="the bias once per sample",
    hint="Your bias grows with the size of the batch.",
)
mutant_edit(
    BILINEAR,
    ('"b i, o i j, b j -> b o") + bias', '"b i, o i j, b j -> b o").relu() + bias'),
    caught_by="linear_in_each",
    label="negative values cut off",
    hint="Your forms are never negative. Nothing in the task cuts them off.",
)
mutant_edit(
    BILINEAR,
    ("x, w, y,", "x / x.shape[1] ** 0.5, w, y,"),
    caught_by="values_of_forms",
    label="scaled as attention is",
    hint="Your form is divided by a root. There is no scale here.",
)
mutant_edit(
    BILINEAR,
    ("    return einops", "    w = w.detach()\n    return einops"),
    caught_by="gradients_of_forms",
    label="w detached",
    hint="No gradient reaches w in your function.",
)
mutant_edit(
    BILINEAR,
    ("    return einops", "    y = y - y.mean(dim=0)\n    return einops"),
    caught_by="linear_in_each",
    label="y relative to the mean of the batch",
    hint="Each sample of yours depends on the others.",
)


@mutant(
    BILINEAR,
    caught_by=("values_of_forms", "equal_sizes"),
    label="diagonal of w only",
    hint="You multiply entry i of x by entry i of y alone. w pairs every entry of x with every entry of y.",
)
def bilinear(x: Tensor, w: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    n = min(x.shape[1], y.shape[1])
    return torch.einsum("bi,oi,bi->bo", x[:, :n], w[:, :n, :n].diagonal(dim1=1, dim2=2), y[:, :n]) + bias


@mutant(
    BILINEAR,
    caught_by="empty_batch_and_layouts",
    label="turns w in place",
    hint="Your result is right, but w has other dimensions after the call: a method that ends in an underscore changes its tensor.",
)
def bilinear(x: Tensor, w: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    turned = w.transpose_(1, 2)
    return torch.einsum("bi,oji,bj->bo", x, turned, y) + bias


@mutant(
    BILINEAR,
    caught_by=("values_of_forms", "empty_batch_and_layouts"),
    label="squeezes sizes of 1",
    hint="Dimensions of size 1 disappear from your result.",
)
def bilinear(x: Tensor, w: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("bi,oij,bj->bo", x, w, y).squeeze() + bias


@alternative(BILINEAR, label="torch's own")
def bilinear(x: Tensor, w: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    return F.bilinear(x, y, w, bias)


@alternative(BILINEAR, label="one output at a time")
def bilinear(x, w, y, bias):
    return torch.stack([((x @ w[o]) * y).sum(1) + bias[o] for o in range(w.shape[0])], dim=1)


@alternative(BILINEAR, label="matrix products over a batch")
def bilinear(x: Tensor, w: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    form = torch.matmul(torch.matmul(x[None], w), y[..., None].squeeze(-1)[None].mT)
    return form.diagonal(dim1=1, dim2=2).T + bias


@alternative(BILINEAR, label="a linear layer on the outer product")
def bilinear(x: Tensor, w: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    outer = (x[:, :, None] * y[:, None, :]).flatten(1)
    return F.linear(outer, w.flatten(1), bias)
