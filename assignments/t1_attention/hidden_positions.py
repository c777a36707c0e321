"""Hidden checks of T1, positions: sinusoidal with LearnedPos, rope. Student and rng in, silence or a hint out.

Angles may be taken in float32, as most people do, whatever the dtype of the features: at positions below 50 they are then
known to 50 x 1e-6 at worst, and 1e-4 is demanded. A table that is only read must come back bit for bit.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import (
    close,
    evaluate_each,
    finite,
    gradients,
    integers,
    load,
    normal,
    raises,
    same,
    sizes,
    strided,
    tensor,
    unchanged,
)
from autograder.sandbox.student import Call, Student, StudentModule

POSITIONS, ROPE = "t1_attention.sinusoidal", "t1_attention.rope"
F32 = torch.float32


@hidden(POSITIONS, weight=2, core=True)
def table_in_closed_form(student: Student, rng: np.random.Generator) -> None:
    """Every entry is the sine or the cosine that the docstring states."""
    cases = ((1, 2), (7, 4), (40, 10), (int(rng.integers(11, 30)), 2 * int(rng.integers(6, 12))))
    tables = student.each("sinusoidal", [Call(n, d) for n, d in cases])
    for n, d in cases:
        table = tensor(next(tables), f"sinusoidal({n}, {d})", (n, d), (F32, torch.float64))
        angles = [[p / 10000 ** (c // 2 * 2 / d) for c in range(d)] for p in range(n)]
        right = [[math.cos(a) if c % 2 else math.sin(a) for c, a in enumerate(row)] for row in angles]
        expected = torch.tensor(right, dtype=torch.float64).reshape(n, d)
        slip = "Interleaved, positions from 0, which power of 10000? Vaswani et al. 3.5."
        close(table, expected, f"sinusoidal({n}, {d})", rtol=0, atol=1e-4, dtype=table.dtype, slip=slip)


@hidden(POSITIONS, weight=1)
def shift_is_a_rotation(student: Student, rng: np.random.Generator) -> None:
    """A step of s positions turns each (sin, cos) pair by one angle, the same at every position."""
    n, d, s = 30, 12, int(rng.integers(1, 9))
    table = finite(student.fn("sinusoidal")(n, d), f"sinusoidal({n}, {d})", (n, d), (F32, torch.float64)).detach().double()
    pairs = torch.view_as_complex(table.reshape(n, d // 2, 2).contiguous())
    turn = pairs[s:] * pairs[:-s].conj()  # of a pair (sin a, cos a) this depends on the step only
    slip = "Are the sine and the cosine of one angle neighbours? Vaswani et al. 3.5, last paragraph but one."
    what = f"sinusoidal({n}, {d}), real part of the turn between positions p and p + {s}"
    close(turn.real, turn.real[:1].expand(n - s, -1), what, rtol=0, atol=2e-4, slip=slip)
    close(turn.abs(), torch.ones(n - s, d // 2, dtype=torch.float64), "sin² + cos² of the pairs", rtol=0, atol=2e-4, slip=slip)


@hidden(POSITIONS, weight=1)
def odd_width_is_refused(student: Student, rng: np.random.Generator) -> None:
    """An odd width has no pairs: ValueError."""
    widths = (1, 2 * int(rng.integers(2, 9)) + 1)
    tables = student.each("sinusoidal", [Call(4, d) for d in widths])
    for d in widths:
        raises("ValueError", lambda: next(tables), f"sinusoidal(4, {d})")


def _table(student: Student, rng: np.random.Generator, n: int, d: int) -> tuple[StudentModule, Tensor]:
    m, weight = student.module_soon("LearnedPos", n, d), normal(rng, n, d, dtype=F32)
    load(m, {"weight": weight}, f"LearnedPos({n}, {d})")
    return m, weight


@hidden(POSITIONS, weight=1, core=True)
def learned_table_is_read(student: Student, rng: np.random.Generator) -> None:
    """Without an offset the first t rows come back, up to the whole table."""
    n, d = sizes(rng, 2, 4, 10)
    m, weight = _table(student, rng, n, d)
    rows = evaluate_each(m, [Call(t) for t in (1, n - 1, n)])
    for t in (1, n - 1, n):
        same(next(rows), weight[:t], f"LearnedPos({n}, {d}): vectors of {t} positions", "Positions count from 0.")


@hidden(POSITIONS, weight=2)
def learned_offset(student: Student, rng: np.random.Generator) -> None:
    """With an offset the rows from there on come back, and only they get a gradient."""
    n, d = sizes(rng, 2, 6, 12)
    m, weight = _table(student, rng, n, d)
    places = list(product((n - 3, 1, int(rng.integers(1, n - 3))), (1, 3)))
    rows = evaluate_each(m, [Call(t, offset=offset) for offset, t in places])
    for offset, t in places:
        what = f"LearnedPos({n}, {d}): {t} positions from offset={offset}"
        same(next(rows), weight[offset : offset + t], what, "The first row wanted is row `offset`.")
    own = dict(m.named_parameters())
    upstream, expected = normal(rng, 3, d, dtype=F32), torch.zeros(n, d)
    expected[2:5] = upstream
    found = gradients(tensor(m(3, 2), "3 positions from offset=2", (3, d), F32), own, upstream, f"LearnedPos({n}, {d})")
    same(found["weight"], expected, "gradient of weight, after reading rows 2, 3 and 4")


@hidden(POSITIONS, weight=1)
def end_of_the_table(student: Student, rng: np.random.Generator) -> None:
    """More positions than there are: ValueError, never a shorter result; the last one is still there."""
    n, d = sizes(rng, 2, 4, 10)
    m, weight = _table(student, rng, n, d)
    beyond = ((n + 1, 0), (3, n - 2), (1, n))
    rows = evaluate_each(m, [*(Call(t, offset) for t, offset in beyond), Call(2, n - 2)])
    for t, offset in beyond:
        raises("ValueError", lambda: next(rows), f"LearnedPos({n}, {d}): t={t}, offset={offset}")
    same(next(rows), weight[-2:], f"LearnedPos({n}, {d}): the last 2 positions", "Up to n is allowed.")


def _rotated(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """Multiply adjacent pairs, as complex numbers, by unit numbers."""
    d = x.shape[-1]
    angle = positions[..., None].double() * torch.tensor([math.exp(-2 * i / d * math.log(theta)) for i in range(d // 2)]).double()
    z = torch.view_as_complex(x.double().reshape(*x.shape[:-1], d // 2, 2).contiguous())
    return torch.view_as_real(z * torch.polar(torch.ones_like(angle), angle)).flatten(-2)


def _turn_close(found: object, x: Tensor, positions: Tensor, theta: float, case: str, slip: str) -> None:
    close(found, _rotated(x, positions, theta), f"rope for {case}", rtol=1e-4, dtype=x.dtype, slip=slip)


@hidden(ROPE, weight=3, core=True)
def pairs_turn_by_position(student: Student, rng: np.random.Generator) -> None:
    """Each adjacent pair is turned by its own angle, times the position that was given."""
    for lead, t, d in (((), 5, 4), ((3,), 6, 8), ((2, 3), 4, 10)):
        x, places = normal(rng, *lead, t, d), (torch.arange(t), integers(rng, 0, 50, t))
        turned = student.each("rope", [Call(x, positions, 10000.0) for positions in places])
        for positions, found in zip(places, turned, strict=True):
            slip = "Which two features are a pair, which way do they turn, how fast? Su et al., equation 34."
            _turn_close(found, x, positions, 10000.0, f"x {tuple(x.shape)}, positions {positions[:4].tolist()}...", slip)


@hidden(ROPE, weight=1)
def score_depends_on_distance(student: Student, rng: np.random.Generator) -> None:
    """The score of a rotated query and key depends on m - n only; position 0 changes nothing; lengths stay."""
    d, shift = 8, int(rng.integers(1, 30))
    q, k, m, n = normal(rng, 6, d), normal(rng, 6, d), integers(rng, 0, 20, 6), integers(rng, 0, 20, 6)
    places = ((q, m), (k, n), (q, m + shift), (k, n + shift), (q, torch.zeros(6, dtype=torch.int64)))
    answers = student.each("rope", [Call(x, positions, 500.0) for x, positions in places])
    turned = [finite(found, "rope(x, positions, 500.0)", q.shape, q.dtype).detach() for found in answers]
    scores, moved = ((turned[i] * turned[i + 1]).sum(-1) for i in (0, 2))
    what = f"score of query at m and key at n, against m + {shift} and n + {shift}"
    close(moved, scores, what, rtol=1e-4, slip="Must depend on m - n only. Su et al. 3.1.")
    close(turned[0].norm(dim=-1), q.norm(dim=-1), "lengths after rope", rtol=1e-5, slip="A rotation keeps lengths.")
    close(turned[4], q, "rope at position 0", rtol=1e-6, slip="Its angle is 0.")


@hidden(ROPE, weight=2)
def positions_of_any_shape(student: Student, rng: np.random.Generator) -> None:
    """Positions may be shuffled, repeated, different for each sequence, or broadcast."""
    b, h, t, d = 3, 2, 5, 6
    x = normal(rng, b, h, t, d)
    shuffled, repeated = torch.from_numpy(rng.permutation(t)) + 2, integers(rng, 3, 6, t)
    each, every, one = integers(rng, 0, 40, b, 1, t), integers(rng, 0, 40, b, h, t), integers(rng, 1, 40, 1)
    slip = "Positions are values to use, one per vector, not places to count; read how they broadcast."
    cases = {"shuffled": shuffled, "repeated": repeated, "per sequence": each, "all": every, "one": one}
    turned = student.each("rope", [Call(x, positions, 10000.0) for positions in cases.values()])
    for name, positions in cases.items():
        case = f"x {tuple(x.shape)}, {name} positions {tuple(positions.shape)}"
        _turn_close(next(turned), x, positions, 10000.0, case, slip)


@hidden(ROPE, weight=1)
def theta_sets_the_speeds(student: Student, rng: np.random.Generator) -> None:
    """Another theta, and widths from one pair on."""
    cases = []
    for d in (2, 6, 2 * int(rng.integers(4, 12))):
        theta = float(rng.uniform(20, 3000))
        cases.append((normal(rng, 2, 7, d), integers(rng, 0, 30, 7), theta))
    turned = student.each("rope", [Call(x, positions, theta=theta) for x, positions, theta in cases])
    for x, positions, theta in cases:
        slip = "The speed of pair i comes from theta and 2i/d. Su et al. 3.2.2."
        _turn_close(next(turned), x, positions, theta, f"d={x.shape[-1]}, theta={theta:.1f}", slip)


@hidden(ROPE, weight=1)
def rope_keeps_its_input(student: Student, rng: np.random.Generator) -> None:
    """Inputs stay as they were, dtypes are kept, strided inputs work, gradients turn back, odd widths are refused."""
    x, positions = strided(normal(rng, 3, 5, 6)), integers(rng, 1, 40, 5)
    before = [x.clone(), positions.clone()]
    found, after = student.fn("rope", return_args=True)(x, positions, 10000.0)
    unchanged(after, before, "x positions", "rope")
    _turn_close(found, x, positions, 10000.0, "a strided x", "")
    short = normal(rng, 4, 5, 6, dtype=F32)
    _turn_close(student.fn("rope")(short, positions, 10000.0), short, positions, 10000.0, "float32 x", "")
    leaf, upstream = normal(rng, 4, 5, 6).requires_grad_(), normal(rng, 4, 5, 6)
    out = finite(student.fn("rope")(leaf, positions, 10000.0), "rope(x, positions, 10000.0)", leaf.shape, leaf.dtype)
    back = gradients(out, {"x": leaf}, upstream, "rope")["x"]
    close(back, _rotated(upstream, -positions, 10000.0), "gradient of x", rtol=1e-4, slip="Is something detached?")
    raises("ValueError", lambda: student.fn("rope")(normal(rng, 5, 7), positions, 10000.0), "rope with d=7")
