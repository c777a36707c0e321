"""Several requests in one trip: what each brings and raises is what it would alone, and what ends the box ends it."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from torch import nn

from autograder.grading.compare import evaluate_each, load
from autograder.sandbox.box import Limits, Slot
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.protocol import AT_ONCE_BYTES, Frame, bursts
from autograder.sandbox.student import Call, StudentCrashed, StudentError, Tampered
from autograder.submission.model import Cell

PROGRAM = """
import os
import torch
from dataclasses import dataclass
from torch import nn

BUFFER = torch.zeros(2)
MADE = []

def half(n):
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n // 2

def is_none(x):
    return x is None

def same_buffer(x):
    BUFFER.copy_(x)
    return BUFFER

def in_place(x):
    return x.mul_(3)

def square(x):
    return x * x

def large(n):
    return torch.full((n,), 7, dtype=torch.uint8)

def total(x):
    return x.sum()

def use(f, x):
    return f(x) + 1

def keep(f):
    global kept
    kept = f
    return f(1)

def use_kept(x):
    try:
        return kept(x)
    except RuntimeError:
        return "closed"

def leave(n):
    if n == 2:
        os._exit(3)
    return n

def forge(n):
    os.write(3, b"ANS1" + bytes(12))
    return n

@dataclass
class Config:
    n: int = 0

    def __post_init__(self):
        MADE.append(self.n)
        if self.n < 0:
            raise ValueError("below zero")

def n_of(config):
    return config.n

def made():
    return list(MADE)

class Scale(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.n))

    def forward(self, x):
        return self.weight * x

class Holder:
    def __init__(self, f):
        self.f = f

    def ask(self, x):
        return self.f(x)

def Function(config):
    return print
"""


@pytest.fixture(scope="module")
def slot():
    with Slot.start() as slot:
        yield slot


@pytest.fixture(params=["in process", "in a box"])
def opened(request) -> Callable:
    """Both ways to open a program: a check must not be able to tell them apart."""
    return open_in_process if request.param == "in process" else request.getfixturevalue("slot").open_box


@pytest.fixture
def box(opened):
    with opened([Cell("answers", PROGRAM)]) as box:
        assert box.failures == {}
        yield box


@pytest.fixture
def student(box):
    return box.student


def n_trips(box, act: Callable[[], object]) -> int:
    """Count how often the line is handed calls while act() runs."""
    line, n = box._link.line, 0
    calls = line.calls

    def counted(frames):
        nonlocal n
        n += 1
        return calls(frames)

    line.calls = counted
    try:
        act()
    finally:
        line.calls = calls
    return n


# -- several calls -----------------------------------------------------------------------------------------------------


def test_several_calls_are_one_trip(box, student):
    """The values come in order, and what one call raises stands in its place."""
    found = None

    def ask():
        nonlocal found
        found = student.each("half", [Call(4), Call(7), Call(n=10)])

    assert n_trips(box, ask) == 1
    assert next(found) == 2
    with pytest.raises(StudentError, match="7 is odd"):
        next(found)
    assert list(found) == [5]
    assert list(student.each("half", [])) == []
    assert box.alive


def test_no_calls_take_nothing_along(student):
    """What waits for the next request waits on."""
    m = student.module("Scale", student.make("Config", 2))
    m.load_soon({"weight": torch.full((2,), 3.0)})
    assert list(m.each([])) == []
    assert torch.equal(m.state_dict()["weight"], torch.full((2,), 3.0))


def test_they_are_made_when_they_are_asked_for(student):
    """Not when an answer is taken: whoever lets the answers lie changes nothing of the order."""
    answers = student.each("same_buffer", [Call(torch.ones(2))])
    assert torch.equal(student.get("BUFFER"), torch.ones(2))
    assert torch.equal(next(answers), torch.ones(2))


def test_an_answer_is_what_its_own_call_returned(student):
    """A student's code may fill one buffer again and again, and change what it is given: each call has its own copy."""
    rows = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    for found, row in zip(student.each("same_buffer", [Call(row) for row in rows]), rows, strict=True):
        assert torch.equal(found, row)
    x = torch.ones(2)
    assert [y.tolist() for y in student.each("in_place", [Call(x), Call(x)])] == [[3.0, 3.0], [3.0, 3.0]]


