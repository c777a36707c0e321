"""Hidden checks of T2, search and speculation: beam_search, speculative_sample. Student and rng in, silence or a hint out.

The models are tables of logits by the last two tokens, in float64, asked through the box. The beam oracle keeps lists of
tuples and sorts them; with enough beams it is an exhaustive search. Scores are compared to 1e-9: sums of a few logarithms.
What speculation draws is completed by the target to three tokens and compared with the target's exact law.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from operator import itemgetter

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, integers, normal, pair, same, tensor, unchanged
from autograder.grading.law import follows
from autograder.sandbox.student import Student

BEAM, SPECULATIVE = "t2_language_model.beam_search", "t2_language_model.speculative_sample"
F64, I64 = torch.float64, torch.int64
INF = math.inf
Table = Tensor  # logits of the next token, by the last two tokens: (v v v)
Model = Callable[[Tensor], Tensor]


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _model(table: Table) -> Model:
    """Return a model whose logits at every position depend on the token there and the one before."""

    def model(tokens: Tensor) -> Tensor:
        before = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
        return table[before, tokens]

    return model


# -- beam_search -----------------------------------------------------------------------------------------------------------


def _placed(table: Table) -> Model:
    """Return a model whose logits depend on the place, too: table (t v v v). No two hypotheses have the same score."""

    def model(tokens: Tensor) -> Tensor:
        before = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
        return table[torch.arange(tokens.shape[1]), before, tokens]

    return model


def _drawn(rng: np.random.Generator, v: int, scale: float) -> Table:
    return normal(rng, 12, v, v, v, scale=scale)


def _score(logs: list[float], alpha: float) -> float:
    return math.fsum(logs) / ((5 + len(logs)) / 6) ** alpha


Hypothesis = tuple[float, list[int], list[float]]


def _beams(
    table: Table,
    row: list[int],
    beams: int,
    n: int,
    alpha: float,
    stop: int | None,
    rank: Callable[[Hypothesis], float] = itemgetter(0),
) -> list[Hypothesis] | None:
    """Return the hypotheses that a beam search keeps, as (score, new tokens, their logarithms), best first.

    None where rounding might decide who is kept. `rank` says who is; it is the score, except for what a wrong search keeps.
    """
    logp = table.log_softmax(-1)
    kept: list[Hypothesis] = [(0.0, [], [])]
    for step in range(n):
        grown = []
        for score, new, logs in kept:
            if new and new[-1] == stop:
                grown.append((score, new, logs))
                continue
            past = [*row, *new]
            for token, lp in enumerate(logp[len(row) + step - 1, past[-2], past[-1]].tolist()):
                if lp > -INF:
                    grown.append((_score([*logs, lp], alpha), [*new, token], [*logs, lp]))
        grown.sort(key=rank, reverse=True)
        kept = grown[:beams]
        if len(grown) > beams and rank(kept[-1]) - rank(grown[beams]) < 1e-4:
            return None
    return kept


def _sums_keep_others(table: Table, row: list[int], beams: int, n: int, alpha: float, stop: int | None) -> bool:
    """Say whether a search that keeps by sums of logarithms, not by scores, ends with other hypotheses."""
    right, by_sums = (_beams(table, row, beams, n, alpha, stop, r) for r in (itemgetter(0), lambda h: math.fsum(h[2])))
    return right is not None and by_sums is not None and {tuple(h[1]) for h in right} != {tuple(h[1]) for h in by_sums}


def _searched(
    student: Student, table: Table, prompt: Tensor, beams: int, n: int, alpha: float, stop: int | None, slip: str
) -> tuple[Tensor, Tensor] | None:
    """Ask for a search and compare every hypothesis with the oracle's; None where rounding might decide."""
    (b, t), what = prompt.shape, f"beam_search of prompt {tuple(prompt.shape)}, {beams=}, {n=}, length_penalty={alpha:.3g}, {stop=}"
    wanted = [_beams(table, row, beams, n, alpha, stop) for row in prompt.tolist()]
    if any(w is None for w in wanted):
        return None
    found = student.fn("beam_search")(_placed(table), prompt, beams, n, length_penalty=alpha, stop=stop)
    tokens, scores = pair(found, what)
    tokens, scores = tensor(tokens, f"{what}: tokens", (b, beams, t + n), I64), tensor(scores, f"{what}: scores", (b, beams), F64)
    assert not scores.isnan().any(), f"{what}: a score is NaN. {slip}"
    for row, hypotheses in enumerate(wanted):
        assert hypotheses is not None
        _same_hypotheses(tokens[row], scores[row], prompt[row].tolist(), hypotheses, n, stop, f"{what}, row {row}", slip)
    return tokens, scores


