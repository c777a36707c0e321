"""Your functions in; an "ok" line, or an AssertionError that guesses the slip, out. Practice, never a score.

Every check tries a handful of small cases. The checks that score try many more, so an "ok" here is encouragement, not proof.
Needs torch only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def check_pairwise_sq_dists(pairwise_sq_dists: Callable[..., Tensor]) -> None:
    x, y = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    table = _tensor(pairwise_sq_dists(x, y), "the table for x (2 2), y (3 2)", (2, 3), torch.float32)
    slips = {5.0: "Is there a root?", 12.5: "Is it a mean over features?", 7.0: "Absolute values in place of squares?"}
    slips |= {50.0: "Is the mixed term there, and with its sign?", 25.0: ""}
    _near(float(table[1, 0]), 25.0, "(3, 4) and (0, 0): the entry [1, 0]", slips)
    _near(float(table[1, 1]), 16.0, "(3, 4) and (3, 0): the entry [1, 1]", {25.0: "Does the mixed term occur once or twice?"})
    _close(table, torch.tensor([[0.0, 9, 16], [25, 16, 9]]), "x = (0,0) (3,4), y = (0,0) (3,0) (0,4): the table is wrong")
    near = torch.arange(60.0).reshape(20, 3) * 1e-3 + 5000
    lowest = float(pairwise_sq_dists(near, near).min())
    assert lowest >= 0, f"20 points near (5000, 5000, 5000): the smallest squared distance is {lowest:.3g}. What does rounding do?"
    _ok("pairwise_sq_dists")


def check_bilinear(bilinear: Callable[..., Tensor]) -> None:
    x, y, bias = torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([[1.0, 0, 0], [0, 0, 1]]), torch.tensor([10.0, 20, 30, 40])
    w = torch.arange(24.0).reshape(4, 2, 3)
    made = _tensor(bilinear(x, w, y, bias), "the result for x (2 2), w (4 2 3), y (2 3), bias (4)", (2, 4), torch.float32)
    slips = {
        0.0: "Is the bias there?",
        15.0: "Are samples of the batch added up?",
        12.0: "Does sample 0 meet the y of all samples?",
    }
    _near(float(made[0, 0]), 10.0, "x[0] and y[0] pick w[0, 0, 0] = 0, and the bias is 10: the entry [0, 0]", slips)
    _near(
        float(made[1, 2]), 47.0, "x[1] and y[1] pick w[2, 1, 2] = 17, and the bias is 30: the entry [1, 2]", {17.0: "And the bias?"}
    )
    doubled = bilinear(2 * x, w, y, bias)
    _close(doubled - bias, 2 * (made - bias), "Doubling x should double everything but the bias")
    square = torch.tensor([[[0.0, 1], [0, 0]]])
    got = float(bilinear(torch.tensor([[1.0, 0]]), square, torch.tensor([[0.0, 1]]), torch.zeros(1)))
    _near(got, 1.0, "x = (1, 0), y = (0, 1), w[0] = ((0, 1), (0, 0))", {0.0: "Which index of w belongs to x?"})
    _ok("bilinear")


def check_patchify(patchify: Callable[..., Tensor], unpatchify: Callable[..., Tensor]) -> None:
    img = torch.arange(24.0).reshape(1, 1, 4, 6)
    patches = _tensor(patchify(img, 2), "patchify for one image (1 4 6), p=2", (1, 6, 4), torch.float32)
    first, second = patches[0, 0].tolist(), patches[0, 1].tolist()
    assert first != [0, 1, 2, 3], "The first patch is 0 1 2 3: a run of one row, not a square. A reshape alone keeps the order."
    assert first != [0, 6, 1, 7], "The first patch is 0 6 1 7: its pixels go down first. They should go to the right first."
    assert first != [0, 3, 12, 15], "The first patch is 0 3 12 15: not neighbours. Look at the order within your brackets."
    assert first == [0, 1, 6, 7], f"The first patch is {first}, and should be the upper left square."
    assert second != [12, 13, 18, 19], "The second patch stands below the first. It should stand to its right."
    assert second == [2, 3, 8, 9], f"The second patch is {second}, and should be the square to the right of the first."
    colours = torch.stack([torch.zeros(2, 2), torch.ones(2, 2)])[None]
    one = patchify(colours, 2)[0, 0].tolist()
    assert one == [0, 0, 0, 0, 1, 1, 1, 1], f"Channels of zeros and ones in one patch: {one}. All of channel 0 comes first."
    img = _draw(0, 2, 3, 4, 6)
    back = _tensor(unpatchify(patchify(img, 2), 2, 4, 6), "unpatchify to 4 x 6", (2, 3, 4, 6), torch.float64)
    assert torch.equal(back, img), "There and back is another image. Which number of patches is the number of rows?"
    for h, w in ((4, 5), (5, 4)):
        _raises(ValueError, lambda h=h, w=w: patchify(torch.zeros(1, 1, h, w), 2), f"An image of {h} x {w}, p=2")
        _raises(ValueError, lambda h=h, w=w: unpatchify(torch.zeros(1, 4, 4), 2, h, w), f"unpatchify to {h} x {w}, p=2")
    _ok("patchify, unpatchify")


def check_masked_mean(masked_mean: Callable[..., Tensor]) -> None:
    x = torch.tensor([[[2.0], [4.0], [90.0]], [[1.0], [1.0], [1.0]]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    mean = _tensor(masked_mean(x, mask), "the result for x (2 3 1)", (2, 1), torch.float32)
    slips = {2.0: "That is the sum divided by t.", 32.0: "The masked entry counts.", 90.0: "Is the mask inverted?"}
    _near(float(mean[0]), 3.0, "The mean of 2 and 4, with 90 masked,", slips)
    assert not mean[1].isnan().any(), "A sequence without any True gives nan: 0/0. It should give zeros."
    assert float(mean[1]) == 0, f"A sequence without any True gives {float(mean[1]):.3g}. It should give zeros."
    x[0, 2] = math.inf
    shown = float(masked_mean(x, mask)[0])
    assert not math.isnan(shown), "A masked entry is inf, and the mean is nan. What is 0 times inf?"
    _near(shown, 3.0, "The mean of 2 and 4, with inf masked,", {})
    x = torch.ones(2, 3, 1, requires_grad=True)
    masked_mean(x, mask).sum().backward()
    assert x.grad is not None, "No gradient reaches x."
    assert not x.grad.isnan().any(), "The gradient is nan for a sequence without any True. Where is 0 divided by 0?"
    _ok("masked_mean")


def check_logsumexp(logsumexp: Callable[..., Tensor]) -> None:
    x = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    rows = _tensor(logsumexp(x, 1), "logsumexp for x (2 3), dim=1", (2,), torch.float32)
    _near(float(rows[0]), math.log(3), "Three zeros", {0.0: "Is it a mean of exponentials?", 3.0: "Where is the logarithm?"})
    _near(float(rows[1]), 3.4076059, "1, 2, 3", {0.4076059: "Was the shift added back?", -2.5923941: "Which sign has the shift?"})
    _tensor(logsumexp(x, 0), "logsumexp for x (2 3), dim=0", (3,))
    _tensor(logsumexp(x, 0, keepdim=True), "logsumexp for x (2 3), dim=0, keepdim=True", (1, 3))
    _tensor(logsumexp(x[:, :1, None], 0), "logsumexp for x (2 1 1), dim=0", (1, 1))
    far = logsumexp(torch.tensor([[500.0, 500.0], [-500.0, -500.0]]), 1)
    assert far.isfinite().all(), f"Rows of 500 and of -500 give {far.tolist()}. What is subtracted, and from which row?"
    _close(far, torch.tensor([500.0, -500.0]) + math.log(2), "Rows of 500 and of -500: not 500.693 and -499.307", 1e-6)
    x = torch.tensor([[0.0, -math.inf], [-math.inf, -math.inf]], requires_grad=True)
    got = logsumexp(x, 1)
    assert not got.isnan().any(), f"Rows (0, -inf) and (-inf, -inf) give {got.tolist()}. What is -inf minus -inf?"
    assert got.tolist() == [0.0, -math.inf], f"Rows (0, -inf) and (-inf, -inf) give {got.tolist()}, not [0, -inf]."
    got.sum().backward()
    assert x.grad is not None, "No gradient reaches x."
    assert not x.grad.isnan().any(), "A row of -inf has a nan in its gradient. Which functions have no finite slope there?"
    _ok("logsumexp")


def check_next_token_logprobs(next_token_logprobs: Callable[..., Tensor]) -> None:
    # Position i is certain that token i + 1 of the text 0 1 2 3 comes next; the last position bets on 0.
    logits = 50 * torch.eye(4)[None, [1, 2, 3, 0]].double()
    got = _tensor(next_token_logprobs(logits, torch.arange(4)[None]), "the result for t=4", (1, 3), torch.float64)
    slip = "Row i of the logits speaks of token i + 1." if float(got.min()) < -1 else "Is it a log-probability?"
    assert float(got.abs().max()) < 1e-9, f"Every next token is certain, and the result is {_few(got)}, not zeros. {slip}"
    even = next_token_logprobs(torch.zeros(2, 3, 5), torch.zeros(2, 3, dtype=torch.int64))
    slips = {math.log(5): "Is it a loss?", -math.log(3): "Over which axis is it normalised?", -math.log(2): "Over which axis?"}
    slips |= {0.2: "Where is the logarithm?", 0.0: "Is it normalised?"}
    _near(float(even[0, 0]), -math.log(5), "Five equal logits: the first entry", slips)
    _tensor(next_token_logprobs(torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.int64)), "the result for b=1, t=2", (1, 1))
    low = float(next_token_logprobs(torch.tensor([[[0.0, 300.0], [0.0, 0.0]]]), torch.tensor([[0, 0]])))
    assert math.isfinite(low), f"Logits 0 and 300, and the token with 0: {low}. A probability was rounded to 0 on the way."
    _near(low, -300.0, "Logits 0 and 300, and the token with 0:", {})
    _ok("next_token_logprobs")


def check_sliding_windows(sliding_windows: Callable[..., Tensor]) -> None:
    x = torch.arange(7.0)
    got = _tensor(sliding_windows(x, 3, 2), "the windows of 7 entries, size 3, stride 2,", (3, 3)).tolist()
    slip = "Which axis does the stride move?" if got[0] == [0, 2, 4] else "Windows are rows."
    assert got == [[0, 1, 2], [2, 3, 4], [4, 5, 6]], f"The windows of 0..6, size 3, stride 2, are {got}. {slip}"
    _tensor(sliding_windows(torch.arange(8.0), 3, 2), "the windows of 8 entries, size 3, stride 2,", (3, 3))
    _tensor(sliding_windows(x, 7, 1), "the windows of 7 entries, size 7,", (1, 7))
    table = torch.arange(12.0).reshape(4, 3)
    turned = _tensor(sliding_windows(table.T, 2, 2), "the windows of x (3 4), size 2, stride 2,", (3, 2, 2))
    assert turned[0].tolist() == [[0, 3], [6, 9]], (
        f"x is a transposed matrix with the row 0 3 6 9, whose windows are {turned[0].tolist()}. How is x laid out in memory?"
    )
    part = sliding_windows(x[2:], 2, 3)
    assert part.tolist() == [[2, 3], [5, 6]], (
        f"The windows of 2 3 4 5 6, a slice, size 2, stride 3: {part.tolist()}. Where does x begin?"
    )
    view = sliding_windows(x, 3, 2)
    x[2] = 100
    assert view[0, 2] == 100, "x[2] was changed, and the windows still show the old number: they are a copy."
    _ok("sliding_windows")


def check_scatter_mean(scatter_mean: Callable[..., Tensor]) -> None:
    values, index = torch.tensor([[2.0], [10.0], [4.0], [6.0]]), torch.tensor([2, 0, 2, 2])
    means = _tensor(scatter_mean(values, index, 4), "the result for n=4, d=1, k=4", (4, 1), torch.float32)
    assert not means.isnan().any(), f"The means are {_few(means)}: an empty group is 0/0. It should give zeros."
    slips = {
        12.0: "That is the sum.",
        2.0: "Is only the last of its rows there?",
        6.0: "Is only the last of its rows there?",
        3.0: "Is the sum divided by n, or by one too many?",
    }
    _near(float(means[2]), 4.0, "Rows 2, 4 and 6 belong to group 2, whose mean", slips)
    _near(
        float(means[0]),
        10.0,
        "Row 10 alone belongs to group 0, whose mean",
        {5.0: "Is one too many counted?", 2.0: "Is it sorted?"},
    )
    assert means[[1, 3]].abs().max() == 0, f"Groups 1 and 3 have no rows, and their means are {_few(means[[1, 3]])}, not zeros."
    values.requires_grad_()
    scatter_mean(values, index, 4).sum().backward()
    assert values.grad is not None, "No gradient reaches the values."
    _near(float(values.grad[0]), 1 / 3, "The gradient of a row in a group of three", {1.0: "Is the division outside of the graph?"})
    _ok("scatter_mean")


def check_pad_ragged(pad_ragged: Callable[..., tuple[Tensor, Tensor]]) -> None:
    seqs = [torch.tensor([5, 0]), torch.tensor([], dtype=torch.int64), torch.tensor([7, 8, 9])]
    for side, rows, real in (
        ("right", [[5, 0, 0], [0, 0, 0], [7, 8, 9]], [[1, 1, 0], [0, 0, 0], [1, 1, 1]]),
        ("left", [[0, 5, 0], [0, 0, 0], [7, 8, 9]], [[0, 1, 1], [0, 0, 0], [1, 1, 1]]),
    ):
        said = f'for 5 0, nothing, and 7 8 9, value=0, side="{side}",'
        made = pad_ragged(seqs, 0, side)
        assert isinstance(made, (tuple, list)), f"pad_ragged {said} is a {type(made).__name__}, not the pair (x, mask)."
        assert len(made) == 2, f"pad_ragged {said} returns {len(made)} values, not the pair (x, mask)."
        x = _tensor(made[0], f"x {said}", (3, 3), torch.int64).tolist()
        mask = _tensor(made[1], f"the mask {said}", (3, 3), torch.bool).int().tolist()
        assert x == rows, f"x {said} is {x}, not {rows}. The side is where the padding goes; the order stays."
        slip = "A real 0 is no padding: ask the lengths." if mask[0] != real[0] and sum(mask[0]) == 1 else "True: a real entry."
        assert mask == real, f"The mask {said} is {mask}, not {real}. {slip}"
    x, _ = pad_ragged(seqs, -1, "right")
    assert x[1].tolist() == [-1, -1, -1], f"An empty sequence, value=-1: its row is {x[1].tolist()}."
    _raises(ValueError, lambda: pad_ragged(seqs, 0, "middle"), 'side="middle"')
    _ok("pad_ragged")


def check_einsum2(einsum2: Callable[..., Tensor]) -> None:
    a, b, c = _draw(0, 2, 3), _draw(1, 3, 4), _draw(2, 5, 2, 3)
    cases = {
        ("ij,jk->ik", a, b): (a @ b, "A matrix product."),
        ("ij,jk->ki", a, b): ((a @ b).T, "Is the output in the order that is asked for?"),
        ("ij,ij->ij", a, 2 * a): (2 * a * a, "Entry by entry: nothing is summed."),
        ("i,j->ij", a[0], b[0]): (a[0][:, None] * b[0], "Every entry with every entry: nothing is summed."),
        ("bij,jk->bik", c, b): (c @ b, "A letter of one operand only, kept."),
        ("bij,bj->bi", c, c[:, 0]): ((c * c[:, :1]).sum(2), "b is in both and kept: it is not summed."),
        ("ij,jk->k", a, b): ((a @ b).sum(0), "i is in one operand only, and not kept: it is summed."),
        ("ij,ij->", a, a): ((a * a).sum(), "Everything is summed."),
        ("bij,bkj->kib", c, c): ((c @ c.mT).permute(2, 1, 0), "Permuted the right way round?"),
    }
    for (eq, left, right), (want, slip) in cases.items():
        got = _tensor(einsum2(eq, left, right), f'einsum2("{eq}")', tuple(want.shape), torch.float64)
        _close(got, want, f'einsum2("{eq}") gives other numbers. {slip}')
    square = _draw(3, 3, 3)
    _raises(ValueError, lambda: einsum2("ii,ij->j", square, square), '"ii,ij->j" has a diagonal')
    _raises(ValueError, lambda: einsum2("ij,jk->iz", square, square), '"ij,jk->iz": no operand has z')
    _raises(ValueError, lambda: einsum2("ij,jk->ik", a, a), '"ij,jk->ik" for (2 3) and (2 3): j has two sizes')
    _ok("einsum2")


def _draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _few(x: Tensor) -> str:
    return "(" + ", ".join(f"{float(e):.3g}" for e in x.flatten()[:5]) + (", ...)" if x.numel() > 5 else ")")


def _tensor(value: Any, what: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
    what = what[0].upper() + what[1:]
    assert value is not None, f"{what} is None. Did you forget `return`?"
    assert isinstance(value, Tensor), f"{what} is a {type(value).__name__}, not a tensor."
    assert value.shape == shape, f"{what} has shape {tuple(value.shape)}, not {shape}."
    assert dtype is None or value.dtype == dtype, f"{what} has dtype {value.dtype}, not {dtype}."
    return value


def _close(got: Tensor, want: Tensor, message: str, tolerance: float = 1e-9) -> None:
    gap = float((got - want).abs().max())
    assert gap <= tolerance * max(1.0, float(want.abs().max())), f"{message.rstrip('.')} (largest difference {gap:.2g})."


def _near(got: float, want: float, what: str, slips: dict[float, str], tolerance: float = 1e-5) -> None:
    if abs(got - want) <= tolerance * max(1, abs(want)):
        return
    guess = next((text for value, text in slips.items() if abs(got - value) < 1e-4), "")
    raise AssertionError(f"{what} is {got:.6g}, and should be {want:.6g}. {guess}".rstrip())


def _raises(error: type[Exception], call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except error:
        return
    except Exception as e:
        raise AssertionError(f"{what}, and {type(e).__name__} was raised. The docstring asks for {error.__name__}.") from None
    raise AssertionError(f"{what}, and no {error.__name__} was raised. The docstring asks for one.")


def _ok(names: str) -> None:
    print(f"ok  {names}")
