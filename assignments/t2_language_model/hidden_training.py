"""Hidden checks of T2, train_char_lm. Student and rng in, silence or a hint out.

The language is drawn: words of a small alphabet, and which word may follow which. What the returned model has learned is
measured on text that nobody has seen. The bars are set by counting models (loss of a context of one character, or of
none), and by what the reference reached over 20 seeds, less three standard deviations; see the comments at each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import evaluate, integers, tensor
from autograder.sandbox.student import Student

TRAIN = "t2_language_model.train_char_lm"
V, CTX = 12, 32


class _Language:
    """Twenty words of the characters 1, ..., 11; character 0 parts them. After each word three others may come."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.words = [rng.integers(1, V, int(rng.integers(2, 6))).tolist() for _ in range(20)]
        self.next = [rng.choice(20, 3, replace=False) for _ in range(20)]

    def text(self, n: int) -> Tensor:
        out: list[int] = []
        word = int(self.rng.integers(20))
        while len(out) < n:
            out += [*self.words[word], 0]
            word = int(self.rng.choice(self.next[word]))
        return torch.tensor(out[:n])


def _counted_loss(train: Tensor, test: Tensor, order: int) -> float:
    """Return the loss of a model that counts what follows the last `order` characters (0 or 1), plus one half each."""
    context = lambda x: x[:-1] if order else torch.zeros_like(x[:-1])  # noqa: E731
    counts = torch.full((V, V), 0.5, dtype=torch.float64)
    counts.index_put_((context(train), train[1:]), torch.ones(len(train) - 1, dtype=torch.float64), accumulate=True)
    logp = (counts / counts.sum(1, keepdim=True)).log()
    return -float(logp[context(test), test[1:]].mean())


def _held_out(model: Any, test: Tensor, what: str) -> float:
    windows = test[: (len(test) - 1) // CTX * CTX + 1]
    x, y = windows[:-1].view(-1, CTX), windows[1:].view(-1, CTX)
    logits = tensor(evaluate(model, x), f"{what}: logits of tokens {tuple(x.shape)}", (*x.shape, V))
    loss = float(F.cross_entropy(logits.double().flatten(0, 1), y.flatten()))
    assert loss == loss, f"{what}: the loss on unseen text is NaN. Which state of the model is returned?"
    return loss


def _trained(student: Student, rng: np.random.Generator, train: Tensor, val: Tensor, steps: int) -> Any:
    gen = torch.Generator().manual_seed(int(rng.integers(2**31)))
    student.seed(int(rng.integers(2**31)))
    model = student.fn("train_char_lm")(train, val, V, steps, gen)
    assert getattr(model, "kind", "") == "module", "train_char_lm does not return a torch module."
    model.eval()
    return model


@hidden(TRAIN, weight=2, core=True)
def unseen_text_is_predicted(student: Student, rng: np.random.Generator) -> None:
    """Trained on 20,000 characters, it predicts unseen ones better than counting pairs can; and it does so causally."""
    language = _Language(rng)
    train, val, test = language.text(20_000), language.text(1_500), language.text(4_000)
    model = _trained(student, rng, train, val, 150)
    tokens = integers(rng, 0, V, 3, CTX)
    changed = tokens.clone()
    changed[:, 20:] = integers(rng, 0, V, 3, CTX - 20)
    before, after = (tensor(evaluate(model, x), "logits", (3, CTX, V)) for x in (tokens, changed))
    gap = float((before - after)[:, :20].abs().max())
    assert gap < 1e-4, f"Logits before position 20 move by {gap:.2g} when later tokens change: the model sees the future."
    for t in (1, 5):
        tensor(evaluate(model, tokens[:, :t]), f"logits of {t} tokens", (3, t, V))
    # The reference: 0.29 of what counting pairs gives, deviation 0.04.
    loss, bar = _held_out(model, test, "150 steps"), 0.55 * _counted_loss(train, test, 1)
    said = f"150 steps: loss {loss:.3f} on unseen text, at most {bar:.3f} is asked for"
    assert loss < bar, f"{said}. Does the training loss fall, and at which learning rate does it fall fastest?"


@hidden(TRAIN, weight=2)
def the_best_on_validation_is_returned(student: Student, rng: np.random.Generator) -> None:
    """Where there is nothing to learn but frequencies, a small text is soon learnt by heart: an early state is the best."""
    odds = rng.dirichlet(np.full(V, 3.0))
    train, val, test = (torch.from_numpy(rng.choice(V, n, p=odds)) for n in (250, 2_000, 3_000))
    model = _trained(student, rng, train, val, 160)
    # The reference: 1.15 times the entropy, deviation 0.02; its last state 2.4 times, deviation 0.06.
    loss, bar = _held_out(model, test, "160 steps on 250 characters"), 1.5 * _counted_loss(test, test, 0)
    said = f"160 steps on 250 characters: loss {loss:.3f} on unseen text, at most {bar:.3f} is asked for"
    assert loss < bar, f"{said}. By which loss did you choose the state that you return, and is it a copy?"


@hidden(TRAIN, weight=1)
def few_steps_and_short_texts(student: Student, rng: np.random.Generator) -> None:
    """One step is enough to return a model; a validation text barely longer than a window will do."""
    language = _Language(rng)
    train, val = language.text(200), language.text(CTX + 2)
    model = _trained(student, rng, train, val, 1)
    loss = _held_out(model, language.text(500), "one step")
    assert loss < 8, f"One step: loss {loss:.2f} on unseen text, where knowing nothing gives {float(np.log(V)):.2f}."