def _same_hypotheses(
    tokens: Tensor, scores: Tensor, past: list[int], wanted: list[Hypothesis], n: int, stop: int | None, what: str, slip: str
) -> None:
    n_real = int((scores > -INF).sum())
    assert n_real == len(wanted), f"{what}: {n_real} hypotheses with a score, expected {len(wanted)}. {slip}"
    assert bool((scores[:n_real] > -INF).all()), f"{what}: empty places come last. {slip}"
    # Partly in float32, which ** and / may be for integers, scores agree to 1e-6.
    close(scores[:n_real], torch.tensor([h[0] for h in wanted], dtype=F64), f"{what}: the scores", rtol=1e-5, slip=slip)
    full = {tuple(past + new + [stop] * (n - len(new))): score for score, new, _ in wanted}  # type: ignore[list-item]
    seen: set[tuple[int, ...]] = set()
    for place, found in enumerate(map(tuple, tokens[:n_real].tolist())):
        assert found not in seen, f"{what}: hypothesis {place} comes twice. {slip}"
        seen.add(found)
        said = f"{what}: hypothesis {place} continues with {list(found[len(past) :])}, expected {wanted[place][1]}"
        # Neighbours in the order may change places where their scores are equal but for rounding.
        assert abs(full.get(found, INF) - wanted[place][0]) < 1e-4, f"{said}. {slip}"


def _search_until_firm(rng: np.random.Generator, ask: Callable[[], object]) -> None:
    for _ in range(200):
        if ask() is not None:
            return
    raise RuntimeError("no drawn table leaves rounding out of it")


@hidden(BEAM, weight=2, core=True)
def one_beam_is_greedy(student: Student, rng: np.random.Generator) -> None:
    """With one beam the most probable token is taken at every step, in every row, and its log probabilities are summed."""
    for b, t, n, v in ((3, 2, 5, 6), (1, 4, 3, 4), (2, 3, 1, 5)):
        slip = "The score is the sum of the new tokens' log probabilities."

        def ask(b: int = b, t: int = t, n: int = n, v: int = v, slip: str = slip) -> object:
            return _searched(student, _drawn(rng, v, 2.0), integers(rng, 0, v, b, t), 1, n, 0.0, None, slip)

        _search_until_firm(rng, ask)


@hidden(BEAM, weight=3, core=True)
def enough_beams_find_everything(student: Student, rng: np.random.Generator) -> None:
    """With v^n beams the search is exhaustive: all continuations, each once, in the order of their scores."""
    for v, n, stop in ((5, 4, None), (4, 3, 2), (5, 3, 0)):
        prompt = integers(rng, 0, v, 2, 2)
        slip = "How many hypotheses are there before the first token, and how often is each one counted?"
        found = _searched(student, _drawn(rng, v, 1.5), prompt, v**n, n, 0.0, stop, slip)
        assert found is not None
        mass = float(found[1][found[1] > -INF].exp().sum()) / 2
        assert abs(mass - 1) < 1e-4, f"{v**n} beams, v={v}, n={n}: the hypotheses' probabilities sum to {mass:.6f}, not 1. {slip}"


@hidden(BEAM, weight=3)
def few_beams_keep_the_best(student: Student, rng: np.random.Generator) -> None:
    """With few beams, what is kept at every step decides: several children of one parent, none of another."""
    for b, beams, n, v in ((2, 3, 5, 6), (3, 2, 4, 5), (1, 5, 6, 4), (2, 7, 3, 4)):
        slip = "All extensions of all hypotheses of a row compete; parents and their scores move along."

        def ask(b: int = b, beams: int = beams, n: int = n, v: int = v, slip: str = slip) -> object:
            return _searched(student, _drawn(rng, v, 1.2), integers(rng, 0, v, b, 3), beams, n, 0.0, None, slip)

        _search_until_firm(rng, ask)


@hidden(BEAM, weight=3)
def finished_hypotheses_stay(student: Student, rng: np.random.Generator) -> None:
    """What ends with stop is kept with its score, competes, and is never extended; a stop in the prompt ends nothing."""
    for b, beams, n, v in ((2, 4, 6, 5), (2, 3, 4, 4), (1, 2, 7, 3), (2, 6, 5, 3)):
        slip = "A finished hypothesis competes with its score and is copied as it is."

        def ask(b: int = b, beams: int = beams, n: int = n, v: int = v, slip: str = slip) -> object:
            stop = int(rng.integers(v))
            table, prompt = _drawn(rng, v, 1.2), integers(rng, 0, v, b, 3)
            prompt[0, -1] = stop
            table[:, :, :, stop] += 1.0  # stopping is tempting
            return _searched(student, table, prompt, beams, n, 0.0, stop, slip)

        _search_until_firm(rng, ask)


