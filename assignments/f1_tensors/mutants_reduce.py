"""Wrong and right answers to F1's reductions: masked_mean, logsumexp and next_token_logprobs.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

MEAN, LSE, NEXT = "f1_tensors.masked_mean", "f1_tensors.logsumexp", "f1_tensors.next_token_logprobs"

# -- masked_mean -----------------------------------------------------------------------------------------------------------

mutant_edit(
    MEAN,
    ("mask.sum(dim=1, keepdim=True).clamp(min=1)", "max(1, x.shape[1])"),
    caught_by="values_of_means",
    label="divides by t",
    hint="You divide by the length, padding included. How many vectors did you add up?",
)
mutant_edit(
    MEAN,
    (".clamp(min=1)", ""),
    caught_by="empty_sequences",
    label="nan for an empty sequence",
    hint="A sequence without any unmasked vector is nan in your result: 0/0.",
)
mutant_edit(
    MEAN,
    ("x.masked_fill(~mask[..., None], 0)", "(x * mask[..., None])"),
    caught_by="masked_is_invisible",
    label="multiplies by the mask",
    hint="You multiply by the mask, and 0 times inf is nan: what is masked shows through.",
)
mutant_edit(
    MEAN,
    ("x.masked_fill(~mask[..., None], 0)", "x.masked_fill(mask[..., None], 0)"),
    caught_by="values_of_means",
    label="the mask, inverted",
    hint="You add up exactly the vectors that are masked. True means: counts.",
)
mutant_edit(
    MEAN,
    ("x.masked_fill(~mask[..., None], 0)", "x"),
    caught_by="values_of_means",
    label="adds up everything",
    hint="Masked vectors are in your sum.",
)
mutant_edit(
    MEAN,
    (".clamp(min=1)", ".to(x.dtype).add(1e-6)"),
    caught_by="values_of_means",
    label="an epsilon added to the count",
    hint="Your means are a little too small: something was added to the count of every sequence, not only of empty ones.",
)
mutant_edit(
    MEAN,
    (".clamp(min=1)", ".clamp(min=2)"),
    caught_by="values_of_means",
    label="counts at least two",
    hint="A sequence with one unmasked vector gives half of that vector.",
)
mutant_edit(
    MEAN,
    ("mask.sum(dim=1, keepdim=True).clamp(min=1)", "mask.sum().clamp(min=1)"),
    caught_by="values_of_means",
    label="divides by the count of the whole batch",
    hint="You divide every sequence by the number of unmasked vectors in the whole batch.",
)
mutant_edit(
    MEAN,
    (
        "    total = x.masked_fill(~mask[..., None], 0).sum(dim=1)\n",
        "    total = x.nan_to_num(0, 0, 0).masked_fill(~mask[..., None], 0).sum(dim=1)\n",
    ),
    caught_by="unmasked_counts_as_it_is",
    label="sweeps every nan away",
    hint="An unmasked nan counts as 0 in your function. A fault in the data should show, not vanish.",
)
mutant_edit(
    MEAN,
    (
        "    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)",
        "    return (total / mask.sum(dim=1, keepdim=True)).nan_to_num(0.0)",
    ),
    caught_by="unmasked_counts_as_it_is",
    label="nan repaired after the division",
    hint="An empty sequence gives zeros, but so does an unmasked nan, which should show: repair the count, not the quotient.",
)
mutant_edit(
    MEAN,
    ("    total = x.masked_fill(", "    total = x.masked_fill_("),
    caught_by="layouts_of_means",
    label="fills x in place",
    hint="Your function writes zeros into the x that it is given: a method that ends in an underscore changes its tensor.",
)
mutant_edit(
    MEAN,
    ("    total = x.", "    x = x.detach()\n    total = x."),
    caught_by=("masked_is_invisible", "empty_sequences"),
    label="detached",
    hint="No gradient reaches x in your function.",
)
mutant_edit(
    MEAN,
    ("0).sum(dim=1)\n", "0).float().sum(dim=1)\n"),
    caught_by="values_of_means",
    label="computes in float32",
    hint="float64 inputs lose half of their digits in your function. Is a dtype fixed somewhere?",
)


@mutant(
    MEAN,
    caught_by="masked_is_invisible",
    label="an einsum with the mask",
    hint="Your sum is a product with the mask, in which 0 times inf is nan.",
)
def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    m = mask.to(x.dtype)
    return torch.einsum("btd,bt->bd", x, m) / m.sum(1, keepdim=True).clamp(min=1)


@mutant(
    MEAN,
    caught_by="values_of_means",
    label="the mean over what is not zero",
    hint="You divide by the number of entries that are not zero, feature by feature; the mask says how many vectors count.",
)
def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    kept = x.round().masked_fill(~mask[..., None], 0)
    return x.masked_fill(~mask[..., None], 0).sum(1) / (kept != 0).sum(1).clamp(min=1)


@alternative(MEAN, label="where, and a count as float")
def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    keep = mask.unsqueeze(-1)
    total = torch.where(keep, x, torch.zeros_like(x)).sum(1)
    return total / torch.clamp(keep.sum(1).to(x.dtype), min=1.0)


@alternative(MEAN, label="one sequence after the other")
def masked_mean(x, mask):
    means = [row[m].mean(dim=0) if m.any() else row[m].sum(dim=0) for row, m in zip(x, mask)]
    return torch.stack(means)


@alternative(MEAN, label="rows picked and scattered")
def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    b, _, d = x.shape
    which, _ = mask.nonzero(as_tuple=True)
    total = torch.zeros(b, d, dtype=x.dtype).index_add(0, which, x[mask])
    count = mask.sum(1)
    return total / torch.where(count == 0, torch.ones_like(count), count)[:, None]


@alternative(MEAN, label="nanmean's way, with the empty row filled at the end")
def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    count = mask.sum(-1, keepdim=True)
    safe = count.masked_fill(count == 0, 1)
    mean = x.masked_fill(mask.logical_not().unsqueeze(2), 0.0).sum(1).div(safe)
    return mean.masked_fill(count == 0, 0.0)


# -- logsumexp -------------------------------------------------------------------------------------------------------------

mutant_edit(
    LSE,
    ("x.detach().amax(dim, keepdim=True)", "x.detach().amax()"),
    ("(total.log() + top).masked_fill(empty, -math.inf)", "total.log() + top"),
    (".masked_fill(empty, 1)", ""),
    caught_by="far_from_zero",
    label="one maximum for all slices",
    hint="You subtract the largest entry of the whole tensor: slices far below it lose all their exponentials.",
)
mutant_edit(
    LSE,
    ("top = x.detach().amax(dim, keepdim=True)", "top = torch.zeros_like(x.detach().amax(dim, keepdim=True))"),
    caught_by="far_from_zero",
    label="nothing is subtracted",
    hint="Your exponentials overflow to inf or underflow to 0: nothing is subtracted from the entries first.",
)
mutant_edit(
    LSE,
    ("    top = x.detach()", "    dim = -1\n    top = x.detach()"),
    caught_by="values_of_logsumexp",
    label="always the last dimension",
    hint="You reduce the last dimension whatever dim says.",
)
mutant_edit(
    LSE,
    ("    empty = top == -math.inf\n", "    empty = torch.zeros_like(top, dtype=torch.bool)\n"),
    caught_by="slices_of_minus_infinity",
    label="nan for a slice of -inf",
    hint="A slice of -inf only is nan in your result: -inf minus -inf.",
)
mutant_edit(
    LSE,
    (".masked_fill(empty, 1)", ""),
    ("(total.log() + top).masked_fill(empty, -math.inf)", "total.log() + top"),
    caught_by="gradient_is_softmax",
    label="nan in the gradient of a slice of -inf",
    hint="Your values are right, but the gradient of a slice of -inf is nan: the slope of the logarithm at 0 is infinite.",
)
mutant_edit(
    LSE,
    ("(total.log() + top)", "total.log()"),
    caught_by="values_of_logsumexp",
    label="what was subtracted is not added back",
    hint="You take the largest entry off and never put it back.",
)
mutant_edit(
    LSE,
    ("(total.log() + top)", "(total.log() - top)"),
    caught_by="values_of_logsumexp",
    label="added back with the wrong sign",
    hint="What was subtracted before the exponential comes back with the wrong sign.",
)
mutant_edit(
    LSE,
    ("total = (x - top).exp().sum(dim, keepdim=True)", "total = (x - top).exp().mean(dim, keepdim=True)"),
    caught_by="values_of_logsumexp",
    label="a mean of exponentials",
    hint="You average the exponentials. They should be added up: the result is too small by the logarithm of their number.",
)
mutant_edit(
    LSE,
    ("result if keepdim else result.squeeze(dim)", "result.squeeze() if not keepdim else result"),
    caught_by="keepdim",
    label="squeezes every dimension of size 1",
    hint="Dimensions of size 1 that were not reduced disappear from your result.",
)
mutant_edit(
    LSE,
    ("result if keepdim else result.squeeze(dim)", "result.squeeze(dim)"),
    caught_by="keepdim",
    label="keepdim is ignored",
    hint="keepdim=True makes no difference in your function.",
)
mutant_edit(
    LSE,
    ("result if keepdim else result.squeeze(dim)", "result"),
    caught_by="values_of_logsumexp",
    label="the dimension is always kept",
    hint="The reduced dimension stays in your result, with size 1, without being asked for.",
)
mutant_edit(
    LSE,
    ("(total.log() + top)", "((total + 1e-6).log() + top)"),
    caught_by="values_of_logsumexp",
    label="an epsilon under the logarithm",
    hint="Something small is added under your logarithm. After the shift the sum is never below 1, so nothing is needed.",
)
mutant_edit(
    LSE,
    ("top = x.detach().amax(dim, keepdim=True)", "top = x.detach().amax(dim, keepdim=True).clamp(min=0)"),
    caught_by=("far_from_zero", "slices_of_minus_infinity"),
    label="never subtracts a negative number",
    hint="When all entries of a slice are far below 0, all your exponentials become 0.",
)
mutant_edit(
    LSE,
    (
        "top = x.detach().amax(dim, keepdim=True)",
        "top = x.detach().abs().amax(dim, keepdim=True).masked_fill(x.detach().amax(dim, keepdim=True) == -math.inf, -math.inf)",
    ),
    caught_by="far_from_zero",
    label="subtracts the largest absolute value",
    hint="You subtract the largest absolute value; for a slice near -10,000 that moves it further from 0.",
)
mutant_edit(
    LSE,
    ("    top = x.detach().amax", "    x = x.detach()\n    top = x.amax"),
    caught_by="gradient_is_softmax",
    label="detached",
    hint="No gradient reaches x in your function.",
)
mutant_edit(
    LSE,
    ("total = (x - top)", "total = x.sub_(top)"),
    caught_by="gradient_is_softmax",
    label="subtracts in place",
    hint="Your function changes the x that it is given, or its backward pass fails for that reason.",
)


@mutant(
    LSE,
    caught_by="values_of_logsumexp",
    label="softmax in place of its logarithm's normaliser",
    hint="You return the logarithm of a softmax: one number per entry. One number per slice is asked for.",
)
def logsumexp(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    return (x - x.amax(dim, keepdim=True)).exp().div(x.exp().sum(dim, keepdim=True)).log()


@mutant(
    LSE,
    caught_by="slices_of_minus_infinity",
    label="-inf taken for a large negative number",
    hint="A slice of -inf gives a large negative number in your result. It should be -inf.",
)
def logsumexp(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    x = x.clamp(min=torch.finfo(x.dtype).min)
    top = x.detach().amax(dim, keepdim=True)
    result = (x - top).exp().sum(dim, keepdim=True).log() + top
    return result if keepdim else result.squeeze(dim)


@mutant(
    LSE,
    caught_by="gradient_is_softmax",
    label="torch's own, whose gradient of a slice of -inf is nan",
    hint="Your values are right, but the gradient of a slice of -inf only is nan. Is this torch's own function?",
)
def logsumexp(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    return torch.logsumexp(x, dim, keepdim)


@alternative(LSE, label="where in place of masked_fill, the maximum not detached")
def logsumexp(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    m = torch.max(x, dim=dim, keepdim=True).values
    dead = torch.isneginf(m)
    safe_m = torch.where(dead, torch.zeros_like(m), m)
    safe_x = torch.where(dead, torch.zeros_like(x), x)
    out = torch.where(
        dead, torch.full_like(m, -math.inf), safe_m + torch.log(torch.sum(torch.exp(safe_x - safe_m), dim=dim, keepdim=True))
    )
    return out if keepdim else out.squeeze(dim)


@alternative(LSE, label="the dimension moved to the end, log1p of the rest")
def logsumexp(x, dim, keepdim=False):
    rows = x.movedim(dim, -1)
    top = rows.detach().max(-1).values
    dead = top == float("-inf")
    shifted = rows - top.masked_fill(dead, 0.0)[..., None]
    others = shifted.exp().sum(-1).masked_fill(dead, 1.0)
    # The gradient of the largest entry is the softmax's too, since `top` is a constant.
    out = torch.log1p(others - 1) + top.masked_fill(dead, 0.0)
    out = out.masked_fill(dead, float("-inf"))
    return out.unsqueeze(dim) if keepdim else out


@alternative(LSE, label="slices without a finite entry are cut out first")
def logsumexp(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    flat = x.transpose(dim, -1)
    shape = flat.shape[:-1]
    flat = flat.reshape(-1, flat.shape[-1])
    alive = (flat > -math.inf).any(-1)
    out = torch.full((len(flat),), -math.inf, dtype=x.dtype)
    some = flat[alive]
    top = some.amax(-1)
    out = out.masked_scatter(alive, (some - top[:, None]).exp().sum(-1).log() + top)
    out = out.reshape(*shape, 1).transpose(dim, -1)
    return out if keepdim else out.squeeze(dim)


alternative_edit(LSE, ("    top = x.detach().amax", "    top = x.amax"), label="the maximum not detached")

# -- next_token_logprobs ---------------------------------------------------------------------------------------------------

mutant_edit(
    NEXT,
    ("tokens[:, 1:, None]", "tokens[:, :-1, None]"),
    caught_by="values_of_logprobs",
    label="no shift",
    hint="You score every token by the logits of its own position, where the model has already read it.",
)
mutant_edit(
    NEXT,
    ("logits[:, :-1]", "logits[:, 1:]"),
    ("tokens[:, 1:, None]", "tokens[:, :-1, None]"),
    caught_by="values_of_logprobs",
    label="shifted the wrong way",
    hint="You score every token by the logits of the position after it. The prediction comes before the token.",
)
mutant_edit(
    NEXT,
    ("log_softmax(dim=-1)", "log_softmax(dim=1)"),
    caught_by="values_of_logprobs",
    label="softmax over positions",
    hint="Your probabilities sum to 1 over the positions. They should do so over the vocabulary.",
)
mutant_edit(
    NEXT,
    (
        "    return logp.gather(-1, tokens[:, 1:, None]).squeeze(-1)",
        "    logp = logp.gather(-1, tokens[:, 1:, None]).squeeze(-1)\n    return F.pad(logp, (1, 0))",
    ),
    caught_by="values_of_logprobs",
    label="t entries, the first one made up",
    hint="Your result has an entry for the first token, of which nothing is known. There are t - 1 predictions.",
)
mutant_edit(
    NEXT,
    ("logits[:, :-1].log_softmax(dim=-1)", "logits[:, :-1]"),
    caught_by="values_of_logprobs",
    label="logits, not normalised",
    hint="Your entries are logits: they are not yet normalised.",
)
mutant_edit(
    NEXT,
    ("log_softmax(dim=-1)", "log_softmax(dim=0)"),
    caught_by="who_sees_what",
    label="softmax over the batch",
    hint="Your probabilities sum to 1 over the sequences of the batch, so that one sequence moves the score of another.",
)
mutant_edit(
    NEXT,
    ("logits[:, :-1].log_softmax(dim=-1)", "(logits[:, :-1] - logits.flatten(1).logsumexp(dim=1)[:, None, None])"),
    caught_by="who_sees_what",
    label="one normaliser for the whole text",
    hint="You divide by the sum over all positions, also the last one. Each position has a distribution of its own.",
)
mutant_edit(
    NEXT,
    ("log_softmax(dim=-1)", "softmax(dim=-1)"),
    caught_by="values_of_logprobs",
    label="probabilities, not logarithms",
    hint="Your entries are probabilities. Their logarithms are asked for.",
)
mutant_edit(
    NEXT,
    ("log_softmax(dim=-1)", "softmax(dim=-1).log()"),
    caught_by="far_apart",
    label="the logarithm of a softmax",
    hint="Your softmax rounds small probabilities to 0, and the logarithm of 0 is -inf.",
)
mutant_edit(
    NEXT,
    ("log_softmax(dim=-1)", "softmax(dim=-1).clamp(min=1e-12).log()"),
    caught_by="far_apart",
    label="the logarithm of a softmax, cut off",
    hint="Your log-probabilities never fall below a certain number: small probabilities are cut off before the logarithm.",
)
mutant_edit(
    NEXT,
    ("log_softmax(dim=-1)", "exp().div(logits[:, :-1].exp().sum(-1, keepdim=True)).log()"),
    caught_by="far_apart",
    label="exponentials without a shift",
    hint="Your exponentials overflow when logits are large.",
)
mutant_edit(
    NEXT,
    (".squeeze(-1)", ".squeeze()"),
    caught_by=("values_of_logprobs", "edges_and_layouts"),
    label="squeezes every dimension of size 1",
    hint="A batch of one sequence, or a text of two tokens, loses a dimension in your result.",
)
mutant_edit(
    NEXT,
    ("    return logp.gather(-1, tokens[:, 1:, None]).squeeze(-1)", "    return -logp.gather(-1, tokens[:, 1:, None]).squeeze(-1)"),
    caught_by="values_of_logprobs",
    label="the loss, not the log-probability",
    hint="Your entries are the negatives of the right ones: that is a loss.",
)
mutant_edit(
    NEXT,
    (
        "    return logp.gather(-1, tokens[:, 1:, None]).squeeze(-1)",
        "    return logp.gather(-1, tokens[:, 1:, None]).squeeze(-1).cumsum(dim=1)",
    ),
    caught_by="values_of_logprobs",
    label="running totals",
    hint="You add up the log-probabilities along the text. Each token's own is asked for.",
)
mutant_edit(
    NEXT,
    ("    logp = logits", "    logits = logits / logits.shape[-1] ** 0.5\n    logp = logits"),
    caught_by="values_of_logprobs",
    label="a temperature",
    hint="Your logits are divided by something before the softmax.",
)
mutant_edit(
    NEXT,
    ("    logp = logits", "    logits = logits.detach()\n    logp = logits"),
    caught_by="gradients_of_logprobs",
    label="detached",
    hint="No gradient reaches the logits in your function.",
)
mutant_edit(
    NEXT,
    ("    logp = logits", "    logits = logits.float()\n    logp = logits"),
    caught_by="values_of_logprobs",
    label="computes in float32",
    hint="float64 logits lose half of their digits in your function. Is a dtype fixed somewhere?",
)


@mutant(
    NEXT,
    caught_by="values_of_logprobs",
    label="every position's best token",
    hint="You return the log-probability of the likeliest token. The token that did come is asked for.",
)
def next_token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits[:, :-1].log_softmax(-1).amax(-1)


@mutant(
    NEXT,
    caught_by="values_of_logprobs",
    label="an index that pairs everything with everything",
    hint="Your index makes a table of all pairs. Each position of each sequence is to be paired with one token.",
)
def next_token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    logp = logits[:, :-1].log_softmax(-1)
    return logp[:, torch.arange(tokens.shape[1] - 1), tokens[0, 1:]]


@alternative(NEXT, label="cross-entropy, negated")
def next_token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    return -F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")


@alternative(NEXT, label="minus logsumexp, indexed")
def next_token_logprobs(logits, tokens):
    b, t = tokens.shape
    normalised = logits - torch.logsumexp(logits, dim=-1, keepdim=True)
    rows, columns = torch.arange(b)[:, None], torch.arange(t - 1)[None, :]
    return normalised[rows, columns, tokens[:, 1:]]


@alternative(NEXT, label="one-hot and a sum")
def next_token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    chosen = F.one_hot(tokens[:, 1:], logits.size(-1)).bool()
    return torch.log_softmax(logits, -1)[:, :-1].masked_fill(~chosen, 0.0).sum(-1)


@alternative(NEXT, label="two loops")
def next_token_logprobs(logits, tokens):
    b, t, _ = logits.shape
    out = torch.zeros(b, t - 1, dtype=logits.dtype)
    for i in range(b):
        for j in range(t - 1):
            out[i, j] = F.log_softmax(logits[i, j], dim=0)[tokens[i, j + 1]]
    return out
