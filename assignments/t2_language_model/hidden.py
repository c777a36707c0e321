"""Hidden checks of T2, plain functions of tensors: get_batch, lm_loss, penalties. Student and rng in, silence or a hint out.

The oracles are Python loops in float64. float64 inputs are compared to 1e-9, float32 ones to 1e-5 (a mean over some dozens
of roundings at 6e-8 each stays far below).
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, gradients, integers, normal, pair, raises, same, strided, tensor, unchanged
from autograder.grading.law import follows
from autograder.sandbox.student import Student

BATCH, LOSS, PENALTIES = "t2_language_model.get_batch", "t2_language_model.lm_loss", "t2_language_model.penalties"
F32, F64, I64 = torch.float32, torch.float64, torch.int64


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


# -- get_batch -------------------------------------------------------------------------------------------------------------


def _batch(student: Student, tokens: Tensor, batch: int, ctx: int, gen: torch.Generator) -> tuple[Tensor, Tensor]:
    what = f"get_batch of {len(tokens)} tokens, batch={batch}, ctx={ctx}"
    x, y = pair(student.fn("get_batch")(tokens, batch, ctx, gen), what)
    return tensor(x, f"{what}: x", (batch, ctx), I64), tensor(y, f"{what}: y", (batch, ctx), I64)


@hidden(BATCH, weight=3, core=True)
def targets_follow_inputs(student: Student, rng: np.random.Generator) -> None:
    """Every row of x is a stretch of the text, and y is what follows each of its tokens."""
    for n, batch, ctx, dtype in (
        (50, 7, 5, I64),
        (40, 3, 1, I64),
        (12, 5, 11, I64),
        (60, 4, 9, torch.int32),
        (60, 2, 6, torch.uint8),
    ):
        tokens = torch.from_numpy(rng.permutation(100)[:n]).to(dtype)
        where = {int(token): i for i, token in enumerate(tokens.tolist())}
        x, y = _batch(student, tokens, batch, ctx, _generator(rng))
        for row, after in zip(x.tolist(), y.tolist(), strict=True):
            start = where.get(row[0], n)
            case = f"{n} different tokens, ctx={ctx}, dtype {tokens.dtype}"
            wanted = tokens.tolist()[start : start + ctx + 1]
            assert row == wanted[:ctx], f"{case}: a row of x is no stretch of the text. Are consecutive tokens taken?"
            slip = "The target of a token is the one behind it."
            assert after == wanted[1:], f"{case}: x is {row[:5]} from place {start} on, y is {after[:5]}. {slip}"


@hidden(BATCH, weight=3)
def every_start_is_equally_likely(student: Student, rng: np.random.Generator) -> None:
    """The first, the last and every other start come equally often, and rows are drawn independently of each other."""
    for n, ctx in ((13, 4), (6, 5), (9, 7)):
        starts = n - ctx

        def rows(n: int = n, ctx: int = ctx) -> Tensor:
            return _batch(student, torch.arange(n), 6000, ctx, _generator(rng))[0][:, 0]

        slip = "Is there a window at both ends of the text? How many places can a window begin at?"
        follows(rows, torch.full((starts,), 1 / starts), f"starts of 6000 windows of {ctx} in {n} tokens", slip)

    def pairs() -> Tensor:
        start = _batch(student, torch.arange(7), 8000, 3, _generator(rng))[0][:, 0].view(-1, 2)
        return start[:, 0] * 4 + start[:, 1]

    follows(pairs, torch.full((16,), 1 / 16), "starts of neighbouring rows, as pairs", "Are the rows drawn one by one?")


@hidden(BATCH, weight=2)
def the_generator_decides(student: Student, rng: np.random.Generator) -> None:
    """The same generator state gives the same batch, another one another; torch's own generator is left alone."""
    tokens, seed = integers(rng, 0, 1000, 500), int(rng.integers(2**31))

    def drawn(own: int, seed: int) -> Tensor:
        student.seed(own)
        return _batch(student, tokens, 16, 8, torch.Generator().manual_seed(seed))[0]

    first = drawn(1, seed)
    same(drawn(2, seed), first, "x for the same generator", "Is all randomness drawn from the generator that is given?")
    assert not torch.equal(drawn(1, seed + 1), first), "Another generator gives the same batch. Is it used?"


