"""Hidden checks of R1, what to climb: margin_loss, dlr_loss, targeted_dlr. Student and rng in, silence or a hint out.

The oracle sorts Python floats, row by row. Tolerance 1e-9: differences and one quotient of float64 numbers whose gaps are
above 1e-3, or exactly 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, gradients, integers, normal, raises, strided, unchanged
from autograder.sandbox.student import Student

LOSSES = "r1_adversarial_attacks.margin_loss"
TINY = 1e-12  # as documented


def _margin(z: list[float], y: int) -> float:
    return max(v for j, v in enumerate(z) if j != y) - z[y]


def _dlr(z: list[float], y: int) -> float:
    top = sorted(z, reverse=True)
    return _margin(z, y) / (top[0] - top[2] + TINY)


def _targeted(z: list[float], y: int, t: int) -> float:
    top = sorted(z, reverse=True)
    return (z[t] - z[y]) / (top[0] - (top[2] + top[3]) / 2 + TINY)


def _rows(loss: Callable[..., float], logits: Tensor, *labels: Tensor) -> Tensor:
    rows = [loss(row, *(int(t[i]) for t in labels)) for i, row in enumerate(logits.double().tolist())]
    return torch.tensor(rows, dtype=torch.float64)


def _logits(rng: np.random.Generator, b: int, k: int) -> Tensor:
    """Draw rows in which any two logits differ by 1e-3 or more."""
    return torch.from_numpy(rng.permuted(np.tile(np.arange(k) * 0.7, (b, 1)), axis=1) + rng.uniform(-0.3, 0.3, (b, k)) - 1.5)


@hidden(LOSSES, weight=3, core=True)
def margin_values(student: Student, rng: np.random.Generator) -> None:
    """The best of the other logits minus that of y: for many classes, two, negative logits, ties, one example."""
    for b, k in ((9, 10), (7, 2), (1, 5), (40, 4)):
        logits, y = _logits(rng, b, k) * float(rng.uniform(0.1, 20)) - float(rng.uniform(0, 30)), integers(rng, 0, k, b)
        slip = "The largest of the *other* classes, minus that of y."
        close(
            student.fn("margin_loss")(logits, y), _rows(_margin, logits, y), f"margin_loss, logits ({b} {k})", rtol=1e-9, slip=slip
        )
    tied = integers(rng, -2, 2, 30, 4).double()
    y = integers(rng, 0, 4, 30)
    close(
        student.fn("margin_loss")(tied, y), _rows(_margin, tied, y), "margin_loss, with ties", rtol=1e-9, slip="At a tie it is 0."
    )


@hidden(LOSSES, weight=3)
def dlr_values(student: Student, rng: np.random.Generator) -> None:
    """The margin in units of the gap between the first and the third logit; the gap counts all classes."""
    for b, k in ((9, 10), (6, 3), (1, 5), (40, 4)):
        logits, y = _logits(rng, b, k) * float(rng.uniform(0.5, 5)), integers(rng, 0, k, b)
        slip = "Which logits make the denominator? Is y one of the classes that are ordered? Croce and Hein 2020, section 4."
        close(student.fn("dlr_loss")(logits, y), _rows(_dlr, logits, y), f"dlr_loss, logits ({b} {k})", rtol=1e-9, slip=slip)


@hidden(LOSSES, weight=2)
def targeted_values(student: Student, rng: np.random.Generator) -> None:
    """The target's logit minus that of y, in units of the first minus the mean of third and fourth; target y included."""
    for b, k in ((9, 10), (6, 4), (1, 5)):
        logits = _logits(rng, b, k) * float(rng.uniform(0.5, 5))
        y, target = integers(rng, 0, k, b), integers(rng, 0, k, b)
        slip = "Positive when the target is ahead of y. Which logits make the denominator?"
        what = f"targeted_dlr, logits ({b} {k})"
        close(
            student.fn("targeted_dlr")(logits, y, target),
            _rows(_targeted, logits, y, target),
            what,
            rtol=1e-9,
            atol=1e-12,
            slip=slip,
        )


