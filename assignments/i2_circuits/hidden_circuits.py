"""Hidden checks of I2, reading weights: ov_circuit, copying_score, qk_circuit, composition. Student and rng in, a hint out.

The oracles form the dense matrices that the answers avoid, in float64, where a product of four factors rounds at 1e-14 of
the largest entry: 1e-9 is generous. Eigenvalues of a defective matrix move by the root of the rounding error, so copying
scores are compared at 1e-7.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.circuits import Toy, draw
from autograder.grading.compare import close, finite, normal, number, pair, raises
from autograder.sandbox.student import Student, StudentModule

OV, QK, COMPOSE = "i2_circuits.ov_circuit", "i2_circuits.qk_circuit", "i2_circuits.composition"


def _toy(rng: np.random.Generator, **choices: int) -> Toy:
    n_heads, d_head = ((3, 4), (2, 5), (4, 2))[int(rng.integers(3))]
    drawn = {"n_layers": 3, "n_heads": n_heads, "d_model": int(rng.integers(9, 13)), "d_head": d_head}
    return draw(rng, **{**drawn, "d_vocab": int(rng.integers(14, 18)), "n_ctx": int(rng.integers(6, 9)), **choices})


def _place(student: Student, toy: Toy) -> StudentModule:
    m = student.module("Transformer", student.make("Config", **toy.sizes))
    m.call("double")
    m.load_state_dict(toy.weights)
    return m


def _some_head(rng: np.random.Generator, toy: Toy) -> tuple[int, int]:
    return toy.heads[int(rng.integers(len(toy.heads)))]


def _factored(found: object, what: str, n_rows: int, n_columns: int, width: int) -> Tensor:
    left, right = pair(found, what)
    finite(left, f"left of {what}", (n_rows, width), torch.float64)
    finite(right, f"right of {what}", (width, n_columns), torch.float64)
    return left.detach() @ right.detach()


@hidden(OV, weight=3, core=True)
def token_to_logit(student: Student, rng: np.random.Generator) -> None:
    """left @ right is the head's way from token to logits, in two thin factors, for heads of every layer."""
    toy = _toy(rng)
    m = _place(student, toy)
    n = toy.sizes["d_vocab"]
    for head in ((0, 1), (2, 0), _some_head(rng, toy)):
        _, _, v, o = toy.head(*head)
        what = f"ov_circuit(model, {head})"
        found = _factored(student.fn("ov_circuit")(m, head), what, n, n, toy.sizes["d_head"])
        slip = "From a token's embedding through values and output to the logits: which matrices, of which head, in which order?"
        close(found, toy.weights["W_E"] @ (v @ o) @ toy.weights["W_U"], f"left @ right of {what}", rtol=1e-9, slip=slip)


@hidden(OV, weight=2)
def what_attention_moves(student: Student, rng: np.random.Generator) -> None:
    """Attending from anywhere to one token changes the logits by that token's row."""
    toy = _toy(rng, n_layers=1)
    toy.weights["W_pos"].zero_()
    m, head = _place(student, toy), _some_head(rng, toy)
    left, right = pair(student.fn("ov_circuit")(m, head), f"ov_circuit(model, {head})")
    token = int(rng.integers(toy.sizes["d_vocab"]))
    trace = toy.run(torch.tensor([[token]]))
    heard = (trace.wrote["head", *head] @ toy.weights["W_U"])[0, 0]
    row = finite(left, "left", None, torch.float64)[token] @ finite(right, "right", None, torch.float64)
    close(
        row,
        heard,
        f"row {token} of left @ right, against a run on that token alone",
        rtol=1e-9,
        slip="Rows are what is attended to.",
    )


@hidden(OV, weight=3, core=True)
def eigenvalues_of_the_whole(student: Student, rng: np.random.Generator) -> None:
    """The score is that of the eigenvalues of the dense product, complex ones among them, for many tokens and few."""
    for v, e in ((11, 3), (7, 5), (4, 6), (9, 1)):
        left, right = normal(rng, v, e), normal(rng, e, v)
        values = np.linalg.eigvals((left @ right).numpy())
        wanted = float(values.real.sum() / np.abs(values).sum())
        found = number(student.fn("copying_score")(left, right), f"copying_score of left ({v} {e}), right ({e} {v})")
        said = f"copying_score, left ({v} {e}): {found:.6g}, expected {wanted:.6g}"
        assert abs(found - wanted) < 1e-7, f"{said}. Sum of eigenvalues over sum of their magnitudes: what is a magnitude?"


