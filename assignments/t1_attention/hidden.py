"""Hidden checks of T1, functions: causal_mask, attention, online_softmax_attention. Student and rng in, silence or a hint out.

The oracle is torch's own scaled_dot_product_attention in float64 or a loop. Tolerances: 1e-9 relative, since these are sums
of under a hundred float64 terms (rounding 1e-14); wider only where a check says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from autograder.grading.checks import hidden
from autograder.grading.compare import (
    close,
    finite,
    gradients,
    integers,
    normal,
    pair,
    same,
    shapes,
    sizes,
    strided,
    tensor,
    unchanged,
)
from autograder.sandbox.student import Call, Student

MASK, ATTENTION, ONLINE = "t1_attention.causal_mask", "t1_attention.attention", "t1_attention.online_softmax_attention"
FLOAT32 = "float32 inputs"


def _visible(q_len: int, k_len: int, offset: int) -> Tensor:
    return torch.tensor([[j <= i + offset for j in range(k_len)] for i in range(q_len)], dtype=torch.bool)


@hidden(MASK, weight=2, core=True)
def square_without_cache(student: Student, rng: np.random.Generator) -> None:
    """As many queries as keys, no cache: a query sees itself and everything before."""
    found = student.each("causal_mask", [Call(n, n) for n in range(1, 7)])
    for n in range(1, 7):
        slip = "True means: may see. A query sees itself, and nothing later. Vaswani et al. 3.2.3."
        same(next(found), _visible(n, n, 0), f"causal_mask({n}, {n})", slip)


@hidden(MASK, weight=1)
def every_shape(student: Student, rng: np.random.Generator) -> None:
    """More keys than queries or fewer, offset 0: positions count from 0 on both sides."""
    lengths = list(product(range(1, 7), repeat=2))
    found = student.each("causal_mask", [Call(q_len, k_len) for q_len, k_len in lengths])
    for q_len, k_len in lengths:
        slip = "Rows are queries; with offset 0 both sides count from position 0. Read what the docstring says of positions."
        same(next(found), _visible(q_len, k_len, 0), f"causal_mask({q_len}, {k_len})", slip)


@hidden(MASK, weight=3)
def offset_moves_the_queries(student: Student, rng: np.random.Generator) -> None:
    """With an offset the queries come after a cache; the last query of a full cache sees every key."""
    slip = "Query i stands at position i + offset; the keys do not move."
    full = [(q_len, q_len + int(rng.integers(1, 6))) for q_len in range(1, 7)]
    masks = student.each("causal_mask", [Call(q_len, k_len, k_len - q_len) for q_len, k_len in full])
    for q_len, k_len in full:
        what = f"causal_mask({q_len}, {k_len}, offset={k_len - q_len})"
        found = tensor(next(masks), what, (q_len, k_len), torch.bool)
        assert found[-1].all(), f"{what}: the last query stands at the last key and must see all keys. {slip}"
    some = [[int(i) for i in rng.integers((1, 1, 1), (7, 7, 9))] for _ in range(20)]
    masks = student.each("causal_mask", [Call(q_len, k_len, offset=offset) for q_len, k_len, offset in some])
    for q_len, k_len, offset in some:
        what = f"causal_mask({q_len}, {k_len}, offset={offset})"
        same(next(masks), _visible(q_len, k_len, offset), what, slip)


def _inputs(rng: np.random.Generator, lead: tuple[int, ...], q: int, k: int, d: int, e: int) -> tuple[Tensor, Tensor, Tensor]:
    return normal(rng, *lead, q, d), normal(rng, *lead, k, d), normal(rng, *lead, k, e)


def _mask(rng: np.random.Generator, *shape: int) -> Tensor:
    """Draw a mask in which every query may see some key, and a few masks' worth of both values."""
    mask = torch.from_numpy(rng.random(shape) < 0.5)
    return mask.scatter(-1, integers(rng, 0, shape[-1], *shape[:-1], 1), True)


