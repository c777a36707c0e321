"""What a hostile player can return: no value crashes a check into our fault, and none passes for another one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from autograder.grading import compare
from autograder.grading.checks import Check
from autograder.grading.run import run_checks
from autograder.grading.verdict import Status
from autograder.sandbox.box import Limits, Slot
from autograder.sandbox.client import MAX_OBJECTS
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.student import StudentCrashed, StudentError, Tampered
from autograder.submission.model import Cell

REFERENCE = """
import torch
def value(*args):
    return {0}

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
    def forward(self, x):
        return self.weight * x

def rows(*args):
    yield 1
    yield 2

def ask(f):
    return f(torch.ones(2))
"""

# An answer, and how a check may look at it: with our comparisons, or carelessly but not wrongly.
LOOKS = {
    "number": ("3.0", lambda v: _true(compare.number(v, "it") == 3.0)),
    "count": ("3", lambda v: _true(type(v) is int and v == 3)),
    "arithmetic": ("3.0", lambda v: _true(abs(v - 3.0) < 1e-9)),
    "text": ("'abc'", lambda v: _true(v.strip() == "abc", f"found {v}")),
    "list": ("[1, 2]", lambda v: _true(v == [1, 2], f"found {v!r}")),
    "sorted": ("[1, 2]", lambda v: _true(sorted(v) == [1, 2])),
    "sum": ("[1, 2]", lambda v: _true(sum(v) == 3 and len(v) == 2)),
    "every part": ("[1, 2]", lambda v: [_true(a == b) for a, b in zip(v, [1, 2], strict=True)]),
    "whole": ("[1, 2]", lambda v: _true(list(v) == [1, 2])),
    "mapping": ("{'a': 1}", lambda v: _true(v.items() == {"a": 1}.items())),
    "pair": ("(1, torch.ones(2))", lambda v: compare.same(compare.pair(v, "it")[1], torch.ones(2), "it")),
    "set": ("{1, 2}", lambda v: _true(v == {1, 2})),
    "tensor": ("torch.ones(2)", lambda v: compare.close(v, torch.ones(2), "it", rtol=1e-6)),
    "same tensor": ("torch.tensor([1, 2])", lambda v: compare.same(v, torch.tensor([1, 2]), "it")),
    "torch's own": ("torch.ones(2)", lambda v: torch.testing.assert_close(v, torch.ones(2))),
    "numpy's own": ("np.ones(2)", lambda v: np.testing.assert_array_equal(v, np.ones(2), strict=True)),
    "truth": ("True", lambda v: _true(v is True)),
    "shown": ("'abc'", lambda v: _true(f"{v}" == "abc", f"{v:>10}")),
}

HOSTILE = {
    "nothing": "None",
    "false": "False",
    "zero": "-0.0",
    "nan": "float('nan')",
    "infinity": "-float('inf')",
    "a huge int": "1 << 8000",
    "an int beyond all": "1 << 9000",
    "a tiny float": "5e-324",
    "a bool for a number": "[True, 2.0000001]",
    "complex": "3 + 1j",
    "an empty list": "[]",
    "a nested list": "[[[[1, [2]]]]]",
    "as deep as may be": "__import__('functools').reduce(lambda a, _: [a], range(20), 1)",
    "deeper than may be": "__import__('functools').reduce(lambda a, _: [a], range(200), 1)",
    "keys of other types": "{1: 1, 1.5: 2, None: 3, (1, 2): 4, b'a': 5}",
    "keys that are equal": "type('D', (dict,), {'items': lambda s: [(1, 2), (True, 3)]})(a=1)",
    "a text of controls": "'\\x1b]0;owned\\x07\\u202eabc\\x00'",
    "half a character": "'\\ud800'",
    "a lookalike": "'аbc'",
    "a long text": "'x' * 200_000",
    "a format bomb": "'{0:>999999999}%999999999s'",
    "bytes": "b'abc'",
    "a huge range": "range(1 << 62)",
    "a large range": "range(40_000)",
    "many large ranges": "[range(40_000)] * 100",
    "a slice": "slice(None, 1 << 60)",
    "ellipsis": "...",
    "a dtype": "torch.float64",
    "a device": "torch.device('meta')",
    "a generator of torch's": "torch.Generator()",
    "an object array": "np.array([print, None], dtype=object)",
    "a structured array": "np.zeros(2, dtype=[('a', 'i4')])",
    "an array of strings": "np.array(['a', 'b'])",
    "an empty array": "np.zeros((0, 3))",
    "a matrix": "np.matrix([[1, 2]])",
    "a tensor of nan": "torch.full((2,), float('nan'))",
    "an empty tensor": "torch.ones(0)",
    "a column": "torch.ones(2, 1)",
    "one entry": "torch.ones(1)",
    "a half": "torch.ones(2).half()",
    "a bfloat": "torch.ones(2).bfloat16()",
    "quantised": "torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)",
    "on no device": "torch.ones(2, device='meta')",
    "sparse": "torch.ones(2).to_sparse()",
    "sparse rows": "torch.eye(2).to_sparse_csr()",
    "sparse and uncoalesced": "torch.sparse_coo_tensor([[0, 0]], [0.5, 0.6], (2,))",
    "nested tensors": "torch.nested.nested_tensor([torch.ones(2)])",
    "conjugate": "torch.ones(2, dtype=torch.complex64).conj()",
    "negative bit": "torch.ones(2, dtype=torch.complex64).conj().imag",
    "expanded": "torch.zeros(1).expand(2)",
    "a zero-dim tensor": "torch.tensor(7.)",
    "a boolean tensor": "torch.tensor([True, True])",
    "requires grad for nothing": "torch.full((2,), 2., requires_grad=True)",
    "a parameter": "torch.nn.Parameter(torch.zeros(2))",
    "a tensor with a grad of its own": "(lambda t: (setattr(t, 'grad', torch.ones(2)), t)[1])(torch.zeros(2, requires_grad=True))",
    "a subclass that agrees": (
        "torch.zeros(2).as_subclass(type('T', (torch.Tensor,), {'__torch_function__': classmethod(lambda *a, **k: True)}))"
    ),
    "an int that lies": "type('I', (int,), {'__eq__': lambda *a: True, '__int__': lambda s: 4, 'bit_length': lambda s: 2})(7)",
    "a float that lies": "type('F', (float,), {'__float__': lambda s: 4.0, '__repr__': lambda s: '3.0'})(7)",
    "a text that lies": "type('S', (str,), {'__str__': lambda s: 'abcd', '__len__': lambda s: 3})('abd')",
    "a list that lies": "type('L', (list,), {'__iter__': lambda s: iter([1, 3]), '__eq__': lambda *a: True})([1, 3])",
    "a mapping without end": (
        "type('M', (__import__('collections').UserDict,), {'items': lambda s: ((i, i) for i in iter(int, 1))})(a=1)"
    ),
    "a shape that lies": "type('T', (torch.Tensor,), {'shape': (2,), 'numel': lambda s: 2})(3)",
    "always equal": "type('E', (), {'__eq__': lambda *a: True, '__getattr__': lambda s, n: s, '__call__': lambda s, *a: s})()",
    "a function": "value",
    "a class": "Net",
    "a module": "torch",
    "an iterator without end": "iter(int, 1)",
    "an iterator of nothing": "iter(())",
    "an iterator that raises": "(1 / 0 for _ in [1])",
    "an exception as a value": "ValueError('abc')",
    "many objects": "[lambda: 0 for _ in range(200)]",
    "more objects than may be": "[(lambda: 0) for _ in range(20_000)]",
    "itself": "(lambda a: (a.append(a), a)[1])([])",
    "a weak reference": "__import__('weakref').ref(Net)",
    "an open file": "open('/dev/null')",
    "an enum": "__import__('enum').IntEnum('E', 'a b').a",
    "a decimal": "__import__('decimal').Decimal(3)",
    "a date": "__import__('datetime').date.today()",
}


def _true(found: bool, text: str = "another value") -> None:
    assert found, text


def check(name: str, run) -> Check:
    return Check("x1.e", name, run, 1.0, False, "verified", "a check")


def checks() -> list[Check]:
    """Return every look as a check of its own function, and looks at modules, generators and callbacks."""
    found = [
        check(name, lambda student, rng, name=name, look=look: look(student.fn(f"value_{LOOK_IDS[name]}")()))
        for name, (_, look) in LOOKS.items()
    ]
    return [*found, check("module", _module), check("rows", _rows), check("callback", _callback), check("echo", _echo)]


LOOK_IDS = {name: n for n, name in enumerate(LOOKS)}


def _module(student, rng) -> None:
    net = student.module("Net")
    compare.load(net, {"weight": torch.full((2,), 3.0)}, "Net")
    x = torch.ones(2, requires_grad=True)
    y = compare.close(net(x), torch.full((2,), 3.0), "Net", rtol=1e-6)
    found = compare.gradients(y, {"x": x}, torch.ones(2), "Net")
    compare.close(found["x"], torch.full((2,), 3.0), "Net's gradient", rtol=1e-6)
    _true(net.get("training") is True)


def _rows(student, rng) -> None:
    _true(list(student.iter("rows")) == [1, 2])


def _callback(student, rng) -> None:
    asked = []

    def model(x):
        asked.append(float(x.sum()))
        return x * 2

    compare.same(student.fn("ask")(model), torch.full((2,), 2.0), "ask")
    _true(asked == [2.0])


def _echo(student, rng) -> None:
    x = torch.ones(2)
    out, (after,) = student.fn(f"value_{LOOK_IDS['tensor']}", return_args=True)(x)
    compare.same(after, x, "x")
    compare.same(out, x, "out")


def honest_program() -> str:
    values = [f"def value_{LOOK_IDS[n]}(*args):\n    return {text}\n" for n, (text, _) in LOOKS.items()]
    return "import numpy as np\n" + REFERENCE.format("1") + "\n".join(values)


def hostile_program(expression: str) -> str:
    """Return a program whose every function, module and generator gives the value."""
    values = [f"def value_{i}(*args):\n    return {expression}\n" for i in LOOK_IDS.values()]
    rest = f"""
