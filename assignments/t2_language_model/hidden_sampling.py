"""Hidden checks of T2, from logits to tokens: the filters, sample. Student and rng in, silence or a hint out.

The models are ours: tables of logits, asked through the box. What a filter keeps is decided by loops over sorted lists;
what is sampled is compared with the exact law, computed from the table, and at temperature 0 with a walk through it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, integers, normal, raises, same, strided, tensor, unchanged
from autograder.grading.law import follows
from autograder.sandbox.student import Student

FILTERS, SAMPLE = "t2_language_model.apply_temperature", "t2_language_model.sample"
F32, F64, I64 = torch.float32, torch.float64, torch.int64
INF = math.inf


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


# -- what the filters keep, in plain lists ---------------------------------------------------------------------------------


def _coldest(row: list[float]) -> list[float]:
    first = row.index(max(row))
    return [z if i == first else -INF for i, z in enumerate(row)]


def _keep_k(row: list[float], k: int) -> list[float]:
    return [z if sum(other > z for other in row) < k else -INF for z in row]


def _softmax(row: list[float]) -> list[float]:
    e = [math.exp(z - max(row)) for z in row]
    return [x / sum(e) for x in e]


def _keep_p(row: list[float], p: float) -> list[float]:
    probs = _softmax(row)
    return [z if i == row.index(max(row)) or sum(x for x in probs if x > probs[i]) < p else -INF for i, z in enumerate(row)]


def _each_row(logits: Tensor, keep: Callable[[list[float]], list[float]]) -> Tensor:
    rows = [keep(row) for row in logits.double().reshape(-1, logits.shape[-1]).tolist()]
    return torch.tensor(rows, dtype=F64).reshape(logits.shape).to(logits.dtype)


def _filtered(value: object, wanted: Tensor, what: str, slip: str, exact: bool = True) -> None:
    """Assert that the same logits are left, as they were, and that the others are -inf."""
    found = tensor(value, what, wanted.shape, wanted.dtype).detach()
    assert not found.isnan().any(), f"{what}: {int(found.isnan().sum())} entries are NaN. {slip}"
    kept, expected = found > -INF, wanted > -INF
    row = int((kept != expected).reshape(-1, wanted.shape[-1]).any(1).long().argmax()) if wanted.numel() else 0
    numbers = [int(mask.reshape(-1, wanted.shape[-1])[row].sum()) for mask in (kept, expected)]
    assert torch.equal(kept, expected), f"{what}: row {row} keeps {numbers[0]} tokens, expected {numbers[1]}, or others. {slip}"
    rtol = 0.0 if exact else (1e-12 if wanted.dtype == F64 else 1e-6)
    close(found.masked_fill(~kept, 0.0), wanted.masked_fill(~kept, 0.0), f"{what}: the logits that are kept", rtol=rtol, slip=slip)


def _planted(rng: np.random.Generator, v: int) -> tuple[list[float], list[float]]:
    """Draw logits whose probabilities are well apart, and values of p that lie well between their sums."""
    parts = sorted((float(x) for x in rng.dirichlet(np.full(v, 2.0)) + 0.02), reverse=True)
    for i in range(1, v):
        parts[i] = min(parts[i], 0.9 * parts[i - 1])
    probs = [x / sum(parts) for x in parts]
    sums = [0.0, *np.cumsum(probs).tolist()]
    between = [(lower + upper) / 2 for lower, upper in pairwise(sums)]
    shift = float(rng.normal()) * 5
    return [math.log(x) + shift for x in probs], between


# -- apply_temperature, top_k, top_p ---------------------------------------------------------------------------------------


@hidden(FILTERS, weight=2, core=True)
def temperature_divides(student: Student, rng: np.random.Generator) -> None:
    """Logits divided by the temperature, -inf left as it is; a negative temperature is refused."""
    for shape, t, dtype in (((3, 7), 0.3, F64), ((2, 4, 5), 2.5, F64), ((6,), 0.05, F32), ((1, 3), 1.0, F64)):
        logits = normal(rng, *shape, dtype=dtype, scale=4.0)
        logits[..., 1] = -INF
        wanted = (logits.double() / t).to(dtype)
        slip = "A temperature above 1 makes the distribution flatter."
        _filtered(student.fn("apply_temperature")(logits, t), wanted, f"apply_temperature({shape}, {t})", slip, exact=False)
    raises("ValueError", lambda: student.fn("apply_temperature")(normal(rng, 4), -0.5), "apply_temperature with -0.5")


@hidden(FILTERS, weight=2)
def temperature_zero_is_argmax(student: Student, rng: np.random.Generator) -> None:
    """At 0 only the largest logit of each row is left, the first one of several."""
    for shape in ((4, 6), (2, 3, 5), (1,), (7,)):
        logits = normal(rng, *shape, scale=3.0)
        slip = "Division by 0 is not what is asked for: one token is left, per row."
        _filtered(student.fn("apply_temperature")(logits, 0.0), _each_row(logits, _coldest), f"temperature 0, {shape}", slip)
    ties = integers(rng, 0, 3, 12, 8).double() - 1
    slip = "Of several equally large logits the one with the lowest index is left."
    _filtered(student.fn("apply_temperature")(ties, 0), _each_row(ties, _coldest), "temperature 0, rows with ties", slip)
    negative = -normal(rng, 3, 5).abs() - 1
    _filtered(student.fn("apply_temperature")(negative, 0), _each_row(negative, _coldest), "temperature 0, negative logits", slip)


@hidden(FILTERS, weight=2, core=True)
def the_k_largest_stay(student: Student, rng: np.random.Generator) -> None:
    """Each row keeps its own k largest, whatever the other rows hold; k may exceed v; k=0 is refused."""
    for shape in ((4, 9), (2, 3, 6), (5,)):
        scale = normal(rng, *shape[:-1], 1).exp() * 3
        logits = strided(normal(rng, *shape) * scale + 5 * normal(rng, *shape[:-1], 1))
        for k in (1, 3, shape[-1] - 1, shape[-1], shape[-1] + 4):
            wanted = _each_row(logits, lambda row, k=k: _keep_k(row, k))
            slip = "The threshold is each row's own; with k of v or more everything stays."
            _filtered(student.fn("top_k")(logits, k), wanted, f"top_k({shape}, k={k})", slip)
    raises("ValueError", lambda: student.fn("top_k")(normal(rng, 2, 4), 0), "top_k with k=0")


@hidden(FILTERS, weight=2)
def ties_with_the_kth_stay(student: Student, rng: np.random.Generator) -> None:
    """Whatever equals the k-th largest is kept with it; a row of equals is kept whole; -inf stays away."""
    logits = integers(rng, 0, 4, 10, 9).double() - 2
    for k in (1, 2, 4, 8):
        wanted = _each_row(logits, lambda row, k=k: _keep_k(row, k))
        slip = "Is a logit kept because of its value, or because of its place in the sorted order?"
        _filtered(student.fn("top_k")(logits, k), wanted, f"top_k with ties, k={k}", slip)
    few = normal(rng, 3, 6)
    few[:, 2:] = -INF
    _filtered(student.fn("top_k")(few, 4), few, "top_k with k=4 where two logits are finite", "-inf stays -inf.")


@hidden(FILTERS, weight=3, core=True)
def the_nucleus_crosses_p(student: Student, rng: np.random.Generator) -> None:
    """The smallest set of largest probabilities that reaches p: the token that crosses p belongs to it; in any order."""
    for v in (5, 8, 3):
        values, between = _planted(rng, v)
        for n_kept, p in enumerate(between, 1):
            order = torch.from_numpy(rng.permutation(v))
            logits = torch.tensor(values, dtype=F64)[order]
            wanted = logits.masked_fill(order >= n_kept, -INF)
            slip = "Add probabilities from the largest down until p is reached: which one is the last to be added?"
            _filtered(student.fn("top_p")(logits, p), wanted, f"top_p({v}, p={p:.3g})", slip)


@hidden(FILTERS, weight=2)
def each_row_has_its_own_nucleus(student: Student, rng: np.random.Generator) -> None:
    """Flat and sharp rows in one batch, any leading dimensions, some logits at -inf already."""
    for lead, v in (((4,), 7), ((2, 3), 5), ((1, 2), 6)):
        rows = [_planted(rng, v)[0] for _ in range(math.prod(lead))]
        scales = [float(rng.choice([0.3, 1.0, 3.0])) for _ in rows]
        shuffled = [[row[int(i)] * s for i in rng.permutation(v)] for row, s in zip(rows, scales, strict=True)]
        logits = torch.tensor(shuffled, dtype=F64).reshape(*lead, v)
        if v == 7:
            logits[..., int(rng.integers(v))] = -INF
        p = _far_from_sums(logits, rng)
        slip = "Sorting moves the tokens of each row differently: are they put back?"
        _filtered(
            student.fn("top_p")(logits, p), _each_row(logits, lambda row, p=p: _keep_p(row, p)), f"top_p({lead}, {p:.3g})", slip
        )


def _far_from_sums(logits: Tensor, rng: np.random.Generator) -> float:
    """Draw a p that no row's cumulative sum comes near, so that rounding decides nothing."""
    sums = logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
    while True:
        p = float(rng.uniform(0.3, 0.95))
        if float((sums - p).abs().min()) > 1e-3:
            return p