@hidden(OV, weight=1)
def copiers_and_their_opposites(student: Student, rng: np.random.Generator) -> None:
    """Heads set by hand: copying gives 1, anti-copying -1, a rotation by a quarter 0, a silent head 0."""
    e, v = 4, int(rng.integers(6, 10))
    basis = torch.linalg.qr(normal(rng, v, e))[0] @ torch.diag(torch.tensor(rng.uniform(0.5, 2, e)))
    quarter = torch.block_diag(*[torch.tensor([[0.0, -1], [1, 0]], dtype=torch.float64)] * 2)
    for said, turn, wanted in (
        ("a copying head", torch.eye(e, dtype=torch.float64), 1.0),
        ("an anti-copying head", -torch.eye(e, dtype=torch.float64), -1.0),
        ("a head that rotates by a quarter", quarter, 0.0),
        ("a silent head", torch.zeros(e, e, dtype=torch.float64), 0.0),
    ):
        found = number(student.fn("copying_score")(basis @ turn, basis.T), f"copying_score of {said}")
        assert abs(found - wanted) < 1e-6, f"copying_score of {said} is {found:.4g}, expected {wanted:g}."


@hidden(OV, weight=1, evidence="observed")
def no_dense_product(student: Student, rng: np.random.Generator) -> None:
    """No tensor of v x v entries is made for 3,000 tokens."""
    left, right = normal(rng, 3000, 2), normal(rng, 2, 3000)
    _, seen = student.observe("copying_score", left, right)
    assert seen.max_numel < 3000 * 3000, f"a tensor of {seen.max_numel:,} entries was made for 3,000 tokens."


def _qk(student: Student, m: StudentModule, toy: Toy, head: tuple[int, int], kind: str) -> Tensor:
    n = toy.sizes["d_vocab" if kind == "token" else "n_ctx"]
    what = f'qk_circuit(model, {head}, "{kind}")'
    return _factored(student.fn("qk_circuit")(m, head, kind), what, n, n, toy.sizes["d_head"])


@hidden(QK, weight=3, core=True)
def scores_of_tokens(student: Student, rng: np.random.Generator) -> None:
    """Entry (i, j) is the scaled score of a query at token i and a key at token j, for heads of every layer."""
    toy = _toy(rng)
    m, e = _place(student, toy), toy.weights["W_E"]
    for head in ((0, 0), (1, 1), _some_head(rng, toy)):
        q, k, _, _ = toy.head(*head)
        slip = "Queries are rows, keys are columns. By what are scores divided?"
        wanted = (e @ q) @ (e @ k).T / math.sqrt(toy.sizes["d_head"])
        close(_qk(student, m, toy, head, "token"), wanted, f"left @ right of head {head}, tokens", rtol=1e-9, slip=slip)


@hidden(QK, weight=2, core=True)
def scores_of_positions(student: Student, rng: np.random.Generator) -> None:
    """The same for positions, as many as there are."""
    toy = _toy(rng)
    m, p = _place(student, toy), toy.weights["W_pos"]
    for head in ((0, 1), _some_head(rng, toy)):
        q, k, _, _ = toy.head(*head)
        wanted = (p @ q) @ (p @ k).T / math.sqrt(toy.sizes["d_head"])
        slip = "Which table holds the positions?"
        close(_qk(student, m, toy, head, "position"), wanted, f"left @ right of head {head}, positions", rtol=1e-9, slip=slip)


@hidden(QK, weight=2)
def as_the_model_attends(student: Student, rng: np.random.Generator) -> None:
    """Where positions say nothing, the pattern of the first layer follows from the token scores."""
    toy = _toy(rng, n_layers=1)
    toy.weights["W_pos"].zero_()
    m, head = _place(student, toy), _some_head(rng, toy)
    scores = _qk(student, m, toy, head, "token")
    i, j = (int(x) for x in rng.choice(toy.sizes["d_vocab"], 2, replace=False))
    seen = toy.run(torch.tensor([[j, i]])).pattern["head", *head][0, 1, 0]
    wanted = torch.sigmoid(scores[i, j] - scores[i, i])
    close(
        wanted, seen, f"attention of token {i} to token {j} in the text ({j}, {i})", rtol=1e-9, slip="The query is the later token."
    )


@hidden(QK, weight=1)
def no_other_kind(student: Student, rng: np.random.Generator) -> None:
    """Another kind is refused."""
    m = _place(student, _toy(rng))
    for kind in ("tokens", "", "q"):
        raises("ValueError", lambda kind=kind: student.fn("qk_circuit")(m, (0, 0), kind), f'qk_circuit with kind="{kind}"')


def _compositions(toy: Toy, first: tuple[int, int], second: tuple[int, int]) -> dict[str, float]:
    _, _, v1, o1 = toy.head(*first)
    q2, k2, v2, o2 = toy.head(*second)
    ov, qk = v1 @ o1, q2 @ k2.T

    def ratio(reads: Tensor) -> float:
        return math.sqrt(float(((ov @ reads) ** 2).sum() / (ov**2).sum() / (reads**2).sum()))

    return {"Q": ratio(qk), "K": ratio(qk.T), "V": ratio(v2 @ o2)}