Net0 = Net
class Net(torch.nn.Module):
    def forward(self, x):
        return {expression}
    def named_parameters(self, *a, **k):
        v = {expression}
        return [("weight", v if isinstance(v, torch.Tensor) else torch.nn.Parameter(torch.ones(2)))]
    def load_state_dict(self, *a, **k):
        return {expression}
    training = property(lambda s: {expression}, lambda s, v: None)
def rows(*args):
    yield {expression}
def ask(f):
    try:
        f({expression})
    except BaseException:
        pass
    return {expression}
"""
    return "import numpy as np\n" + REFERENCE.format("1") + "\n".join(values) + rest


@pytest.fixture(scope="module")
def slot():
    with Slot.start() as slot:
        yield slot


@pytest.fixture(scope="module")
def reference():
    with open_in_process([Cell("reference", honest_program())]) as box:
        yield box.student


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_fails_the_check_and_nothing_else(slot, reference, name):
    """Each check ends with a verdict on the student: neither a pass nor a fault of ours, whatever the value is."""
    limits = Limits(cpu_s=5.0, wall_s=30.0)
    with slot.open_box([Cell("answer", hostile_program(HOSTILE[name]))], limits) as box:
        assert box.failures == {}
        for one in checks():
            box.allow(0.5, 30.0)
            (result,) = run_checks(box.student, [one], lambda c: np.random.default_rng(0), lambda: reference)
            assert result.status not in (Status.PASS, Status.INFRA), f"{one.name}: {result}"
            assert not set(result.hint) & {"\x1b", "\x07", "\x00", "\u202e"}, f"{one.name}: {result.hint!r}"


def test_the_reference_passes_every_look(slot, reference):
    """The looks are possible to satisfy, in this process and in a box."""
    with slot.open_box([Cell("answer", honest_program())]) as box:
        results = run_checks(box.student, checks(), lambda c: np.random.default_rng(0), lambda: reference)
    assert {r.name: r.status for r in results if r.status is not Status.PASS} == {}


# -- what is received in all ---------------------------------------------------------------------------------------------


def test_a_range_is_as_large_as_its_numbers(slot):
    """Somebody will make a list of it: a range counts what it holds, on both sides."""
    with slot.open_box([Cell("a", "def f(n, times=1): return [range(n)] * times")]) as box:
        assert box.student.fn("f")(40_000) == [range(40_000)]
        with pytest.raises(StudentError, match="range"):
            box.student.fn("f")(1 << 60)
        with pytest.raises(Tampered):
            box.student.fn("f")(40_000, 3)


def test_objects_are_bounded(slot):
    """Proxies cost this side memory and the player none, so there is an end to them; letting go makes room."""
    with slot.open_box([Cell("a", "def f(n): return [(lambda: 0) for _ in range(n)]")]) as box:
        for _ in range(3):
            assert len(box.student.fn("f")(MAX_OBJECTS // 2)) == MAX_OBJECTS // 2
        with pytest.raises(Tampered):
            box.student.fn("f")(MAX_OBJECTS + 1)


NET = """
import autograder.sandbox.player as player
from torch import nn
class Net(nn.Linear):
    def __init__(self, table):
        super().__init__(1, 1)
        player.param_table = lambda value: table