@hidden(BATCH, weight=1)
def windows_that_just_fit(student: Student, rng: np.random.Generator) -> None:
    """One window fits: it comes always. None fits: ValueError. The tokens stay as they are."""
    n = int(rng.integers(4, 9))
    tokens = strided(integers(rng, 0, 50, n))
    x, y = _batch(student, tokens, 3, n - 1, _generator(rng))
    same(x, tokens[:-1].expand(3, n - 1), f"x of {n} tokens, ctx={n - 1}", "There is exactly one window.")
    same(y, tokens[1:].expand(3, n - 1), f"y of {n} tokens, ctx={n - 1}", "There is exactly one window.")
    for ctx in (n, n + 3):
        what = f"get_batch of {n} tokens with ctx={ctx}"
        raises("ValueError", lambda ctx=ctx: student.fn("get_batch")(tokens, 2, ctx, _generator(rng)), what)
    _, (after, *_) = student.fn("get_batch", return_args=True)(tokens, 2, 2, _generator(rng))
    unchanged([after], [tokens], "tokens", "get_batch")


# -- lm_loss ---------------------------------------------------------------------------------------------------------------


def _loss(logits: Tensor, tokens: Tensor, mask: Tensor | None) -> float:
    """Return the mean over a list of targets, each with a log-sum-exp of its own."""
    each = []
    for row in range(tokens.shape[0]):
        for i in range(1, tokens.shape[1]):
            if mask is None or bool(mask[row, i]):
                z = [float(e) for e in logits[row, i - 1].double()]
                top = max(z)
                each.append(top + math.log(sum(math.exp(e - top) for e in z)) - z[int(tokens[row, i])])
    return math.fsum(each) / len(each) if each else 0.0


def _case(rng: np.random.Generator, b: int, t: int, v: int, dtype: torch.dtype = F64) -> tuple[Tensor, Tensor, Tensor]:
    mask = torch.from_numpy(rng.random((b, t)) < 0.6)
    mask[:, 0] = torch.from_numpy(rng.random(b) < 0.5)
    mask[0, 1] = True
    return normal(rng, b, t, v, dtype=dtype, scale=3.0), integers(rng, 0, v, b, t), mask


def _asked(student: Student, logits: Tensor, tokens: Tensor, mask: Tensor | None, slip: str) -> Tensor:
    what = f"lm_loss of logits {tuple(logits.shape)}, {'no mask' if mask is None else 'with a mask'}"
    found = student.fn("lm_loss")(logits, tokens) if mask is None else student.fn("lm_loss")(logits, tokens, mask)
    expected = torch.tensor(_loss(logits, tokens, mask), dtype=logits.dtype)
    return close(found, expected, what, rtol=1e-9 if logits.dtype == F64 else 1e-5, atol=1e-12, slip=slip)


@hidden(LOSS, weight=3, core=True)
def mean_of_the_next_token(student: Student, rng: np.random.Generator) -> None:
    """Without a mask: the mean over all targets, each predicted by the logits one place before it."""
    for b, t, v in ((3, 5, 7), (1, 2, 4), (4, 9, 3)):
        logits, tokens, _ = _case(rng, b, t, v)
        # One place of logits after the other: the last ones matter to nobody.
        _asked(student, logits, tokens, None, "logits[:, i] predict tokens[:, i + 1]; the mean is over targets.")
        other = logits.clone()
        other[:, -1] = normal(rng, b, v)
        first, second = student.fn("lm_loss")(logits, tokens), student.fn("lm_loss")(other, tokens)
        same(second, first, "lm_loss after a change of the last logits", "What do the last logits predict?")


@hidden(LOSS, weight=3, core=True)
def the_mask_is_of_targets(student: Student, rng: np.random.Generator) -> None:
    """One target at a time, then any: the mask's column i is about the token i as a target."""
    b, t, v = 3, 6, 5
    logits, tokens, _ = _case(rng, b, t, v)
    for _ in range(5):
        only = torch.zeros(b, t, dtype=torch.bool)
        only[int(rng.integers(b)), int(rng.integers(1, t))] = True
        _asked(student, logits, tokens, only, "A single target counts: is the mask shifted with the targets?")
    for b, t, v in ((4, 7, 3), (2, 3, 9)):
        logits, tokens, mask = _case(rng, b, t, v)
        slip = "mask[:, i] says whether tokens[:, i] counts as a target; the mean is over those that count, in all rows."
        _asked(student, logits, tokens, mask, slip)
        flipped = mask.clone()
        flipped[:, 0] = ~flipped[:, 0]
        first, second = student.fn("lm_loss")(logits, tokens, mask), student.fn("lm_loss")(logits, tokens, flipped)
        same(second, first, "lm_loss after a change of the mask's first column", "Who predicts the first token?")


