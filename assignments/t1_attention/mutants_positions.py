"""Wrong and right answers to T1's positions: sinusoidal, LearnedPos, rope.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import einops
import torch
from torch import Tensor, nn

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

POSITIONS, ROPE = "t1_attention.sinusoidal", "t1_attention.rope"

# -- sinusoidal ------------------------------------------------------------------------------------------------------------

mutant_edit(
    POSITIONS,
    ("torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)", "torch.cat([angle.sin(), angle.cos()], dim=-1)"),
    caught_by=("table_in_closed_form", "shift_is_a_rotation"),
    label="sines and cosines in two blocks",
    hint="Your table has all sines first and all cosines after. They should alternate.",
)
mutant_edit(
    POSITIONS,
    ("[angle.sin(), angle.cos()]", "[angle.cos(), angle.sin()]"),
    caught_by="table_in_closed_form",
    label="cosines first",
    hint="Your pairs have the cosine first.",
)
mutant_edit(
    POSITIONS,
    ("torch.arange(n)[:, None]", "torch.arange(1, n + 1)[:, None]"),
    caught_by="table_in_closed_form",
    label="positions from 1",
    hint="Your first row is that of position 1. Positions count from 0.",
)
mutant_edit(
    POSITIONS,
    ("torch.arange(0, d, 2) / d", "2 * torch.arange(0, d, 2) / d"),
    caught_by="table_in_closed_form",
    label="2i is doubled once more",
    hint="Your exponent has the factor 2 twice: the step of arange is one already.",
)
mutant_edit(
    POSITIONS,
    ("torch.arange(0, d, 2) / d", "torch.arange(d // 2) / d"),
    caught_by="table_in_closed_form",
    label="the exponent is i/d",
    hint="Your exponent lacks the factor 2: the speeds reach only the root of what they should.",
)
mutant_edit(
    POSITIONS,
    ("torch.arange(0, d, 2) / d", "torch.linspace(0, 1, d // 2)"),
    caught_by="table_in_closed_form",
    label="the exponent reaches 1",
    hint="Your slowest pair is as slow as 1/10000. 2i/d stays below 1.",
)
mutant_edit(
    POSITIONS,
    ("/ 10000 **", "/ 1000 **"),
    caught_by="table_in_closed_form",
    label="another base",
    hint="Your base is not 10000.",
)
mutant_edit(
    POSITIONS,
    ("/ 10000 **", "* 10000 **"),
    caught_by="table_in_closed_form",
    label="multiplies by the power",
    hint="Your angles grow with the index of the pair. They should fall.",
)
mutant_edit(
    POSITIONS,
    ("[angle.sin(), angle.cos()]", "[angle.sin(), (torch.arange(n)[:, None] / 10000 ** (torch.arange(1, d, 2) / d)).cos()]"),
    caught_by=("table_in_closed_form", "shift_is_a_rotation"),
    label="the cosine has an angle of its own",
    hint="The sine and the cosine of a pair have different angles in your table. They share one.",
)
mutant_edit(
    POSITIONS,
    ("torch.stack([angle.sin(), angle.cos()], dim=-1)", "torch.stack([angle.sin(), angle.cos()], dim=0)"),
    ("flatten(-2)", "reshape(n, d)"),
    caught_by="table_in_closed_form",
    label="stacked along the first axis",
    hint="Your sines and cosines are stacked along the first axis, and then cut into rows.",
)
mutant_edit(
    POSITIONS,
    ("torch.arange(n)[:, None]", "math.pi * torch.arange(n)[:, None]"),
    caught_by="table_in_closed_form",
    label="positions times pi",
    hint="Your positions are multiplied by a constant.",
)
mutant_edit(
    POSITIONS,
    ("    if d % 2:\n", "    if False:\n"),
    caught_by="odd_width_is_refused",
    label="an odd width is accepted",
    hint="Your table accepts an odd width.",
)
mutant_edit(
    POSITIONS,
    ('raise ValueError(f"d={d} is odd: sines and cosines come in pairs")', "return torch.zeros(n, d)"),
    caught_by="odd_width_is_refused",
    label="zeros for an odd width",
    hint="For an odd width your function returns something. The docstring asks for a ValueError.",
)


@alternative(POSITIONS, label="filled in two strides, by an exponential")
def sinusoidal(n: int, d: int) -> Tensor:
    if d % 2 != 0:
        raise ValueError("d must be even")
    table = torch.zeros(n, d)
    position = torch.arange(0, n, dtype=torch.float).unsqueeze(1)
    div = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
    table[:, 0::2] = torch.sin(position * div)
    table[:, 1::2] = torch.cos(position * div)
    return table


@alternative(POSITIONS, label="number by number")
def sinusoidal(n, d):
    if d % 2 == 1:
        raise ValueError(d)
    rows = []
    for p in range(n):
        row = []
        for i in range(d // 2):
            a = p / math.pow(10000, 2 * i / d)
            row += [math.sin(a), math.cos(a)]
        rows.append(row)
    return torch.tensor(rows)


@alternative(POSITIONS, label="the imaginary part first, in float64")
def sinusoidal(n: int, d: int) -> Tensor:
    if d & 1:
        raise ValueError("odd")
    speed = 1e4 ** -(torch.arange(d // 2, dtype=torch.float64) * 2 / d)
    z = torch.polar(torch.ones(n, d // 2, dtype=torch.float64), torch.outer(torch.arange(n, dtype=torch.float64), speed))
    return einops.rearrange([z.imag, z.real], "s n p -> n (p s)").float()


# -- LearnedPos ------------------------------------------------------------------------------------------------------------

mutant_edit(
    POSITIONS,
    ("self.weight[offset : offset + t]", "self.weight[:t]"),
    caught_by="learned_offset",
    label="the offset is ignored",
    hint="Your table is read from row 0, whatever the offset says.",
)
mutant_edit(
    POSITIONS,
    ("self.weight[offset : offset + t]", "self.weight[offset:t]"),
    caught_by="learned_offset",
    label="reads up to t",
    hint="With an offset you get fewer than t rows: the slice ends at t.",
)
mutant_edit(
    POSITIONS,
    ("self.weight[offset : offset + t]", "self.weight[offset + 1 : offset + t + 1]"),
    caught_by="learned_table_is_read",
    label="one row too far",
    hint="Your table is read from row 1 on.",
)
mutant_edit(
    POSITIONS,
    ("self.weight[offset : offset + t]", "self.weight"),
    caught_by="learned_table_is_read",
    label="the whole table",
    hint="You return the whole table, whatever t is.",
)
mutant_edit(
    POSITIONS,
    ("self.weight[offset : offset + t]", "self.weight.roll(-offset, 0)[:t]"),
    ("if offset + t > len(self.weight):", "if t > len(self.weight):"),
    caught_by="end_of_the_table",
    label="wraps around",
    hint="Beyond its end your table starts again.",
)
mutant_edit(
    POSITIONS,
    ("if offset + t > len(self.weight):", "if False:"),
    caught_by="end_of_the_table",
    label="a shorter result beyond the end",
    hint="Beyond the end of the table you return fewer rows than asked, in silence: a slice does not complain.",
)
mutant_edit(
    POSITIONS,
    ("if offset + t > len(self.weight):", "if t > len(self.weight):"),
    caught_by="end_of_the_table",
    label="the offset is not in the test",
    hint="You refuse too long a sequence, but not an offset that leads beyond the end.",
)
mutant_edit(
    POSITIONS,
    ("if offset + t > len(self.weight):", "if offset + t >= len(self.weight):"),
    caught_by=("learned_table_is_read", "end_of_the_table"),
    label="the last position is refused",
    hint="Your last row can never be read: the bound is one too strict.",
)
mutant_edit(
    POSITIONS,
    ('raise ValueError(f"positions', 'raise IndexError(f"positions'),
    caught_by="end_of_the_table",
    label="another exception",
    hint="Beyond the end a ValueError is asked for.",
)
mutant_edit(
    POSITIONS,
    ("return self.weight[offset", "return self.weight.detach()[offset"),
    caught_by="learned_offset",
    label="detached",
    hint="No gradient reaches your table: it would never learn.",
)
mutant_edit(
    POSITIONS,
    ("self.weight = nn.Parameter(torch.randn(n, d) * 0.02)", 'self.register_buffer("weight", torch.randn(n, d) * 0.02)'),
    caught_by="learned_table_is_read",
    label="a buffer in place of a parameter",
    hint="Your table is a buffer: no optimizer will find it among the parameters.",
)
mutant_edit(
    POSITIONS,
    ("torch.randn(n, d) * 0.02)", "torch.randn(n, d) * 0.02, requires_grad=False)"),
    caught_by="learned_table_is_read",
    label="a frozen parameter",
    hint="Your table does not require a gradient.",
)


@mutant(
    POSITIONS,
    caught_by="learned_table_is_read",
    label="the parameter has another name",
    hint="Your table's parameter is not named weight, so that no table can be loaded.",
)
class LearnedPos(nn.Module):
    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(n, d)

    def forward(self, t: int, offset: int = 0) -> Tensor:
        if offset + t > self.emb.num_embeddings:
            raise ValueError("too long")
        return self.emb(torch.arange(offset, offset + t))


@mutant(
    POSITIONS,
    caught_by="learned_offset",
    label="the offset is added to the vectors",
    hint="You add the offset to the vectors themselves. It says where to begin reading.",
)
class LearnedPos(nn.Module):
    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, d) * 0.02)

    def forward(self, t: int, offset: int = 0) -> Tensor:
        if offset + t > len(self.weight):
            raise ValueError("too long")
        return self.weight[:t] + offset


@alternative(POSITIONS, label="an embedding, inherited")
class LearnedPos(nn.Embedding):
    def __init__(self, n: int, d: int) -> None:
        super().__init__(n, d)
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, t: int, offset: int = 0) -> Tensor:
        if offset + t > self.num_embeddings:
            raise ValueError(f"{offset} + {t} > {self.num_embeddings}")
        return super().forward(torch.arange(offset, offset + t))


@alternative(POSITIONS, label="gathered by index, sizes kept aside")
class LearnedPos(nn.Module):
    def __init__(self, n, d):
        super().__init__()
        self.n = n
        self.weight = nn.Parameter(torch.empty(n, d))
        nn.init.normal_(self.weight, mean=0.0, std=0.02)

    def forward(self, t, offset=0):
        if not offset + t <= self.n:
            raise ValueError("beyond the table")
        return torch.index_select(self.weight, 0, torch.arange(t) + offset)


# -- rope ------------------------------------------------------------------------------------------------------------------

mutant_edit(
    ROPE,
    ("angle = positions[..., None] *", "angle = torch.arange(x.shape[-2])[:, None] *"),
    caught_by=("pairs_turn_by_position", "positions_of_any_shape"),
    label="the positions are ignored",
    hint="You count positions yourself, from 0. They are given, and need not be 0, 1, 2.",
)
mutant_edit(
    ROPE,
    ("even * cos - odd * sin, even * sin + odd * cos", "even * cos + odd * sin, odd * cos - even * sin"),
    caught_by="pairs_turn_by_position",
    label="turns clockwise",
    hint="Your pairs turn clockwise. The sign of one angle is the other way round.",
)
mutant_edit(
    ROPE,
    ("angle = positions[..., None] *", "angle = (positions[..., None] + 1) *"),
    caught_by=("pairs_turn_by_position", "score_depends_on_distance"),
    label="positions plus 1",
    hint="At position 0 you rotate already.",
)
mutant_edit(
    ROPE,
    ("theta ** (-pair / d)", "theta ** (-pair / 2 / d)"),
    caught_by="pairs_turn_by_position",
    label="the exponent is i/d",
    hint="Your exponent lacks the factor 2: the slow pairs are too fast.",
)
mutant_edit(
    ROPE,
    ("theta ** (-pair / d)", "theta ** (-2 * pair / d)"),
    caught_by="pairs_turn_by_position",
    label="2i is doubled once more",
    hint="Your exponent has the factor 2 twice: the step of arange is one already.",
)
mutant_edit(
    ROPE,
    ("theta ** (-pair / d)", "theta ** (pair / d)"),
    caught_by="pairs_turn_by_position",
    label="speeds that grow",
    hint="Your later pairs turn faster. They should turn more slowly.",
)
mutant_edit(
    ROPE,
    ("theta ** (-pair / d)", "theta ** (-pair / max(1, d - 2))"),
    caught_by="pairs_turn_by_position",
    label="the exponent reaches 1",
    hint="Your slowest pair turns by 1/theta. 2i/d stays below 1.",
)
mutant_edit(
    ROPE,
    ("theta ** (-pair / d)", "10000.0 ** (-pair / d)"),
    caught_by="theta_sets_the_speeds",
    label="theta is ignored",
    hint="Your speeds are the same for every theta.",
)
mutant_edit(
    ROPE,
    ("angle = positions[..., None] *", "angle = (positions - positions.min())[..., None] *"),
    caught_by="pairs_turn_by_position",
    label="positions counted from the smallest",
    hint="You shift the positions so that the smallest is 0. Scores survive that, values do not.",
)
mutant_edit(
    ROPE,
    ("angle = positions[..., None] *", "angle = positions.reshape(-1)[: x.shape[-2], None] *"),
    caught_by="positions_of_any_shape",
    label="one row of positions for all sequences",
    hint="You take the first row of positions for every sequence.",
)
mutant_edit(
    ROPE,
    ("angle = positions[..., None] *", "angle = positions.sort().values[..., None] *"),
    caught_by=("pairs_turn_by_position", "positions_of_any_shape"),
    label="positions sorted",
    hint="You put the positions in order before you use them.",
)
mutant_edit(
    ROPE,
    ("even, odd = x[..., 0::2], x[..., 1::2]", "even, odd = x.chunk(2, dim=-1)"),
    ("torch.stack([", "torch.cat(["),
    (", dim=-1).flatten(-2)", ", dim=-1)"),
    caught_by="pairs_turn_by_position",
    label="pairs are halves apart",
    hint="Your pairs are (i, i + d/2), another convention. Here they are neighbours.",
)
mutant_edit(
    ROPE,
    ("torch.stack([", "torch.cat(["),
    (", dim=-1).flatten(-2)", ", dim=-1)"),
    caught_by="pairs_turn_by_position",
    label="the pairs are not put back",
    hint="You rotate neighbours, but return all first parts and then all second parts.",
)
mutant_edit(
    ROPE,
    ("cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)", "sin, cos = angle.cos().to(x.dtype), angle.sin().to(x.dtype)"),
    caught_by=("pairs_turn_by_position", "score_depends_on_distance"),
    label="sine and cosine swapped",
    hint="At position 0 your features do not stay as they are: which of sine and cosine is 0 there?",
)
mutant_edit(
    ROPE,
    ("even * sin + odd * cos]", "even * sin - odd * cos]"),
    caught_by=("pairs_turn_by_position", "score_depends_on_distance"),
    label="a reflection",
    hint="Your pairs are mirrored, not turned: position 0 changes a sign.",
)
mutant_edit(
    ROPE,
    ("angle.cos().to(x.dtype), angle.sin().to(x.dtype)", "angle.cos(), angle.sin()"),
    caught_by="rope_keeps_its_input",
    label="float32 comes back as float64",
    hint="float32 features come back as float64: the angles decide your dtype.",
)
mutant_edit(
    ROPE,
    ("    d = x.shape[-1]\n", "    x = x.float()\n    d = x.shape[-1]\n"),
    caught_by="pairs_turn_by_position",
    label="always float32",
    hint="float64 features come back as float32.",
)
mutant_edit(
    ROPE,
    ("    if d % 2:\n", "    if False:\n"),
    caught_by="rope_keeps_its_input",
    label="no error of its own for an odd width",
    hint="An odd width fails somewhere inside your function. A ValueError is asked for.",
)
mutant_edit(
    ROPE,
    ("    even, odd =", "    x = x.detach()\n    even, odd ="),
    caught_by="rope_keeps_its_input",
    label="detached",
    hint="No gradient passes back through your rotation.",
)
mutant_edit(
    ROPE,
    ("pair = torch.arange(0, d, 2, dtype=torch.float64)", "pair = torch.zeros(d // 2, dtype=torch.float64)"),
    caught_by="pairs_turn_by_position",
    label="one speed for all pairs",
    hint="All of your pairs turn at the same speed.",
)
mutant_edit(
    ROPE,
    ("angle = positions[..., None] *", "angle = (positions - x.shape[-2] // 2)[..., None] *"),
    caught_by=("pairs_turn_by_position", "score_depends_on_distance"),
    label="positions counted from the middle",
    hint="Your position 0 is somewhere else: position 0 should change nothing.",
)


@mutant(
    ROPE,
    caught_by="rope_keeps_its_input",
    label="rotates in place",
    hint="Your function changes the features that it is given.",
)
def rope(x: Tensor, positions: Tensor, theta: float = 10000.0) -> Tensor:
    d = x.shape[-1]
    if d % 2:
        raise ValueError(d)
    angle = positions[..., None] * theta ** (-torch.arange(0, d, 2) / d)
    even, odd = x[..., 0::2].clone(), x[..., 1::2].clone()
    x[..., 0::2] = even * angle.cos() - odd * angle.sin()
    x[..., 1::2] = even * angle.sin() + odd * angle.cos()
    return x


@mutant(
    ROPE,
    caught_by="pairs_turn_by_position",
    label="the second half of a pair sees the first one rotated",
    hint="You overwrite the first feature of a pair before the second one has used it.",
)
def rope(x: Tensor, positions: Tensor, theta: float = 10000.0) -> Tensor:
    d = x.shape[-1]
    if d % 2:
        raise ValueError(d)
    angle = positions[..., None] * theta ** (-torch.arange(0, d, 2) / d)
    out = x.clone()
    out[..., 0::2] = out[..., 0::2] * angle.cos() - out[..., 1::2] * angle.sin()
    out[..., 1::2] = out[..., 0::2] * angle.sin() + out[..., 1::2] * angle.cos()
    return out


@mutant(
    ROPE,
    caught_by="positions_of_any_shape",
    label="positions for one sequence only",
    hint="Your positions may have one axis only. They may differ from sequence to sequence.",
)
def rope(x: Tensor, positions: Tensor, theta: float = 10000.0) -> Tensor:
    d = x.shape[-1]
    if d % 2:
        raise ValueError(d)
    angle = torch.outer(positions.double(), theta ** (-torch.arange(0, d, 2).double() / d))
    z = torch.view_as_complex(x.double().reshape(*x.shape[:-1], d // 2, 2)) * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(z).flatten(-2).to(x.dtype)


@alternative(ROPE, label="complex numbers")
def rope(x: Tensor, positions: Tensor, theta: float = 10000.0) -> Tensor:
    d = x.shape[-1]
    if d % 2:
        raise ValueError("d must be even")
    speeds = 1.0 / theta ** (torch.arange(0, d, 2).float() / d)
    turn = torch.polar(torch.ones(()), positions.unsqueeze(-1).float() * speeds)
    z = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
    return torch.view_as_real(z * turn).flatten(-2).type_as(x)


@alternative(ROPE, label="the whole vector times a cosine, plus its quarter turn times a sine")
def rope(x, positions, theta=10000.0):
    d = x.size(-1)
    if d % 2 != 0:
        raise ValueError(f"odd dimension {d}")
    inv = torch.exp(-math.log(theta) * torch.arange(0, d, 2) / d)
    angle = torch.repeat_interleave(torch.einsum("...t,f->...tf", positions.float(), inv), 2, dim=-1)
    quarter = torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).reshape(x.shape)
    return (x * angle.cos() + quarter * angle.sin()).to(x.dtype)


@alternative(ROPE, label="a small matrix for every pair")
def rope(x: Tensor, positions: Tensor, theta: float = 10000.0) -> Tensor:
    d = x.shape[-1]
    if d % 2:
        raise ValueError
    out = []
    for i in range(d // 2):
        a = (positions * theta ** (-2 * i / d)).to(x.dtype)
        turn = torch.stack([torch.stack([a.cos(), -a.sin()], -1), torch.stack([a.sin(), a.cos()], -1)], -2)
        out.append(torch.einsum("...ij,...j->...i", turn, x[..., 2 * i : 2 * i + 2]))
    return torch.cat(out, dim=-1)


alternative_edit(ROPE, ("dtype=torch.float64", "dtype=x.dtype"), label="speeds in the dtype of the features")
