"""Hidden checks of T1, layers: multi_head_attention, mlp. Student and rng in, silence or a hint out.

Modules are float32, so 1e-5 of the largest entry is demanded of them: their sums have under a hundred terms of size 1, and
float32 rounds at 6e-8. Gradients are longer sums: 3e-5. The oracles are float64 loops and closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import (
    close,
    evaluate,
    evaluate_each,
    evaluate_together,
    finite,
    gradients,
    load,
    normal,
    raises,
    same,
    sizes,
    strided,
)
from autograder.sandbox.student import Call, Student, StudentModule

MHA, MLP = "t1_attention.multi_head_attention", "t1_attention.mlp"
F32 = torch.float32
Given = tuple[StudentModule, dict[str, Tensor], str]  # the student's module, the weights it was given, its name in a hint


def _heads(rng: np.random.Generator, student: Student, h: int, g: int | None, d_head: int) -> Given:
    """Make the student's attention with h query heads and g key/value heads, and weights that it is given."""
    d, n_kv = h * d_head, g or h
    state = {"qkv.weight": normal(rng, (h + 2 * n_kv) * d_head, d, dtype=F32), "out.weight": normal(rng, d, d, dtype=F32)}
    case = f"MultiHeadAttention({d}, {h}, {g})" if g else f"MultiHeadAttention({d}, {h})"
    name = "MultiHeadAttention"
    m = student.module_soon(name, d, h, g) if g else student.module_soon(name, d_model=d, n_heads=h)
    load(m, state, case)
    return m, state, case


def _by_head(state: dict[str, Tensor], x: Tensor, h: int, g: int) -> Tensor:
    """Attend head by head and query by query, in float64: slices of the weights, no mask."""
    w, w_out, x = state["qkv.weight"].double(), state["out.weight"].double(), x.double()
    e = w.shape[1] // h
    rows = []
    for i in range(x.shape[1]):
        heads = []
        for a in range(h):
            kv = h + a // (h // g)
            q = x[:, i] @ w[a * e : (a + 1) * e].T
            k, v = (x[:, : i + 1] @ w[s * e : (s + 1) * e].T for s in (kv, kv + g))
            weights = torch.softmax((k @ q[..., None])[..., 0] / math.sqrt(e), -1)
            heads.append((weights[..., None] * v).sum(1))
        rows.append(torch.cat(heads, -1) @ w_out.T)
    return torch.stack(rows, 1)


def _equals_by_head(student: Student, rng: np.random.Generator, cases: Sequence[tuple[int, ...]], slip: str) -> None:
    """Compare modules of other sizes: query heads, key/value heads, size of a head, batch, tokens."""
    made = [_heads(rng, student, h, None if g == h else g, d_head) for h, g, d_head, _, _ in cases]
    xs = [normal(rng, b, t, h * d_head, dtype=F32) / math.sqrt(h * d_head) for h, _, d_head, b, t in cases]
    answers = evaluate_together(student, [m for m, _, _ in made], xs)
    for (h, g, *_), (_, state, case), x in zip(cases, made, xs, strict=True):
        expected = _by_head(state, x, h, g)
        close(next(answers), expected, f"{case} on x {tuple(x.shape)}", rtol=1e-5, dtype=F32, slip=slip)


@hidden(MHA, weight=1, core=True)
def sees_no_later_token(student: Student, rng: np.random.Generator) -> None:
    """A change of token t leaves every output before t as it was, bit for bit."""
    m, _, case = _heads(rng, student, 3, None, 4)
    for t in (2, 40, 7):
        x = normal(rng, 2, t, 12, dtype=F32) / 2
        moved = {changed: x.clone() for changed in {t - 1, int(rng.integers(1, t))}}
        for changed, other in moved.items():
            other[:, changed] = normal(rng, 2, 12, dtype=F32)
        answers = evaluate_each(m, [Call(x), *(Call(other) for other in moved.values())])
        before = finite(next(answers), f"{case}(x)", (2, t, 12), F32)
        for changed in moved:
            after = finite(next(answers), f"{case}(x)", (2, t, 12), F32)
            slip = "Is the mask there, and is it not a step off? Vaswani et al. 3.2.3."
            same(after[:, :changed], before[:, :changed], f"t={t}, token {changed} changed: output before it", slip)


@hidden(MHA, weight=3, core=True)
def equals_each_head_alone(student: Student, rng: np.random.Generator) -> None:
    """The output equals that of the heads computed one by one, with weights in the documented layout."""
    slip = "Rows of qkv: all query heads, all key heads, all value heads. Each head has its own scale."
    _equals_by_head(student, rng, ((2, 2, 5, 3, 4), (5, 5, 2, 2, 7), (1, 1, 4, 1, 3), (3, 3, 4, 2, 1)), slip)


