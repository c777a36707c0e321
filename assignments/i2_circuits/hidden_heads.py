"""Hidden checks of I2, the open lab: find_the_heads. Student and rng in, silence or a hint out.

The models are wired by hand and then disguised: an orthogonal turn hides the features, the heads of a layer are shuffled,
and decoys look like the real thing without any effect. Everything is drawn per student. Effects are compared with those of
the oracle in float64: 1e-8.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.circuits import Node, Toy, draw
from autograder.grading.compare import close, integers, normal
from autograder.sandbox.student import Student, StudentModule

FIND = "i2_circuits.find_the_heads"
ROLES = ("previous", "duplicate", "induction")
Head = tuple[int, int]
SHARP = 30.0  # score of the key that is meant, before the softmax; others have 0
CAUTIOUS = 0.5  # of SHARP: what BOS scores, so that a head without a match rests there
LOUD = 3.0  # logits that one induction head adds to the right token


@dataclasses.dataclass
class Planted:
    """A model with known heads, in the making: `kinds` names the heads of each layer, in order."""

    vocab: int
    t: int
    kinds: list[list[str]]
    toy: Toy = dataclasses.field(init=False)

    @property
    def true(self) -> dict[str, list[Head]]:
        """Return the heads that deserve the name, in ascending order."""
        every = [(kind, (layer, h)) for layer, row in enumerate(self.kinds) for h, kind in enumerate(row)]
        return {role: [head for kind, head in every if kind.split()[0] == role and "decoy" not in kind] for role in ROLES}


def _plant(rng: np.random.Generator, kinds: list[list[str]], vocab: int, t: int) -> Planted:
    """Wire a model of two layers. Features: token, position, token before, place of the copy, answer, unread."""
    kinds = [[row[i] for i in rng.permutation(len(row))] for row in kinds]
    names = {"token": vocab, "position": t, "before": vocab, "copy": t, "answer": vocab, "unread": max(vocab, t)}
    starts = np.cumsum([0, *names.values()])
    d, e = int(starts[-1]), vocab + t
    at = {name: slice(int(a), int(a) + n) for (name, n), a in zip(names.items(), starts, strict=False)}
    toy = draw(rng, n_layers=2, n_heads=len(kinds[0]), d_model=d, d_head=e, d_vocab=vocab, n_ctx=t)
    w = {name: torch.zeros_like(x) for name, x in toy.weights.items()}
    w["W_E"][:, at["token"]] = torch.eye(vocab, dtype=torch.float64)
    w["W_pos"][:, at["position"]] = torch.eye(t, dtype=torch.float64)
    w["W_U"][at["answer"]] = LOUD * torch.eye(vocab, dtype=torch.float64)
    for layer, row in enumerate(kinds):
        for h, kind in enumerate(row):
            matrices = _wire(rng, kind, at, d, e, vocab, t)
            for name, matrix in zip(("W_Q", "W_K", "W_V", "W_O"), matrices, strict=True):
                w[f"blocks.{layer}.{name}"][h] = matrix
    planted = Planted(vocab, t, kinds)
    planted.toy = Toy(toy.sizes, _disguise(rng, w, d, e, toy.sizes["n_heads"]))
    return planted


def _wire(rng: np.random.Generator, kind: str, at: dict[str, slice], d: int, e: int, v: int, t: int) -> list[Tensor]:
    """Return W_Q, W_K, W_V (d e) and W_O (e d) of one head, before the disguise."""
    q, k, value, o = (torch.zeros(*s, dtype=torch.float64) for s in ((d, e), (d, e), (d, e), (e, d)))
    gain = SHARP * e**0.5
    if kind == "noise":
        return [normal(rng, *x.shape, scale=0.02) for x in (q, k, value)] + [normal(rng, e, d, scale=0.02)]
    role, *rest = kind.split()
    tokens, places = torch.eye(v, dtype=torch.float64), torch.eye(t, dtype=torch.float64)
    if role == "previous":
        q[at["position"], :t] = gain * torch.diag(torch.ones(t - 1, dtype=torch.float64), -1)  # position i asks for i - 1
        k[at["position"], :t] = places
        value[at["token"], :v], source, n = tokens, "before", v
    elif role == "duplicate":
        # The same token, but not this very place: without the second part a head would look at itself.
        q[at["token"], :v], q[at["position"], v:] = gain * tokens, -gain * places
        k[at["token"], :v], k[at["position"], v:] = tokens, places
        k[at["token"].start, :v] = CAUTIOUS
        value[at["position"], :t], source, n = places, "copy", t
    elif rest and rest[0] == "by-place":
        after = torch.diag(torch.ones(t - 1, dtype=torch.float64), 1)  # the copy's place, plus one
        after[0] = places[0]  # nothing was found: stay at BOS
        q[at["copy"], :t] = gain * after
        k[at["position"], :t] = places
        k[at["position"].start, :t] = CAUTIOUS
        value[at["token"], :v], source, n = tokens, "answer", v
    else:
        q[at["token"], :v] = gain * tokens
        k[at["before"], :v] = tokens
        k[at["position"].start, :v] = CAUTIOUS
        value[at["token"], :v], source, n = tokens, "answer", v
    target = at["unread"] if "decoy" in rest else at[source]
    o[:n, target.start : target.start + n] = torch.eye(n, dtype=torch.float64)
    return [q, k, value, o]


def _disguise(rng: np.random.Generator, w: dict[str, Tensor], d: int, e: int, n_heads: int) -> dict[str, Tensor]:
    """Turn the stream, and every head's own features, by random orthogonal matrices: the model computes the same."""
    turn = torch.linalg.qr(normal(rng, d, d))[0]
    found = {"W_E": w["W_E"] @ turn, "W_pos": w["W_pos"] @ turn, "W_U": turn.T @ w["W_U"]}
    for p in ("blocks.0.", "blocks.1."):
        inner, outer = (torch.linalg.qr(normal(rng, n_heads, e, e))[0] for _ in range(2))
        found |= {p + "W_Q": turn.T @ w[p + "W_Q"] @ inner, p + "W_K": turn.T @ w[p + "W_K"] @ inner}
        found |= {p + "W_V": turn.T @ w[p + "W_V"] @ outer, p + "W_O": outer.mT @ w[p + "W_O"] @ turn}
    return found