@hidden(COMPOSE, weight=4, core=True)
def ratio_of_norms(student: Student, rng: np.random.Generator) -> None:
    """All three kinds, for pairs of heads of different layers."""
    toy = _toy(rng)
    m = _place(student, toy)
    for first, second in (((0, 0), (1, 1)), ((0, 1), (2, 0)), ((1, 0), (2, 1))):
        for kind, wanted in _compositions(toy, first, second).items():
            found = number(student.fn("composition")(m, first, second, kind), f"composition of {first} and {second}")
            said = f'composition(model, {first}, {second}, "{kind}") is {found:.8g}, expected {wanted:.8g}'
            slip = "What does the first head write, what does the second one read, and on which side of QK are keys?"
            assert abs(found - wanted) < 1e-9, f"{said}. {slip}"


@hidden(COMPOSE, weight=2)
def planted_pairs(student: Student, rng: np.random.Generator) -> None:
    """Where one head writes what another one's keys (queries, values) read, that pair and that kind stand out."""
    toy = _toy(rng, d_head=2, d_model=12)
    m_layer, which = 1, int(rng.integers(toy.sizes["n_heads"]))
    basis = torch.linalg.qr(normal(rng, 12, 12))[0]
    writes, other = basis[:, :2], basis[:, 2:4]
    toy.weights["blocks.0.W_O"][which] = writes.T
    kind = "QKV"[int(rng.integers(3))]
    for name in ("W_Q", "W_K", "W_V"):
        toy.weights[f"blocks.{m_layer}.{name}"][0] = writes if name[-1] == kind else other
    m, oracle = _place(student, toy), _compositions(toy, (0, which), (m_layer, 0))
    found = {k: number(student.fn("composition")(m, (0, which), (m_layer, 0), k), f'composition "{k}"') for k in "QKV"}
    for k, x in found.items():
        wanted = oracle[k] if k == kind else 0.0
        close(torch.tensor(x).double(), torch.tensor(wanted).double(), f'"{k}" of a pair wired for "{kind}"', rtol=0, atol=1e-6)


@hidden(COMPOSE, weight=1)
def refuses_what_cannot_be(student: Student, rng: np.random.Generator) -> None:
    """Another kind, and a second head that does not come later, are refused."""
    m = _place(student, _toy(rng))
    for first, second, kind in (((0, 0), (1, 0), "q"), ((1, 0), (1, 1), "K"), ((2, 0), (1, 0), "V"), ((0, 0), (0, 0), "Q")):
        what = f'composition(model, {first}, {second}, "{kind}")'
        raises("ValueError", lambda a=(first, second, kind): student.fn("composition")(m, *a), what)


def _random_ratios(rng: np.random.Generator, d: int, e: int, n: int) -> Tensor:
    a, c = normal(rng, n, d, e), normal(rng, n, d, e)
    b, z = normal(rng, n, e, d), normal(rng, n, e, d)
    first, second = a @ b, c @ z
    return torch.linalg.matrix_norm(first @ second) / torch.linalg.matrix_norm(first) / torch.linalg.matrix_norm(second)


@hidden(COMPOSE, weight=2, core=True)
def mean_of_strangers(student: Student, rng: np.random.Generator) -> None:
    """The baseline is the mean of what random pairs give, for thin and for wide heads."""
    for d, e, n in ((9, 1, 1200), (12, 3, 200)):
        ours = _random_ratios(rng, d, e, 20_000)
        error = float(ours.std()) * math.sqrt(1 / n + 1 / len(ours))
        for again in (False, True):
            gen = torch.Generator().manual_seed(int(rng.integers(2**31)))
            found = number(student.fn("composition_baseline")(d, e, n, gen), f"composition_baseline({d}, {e}, {n}, gen)")
            # Five standard errors, twice in a row: below one in 10^12.
            if abs(found - float(ours.mean())) < 5 * error:
                break
            slip = "Each of the two maps is a product of two thin matrices; the ratio is taken pair by pair, then averaged."
            said = f"composition_baseline({d}, {e}, {n}) is {found:.4g}, about {float(ours.mean()):.4g} is expected"
            assert not again, f"{said}. {slip}"


@hidden(COMPOSE, weight=1)
def baseline_follows_its_arguments(student: Student, rng: np.random.Generator) -> None:
    """The same generator gives the same baseline, another one another; one pair scatters, many scatter less."""
    seed = int(rng.integers(2**31))

    def ask(n: int, k: int) -> float:
        student.seed(int(rng.integers(1000)))
        return number(student.fn("composition_baseline")(8, 2, n, torch.Generator().manual_seed(seed + k)), "composition_baseline")

    assert ask(3, 0) == ask(3, 0), "composition_baseline: the same seed of gen gives another result. Is every draw made from gen?"
    few, many = [ask(1, k) for k in range(12)], [ask(64, k) for k in range(12)]
    assert len(set(few)) == 12, "composition_baseline(8, 2, 1, gen): different seeds of gen give equal results. Is gen used?"
    # The spread falls by 8; less than 2 has a chance below 1e-6 (F-test with 11 and 11 degrees of freedom).
    ratio = float(np.std(few) / np.std(many))
    assert ratio > 2, f"composition_baseline: 64 pairs scatter only {ratio:.2g} times less than one. Are n pairs drawn?"
