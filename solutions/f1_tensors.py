"""The reference for `f1_tensors`: ten functions on tensors, each of which is easy to write and easy to get wrong.

The docstrings are the task: a student sees them with the signatures, and nothing else.
"""

from __future__ import annotations

import math

import einops
import torch
from torch import Tensor


def pairwise_sq_dists(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared Euclidean distance from every row of x to every row of y.

    Entry [i, j] is the sum over k of (x[i, k] - y[j, k])^2. No entry is negative, also where
    rounding would make it so. There is no Python loop, and no tensor is made that is larger than
    the inputs and the output: none of n·m·d numbers. The inputs are not modified.

    Shapes: x (n d), y (m d) -> (n m), in the dtype of x. n or m may be 0.
    Source: standard; Goldberg 1991, section 1.4, on what cancellation does to it.
    """
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return (squares - 2 * x @ y.T).clamp(min=0)


def bilinear(x: Tensor, w: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    """Return, for every sample of the batch and every output o, the number x^T w[o] y + bias[o].

    Sample number b of the output depends on x[b] and y[b] alone. The inputs are not modified.

    Shapes: x (b i), w (o i j), y (b j), bias (o) -> (b o), in the dtype of x. Any size may be 1,
        and b may be 0.
    Source: Socher et al. 2013, section 3.1 (the bilinear part of equation 1); Rogozhnikov 2022 for
        the notation.
    """
    return einops.einsum(x, w, y, "b i, o i j, b j -> b o") + bias


def patchify(img: Tensor, p: int) -> Tensor:
    """Cut every image into square patches of p x p pixels and lay each patch out as one vector.

    The patches do not overlap. They come row by row, as one reads: first the top row of patches
    from left to right, then the row below. Within a patch come all pixels of channel 0, row by row,
    then those of channel 1, and so on.

    Shapes: img (b c h w) of floats -> (b n (c p p)), where n = (h / p) (w / p), in the dtype of
        img. img is not modified.
    Raises: ValueError when p does not divide h, or not w.
    Source: Dosovitskiy et al. 2020, section 3.1 (there with the channels last).
    """
    h, w = img.shape[-2:]
    if h % p or w % p:
        raise ValueError(f"patches of {p} x {p} do not tile an image of {h} x {w}")
    return einops.rearrange(img, "b c (i p) (j q) -> b (i j) (c p q)", p=p, q=p)


def unpatchify(patches: Tensor, p: int, h: int, w: int) -> Tensor:
    """Put the patches of images of h x w pixels back together: unpatchify(patchify(img, p), p, h, w) equals img, bit for bit.

    Shapes: patches (b n (c p p)) -> (b c h w), where n = (h / p) (w / p), in the dtype of patches.
    Raises: ValueError when p does not divide h, or not w.
    """
    if h % p or w % p:
        raise ValueError(f"patches of {p} x {p} do not tile an image of {h} x {w}")
    return einops.rearrange(patches, "b (i j) (c p q) -> b c (i p) (j q)", i=h // p, p=p, q=p)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Average over t, in every sequence of the batch, the vectors where the mask is True.

    What is masked (False) has no influence whatever it holds, also inf or nan, and its gradient is
    0. What is not masked counts as it is: a nan there is a nan in the result. A sequence without
    any True gives zeros, not nan, and its gradients are zeros. The inputs are not modified.

    Shapes: x (b t d), mask (b t) bool -> (b d), in the dtype of x. t may be 0.
    Source: Reimers and Gurevych 2019, section 3 (mean pooling).
    """
    total = x.masked_fill(~mask[..., None], 0).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


def logsumexp(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    """Return the logarithm of the sum of exponentials along one dimension, for entries of any size.

    No exponential overflows, and no slice loses its value by underflow: slices of entries near
    -10,000 and near +10,000 may stand side by side. An entry may be -inf. A slice of -inf only
    gives -inf.
    The gradient is the softmax along `dim`; in a slice of -inf only it is 0, so no gradient is ever
    nan.
    Write it with exp and log: torch.logsumexp, logaddexp, softmax and their relatives are what you
    are building. x is not modified.

    Shapes: x of any shape with at least one dimension; `dim` counts from the front, or from the
        back when negative, and has at least one entry -> the shape of x with that dimension
        removed, or kept with size 1 when keepdim is True; dtype of x.
    Source: Blanchard, Higham and Higham 2021, section 1 (the shifted formula).
    """
    top = x.detach().amax(dim, keepdim=True)
    empty = top == -math.inf
    # -inf minus -inf is nan, and the logarithm of 0 has an infinite slope: an empty slice must meet neither.
    top = top.masked_fill(empty, 0)
    total = (x - top).exp().sum(dim, keepdim=True).masked_fill(empty, 1)
    result = (total.log() + top).masked_fill(empty, -math.inf)
    return result if keepdim else result.squeeze(dim)


def next_token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-probability that a language model gave to each token of a text, but for the first.

    logits[b, i] are the model's scores, not normalised, for the token that follows the tokens 0 to
    i of text b. Entry [b, i] of the result is the logarithm of the probability of tokens[b, i + 1]
    under their softmax over the vocabulary. It is finite and exact also where logits are thousands
    apart, and the last position's logits have no influence. The inputs are not modified.

    Shapes: logits (b t v), tokens (b t) int64 -> (b t-1), in the dtype of logits. t, b and v may be
        1.
    Source: Radford et al. 2019, section 2 (equation 1, the factors).
    """
    logp = logits[:, :-1].log_softmax(dim=-1)
    return logp.gather(-1, tokens[:, 1:, None]).squeeze(-1)


def sliding_windows(x: Tensor, size: int, stride: int) -> Tensor:
    """Show every window of `size` neighbours along the last dimension, one window each `stride` entries, without copying.

    Window j holds the entries j·stride, ..., j·stride + size - 1. Entries at the end that no longer
    fill a window are left out. The result is a view: it shares the memory of x, so a later change
    of x shows in it, and gradients flow back to x. x may have any strides and begin anywhere in its
    memory: it may be transposed, sliced, expanded.
    Write it with as_strided, to see what Tensor.unfold does inside.

    Shapes: x (... n) -> (... m size), where m is the number of windows that fit. 1 <= size <= n and
        stride >= 1.
    Source: Harris et al. 2020, section "NumPy arrays" and figure 1 (strides).
    """
    n_windows = (x.shape[-1] - size) // stride + 1
    step = x.stride(-1)
    return x.as_strided((*x.shape[:-1], n_windows, size), (*x.stride()[:-1], stride * step, step), x.storage_offset())


def scatter_mean(values: Tensor, index: Tensor, k: int) -> Tensor:
    """Average the rows of `values` in each of k groups: row i belongs to group index[i].

    The index is in any order, and a group may have any number of rows. A group without rows gives
    zeros. Gradients flow to values, and all of them are finite. The inputs are not modified.

    Shapes: values (n d), index (n) int64 with entries in 0, ..., k - 1 -> (k d), in the dtype of
        values. n may be 0.
    Source: Hamilton, Ying and Leskovec 2017, section 3.3 (the mean aggregator).
    """
    total = values.new_zeros(k, values.shape[1]).index_add(0, index, values)
    n_rows = torch.bincount(index, minlength=k).clamp(min=1)
    return total / n_rows[:, None].to(values.dtype)


def pad_ragged(seqs: list[Tensor], value: float, side: str) -> tuple[Tensor, Tensor]:
    """Lay sequences of different lengths into one rectangle: return (x, mask).

    Row i of x holds sequence i, at its beginning when side is "right" and at its end when side is
    "left": the side is where the padding goes. All other entries of x are `value`. The mask is True
    exactly where a sequence's own entries stand, whatever they are: `value` may occur in them. A
    sequence may be empty; t is the longest length, and may be 0. The sequences are not modified.

    Shapes: b >= 1 sequences (t_i), all of one dtype on one device -> x (b t) of that dtype on that
        device, mask (b t) bool.
    Raises: ValueError when side is neither "left" nor "right".
    Source: standard; Krell et al. 2021, section 1, on what padding costs.
    """
    if side not in ("left", "right"):
        raise ValueError(f'side="{side}"; expected "left" or "right"')
    lengths = torch.tensor([len(s) for s in seqs], device=seqs[0].device)[:, None]
    t = int(lengths.max())
    place = torch.arange(t, device=seqs[0].device)
    mask = place < lengths if side == "right" else place >= t - lengths
    x = seqs[0].new_full(mask.shape, value)
    x[mask] = torch.cat(list(seqs))
    return x, mask


def einsum2(eq: str, a: Tensor, b: Tensor) -> Tensor:
    """Contract two tensors as the equation says, by permuting, reshaping and multiplying matrices.

    The equation has two operands and an arrow, a letter (a-z, A-Z) for every dimension and no
    spaces: "bij,bjk->bik". A letter stands for an index. The output's entry for given values of the
    output's letters is the sum, over all values of all other letters, of the product of the entries
    of a and b. Output letters come in any order. A letter may be in one operand only, whether it is
    in the output or summed over; an operand or the output may have no letters at all. Gradients
    flow to a and b. The inputs are not modified.
    Neither torch.einsum nor anything that calls it (einops.einsum) may be used, also not for parts
    of the work.

    Shapes: as the equation says, in the dtype of a (b has the same). Any size may be 1 or 0.
    Raises: ValueError when a letter stands twice in one operand (a diagonal) or twice in the
        output, when an output letter is in neither operand, when an operand does not have as many
        dimensions as letters, or when a letter has two sizes (a size of 1 is not stretched).
    Source: Springer and Bientinesi 2018, section 1 (the way that is called TTGT there).
    """
    operands, _, out = eq.partition("->")
    left, _, right = operands.partition(",")
    if any(len(set(letters)) < len(letters) for letters in (left, right, out)):
        raise ValueError(f"{eq}: a letter stands twice in one place")
    if not set(out) <= set(left + right):
        raise ValueError(f"{eq}: an output letter is in neither operand")
    if len(left) != a.ndim or len(right) != b.ndim:
        raise ValueError(f"{eq}: for operands with {a.ndim} and {b.ndim} dimensions")
    size = dict(zip(left, a.shape, strict=True)) | dict(zip(right, b.shape, strict=True))
    if [size[c] for c in left] != list(a.shape):
        raise ValueError(f"{eq}: a letter has two sizes in {tuple(a.shape)} and {tuple(b.shape)}")

    def folded(t: Tensor, letters: str, groups: list[str]) -> Tensor:
        order = [letters.index(c) for c in "".join(groups)]
        return t.permute(order).reshape([math.prod(size[c] for c in group) for group in groups])

    both = [c for c in left if c in right]
    batch, summed = "".join(c for c in both if c in out), "".join(c for c in both if c not in out)
    rows, columns = ("".join(c for c in one if c in out and c not in batch) for one in (left, right))
    alone_a, alone_b = ("".join(c for c in one if c not in out and c not in summed) for one in (left, right))
    product = torch.bmm(
        folded(a, left, [batch, rows, summed, alone_a]).sum(-1), folded(b, right, [batch, summed, columns, alone_b]).sum(-1)
    )
    made = batch + rows + columns
    return product.reshape([size[c] for c in made]).permute([made.index(c) for c in out])
