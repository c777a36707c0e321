"""Hidden checks of F1, reductions: masked_mean, logsumexp, next_token_logprobs. Student and rng in, silence or a hint out.

The oracles are loops over slices, and exponentials that are added up without any shift where they are small enough for it.
Tolerances: 1e-9 relative, since these are sums of under a hundred float64 terms; wider only where a check says why.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import (
    close,
    finite,
    gradients,
    integers,
    normal,
    same,
    shapes,
    sizes,
    strided,
    tensor,
    unchanged,
)
from autograder.sandbox.student import Call, Student

MEAN, LSE, NEXT = "f1_tensors.masked_mean", "f1_tensors.logsumexp", "f1_tensors.next_token_logprobs"


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    """Average the chosen vectors of one sequence after the other; zeros where there are none."""
    rows = [seq[keep].mean(0) if keep.any() else seq.new_zeros(x.shape[2]) for seq, keep in zip(x, mask, strict=True)]
    return torch.stack(rows)


def _mask(rng: np.random.Generator, b: int, t: int) -> Tensor:
    """Draw a mask with at least one True in each row, and a False wherever there is room for one."""
    mask = torch.from_numpy(rng.random((b, t)) < 0.5)
    for row in mask:
        one, other = rng.choice(t, size=2, replace=False) if t > 1 else (0, 0)
        row[int(other)], row[int(one)] = False, True
    return mask if t > 1 else torch.ones(b, 1, dtype=torch.bool)


@hidden(MEAN, weight=3, core=True)
def values_of_means(student: Student, rng: np.random.Generator) -> None:
    """The mean runs over the unmasked vectors of each sequence, and over nothing else."""
    cases = []
    for case in range(9):
        b, t, d = sizes(rng, 3, 2, 9)
        if case >= 6:  # size 1 in turn
            b, t, d = (1 if i == case - 6 else size for i, size in enumerate((b, t, d)))
        cases.append((normal(rng, b, t, d) + 1, _mask(rng, b, t)))
    x, mask = cases[-1]
    found = student.each("masked_mean", [*(Call(*case) for case in cases), Call(x, torch.ones_like(mask))])
    for x, mask in cases:
        slip = "By which number is each sum divided? True means: counts."
        close(next(found), _mean(x, mask), f"result for {shapes(x=x, mask=mask)}", rtol=1e-9, slip=slip)
    close(next(found), x.mean(1), "result for a mask without False", rtol=1e-9)


@hidden(MEAN, weight=2)
def empty_sequences(student: Student, rng: np.random.Generator) -> None:
    """A sequence without any True gives exactly zeros, and a finite gradient; the others are as ever."""
    b, t, d = sizes(rng, 3, 3, 9)
    x, mask = normal(rng, b, t, d), _mask(rng, b, t)
    empty = torch.from_numpy(rng.choice(b, size=2, replace=False))
    mask[empty] = False
    said = f"result for {shapes(x=x, mask=mask)}, 2 sequences without any True"
    x.requires_grad_()
    out = student.fn("masked_mean")(x, mask)
    slip = "0 divided by 0 is nan. What should the count be at least?"
    finite(out, said, (b, d), torch.float64, slip)
    same(out[empty].detach(), torch.zeros(2, d, dtype=torch.float64), f"the empty sequences' {said}", slip)
    close(out, _mean(x, mask), said, rtol=1e-9, slip=slip)
    upstream = normal(rng, b, d)
    found = gradients(out, {"x": x}, upstream, said)["x"]
    share = mask.double() / mask.sum(1, keepdim=True).clamp(min=1)
    slip = "Repairing a nan afterwards repairs the result, not the backward pass."
    close(
        found,
        share[..., None] * upstream[:, None],
        f"gradient of x {tuple(x.shape)}, 2 sequences without any True",
        rtol=1e-9,
        slip=slip,
    )
    for n in (t, 0):
        nothing = normal(rng, b, n, d), torch.zeros(b, n, dtype=torch.bool)
        zeros = torch.zeros(b, d, dtype=torch.float64)
        same(student.fn("masked_mean")(*nothing), zeros, f"result for t={n}, nothing unmasked", slip)


@hidden(MEAN, weight=2)
def masked_is_invisible(student: Student, rng: np.random.Generator) -> None:
    """Whatever a masked entry holds, also inf and nan: the result stays, and its gradient is 0."""
    b, t, d = sizes(rng, 3, 3, 9)
    x, mask = normal(rng, b, t, d), _mask(rng, b, t)
    expected, upstream = _mean(x, mask), normal(rng, b, d)
    share = (mask.double() / mask.sum(1, keepdim=True))[..., None] * upstream[:, None]
    junks = (math.inf, -math.inf, math.nan, 1e300)
    filled = [x.masked_fill(~mask[..., None], junk).requires_grad_() for junk in junks]
    answers = student.each("masked_mean", [Call(dirty, mask) for dirty in filled])
    for junk, dirty, out in zip(junks, filled, answers, strict=True):
        said = f"result for {shapes(x=x, mask=mask)}, masked entries all {junk}"
        slip = "0 times inf is nan: a product with the mask does not hide everything."
        close(out, expected, said, rtol=1e-9, slip=slip)
        close(gradients(out, {"x": dirty}, upstream, said)["x"], share, f"gradient, {said}", rtol=1e-9, slip=slip)


@hidden(MEAN, weight=1)
def unmasked_counts_as_it_is(student: Student, rng: np.random.Generator) -> None:
    """An unmasked nan or inf is not swept under the carpet, and touches its own feature of its own sequence only."""
    b, t, d = sizes(rng, 3, 3, 9)
    for junk in (math.nan, math.inf):
        x, mask = normal(rng, b, t, d), _mask(rng, b, t)
        row, column = int(rng.integers(b)), int(rng.integers(d))
        x[row, int(mask[row].nonzero()[0]), column] = junk
        said = f"result for {shapes(x=x, mask=mask)}, one unmasked entry {junk}"
        out = tensor(student.fn("masked_mean")(x, mask), said, (b, d), torch.float64).detach()
        expected = _mean(x, mask)
        slip = "What is not masked counts, also when it is no number: hiding it would hide a fault."
        same(torch.isfinite(out), torch.isfinite(expected), f"where the {said} is finite", slip)
        whole = torch.isfinite(expected)
        close(out[whole], expected[whole], f"the rest of the {said}", rtol=1e-9, slip=slip)


@hidden(MEAN, weight=1)
def layouts_of_means(student: Student, rng: np.random.Generator) -> None:
    """Strided inputs, large values, float32, sequences in another order; the inputs stay as they were."""
    b, t, d = sizes(rng, 3, 2, 9)
    x, mask = 1e4 * normal(rng, b, t, d), _mask(rng, b, t)
    expected, order = _mean(x, mask), torch.from_numpy(rng.permutation(t))
    turned = x.permute(2, 0, 1).contiguous().permute(1, 2, 0), mask.T.contiguous().T
    inputs = (turned, (strided(x), mask), (x.float(), mask), (x[:, order], mask[:, order]))
    found = student.each("masked_mean", [Call(*given) for given in inputs])
    close(next(found), expected, "result for transposed inputs", rtol=1e-9)
    close(next(found), expected, "result for strided x", rtol=1e-9)
    # Sums of under ten float32 terms.
    close(next(found), expected, "result for float32 x", rtol=1e-5, dtype=torch.float32)
    slip = "The mean does not depend on the order."
    close(next(found), expected, "result for positions in another order", rtol=1e-9, slip=slip)
    before = [x.clone(), mask.clone()]
    _, after = student.fn("masked_mean", return_args=True)(x, mask)
    unchanged(after, before, "x mask", "masked_mean")


def _lse(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    """Add up the exponentials as they are: for entries that are small enough."""
    return x.double().exp().sum(dim, keepdim=keepdim).log()


@hidden(LSE, weight=3, core=True)
def values_of_logsumexp(student: Student, rng: np.random.Generator) -> None:
    """log(sum(exp)) along every dimension, counted from the front and from the back."""
    drawn = [normal(rng, *sizes(rng, n_dims, 2, 7)) for n_dims in (1, 2, 3, 4)]
    cases = [(x, dim) for x in drawn for dim in range(-x.ndim, x.ndim)]
    thin = normal(rng, 3, 1, 2)
    found = student.each("logsumexp", [*(Call(x, dim) for x, dim in cases), Call(thin, 1)])
    for x, dim in cases:
        slip = "Which dimension is reduced?"
        close(next(found), _lse(x, dim), f"logsumexp for {shapes(x=x)}, dim={dim}", rtol=1e-9, slip=slip)
    said = "logsumexp along a dimension of size 1, which changes nothing but the shape,"
    close(next(found), thin[:, 0], said, rtol=1e-9)


@hidden(LSE, weight=1)
def keepdim(student: Student, rng: np.random.Generator) -> None:
    """keepdim=True leaves a dimension of size 1 where the reduced one was; only that one is removed otherwise."""
    x, dims = normal(rng, *sizes(rng, 3, 2, 7)), (0, 1, 2, -1, -2, -3)
    for dim, found in zip(dims, student.each("logsumexp", [Call(x, dim, keepdim=True) for dim in dims]), strict=True):
        close(found, _lse(x, dim, True), f"logsumexp for {shapes(x=x)}, dim={dim}, keepdim=True", rtol=1e-9)
    thin, ways = normal(rng, 1, 3, 1), ((1, False), (0, False), (-1, False), (1, True))
    for (dim, keep), found in zip(ways, student.each("logsumexp", [Call(thin, *way) for way in ways]), strict=True):
        slip = "Only the reduced dimension goes, also when others have size 1."
        close(found, _lse(thin, dim, keep), f"logsumexp for {shapes(x=thin)}, dim={dim}, keepdim={keep}", rtol=1e-9, slip=slip)


@hidden(LSE, weight=2)
def far_from_zero(student: Student, rng: np.random.Generator) -> None:
    """Adding c to all entries adds c to the result: for c up to 10,000, and for another c in every slice."""
    a, n = sizes(rng, 2, 3, 8)
    shifts = {f"all near {c:g}": torch.full((a, 1), c, dtype=torch.float64) for c in (1e4, -1e4)}
    shifts["rows near -10000, 0, 10000 side by side"] = torch.tensor([[-1e4, 0.0, 1e4][i % 3] for i in range(a)]).double()[:, None]
    for name, shift in shifts.items():
        x = normal(rng, a, n)
        short = (x + shift).float()
        answers = student.each("logsumexp", [Call(x + shift, 1), Call((x + shift).T, 0), Call(short, 1)])
        slip = "Does exp overflow, or do all exponentials of a slice become 0? What is subtracted, and from whom?"
        # exp and log of numbers near 1: 1e-11 of the shift is 1e-7, and rounding is 1e-12.
        expected = _lse(x, 1) + shift[:, 0]
        close(next(answers), expected, f"logsumexp, dim=1, entries {name},", rtol=1e-11, slip=slip)
        low = expected - shift[:, 0]
        found = finite(next(answers), f"logsumexp, dim=0, entries {name},", (a,), torch.float64, slip)
        # Compared after the shift is taken back, so that a slice near 0 is not judged by the size of its neighbours.
        close(found.detach() - shift[:, 0], low, f"logsumexp minus the shift, dim=0, entries {name},", rtol=0, atol=1e-9, slip=slip)
        right = torch.logsumexp(short.double(), 1)
        close(next(answers), right, f"logsumexp of float32 entries {name},", rtol=1e-6, dtype=torch.float32)
    wide = 1e4 * normal(rng, a, n)
    wide[:, 0] = wide[:, 1:].amax(1)  # a tie
    again = student.fn("logsumexp")(wide, -1)
    close(again, torch.logsumexp(wide, -1), "logsumexp of entries 10,000 apart, with ties", rtol=1e-11)


@hidden(LSE, weight=2)
def slices_of_minus_infinity(student: Student, rng: np.random.Generator) -> None:
    """-inf counts as nothing; a slice of -inf only gives -inf, in every dimension."""
    a, n = sizes(rng, 2, 4, 9)
    for dim in (0, 1):
        x = normal(rng, a, n).masked_fill(torch.from_numpy(rng.random((a, n)) < 0.3), -math.inf)
        x[0, 1] = x[1, 0] = 0.5
        x.select(1 - dim, 2)[:] = -math.inf
        expected = _lse(x, dim)
        said = f"logsumexp for {shapes(x=x)}, dim={dim}, a slice of -inf only"
        found = tensor(student.fn("logsumexp")(x, dim), said, expected.shape, torch.float64).detach()
        slip = "-inf minus -inf is nan. What may be subtracted from a slice whose largest entry is -inf?"
        same(found.isneginf(), expected.isneginf(), f"where {said} is -inf", slip)
        some = ~expected.isneginf()
        close(found[some], expected[some], f"the rest of {said}", rtol=1e-9, slip=slip)


@hidden(LSE, weight=2)
def gradient_is_softmax(student: Student, rng: np.random.Generator) -> None:
    """The gradient is the softmax, also far from zero; it is 0 and not nan in a slice of -inf only; x stays as it was."""
    a, n = sizes(rng, 2, 4, 9)
    for dim, shift in ((0, 0.0), (1, 0.0), (-1, 1e4), (0, -1e4)):
        x = normal(rng, a, n) + shift
        x[0, 0] = x.amax()  # ties
        x[1, 1] = x[0, 0]
        x[2, 3] = -math.inf
        before = x.clone()
        if shift == 0:
            x.select(1 if dim == 0 else 0, 2)[:] = -math.inf
            before = x.clone()
        weights = torch.softmax(x, dim).nan_to_num(0.0)
        x.requires_grad_()
        out = student.fn("logsumexp")(x, dim)
        upstream = normal(rng, *out.shape)
        said = f"gradient for {shapes(x=x)}, dim={dim}, entries near {shift:g}" + (", a slice of -inf only" if shift == 0 else "")
        found = gradients(out, {"x": x}, upstream, "logsumexp")["x"]
        slip = "Where is the logarithm of 0 taken, or -inf subtracted from -inf? Replacing the result leaves the slope."
        # Softmax far from zero: the entries themselves are rounded at 1e4 x 2^-52.
        close(found, weights * upstream.unsqueeze(dim), said, rtol=1e-9, slip=slip)
        _, after = student.fn("logsumexp", return_args=True)(x.detach(), dim)
        unchanged(after, [before], "x", "logsumexp")


@hidden(LSE, evidence="observed")
def by_exp_and_log(student: Student, rng: np.random.Generator) -> None:
    """It is written with exp and log, not with the finished function."""
    _, seen = student.observe("logsumexp", normal(rng, 3, 4), 1)
    finished = [name for name in seen.operators if "logsumexp" in name or "softmax" in name or "logaddexp" in name]
    assert not finished, "A finished logsumexp or softmax of torch was called; the exercise is to write it."


def _next(logits: Tensor, tokens: Tensor) -> Tensor:
    """Score one token after the other by a quotient of exponentials: for logits that are small enough."""
    b, t, _ = logits.shape
    rows = [[(logits[s, i, tokens[s, i + 1]].exp() / logits[s, i].exp().sum()).log() for i in range(t - 1)] for s in range(b)]
    return torch.stack([torch.stack(row) if row else logits.new_zeros(0) for row in rows])


def _text(rng: np.random.Generator, b: int, t: int, v: int) -> tuple[Tensor, Tensor]:
    return normal(rng, b, t, v), integers(rng, 0, v, b, t)


@hidden(NEXT, weight=3, core=True)
def values_of_logprobs(student: Student, rng: np.random.Generator) -> None:
    """Entry i is the log-probability of token i + 1 under the softmax of the logits at position i."""
    cases = []
    for case in range(7):
        b, t, v = sizes(rng, 3, 2, 9)
        if case == 4:
            b = 1
        if case == 5:
            b, t = 1, 2
        if case == 6:
            t = v = b = 4
        cases.append(_text(rng, b, t, v))
    found = student.each("next_token_logprobs", [Call(*case) for case in cases])
    for logits, tokens in cases:
        slip = "The logits at position i speak of the token at i + 1. Over which axis do the probabilities sum to 1?"
        said = f"result for {shapes(logits=logits, tokens=tokens)}"
        close(next(found), _next(logits, tokens), said, rtol=1e-9, slip=slip)


@hidden(NEXT, weight=2)
def who_sees_what(student: Student, rng: np.random.Generator) -> None:
    """Changing the logits at position i moves entry i only; changing token j moves entry j - 1 only."""
    b, t, v = sizes(rng, 3, 3, 8)
    logits, tokens = _text(rng, b, t, v)
    calls = [Call(logits, tokens)]
    for i in range(t):
        probe, other = logits.clone(), tokens.clone()
        probe[0, i, tokens[0, (i + 1) % t]] += 7.0
        other[0, i] = (other[0, i] + 1) % v
        calls += [Call(probe, tokens), Call(logits, other)]
    answers = student.each("next_token_logprobs", calls)
    said = f"result for {shapes(logits=logits, tokens=tokens)}"
    base = close(next(answers), _next(logits, tokens), said, rtol=1e-9).detach()
    for i in range(t):
        moved = (finite(next(answers), "result for other logits", base.shape).detach() != base).nonzero().tolist()
        said = f"the logits of sequence 0 at position {i} of 0 to {t - 1} were changed"
        expected = [[0, i]] if i < t - 1 else []
        assert moved == expected, f"{said}: the entries {moved[:5]} of the result moved, expected {expected}."
        moved = (finite(next(answers), "result for other tokens", base.shape).detach() != base).nonzero().tolist()
        expected = [[0, i - 1]] if i else []
        said = f"token {i} of 0 to {t - 1} of sequence 0 was changed"
        assert moved == expected, f"{said}: the entries {moved[:5]} of the result moved, expected {expected}."


@hidden(NEXT, weight=2)
def far_apart(student: Student, rng: np.random.Generator) -> None:
    """Logits thousands apart, and all shifted by thousands: finite and exact."""
    b, t, v = sizes(rng, 3, 3, 8)
    logits, tokens = _text(rng, b, t, v)
    cases = {"10,000 times larger": 1e4 * logits, "near 10,000": logits + 1e4, "near -10,000": logits - 1e4}
    found = student.each("next_token_logprobs", [Call(x, tokens) for x in cases.values()])
    for case, x in cases.items():
        expected = torch.stack(
            [x[:, i, :].gather(1, tokens[:, i + 1 :][:, :1])[:, 0] - x[:, i].logsumexp(1) for i in range(t - 1)], 1
        )
        slip = "A probability may be too small for a number; its logarithm is not."
        # The entries themselves are rounded at 1e4 x 2^-52 = 2e-12.
        close(next(found), expected, f"result for logits {case}", rtol=1e-9, atol=1e-9, slip=slip)


@hidden(NEXT, weight=1)
def edges_and_layouts(student: Student, rng: np.random.Generator) -> None:
    """One position, one word in the vocabulary, float32, strided inputs; the inputs stay as they were."""
    b, t, v = sizes(rng, 3, 2, 8)
    edges = [_text(rng, *shape) for shape in ((b, 1, v), (b, t, 1), (1, 2, 1), (1, 1, 1))]
    found = student.each("next_token_logprobs", [Call(*text) for text in edges])
    for logits, tokens in edges:
        zeros = torch.zeros(len(tokens), tokens.shape[1] - 1, dtype=torch.float64)
        slip = "The only word of a vocabulary has probability 1; a text of one token has nothing to predict."
        close(next(found), zeros, f"result for {shapes(logits=logits, tokens=tokens)}", rtol=0, atol=1e-12, slip=slip)
    logits, tokens = _text(rng, b, t, v)
    expected = _next(logits, tokens)
    turned = logits.permute(2, 0, 1).contiguous().permute(1, 2, 0), tokens.T.contiguous().T
    inputs = (turned, (strided(logits), strided(tokens)), (logits.float(), tokens))
    found = student.each("next_token_logprobs", [Call(*given) for given in inputs])
    close(next(found), expected, "result for transposed inputs", rtol=1e-9)
    close(next(found), expected, "result for strided inputs", rtol=1e-9)
    # A logarithm and a sum of under ten float32 terms.
    close(next(found), expected, "result for float32 logits", rtol=1e-5, dtype=torch.float32)
    before = [logits.clone(), tokens.clone()]
    _, after = student.fn("next_token_logprobs", return_args=True)(logits, tokens)
    unchanged(after, before, "logits tokens", "next_token_logprobs")


@hidden(NEXT, weight=1)
def gradients_of_logprobs(student: Student, rng: np.random.Generator) -> None:
    """The gradient is that of the log-probabilities: 0 at the last position and nowhere else."""
    for _ in range(2):
        b, t, v = sizes(rng, 3, 3, 8)
        logits, tokens = _text(rng, b, t, v)
        logits.requires_grad_()
        upstream = normal(rng, b, t - 1)
        found = gradients(student.fn("next_token_logprobs")(logits, tokens), {"logits": logits}, upstream, "next_token_logprobs")
        right = torch.autograd.grad(_next(logits, tokens), logits, upstream)[0]
        slip = "Nothing follows the last position; all others learn from the token after them."
        close(found["logits"], right, f"gradient of {shapes(logits=logits)}", rtol=1e-9, slip=slip)
