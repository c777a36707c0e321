"""Wrong and right answers to T1's functions: causal_mask and online_softmax_attention.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import alternative, mutant, mutant_edit

MASK, ONLINE = "t1_attention.causal_mask", "t1_attention.online_softmax_attention"

# -- causal_mask -----------------------------------------------------------------------------------------------------------

mutant_edit(
    MASK,
    ("<= query", "< query"),
    caught_by="square_without_cache",
    label="the diagonal is excluded",
    hint="Your mask hides each query's own position. Then the first query sees nothing at all.",
)
mutant_edit(
    MASK,
    ("[:, None] + offset", "[:, None]"),
    caught_by="offset_moves_the_queries",
    label="the offset is ignored",
    hint="Your mask is the same for every offset. With a cache the first query does not stand at position 0.",
)
mutant_edit(
    MASK,
    ("    query = ", "    offset = 0 if k_len > q_len else offset\n    query = "),
    caught_by="offset_moves_the_queries",
    label="aligned at the top left when there are more keys",
    hint="With more keys than queries your mask starts at the top left corner, whatever the offset says.",
)
mutant_edit(
    MASK,
    ("[:, None] + offset", "[:, None] + k_len - q_len"),
    caught_by=("every_shape", "offset_moves_the_queries"),
    label="always aligned at the bottom right",
    hint="Your mask ends at the bottom right corner whatever the offset is. The offset alone says where the queries stand.",
)
mutant_edit(
    MASK,
    ("[:, None] + offset", "[:, None] + offset + max(0, k_len - q_len)"),
    caught_by="every_shape",
    label="the offset is counted from the bottom right",
    hint="With offset 0 your queries do not start at position 0 when there are more keys than queries.",
)
mutant_edit(
    MASK,
    ("<= query", ">= query"),
    caught_by="square_without_cache",
    label="the mask, transposed",
    hint="Your queries see what comes after them. Which index is the query's?",
)
mutant_edit(
    MASK,
    ("<= query", "> query"),
    caught_by="square_without_cache",
    label="True means hidden",
    hint="Your mask is True where a key is hidden. Here True means that the query may see it.",
)
mutant_edit(
    MASK,
    ("[:, None] + offset", "[:, None] - offset"),
    caught_by="offset_moves_the_queries",
    label="the offset moves the keys",
    hint="Your queries see less the longer the cache is. Who stands at i + offset?",
)
mutant_edit(
    MASK,
    ("[:, None] + offset", "[:, None] + min(offset, max(0, k_len - q_len))"),
    caught_by="offset_moves_the_queries",
    label="the offset is cut to the surplus of keys",
    hint="Your mask does not follow an offset that leads past the last key. Then every query sees every key.",
)
mutant_edit(
    MASK,
    ("[:, None] + offset", "[:, None] + offset - (offset > 0)"),
    caught_by="offset_moves_the_queries",
    label="one off as soon as there is an offset",
    hint="With an offset your queries do not see themselves. Try q_len=1 and offset=1 with two keys.",
)
mutant_edit(
    MASK,
    ("torch.arange(k_len)", "torch.arange(q_len)"),
    caught_by="every_shape",
    label="as many keys as queries",
    hint="Your mask is square. It has a row per query and a column per key.",
)


@mutant(
    MASK,
    caught_by="square_without_cache",
    label="a mask to be added, of 0 and -inf",
    hint="Your mask holds numbers to be added to the scores. A mask of True and False is asked for.",
)
def causal_mask(q_len: int, k_len: int, offset: int = 0) -> Tensor:
    return torch.full((q_len, k_len), -math.inf).triu(1 + offset)


@mutant(
    MASK,
    caught_by="square_without_cache",
    label="ones and zeros",
    hint="The entries are right as numbers, but the dtype is not bool: ~mask would then mean something else.",
)
def causal_mask(q_len: int, k_len: int, offset: int = 0) -> Tensor:
    return torch.ones(q_len, k_len).tril(offset)


@mutant(
    MASK,
    caught_by=("every_shape", "offset_moves_the_queries"),
    label="rows and columns swapped where they differ",
    hint="Your mask has a row per key. It should have a row per query.",
)
def causal_mask(q_len: int, k_len: int, offset: int = 0) -> Tensor:
    return torch.ones(k_len, q_len, dtype=torch.bool).tril(offset)


@alternative(MASK, label="tril with a diagonal")
def causal_mask(q_len: int, k_len: int, offset: int = 0) -> Tensor:
    return torch.tril(torch.ones(q_len, k_len), diagonal=offset).bool()


@alternative(MASK, label="not triu")
def causal_mask(q_len: int, k_len: int, offset: int = 0) -> Tensor:
    return ~torch.triu(torch.ones((q_len, k_len), dtype=torch.bool), diagonal=offset + 1)


@alternative(MASK, label="two loops")
def causal_mask(q_len: int, k_len: int, offset: int = 0) -> Tensor:
    mask = torch.zeros(q_len, k_len, dtype=torch.bool)
    for i in range(q_len):
        for j in range(k_len):
            mask[i, j] = j <= i + offset
    return mask


@alternative(MASK, label="a difference of positions, as a view")
def causal_mask(q_len, k_len, offset=0):
    i = torch.arange(offset, offset + q_len).unsqueeze(-1).expand(q_len, k_len)
    return (i - torch.arange(k_len)) >= 0


# -- online_softmax_attention ----------------------------------------------------------------------------------------------

mutant_edit(
    ONLINE,
    ("torch.maximum(largest, scores.amax(dim=-1, keepdim=True))", "scores.amax(dim=-1, keepdim=True)"),
    ("(largest - new_largest).exp()", "torch.ones_like(total)"),
    caught_by=("whole_blocks", "maxima_in_any_order"),
    label="the running maximum is reset at every block",
    hint="Each block of yours uses a maximum of its own, and their sums are added as if it were the same.",
)
mutant_edit(
    ONLINE,
    ("range(0, k.shape[-2], block)", "range(0, k.shape[-2] // block * block, block)"),
    caught_by="any_block_size",
    label="the last short block is dropped",
    hint="The keys after the last whole block are missing from your result.",
)
mutant_edit(
    ONLINE,
    ("range(0, k.shape[-2], block)", "range(0, k.shape[-2] - 1, block)"),
    caught_by="any_block_size",
    label="a last block of one key is dropped",
    hint="The last key is missing from your result when it stands alone in its block.",
)
mutant_edit(
    ONLINE,
    ("mixed = mixed * shrink + weights", "mixed = mixed + weights"),
    caught_by=("whole_blocks", "maxima_in_any_order"),
    label="the sum of values is not rescaled",
    hint="When the maximum rises, your sum of values stays as it was. Both sums belong to the old maximum.",
)
mutant_edit(
    ONLINE,
    ("total = total * shrink + weights", "total = total + weights"),
    caught_by=("whole_blocks", "maxima_in_any_order"),
    label="the sum of weights is not rescaled",
    hint="When the maximum rises, your sum of weights stays as it was. Both sums belong to the old maximum.",
)
mutant_edit(
    ONLINE,
    ("(largest - new_largest).exp()", "(new_largest - largest).exp()"),
    caught_by="whole_blocks",
    label="rescales the wrong way",
    hint="You rescale the older sums upwards when the maximum rises. The larger the maximum, the smaller they should count.",
)
mutant_edit(
    ONLINE,
    ("q.new_full((*q.shape[:-1], 1), -math.inf)", "q.new_zeros((*q.shape[:-1], 1))"),
    caught_by="far_from_zero",
    label="the maximum starts at 0",
    hint="Your running maximum starts at 0. When all scores are far below 0, every exponential is 0.",
)
mutant_edit(
    ONLINE,
    ("torch.maximum(largest, scores.amax(dim=-1, keepdim=True))", "torch.zeros_like(largest)"),
    caught_by="far_from_zero",
    label="no maximum is taken off",
    hint="Your exponentials overflow and underflow: nothing is subtracted from the scores.",
)
mutant_edit(
    ONLINE,
    (" * q.shape[-1] ** -0.5", ""),
    caught_by="whole_blocks",
    label="not scaled",
    hint="Your scores are not divided by the root of d.",
)
mutant_edit(
    ONLINE,
    ("return mixed / total", "return mixed"),
    caught_by="whole_blocks",
    label="not divided by the sum of weights",
    hint="Your weights do not sum to 1: something is missing after the last block.",
)
mutant_edit(
    ONLINE,
    ("weights, shrink = (scores - new_largest).exp(), ", "weights, shrink = (scores - new_largest).softmax(dim=-1), "),
    caught_by="whole_blocks",
    label="a softmax inside each block",
    hint="Within each block your weights sum to 1 already. A block's share depends on the other blocks.",
)
mutant_edit(
    ONLINE,
    ("scores.amax(dim=-1, keepdim=True)", "scores.amax()"),
    caught_by="far_from_zero",
    label="one maximum for all queries",
    hint="Your maximum is that of all queries together. A query with far lower scores then loses all its weights.",
)
mutant_edit(
    ONLINE,
    ("k[..., start : start + block, :], v[..., start : start + block, :]", "k[..., start : start + block, :], v[..., :block, :]"),
    ("weights @ v_block", "weights @ v_block[..., : weights.shape[-1], :]"),
    caught_by="whole_blocks",
    label="always the first block of values",
    hint="Your weights are those of every block, your values those of the first one.",
)
mutant_edit(
    ONLINE,
    ("    largest = q", "    q = q.mul_(q.shape[-1] ** -0.5)\n    largest = q"),
    (" * q.shape[-1] ** -0.5\n", "\n"),
    caught_by="far_from_zero",
    label="scales q in place",
    hint="Your function changes the queries that it is given.",
)


@mutant(
    ONLINE,
    caught_by="whole_blocks",
    label="averages the blocks' outputs",
    hint="You average the results of the blocks. A block with higher scores should count for more.",
)
def online_softmax_attention(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    outs = [F.scaled_dot_product_attention(q, ks, vs) for ks, vs in zip(k.split(block, -2), v.split(block, -2), strict=True)]
    return torch.stack(outs).mean(0)


@alternative(ONLINE, label="blocks merged by their logarithms")
def online_softmax_attention(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    out, logs = None, None
    for ks, vs in zip(k.split(block, -2), v.split(block, -2), strict=True):
        scores = q @ ks.mT / math.sqrt(q.shape[-1])
        log = scores.logsumexp(-1, keepdim=True)
        here = (scores - log).exp() @ vs
        if out is None:
            out, logs = here, log
        else:
            both = torch.logaddexp(logs, log)
            out, logs = out * (logs - both).exp() + here * (log - both).exp(), both
    return out


@alternative(ONLINE, label="one query at a time, in place")
def online_softmax_attention(q, k, v, block):
    d, e = q.shape[-1], v.shape[-1]
    out = torch.empty(*q.shape[:-1], e, dtype=q.dtype)
    for i in range(q.shape[-2]):
        top = torch.full(q.shape[:-2], float("-inf"), dtype=q.dtype)
        total, acc = torch.zeros_like(top), torch.zeros(*top.shape, e, dtype=q.dtype)
        for j in range(0, k.shape[-2], block):
            s = torch.einsum("...d,...kd->...k", q[..., i, :], k[..., j : j + block, :]) / d**0.5
            new = torch.maximum(top, s.max(-1).values)
            w = torch.exp(s - new[..., None])
            acc.mul_(torch.exp(top - new)[..., None]).add_(torch.einsum("...k,...ke->...e", w, v[..., j : j + block, :]))
            total.mul_(torch.exp(top - new)).add_(w.sum(-1))
            top = new
        out[..., i, :] = acc / total[..., None]
    return out


@alternative(ONLINE, label="kept divided all the time")
def online_softmax_attention(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    lowest = torch.finfo(q.dtype).min
    top = q.new_full(q.shape[:-1], lowest)
    total, out = torch.zeros_like(top), q.new_zeros(*q.shape[:-1], v.shape[-1])
    for start in range(0, k.size(-2), block):
        s = (q * q.size(-1) ** -0.5) @ k.narrow(-2, start, min(block, k.size(-2) - start)).mT
        new = torch.maximum(top, s.max(dim=-1)[0])
        w, old = torch.exp(s - new.unsqueeze(-1)), total * torch.exp(top - new)
        total = old + w.sum(-1)
        out = (out * old.unsqueeze(-1) + w @ v.narrow(-2, start, w.size(-1))) / total.unsqueeze(-1)
        top = new
    return out
