"""The comparisons of hidden checks: strict on every strange value, silent on what is right, readable on what is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from autograder.grading import compare
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.student import StudentCrashed, StudentError, StudentModule, StudentTimeout, Tampered
from autograder.submission.model import Cell

F64 = torch.float64
PROGRAM = """
import torch
from torch import nn

class Layer(nn.Module):
    def __init__(self, bias=False, frozen=False, width=2):
        super().__init__()
        self.lin = nn.Linear(width, 3, bias=bias)
        self.lin.weight.requires_grad_(not frozen)
        self.register_buffer("kept", torch.ones(4))

    def forward(self, x):
        return self.lin(x)

class Tied(nn.Module):
    def __init__(self, shared=True):
        super().__init__()
        self.last = nn.Linear(2, 3, bias=False)
        self.first = nn.Embedding(3, 2)
        if shared:
            self.first.weight = self.last.weight

    def forward(self, i):
        return self.last(self.first(i))

def in_place(x):
    x += 1
    return x

def squares(x):
    return x * x

def spoilt(x):
    y = x.exp()
    y.mul_(2)
    return y

def refuse(kind):
    raise {"ValueError": ValueError, "KeyError": KeyError, "own": type("<b>own</b>", (Exception,), {})}[kind]("no")
"""


class Liar(Tensor):
    """A tensor that says it equals everything."""

    def __eq__(self, other: object) -> Any:
        return torch.ones(2, 3, dtype=torch.bool)

    __hash__ = Tensor.__hash__


STRANGE: dict[str, Any] = {
    "None": None,
    "a text": "0.0",
    "a number": 0.0,
    "a list": [[0.0] * 3] * 2,
    "a tuple": (torch.zeros(2, 3, dtype=F64),),
    "an array": np.zeros((2, 3)),
    "a subclass": torch.zeros(2, 3, dtype=F64).as_subclass(Liar),
    "on no device": torch.zeros(2, 3, dtype=F64, device="meta"),
    "sparse": torch.zeros(2, 3, dtype=F64).to_sparse(),
    "float32": torch.zeros(2, 3),
    "whole numbers": torch.zeros(2, 3, dtype=torch.int64),
    "complex": torch.zeros(2, 3, dtype=torch.complex128),
    "a row that would broadcast": torch.zeros(3, dtype=F64),
    "a number that would broadcast": torch.zeros((), dtype=F64),
    "an empty tensor": torch.zeros(0, 3, dtype=F64),
    "transposed": torch.zeros(3, 2, dtype=F64),
    "an axis more": torch.zeros(1, 2, 3, dtype=F64),
    "NaN": torch.full((2, 3), math.nan, dtype=F64),
    "infinite": torch.tensor([[0, 0, 0], [0, 0, -math.inf]], dtype=F64),
}


@pytest.fixture(scope="module")
def student():
    with open_in_process([Cell("program", PROGRAM)]) as box:
        assert not box.failures
        yield box.student


@pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE)
def test_a_strange_value_equals_nothing(value: Any) -> None:
    """Whatever is no plain tensor of the right dtype and shape fails, by an assertion and nothing else."""
    with pytest.raises(AssertionError, match=r"^out"):
        compare.close(value, torch.zeros(2, 3, dtype=F64), "out", rtol=1e-9, atol=1.0)
    with pytest.raises(AssertionError, match=r"^out"):
        compare.same(value, torch.zeros(2, 3, dtype=F64), "out")


@pytest.mark.parametrize(
    "value", [torch.zeros(2, 3, dtype=F64), nn.Parameter(torch.zeros(2, 3, dtype=F64)), torch.zeros(3, 2, dtype=F64).T]
)
def test_the_right_value_is_returned(value: Tensor) -> None:
    """A plain tensor passes in any layout, and so does a parameter; comparisons return what they were given."""
    zeros = torch.zeros(2, 3, dtype=F64)

    assert compare.close(value, zeros, "out", rtol=1e-9) is value
    assert compare.same(value, zeros, "out") is value


def test_a_difference_is_shown_at_its_first_entry() -> None:
    """The text names the entry, both numbers, how many differ, and the slip."""
    wanted = torch.zeros(2, 3, dtype=F64)
    found = wanted.clone()
    found[0, 2], found[1, 1] = 0.25, 1.0

    with pytest.raises(AssertionError) as caught:
        compare.close(found, wanted + 0.0, "out for t=3", rtol=1e-9, atol=1e-9, slip="Which axis?")
    assert str(caught.value) == "out for t=3: entry [0, 2] is 0.25, expected 0 (2 of 6 entries differ). Which axis?"
    with pytest.raises(AssertionError, match=r"mask: it is False, expected True \(1 of 1 entries differ\)\."):
        compare.same(torch.tensor(False), torch.tensor(True), "mask")


@given(largest=st.floats(1e-6, 1e6), share=st.floats(0.0, 3.0), rtol=st.sampled_from([1e-9, 1e-5]))
def test_tolerance_is_relative_to_the_largest_entry(largest: float, share: float, rtol: float) -> None:
    """An entry may be off by rtol x the largest entry, wherever it stands, and by no more."""
    wanted = torch.tensor([largest, 0.0], dtype=F64)
    found = wanted + torch.tensor([0.0, share * rtol * largest], dtype=F64)

    if share <= 1:
        compare.close(found, wanted, "out", rtol=rtol)
    else:
        with pytest.raises(AssertionError):
            compare.close(found, wanted, "out", rtol=rtol)


def test_float32_may_be_judged_by_float64() -> None:
    """`dtype` is what the value must have; without it, it is the expected tensor's own. Several may be allowed."""
    wanted, found = torch.tensor([1 / 3], dtype=F64), torch.tensor([1 / 3])

    compare.close(found, wanted, "out", rtol=1e-7, dtype=torch.float32)
    compare.close(found, wanted, "out", rtol=1e-7, dtype=(torch.float32, F64))
    with pytest.raises(AssertionError, match="dtype float32, expected float64"):
        compare.close(found, wanted, "out", rtol=1e-7)
    with pytest.raises(AssertionError, match="entry"):
        compare.close(found, wanted, "out", rtol=1e-9, dtype=torch.float32)


