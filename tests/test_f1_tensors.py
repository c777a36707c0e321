"""F1: its visible checks name the slip, its hidden checks hold on a draw. What every lesson must fulfil: test_lessons_run.py.

The full proof of the hidden checks is `bootcamp check f1_tensors` (20 seeds); here one draw stands for them.
"""

from __future__ import annotations

from typing import Any

import einops
import pytest
import torch

from autograder.grading.draw import rng_for
from autograder.grading.gate import report
from autograder.sandbox.inprocess import open_in_process
from solutions import f1_tensors as reference
from tests.lesson_world import lesson

F1 = lesson("f1_tensors")
# As in the curriculum (F1.1 to F1.10).
POINTS = {
    "pairwise_sq_dists": 8,
    "bilinear": 8,
    "patchify": 10,
    "masked_mean": 10,
    "logsumexp": 10,
    "next_token_logprobs": 12,
    "sliding_windows": 12,
    "scatter_mean": 10,
    "pad_ragged": 8,
    "einsum2": 12,
}


# -- the lesson ------------------------------------------------------------------------------------------------------------


def test_points_are_the_curriculums():
    """Ten exercises, 100 points, about 4.8 hours."""
    assert F1.points == POINTS
    assert sum(cell.options.minutes for cell in F1.exercises.values() if cell.options) == 288


# -- the visible checks ----------------------------------------------------------------------------------------------------


def lse(x, dim, keepdim=False, top=None):
    c = x.amax(dim, keepdim=True) if top is None else top
    return ((x - c).exp().sum(dim, keepdim=True).log() + c).squeeze(dim)


def unshifted(logits, tokens):
    return logits.log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)[:, :-1]


def copied_windows(x, size, stride):
    return x.unfold(-1, size, stride).clone()


def contiguous_windows(x, size, stride):
    m = (x.shape[-1] - size) // stride + 1
    return x.as_strided((*x.shape[:-1], m, size), (*x.stride()[:-1], stride, 1))


def last_one_wins(values, index, k):
    total = torch.zeros(k, values.shape[1])
    total[index] += values
    return total / torch.bincount(index, minlength=k).clamp(min=1)[:, None]


def mask_by_value(seqs, value, side):
    x, _ = reference.pad_ragged(seqs, value, side)
    return x, x != value


R = reference
# (exercise, what is wrong, what the message must guess)
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("pairwise_sq_dists", {"pairwise_sq_dists": lambda x, y: torch.cdist(x, y)}, "root"),
    ("pairwise_sq_dists", {"pairwise_sq_dists": lambda x, y: (x @ x.T).diag()[:, None] + (y * y).sum(1) - 2 * x @ y.T}, "rounding"),
    ("pairwise_sq_dists", {"pairwise_sq_dists": lambda x, y: R.pairwise_sq_dists(y, x)}, "shape"),
    ("bilinear", {"bilinear": lambda x, w, y, b: R.bilinear(x, w, y, 0 * b)}, "bias"),
    ("bilinear", {"bilinear": lambda x, w, y, b: torch.einsum("bi,oij,cj->bo", x, w, y) + b}, "meet the y of all"),
    ("patchify", {"patchify": lambda x, p: x.reshape(len(x), -1, x.shape[1] * p * p)}, "A reshape alone"),
    ("patchify", {"patchify": lambda x, p: R.patchify(x.mT, p)}, "pixels go down first"),
    ("patchify", {"unpatchify": lambda x, p, h, w: R.unpatchify(x, p, w, h)}, "shape"),
    ("masked_mean", {"masked_mean": lambda x, m: (x * m[..., None]).sum(1) / x.shape[1]}, "divided by t"),
    ("masked_mean", {"masked_mean": lambda x, m: x.masked_fill(~m[..., None], 0).sum(1) / m.sum(1, keepdim=True)}, "0/0"),
    ("masked_mean", {"masked_mean": lambda x, m: (x * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1)}, "0 times inf"),
    ("logsumexp", {"logsumexp": lambda x, d, keepdim=False: x.exp().sum(d, keepdim).log()}, "What is subtracted"),
    ("logsumexp", {"logsumexp": lse}, "shape"),
    ("logsumexp", {"logsumexp": lambda x, d, keepdim=False: torch.logsumexp(x, d, keepdim)}, "nan in its gradient"),
    ("logsumexp", {"logsumexp": lambda x, d, keepdim=False: R.logsumexp(x, d, keepdim) - x.amax(d, keepdim)}, "added back"),
    ("next_token_logprobs", {"next_token_logprobs": unshifted}, "speaks of token i"),
    ("next_token_logprobs", {"next_token_logprobs": lambda x, t: -R.next_token_logprobs(x, t)}, "a loss"),
    ("next_token_logprobs", {"next_token_logprobs": lambda x, t: R.next_token_logprobs(x, t).squeeze()}, "shape"),
    ("sliding_windows", {"sliding_windows": copied_windows}, "a copy"),
    ("sliding_windows", {"sliding_windows": contiguous_windows}, "laid out in memory"),
    ("scatter_mean", {"scatter_mean": last_one_wins}, "last of its rows"),
    (
        "scatter_mean",
        {"scatter_mean": lambda v, i, k: R.scatter_mean(v, i, k) * torch.bincount(i, minlength=k)[:, None]},
        "the sum",
    ),
    ("scatter_mean", {"scatter_mean": lambda v, i, k: R.scatter_mean(v, i.sort().values, k)}, "."),
    ("pad_ragged", {"pad_ragged": mask_by_value}, "ask the lengths"),
    ("pad_ragged", {"pad_ragged": lambda s, v, side: R.pad_ragged([x.float() for x in s], v, side)}, "dtype"),
    (
        "pad_ragged",
        {"pad_ragged": lambda s, v, side: R.pad_ragged(s, v, "left" if side == "right" else "right")},
        "the side is where",
    ),
    ("einsum2", {"einsum2": lambda eq, a, b: a @ b}, "shape"),
    ("einsum2", {"einsum2": lambda eq, a, b: torch.einsum(eq, a, b)}, "ValueError"),
]


