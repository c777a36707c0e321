"""Wrong and right answers to T2's plain functions: get_batch, lm_loss, penalties.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from autograder.grading.checks import alternative, alternative_edit, mutant_edit

BATCH, LOSS, PENALTIES = "t2_language_model.get_batch", "t2_language_model.lm_loss", "t2_language_model.penalties"

# -- get_batch -------------------------------------------------------------------------------------------------------------

mutant_edit(
    BATCH,
    ("torch.randint(n_starts,", "torch.randint(max(1, n_starts - 1),"),
    caught_by="every_start_is_equally_likely",
    label="the last window is never used",
    hint="Your windows never reach the end of the text: the last start is missing.",
)
mutant_edit(
    BATCH,
    ("start = torch.randint(n_starts,", "start = torch.randint(min(1, n_starts - 1), n_starts,"),
    caught_by="every_start_is_equally_likely",
    label="the first window is never used",
    hint="Your windows never start at the first token.",
)
mutant_edit(
    BATCH,
    ("(batch, 1), generator=generator)", "(1, 1), generator=generator).expand(batch, 1)"),
    caught_by="every_start_is_equally_likely",
    label="the same start for the whole batch",
    hint="All rows of your batch are the same window.",
)
mutant_edit(
    BATCH,
    ("window[:, :-1], window[:, 1:]", "window[:, :-1], window[:, :-1]"),
    caught_by="targets_follow_inputs",
    label="y equals x",
    hint="Your y is x: a model would learn to repeat its input.",
)
mutant_edit(
    BATCH,
    ("window[:, :-1], window[:, 1:]", "window[:, 1:], window[:, :-1]"),
    caught_by="targets_follow_inputs",
    label="y precedes x",
    hint="Your targets are the tokens before, not behind.",
)
mutant_edit(
    BATCH,
    ("torch.randint(n_starts, (batch, 1), generator=generator)", "torch.randint(n_starts, (batch, 1))"),
    caught_by="the_generator_decides",
    label="the generator is ignored",
    hint="You draw from torch's own generator, not from the one that is given.",
)
mutant_edit(
    BATCH,
    (
        "    start = torch.randint(n_starts, (batch, 1), generator=generator)",
        "    start = torch.randint(n_starts, (batch, 1), generator=torch.Generator().manual_seed(0))",
    ),
    caught_by=("the_generator_decides", "every_start_is_equally_likely"),
    label="the same seed at every call",
    hint="Your batches are the same at every call.",
)
mutant_edit(
    BATCH,
    ("tokens.long()[", "tokens["),
    caught_by="targets_follow_inputs",
    label="keeps the dtype of the tokens",
    hint="Your batch has the dtype of the text, which an embedding or a loss may refuse: int64 is asked for.",
)
mutant_edit(
    BATCH,
    (
        "torch.randint(n_starts, (batch, 1), generator=generator)",
        "torch.randperm(n_starts, generator=generator)[torch.arange(batch) % n_starts][:, None]",
    ),
    caught_by="every_start_is_equally_likely",
    label="without replacement",
    hint="Your starts are drawn without replacement: the rows of a batch depend on each other.",
)
mutant_edit(
    BATCH,
    (
        "start = torch.randint(n_starts, (batch, 1), generator=generator)",
        "start = torch.randint(n_starts, (1, 1), generator=generator) + torch.arange(batch)[:, None]",
    ),
    ("    window = ", "    start = start % n_starts\n    window = "),
    caught_by="every_start_is_equally_likely",
    label="neighbouring windows",
    hint="Only the first start of a batch is drawn, the other rows follow on it.",
)
mutant_edit(
    BATCH,
    (
        "torch.randint(n_starts, (batch, 1), generator=generator)",
        "torch.randint((n_starts + ctx - 1) // ctx, (batch, 1), generator=generator) * ctx",
    ),
    caught_by="every_start_is_equally_likely",
    label="only whole blocks",
    hint="Your windows start at multiples of ctx only.",
)
mutant_edit(
    BATCH,
    (
        "torch.randint(n_starts, (batch, 1), generator=generator)",
        "(torch.rand(batch, 1, generator=generator) * n_starts).round().long().clamp(max=n_starts - 1)",
    ),
    caught_by="every_start_is_equally_likely",
    label="rounds in place of cutting off",
    hint="The first start comes too seldom and the last too often: a random number is rounded.",
)
mutant_edit(
    BATCH,
    ("    n_starts = len(tokens) - ctx\n", "    n_starts = len(tokens) - ctx + 1\n"),
    ("start + torch.arange(ctx + 1)]", "(start + torch.arange(ctx + 1)) % len(tokens)]"),
    caught_by=("windows_that_just_fit", "every_start_is_equally_likely", "targets_follow_inputs"),
    label="one window too many, closed to a ring",
    hint="Your last window needs a token behind the end of the text, and takes the first one.",
)
mutant_edit(
    BATCH,
    ("    if n_starts < 1:", "    if n_starts < 0:"),
    ("torch.randint(n_starts,", "torch.randint(max(n_starts, 1),"),
    ("start + torch.arange(ctx + 1)]", "(start + torch.arange(ctx + 1)).clamp(max=len(tokens) - 1)]"),
    caught_by="windows_that_just_fit",
    label="a text of ctx tokens is accepted",
    hint="A text of exactly ctx tokens holds no target for the last one: ValueError is asked for.",
)
mutant_edit(
    BATCH,
    (
        "    window = tokens.long()[start + torch.arange(ctx + 1)]\n    return window[:, :-1], window[:, 1:]",
        "    other = torch.randint(n_starts, (batch, 1), generator=generator)\n"
        "    place = torch.arange(ctx)\n"
        "    return tokens.long()[start + place], tokens.long()[other + place + 1]",
    ),
    caught_by="targets_follow_inputs",
    label="x and y from different windows",
    hint="Your x and y are drawn from different places.",
)


@alternative(BATCH, label="a loop over rows, stacked")
def get_batch(tokens, batch, ctx, generator):
    if len(tokens) <= ctx:
        raise ValueError("too short")
    starts = torch.randint(0, len(tokens) - ctx, (batch,), generator=generator)
    x = torch.stack([tokens[i : i + ctx] for i in starts])
    y = torch.stack([tokens[i + 1 : i + 1 + ctx] for i in starts])
    return x.to(torch.int64), y.to(torch.int64)


@alternative(BATCH, label="unfold, and starts from uniform numbers")
def get_batch(tokens, batch, ctx, generator):
    if tokens.numel() < ctx + 1:
        raise ValueError
    windows = tokens.unfold(0, ctx + 1, 1)
    chosen = windows[(torch.rand(batch, generator=generator, dtype=torch.float64) * windows.shape[0]).floor().long()]
    return chosen[:, :ctx].long(), chosen[:, 1:].long()


@alternative(BATCH, label="one draw after the other, from multinomial")
def get_batch(tokens, batch, ctx, generator):
    weights = torch.ones(max(0, tokens.shape[0] - ctx))
    if weights.numel() == 0:
        raise ValueError("no window")
    x, y = torch.empty(batch, ctx, dtype=torch.long), torch.empty(batch, ctx, dtype=torch.long)
    for row in range(batch):
        i = int(torch.multinomial(weights, 1, generator=generator))
        x[row], y[row] = tokens[i : i + ctx], tokens[i + 1 : i + ctx + 1]
    return x, y


# -- lm_loss ---------------------------------------------------------------------------------------------------------------

mutant_edit(
    LOSS,
    ("mask[:, 1:]", "mask[:, :-1]"),
    caught_by="the_mask_is_of_targets",
    label="the mask is applied to inputs, not to targets",
    hint="Your mask is that of the token that predicts, not of the one that is predicted.",
)
mutant_edit(
    LOSS,
    ("targets = tokens[:, 1:]", "targets = tokens[:, :-1]"),
    caught_by="mean_of_the_next_token",
    label="no shift",
    hint="Your logits are compared with the token that they have just read.",
)
mutant_edit(
    LOSS,
    ("logits[:, :-1]", "logits[:, 1:]"),
    caught_by="mean_of_the_next_token",
    label="each token predicted by its own logits",
    hint="You drop the first logits in place of the last ones: each token is predicted by what has read it.",
)
mutant_edit(
    LOSS,
    (" / counts.sum().clamp(min=1)", ""),
    caught_by="mean_of_the_next_token",
    label="sums",
    hint="Your loss is a sum over targets; the mean is asked for.",
)
mutant_edit(
    LOSS,
    ("counts.sum().clamp(min=1)", "targets.numel()"),
    caught_by=("the_mask_is_of_targets", "padding_changes_nothing"),
    label="divided by all targets, masked ones too",
    hint="You divide by the number of all targets, those included that do not count.",
)
mutant_edit(
    LOSS,
    ("counts.sum().clamp(min=1)", "max(1, tokens.numel() if mask is None else int(mask.sum()))"),
    caught_by=("mean_of_the_next_token", "the_mask_is_of_targets"),
    label="the first token is counted in the divisor",
    hint="You divide by the number of tokens. There is one target fewer than tokens in each row.",
)
mutant_edit(
    LOSS,
    (
        "    return loss.masked_fill(~counts, 0.0).sum() / counts.sum().clamp(min=1)",
        "    return (loss.masked_fill(~counts, 0.0).sum(1) / counts.sum(1).clamp(min=1)).mean()",
    ),
    caught_by=("the_mask_is_of_targets", "padding_changes_nothing"),
    label="the mean of the rows' means",
    hint="You average within each row first, so a short row counts as much as a long one.",
)
mutant_edit(
    LOSS,
    ("counts.sum().clamp(min=1)", "counts.sum()"),
    caught_by="edges_of_the_loss",
    label="0 / 0 without targets",
    hint="Where no target counts your loss is NaN.",
)
mutant_edit(
    LOSS,
    ("masked_fill(~counts, 0.0)", "masked_fill(counts, 0.0)"),
    ("counts.sum().clamp(min=1)", "(~counts).sum().clamp(min=1)"),
    ("torch.ones_like(targets", "torch.zeros_like(targets"),
    caught_by="the_mask_is_of_targets",
    label="True means left out",
    hint="You leave out what the mask says counts.",
)
mutant_edit(
    LOSS,
    (
        '    loss = F.cross_entropy(logits[:, :-1].transpose(1, 2), targets, reduction="none")',
        "    loss = -logits[:, :-1].softmax(-1).gather(2, targets[..., None])[..., 0].log()",
    ),
    caught_by="edges_of_the_loss",
    label="the log of a softmax",
    hint="Your loss is infinite or NaN for large logits: a softmax of 0 has no logarithm.",
)
mutant_edit(
    LOSS,
    ("logits[:, :-1].transpose(1, 2)", "logits[:, :-1].softmax(-1).transpose(1, 2)"),
    caught_by="mean_of_the_next_token",
    label="softmax twice",
    hint="cross_entropy takes logits; you hand it probabilities.",
)
mutant_edit(
    LOSS,
    ("logits[:, :-1].transpose(1, 2)", "logits[:, :-1].transpose(1, 2).detach().requires_grad_(logits.requires_grad)"),
    caught_by="gradients_reach_what_predicts",
    label="no gradient reaches the logits",
    hint="The loss is right, and no gradient reaches the logits.",
)
mutant_edit(
    LOSS,
    ("    loss = F", "    if mask is not None:\n        logits = logits * mask[..., None]\n    loss = F"),
    caught_by=("the_mask_is_of_targets", "padding_changes_nothing"),
    label="masked logits are set to 0, and counted",
    hint="You set logits to 0 where the mask is False: the token before a counted one loses its prediction.",
)
mutant_edit(
    LOSS,
    ("loss.masked_fill(~counts, 0.0)", "loss"),
    ("counts.sum().clamp(min=1)", "targets.numel()"),
    caught_by=("the_mask_is_of_targets", "padding_changes_nothing"),
    label="the mask is ignored",
    hint="Your loss does not depend on the mask.",
)
mutant_edit(
    LOSS,
    ("    targets = tokens[:, 1:]", "    logits.data.sub_(logits.data.max(-1, keepdim=True).values)\n    targets = tokens[:, 1:]"),
    caught_by="edges_of_the_loss",
    label="changes the logits in place",
    hint="Your function changes the logits that it is given.",
)
mutant_edit(
    LOSS,
    ("sum() / counts.sum().clamp(min=1)", "sum() / counts.sum().clamp(min=1) / math.log(2)"),
    caught_by="mean_of_the_next_token",
    label="in bits",
    hint="Your loss is in bits; natural logarithms are meant.",
)


@alternative(LOSS, label="only the targets that count, picked out")
def lm_loss(logits, tokens, mask=None):
    before, after = logits[:, :-1].reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1)
    if mask is not None:
        keep = mask[:, 1:].reshape(-1)
        before, after = before[keep], after[keep]
    if after.numel() == 0:
        return logits.sum() * 0.0
    return torch.nn.functional.cross_entropy(before, after)


@alternative(LOSS, label="log_softmax and gather, weights in place of a mask")
def lm_loss(logits, tokens, mask=None):
    logp = torch.log_softmax(logits, dim=-1)[:, :-1].gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
    w = torch.ones_like(logp) if mask is None else mask[:, 1:].to(logp.dtype)
    n = w.sum()
    return -(logp * w).sum() / (n if n > 0 else 1)


@alternative(LOSS, label="ignore_index, and logsumexp in a loop")
def lm_loss(logits, tokens, mask=None):
    targets = tokens.clone()
    if mask is not None:
        targets[~mask] = -100
    total, n = logits.new_zeros(()), 0
    for row in range(len(tokens)):
        for i in range(1, tokens.shape[1]):
            if int(targets[row, i]) != -100:
                total = total + logits[row, i - 1].logsumexp(0) - logits[row, i - 1, targets[row, i]]
                n += 1
    return total / max(n, 1)


# -- penalties -------------------------------------------------------------------------------------------------------------

mutant_edit(
    PENALTIES,
    ("torch.where(logits > 0, logits / repetition, logits * repetition)", "logits / repetition"),
    caught_by="less_likely_whatever_the_sign",
    label="divides negative logits, too",
    hint="You divide whatever the sign: a negative logit divided is a more likely token.",
)
mutant_edit(
    PENALTIES,
    (
        "torch.where(logits > 0, logits / repetition, logits * repetition)",
        "torch.where(logits > 0, logits * repetition, logits / repetition)",
    ),
    caught_by="less_likely_whatever_the_sign",
    label="encourages repetition",
    hint="Your repetition penalty makes repeated tokens more likely.",
)
mutant_edit(
    PENALTIES,
    ("there.to(logits.dtype) * presence", "count * presence"),
    caught_by="how_often_and_whether",
    label="presence uses counts",
    hint="Your presence penalty grows with the count. It is subtracted once.",
)
mutant_edit(
    PENALTIES,
    ("- count * frequency - there.to", "- there * frequency - there.to"),
    caught_by="how_often_and_whether",
    label="frequency ignores counts",
    hint="Your frequency penalty is the same for a token that came once and one that came often.",
)
mutant_edit(
    PENALTIES,
    (
        "torch.ones_like(history, dtype=torch.bool) if pad is None else history != pad",
        "torch.ones_like(history, dtype=torch.bool)",
    ),
    ("history.masked_fill(~counted, 0)", "history.clamp(0, logits.shape[1] - 1)"),
    caught_by="padding_is_no_token",
    label="penalises padding",
    hint="Padding is counted as a token.",
)
mutant_edit(
    PENALTIES,
    ("counted.to(logits.dtype))", "torch.ones_like(history, dtype=logits.dtype))"),
    caught_by="padding_is_no_token",
    label="padding counts as token 0",
    hint="Padding is counted as token 0.",
)
mutant_edit(
    PENALTIES,
    ("    there = count > 0", "    count = count.sum(0, keepdim=True).expand_as(count)\n    there = count > 0"),
    caught_by="less_likely_whatever_the_sign",
    label="the whole batch's history used for every row",
    hint="Each row is penalised for what stands in the other rows.",
)
mutant_edit(
    PENALTIES,
    ("    there = count > 0", "    count = count[:1].expand_as(count)\n    there = count > 0"),
    caught_by="less_likely_whatever_the_sign",
    label="the first row's history used for all",
    hint="All rows are penalised for the first row's history.",
)
mutant_edit(
    PENALTIES,
    (
        "    repelled = torch.where(logits > 0, logits / repetition, logits * repetition)\n"
        "    return torch.where(there, repelled, logits) - count * frequency - there.to(logits.dtype) * presence",
        "    logits = logits - count * frequency - there.to(logits.dtype) * presence\n"
        "    repelled = torch.where(logits > 0, logits / repetition, logits * repetition)\n"
        "    return torch.where(there, repelled, logits)",
    ),
    caught_by="all_three_in_order",
    label="repetition last",
    hint="You subtract first and apply the repetition penalty to the result.",
)
mutant_edit(
    PENALTIES,
    (
        "torch.where(logits > 0, logits / repetition, logits * repetition)",
        "torch.where(logits > 0, logits / repetition**count, logits * repetition**count)",
    ),
    caught_by=("less_likely_whatever_the_sign", "all_three_in_order"),
    label="repetition once per occurrence",
    hint="Your repetition penalty is applied once per occurrence. Once is enough, however often the token came.",
)
mutant_edit(
    PENALTIES,
    ("logits / repetition, logits * repetition)", "logits - repetition, logits - repetition)"),
    caught_by="less_likely_whatever_the_sign",
    label="repetition is subtracted",
    hint="You subtract the repetition penalty. It divides or multiplies.",
)
mutant_edit(
    PENALTIES,
    ("- count * frequency - there.to", "+ count * frequency + there.to"),
    caught_by="how_often_and_whether",
    label="adds frequency and presence",
    hint="Your frequency and presence penalties make tokens more likely.",
)
mutant_edit(
    PENALTIES,
    ("- count * frequency - there.to", "- count / history.shape[1] * frequency - there.to"),
    caught_by="how_often_and_whether",
    label="the share in place of the count",
    hint="You use the token's share of the history. The count is asked for.",
)
mutant_edit(
    PENALTIES,
    (
        "    there = count > 0",
        "    if pad is None:\n        count = count.index_fill(1, torch.tensor([0]), 0.0)\n    there = count > 0",
    ),
    caught_by=("padding_is_no_token", "less_likely_whatever_the_sign"),
    label="token 0 is taken for padding when pad is None",
    hint="Without pad you leave out token 0, which is a token like any other.",
)
mutant_edit(
    PENALTIES,
    (
        "    there = count > 0",
        "    there = count > 0\n    logits.masked_fill_(there & (logits == 0), 0.0)\n    logits -= count * frequency",
    ),
    ("- count * frequency - there.to", "- there.to"),
    caught_by=("edges_of_penalties", "all_three_in_order"),
    label="subtracts in place",
    hint="Your function changes the logits that it is given.",
)
mutant_edit(
    PENALTIES,
    ("counted.to(logits.dtype))", "counted.to(logits.dtype)).clamp(max=2)"),
    caught_by=("how_often_and_whether", "padding_is_no_token"),
    label="counts no further than two",
    hint="A token that came more than twice is counted as if it had come twice.",
)


@alternative(PENALTIES, label="bincount, row by row")
def penalties(logits, history, repetition=1.0, frequency=0.0, presence=0.0, pad=None):
    out = logits.clone()
    for i in range(logits.shape[0]):
        past = history[i]
        if pad is not None:
            past = past[past != pad]
        count = torch.bincount(past, minlength=logits.shape[1])
        seen = count > 0
        row = out[i].clone()
        row[seen & (row > 0)] /= repetition
        row[seen & (row < 0)] *= repetition
        out[i] = row - frequency * count - presence * seen
    return out


@alternative(PENALTIES, label="one-hot, summed")
def penalties(logits, history, repetition=1.0, frequency=0.0, presence=0.0, pad=None):
    v = logits.size(-1)
    spare = torch.full_like(history, v) if pad is None else torch.where(history == pad, v, history)
    count = F.one_hot(history if pad is None else spare, v + 1).sum(1)[:, :v]
    factor = torch.where(logits < 0, repetition, 1 / repetition)
    there = (count != 0).to(logits.dtype)
    return torch.where(count > 0, logits * factor.to(logits.dtype), logits) - frequency * count.to(logits.dtype) - presence * there


@alternative(PENALTIES, label="token by token")
def penalties(logits, history, repetition=1.0, frequency=0.0, presence=0.0, pad=None):
    rows = []
    for row, past in zip(logits.unbind(0), history.tolist()):
        row = row.clone()
        for token in set(past) - {pad}:
            z = float(row[token])
            z = z / repetition if z > 0 else z * repetition
            row[token] = z - past.count(token) * frequency - presence
        rows.append(row)
    return torch.stack(rows)


alternative_edit(PENALTIES, ("logits > 0,", "logits >= 0,"), label="zero on the other side")