def _texts(rng: np.random.Generator, b: int, t: int, vocab: int, low: int, high: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw rows whose blocks hold no token twice, so that every token has at most one copy before it."""
    rows, periods = [], []
    for _ in range(b):
        p = int(rng.integers(low, high + 1))
        block = 1 + rng.permutation(vocab - 1)[:p]
        rows.append([0, *(int(block[i % p]) for i in range(t - 1))])
        periods.append(p)
    tokens = torch.tensor(rows)
    mask = torch.tensor([[i > p + 1 for i in range(t)] for p in periods])
    return tokens, torch.tensor(periods), mask


def _effects(toy: Toy, tokens: Tensor, mask: Tensor) -> Tensor:
    """The oracle: what each head is worth, row by row and token by token."""
    plain = toy.run(tokens)
    places = [(row, i) for row in range(len(tokens)) for i in range(1, tokens.shape[1]) if mask[row, i]]

    def worth(logits: Tensor) -> float:
        total = 0.0
        for row, i in places:
            x = logits[row, i - 1]
            total += float(x[tokens[row, i]] - torch.logsumexp(x, 0))
        return total / len(places)

    base, found = worth(plain.logits), torch.zeros(toy.sizes["n_layers"], toy.sizes["n_heads"], dtype=torch.float64)
    for layer, h in toy.heads:

        def write(node: Node, value: Tensor, target: Node = ("head", layer, h)) -> Tensor:
            return value.mean(0, keepdim=True).expand_as(value) if node == target else value

        found[layer, h] = base - worth(toy.run(tokens, write=write).logits)
    return found


def _place(student: Student, toy: Toy) -> StudentModule:
    m = student.module("Transformer", student.make("Config", **toy.sizes))
    m.call("double")
    m.load_state_dict(toy.weights)
    return m


def _find(student: Student, toy: Toy, texts: tuple[Tensor, Tensor, Tensor]) -> tuple[dict[str, list[Head]], Any]:
    found: Any = student.fn("find_the_heads")(_place(student, toy), *texts)
    if type(found) not in (tuple, list) or len(found) != 2:
        raise AssertionError("find_the_heads must return the pair (roles, effects).")
    roles, effects = found
    if type(roles) is not dict or set(roles) != set(ROLES):
        raise AssertionError(f"roles must be a dict with the keys {', '.join(ROLES)}.")
    n_layers, n_heads = toy.sizes["n_layers"], toy.sizes["n_heads"]
    for role, heads in roles.items():
        known = type(heads) in (list, tuple) and all(
            type(x) is tuple and [type(i) for i in x] == [int, int] and 0 <= x[0] < n_layers and 0 <= x[1] < n_heads for x in heads
        )
        assert known, f'roles["{role}"] must be a list of heads (layer, number) of this model.'
    return {role: list(heads) for role, heads in roles.items()}, effects


def _agree(found: dict[str, list[Head]], wanted: dict[str, list[Head]], what: str, slip: str) -> None:
    for role in ROLES:
        got, want = found[role], wanted[role]
        n_wrong, n_missing = len(set(got) - set(want)), len(set(want) - set(got))
        said = f'{what}, "{role}": {len(want)} heads deserve the name; {n_missing} of them are not listed, {n_wrong} others are'
        assert n_wrong + n_missing == 0, f"{said}. {slip}"
        assert got == want, f'{what}, "{role}": the heads are right, but not once each in ascending order.'


BOTH = [["previous", "duplicate", "previous decoy", "noise"], ["induction", "induction by-place", "induction decoy", "noise"]]
BY_TOKEN = [["previous", "duplicate decoy", "noise", "previous decoy"], ["induction", "induction decoy", "noise", "noise"]]
BY_PLACE = [
    ["duplicate", "duplicate decoy", "previous decoy", "noise"],
    ["induction by-place", "noise", "induction by-place decoy", "noise"],
]


def _model(rng: np.random.Generator, kinds: list[list[str]]) -> tuple[Planted, tuple[Tensor, Tensor, Tensor]]:
    t = int(rng.integers(15, 18))
    vocab = t - 4
    return _plant(rng, kinds, vocab, t), _texts(rng, 16, t, vocab, (t - 1) // 2, vocab - 1)


@hidden(FIND, weight=3, core=True)
def both_mechanisms(student: Student, rng: np.random.Generator) -> None:
    """A model that repeats in two ways at once: all four heads at work are named, nothing else."""
    planted, texts = _model(rng, BOTH)
    found, _ = _find(student, planted.toy, texts)
    _agree(found, planted.true, "a model with two kinds of induction", "A score says what a head looks like; what is it worth?")


@hidden(FIND, weight=3, core=True)
def decoys_are_left_out(student: Student, rng: np.random.Generator) -> None:
    """In models with one mechanism the heads of the other one are decoys, and a role may be empty."""
    for kinds in (BY_TOKEN, BY_PLACE):
        planted, texts = _model(rng, kinds)
        found, _ = _find(student, planted.toy, texts)
        _agree(found, planted.true, "a model with decoys", "A head that looks the part and changes nothing is a decoy.")


@hidden(FIND, weight=3)
def what_each_head_is_worth(student: Student, rng: np.random.Generator) -> None:
    """Effects of planted and of random models equal the oracle's, for every head."""
    planted, texts = _model(rng, BOTH)
    plain = draw(rng, 1.5, n_layers=3, n_heads=2, d_model=10, d_head=4, d_vocab=11, n_ctx=13, d_mlp=6, norm=True)
    for toy, case in ((planted.toy, texts), (plain, _texts(rng, 7, 13, 11, 3, 8))):
        _, effects = _find(student, toy, case)
        wanted = _effects(toy, case[0], case[2])
        said = f"effects of {toy.sizes['n_layers']} layers of {toy.sizes['n_heads']} heads"
        slip = "Which positions count, whose mean replaces the head, and in which run was it taken?"
        close(effects, wanted, said, rtol=1e-8, atol=1e-10, slip=slip)


@hidden(FIND, weight=1)
def leaves_the_model_alone(student: Student, rng: np.random.Generator) -> None:
    """The model computes afterwards what it computed before."""
    toy = draw(rng, n_layers=2, n_heads=2, d_model=8, d_head=3, d_vocab=9, n_ctx=10)
    m, texts = _place(student, toy), _texts(rng, 4, 10, 9, 3, 5)
    student.fn("find_the_heads")(m, *texts)
    tokens = integers(rng, 0, 9, 2, 6)
    close(
        m(tokens).detach(),
        toy.run(tokens).logits,
        "logits of the model afterwards",
        rtol=1e-10,
        slip="Is the model itself changed?",
    )