def test_gradients_flow_through_each(student):
    """Every answer has a graph of its own."""
    xs = [torch.tensor(float(n), requires_grad=True) for n in (1, 2, 3)]
    a, b, c = student.each("square", [Call(x) for x in xs])
    c.backward()
    (a + b).backward()
    assert [x.grad.item() for x in xs] == [2, 4, 6]


def test_neither_end_waits_for_the_other_to_read(student):
    """Many calls, large arguments and large answers: the line carries more than a socket holds, in both directions."""
    n = 3 * AT_ONCE_BYTES
    assert all(y.numel() == n for y in student.each("large", [Call(n)] * 40))
    assert [int(y) for y in student.each("total", [Call(torch.ones(n, dtype=torch.uint8))] * 5)] == [n] * 5
    x = torch.ones(n)
    assert all(torch.equal(y, x) for y in student.each("square", [Call(x)] * 6))
    assert list(student.each("half", [Call(2 * i) for i in range(3000)])) == list(range(3000))


def test_functions_of_the_check_are_served_and_judged(student):
    """With them every call has a trip of its own, so that what comes back next is the answer to the student's call."""
    seen = []

    def model(x):
        seen.append(x)
        assert x < 3, "too large"
        return 10 * x

    assert list(student.each("use", [Call(model, 1), Call(model, 2)])) == [11, 21]
    assert seen == [1, 2]
    with pytest.raises(AssertionError, match="too large"):
        student.each("use", [Call(model, 1), Call(model, 5)])


def test_a_function_of_an_earlier_call_stays_closed(box, student):
    """Also while more calls of the same trip wait to be read, where the student's code may take none of them for an answer."""
    assert student.fn("keep")(lambda x: x + 1) == 2
    assert list(student.each("use_kept", [Call(1), Call(2), Call(3)])) == ["closed"] * 3
    assert box.alive


def test_what_ends_the_box_ends_it_at_once(slot):
    """And every later request raises the same; a forged answer is none of the others."""
    for name, error in (("leave", StudentCrashed), ("forge", Tampered)):
        with slot.open_box([Cell("answers", PROGRAM)]) as box:
            with pytest.raises(error):
                box.student.each(name, [Call(1), Call(2), Call(3)])
            assert not box.alive
            with pytest.raises(error):
                box.student.each("half", [Call(2)])


def test_what_is_received_is_counted_call_by_call(slot, monkeypatch):
    """Before the next answer is read: a hundred answers are not held together to be counted afterwards."""
    monkeypatch.setattr("autograder.sandbox.link.MAX_RECEIVED_BYTES", 5 << 20)
    read = []
    with slot.open_box([Cell("answers", PROGRAM)], Limits()) as box:
        calls = box._link.line.calls
        box._link.line.calls = lambda frames: (read.append(1) or frame for frame in calls(frames))
        with pytest.raises(StudentCrashed, match="MiB of results"):
            box.student.each("large", [Call(1 << 20)] * 100)
    assert len(read) < 7


def test_a_burst_is_no_larger_than_a_socket_takes():
    """A frame above that goes alone."""
    sizes = [10, AT_ONCE_BYTES - 100, 200, AT_ONCE_BYTES + 1, 1, 1]
    frames = [Frame(True, bytes(n), b"") for n in sizes]
    assert [[len(f.json) for f in burst] for burst in bursts(frames)] == [sizes[:2], sizes[2:3], sizes[3:4], sizes[4:]]
    assert bursts([]) == []


def test_different_things_are_asked_together(box, student):
    """Functions and objects, by turns; an object of another box is the author's mistake."""
    a, b = (student.module("Scale", student.make("Config", n)) for n in (2, 3))
    asked = [(a, Call(torch.ones(2))), ("half", Call(8)), (b, Call(torch.ones(3)))]
    assert n_trips(box, lambda: student.together(asked)) == 3, "gradients may be wanted: the weights are read first, each once"
    with torch.no_grad():
        assert n_trips(box, lambda: student.together(asked)) == 1
        first, four, last = student.together(asked)
    assert (first.tolist(), four, last.tolist()) == ([1.0, 1.0], 4, [1.0, 1.0, 1.0])
    with open_in_process([Cell("answers", PROGRAM)]) as other, pytest.raises(TypeError, match="another box"):
        other.student.together([(a, Call(1))])


# -- objects that are made on the way ----------------------------------------------------------------------------------