@hidden(LOSS, weight=2)
def padding_changes_nothing(student: Student, rng: np.random.Generator) -> None:
    """Rows of different lengths in one batch: what stands behind a row's end does not matter, whatever it is."""
    v, lengths = 6, [int(i) for i in rng.integers(2, 7, 4)]
    t = max(lengths) + 2
    logits, tokens, _ = _case(rng, 4, t, v)
    mask = torch.arange(t) < torch.tensor(lengths)[:, None]
    first = _asked(student, logits, tokens, mask, "Is the mean over the targets that count?")
    junk, noise = tokens.clone(), logits.clone()
    for row, length in enumerate(lengths):
        junk[row, length:] = integers(rng, 0, v, t - length)
        noise[row, length:] = normal(rng, t - length, v, scale=1e4)
    again = student.fn("lm_loss")(noise, junk, mask)
    close(
        again,
        first.detach(),
        "lm_loss after a change behind the rows' ends",
        rtol=1e-12,
        slip="Is padding left out of sum and count?",
    )
    each = [_loss(logits[i : i + 1, :n], tokens[i : i + 1, :n], None) * (n - 1) for i, n in enumerate(lengths)]
    wanted = torch.tensor(sum(each) / sum(n - 1 for n in lengths), dtype=F64)
    close(
        again,
        wanted,
        "lm_loss against the rows one by one",
        rtol=1e-9,
        slip="A longer row has more targets, so it counts for more.",
    )


@hidden(LOSS, weight=2)
def gradients_reach_what_predicts(student: Student, rng: np.random.Generator) -> None:
    """The gradient is softmax minus one-hot, over the number of targets; zero where nothing counts."""
    for masked in (False, True):
        logits, tokens, mask = _case(rng, 3, 5, 4)
        used = mask if masked else torch.ones_like(mask)
        logits.requires_grad_()
        loss = student.fn("lm_loss")(logits, tokens, *([mask] if masked else []))
        up = normal(rng)
        found = gradients(tensor(loss, "lm_loss", (), F64), {"logits": logits}, up, "lm_loss")["logits"]
        wanted = torch.zeros_like(logits)
        for row in range(3):
            for i in range(1, 5):
                if used[row, i]:
                    z = (logits[row, i - 1].detach() - logits[row, i - 1].detach().max()).exp()
                    wanted[row, i - 1] = z / z.sum()
                    wanted[row, i - 1, tokens[row, i]] -= 1
        wanted = wanted.detach() * up / int(used[:, 1:].sum())
        close(
            found,
            wanted,
            f"gradient of lm_loss, {'with' if masked else 'without'} a mask",
            rtol=1e-9,
            slip="Is something detached?",
        )


@hidden(LOSS, weight=1)
def edges_of_the_loss(student: Student, rng: np.random.Generator) -> None:
    """No target at all gives 0 and no NaN; logits in the ten thousands do not overflow; inputs stay as they are."""
    logits, tokens, _ = _case(rng, 2, 4, 5)
    logits.requires_grad_()
    nobody = torch.zeros(2, 4, dtype=torch.bool)
    nobody[:, 0] = True
    loss = student.fn("lm_loss")(logits, tokens, nobody)
    slip = "0 divided by 0 is not 0."
    same(tensor(loss, "lm_loss without targets"), torch.zeros((), dtype=F64), "lm_loss where nothing counts", slip)
    if loss.requires_grad:
        (g,) = torch.autograd.grad(loss, logits, allow_unused=True)
        same(torch.zeros_like(logits) if g is None else g, torch.zeros_like(logits), "its gradient", slip)
    for dtype in (F32, F64):
        logits, tokens, mask = _case(rng, 3, 4, 6, dtype)
        _asked(student, strided(logits * 1e4), tokens, mask, "Is a log taken of a softmax that is 0?")
        _, after = student.fn("lm_loss", return_args=True)(logits, tokens, mask)
        unchanged(after, [logits, tokens, mask], "logits tokens mask", "lm_loss")


# -- penalties -------------------------------------------------------------------------------------------------------------


def _penalised(logits: Tensor, history: Tensor, r: float, f: float, p: float, pad: int | None) -> Tensor:
    rows = []
    for row, past in zip(logits.double().tolist(), history.tolist(), strict=True):
        counts = Counter(token for token in past if token != pad)
        for token, n in counts.items():
            z = row[token]
            row[token] = (z * r if z < 0 else z / r) - n * f - p
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64).reshape(logits.shape)


def _history(rng: np.random.Generator, b: int, t: int, v: int) -> Tensor:
    """Draw tokens of which some come often: every row has favourites of its own."""
    likes = [rng.dirichlet(np.full(v, 0.4)) for _ in range(b)]
    return torch.from_numpy(np.stack([rng.choice(v, t, p=like) for like in likes]).astype(np.int64))


