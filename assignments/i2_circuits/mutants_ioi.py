"""Wrong and right answers to I2, the task: ioi_dataset and logit_difference."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.grading.checks import alternative, alternative_edit, mutant_edit

DATA, DIFFERENCE = "i2_circuits.ioi_dataset", "i2_circuits.logit_difference"
FOLLOW, NAMES_AT, PARTNERS, BALANCE, OWN, GEN = (
    "prompts_follow_their_templates",
    "names_and_their_places",
    "corrupted_partners",
    "balance",
    "fillers_of_their_own",
    "follows_the_generator",
)


def _data(*edits: tuple[str, str], by: str | tuple[str, ...], label: str, hint: str) -> None:
    mutant_edit(DATA, *edits, caught_by=by, label=label, hint=hint)


_data(
    ('dict(zip("ABS", new, strict=True))', '{"A": new[0], "B": new[1], "S": new[1]}'),
    by=PARTNERS,
    label="the corrupted prompt keeps the duplicate",
    hint="In your corrupted prompts one name still comes twice.",
)
_data(
    ('dict(zip("ABS", new, strict=True))', '{"A": io, "B": s, "S": new[0]}'),
    by=PARTNERS,
    label="the first two names stay",
    hint="Your corrupted prompts keep IO and S and replace the last name only.",
)
_data(
    (
        "drawn = names[torch.randperm(len(names), generator=gen)[:5]]",
        "drawn = names[torch.randint(len(names), (5,), generator=gen)]",
    ),
    by=(PARTNERS, NAMES_AT),
    label="names drawn with replacement",
    hint="Some of your five names are equal: they are drawn with replacement.",
)
_data(
    ("new = drawn[0], drawn[1], drawn[2:]", "new = drawn[0], drawn[1], names[torch.randperm(len(names), generator=gen)[:3]]"),
    by=PARTNERS,
    label="corrupted names may be IO or S",
    hint="Some of your corrupted names are IO or S of the row.",
)
_data(
    (
        "clean[i] = corrupt[i] = fillers[int(torch.randint(len(fillers), (), generator=gen))]",
        "clean[i], corrupt[i] = fillers[torch.randint(len(fillers), (2,), generator=gen)]",
    ),
    by=PARTNERS,
    label="other fillers in the corrupted prompt",
    hint="Your corrupted prompts have other fillers: then the two runs differ by more than the names.",
)
_data(
    ("io_first = bool(torch.randint(2, (), generator=gen))", "io_first = True"),
    by=BALANCE,
    label="only ABBA",
    hint="IO always comes first in your prompts: the first name would be a perfect answer.",
)
_data(
    ("io_first = bool(torch.randint(2, (), generator=gen))", "io_first = bool(which % 2)"),
    by=BALANCE,
    label="the order follows from the template",
    hint="The order of your names follows from the template.",
)
_data(
    ("io_first = bool(torch.randint(2, (), generator=gen))", "io_first = bool(torch.rand((), generator=gen) < 0.3)"),
    by=BALANCE,
    label="an unfair coin",
    hint="Your two orders are not equally likely.",
)
_data(
    ("io_first = bool(torch.randint(2, (), generator=gen))", "io_first = bool(io < s)"),
    by=(BALANCE,),
    label="the order follows from the names",
    hint="In your prompts the order follows from the names: the smaller one comes first.",
)
_data(
    ("which = int(torch.randint(len(templates), (), generator=gen))", "which = len(rows) % len(templates)"),
    ("io_first = bool(torch.randint(2, (), generator=gen))", "io_first = len(rows) % 2 == 0"),
    by=(GEN,),
    label="templates and orders in turn",
    hint="Your templates come in turn, not by chance.",
)
_data(
    (
        "which = int(torch.randint(len(templates), (), generator=gen))",
        "which = min(int(torch.randint(len(templates), (), generator=gen)), 1)",
    ),
    by=(BALANCE,),
    label="later templates never come",
    hint="Some of the templates that were given never occur.",
)
_data(
    ('"end": len(words) - 1', '"end": t - 1'),
    by=NAMES_AT,
    label="the end is the last column",
    hint="Your end is the last column, where shorter rows have padding.",
)
_data(
    ('"end": len(words) - 1', '"end": len(words)'),
    by=NAMES_AT,
    label="the end is behind the last word",
    hint="Your end points behind the last word.",
)
_data(
    ("clean[i] = clean_names[word]", "clean[i + t - len(words)] = clean_names[word]"),
    by=(FOLLOW, NAMES_AT),
    label="names are shifted by the padding",
    hint="Your names are shifted by the amount of padding.",
)
_data(
    (
        "        rows.append(row)",
        "        shift = t - len(words)\n"
        "        row['clean'], row['corrupt'] = clean.roll(shift), corrupt.roll(shift)\n"
        "        rows.append(row)",
    ),
    by=(FOLLOW,),
    label="padding on the left",
    hint="Your padding stands on the left; positions then point at other words.",
)
_data(
    ("at = (first, second) if io_first else (second, first)", "at = (first, second)"),
    by=NAMES_AT,
    label="positions forget the order",
    hint="Your io_at and s1_at do not follow the order of the names.",
)
_data(
    ('"s2_at": words.index("S")', '"s2_at": at[1]'),
    by=NAMES_AT,
    label="s2_at is the first S",
    hint="Your s2_at points at the first S.",
)
_data(
    ('"io": io, "s": s,', '"io": s, "s": io,'),
    by=NAMES_AT,
    label="IO and S exchanged",
    hint="Your io and s are exchanged: S is the name that comes twice.",
)
_data(
    ('else {"A": s, "B": io, "S": s}', 'else {"A": s, "B": io, "S": io}'),
    by=NAMES_AT,
    label="the second name repeats",
    hint="In your prompts it is always the second name that comes again, and half of the time that is IO.",
)
_data(
    (
        "        which = int(torch.randint(len(templates), (), generator=gen))\n        words = templates[which].split()\n",
        "        which = int(torch.randint(len(TEMPLATES), (), generator=gen)) % len(templates)\n"
        "        words = TEMPLATES[which].split()\n",
    ),
    by=(FOLLOW,),
    label="the issued templates always",
    hint="You use TEMPLATES, whatever templates are given.",
)
_data(
    (
        "        words = templates[which].split()\n",
        "        words = templates[which].split()\n        filler = fillers[int(torch.randint(len(fillers), (), generator=gen))]\n",
    ),
    ("clean[i] = corrupt[i] = fillers[int(torch.randint(len(fillers), (), generator=gen))]", "clean[i] = corrupt[i] = filler"),
    by=OWN,
    label="one filler per prompt",
    hint="All fillers of one of your prompts are the same.",
)
_data(
    (
        "fillers[int(torch.randint(len(fillers), (), generator=gen))]",
        "fillers[int(torch.randint(len(fillers) - 1, (), generator=gen))]",
    ),
    by=OWN,
    label="the last filler never comes",
    hint="The last filler never occurs.",
)
_data(
    ("torch.randperm(len(names), generator=gen)", "torch.randperm(len(names))"),
    by=GEN,
    label="names from the global generator",
    hint="Your names do not come from gen.",
)
_data(
    ("which = int(torch.randint(len(templates), (), generator=gen))", "which = int(torch.randint(len(templates), ()))"),
    by=GEN,
    label="templates from the global generator",
    hint="Your templates do not come from gen.",
)
_data(
    ("t = max(len(text.split()) for text in templates)", "t = max(len(text.split()) for text in templates) + 1"),
    by=FOLLOW,
    label="one column too many",
    hint="Your rows are longer than the longest template.",
)
_data(
    ("torch.full((2, t), PAD)", "torch.full((2, t), -1)"),
    by=FOLLOW,
    label="padding with -1",
    hint="Your padding is not PAD.",
)
_data(
    ('"template": which}', '"template": 0}'),
    by=NAMES_AT,
    label="the template is not noted",
    hint="Your template numbers are not those of the prompts.",
)


@alternative(DATA, label="words first, numbers at the end, draws in another order")
def ioi_dataset(n, templates, gen):
    def pick(options):
        options = list(options)
        return options[torch.randint(0, len(options), (1,), generator=gen).item()]

    width = max(map(len, (text.split() for text in templates)))
    table = []
    for _ in range(n):
        order = pick(("io", "s"))
        pool = list(NAMES)
        chosen = []
        for _ in range(5):
            chosen.append(pool.pop(torch.randint(0, len(pool), (1,), generator=gen).item()))
        c1, c2, io, s, c3 = chosen
        number = pick(range(len(templates)))
        slots = {"A": io if order == "io" else s, "B": s if order == "io" else io, "S": s}
        fakes = {"A": c1, "B": c2, "S": c3}
        clean, corrupt = [], []
        for word in templates[number].split():
            same = pick(FILLERS) if word == "F" else word
            clean.append(slots.get(word, same))
            corrupt.append(fakes.get(word, same))
        pad = ["<pad>"] * (width - len(clean))
        table.append(
            {
                "clean": [VOCABULARY[w] for w in clean + pad],
                "corrupt": [VOCABULARY[w] for w in corrupt + pad],
                "io": VOCABULARY[io],
                "s": VOCABULARY[s],
                "io_at": clean.index(io),
                "s1_at": min(i for i, w in enumerate(clean) if w == s and templates[number].split()[i] in "AB"),
                "s2_at": templates[number].split().index("S"),
                "end": len(clean) - 1,
                "template": number,
            }
        )
    return {key: torch.tensor([row[key] for row in table]) for key in table[0]}


alternative_edit(
    DATA,
    ("torch.randperm(len(names), generator=gen)[:5]", "torch.rand(len(names), generator=gen).argsort()[-5:]"),
    ("io_first = bool(torch.randint(2, (), generator=gen))", "io_first = torch.rand((), generator=gen).item() < 0.5"),
    label="by sorting random numbers",
)

ENDS, LEARNS, STAY = "rows_by_their_ends", "one_position_learns", "inputs_stay_as_they_are"
LAST = "last = logits[torch.arange(len(end)), end]"
DIFF = "return (last.gather(1, io[:, None]) - last.gather(1, s[:, None]))[:, 0]"


def _diff(*edits: tuple[str, str], by: str | tuple[str, ...], label: str, hint: str) -> None:
    mutant_edit(DIFFERENCE, *edits, caught_by=by, label=label, hint=hint)


_diff(
    (LAST, "last = logits[:, -1]"), by=ENDS, label="position -1", hint="You read the last column; every row has an end of its own."
)
_diff(
    (LAST, "last = logits[:, end[0]]"), by=ENDS, label="the first row's end", hint="You read every row at the end of the first one."
)
_diff(
    (LAST, "last = logits[torch.arange(len(end)), end - 1]"),
    by=ENDS,
    label="one before the end",
    hint="You read one position before the end.",
)
_diff(
    (LAST, LAST + ".log_softmax(-1).exp()"),
    by=ENDS,
    label="probabilities",
    hint="You take the difference of probabilities; it is that of logits.",
)
_diff((LAST, "last = logits.mean(1)"), by=ENDS, label="the mean over positions", hint="You average over positions.")
_diff(
    (DIFF, "return (last.gather(1, s[:, None]) - last.gather(1, io[:, None]))[:, 0]"),
    by=ENDS,
    label="S minus IO",
    hint="Your sign is reversed: it is IO minus S.",
)
_diff(
    (DIFF, "return (last.gather(1, io[:, None]) - last.gather(1, s[:, None]))[:, 0].mean()"),
    by=ENDS,
    label="the mean over rows",
    hint="You average over rows; the result has one number per row.",
)
_diff(
    (DIFF, "return last.gather(1, io[:, None]) - last.gather(1, s[:, None])"),
    by=ENDS,
    label="an axis too many",
    hint="Your result has an axis of size 1 too many.",
)
_diff(
    (DIFF, "return (last.gather(1, io[:, None]) - last.gather(1, s[:, None]).detach())[:, 0]"),
    by=LEARNS,
    label="S is detached",
    hint="No gradient reaches the logit of S.",
)
_diff(
    (DIFF, "return (last.gather(1, io[:, None]) - last.gather(1, s[:, None]))[:, 0].detach()"),
    by=LEARNS,
    label="everything is detached",
    hint="No gradient flows through your result.",
)
_diff(
    (DIFF, "return last.gather(1, io[:, None])[:, 0] - last.mean(-1)"),
    by=ENDS,
    label="IO minus the mean",
    hint="You subtract the mean of all logits in place of that of S.",
)
_diff(
    (DIFF, "return (last.gather(1, io[:, None]) - last.gather(1, s[:, None]))[:, 0].double()"),
    by=STAY,
    label="float64 always",
    hint="Your result has another dtype than the logits.",
)
_diff(
    (DIFF, "return (last.gather(1, io[:, None]) - last.gather(1, s[:, None])).squeeze()"),
    by=(STAY, ENDS),
    label="one row loses its axis",
    hint="For one row your result has no axis at all: squeeze takes every axis of size 1.",
)
_diff(
    (DIFF, "return (last.gather(1, io[:, None]) - last.gather(1, s[:, None]))[:, 0].sign()"),
    by=ENDS,
    label="the sign",
    hint="You return the sign of the difference.",
)


@alternative(DIFFERENCE, label="a loop")
def logit_difference(logits: Tensor, io: Tensor, s: Tensor, end: Tensor) -> Tensor:
    return torch.stack([row[e, i] - row[e, j] for row, i, j, e in zip(logits, io, s, end, strict=True)])


@alternative(DIFFERENCE, label="advanced indexing at once")
def logit_difference(logits: Tensor, io: Tensor, s: Tensor, end: Tensor) -> Tensor:
    n = range(logits.shape[0])
    return logits[n, end, io] - logits[n, end, s]