@hidden(LOSSES, weight=2)
def free_of_shift_and_scale(student: Student, rng: np.random.Generator) -> None:
    """A constant changes none of the losses, a factor none of the DLRs; the sign says whether the model is wrong."""
    logits, y, target = _logits(rng, 30, 6), integers(rng, 0, 6, 30), integers(rng, 0, 6, 30)
    for name, labels in (("margin_loss", (y,)), ("dlr_loss", (y,)), ("targeted_dlr", (y, target))):
        loss = student.fn(name)
        value = finite(loss(logits, *labels), name, (30,), torch.float64).detach()
        shifted = loss(logits + float(rng.uniform(10, 90)), *labels)
        close(shifted, value, f"{name}, a constant added to all logits", rtol=1e-9, slip="Only differences should count.")
        if name != "margin_loss":
            for factor in (1e4, 0.3):
                scaled = loss(logits * factor, *labels)
                close(scaled, value, f"{name}, all logits times {factor:g}", rtol=1e-9, slip="What does the denominator do then?")
        if name != "targeted_dlr":
            wrong = logits.argmax(1) != y
            bad = (value > 0) != wrong
            assert not bad.any(), (
                f"{name} is {float(value[bad][0]):.4g} where the model is {'wrong' if wrong[bad][0] else 'right'}."
            )


@hidden(LOSSES, weight=2)
def gradients_of_the_losses(student: Student, rng: np.random.Generator) -> None:
    """Gradients reach the logits, for each example its own, the denominator's included; ties stay finite."""
    logits, y, target = _logits(rng, 6, 5), integers(rng, 0, 5, 6), integers(rng, 0, 5, 6)
    upstream = normal(rng, 6)
    for name, labels, right in (("margin_loss", (y,), _margin), ("dlr_loss", (y,), _dlr), ("targeted_dlr", (y, target), _targeted)):
        leaf = logits.clone().requires_grad_()
        out = finite(student.fn(name)(leaf, *labels), name, (6,), torch.float64)
        found = gradients(out, {"logits": leaf}, upstream, name)["logits"]
        expected = torch.zeros_like(logits)
        for j in range(5):  # central differences: exact for the margin, 1e-8 for the quotients
            step = torch.zeros(5, dtype=torch.float64)
            step[j] = 1e-5
            expected[:, j] = (_rows(right, logits + step, *labels) - _rows(right, logits - step, *labels)) / 2e-5 * upstream
        close(found, expected, f"gradient of {name}", rtol=1e-6, slip="Is a part of it detached?")
        for tied in (torch.ones(3, 5), torch.tensor([[2.0, 2, 2, 0, 0]] * 3)):
            leaf = tied.double().requires_grad_()
            out = finite(student.fn(name)(leaf, *(t[:3] for t in labels)), f"{name}, three logits tied", (3,), torch.float64)
            finite(gradients(out, {"logits": leaf}, upstream[:3], name)["logits"], f"gradient of {name}, three logits tied")


@hidden(LOSSES, weight=1)
def edges_of_the_losses(student: Student, rng: np.random.Generator) -> None:
    """Too few classes are refused; no example, float32 and strided logits work; the logits stay as they are."""
    few, y = normal(rng, 3, 3), integers(rng, 0, 2, 3)
    raises("ValueError", lambda: student.fn("dlr_loss")(few[:, :2], y), "dlr_loss with 2 classes")
    raises("ValueError", lambda: student.fn("targeted_dlr")(few, y, y), "targeted_dlr with 3 classes")
    logits, y, target = _logits(rng, 5, 6), integers(rng, 0, 6, 5), integers(rng, 0, 6, 5)
    for name, labels, right in (("margin_loss", (y,), _margin), ("dlr_loss", (y,), _dlr), ("targeted_dlr", (y, target), _targeted)):
        empty = student.fn(name)(logits[:0], *(t[:0] for t in labels))
        finite(empty, f"{name} of no example", (0,), torch.float64)
        single = student.fn(name)(logits.float(), *labels)
        close(single, _rows(right, logits.float(), *labels), f"{name}, float32", rtol=1e-5, dtype=torch.float32)
        wide = strided(logits)
        found, after = student.fn(name, return_args=True)(wide, *labels)
        close(found, _rows(right, logits, *labels), f"{name}, strided logits", rtol=1e-9)
        unchanged(after[:1], [wide], "logits", name)