def _ask_penalties(
    student: Student, logits: Tensor, history: Tensor, r: float, f: float, p: float, pad: int | None, slip: str
) -> None:
    what = f"penalties, logits {tuple(logits.shape)}, history {tuple(history.shape)}, {r=:.3g}, {f=:.3g}, {p=:.3g}, pad={pad}"
    found = student.fn("penalties")(logits, history, repetition=r, frequency=f, presence=p, pad=pad)
    # A bool or an integer times a float is float32 in torch: that is no fault of the answer, so 1e-5 for both dtypes.
    close(found, _penalised(logits, history, r, f, p, pad).to(logits.dtype), what, rtol=1e-5, slip=slip)


@hidden(PENALTIES, weight=3, core=True)
def less_likely_whatever_the_sign(student: Student, rng: np.random.Generator) -> None:
    """Repetition divides what is above 0 and multiplies what is below, in the row's own history only."""
    for b, v, t in ((3, 8, 5), (1, 5, 9), (5, 11, 3)):
        logits = normal(rng, b, v, scale=3.0)
        slip = "Dividing a negative logit makes the token more likely. Whose history is it?"
        _ask_penalties(student, logits, _history(rng, b, t, v), float(rng.uniform(1.2, 3)), 0.0, 0.0, None, slip)


@hidden(PENALTIES, weight=3)
def how_often_and_whether(student: Student, rng: np.random.Generator) -> None:
    """Frequency counts every occurrence, presence counts one; each alone, then both, and negative ones encourage."""
    for f, p in ((0.7, 0.0), (0.0, 0.9), (0.4, 1.3), (-0.5, -0.2)):
        logits = normal(rng, 4, 7, scale=2.0)
        _ask_penalties(student, logits, _history(rng, 4, 12, 7), 1.0, f, p, None, "Once per occurrence, or once if there at all?")


@hidden(PENALTIES, weight=2)
def all_three_in_order(student: Student, rng: np.random.Generator) -> None:
    """Repetition is applied to the model's own logit, before anything is subtracted."""
    for _ in range(3):
        logits = normal(rng, 3, 9)
        slip = "First repetition, then the subtractions: the sign is that of the model's logit."
        _ask_penalties(student, logits, _history(rng, 3, 8, 9), float(rng.uniform(1.3, 2)), 0.6, 0.9, None, slip)


@hidden(PENALTIES, weight=2)
def padding_is_no_token(student: Student, rng: np.random.Generator) -> None:
    """Entries equal to pad count for nobody, be they a token of the vocabulary or no token at all."""
    for pad in (0, 3, -1, 1000):
        logits, history = normal(rng, 4, 6, scale=2.0), _history(rng, 4, 10, 6)
        history[torch.from_numpy(rng.random((4, 10)) < 0.4)] = pad
        history[0] = pad
        slip = "Entries that equal pad are not counted, and nothing else is left out."
        _ask_penalties(student, logits, history, 1.5, 0.5, 0.8, pad, slip)
    logits, history = normal(rng, 2, 5), torch.zeros(2, 4, dtype=I64)
    _ask_penalties(student, logits, history, 1.7, 0.3, 0.2, None, "Without pad, 0 is a token like any other.")


@hidden(PENALTIES, weight=1)
def edges_of_penalties(student: Student, rng: np.random.Generator) -> None:
    """No history, float32, the defaults that do nothing, -inf that stays -inf; inputs are not modified."""
    logits = normal(rng, 3, 6, scale=2.0)
    same(student.fn("penalties")(logits, _history(rng, 3, 5, 6)), logits, "penalties with nothing but defaults")
    _ask_penalties(student, logits, torch.zeros(3, 0, dtype=I64), 2.0, 1.0, 1.0, None, "An empty history changes nothing.")
    few, history = strided(normal(rng, 2, 7, dtype=F32, scale=3.0)), _history(rng, 2, 300, 7)
    _ask_penalties(student, few, history, 1.3, 0.01, 0.5, None, "A history may be longer than the vocabulary.")
    blocked = logits.clone()
    blocked[:, 2] = -math.inf
    history = torch.full((3, 4), 2)
    found = tensor(student.fn("penalties")(blocked, history, 1.5, 0.5, 0.5), "penalties", (3, 6), F64)
    assert bool((found[:, 2] == -math.inf).all()), "A logit of -inf whose token is in the history is -inf no more, or NaN."
    _, after = student.fn("penalties", return_args=True)(logits, history, 1.5, 0.5, 0.5)
    unchanged(after, [logits, history], "logits history", "penalties")