@pytest.mark.parametrize(("name", "wrong", "guess"), WRONG, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(WRONG)])
def test_a_plausible_wrong_answer_is_told_its_slip(name, wrong, guess):
    """The visible check fails with a message that guesses what went wrong."""
    with pytest.raises(AssertionError, match=f"(?i){guess}"):
        F1.visible(name, **wrong)


def test_every_exercise_has_two_wrong_answers_or_more():
    """No visible check goes untested."""
    assert {name for name in F1.exercises if sum(n == name for n, _, _ in WRONG) < 2} == set()


# -- the hidden checks -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", POINTS)
def test_the_gate_is_passed(name):
    """Reference and alternatives pass, mutants die, the stub and senseless answers earn nothing: on one draw."""
    found = report(F1.bundle, F1.bundle.manifest.exercise(f"f1_tensors.{name}"), b"sample", 1)

    assert found.faults == ()
    assert sum(v.is_mutant for v in found.variants) >= 15
    assert sum(not v.is_mutant for v in found.variants) >= 3


@pytest.mark.parametrize("name", POINTS)
def test_hints_speak_to_students_and_never_twice(name):
    """A hint is a sentence, and not the same for two slips of one exercise; so is what a check says of itself."""
    variants = [v for v in F1.bundle.variants if v.exercise == f"f1_tensors.{name}"]
    hints = [v.hint for v in variants if v.caught_by]

    assert len(set(hints)) == len(hints)
    assert len({v.label for v in variants}) == len(variants)
    assert all(h.endswith((".", "?")) for h in hints)
    assert all(c.doc.endswith(".") and "\n" not in c.doc for c in F1.bundle.checks[f"f1_tensors.{name}"])


def test_einsum_is_put_back_after_it_was_watched():
    """The check takes the place of torch's own function in one process with us: nothing of that may stay, whatever happens."""
    (check,) = (c for c in F1.bundle.checks["f1_tensors.einsum2"] if c.name == "without_einsum")
    (cheat,) = (v for v in F1.bundle.variants if v.label == "einops.einsum")
    program = F1.bundle.program({cheat.exercise: F1.bundle.variant_source(cheat)})
    with open_in_process(program) as box, pytest.raises(AssertionError, match="through einops"):
        check.run(box.student, rng_for(b"sample", "0", check.exercise, check.name))

    x = torch.arange(4.0).reshape(2, 2)
    assert torch.equal(einops.einsum(x, x, "i j, j k -> i k"), x @ x)