@hidden(MHA, weight=3)
def grouped_queries(student: Student, rng: np.random.Generator) -> None:
    """Neighbouring query heads share a key/value head, down to one for all."""
    slip = "Which query heads share one key/value head? Docstring, second sentence; Ainslie et al. 2.2."
    _equals_by_head(student, rng, ((4, 2, 3, 2, 5), (6, 3, 2, 2, 4), (6, 2, 3, 2, 3), (3, 1, 4, 2, 6)), slip)


@hidden(MHA, weight=1)
def heads_are_interchangeable(student: Student, rng: np.random.Generator) -> None:
    """Reordering the heads in both weights changes nothing; a head without output columns takes only its share away."""
    h, e = 4, 3
    m, state, case = _heads(rng, student, h, None, e)
    x = strided(normal(rng, 2, 5, h * e, dtype=F32)) / 3
    full = finite(evaluate(m, x), f"{case}(x)", (2, 5, h * e), F32)
    order = torch.arange(h).roll(int(rng.integers(1, h)))  # no head stays in its place
    index = (order[:, None] * e + torch.arange(e)).flatten()
    qkv = state["qkv.weight"].view(3, h * e, h * e)[:, index].reshape(3 * h * e, h * e)
    load(m, {"qkv.weight": qkv, "out.weight": state["out.weight"][:, index]}, case)
    slip = "Is every head d_head neighbouring features, in qkv and in out alike?"
    close(evaluate(m, x), full, f"{case}, heads in the order {order.tolist()}", rtol=1e-5, dtype=F32, slip=slip)
    parts = torch.zeros(2, 5, h * e, dtype=torch.float64)
    for a in range(h):
        only = torch.zeros(h * e, h * e)
        only[:, a * e : (a + 1) * e] = state["out.weight"][:, a * e : (a + 1) * e]
        load(m, {**state, "out.weight": only}, case)
        parts += finite(evaluate(m, x), f"{case}(x)", (2, 5, h * e), F32)
    close(full, parts, f"{case}: the output, against the sum of what each head writes alone", rtol=1e-5, dtype=F32, slip=slip)


@hidden(MHA, weight=1)
def attention_learns(student: Student, rng: np.random.Generator) -> None:
    """Gradients of the input and of both weights are right under a random upstream gradient."""
    for h, g, e, t in ((2, 2, 3, 4), (4, 2, 2, 5)):
        m, state, case = _heads(rng, student, h, g, e)
        x = (normal(rng, 3, t, h * e, dtype=F32) / math.sqrt(h * e)).requires_grad_()
        upstream = normal(rng, 3, t, h * e, dtype=F32)
        wanted = {"x": x, **dict(m.named_parameters())}
        found = gradients(finite(m(x), f"{case}(x)", x.shape, F32), wanted, upstream, case)
        leaves = {name: w.double().requires_grad_() for name, w in {"x": x.detach(), **state}.items()}
        right = torch.autograd.grad(_by_head(leaves, leaves["x"], h, g), list(leaves.values()), upstream.double())
        for name, expected in zip(leaves, right, strict=True):
            # A gradient is a longer float32 sum than an output.
            close(found[name], expected, f"{case}: gradient of {name}", rtol=3e-5, dtype=F32, slip="Is something detached?")


@hidden(MHA, weight=1)
def impossible_heads_are_refused(student: Student, rng: np.random.Generator) -> None:
    """Sizes that do not divide raise ValueError; sizes that do are accepted."""
    raises("ValueError", lambda: student.module("MultiHeadAttention", 10, 4), "MultiHeadAttention(10, 4)")
    raises("ValueError", lambda: student.module("MultiHeadAttention", 12, 6, 4), "MultiHeadAttention(12, 6, 4)")
    raises("ValueError", lambda: student.module("MultiHeadAttention", 12, 2, 4), "MultiHeadAttention(12, 2, 4)")
    for sane in ((12, 6, 6), (12, 6, 2), (5, 1, 1), (7, 7)):
        student.module("MultiHeadAttention", *sane)


def _gelu(z: Tensor) -> Tensor:
    return z * torch.special.ndtr(z)


