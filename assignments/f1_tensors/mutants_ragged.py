"""Wrong and right answers to F1's groups and lengths: scatter_mean and pad_ragged.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

SCATTER, PAD = "f1_tensors.scatter_mean", "f1_tensors.pad_ragged"

# -- scatter_mean ----------------------------------------------------------------------------------------------------------

mutant_edit(
    SCATTER,
    ("    return total / n_rows[:, None].to(values.dtype)", "    return total"),
    caught_by="values_of_groups",
    label="sums, not means",
    hint="Your groups hold sums. How many rows went into each?",
)
mutant_edit(
    SCATTER,
    (".clamp(min=1)", ""),
    caught_by="empty_groups",
    label="nan for empty groups",
    hint="A group without rows is nan in your result: 0/0.",
)
mutant_edit(
    SCATTER,
    ("    n_rows = ", "    index = index.sort().values\n    n_rows = "),
    ("index_add(0, index, values)", "index_add(0, index.sort().values, values)"),
    caught_by="values_of_groups",
    label="takes the index for a sorted one",
    hint="Your rows are assigned to groups as if the index were sorted.",
)
mutant_edit(
    SCATTER,
    ("minlength=k)", "minlength=k).new_full((k,), len(index))"),
    caught_by="values_of_groups",
    label="divides by n",
    hint="You divide every group by the number of all rows.",
)
mutant_edit(
    SCATTER,
    (".clamp(min=1)", ".clamp(min=2)"),
    caught_by="values_of_groups",
    label="counts at least two",
    hint="A group of one row gives half of that row.",
)
mutant_edit(
    SCATTER,
    ("torch.bincount(index, minlength=k).clamp(min=1)", "(torch.bincount(index, minlength=k) + 1)"),
    caught_by="values_of_groups",
    label="one added to each count",
    hint="Your groups are divided by one row too many: the 1 that protects an empty group is added to all of them.",
)
mutant_edit(
    SCATTER,
    ("torch.bincount(index, minlength=k)", "torch.bincount(index, minlength=k).to(torch.uint8)"),
    caught_by="groups_of_many",
    label="counts to 255 only",
    hint="Groups of more than 255 rows are counted wrong: your counter is too small.",
)
mutant_edit(
    SCATTER,
    ("torch.bincount(index, minlength=k)", "torch.bincount(index, minlength=k).to(torch.int16)"),
    caught_by="groups_of_many",
    label="counts to 32,767 only",
    hint="Groups of more than 32,767 rows are counted wrong: your counter is too small.",
)
mutant_edit(
    SCATTER,
    ("torch.bincount(index, minlength=k)", "torch.bincount(index, minlength=k).half()"),
    caught_by="groups_of_many",
    label="counts in float16",
    hint="Groups of many rows are counted wrong: your counter is a float16, which ends at 65,504 and rounds long before.",
)
mutant_edit(
    SCATTER,
    ("    total = values", "    k = int(index.max()) + 1 if len(index) else k\n    total = values"),
    caught_by="empty_groups",
    label="only as many groups as the index shows",
    hint="Groups after the largest index are missing from your result. k says how many there are.",
)
mutant_edit(
    SCATTER,
    ("index_add(0, index, values)", "index_add(0, index, values.div_(torch.bincount(index)[index, None]))"),
    ("    return total / n_rows[:, None].to(values.dtype)", "    return total"),
    caught_by="layouts_of_groups",
    label="divides the rows in place",
    hint="Your means are right, but the values that you were given are divided too.",
)
mutant_edit(
    SCATTER,
    ("    total = values", "    values = values.float()\n    total = values"),
    caught_by="values_of_groups",
    label="computes in float32",
    hint="float64 values lose half of their digits in your function. Is a dtype fixed somewhere?",
)
mutant_edit(
    SCATTER,
    ("    total = values.new_zeros", "    values = values.detach()\n    total = values.new_zeros"),
    caught_by="gradients_of_groups",
    label="detached",
    hint="No gradient reaches the values in your function.",
)


@mutant(
    SCATTER,
    caught_by="values_of_groups",
    label="assignment in place of addition",
    hint="Each group holds only one of its rows: with repeated indices an assignment overwrites, it does not add.",
)
def scatter_mean(values: Tensor, index: Tensor, k: int) -> Tensor:
    total = values.new_zeros(k, values.shape[1])
    total[index] = values
    return total


@mutant(
    SCATTER,
    caught_by="values_of_groups",
    label="`+=` with repeated indices",
    hint="Rows with the same index are not added up: `x[index] += y` reads everything before it writes, so the last row wins.",
)
def scatter_mean(values: Tensor, index: Tensor, k: int) -> Tensor:
    total = values.new_zeros(k, values.shape[1])
    total[index] += values
    return total / torch.bincount(index, minlength=k).clamp(min=1)[:, None]


@mutant(
    SCATTER,
    caught_by=("values_of_groups", "empty_groups"),
    label="starts from ones",
    hint="Something that is no row takes part in your means: index_reduce counts what was in its target too, unless told not to.",
)
def scatter_mean(values: Tensor, index: Tensor, k: int) -> Tensor:
    return values.new_zeros(k, values.shape[1]).index_reduce(0, index, values, "mean", include_self=True)


@mutant(
    SCATTER,
    caught_by="values_of_groups",
    label="the mean over groups that occur, in order",
    hint="Your groups are numbered by the order of their values that occur; group g belongs in row g.",
)
def scatter_mean(values: Tensor, index: Tensor, k: int) -> Tensor:
    out = values.new_zeros(k, values.shape[1])
    for row, g in enumerate(dict.fromkeys(index.tolist())):
        out[row] = values[index == g].mean(0)
    return out


@alternative(SCATTER, label="one-hot and a matrix product")
def scatter_mean(values: Tensor, index: Tensor, k: int) -> Tensor:
    member = F.one_hot(index, num_classes=k).to(values.dtype)
    return (member.T @ values) / member.sum(0).clamp(min=1.0).unsqueeze(1)


@alternative(SCATTER, label="scatter_add of rows and of ones")
def scatter_mean(values, index, k):
    where = index.unsqueeze(1).expand_as(values)
    total = torch.zeros(k, values.size(1), dtype=values.dtype).scatter_add(0, where, values)
    count = torch.zeros(k, dtype=values.dtype).scatter_add(0, index, torch.ones_like(index, dtype=values.dtype))
    return total / torch.where(count > 0, count, torch.ones_like(count)).unsqueeze(-1)


@alternative(SCATTER, label="index_reduce without its own zeros")
def scatter_mean(values: Tensor, index: Tensor, k: int) -> Tensor:
    where = index[:, None].expand(-1, values.shape[1])
    return values.new_zeros(k, values.shape[1]).scatter_reduce(0, where, values, "mean", include_self=False)


@alternative(SCATTER, label="one group after the other")
def scatter_mean(values, index, k):
    rows = []
    for g in range(k):
        mine = values[index == g]
        rows.append(mine.mean(dim=0) if mine.shape[0] > 0 else mine.sum(dim=0))
    return torch.stack(rows)


# -- pad_ragged ------------------------------------------------------------------------------------------------------------

mutant_edit(
    PAD,
    ("    return x, mask", "    return x, x != value"),
    caught_by="value_in_the_data",
    label="the mask is x != value",
    hint="Entries that equal the padding value are masked out. The lengths alone say what is padding.",
)
mutant_edit(
    PAD,
    ("x = seqs[0].new_full(mask.shape, value)", "x = torch.full(mask.shape, float(value))"),
    ("torch.cat(list(seqs))", "torch.cat(list(seqs)).float()"),
    caught_by="on_the_right",
    label="floats always",
    hint="Your x is float whatever the sequences are: token numbers should stay whole numbers.",
)
mutant_edit(
    PAD,
    ("    lengths = ", "    if not all(len(s) for s in seqs):\n        raise ValueError('an empty sequence')\n    lengths = "),
    caught_by="empty_sequences_too",
    label="refuses an empty sequence",
    hint="Your function fails on an empty sequence. It is a row of padding.",
)
mutant_edit(
    PAD,
    ("    lengths = ", "    seqs = [s for s in seqs if len(s)] or seqs\n    lengths = "),
    caught_by="empty_sequences_too",
    label="drops empty sequences",
    hint="An empty sequence has no row in your result, so that rows and sequences no longer match.",
)
mutant_edit(
    PAD,
    ('if side == "right" else', 'if side == "left" else'),
    caught_by="on_the_right",
    label="the sides exchanged",
    hint='Your sides are exchanged: side="right" means that the padding stands on the right.',
)
mutant_edit(
    PAD,
    (' if side == "right" else place >= t - lengths', ""),
    caught_by="on_the_left",
    label="always on the right",
    hint="Your padding is always on the right.",
)
mutant_edit(
    PAD,
    ("    return x, mask", "    return x, ~mask"),
    caught_by="on_the_right",
    label="the mask, inverted",
    hint="Your mask is True where the padding stands. True means: an entry of the sequence.",
)
mutant_edit(
    PAD,
    ("    return x, mask", "    return x, mask.to(x.dtype)"),
    caught_by="on_the_right",
    label="a mask of ones and zeros",
    hint="Your mask holds numbers. A boolean mask is asked for.",
)
mutant_edit(
    PAD,
    ("    return x, mask", "    return mask, x"),
    caught_by="on_the_right",
    label="the pair in the other order",
    hint="x comes first, the mask second.",
)
mutant_edit(
    PAD,
    ("seqs[0].new_full(mask.shape, value)", "seqs[0].new_zeros(mask.shape)"),
    caught_by="kept_as_they_are",
    label="pads with 0 whatever the value",
    hint="Your padding is always 0.",
)
mutant_edit(
    PAD,
    ("    if side not in", "    if False and side not in"),
    caught_by="refuses_other_sides",
    label="any other side means left",
    hint="A misspelt side is taken for one of the two. It should be a ValueError.",
)
mutant_edit(
    PAD,
    ("    t = int(lengths.max())", "    t = int(lengths.max()) + 1"),
    caught_by="on_the_right",
    label="one column too many",
    hint="Your rectangle has a column that no sequence reaches.",
)
mutant_edit(
    PAD,
    ("    return x, mask", "    return x.double().to(x.dtype), mask"),
    caught_by="kept_as_they_are",
    label="whole numbers through a float",
    hint="Whole numbers beyond 2^53 are changed: they pass through a float on the way.",
)


@mutant(
    PAD,
    caught_by="on_the_left",
    label="the mask stays on the right side",
    hint="With the padding on the left x is right, but your mask still begins at the first column.",
)
def pad_ragged(seqs: list[Tensor], value: float, side: str) -> tuple[Tensor, Tensor]:
    if side not in ("left", "right"):
        raise ValueError
    t = max(len(s) for s in seqs)
    x = torch.stack([F.pad(s, (t - len(s), 0) if side == "left" else (0, t - len(s)), value=value) for s in seqs])
    return x, torch.arange(t)[None] < torch.tensor([len(s) for s in seqs])[:, None]


@mutant(
    PAD,
    caught_by="on_the_left",
    label="left by mirroring",
    hint="With the padding on the left your sequences run backwards: a mirror moves the padding, and reverses what it moves.",
)
def pad_ragged(seqs: list[Tensor], value: float, side: str) -> tuple[Tensor, Tensor]:
    if side not in ("left", "right"):
        raise ValueError
    t = max(len(s) for s in seqs)
    x = torch.stack([F.pad(s, (0, t - len(s)), value=value) for s in seqs])
    mask = torch.arange(t)[None] < torch.tensor([len(s) for s in seqs])[:, None]
    return (x, mask) if side == "right" else (x.flip(1), mask.flip(1))


@mutant(
    PAD,
    caught_by="on_the_right",
    label="pads to the length of the first sequence",
    hint="Your rectangle is as wide as the first sequence. The longest one decides.",
)
def pad_ragged(seqs: list[Tensor], value: float, side: str) -> tuple[Tensor, Tensor]:
    if side not in ("left", "right"):
        raise ValueError
    t = len(seqs[0])
    x = torch.stack([F.pad(s[:t], (t - len(s[:t]), 0) if side == "left" else (0, t - len(s[:t])), value=value) for s in seqs])
    lengths, place = torch.tensor([min(t, len(s)) for s in seqs])[:, None], torch.arange(t)
    return x, place >= t - lengths if side == "left" else place < lengths


@alternative(PAD, label="row by row")
def pad_ragged(seqs, value, side):
    if side != "left" and side != "right":
        raise ValueError(side)
    t = max([s.shape[0] for s in seqs])
    x = torch.full((len(seqs), t), value, dtype=seqs[0].dtype, device=seqs[0].device)
    mask = torch.zeros_like(x, dtype=torch.bool)
    for i, s in enumerate(seqs):
        n = s.shape[0]
        start = 0 if side == "right" else t - n
        x[i, start : start + n] = s
        mask[i, start : start + n] = True
    return x, mask


@alternative(PAD, label="torch's pad_sequence, for x and for the mask")
def pad_ragged(seqs: list[Tensor], value: float, side: str) -> tuple[Tensor, Tensor]:
    if side not in {"left", "right"}:
        raise ValueError(f"unknown side {side!r}")
    pad = torch.nn.utils.rnn.pad_sequence
    x = pad(seqs, batch_first=True, padding_value=value, padding_side=side)
    return x, pad([torch.ones_like(s, dtype=torch.bool) for s in seqs], batch_first=True, padding_side=side)


@alternative(PAD, label="concatenated with runs of the value, a list for a pair")
def pad_ragged(seqs, value, side):
    longest = max(map(len, seqs))
    rows, masks = [], []
    for s in seqs:
        run = s.new_full((longest - len(s),), value)
        real, unreal = torch.ones(len(s), dtype=torch.bool), torch.zeros(len(run), dtype=torch.bool)
        if side == "left":
            rows.append(torch.cat([run, s]))
            masks.append(torch.cat([unreal, real]))
        elif side == "right":
            rows.append(torch.cat([s, run]))
            masks.append(torch.cat([real, unreal]))
        else:
            raise ValueError("left or right")
    return [torch.stack(rows), torch.stack(masks)]


alternative_edit(
    PAD,
    ("    x[mask] = torch.cat(list(seqs))\n", "    x = x.masked_scatter(mask, torch.cat(list(seqs)))\n"),
    label="masked_scatter",
)
