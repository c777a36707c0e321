"""Hidden checks of I2, the task: ioi_dataset and logit_difference. Student and rng in, silence or a hint out.

Prompts are checked word by word against their templates, exactly. Laws are tested by chi-square at p < 1e-6, with a second
draw before anything fails. A logit difference is one subtraction: 1e-12.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, gradients, integers, normal, same, strided, tensor, unchanged
from autograder.sandbox.student import Student

DATA, DIFFERENCE = "i2_circuits.ioi_dataset", "i2_circuits.logit_difference"
KEYS = ("clean", "corrupt", "io", "s", "io_at", "s1_at", "s2_at", "end", "template")
N_NAMES, FIRST_NAME, N_FILLERS, FIRST_FILLER, FIRST_WORD = 12, 1, 8, 13, 21
WORDS = ["when", "then", "and", "went", "to", "the", "while", "had", ",", "gave", "a", "lent", "got", "from", "at", "were"]
ISSUED = (
    "when A and B went to the F , S gave a F to",
    "A and B were at the F , then S lent a F to",
    "then A got a F from B , S lent the F to",
)
SHORT = "A and B had a F , S gave the F to"
LONG = "then while A and B were at the F , then S got a F from the F , and gave the F to"
LAST = "to the F A , B went to S"
Rows = dict[str, Tensor]


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _rows(student: Student, rng: np.random.Generator, n: int, templates: tuple[str, ...]) -> Rows:
    found: Any = student.fn("ioi_dataset")(n, templates, _generator(rng))
    if type(found) is not dict or set(found) != set(KEYS):
        raise AssertionError(f"ioi_dataset must return a dict with exactly the keys {', '.join(KEYS)}.")
    t = max(len(text.split()) for text in templates)
    for key, value in found.items():
        tensor(
            value,
            f'"{key}" for {n} rows, templates of up to {t} words',
            (n, t) if key in ("clean", "corrupt") else (n,),
            torch.int64,
        )
    kinds = found["template"]
    assert bool((kinds >= 0).all() and (kinds < len(templates)).all()), (
        f'"template" is not a number from 0 to {len(templates) - 1}.'
    )
    return dict(found)


def _places(text: str) -> dict[str, list[int]]:
    words = text.split()
    return {slot: [i for i, word in enumerate(words) if word == slot] for slot in "ABSF"}


def _is_name(x: Tensor) -> bool:
    return bool((x >= FIRST_NAME).all() and (x < FIRST_NAME + N_NAMES).all())


def _by_template(rows: Rows, templates: tuple[str, ...]) -> list[tuple[str, Rows]]:
    return [(text, {key: x[rows["template"] == k] for key, x in rows.items()}) for k, text in enumerate(templates)]


@hidden(DATA, weight=3, core=True)
def prompts_follow_their_templates(student: Student, rng: np.random.Generator) -> None:
    """Words stand where the template has them, slots hold names and fillers, and shorter rows are filled with PAD."""
    for templates in (ISSUED, (SHORT, LONG), (LAST,)):
        rows = _rows(student, rng, 60, templates)
        for text, part in _by_template(rows, templates):
            words = text.split()
            for which in ("clean", "corrupt"):
                x = part[which]
                where = f'{which} prompts of "{text}"'
                for i, word in enumerate(words):
                    if word in WORDS:
                        right = bool((x[:, i] == FIRST_WORD + WORDS.index(word)).all())
                        assert right, f'{where}: some have another word than "{word}" at position {i}.'
                for i in _places(text)["F"]:
                    right = bool((x[:, i] >= FIRST_FILLER).all() and (x[:, i] < FIRST_FILLER + N_FILLERS).all())
                    assert right, f"{where}: position {i} is not always a filler."
                slots = _places(text)
                right = _is_name(x[:, [*slots["A"], *slots["B"], *slots["S"]]])
                assert right, f"{where}: a name is missing at A, B or S."
                assert bool((x[:, len(words) :] == 0).all()), f"{where}: behind the last word there must be PAD only."


@hidden(DATA, weight=3, core=True)
def names_and_their_places(student: Student, rng: np.random.Generator) -> None:
    """S comes twice, IO once; the positions point at them, and the end at the last word."""
    for templates in (ISSUED, (SHORT, LONG), (LAST, SHORT)):
        rows = _rows(student, rng, 80, templates)
        assert bool((rows["io"] != rows["s"]).all()), "In some row IO and S are the same name."
        at = torch.arange(80)
        for key, place, slip in (
            ("io", "io_at", "IO comes once, at A or at B"),
            ("s", "s1_at", "S's first place is at A or at B"),
            ("s", "s2_at", "the slot S holds the subject again"),
        ):
            places = rows[place]
            inside = bool((places >= 0).all() and (places < rows["clean"].shape[1]).all())
            right = inside and torch.equal(rows["clean"][at, places], rows[key])
            assert right, f'"{place}" does not always point at "{key}": {slip}.'
        for text, part in _by_template(rows, templates):
            slots, n = _places(text), len(part["end"])
            same(part["end"], torch.full((n,), len(text.split()) - 1), f'"end" in "{text}"', "The last word, not the last column.")
            same(part["s2_at"], torch.full((n,), slots["S"][0]), f'"s2_at" in "{text}"')
            pair = torch.stack([part["io_at"], part["s1_at"]], 1).sort(1).values
            wanted = torch.tensor(sorted([slots["A"][0], slots["B"][0]])).expand(n, 2)
            same(pair, wanted, f'"io_at" and "s1_at" in "{text}", sorted')
            alone = (part["clean"] == part["io"][:, None]).sum(1)
            same(alone, torch.ones(n, dtype=torch.int64), f'how often IO stands in the prompts of "{text}"')


@hidden(DATA, weight=3, core=True)
def corrupted_partners(student: Student, rng: np.random.Generator) -> None:
    """The corrupted prompt differs by its names only: three different ones, neither IO nor S among them."""
    for templates in (ISSUED, (LAST, LONG)):
        rows = _rows(student, rng, 80, templates)
        for text, part in _by_template(rows, templates):
            slots = _places(text)
            names = [*slots["A"], *slots["B"], *slots["S"]]
            others = [i for i in range(rows["clean"].shape[1]) if i not in names]
            slip = "Fillers and words stay; only the three names are drawn anew."
            same(part["corrupt"][:, others], part["clean"][:, others], f'corrupt prompts of "{text}", apart from the names', slip)
            five = torch.cat([part["corrupt"][:, names], part["io"][:, None], part["s"][:, None]], 1)
            n_kinds = [len(set(row)) for row in five.tolist()]
            slip = "No name may come twice in the corrupted prompt, or be one of the clean prompt's."
            assert all(n == 5 for n in n_kinds), f'In a corrupted prompt of "{text}" two of the five names are equal. {slip}'


def _lawful(counts: Callable[[], np.ndarray], what: str) -> None:
    first = stats.chisquare(counts()).pvalue
    if first < 1e-6 and stats.chisquare(counts()).pvalue < 1e-6:
        raise AssertionError(f"{what}: not the uniform law of the docstring (chi-square, p = {first:.1g}, twice).")


@hidden(DATA, weight=2)
def balance(student: Student, rng: np.random.Generator) -> None:
    """Both orders, all templates, all pairs of names are equally likely, and the order does not follow from the template."""
    templates = (SHORT, ISSUED[0], ISSUED[2])

    def rows() -> Rows:
        return _rows(student, rng, 600, templates)

    def orders() -> np.ndarray:
        x = rows()
        io_first = (x["io_at"] < x["s1_at"]).long()
        return np.bincount((x["template"] * 2 + io_first).numpy(), minlength=6)

    _lawful(orders, "templates and orders (IO first, S first)")

    def orders_of_names() -> np.ndarray:
        x = rows()
        return np.bincount(((x["io"] < x["s"]).long() * 2 + (x["io_at"] < x["s1_at"]).long()).numpy(), minlength=4)

    _lawful(orders_of_names, "which name is the smaller one, and which comes first")

    def pairs() -> np.ndarray:
        x = rows()
        io, s = (x["io"] - FIRST_NAME).numpy(), (x["s"] - FIRST_NAME).numpy()
        return np.bincount(io * (N_NAMES - 1) + s - (s > io), minlength=N_NAMES * (N_NAMES - 1))

    _lawful(pairs, "ordered pairs (IO, S)")

    def new_names() -> np.ndarray:
        x = rows()
        at = torch.tensor([_places(templates[k])["S"][0] for k in x["template"].tolist()])
        return np.bincount((x["corrupt"][torch.arange(600), at] - FIRST_NAME).numpy(), minlength=N_NAMES)

    _lawful(new_names, "the corrupted name at S")


@hidden(DATA, weight=1)
def fillers_of_their_own(student: Student, rng: np.random.Generator) -> None:
    """Every filler is uniform, and two fillers of a prompt are independent."""

    def counts() -> np.ndarray:
        x = _rows(student, rng, 700, (SHORT,))["clean"] - FIRST_FILLER
        first, second = _places(SHORT)["F"]
        return np.bincount((x[:, first] * N_FILLERS + x[:, second]).numpy(), minlength=N_FILLERS**2)

    _lawful(counts, "pairs of fillers of a prompt")


@hidden(DATA, weight=1)
def follows_the_generator(student: Student, rng: np.random.Generator) -> None:
    """The same generator gives the same prompts, whatever else was drawn; another one gives others."""
    seed = int(rng.integers(2**31))
    made = []
    for own, everyone in ((seed, 1), (seed, 2), (seed + 1, 1)):
        student.seed(everyone)
        found = student.fn("ioi_dataset")(30, ISSUED, torch.Generator().manual_seed(own))
        assert type(found) is dict, "ioi_dataset must return a dict."
        made.append(found)
    for key in ("clean", "corrupt", "template"):
        a, b, c = (tensor(m.get(key), f'"{key}"') for m in made)
        same(b, a, f'"{key}", drawn again from a generator with the same seed', "Is every draw made from gen?")
        assert not torch.equal(a, c), f'"{key}": another seed of gen gives the same. Is gen used?'


def _case(rng: np.random.Generator, b: int, t: int, v: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    pairs = torch.from_numpy(np.stack([rng.choice(v, 2, replace=False) for _ in range(b)]))
    return strided(normal(rng, b, t, v)), pairs[:, 0], pairs[:, 1], integers(rng, 0, t, b)


@hidden(DIFFERENCE, weight=2, core=True)
def rows_by_their_ends(student: Student, rng: np.random.Generator) -> None:
    """IO minus S at the end of each row, for one row and for more rows than tokens."""
    for b, t, v in ((5, 7, 9), (1, 4, 3), (8, 1, 2), (6, 3, 11)):
        logits, io, s, end = _case(rng, b, t, v)
        wanted = torch.stack([logits[i, end[i], io[i]] - logits[i, end[i], s[i]] for i in range(b)])
        what = f"logits ({b} {t} {v}), end {end.tolist()[:5]}"
        close(student.fn("logit_difference")(logits, io, s, end), wanted, what, rtol=1e-12, slip="Every row has an end of its own.")


@hidden(DIFFERENCE, weight=1)
def one_position_learns(student: Student, rng: np.random.Generator) -> None:
    """The gradient is +1 at IO and -1 at S, at each row's end, times what comes from above."""
    logits, io, s, end = _case(rng, 4, 6, 7)
    logits, upstream = logits.contiguous().requires_grad_(), normal(rng, 4)
    out = tensor(student.fn("logit_difference")(logits, io, s, end), "logit_difference", (4,), torch.float64)
    wanted = torch.zeros(4, 6, 7, dtype=torch.float64)
    for i in range(4):
        wanted[i, end[i], io[i]], wanted[i, end[i], s[i]] = upstream[i], -upstream[i]
    close(gradients(out, {"logits": logits}, upstream, "logit_difference")["logits"], wanted, "gradient of logits", rtol=1e-12)


@hidden(DIFFERENCE, weight=1)
def inputs_stay_as_they_are(student: Student, rng: np.random.Generator) -> None:
    """float32 stays float32, one row stays a tensor of one, and nothing is modified."""
    for b in (3, 1):
        case = (normal(rng, b, 5, 6, dtype=torch.float32), *(integers(rng, 0, 5, b) for _ in range(3)))
        found, after = student.fn("logit_difference", return_args=True)(*case)
        tensor(found, f"the result for {b} rows of float32", (b,), torch.float32)
        unchanged(after, case, "logits io s end", "logit_difference")
