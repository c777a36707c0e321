"""Wrong and right answers to I2, looking: repeated_batch and head_scores."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.grading.checks import alternative, alternative_edit, mutant_edit

BATCH, SCORES = "i2_circuits.repeated_batch", "i2_circuits.head_scores"
ROWS, MASK, PERIODS, TOKENS, GEN = (
    "rows_repeat",
    "mask_of_what_a_lookup_knows",
    "law_of_the_periods",
    "law_of_the_tokens",
    "follows_the_generator",
)


def _batch(*edits: tuple[str, str], by: str, label: str, hint: str) -> None:
    mutant_edit(BATCH, *edits, caught_by=by, label=label, hint=hint)


_batch(
    ("max_period + 1, (b,), generator=gen)", "max_period + 1, (1,), generator=gen).expand(b)"),
    by=PERIODS,
    label="one period for the batch",
    hint="All rows of your batch have the same period: a model can learn the place of the answer by heart.",
)
_batch(
    ("max_period + 1, (b,)", "max_period, (b,)"),
    ("torch.randint(min_period,", "torch.randint(min(min_period, max_period - 1),"),
    by=PERIODS,
    label="the longest period is never drawn",
    hint="Your longest period never occurs: the upper end of randint is not included.",
)
_batch(
    ("torch.randint(min_period, ", "torch.randint(1, "),
    by=ROWS,
    label="periods from 1 on",
    hint="Your periods begin at 1, whatever min_period says.",
)
_batch(
    ("max_period + 1, (b,)", "max_period + 2, (b,)"),
    ("(b, max_period), generator", "(b, max_period + 1), generator"),
    by=ROWS,
    label="one period too long",
    hint="Some of your periods are longer than max_period by one.",
)
_batch(
    (">= periods[:, None] + 2", ">= periods[:, None] + 1"),
    by=MASK,
    label="the mask begins at p + 1",
    hint="Your mask opens one token too early: what stands before token p + 1 has no earlier copy.",
)
_batch(
    (">= periods[:, None] + 2", ">= 2"),
    by=MASK,
    label="the mask includes the first copy",
    hint="Your mask is open in the first copy too, where nothing can be known.",
)
_batch(
    (">= periods[:, None] + 2", ">= periods[:, None] + 3"),
    by=MASK,
    label="the mask begins at p + 3",
    hint="Your mask opens one token too late.",
)
_batch(
    (">= periods[:, None] + 2", ">= periods.max() + 2"),
    by=MASK,
    label="the mask of the longest period",
    hint="Your mask begins where the longest period of the batch ends, in every row.",
)
_batch(
    (">= periods[:, None] + 2", "< periods[:, None] + 2"),
    by=MASK,
    label="the mask is negated",
    hint="Your mask is True where nothing can be predicted.",
)
_batch(
    (">= periods[:, None] + 2", ">= periods[:, None]"),
    by=MASK,
    label="the mask forgets BOS",
    hint="Your mask counts positions from the block's first token; position 0 is BOS.",
)
_batch(
    ("torch.randint(1, vocab,", "torch.randint(0, vocab,"),
    by=ROWS,
    label="BOS inside the block",
    hint="Token 0 occurs inside of your blocks; it is BOS and stands at position 0 only.",
)
_batch(
    ("torch.randint(1, vocab,", "torch.randint(1, vocab - 1,"),
    by=TOKENS,
    label="the last token is never drawn",
    hint="The last token of the vocabulary never occurs in your blocks.",
)
_batch(
    ("torch.zeros(b, 1, dtype=torch.int64)", "torch.ones(b, 1, dtype=torch.int64)"),
    by=ROWS,
    label="BOS is 1",
    hint="Your rows begin with token 1; BOS is 0.",
)
_batch(
    ("place = torch.arange(t - 1) % periods[:, None]", "place = torch.arange(1, t) % periods[:, None]"),
    ("block.gather(1, place)", "block.gather(1, place).where(torch.arange(t - 1) > 0, block[:, :1])"),
    by=ROWS,
    label="the block is turned after its first token",
    hint="The first token of your block comes back one place too late.",
)
_batch(
    (
        "torch.randint(1, vocab, (b, max_period), generator=gen)",
        "torch.randint(1, vocab, (1, max_period), generator=gen).expand(b, -1)",
    ),
    by=TOKENS,
    label="one block for all rows",
    hint="All rows of your batch repeat the same block.",
)
_batch(
    (
        "torch.randint(1, vocab, (b, max_period), generator=gen)",
        "1 + torch.rand(b, max(vocab - 1, max_period), generator=gen).argsort(1)[:, :max_period] % (vocab - 1)",
    ),
    by=TOKENS,
    label="no token twice in a block",
    hint="No token occurs twice in one of your blocks; the docstring asks for independent ones.",
)
_batch(
    ("torch.randint(1, vocab, (b, max_period), generator=gen)", "torch.randint(1, vocab, (b, max_period))"),
    by=GEN,
    label="blocks from the global generator",
    hint="Your blocks do not come from gen: the same generator gives another batch.",
)
_batch(
    ("max_period + 1, (b,), generator=gen)", "max_period + 1, (b,))"),
    by=GEN,
    label="periods from the global generator",
    hint="Your periods do not come from gen: the same generator gives other periods.",
)
_batch(
    ("    periods = torch.randint(", "    gen = torch.Generator().manual_seed(0)\n    periods = torch.randint("),
    by=GEN,
    label="a generator of its own",
    hint="Your batches are always the same, whatever generator is given.",
)
_batch(
    ("    return tokens, periods, mask", "    return tokens[:, 1:], periods, mask[:, 1:]"),
    by=ROWS,
    label="no BOS",
    hint="Your rows have no BOS.",
)
_batch(
    ("    return tokens, periods, mask", "    return tokens, periods, mask.long()"),
    by=MASK,
    label="the mask is a number",
    hint="Your mask has another dtype than bool.",
)


@alternative(BATCH, label="row by row")
def repeated_batch(b, t, vocab, min_period, max_period, gen):
    rows, periods = [], []
    for _ in range(b):
        p = torch.randint(min_period, max_period + 1, (1,), generator=gen).item()
        block = torch.randint(1, vocab, (p,), generator=gen)
        rows.append(torch.cat([torch.zeros(1, dtype=torch.long), block.repeat(t // p + 1)])[:t])
        periods.append(p)
    periods = torch.tensor(periods)
    return torch.stack(rows), periods, torch.stack([torch.arange(t) - 2 >= p for p in periods])


@alternative(BATCH, label="filled from left to right, tokens first")
def repeated_batch(b, t, vocab, min_period, max_period, gen):
    tokens = torch.randint(1, vocab, (b, t), generator=gen)
    periods = min_period + (torch.rand(b, generator=gen, dtype=torch.float64) * (max_period - min_period + 1)).long()
    tokens[:, 0] = 0
    mask = torch.zeros(b, t, dtype=torch.bool)
    for row in range(b):
        p = int(periods[row])
        for i in range(p + 1, t):
            tokens[row, i] = tokens[row, i - p]
            mask[row, i] = i > p + 1
    return tokens, periods, mask


def _scores(*edits: tuple[str, str], by: str | tuple[str, ...], label: str, hint: str) -> None:
    mutant_edit(SCORES, *edits, caught_by=by, label=label, hint=hint)


RANDOM, ONE, SAME, NONE = "scores_of_random_patterns", "stripes_score_one", "every_query_counts_the_same", "nothing_to_average"
_scores(
    ("along(query - p + 1, repeats)", "along(query - p, repeats)"),
    by=(RANDOM, ONE),
    label="the induction stripe at p",
    hint="Your induction score looks at the copy itself, p places back, not at what followed it.",
)
_scores(
    ("along(query - p + 1, repeats)", "along(query - p - 1, repeats)"),
    by=(RANDOM, ONE),
    label="the induction stripe at p + 1",
    hint="Your induction score looks at what stood before the copy; it should be what came after it.",
)
_scores(
    ("along(query - p, repeats), along(query - p + 1, repeats)", "along(query - p + 1, repeats), along(query - p, repeats)"),
    by=(RANDOM, ONE),
    label="duplicate and induction exchanged",
    hint="Your duplicate and induction scores are exchanged.",
)
_scores(
    ("repeats = query >= p + 1", "repeats = query >= 0"),
    by=(RANDOM,),
    label="the mean over all queries",
    hint="Your duplicate and induction scores average over queries in the first copy too, which have no stripe.",
)
_scores(
    ("repeats = query >= p + 1", "repeats = query >= p"),
    by=(RANDOM,),
    label="queries from p on",
    hint="You count the query at position p: it stands on the last token of the first copy.",
)
_scores(
    ("repeats = query >= p + 1", "repeats = query >= p + 2"),
    by=(RANDOM,),
    label="queries from p + 2 on",
    hint="You leave out the query at position p + 1, which has both stripes.",
)
_scores(
    ("query >= 1), along", "query >= 0), along"),
    by=(RANDOM,),
    label="the first query counts",
    hint="Your previous score counts the query at position 0, which has nothing before it.",
)
_scores(
    ("along(query - 1, query >= 1)", "along(query, query >= 1)"),
    by=(RANDOM, ONE),
    label="the diagonal",
    hint="Your previous score looks at the query's own place.",
)
_scores(
    ("    p = periods[:, None]\n", "    p = periods[:1, None].expand(b, 1)\n"),
    by=(RANDOM,),
    label="the first row's period for all",
    hint="You use the period of the first row for every row.",
)
_scores(
    ("    p = periods[:, None]\n", "    p = periods.double().mean().round().long().expand(b, 1)\n"),
    by=(RANDOM,),
    label="the mean period for all",
    hint="You use one period for all rows, their mean.",
)
_scores(
    (".sum((0, 2)) / counts.sum().clamp(min=1)", ".sum((0, 2)) / counts.numel()"),
    by=(RANDOM, ONE),
    label="divided by all queries",
    hint="You divide by the number of all queries; only those that have a stripe count.",
)
_scores(
    (
        "return found.masked_fill(~counts[:, None], 0).sum((0, 2)) / counts.sum().clamp(min=1)",
        "return (found.masked_fill(~counts[:, None], 0).sum(2) / counts.sum(1).clamp(min=1)[:, None]).mean(0)",
    ),
    by=(SAME,),
    label="row means first",
    hint="You average per row first: a row with two queries then weighs as much as one with twenty.",
)
_scores(
    (
        "return found.masked_fill(~counts[:, None], 0).sum((0, 2)) / counts.sum().clamp(min=1)",
        "rows = counts.any(1)\n"
        "        means = found.masked_fill(~counts[:, None], 0).sum(2) / counts.sum(1).clamp(min=1)[:, None]\n"
        "        return means[rows].sum(0) / rows.sum().clamp(min=1)",
    ),
    by=(SAME,),
    label="row means first, rows without queries apart",
    hint="You average per row first, over the rows that have a query; every query should count the same.",
)
_scores(
    ("counts.sum().clamp(min=1)", "counts.sum()"),
    by=(NONE,),
    label="nan without a query",
    hint="Where no row has a query of a kind, your score is nan: 0/0.",
)
_scores(
    (
        "        return found.masked_fill(~counts[:, None], 0).sum((0, 2))",
        "        return found.masked_fill(~counts[:, None], 0).sum((1, 2)).sum().expand(patterns.shape[1])",
    ),
    by=(RANDOM,),
    label="heads are added up",
    hint="Your scores add up the heads: each head has scores of its own.",
)
_scores(
    ("    b, _, t, _ = patterns.shape\n", "    patterns = patterns.transpose(2, 3)\n    b, _, t, _ = patterns.shape\n"),
    by=(RANDOM, ONE),
    label="keys by queries",
    hint="You read the patterns with keys as rows; rows are queries.",
)
_scores(
    (
        "    b, _, t, _ = patterns.shape\n",
        "    patterns = (patterns == patterns.amax(-1, keepdim=True)).to(patterns.dtype)\n    b, _, t, _ = patterns.shape\n",
    ),
    by=(RANDOM,),
    label="counts the largest key",
    hint="You count how often the stripe's key is the largest; the score is the mean attention.",
)
_scores(
    ("    b, _, t, _ = patterns.shape\n", "    patterns = patterns.double()\n    b, _, t, _ = patterns.shape\n"),
    by="patterns_stay_as_they_are",
    label="float32 comes back as float64",
    hint="Your scores have another dtype than the patterns.",
)
_scores(
    ("    b, _, t, _ = patterns.shape\n", "    patterns[:, :, :, 0] = 0\n    b, _, t, _ = patterns.shape\n"),
    by=("patterns_stay_as_they_are", RANDOM),
    label="BOS is blanked out in place",
    hint="You set the attention to BOS to 0 in the patterns that you were given.",
)


@alternative(SCORES, label="loops")
def head_scores(patterns: Tensor, periods: Tensor):
    b, h, t, _ = patterns.shape
    sums = torch.zeros(3, h, dtype=patterns.dtype)
    counts = [0, 0, 0]
    for row in range(b):
        p = periods[row].item()
        for i in range(1, t):
            stripes = [i - 1] if i <= p else [i - 1, i - p, i - p + 1]
            for n, key in enumerate(stripes):
                sums[n] += patterns[row, :, i, key]
                counts[n] += 1
    return tuple(s / max(n, 1) for s, n in zip(sums, counts, strict=True))


@alternative(SCORES, label="by diagonals, as a list")
def head_scores(patterns: Tensor, periods: Tensor):
    found = []
    for shift, first in ((lambda p: 1, lambda p: 1), (lambda p: p, lambda p: p + 1), (lambda p: p - 1, lambda p: p + 1)):
        parts = []
        for pattern, p in zip(patterns, periods.tolist(), strict=True):
            if shift(p) < patterns.shape[-1]:
                line = torch.diagonal(pattern, -shift(p), 1, 2)  # entry n: query n + shift, key n
                parts.append(line[:, first(p) - shift(p) :])
        every = torch.cat([patterns.new_zeros(patterns.shape[1], 0), *parts], 1)
        found.append(every.sum(1) / max(every.shape[1], 1))
    return found


alternative_edit(
    SCORES,
    (
        "        at = key.clamp(0, t - 1)[:, None, :, None].expand(-1, patterns.shape[1], -1, 1)\n"
        "        found = patterns.gather(3, at)[..., 0]\n",
        "        weight = torch.nn.functional.one_hot(key.clamp(0, t - 1), t).to(patterns.dtype)\n"
        '        found = torch.einsum("b h q k, b q k -> b h q", patterns, weight)\n',
    ),
    label="one-hot keys",
)