def test_what_is_made_soon_goes_along(box, student):
    """Objects, modules of them, weights and calls: one trip."""
    found = None

    def ask():
        nonlocal found
        m = student.module_soon("Scale", student.make_soon("Config", 2))
        load(m, {"weight": torch.tensor([2.0, 3.0])}, "Scale")
        found = evaluate_each(m, [Call(torch.ones(2)), Call(2.0)])

    assert n_trips(box, ask) == 1
    assert [y.tolist() for y in found] == [[2.0, 3.0], [4.0, 6.0]]
    configs = [student.make_soon("Config", n) for n in (5, 6)]
    assert n_trips(box, lambda: configs.append(list(student.each("n_of", [Call(c) for c in configs])))) == 1
    assert configs.pop() == [5, 6]


def test_a_module_made_soon_is_a_module(student):
    """Gradients, weights read back and names are those of any other; its table is of now, not of when it was made."""
    m = student.module_soon("Scale", student.make_soon("Config", 2))
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    m(x).sum().backward()
    assert torch.equal(dict(m.named_parameters())["weight"].grad, torch.tensor([1.0, 2.0]))
    assert torch.equal(x.grad, torch.ones(2))
    other = student.module_soon("Scale", student.make("Config", 3))
    assert other.param_table() == [("weight", (3,), True)]
    assert (other.kind, other.type_name) == ("module", "Scale")
    later = student.module_soon("Scale", student.make("Config", 3))
    later.set("weight", nn.Parameter(torch.ones(4)))
    assert later.param_table() == [("weight", (4,), True)]


def test_what_making_raises_the_next_request_raises(box, student):
    """Not what comes of it there; and the request after that is as ever."""
    config = student.make_soon("Config", -1)
    with pytest.raises(StudentError, match="below zero"):
        student.fn("n_of")(config)
    with pytest.raises(StudentError, match="below zero"):
        student.module_soon("Scale", student.make_soon("Config", -2))(torch.ones(1))
    with pytest.raises(StudentError, match="could not be made"):
        student.fn("is_none")(config)
    assert student.fn("is_none")(None) is True
    assert student.fn("half")(4) == 2
    assert box.alive


def test_what_is_let_go_of_is_not_made(student):
    """Nobody asked anything of it."""
    student.make_soon("Config", 7)
    gc.collect()
    assert 7 not in student.fn("made")()


@pytest.mark.parametrize("way", ["module", "module_soon"])
def test_what_is_no_module_is_the_students_error(student, way):
    """A function where a Module was asked for."""
    with pytest.raises(StudentError, match="builtin_function_or_method stands where a torch Module was expected"):
        getattr(student, way)("Function", 1)(torch.ones(1))


def test_other_parameters_than_asked_for_are_named_before_anything_else(student):
    """The weights cannot be loaded then, and the student is told of the shape, not of that."""
    m = student.module_soon("Scale", student.make_soon("Config", 2))
    load(m, {"weight": torch.ones(3)}, "Scale")
    with pytest.raises(AssertionError, match=r"Scale: weight has shape \(2,\), expected \(3,\)"):
        m(torch.ones(3))


def test_an_object_made_soon_may_hold_a_function_of_the_check(student):
    """As one that is made at once: the call that it went along with does not close it."""
    holder = student.make_soon("Holder", lambda x: 5 * x)
    assert student.fn("half")(2) == 1
    assert holder.call("ask", 3) == 15


def test_another_object_than_the_one_that_was_ordered_ends_the_box(slot):
    """The player says which handle it kept it under; it has no choice."""
    forger = """
import sys
frame = sys._getframe()
while not hasattr(frame.f_locals.get("self"), "_ids"):
    frame = frame.f_back
player = frame.f_locals["self"]
player._verbs["make"] = lambda **order: player.keep(len)
player._verbs["module"] = lambda **order: [player.keep(nn.Linear(1, 1)), [["weight", [1, 1], True]]]
"""
    for ask in (
        lambda s: s.fn("n_of")(s.make_soon("Config", 1)),
        lambda s: s.module("Scale", 1),
        lambda s: s.module_soon("Scale", 1)(1),
    ):
        with slot.open_box([Cell("answers", PROGRAM + forger)]) as box:
            assert box.failures == {}
            with pytest.raises(Tampered):
                ask(box.student)
            assert not box.alive