def test_empty_tensors_equal_only_empty_ones() -> None:
    """An expected empty tensor is met by its like, and by nothing else."""
    compare.close(torch.empty(0, 3), torch.empty(0, 3), "out", rtol=1e-9)
    with pytest.raises(AssertionError, match="shape"):
        compare.close(torch.zeros(2, 3), torch.empty(0, 3), "out", rtol=1e-9)


@pytest.mark.parametrize("value", [None, 3, torch.zeros(2), (1,), (1, 2, 3), [], {"a": 1, "b": 2}, "ab"])
def test_a_pair_is_a_tuple_of_two(value: Any) -> None:
    """Two letters, two keys and two rows are no pair."""
    with pytest.raises(AssertionError, match="expected a tuple of 2"):
        compare.pair(value, "attention")
    assert compare.pair((1, 2), "attention") == compare.pair([1, 2], "attention") == (1, 2)


NO_NUMBERS = [None, True, "3", [3], torch.zeros(1), torch.tensor(1j), math.nan, math.inf, 10**400, np.float64(3), 3j]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_number_is_plain_and_finite(value: Any) -> None:
    """A truth value, a text, a list, a complex or an endless number is none."""
    with pytest.raises(AssertionError, match="count"):
        compare.number(value, "count")
    assert compare.number(3, "count") == compare.number(3.0, "count") == compare.number(torch.tensor(3), "count") == 3.0


def test_changed_arguments_are_found(student: Any) -> None:
    """The arguments as the call left them are compared, bit for bit, with what they were."""
    x = torch.arange(3.0)
    _, after = student.fn("in_place", return_args=True)(x)
    with pytest.raises(AssertionError, match=r"in_place: x after the call.*must not be modified"):
        compare.unchanged(after, [x], "x", "in_place")
    _, after = student.fn("squares", return_args=True)(x)
    compare.unchanged(after, [x], "x", "squares")


def test_the_named_exception_is_asked_for(student: Any) -> None:
    """Another exception fails, and so does none; a class of the student's own is not named: it may be any text."""
    compare.raises("ValueError", lambda: student.fn("refuse")("ValueError"), "refuse")
    with pytest.raises(AssertionError, match="refuse raises KeyError, expected ValueError"):
        compare.raises("ValueError", lambda: student.fn("refuse")("KeyError"), "refuse")
    with pytest.raises(AssertionError, match="refuse raises another exception, expected ValueError"):
        compare.raises("ValueError", lambda: student.fn("refuse")("own"), "refuse")
    with pytest.raises(AssertionError, match="squares raises nothing, expected ValueError"):
        compare.raises("ValueError", lambda: student.fn("squares")(2), "squares")


@pytest.mark.parametrize("end", [StudentTimeout, StudentCrashed, Tampered])
def test_the_end_of_a_player_is_no_exception_of_its_own(end: type[StudentError]) -> None:
    """A timeout goes on as a timeout, even if its kind reads like the exception that is asked for."""

    def call() -> None:
        raise end("ValueError", "")

    with pytest.raises(end):
        compare.raises("ValueError", call, "refuse")


def given_weights() -> dict[str, Tensor]:
    return {"lin.weight": torch.arange(6.0).view(3, 2)}


def test_weights_are_loaded_and_buffers_left_alone(student: Any) -> None:
    """After load the module computes with the given weights; its own buffers neither matter nor are missed."""
    m: StudentModule = student.module("Layer")
    compare.load(m, given_weights(), "Layer")
    x = torch.tensor([[1.0, 10.0]])

    compare.same(compare.evaluate(m, x), x @ given_weights()["lin.weight"].T, "Layer(x)")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": True}, "Layer has lin.bias among its parameters"),
        ({"width": 5}, r"Layer: lin.weight has shape \(3, 5\), expected \(3, 2\)"),
        ({"frozen": True}, "Layer: lin.weight does not require a gradient"),
    ],
)
def test_other_parameters_are_refused(student: Any, options: dict[str, Any], message: str) -> None:
    """A surplus parameter would spoil every comparison; a frozen one would never learn."""
    with pytest.raises(AssertionError, match=message):
        compare.load(student.module("Layer", **options), given_weights(), "Layer")


