"""Wrong and right answers to T1's attention.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import einops
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

ATTENTION = "t1_attention.attention"

mutant_edit(
    ATTENTION,
    ("q.shape[-1] ** -0.5", "1 / q.shape[-1]"),
    caught_by="values",
    label="divides by d",
    hint="Your scores are too small: divided by d, where the paper takes a root first.",
)
mutant_edit(
    ATTENTION,
    ("q.shape[-1] ** -0.5", "q.shape[-1] ** 0.5"),
    caught_by="values",
    label="multiplies by the root of d",
    hint="Your scores grow with d instead of being kept in check.",
)
mutant_edit(
    ATTENTION,
    ("q.shape[-1] ** -0.5", "1.0"),
    caught_by="values",
    label="not scaled",
    hint="Your scores are not scaled when no scale is given.",
)
mutant_edit(
    ATTENTION,
    ("q.shape[-1] ** -0.5", "v.shape[-1] ** -0.5"),
    caught_by="values",
    label="scaled by the width of the values",
    hint="Your scale comes from the width of the values. Which vectors are multiplied in a score?",
)
mutant_edit(
    ATTENTION,
    ("q.shape[-1] ** -0.5", "k.shape[-2] ** -0.5"),
    caught_by="values",
    label="scaled by the number of keys",
    hint="Your scale depends on how many keys there are. What does d stand for?",
)
mutant_edit(
    ATTENTION,
    ("if scale is None:", "if not scale:"),
    caught_by="scale_is_used",
    label="a scale of 0 counts as none",
    hint="Your function takes scale=0 for no scale. Only None stands for the default.",
)
mutant_edit(
    ATTENTION,
    ("    if scale is None:\n        scale", "    scale"),
    caught_by="scale_is_used",
    label="a given scale is ignored",
    hint="Your function overwrites the scale that it is given.",
)
mutant_edit(
    ATTENTION,
    ('... q k") * scale', '... q k") * scale * q.shape[-1] ** -0.5'),
    ("scale = q.shape[-1] ** -0.5", "scale = 1.0"),
    caught_by="scale_is_used",
    label="a given scale comes on top of the default",
    hint="A given scale is multiplied with 1 / sqrt(d) in your function. It should replace it.",
)
mutant_edit(
    ATTENTION,
    ("    else:\n", "    else:\n        mask = ~mask\n"),
    caught_by="values",
    label="the mask is inverted",
    hint="Your queries see exactly the keys that they may not see. True means: may see.",
)
mutant_edit(
    ATTENTION,
    ("-math.inf", "-1e4"),
    caught_by="masked_weight_is_zero",
    label="fills with -1e4",
    hint="Your masked scores are finite. When all others are lower still, the masked keys win.",
)
mutant_edit(
    ATTENTION,
    ("-math.inf", "-20.0"),
    caught_by="masked_weight_is_zero",
    label="fills with -20",
    hint="Your masked scores are low but finite: their keys keep a small weight, and a large one when other scores are lower.",
)
mutant_edit(
    ATTENTION,
    ("-math.inf", "-1e6"),
    caught_by="masked_weight_is_zero",
    label="fills with -1e6",
    hint="Your masked scores are very low but finite. Other scores may be lower still.",
)
mutant_edit(
    ATTENTION,
    ("-math.inf).masked_fill(empty, 0.0)", "0.0)"),
    caught_by="values",
    label="sets masked scores to 0",
    hint="Your masked scores are 0, and exp(0) is 1: those keys get weight.",
)
mutant_edit(
    ATTENTION,
    ("empty = ~mask.any(dim=-1, keepdim=True)", "empty = torch.zeros_like(mask)"),
    caught_by="empty_rows",
    label="NaN where a query may see no key",
    hint="A row without any visible key is NaN in your pattern: 0/0 in the softmax.",
)
mutant_edit(
    ATTENTION,
    (
        "scores.masked_fill(~mask, -math.inf).masked_fill(empty, 0.0)",
        "scores + torch.zeros_like(scores).masked_fill(~mask, -math.inf)",
    ),
    ("pattern = scores.softmax(dim=-1).masked_fill(empty, 0.0)", "pattern = scores.softmax(dim=-1).nan_to_num(0.0)"),
    caught_by="empty_rows",
    label="a mask that is added, and NaN repaired after the softmax",
    hint="Your outputs are right, but the gradient of an empty row is NaN: repairing the result does not repair the backward pass.",
)
mutant_edit(
    ATTENTION,
    ("        pattern = scores.softmax(dim=-1).masked_fill(empty, 0.0)", "        pattern = scores.softmax(dim=-1)"),
    caught_by="empty_rows",
    label="equal weights where a query may see no key",
    hint="A query that may see no key averages all values in your function. Its weights should be zeros.",
)
mutant_edit(
    ATTENTION,
    ("    return einops", "    pattern = pattern.detach()\n    return einops"),
    caught_by="gradients_flow",
    label="the pattern is detached",
    hint="In your function no gradient reaches the queries and the keys.",
)
mutant_edit(
    ATTENTION,
    ("    scores = einops", "    q.mul_(scale)\n    scores = einops"),
    (" * scale\n", "\n"),
    caught_by="gradients_flow",
    label="scales q in place",
    hint="Your function changes the queries that it is given. The caller still needs them.",
)
mutant_edit(
    ATTENTION,
    ("mask is None:", "False:"),
    ("    else:\n", "    else:\n        mask = causal_mask(q.shape[-2], k.shape[-2]) if mask is None else mask\n"),
    caught_by="values",
    label="always causal",
    hint="Without a mask your queries do not see all keys. No mask means that everything is visible.",
)
mutant_edit(
    ATTENTION,
    ("    return einops", "    pattern = F.dropout(pattern, 0.1)\n    return einops"),
    caught_by="values",
    label="with dropout",
    hint="Some weights of your pattern are 0 at random. There is no dropout here.",
)
mutant_edit(
    ATTENTION,
    (", pattern\n", "\n"),
    caught_by="values",
    label="returns the output only",
    hint="A pair is asked for: the output and the pattern.",
)
mutant_edit(
    ATTENTION,
    ("    return ", "    return pattern, "),
    ('... q e"), pattern', '... q e")'),
    caught_by="values",
    label="returns the pair in the other order",
    hint="The output comes first, the pattern second.",
)
mutant_edit(
    ATTENTION,
    ("    scores = einops", "    dtype, q, k, v = q.dtype, q.float(), k.float(), v.float()\n    scores = einops"),
    ('... q e"), pattern', '... q e").to(dtype), pattern.to(dtype)'),
    caught_by="values",
    label="computes in float32",
    hint="float64 inputs lose half of their digits in your function. Is a dtype fixed somewhere?",
)
mutant_edit(
    ATTENTION,
    ("    else:\n", "    else:\n        mask = mask.unsqueeze(1) if mask.ndim == 3 else mask\n"),
    caught_by=("values", "masks_and_layouts"),
    label="takes a mask of three dimensions for one of heads",
    hint="Your function reshapes a mask with three dimensions. Plain broadcasting is asked for.",
)


def _softmax_form(scores_to_pattern: str) -> tuple[tuple[str, str], ...]:
    """Edit the two lines that make a pattern of the masked scores, in both branches."""
    return (
        ("        pattern = scores.softmax(dim=-1)\n    else", f"        pattern = {scores_to_pattern}\n    else"),
        ("pattern = scores.softmax(dim=-1).masked_fill", f"pattern = ({scores_to_pattern}).masked_fill"),
    )


mutant_edit(
    ATTENTION,
    *_softmax_form("scores.softmax(dim=-2).nan_to_num(0.0)"),
    caught_by="values",
    label="softmax over the queries",
    hint="The columns of your pattern sum to 1, not the rows. Whose weights must sum to 1?",
)
mutant_edit(
    ATTENTION,
    *_softmax_form("scores.softmax(dim=min(2, scores.ndim - 1))"),
    caught_by="values",
    label="softmax over axis 2, whatever the shape",
    hint="Your softmax runs over a fixed axis, which is the last one only for inputs with three dimensions.",
)
mutant_edit(
    ATTENTION,
    *_softmax_form("scores.exp() / scores.exp().sum(-1, keepdim=True)"),
    caught_by="masked_weight_is_zero",
    label="a softmax that overflows",
    hint="Your softmax takes exponentials of large scores. What may be subtracted from a row without a change?",
)
mutant_edit(
    ATTENTION,
    *_softmax_form("(scores - scores.max()).exp() / (scores - scores.max()).exp().sum(-1, keepdim=True)"),
    caught_by="masked_weight_is_zero",
    label="subtracts one maximum from all rows",
    hint="Your softmax subtracts the largest score of all rows from each. A row of far lower scores then vanishes.",
)
mutant_edit(
    ATTENTION,
    *_softmax_form("scores.softmax(dim=-1) / (1 + 1e-6)"),
    caught_by="values",
    label="adds an epsilon to the denominator",
    hint="The rows of your pattern sum to a little less than 1. A softmax needs no epsilon.",
)
mutant_edit(
    ATTENTION,
    *_softmax_form("scores.sigmoid()"),
    caught_by="values",
    label="a sigmoid for each key",
    hint="The rows of your pattern do not sum to 1: the keys do not compete.",
)


@mutant(
    ATTENTION,
    caught_by="values",
    label="masks after the softmax",
    hint="You mask after the softmax: the rows no longer sum to 1.",
)
def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    pattern = (q @ k.transpose(-1, -2) * scale).softmax(-1)
    if mask is not None:
        pattern = pattern * mask
    return pattern @ v, pattern


@mutant(
    ATTENTION,
    caught_by="masked_weight_is_zero",
    label="masks after the softmax and shares out again",
    hint="You mask after the softmax and renormalise. When a hidden key had nearly all the weight, nothing is left to share out.",
)
def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    pattern = (q @ k.transpose(-1, -2) * scale).softmax(-1)
    if mask is not None:
        pattern = pattern * mask
        pattern = pattern / pattern.sum(-1, keepdim=True).clamp_min(1e-300)
    return pattern @ v, pattern


@mutant(
    ATTENTION,
    caught_by="values",
    label="multiplies the scores by the mask",
    hint="You multiply the scores by the mask: a masked score becomes 0, which is no low score.",
)
def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = q @ k.transpose(-1, -2) * scale
    if mask is not None:
        scores = scores * mask
    pattern = scores.softmax(-1)
    return pattern @ v, pattern


@mutant(
    ATTENTION,
    caught_by="values",
    label="returns the pattern from before the mask",
    hint="Your output obeys the mask, your pattern does not.",
)
def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return out, scores.softmax(-1)


@mutant(
    ATTENTION,
    caught_by="values",
    label="keys reshaped instead of transposed",
    hint="You reshape the keys where they should be transposed: the numbers are read in another order.",
)
def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    scores = q @ k.reshape(*k.shape[:-2], k.shape[-1], k.shape[-2]) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    pattern = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask
    return pattern @ v, pattern


@alternative(ATTENTION, label="torch's own attention, and a pattern beside it")
def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    scores = torch.matmul(q, k.mT) * (scale if scale is not None else 1 / math.sqrt(q.size(-1)))
    if mask is not None:
        scores = scores.masked_fill(mask == False, torch.finfo(scores.dtype).min)  # noqa: E712
    pattern = torch.softmax(scores, dim=-1)
    if mask is not None:
        pattern = torch.where(mask, pattern, torch.zeros_like(pattern))
    out = F.scaled_dot_product_attention(q, k, v, scale=scale) if mask is None else torch.matmul(pattern, v)
    return out, pattern


alternative_edit(
    ATTENTION,
    ("-math.inf).masked_fill(empty, 0.0)", "-math.inf)"),
    ("pattern = scores.softmax(dim=-1).masked_fill(empty, 0.0)", "pattern = scores.softmax(dim=-1).nan_to_num(0.0)"),
    # masked_fill blocks the gradient of what it fills, so that the NaN of an empty row goes nowhere.
    label="NaN repaired after the softmax, behind a masked_fill",
)


@alternative(ATTENTION, label="query by query, only over the visible keys")
def attention(q, k, v, mask=None, scale=None):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    lead, n_q, n_k = q.shape[:-2], q.shape[-2], k.shape[-2]
    see = torch.ones(*lead, n_q, n_k, dtype=torch.bool) if mask is None else mask.expand(*lead, n_q, n_k)
    flat = [x.reshape(-1, *x.shape[len(lead) :]) for x in (q, k, v, see)]
    rows = []
    for qs, ks, keep in zip(flat[0], flat[1], flat[3], strict=True):
        for i in range(n_q):
            row = torch.zeros(n_k, dtype=q.dtype)
            if keep[i].any():
                row = row.masked_scatter(keep[i], torch.softmax(ks[keep[i]] @ qs[i] * scale, 0))
            rows.append(row)
    pattern = torch.stack(rows).reshape(*lead, n_q, n_k)
    return pattern @ v, pattern


@alternative(ATTENTION, label="a softmax by hand")
def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    q = q * (scale if scale is not None else q.shape[-1] ** -0.5)
    scores = torch.einsum("...qd,...kd->...qk", q, k)
    if mask is not None:
        scores = torch.where(mask, scores, float("-inf"))
    top = scores.amax(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
    weights = torch.exp(scores - top)
    total = weights.sum(-1, keepdim=True)
    pattern = weights / torch.where(total == 0, 1.0, total)
    return torch.einsum("...qk,...ke->...qe", pattern, v), pattern


@alternative(ATTENTION, label="a mask to be added, the exponential of a log-softmax, a list for a pair")
def attention(q, k, v, mask=None, scale=None):
    if scale is None:
        scale = 1.0 / q.shape[-1] ** 0.5
    scores = scale * (q @ k.swapaxes(-2, -1))
    if mask is not None:
        some = mask.any(-1, keepdim=True)
        bias = torch.zeros(mask.shape, dtype=q.dtype).masked_fill(torch.logical_not(mask) & some, float("-inf"))
        pattern = torch.log_softmax(scores + bias, -1).exp() * some
    else:
        pattern = torch.log_softmax(scores, -1).exp()
    return [einops.einsum(pattern, v, "... i j, ... j e -> ... i e"), pattern]