@hidden(FILTERS, weight=1)
def edges_of_the_filters(student: Student, rng: np.random.Generator) -> None:
    """p=0 keeps one token, p=1 all of them, however improbable; other p are refused; nothing is modified."""
    logits = torch.from_numpy(rng.permutation(9)).to(F32) * 6
    slip = "There is always at least one token."
    _filtered(student.fn("top_p")(logits, 0.0), _each_row(logits, _coldest), "top_p with p=0", slip)
    _filtered(student.fn("top_p")(logits, 1.0), logits, "top_p with p=1", "In float32 a sum can reach 1 too early.")
    for p in (-0.1, 1.5):
        raises("ValueError", lambda p=p: student.fn("top_p")(logits, p), f"top_p with p={p}")
    one = normal(rng, 3, 1)
    for name, value in (("apply_temperature", 0.7), ("apply_temperature", 0.0), ("top_k", 2), ("top_p", 0.5), ("top_p", 1.0)):
        logits = strided(normal(rng, 3, 6))
        _, (after, _) = student.fn(name, return_args=True)(logits, value)
        unchanged([after], [logits], "logits", name)
        wanted = one / value if name == "apply_temperature" and value else one
        _filtered(
            student.fn(name)(one, value), wanted, f"{name}({value}) of a vocabulary of one", "The only token stays.", exact=False
        )