def _oracle(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> tuple[Tensor, Tensor]:
    """torch's attention; its weights are read by averaging unit vectors."""
    q, k, v = q.double(), k.double(), v.double()
    unit = torch.eye(k.shape[-2], dtype=torch.float64).expand(*k.shape[:-1], k.shape[-2])
    return tuple(scaled_dot_product_attention(q, k, x, attn_mask=mask, scale=scale) for x in (v, unit))


def _agree(found: object, expected: tuple[Tensor, Tensor], case: str, slip: str = "", rtol: float = 1e-9) -> None:
    out, pattern = pair(found, f"attention for {case}")
    dtype = torch.float32 if case == FLOAT32 else torch.float64
    close(pattern, expected[1], f"pattern for {case}", rtol=rtol, dtype=dtype, slip=slip)
    close(out, expected[0], f"out for {case}", rtol=rtol, dtype=dtype, slip=slip)


@hidden(ATTENTION, weight=3, core=True)
def values(student: Student, rng: np.random.Generator) -> None:
    """The rows of the pattern are weights over the keys, and the output averages the values with them."""
    cases = []
    for case in range(12):
        lead = [(), (int(rng.integers(1, 4)),), (2, int(rng.integers(1, 4)))][case % 3]
        n_q, n_k, d, e = sizes(rng, 4, 2, 9)
        if case >= 8:  # size 1 in turn
            n_q, n_k, d, e = (1 if i == case - 8 else n for i, n in enumerate((n_q, n_k, d, e)))
        q, k, v = _inputs(rng, lead, n_q, n_k, d, e)
        cases.append((q, k, v, _mask(rng, *lead, n_q, n_k)) if case % 2 else (q, k, v))
    answers = student.each("attention", [Call(*given) for given in cases])
    for q, k, v, *given in cases:
        mask = given[0] if given else None
        said = shapes(q=q, k=k, v=v) + (", with a mask" if given else "")
        out, pattern = pair(next(answers), f"attention for {said}")
        finite(pattern, f"pattern for {said}", (*q.shape[:-1], k.shape[-2]), torch.float64)
        rows = "Each row must sum to 1: is the softmax over the keys, the last axis?"
        ones = torch.ones(q.shape[:-1], dtype=torch.float64)
        close(pattern.detach().sum(-1), ones, f"row sums of pattern for {said}", rtol=1e-9, slip=rows)
        slip = "Which d is under the root? Which side of the mask is True? Vaswani et al. 3.2.1."
        _agree((out, pattern), _oracle(q, k, v, mask), said, slip)
    order = torch.from_numpy(rng.permutation(k.shape[-2]))
    moved, _ = pair(student.fn("attention")(q, k[..., order, :], v[..., order, :], mask[..., order]), "attention")
    slip = "A key's place carries no meaning."
    close(moved, out.detach(), "out after keys, values and mask were put in another order", rtol=1e-9, slip=slip)


@hidden(ATTENTION, weight=1)
def scale_is_used(student: Student, rng: np.random.Generator) -> None:
    """A given scale replaces 1 / sqrt(d): also 1, and also 0, which makes all weights equal."""
    scales = (float(rng.uniform(0.2, 3)), 1.0, 0.0, -float(rng.uniform(0.2, 3)))
    cases = [(_inputs(rng, (3,), *sizes(rng, 4, 2, 9)), scale) for scale in scales]
    answers = student.each("attention", [Call(*qkv, scale=scale) for qkv, scale in cases])
    for qkv, scale in cases:
        slip = "Only None stands for 1 / sqrt(d); a given scale is taken as it is, once."
        _agree(next(answers), _oracle(*qkv, scale=scale), f"scale={scale:.3g}", slip)


@hidden(ATTENTION, weight=1)
def masks_and_layouts(student: Student, rng: np.random.Generator) -> None:
    """A mask may broadcast, float32 stays float32, and a strided input is as good as a contiguous one."""
    b, h, n_q, n_k, d, e = sizes(rng, 6, 2, 9)
    q, k, v = (strided(x) for x in _inputs(rng, (b, h), n_q, n_k, d, e))
    masks = [_mask(rng, *shape) for shape in ((n_q, n_k), (b, 1, 1, n_k), (b, 1, n_q, n_k), (h, n_q, n_k))]
    short = tuple(x.float() for x in (q, k, v))
    answers = student.each("attention", [*(Call(q, k, v, mask=mask) for mask in masks), Call(*short, mask=masks[-1])])
    for mask in masks:
        slip = "The mask broadcasts to the scores, as torch broadcasts: aligned at the last axis."
        expected = _oracle(q, k, v, mask.expand(b, h, n_q, n_k))
        _agree(next(answers), expected, f"{shapes(q=q, k=k, mask=mask)}", slip)
    expected = _oracle(*short, masks[-1].expand(b, h, n_q, n_k))
    _agree(next(answers), expected, FLOAT32, rtol=1e-5)  # float32 is the point here


@hidden(ATTENTION, weight=3)
def masked_weight_is_zero(student: Student, rng: np.random.Generator) -> None:
    """However low or high the scores, a masked key has weight exactly 0 and the others are not disturbed."""
    # A common shift of the scores cancels. What remains is their rounding: shift x 2^-52 x a few, hence the two tolerances.
    cases = []
    for shift, rtol in ((-5e4, 1e-9), (-3e8, 1e-5), (2e4, 1e-9)):
        n_q, n_k, d, e = sizes(rng, 4, 2, 9)
        q, k, v = _inputs(rng, (2,), n_q, n_k, d, e)
        mask = _mask(rng, 2, n_q, n_k)
        mask[:, 0] = torch.arange(n_k) > 0  # at least one key is hidden
        q[..., -1], k[..., -1] = 1.0, 0.0
        expected = _oracle(q, k, v, mask)
        k[..., -1] = shift * d**0.5
        cases.append((q, k, v, mask, expected, f"scores near {shift:.0g}", rtol))
    answers = student.each("attention", [Call(*case[:4]) for case in cases])
    for _, _, _, mask, expected, case, rtol in cases:
        out, pattern = pair(next(answers), f"attention for {case}")
        slip = "A finite fill value leaks once the scores are lower still. Docstring: exactly 0."
        finite(pattern, f"pattern for {case}", expected[1].shape, torch.float64, "Does an exponential overflow?")
        same(pattern[~mask].detach(), torch.zeros(int((~mask).sum()), dtype=torch.float64), f"weights of masked keys, {case}", slip)
        _agree((out, pattern), expected, case, slip, rtol)
    # Only the visible keys are low now: taking the hidden ones out after the softmax leaves nothing of the others.
    q, k, v = _inputs(rng, (2,), 4, 7, 3, 5)
    mask, q[..., -1] = torch.from_numpy(rng.permutation(7)) < int(rng.integers(1, 7)), 1.0  # some hidden, some visible
    k[:, mask, -1] -= 5e4
    slip = "The softmax runs over the visible keys only."
    found = student.fn("attention")(q, k, v, mask.expand(4, 7))
    _agree(found, _oracle(q, k, v, mask.expand(4, 7)), "visible keys at -3e4, hidden ones near 0", slip)
    q, k, v = _inputs(rng, (2,), 5, 7, 3, 4)
    k[:, 3] = k[:, 1]  # a tie
    expected = _oracle(q * 1e4, k, v)
    _agree(student.fn("attention")(q * 1e4, k, v), expected, "scores 10,000 times larger", "Does an exponential overflow?")


@hidden(ATTENTION, weight=3)
def empty_rows(student: Student, rng: np.random.Generator) -> None:
    """A query that may see no key gets zeros, the others are as ever, and all gradients are finite and right."""
    n_q, n_k, d, e = sizes(rng, 4, 4, 9)
    q, k, v = (x.requires_grad_() for x in _inputs(rng, (), n_q, n_k, d, e))
    mask = _mask(rng, n_q, n_k)
    seeing = torch.ones(n_q, dtype=torch.bool)
    seeing[torch.from_numpy(rng.choice(n_q, size=2, replace=False))] = False
    mask[~seeing] = False
    case = f"{shapes(q=q, k=k)}, 2 queries without a key"
    out, pattern = pair(student.fn("attention")(q, k, v, mask), f"attention for {case}")
    slip = "A softmax over -inf only is 0/0; an equal share for all keys is no zero either."
    expected_out, expected = torch.zeros(n_q, e, dtype=torch.float64), torch.zeros(n_q, n_k, dtype=torch.float64)
    seen = _oracle(q[seeing], k, v, mask[seeing])
    expected_out[seeing], expected[seeing] = (x.detach() for x in seen)
    _agree((out, pattern), (expected_out, expected), case, slip)
    upstream, wanted = normal(rng, n_q, e), {"q": q, "k": k, "v": v}
    found = gradients(out, wanted, upstream, "out")
    right = torch.autograd.grad(seen[0], list(wanted.values()), upstream[seeing])
    for name, g in zip(wanted, right, strict=True):
        slip = "NaN times 0 is NaN, also backwards: replace before the softmax."
        close(found[name], g, f"gradient of {name}, {case}", rtol=1e-9, slip=slip)
    nothing = torch.zeros(3, n_q, n_k, dtype=torch.bool)
    q, k, v = _inputs(rng, (3,), n_q, n_k, d, e)
    zeros = torch.zeros(3, n_q, e, dtype=torch.float64), torch.zeros(3, n_q, n_k, dtype=torch.float64)
    _agree(student.fn("attention")(q, k, v, nothing), zeros, "a mask without True", slip)


@hidden(ATTENTION, weight=1)
def gradients_flow(student: Student, rng: np.random.Generator) -> None:
    """Gradients reach q, k and v under a random upstream gradient, and the inputs stay as they were."""
    for masked in (False, True, True):
        n_q, n_k, d, e = sizes(rng, 4, 2, 9)
        q, k, v = _inputs(rng, (2, 3), n_q, n_k, d, e)
        mask = _mask(rng, n_q, n_k) if masked else None
        before = [x.clone() if x is not None else None for x in (q, k, v, mask)]
        _, after = student.fn("attention", return_args=True)(q, k, v, mask)
        unchanged(after, before, "q k v mask", "attention")
        inputs = {"q": q.requires_grad_(), "k": k.requires_grad_(), "v": v.requires_grad_()}
        out, _ = pair(student.fn("attention")(q, k, v, mask), "attention")
        expected, upstream = _oracle(q, k, v, mask)[0], normal(rng, 2, 3, n_q, e)
        close(out, expected, f"out for {shapes(**inputs)}", rtol=1e-9)
        found = gradients(out, inputs, upstream, "out")
        for (name, x), g in zip(inputs.items(), torch.autograd.grad(expected, list(inputs.values()), upstream), strict=True):
            close(found[name], g, f"gradient of {name} {tuple(x.shape)}", rtol=1e-9, slip="Is something detached on the way?")


Case = tuple[Tensor, Tensor, Tensor, int]  # q, k, v and the size of a block


def _online(student: Student, cases: Sequence[Case], slip: str, *other_slips: str) -> None:
    """Compare each case; slips beyond the first belong to the second case and so on."""
    answers = student.each("online_softmax_attention", [Call(*case) for case in cases])
    for i, (q, k, v, block) in enumerate(cases):
        expected = scaled_dot_product_attention(q.double(), k.double(), v.double())
        said, rtol = f"result for {shapes(q=q, k=k, v=v)}, block={block}", 1e-5 if q.dtype is torch.float32 else 1e-9
        close(next(answers), expected, said, rtol=rtol, dtype=q.dtype, slip=(slip, *other_slips)[min(i, len(other_slips))])


@hidden(ONLINE, weight=2, core=True)
def whole_blocks(student: Student, rng: np.random.Generator) -> None:
    """Exact attention where the block size divides the number of keys."""
    cases = []
    for lead, n_blocks in (((), 1), ((2,), 3), ((2, 3), 4)):
        n_q, block, d, e = sizes(rng, 4, 2, 7)
        cases.append((*_inputs(rng, lead, n_q, n_blocks * block, d, e), block))
    _online(student, cases, "Sums made with an older maximum must be rescaled. Milakov and Gimelshein, section 3.")


@hidden(ONLINE, weight=2)
def any_block_size(student: Student, rng: np.random.Generator) -> None:
    """A last block that is shorter, blocks of one key, and a block larger than all keys."""
    lengths = ((7, 3), (8, 5), (5, 1), (1, 1), (1, 4), (6, 50), (int(rng.integers(9, 14)), 4))
    cases = [(*_inputs(rng, (2,), *sizes(rng, 1, 1, 6), n_k, *sizes(rng, 2, 1, 6)), block) for n_k, block in lengths]
    _online(student, cases, "What happens to the keys after the last whole block?")


@hidden(ONLINE, weight=2)
def maxima_in_any_order(student: Student, rng: np.random.Generator) -> None:
    """Maxima that rise from block to block, fall, or jump."""
    cases, slips = [], []
    for order in ("rising", "falling", "as they come"):
        n_q, block, d, e = sizes(rng, 4, 2, 7)
        q, k, v = _inputs(rng, (2,), n_q, 4 * block + 1, d, e)
        q[..., -1], k[..., -1] = 1.0, 8 * normal(rng, 4 * block + 1)
        if order != "as they come":
            k[..., -1] = k[..., -1].sort(descending=order == "falling").values
        cases.append((q, k, v, block))
        slips.append(f"The maxima come {order} here. What was summed before must be brought to the new maximum.")
    _online(student, cases, *slips)


@hidden(ONLINE, weight=2)
def far_from_zero(student: Student, rng: np.random.Generator) -> None:
    """Scores far below and far above 0, and 10,000 times larger; float32 and strided inputs; inputs stay as they were."""
    slip, cases = "Where does the running maximum start, and is it taken off before every exponential?", []
    for shift in (2e4, -5e4):  # above first: there a maximum that starts at 0 does no harm, and none at all does
        n_q, n_k, d, e = sizes(rng, 4, 2, 9)
        q, k, v = _inputs(rng, (2,), n_q, n_k, d, e)
        q[..., -1], k[..., -1] = 1.0, shift * d**0.5
        # The scores themselves are rounded at 5e4 x 2^-52, differently in every order of summation: 1e-9 is 20 times that.
        cases.append((q, k, v, 2))
    q, k, v = (strided(x) for x in _inputs(rng, (3,), 4, 7, 5, 6))
    cases += [(q * 1e4, k, v, 3), (q.float(), k.float(), v.float(), 3)]
    _online(student, cases, slip, slip, slip, "float32 inputs.")
    before = [x.clone() for x in (q, k, v)]
    _, after = student.fn("online_softmax_attention", return_args=True)(q, k, v, 3)
    unchanged(after, before, "q k v", "online_softmax_attention")


@hidden(ONLINE, evidence="observed")
def no_tensor_of_all_scores(student: Student, rng: np.random.Generator) -> None:
    """No tensor is larger than the inputs, the output and the scores of one block."""
    n_q, n_k, d, e, block = 40, 400, 6, 5, 10
    q, k, v = _inputs(rng, (2,), n_q, n_k, d, e)
    _, seen = student.observe("online_softmax_attention", q, k, v, block)
    bound = 2 * max(n_q * d, n_k * d, n_k * e, n_q * e, n_q * block)
    assert seen.max_numel <= bound, f"A tensor of {seen.max_numel} numbers was made; block={block} needs none above {bound}."