@hidden(BEAM, weight=2)
def longer_ones_are_forgiven(student: Student, rng: np.random.Generator) -> None:
    """The length penalty divides by a power of the number of new tokens, stop included; it decides who is kept."""
    for alpha in (0.6, 1.0, 2.5, -0.5):
        slip = "Which tokens count towards the length, and at which steps do the scores decide?"

        def ask(alpha: float = alpha, slip: str = slip) -> object:
            stop, table = int(rng.integers(5)), _drawn(rng, 5, 1.5)
            table[:, :, :, stop] += 1.0
            prompt = integers(rng, 0, 5, 2, int(rng.integers(2, 7)))
            if alpha == 2.5 and not _sums_keep_others(table, prompt[0].tolist(), 4, 5, alpha, stop):
                return None
            return _searched(student, table, prompt, 4, 5, alpha, stop, slip)

        _search_until_firm(rng, ask)


@hidden(BEAM, weight=1)
def where_greedy_fails(student: Student, rng: np.random.Generator) -> None:
    """The best first token leads to a bad second one; impossible tokens are nobody's hypothesis; the prompt is left alone."""
    v = 5
    first, second, good = (int(i) for i in rng.permutation(v)[:3])
    table = normal(rng, 12, v, v, v, scale=0.01)
    table[1, :, :, first], table[1, :, :, second] = 2.0, 1.6
    table[2, :, second, good] = 6.0
    prompt = torch.tensor([[good, good]])
    found = _searched(student, table, prompt, 2, 2, 0.0, None, "The best beginning need not have the best end.")
    if found is not None:
        same(found[0][0, 0, 2:], torch.tensor([second, good]), "the best continuation by two tokens, two beams")
    slip = "-inf minus -inf is NaN; a token with -inf cannot come, and places without a hypothesis have score -inf."

    def ask() -> object:
        table = _drawn(rng, v, 1.0).masked_fill(torch.from_numpy(rng.random((12, v, v, v)) < 0.5), -INF)
        table[:, :, :, good] = normal(rng, 12, v, v)
        return _searched(student, table, integers(rng, 0, v, 3, 2), 20, 2, 0.7, None, slip)

    _search_until_firm(rng, ask)
    prompt = integers(rng, 0, v, 2, 3)
    _, after = student.fn("beam_search", return_args=True)(_placed(table), prompt, 2, 2)
    unchanged([after[1]], [prompt], "prompt", "beam_search")


# -- speculative_sample ----------------------------------------------------------------------------------------------------


class _Watched:
    """A table model that counts its calls and keeps what it was given."""

    def __init__(self, table: Table) -> None:
        self.table, self.asked = table, list[Tensor]()

    def __call__(self, tokens: Tensor) -> Tensor:
        assert tokens.ndim == 2, f"A model was given tokens of shape {tuple(tokens.shape)}, expected (b t)."
        self.asked.append(tokens)
        return _model(self.table)(tokens)