# -- sample ----------------------------------------------------------------------------------------------------------------

Model = Callable[[Tensor], Tensor]
Table = Tensor  # logits of the next token, by the last two tokens: (v v v)


def _table_model(table: Table, decoy: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a model that looks at the last two tokens; at earlier positions its logits are misleading."""

    def model(tokens: Tensor) -> Tensor:
        out = decoy.expand(*tokens.shape, -1).clone()
        out[:, -1] = table[tokens[:, -2], tokens[:, -1]]
        return out

    return model


def _law(table: Table, start: tuple[int, int], n: int, shape: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the probability of every continuation by n tokens, the first token being the most significant digit."""
    v = table.shape[0]
    law = torch.zeros(v**n, dtype=F64)
    for number, tokens in enumerate(product(range(v), repeat=n)):
        p, last = 1.0, start
        for token in tokens:
            p *= float(shape(table[last])[token])
            last = (last[1], token)
        law[number] = p
    return law


def _code(tokens: Tensor, v: int) -> Tensor:
    code = torch.zeros(len(tokens), dtype=I64)
    for column in tokens.T:
        code = code * v + column
    return torch.where(((tokens < 0) | (tokens >= v)).any(1), -1, code)


def _sampled(
    student: Student, model: Callable[[Tensor], Tensor], prompt: Tensor, n: int, rng: np.random.Generator, **cfg: object
) -> Tensor:
    what = f"sample of prompt {tuple(prompt.shape)}, n={n}, {cfg or 'default config'}"
    found = student.fn("sample")(model, prompt, n, student.make("SampleConfig", **cfg), _generator(rng))
    found = tensor(found, what, (len(prompt), prompt.shape[1] + n), I64)
    same(found[:, : prompt.shape[1]], prompt, f"{what}: the prompt", "The prompt comes first, as it was.")
    return found[:, prompt.shape[1] :]


@hidden(SAMPLE, weight=3, core=True)
def three_tokens_follow_the_law(student: Student, rng: np.random.Generator) -> None:
    """Thousands of rows continued by three tokens: the joint law is that of the table."""
    # Not more rows than this: an answer that asks the model row by row is right, too, and 0.4 ms per question add up.
    v, n_rows = 4, 2000
    table, decoy = normal(rng, v, v, v, scale=1.2), normal(rng, v, scale=3.0)
    start = (int(rng.integers(v)), int(rng.integers(v)))

    def draw() -> Tensor:
        prompt = torch.tensor([[int(rng.integers(v)), *start]]).expand(n_rows, 3)
        return _code(_sampled(student, _table_model(table, decoy), prompt, 3, rng), v)

    slip = "Which position's logits are those of the next token? Is every token drawn anew, in every row?"
    follows(draw, _law(table, start, 3, lambda z: z.softmax(-1)), "three tokens after a prompt of three", slip)


@hidden(SAMPLE, weight=2)
def filters_in_order(student: Student, rng: np.random.Generator) -> None:
    """Temperature, then top_k, then top_p: each reshapes what the next one sees."""
    v, start = 6, (0, 1)
    for cfg in ({"temperature": 0.5, "top_p": 0.7}, {"temperature": 1.7, "top_k": 4, "top_p": 0.75}, {"top_k": 3}, {"top_p": 0.6}):
        table, decoy = normal(rng, v, v, v, scale=1.5), normal(rng, v)
        # A table in which another order would keep other tokens, and rounding decides nothing.
        while not _tells_apart(table, start, cfg):
            table = normal(rng, v, v, v, scale=1.5)

        def draw(table: Table = table, decoy: Tensor = decoy, cfg: dict[str, float] = cfg) -> Tensor:
            prompt = torch.tensor([start]).expand(1200, 2)
            return _code(_sampled(student, _table_model(table, decoy), prompt, 1, rng, **cfg), v)

        law = _law(table, start, 1, lambda z, cfg=cfg: _shaped(z, cfg))
        follows(draw, law, f"one token with {cfg}", "First the temperature, then top_k, then top_p of what is left.")


def _shaped(z: Tensor, cfg: dict[str, float], order: str = "tkp") -> Tensor:
    row = [float(e) for e in z]
    for step in order:
        if step == "t":
            row = [e / cfg.get("temperature", 1.0) for e in row]
        elif step == "k" and "top_k" in cfg:
            row = _keep_k(row, int(cfg["top_k"]))
        elif step == "p" and "top_p" in cfg:
            row = _keep_p(row, cfg["top_p"])
    return torch.tensor(_softmax(row), dtype=F64)


def _tells_apart(table: Table, start: tuple[int, int], cfg: dict[str, float]) -> bool:
    z = table[start]
    right = _shaped(z, cfg)
    others = [o for o in ("pkt", "tpk", "kpt", "ktp") if ("k" in o) and ("top_p" in cfg)]
    firm = "top_p" not in cfg or all(
        torch.equal(right > 0, _shaped(z, {**cfg, "top_p": cfg["top_p"] + d}) > 0) for d in (-0.01, 0.01)
    )
    wanted = others if "top_k" in cfg else [o for o in others if o == "pkt" and "temperature" in cfg]
    wanted = [o for o in wanted if o != "ktp"]
    return firm and all(float((right - _shaped(z, cfg, o)).abs().max()) > 0.1 for o in wanted)


@hidden(SAMPLE, weight=2, core=True)
def greedy_walks_the_table(student: Student, rng: np.random.Generator) -> None:
    """At temperature 0 every row follows the largest logits, whatever the generator; n may be 0; the prompt is not modified."""
    v = 7
    table, decoy = normal(rng, v, v, v), normal(rng, v, scale=3.0)
    for b, t, n in ((3, 2, 6), (1, 5, 4), (4, 3, 0)):
        prompt = integers(rng, 0, v, b, t)
        found = _sampled(student, _table_model(table, decoy), prompt, n, rng, temperature=0.0)
        rows = prompt.tolist()
        for _ in range(n):
            rows = [[*row, int(table[row[-2], row[-1]].argmax())] for row in rows]
        wanted = torch.tensor(rows)[:, t:].reshape(b, n)
        same(
            found, wanted, f"greedy continuation of {b} rows by {n}", "Each token depends on those before it, the newest included."
        )
    prompt = integers(rng, 0, v, 2, 3)
    cfg = student.make("SampleConfig")
    args = (_table_model(table, decoy), prompt, 4, cfg, _generator(rng))
    _, after = student.fn("sample", return_args=True)(*args)
    unchanged([after[1]], [prompt], "prompt", "sample")


def _stopping_walk(table: Table, row: list[int], n: int, stop: int | None) -> list[int]:
    out: list[int] = []
    for _ in range(n):
        if out and out[-1] == stop:
            out.append(out[-1])
            continue
        before = [*row, *out]
        out.append(int(table[before[-2], before[-1]].argmax()))
    return out


@hidden(SAMPLE, weight=2)
def each_row_stops_by_itself(student: Student, rng: np.random.Generator) -> None:
    """A finished row is filled with the stop token, the others go on; a stop token in the prompt is a token like any other."""
    v, n = 5, 8
    for _ in range(3):
        while True:
            table, stop = normal(rng, v, v, v), int(rng.integers(v))
            prompt = integers(rng, 0, v, 8, 3)
            prompt[:3, -1] = stop
            wanted = torch.tensor([_stopping_walk(table, row, n, stop) for row in prompt.tolist()])
            n_until = (wanted != stop).sum(1)
            open_end = torch.tensor([_stopping_walk(table, row, n, None) for row in prompt.tolist()])
            if len(n_until.unique()) >= 3 and int(n_until.max()) == n and not torch.equal(open_end, wanted):
                break
        found = _sampled(student, _table_model(table, normal(rng, v)), prompt, n, rng, temperature=0.0, stop=stop)
        slip = "Which rows have drawn the stop token themselves? Only those are finished, and only those are filled."
        same(found, wanted, f"greedy rows with stop={stop}", slip)


@hidden(SAMPLE, weight=1)
def finished_is_finished(student: Student, rng: np.random.Generator) -> None:
    """When all rows have stopped the model is not asked again, and the width is t + n all the same."""
    v, stop, n = 4, int(rng.integers(1, 4)), 9  # not 0, which is what a row might be filled with by default
    n_steps = [int(i) + 1 for i in rng.permutation(4)[:3]]
    asked: list[Tensor] = []

    def model(tokens: Tensor) -> Tensor:
        asked.append(tokens)
        # Row by row, the first token says how long a row is to become.
        ends = torch.tensor([tokens.shape[1] >= n_steps[int(first)] for first in tokens[:, 0]])
        chosen = torch.where(ends, stop, (stop + 1) % v)
        return torch.nn.functional.one_hot(chosen, v).double()[:, None].expand(-1, tokens.shape[1], -1) * 50.0

    found = _sampled(student, model, torch.arange(3)[:, None], n, rng, temperature=0.0, stop=stop)
    wanted = torch.tensor([[(stop + 1) % v] * (k - 1) + [stop] * (n - k + 1) for k in n_steps])
    same(found, wanted, f"rows that stop after {n_steps} tokens, n={n}", "Filled with stop up to t + n.")
    longest = max(tokens.shape[1] for tokens in asked)
    said = f"rows stop after {n_steps} tokens, and the model was asked with {longest} tokens"
    assert longest <= max(n_steps), f"{said}. When is nothing left to ask?"


def _window_model(weights: Tensor, v: int, n_ctx: int) -> Model:
    """Return a model that chooses by a sum over its window, with a weight per place: another window chooses otherwise."""

    def model(tokens: Tensor) -> Tensor:
        assert tokens.ndim == 2, f"The model was given tokens of shape {tuple(tokens.shape)}, expected (rows, tokens)."
        assert tokens.shape[1] <= n_ctx, f"n_ctx={n_ctx}: the model was given {tokens.shape[1]} tokens. Is the window cut?"
        chosen = ((tokens + 1) * weights[: tokens.shape[1]]).sum(1) % v
        return torch.nn.functional.one_hot(chosen, v).double()[:, None].expand(-1, tokens.shape[1], -1) * 50.0

    return model


@hidden(SAMPLE, weight=2)
def the_window_is_the_last_part(student: Student, rng: np.random.Generator) -> None:
    """With n_ctx the model is given the last n_ctx tokens, all of them as soon as there are so many, never more."""
    v = 7
    for n_ctx, t, n in ((4, 7, 6), (5, 2, 9), (1, 3, 3), (9, 2, 4)):
        model = _window_model(integers(rng, 1, v, 12), v, n_ctx)
        prompt = integers(rng, 0, v, 4, t)
        found = _sampled(student, model, prompt, n, rng, temperature=0.0, n_ctx=n_ctx)
        rows = prompt
        for _ in range(n):
            rows = torch.cat([rows, model(rows[:, max(0, rows.shape[1] - n_ctx) :])[:, -1].argmax(-1, keepdim=True)], 1)
        slip = "Which end is cut off, and from what length on?"
        same(found, rows[:, t:], f"greedy rows with n_ctx={n_ctx}, prompt of {t}", slip)


@hidden(SAMPLE, weight=1)
def only_the_generator_is_used(student: Student, rng: np.random.Generator) -> None:
    """The same generator state gives the same text, whatever torch's own generator holds; another one another."""
    v, seed = 9, int(rng.integers(2**31))
    model = _table_model(normal(rng, v, v, v, scale=0.3), normal(rng, v))
    prompt = integers(rng, 0, v, 6, 3)

    def text(own: int, seed: int) -> Tensor:
        student.seed(own)
        gen = torch.Generator().manual_seed(seed)
        return tensor(student.fn("sample")(model, prompt, 10, student.make("SampleConfig"), gen), "sample", (6, 13), I64)

    first = text(1, seed)
    same(text(2, seed), first, "sample with the same generator", "Is all randomness drawn from the generator that is given?")
    assert not torch.equal(text(1, seed + 1), first), "Another generator gives the same text. Is it used?"