"""


@pytest.mark.parametrize(
    "table", [7, [7], [["w", 3, True]], [["w", [-1], True]], [["w", [1.5], True]], [[0, [1], True]], [["w", [1], 1]]]
)
def test_a_modules_table_is_read_with_care(slot, table):
    """What the player says of a module is names, sizes and truths, or the box is dead."""
    with slot.open_box([Cell("a", NET)]) as box:
        assert box.student.module("Net", [["of another", [1], True]]).param_table() == [("of another", (1,), True)]
        with pytest.raises(Tampered):
            box.student.module("Net", table)


ENDLESS = """
import torch
def values(n):
    while True:
        yield torch.zeros(n)
def texts():
    while True:
        yield ["x"] * 10_000
def tell(f):
    big = torch.zeros(1 << 20)
    while True:
        f(big)
"""


@pytest.mark.parametrize("how", ["values", "texts", "tell"])
def test_what_an_exercise_sends_in_all_is_bounded(slot, monkeypatch, how):
    """A check that keeps what a generator or a callback brings cannot be made to keep more than its share."""
    monkeypatch.setattr("autograder.sandbox.link.MAX_RECEIVED_BYTES", 24 << 20)
    kept = []
    asks = {
        "values": lambda s: kept.extend(s.iter("values", 1 << 20)),
        "texts": lambda s: kept.extend(s.iter("texts")),
        "tell": lambda s: s.fn("tell")(kept.append),
    }
    with slot.open_box([Cell("a", ENDLESS)]) as box, pytest.raises(StudentCrashed, match="24 MiB"):
        asks[how](box.student)
    assert 1 < len(kept) < 60
    with slot.open_box([Cell("a", "import torch\ndef f(): return torch.zeros(1 << 20)")]) as box:
        for _ in range(12):
            box.allow(5.0, 60.0)  # each exercise has its own share
            assert box.student.fn("f")().numel() == 1 << 20
    assert math.isfinite(box.cpu_s)