def _gelu_tanh(z: Tensor) -> Tensor:
    return z / (1 + torch.exp(-2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def _mlp(student: Student, rng: np.random.Generator, kind: str, d: int, d_mlp: int) -> Given:
    into, outof, case = (d_mlp, d), (d, d_mlp), f'MLP({d}, {d_mlp}, "{kind}")'
    layout = {"gate.weight": into, "up.weight": into, "down.weight": outof}
    if kind != "swiglu":
        layout = {"up.weight": into, "up.bias": (d_mlp,), "down.weight": outof, "down.bias": (d,)}
    state = {name: normal(rng, *shape, dtype=F32) for name, shape in layout.items()}
    m = student.module_soon("MLP", d, d_mlp, kind)
    load(m, state, case)
    return m, state, case


def _feed(state: dict[str, Tensor], x: Tensor, kind: str) -> Tensor:
    s, x = {name: w.double() for name, w in state.items()}, x.double()
    if kind == "swiglu":
        gate = x @ s["gate.weight"].T
        return (gate / (1 + torch.exp(-gate)) * (x @ s["up.weight"].T)) @ s["down.weight"].T
    g = _gelu if kind == "gelu" else _gelu_tanh
    return g(x @ s["up.weight"].T + s["up.bias"]) @ s["down.weight"].T + s["down.bias"]


def _kind(student: Student, rng: np.random.Generator, kind: str, slip: str) -> None:
    """Compare one kind with random weights, and its activation alone at inputs from -6 to 6."""
    widths = [sizes(rng, 2, 2, 12) for _ in range(4)]
    made = [_mlp(student, rng, kind, d, d_mlp) for d, d_mlp in widths]
    leads = ((4,), (2, 3), (2, 1, 5), ())
    xs = [normal(rng, *lead, d, dtype=F32) / math.sqrt(d) for lead, (d, _) in zip(leads, widths, strict=True)]
    m, state, case_alone = _mlp(student, rng, kind, 1, 1)
    alone = {name: torch.zeros_like(w) if "bias" in name else torch.ones_like(w) for name, w in state.items()}
    load(m, alone, case_alone)
    z = torch.from_numpy(np.append(rng.uniform(-6, 6, 80), [-6, 0, 6])).float()[:, None]
    answers = evaluate_together(student, [*(m for m, _, _ in made), m], [*xs, z])
    for (_, state, case), x in zip(made, xs, strict=True):
        close(next(answers), _feed(state, x, kind), f"{case} on x {tuple(x.shape)}", rtol=1e-5, dtype=F32, slip=slip)
    # Float32 rounds 1 + erf at 6e-8, times |z|, so that 2e-6 is safe; the two GELUs are 5e-4 apart.
    what = f"{case_alone}, all weights 1, x from -6 to 6"
    close(next(answers), _feed(alone, z, kind), what, rtol=1e-6, atol=2e-6, dtype=F32, slip=slip)


@hidden(MLP, weight=2, core=True)
def gelu_kind(student: Student, rng: np.random.Generator) -> None:
    """The kind gelu, which is the default, with the exact GELU and both biases."""
    _kind(student, rng, "gelu", "The exact GELU is x times the normal distribution function. Hendrycks and Gimpel, section 2.")
    d, d_mlp = 3, 5
    _, state, _ = _mlp(student, rng, "gelu", d, d_mlp)
    m = student.module_soon("MLP", d_model=d, d_mlp=d_mlp)
    load(m, state, "MLP(3, 5)")
    x = normal(rng, 4, d, dtype=F32)
    close(evaluate(m, x), _feed(state, x, "gelu"), "MLP(3, 5), no kind given", rtol=1e-5, dtype=F32, slip='The default is "gelu".')


@hidden(MLP, weight=1)
def gelu_tanh_kind(student: Student, rng: np.random.Generator) -> None:
    """The kind gelu_tanh: the approximation by tanh."""
    _kind(student, rng, "gelu_tanh", "The approximation by tanh differs from GELU by up to 5e-4. Hendrycks and Gimpel, section 2.")


@hidden(MLP, weight=2)
def swiglu_kind(student: Student, rng: np.random.Generator) -> None:
    """The kind swiglu: SiLU on the gate, on its negative side too."""
    _kind(student, rng, "swiglu", "SiLU goes on one branch, and is not 0 for negative inputs. Shazeer, section 2.")


@hidden(MLP, weight=1)
def mlp_learns(student: Student, rng: np.random.Generator) -> None:
    """Gradients of the input and of all weights are right, for every kind, under a random upstream gradient."""
    for kind in ("gelu", "gelu_tanh", "swiglu"):
        d, d_mlp = sizes(rng, 2, 2, 9)
        m, state, case = _mlp(student, rng, kind, d, d_mlp)
        x, upstream = (normal(rng, 2, 4, d, dtype=F32) / math.sqrt(d)).requires_grad_(), normal(rng, 2, 4, d, dtype=F32)
        wanted = {"x": x, **dict(m.named_parameters())}
        found = gradients(finite(m(x), f"{case}(x)", x.shape, F32), wanted, upstream, case)
        leaves = {name: w.double().requires_grad_() for name, w in {"x": x.detach(), **state}.items()}
        right = torch.autograd.grad(_feed(leaves, leaves["x"], kind), list(leaves.values()), upstream.double())
        for name, expected in zip(leaves, right, strict=True):
            close(found[name], expected, f"{case}: gradient of {name}", rtol=3e-5, dtype=F32, slip="Is something detached?")


@hidden(MLP, weight=1)
def other_kinds_are_refused(student: Student, rng: np.random.Generator) -> None:
    """A kind that is none of the three raises ValueError."""
    for kind in ("relu", "geglu", ""):
        raises("ValueError", lambda kind=kind: student.module("MLP", 3, 5, kind), f'MLP(3, 5, "{kind}")')