def test_a_missing_parameter_is_named(student: Any) -> None:
    """Names that lack are listed, three at most."""
    wanted = {f"w{i}": torch.zeros(1) for i in range(5)}
    with pytest.raises(AssertionError, match=r"Layer lacks w0, w1, w2 and 2 more and has lin\.weight among"):
        compare.load(student.module("Layer"), wanted, "Layer")
    with pytest.raises(AssertionError, match=r"Layer lacks w0 among"):
        compare.load(student.module("Layer"), {**given_weights(), "w0": torch.zeros(1)}, "Layer")


def test_a_shared_parameter_may_have_either_name(student: Any) -> None:
    """Torch lists a shared parameter under its first name; two parameters are no shared one."""
    weight = torch.arange(6.0).view(3, 2)
    shared = {"last.weight": "first.weight"}
    m = student.module("Tied")
    compare.load(m, {"first.weight": weight}, "Tied", shared)
    compare.same(compare.evaluate(m, torch.arange(3)), weight @ weight.T, "Tied(i)")

    with pytest.raises(AssertionError, match=r"Tied has (first|last)\.weight among its parameters"):
        compare.load(student.module("Tied", shared=False), {"first.weight": weight}, "Tied", shared)


def test_gradients_come_back_by_name(student: Any) -> None:
    """An input that does not matter gets zeros; what cannot be differentiated fails in words."""
    x, unused = torch.tensor([1.0, -2.0], requires_grad=True), torch.ones(3, requires_grad=True)
    upstream = torch.tensor([1.0, 10.0])
    found = compare.gradients(student.fn("squares")(x), {"x": x, "unused": unused}, upstream, "squares")

    compare.same(found["x"], torch.tensor([2.0, -40.0]), "gradient")
    compare.same(found["unused"], torch.zeros(3), "gradient")
    with pytest.raises(AssertionError, match="no gradient flows"):
        compare.gradients(x.detach(), {"x": x}, upstream, "squares")


def test_a_backward_pass_that_fails_is_the_students(student: Any) -> None:
    """A tensor that was overwritten in place breaks the student's backward pass, and no fault of ours is seen in it."""
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    out = student.fn("spoilt")(x)
    with pytest.raises(StudentError, match="RuntimeError"):
        compare.gradients(out, {"x": x}, torch.ones(2), "spoilt")


def test_evaluation_leaves_no_graph(student: Any) -> None:
    """A module is called without gradients, and they are on again afterwards."""
    m, x = student.module("Layer"), torch.ones(1, 2)

    assert not compare.evaluate(m, x).requires_grad
    assert m(x).requires_grad


@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 1, 5)])
def test_a_strided_copy_has_the_same_values(shape: Sequence[int]) -> None:
    """The values are equal; the memory is not contiguous."""
    x = torch.from_numpy(np.random.default_rng(0).standard_normal(shape))
    y = compare.strided(x)

    compare.same(y, x, "copy")
    assert not y.is_contiguous()


def test_draws_follow_from_the_generator_alone() -> None:
    """Equal generators draw equal inputs, and torch's own random state is neither used nor moved."""
    state = torch.get_rng_state()
    first, again = (np.random.default_rng(7) for _ in range(2))
    drawn = []
    for rng in (first, again):
        tensors = compare.normal(rng, 2, 3, scale=2.0), compare.normal(rng, 4, dtype=torch.float32), compare.integers(rng, 3, 6, 50)
        drawn.append((*tensors, compare.sizes(rng, 4, 2, 9)))

    for a, b in zip(drawn[0][:3], drawn[1][:3], strict=True):
        compare.same(a, b, "draw")
    assert drawn[0][3] == drawn[1][3]
    assert sorted(compare.sizes(first, 7, 2, 9)) == [2, 3, 4, 5, 6, 7, 8]
    assert (drawn[0][0].dtype, drawn[0][1].dtype, drawn[0][2].dtype) == (F64, torch.float32, torch.int64)
    assert set(drawn[0][2].tolist()) == {3, 4, 5}
    assert torch.equal(torch.get_rng_state(), state)


def test_shapes_are_named() -> None:
    """A case is named by its tensors' shapes, in einops words."""
    assert compare.shapes(q=torch.zeros(3, 5, 4), s=torch.zeros(())) == "q (3 5 4), s ()"


def test_the_share_of_a_tolerance_that_was_needed_is_noted() -> None:
    """0 for equal values, above 1 for a failure, per comparison; outside of the block nothing is kept."""
    one = torch.tensor([1.0, 2.0], dtype=F64)
    with compare.tolerances_used() as used:
        compare.close(one, one, "x", rtol=1e-3)
        compare.close(one + torch.tensor([0.0, 1e-3]), one, "x", rtol=1e-3)
        with pytest.raises(AssertionError):
            compare.close(one * 1.01, one, "x", rtol=1e-3)
    compare.close(one, one, "x", rtol=1e-3)

    assert used == pytest.approx([0.0, 0.5, 10.0])