def _round(
    student: Student, target: _Watched, draft: _Watched, prompt: Tensor, k: int, gen: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Ask for one round and return the new tokens (b k+1), -1 behind the last one, and their number; both well-formed."""
    (b, t), what = prompt.shape, f"speculative_sample of prompt {tuple(prompt.shape)}, k={k}"
    asks: tuple[Model, Model] = (lambda tokens: target(tokens), lambda tokens: draft(tokens))
    tokens, n_new = pair(student.fn("speculative_sample")(*asks, prompt, k, gen), what)
    tokens, n_new = tensor(tokens, f"{what}: tokens", (b, t + k + 1), I64), tensor(n_new, f"{what}: n_new", (b,), I64)
    same(tokens[:, :t], prompt, f"{what}: the prompt", "The prompt comes first, as it was.")
    low, high = int(n_new.min()), int(n_new.max())
    assert 1 <= low <= high <= k + 1, f"{what}: n_new goes from {low} to {high}, expected from 1 to {k + 1} at most."
    new = tokens[:, t:]
    empty = torch.arange(k + 1) >= n_new[:, None]
    slip = "What stands behind a rejected proposal is thrown away."
    assert bool((new[empty] == -1).all()), f"{what}: an entry behind the first n_new tokens is not -1. {slip}"
    assert bool((new[~empty] >= 0).all()), f"{what}: one of the first n_new tokens is negative."
    return new, n_new


def _pair_of_tables(rng: np.random.Generator, v: int, apart: float = 1.0) -> tuple[Table, Table]:
    target = normal(rng, v, v, v, scale=1.2)
    return target, target + normal(rng, v, v, v, scale=apart)


def _completed(new: Tensor, target: Table, start: tuple[int, int], n: int, gen: torch.Generator) -> Tensor:
    """Let the target draw what is missing from n tokens, and return each row's number."""
    v = target.shape[0]
    past = torch.tensor([start]).expand(len(new), 2)
    code = torch.zeros(len(new), dtype=I64)
    for i in range(n):
        own = torch.multinomial(target[past[:, 0], past[:, 1]].softmax(-1), 1, generator=gen)[:, 0]
        token = own if i >= new.shape[1] else torch.where(new[:, i] < 0, own, new[:, i])
        if int(token.max()) >= v:
            return torch.full_like(code, -1)
        code, past = code * v + token, torch.stack([past[:, 1], token], dim=1)
    return code


def _law(target: Table, start: tuple[int, int], n: int) -> Tensor:
    v, p = target.shape[0], target.softmax(-1).tolist()
    law = []
    for tokens in product(range(v), repeat=n):
        mass, past = 1.0, start
        for token in tokens:
            mass, past = mass * p[past[0]][past[1]][token], (past[1], token)
        law.append(mass)
    return torch.tensor(law, dtype=F64)


def _follows_target(student: Student, rng: np.random.Generator, target: Table, draft: Table, k: int, what: str, slip: str) -> None:
    v = target.shape[0]
    start = (int(rng.integers(v)), int(rng.integers(v)))

    def draw() -> Tensor:
        prompt = torch.tensor([[int(rng.integers(v)), *start]]).expand(8000, 3)
        new, _ = _round(student, _Watched(target), _Watched(draft), prompt, k, _generator(rng))
        return _completed(new, target, start, 3, _generator(rng))

    follows(draw, _law(target, start, 3), what, slip)


@hidden(SPECULATIVE, weight=4, core=True)
def the_law_is_the_targets(student: Student, rng: np.random.Generator) -> None:
    """Three tokens of thousands of rows follow the target's law, however far off the draft is."""
    for k, apart in ((2, 1.0), (3, 2.5), (1, 1.5)):
        target, draft = _pair_of_tables(rng, 4, apart)
        slip = "What is accepted with which probability, and what is drawn in place of a rejected proposal?"
        _follows_target(student, rng, target, draft, k, f"three tokens, k={k}", slip)


@hidden(SPECULATIVE, weight=2)
def a_perfect_draft_is_accepted(student: Student, rng: np.random.Generator) -> None:
    """Where draft and target agree, all k proposals are accepted and one more token comes, from the target."""
    for k in (1, 4):
        table = _pair_of_tables(rng, 5)[0]
        prompt = integers(rng, 0, 5, 400, 3)
        _, n_new = _round(student, _Watched(table), _Watched(table.clone()), prompt, k, _generator(rng))
        said = f"k={k}, draft equal to target: on average {float(n_new.double().mean()):.3f} tokens come, expected {k + 1}"
        assert bool((n_new == k + 1).all()), f"{said}. What follows when everything is accepted?"
    # An agreeing draft shows nothing of p and q, so only the additional token is compared here.
    target = _pair_of_tables(rng, 4)[0]
    _follows_target(student, rng, target, target, 2, "two accepted tokens and the additional one", "From where is it drawn?")


def _acceptance(target: Table, draft: Table, start: tuple[int, int], k: int) -> Tensor:
    """Return the probabilities of n_new = 1, ..., k + 1."""
    p, q = target.softmax(-1), draft.softmax(-1)
    # mass[pair] is the probability of having accepted everything so far and standing there.
    mass, law = torch.zeros(p.shape[:2], dtype=F64), []
    mass[start] = 1.0
    for _ in range(k):
        both = torch.minimum(p, q) * mass[..., None]
        law.append(float(mass.sum() - both.sum()))
        mass = both.sum(0)
    return torch.tensor([*law, float(mass.sum())], dtype=F64).clamp(min=0)


@hidden(SPECULATIVE, weight=2)
def as_many_as_can_be_accepted(student: Student, rng: np.random.Generator) -> None:
    """How many tokens a round brings follows its law: rejecting more than needed is right, but slow."""
    for k, apart in ((3, 0.7), (2, 2.0)):
        target, draft = _pair_of_tables(rng, 4, apart)
        start = (int(rng.integers(4)), int(rng.integers(4)))

        def draw(target: Table = target, draft: Table = draft, k: int = k, start: tuple[int, int] = start) -> Tensor:
            prompt = torch.tensor([start]).expand(8000, 2)
            return _round(student, _Watched(target), _Watched(draft), prompt, k, _generator(rng))[1] - 1

        slip = "Is a proposal that the target likes better than the draft always accepted, and one after a rejection never?"
        follows(draw, _acceptance(target, draft, start, k), f"number of new tokens minus 1, k={k}", slip)


@hidden(SPECULATIVE, weight=2)
def one_question_to_the_target(student: Student, rng: np.random.Generator) -> None:
    """The target is asked once, for prompt and proposals together; the draft k times, each time with one token more."""
    for b, t, k in ((3, 2, 4), (1, 5, 1), (4, 3, 2)):
        tables = _pair_of_tables(rng, 5)
        target, draft, prompt = _Watched(tables[0]), _Watched(tables[1]), integers(rng, 0, 5, b, t)
        new, n_new = _round(student, target, draft, prompt, k, _generator(rng))
        case = f"prompt ({b} {t}), k={k}"
        slip = "One pass over all proposals is what saves time."
        assert len(target.asked) == 1, f"{case}: the target was asked {len(target.asked)} times. {slip}"
        shape = tuple(target.asked[0].shape)
        assert shape == (b, t + k), f"{case}: the target was given tokens of shape {shape}, expected {(b, t + k)}. {slip}"
        widths = [tuple(tokens.shape) for tokens in draft.asked]
        expected = [(b, t + i) for i in range(k)]
        assert widths == expected, (
            f"{case}: the draft was given shapes {widths}, expected {expected}. Proposals build on each other."
        )
        proposals = target.asked[0][:, t:]
        for row in range(b):
            kept = int(n_new[row]) - 1
            same(
                new[row, :kept], proposals[row, :kept], f"{case}, row {row}: accepted tokens", "These are the proposals, in order."
            )


@hidden(SPECULATIVE, weight=2)
def certain_models(student: Student, rng: np.random.Generator) -> None:
    """Distributions with zeros: what the target excludes is never accepted, and the replacement is something it allows."""
    v, k = 5, 3
    n = torch.arange(v)
    for shift in (0, 1):
        # Both models are sure of the next token: the sum of the last two, and for the draft one more.
        sums = (n[:, None] + n) % v
        target = torch.full((v, v, v), -INF, dtype=F64).scatter(2, sums[..., None], 0.0)
        draft = torch.full((v, v, v), -INF, dtype=F64).scatter(2, ((sums + shift) % v)[..., None], 0.0)
        prompt = integers(rng, 0, v, 6, 2)
        new, n_new = _round(student, _Watched(target), _Watched(draft), prompt, k, _generator(rng))
        wanted = 1 if shift else k + 1
        said = f"draft and target both certain, {'never' if shift else 'always'} agreeing: n_new"
        same(n_new, torch.full((6,), wanted), said, "min(1, p / q) is 0 or 1 here.")
        rows = prompt
        for i in range(wanted):
            rows = torch.cat([rows, ((rows[:, -1] + rows[:, -2]) % v)[:, None]], dim=1)
            same(new[:, i], rows[:, -1], f"{said[:-7]}: new token {i}", "The replacement is what p has more of than q.")
    half = normal(rng, v, v, v)
    target, draft = half.clone(), half + normal(rng, v, v, v)
    target[..., 0], draft[..., 1] = -INF, -INF
    slip = "A token that the draft never proposes must come all the same, as a replacement."
    _follows_target(student, rng, target[:4, :4, :4], draft[:4, :4, :4], 2, "three tokens, with zeros in both models", slip)


@hidden(SPECULATIVE, weight=1)
def speculation_is_repeatable(student: Student, rng: np.random.Generator) -> None:
    """The same generator state gives the same round, whatever torch's own generator holds; the prompt is not modified."""
    target, draft = _pair_of_tables(rng, 6)
    prompt, seed = integers(rng, 0, 6, 12, 3), int(rng.integers(2**31))

    def drawn(own: int, seed: int) -> Tensor:
        student.seed(own)
        gen = torch.Generator().manual_seed(seed)
        return _round(student, _Watched(target), _Watched(draft), prompt, 4, gen)[0]

    first = drawn(1, seed)
    same(drawn(2, seed), first, "the same generator", "Is all randomness drawn from the generator that is given?")
    assert not torch.equal(drawn(1, seed + 1), first), "Another generator gives the same round. Is it used?"
    asks = (_model(target), _model(draft))
    _, after = student.fn("speculative_sample", return_args=True)(*asks, prompt, 2, _generator(rng))
    unchanged([after[2]], [prompt], "prompt", "speculative_sample")
