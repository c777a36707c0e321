"""Hidden checks of I2, looking: repeated_batch and head_scores. Student and rng in, silence or a hint out.

Draws are integers: structure is exact, and laws are tested by chi-square at p < 1e-6, with a second draw before anything
fails. Scores are means of at most a few thousand numbers in float64: 1e-9 of the largest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, integers, normal, same, sizes, strided, tensor, unchanged
from autograder.sandbox.student import Student

BATCH, SCORES = "i2_circuits.repeated_batch", "i2_circuits.head_scores"
I64 = torch.int64
NAMES = ("previous", "duplicate", "induction")


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _batch(student: Student, rng: np.random.Generator, b: int, t: int, vocab: int, low: int, high: int) -> tuple[Tensor, ...]:
    found = student.fn("repeated_batch")(b, t, vocab, low, high, _generator(rng))
    what = f"repeated_batch({b}, {t}, {vocab}, {low}, {high}, gen)"
    if type(found) not in (tuple, list) or len(found) != 3:
        raise AssertionError(f"{what} must return three tensors: tokens, periods, mask.")
    return (
        tensor(found[0], f"tokens of {what}", (b, t), I64),
        tensor(found[1], f"periods of {what}", (b,), I64),
        tensor(found[2], f"mask of {what}", (b, t), torch.bool),
    )


def _lawful(counts: Callable[[], np.ndarray], what: str, slip: str) -> None:
    """Assert that counts are those of a uniform law: a false alarm needs two draws at p < 1e-6."""
    first = stats.chisquare(counts()).pvalue
    if first < 1e-6 and stats.chisquare(counts()).pvalue < 1e-6:
        raise AssertionError(f"{what} are not uniform (chi-square, p = {first:.1g}, twice). {slip}")


@hidden(BATCH, weight=2, core=True)
def rows_repeat(student: Student, rng: np.random.Generator) -> None:
    """Each row is a BOS and a block that repeats with the period that is returned for it."""
    for b, t, vocab, low, high in ((6, 17, 9, 3, 6), (1, 8, 3, 2, 2), (5, 9, 30, 1, 12), (7, 20, 5, 4, 9)):
        tokens, periods, _ = _batch(student, rng, b, t, vocab, low, high)
        case = f"b={b}, t={t}, vocab={vocab}, periods {low} to {high}"
        assert bool((tokens[:, 0] == 0).all()), f"{case}: some row does not begin with BOS, token 0."
        assert bool((periods >= low).all() and (periods <= high).all()), f"{case}: a period lies outside of {low} to {high}."
        inside = tokens[:, 1:]
        assert bool((inside >= 1).all() and (inside < vocab).all()), (
            f"{case}: behind BOS, a token lies outside of 1 to {vocab - 1}."
        )
        for row, p in zip(tokens, periods.tolist(), strict=True):
            bad = [i for i in range(p + 1, t) if int(row[i]) != int(row[i - p])]
            slip = "The block starts right behind BOS."
            assert not bad, f"{case}: in a row with period {p}, token {bad[0]} differs from token {bad[0] - p}. {slip}"


@hidden(BATCH, weight=2, core=True)
def mask_of_what_a_lookup_knows(student: Student, rng: np.random.Generator) -> None:
    """The mask is open from p + 2 on, in every row by its own period."""
    for b, t, vocab, low, high in ((8, 17, 9, 2, 7), (4, 9, 30, 5, 12), (3, 12, 6, 3, 3)):
        _, periods, mask = _batch(student, rng, b, t, vocab, low, high)
        wanted = torch.tensor([[i > p + 1 for i in range(t)] for p in periods.tolist()])
        slip = "Whose earlier copy has to be there: the token's, or that of the token before it?"
        same(mask, wanted, f"mask for periods {periods.tolist()[:5]}, t={t}", slip)


@hidden(BATCH, weight=2)
def law_of_the_periods(student: Student, rng: np.random.Generator) -> None:
    """Periods are uniform, both ends included, and independent from row to row."""
    low, n_kinds = int(rng.integers(2, 5)), int(rng.integers(4, 7))
    high = low + n_kinds - 1

    def periods() -> np.ndarray:
        return _batch(student, rng, 3000, 4, 5, low, high)[1].numpy() - low

    slip = "Are both ends included? Does every row draw a period of its own?"
    _lawful(lambda: np.bincount(periods(), minlength=n_kinds), f"periods {low} to {high} of 3,000 rows", slip)

    def neighbours() -> np.ndarray:
        p = periods()
        return np.bincount(p[:-1:2] * n_kinds + p[1::2], minlength=n_kinds**2)

    _lawful(neighbours, "pairs of periods of neighbouring rows", "Does every row draw a period of its own?")


@hidden(BATCH, weight=2)
def law_of_the_tokens(student: Student, rng: np.random.Generator) -> None:
    """Tokens of the block are uniform and independent, in a row and between rows."""
    vocab = int(rng.integers(4, 7))
    k = vocab - 1

    def block() -> np.ndarray:
        return _batch(student, rng, 3000, 6, vocab, 5, 5)[0].numpy()[:, 1:] - 1

    slip = "Every token but BOS is equally likely, the last one of the vocabulary too, and may come twice in a block."
    _lawful(lambda: np.bincount(block().ravel(), minlength=k), f"tokens of blocks, vocab={vocab}", slip)

    def in_a_row() -> np.ndarray:
        x = block()
        return np.bincount((x[:, 0] * k + x[:, int(rng.integers(1, 5))]), minlength=k * k)

    _lawful(in_a_row, "pairs of tokens in a block", slip)

    def between_rows() -> np.ndarray:
        x = block()[:, 0]
        return np.bincount(x[:-1:2] * k + x[1::2], minlength=k * k)

    _lawful(between_rows, "pairs of first tokens of neighbouring rows", "Does every row have a block of its own?")


@hidden(BATCH, weight=1)
def follows_the_generator(student: Student, rng: np.random.Generator) -> None:
    """The same generator gives the same batch, whatever else was drawn; another one gives another."""
    seed = int(rng.integers(2**31))
    made = []
    for own, everyone in ((seed, 1), (seed, 2), (seed + 1, 1)):
        student.seed(everyone)
        made.append(student.fn("repeated_batch")(40, 20, 50, 3, 15, torch.Generator().manual_seed(own)))
    for name, a, b, c in zip(("tokens", "periods"), *(m[:2] for m in made), strict=True):
        same(
            b,
            tensor(a, name, None, I64),
            f"{name}, drawn again from a generator with the same seed",
            "Is every draw made from gen?",
        )
        assert not torch.equal(a, tensor(c, name, a.shape, I64)), f"{name}: another seed of gen gives the same. Is gen used?"


def _stripes(periods: Tensor, h: int, t: int, kind: str) -> Tensor:
    """Draw patterns whose queries look along one stripe only; where there is none, at the first key."""
    patterns = torch.zeros(len(periods), h, t, t, dtype=torch.float64)
    for row, p in enumerate(periods.tolist()):
        for i in range(t):
            key = {"previous": i - 1, "duplicate": i - p, "induction": i - p + 1}[kind]
            there = i >= 1 if kind == "previous" else i >= p + 1
            patterns[row, :, i, key if there else 0] = 1
    return patterns


def _by_loop(patterns: Tensor, periods: Tensor) -> list[Tensor]:
    b, h, t, _ = patterns.shape
    found = []
    for kind in NAMES:
        total, n = torch.zeros(h, dtype=torch.float64), 0
        for row in range(b):
            p = int(periods[row])
            for i in range(1 if kind == "previous" else p + 1, t):
                total += patterns[row, :, i, {"previous": i - 1, "duplicate": i - p, "induction": i - p + 1}[kind]].double()
                n += 1
        found.append(total / max(n, 1))
    return found


def _scores(student: Student, patterns: Tensor, periods: Tensor) -> list[Tensor]:
    found = student.fn("head_scores")(patterns, periods)
    if type(found) not in (tuple, list) or len(found) != 3:
        raise AssertionError("head_scores must return three tensors: previous, duplicate, induction.")
    return [tensor(x, f'the score "{name}"', (patterns.shape[1],)) for name, x in zip(NAMES, found, strict=True)]


def _patterns(rng: np.random.Generator, b: int, h: int, t: int) -> Tensor:
    scores = normal(rng, b, h, t, t, scale=2.0)
    return scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), -torch.inf).softmax(-1)


@hidden(SCORES, weight=2, core=True)
def stripes_score_one(student: Student, rng: np.random.Generator) -> None:
    """A head that looks along one stripe only scores 1 for it."""
    for kind in NAMES:
        b, h, t = sizes(rng, 3, 3, 8)
        t += 8
        periods = integers(rng, 3, 6, b)
        found = _scores(student, _stripes(periods, h, t, kind), periods)[NAMES.index(kind)]
        slip = "Which key belongs to query i on this stripe, and which queries have one?"
        close(
            found,
            torch.ones(h, dtype=torch.float64),
            f'"{kind}" of a perfect stripe, periods {periods.tolist()}',
            rtol=1e-9,
            slip=slip,
        )


@hidden(SCORES, weight=3, core=True)
def scores_of_random_patterns(student: Student, rng: np.random.Generator) -> None:
    """All three scores of random causal patterns, by head, with a period per row, equal a loop's."""
    for b, h, t, low, high in ((4, 3, 13, 2, 6), (1, 5, 9, 3, 4), (6, 1, 11, 1, 4), (3, 2, 16, 5, 8)):
        patterns, periods = strided(_patterns(rng, b, h, t)), integers(rng, low, high, b)
        for name, found, wanted in zip(NAMES, _scores(student, patterns, periods), _by_loop(patterns, periods), strict=True):
            slip = "One stripe per row, by its own period; only queries that have a stripe count."
            close(found, wanted, f'"{name}", patterns ({b} {h} {t} {t}), periods {periods.tolist()}', rtol=1e-9, slip=slip)


@hidden(SCORES, weight=2)
def every_query_counts_the_same(student: Student, rng: np.random.Generator) -> None:
    """Rows with a shorter period have more queries, and weigh more; a row without any weighs nothing."""
    t, h = int(rng.integers(11, 15)), 2
    periods = torch.tensor([2, t - 3, t - 1, t + 4, 3])
    patterns = _patterns(rng, 5, h, t)
    for name, found, wanted in zip(NAMES, _scores(student, patterns, periods), _by_loop(patterns, periods), strict=True):
        slip = "Is it the mean over all queries of all rows together?"
        close(found, wanted, f'"{name}", t={t}, periods {periods.tolist()}', rtol=1e-9, slip=slip)


@hidden(SCORES, weight=1)
def nothing_to_average(student: Student, rng: np.random.Generator) -> None:
    """Where no row repeats within its length, and where there is one position only, scores are 0, not NaN."""
    for t, periods in ((5, [4, 6, 9]), (1, [1, 2, 3])):
        patterns = _patterns(rng, 3, 2, t)
        found = _scores(student, patterns, torch.tensor(periods))
        for name, score, wanted in zip(NAMES, found, _by_loop(patterns, torch.tensor(periods)), strict=True):
            slip = "What is the mean of no query at all? See the docstring."
            close(score, wanted, f'"{name}" for t={t}, periods {periods}', rtol=1e-9, atol=1e-12, slip=slip)


@hidden(SCORES, weight=1)
def patterns_stay_as_they_are(student: Student, rng: np.random.Generator) -> None:
    """float32 comes back as float32, and neither argument is modified."""
    patterns, periods = _patterns(rng, 4, 3, 9).float(), integers(rng, 2, 5, 4)
    found, after = student.fn("head_scores", return_args=True)(patterns, periods)
    unchanged(after, (patterns, periods), "patterns periods", "head_scores")
    for name, score, wanted in zip(NAMES, found, _by_loop(patterns, periods), strict=True):
        close(score, wanted, f'"{name}" of float32 patterns', rtol=1e-5, dtype=torch.float32)
