"""What a hidden check may ask of a program: the Student protocol, the same in this process and in a box."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from autograder.sandbox.box import Slot
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.student import StudentError
from autograder.submission.model import Cell

PROGRAM = """
import random
import numpy as np
import torch
from torch import nn

def double(x, y=None):
    return x * 2

def spoil(x, rows):
    x.add_(1)
    rows.append(3)
    return x.sum()

def detached(x):
    return x.detach() * 2

def nested(x):
    return {"a": (x * 2, [x.exp()]), "n": x.argmax(), "label": "ok"}

def in_place(x):
    return x.mul_(3)

class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.LazyLinear(2)

    def forward(self, x):
        return self.lin(x)

class Picky(nn.Linear):
    def load_state_dict(self, state, strict=True):
        raise ValueError("not these")

class Net(nn.Module):
    def __init__(self, n, act=nn.ReLU):
        super().__init__()
        self.lin, self.act, self.drop = nn.Linear(n, n), act(), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.act(self.lin(x)))

def fit(model, x, steps):
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        opt.zero_grad()
        model(x).pow(2).sum().backward()
        opt.step()

def loss_of(model, x):
    return model(x).pow(2).sum()

class Descent:
    def __init__(self, params, lr):
        self.params, self.lr = list(params), lr

    def step(self):
        for p in self.params:
            p.data -= self.lr * p.grad

def attack(model, x):
    x = x.clone().requires_grad_()
    model(x).sum().backward()
    return x.grad

def count(n):
    for i in range(n):
        yield torch.full((2,), i)

def adder(a):
    return lambda b: a + b

def noise():
    return torch.rand(2), float(np.random.rand()), random.random()

def boom():
    raise ValueError("no \\x1b[31m")

def swallow(f, x):
    try:
        return f(x)
    except BaseException:
        return 0

def call_later(f):
    global saved
    saved = f
    return 1

def use_saved():
    return saved(1)

def grads(params):
    for p in params:
        p.grad.mul_(2)

def mode(model):
    model.eval()
    return model(torch.ones(1, 4))

def freeze(model):
    names = [(n, tuple(p.shape), p.requires_grad) for n, p in model.named_parameters()]
    first = next(model.parameters()).detach().clone()
    model.zero_grad()
    for p in model.parameters():
        p.requires_grad_(False)
        p.add_(1)
    return names, first

RULES = {"twice": lambda x: 2 * x}
print("hello")
"""


@pytest.fixture(scope="module")
def slot():
    with Slot.start() as slot:
        yield slot


@pytest.fixture(params=["in process", "in a box"])
def open_program(request) -> Callable:
    """Both ways to open a program: a check must not be able to tell them apart."""
    return open_in_process if request.param == "in process" else request.getfixturevalue("slot").open_box


@pytest.fixture
def box(open_program):
    with open_program([Cell("answers", PROGRAM)]) as box:
        assert box.failures == {}
        yield box


@pytest.fixture
def student(box):
    return box.student


def test_values_go_in_by_copy(student):
    """What the student does to its arguments never changes the check's, but can be asked for."""
    x, rows = torch.zeros(2), [1]
    total, (x_after, rows_after) = student.fn("spoil", return_args=True)(x, rows)
    assert total == 2
    assert torch.equal(x, torch.zeros(2))
    assert rows == [1]
    assert torch.equal(x_after, torch.ones(2))
    assert rows_after == [1, 3]


def test_a_function_is_differentiable_in_the_referee(open_program):
    """Gradients of any nested outputs reach the check's inputs, through what the check did before and after."""
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    source = "def f(x, y):\n    return {'a': (x.sin() * y, [x.exp()]), 'n': x.argmax()}"
    with open_program([Cell("c", source)]) as box:
        out = box.student.fn("f")(x * 3, y=x)
        loss = (out["a"][0] ** 2).sum() + out["a"][1][0].sum()
        loss.backward(retain_graph=True)
        expected = torch.autograd.grad((((x * 3).sin() * x) ** 2).sum() + (x * 3).exp().sum(), x)[0]
        torch.testing.assert_close(x.grad, expected)
        assert out["n"] == x.argmax()
        assert not out["n"].requires_grad
        loss.backward()
        torch.testing.assert_close(x.grad, 2 * expected)


def test_outputs_require_grad_exactly_when_the_students_do(student):
    """A detached result is detached here, and nothing is tracked under no_grad."""
    x = torch.ones(2, requires_grad=True)
    assert student.fn("double")(x).requires_grad
    assert not student.fn("detached")(x).requires_grad
    with torch.no_grad():
        assert not student.fn("double")(x).requires_grad


def test_an_input_inside_a_graph_may_be_changed_in_place(student):
    """As in one process: the student gets no leaf if the check's tensor is none."""
    x = torch.ones(2, requires_grad=True)
    student.fn("in_place")(x * 2).sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 6.0))
    with pytest.raises(StudentError, match="leaf"):
        student.fn("in_place")(x)


def test_double_backward_is_refused(student):
    """A gradient of a gradient over the line would be silently wrong, so it raises."""
    x = torch.ones(2, requires_grad=True)
    (g,) = torch.autograd.grad(student.fn("double")(x).pow(2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        g.sum().backward()


def test_a_module_computes_what_torch_computes(student):
    """Weights loaded into the student's module give torch's values, gradients of inputs and of parameters."""
    torch.manual_seed(0)
    own = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    m = student.module("Net", 4)
    m.eval()
    m.load_state_dict({"lin.weight": own[0].weight, "lin.bias": own[0].bias})
    x = torch.randn(3, 4, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    m(x).pow(2).sum().backward()
    own(y).pow(2).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    leaves = dict(m.named_parameters())
    torch.testing.assert_close(leaves["lin.weight"].grad, own[0].weight.grad)
    assert m.param_table() == [("lin.weight", (4, 4), True), ("lin.bias", (4,), True)]


def test_a_modules_table_is_of_now(student):
    """It comes with the module; after anything else it is asked for again."""
    m = student.module("Net", 4)
    assert m.param_table() == [("lin.weight", (4, 4), True), ("lin.bias", (4,), True)]
    m.set("lin", nn.Parameter(torch.ones(2)))
    assert m.param_table() == [("lin", (2,), True)]


def test_a_module_whose_parameters_have_no_shape_yet_is_made(student):
    """What a lazy module holds is known when weights were loaded, and making it does not fail for that."""
    m = student.module("Lazy")
    m.load_state_dict({"lin.weight": torch.ones(2, 5), "lin.bias": torch.zeros(2)})
    assert torch.equal(m(torch.ones(3, 5)), torch.full((3, 2), 5.0))
    assert m.param_table() == [("lin.weight", (2, 5), True), ("lin.bias", (2,), True)]


def test_weights_go_along_with_the_next_request(student):
    """As they were when they were given, the last ones given, and in one call with what asks for them."""
    m = student.module("Net", 2, act=nn.Identity)
    m.eval()
    weights = {"lin.weight": torch.eye(2), "lin.bias": torch.zeros(2)}
    before = m._link.last_call
    m.load_soon({"lin.weight": torch.zeros(2, 2), "lin.bias": torch.zeros(2)})
    m.load_soon(weights)
    weights["lin.weight"].fill_(7)
    with torch.no_grad():
        assert torch.equal(m(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 2.0]))
    assert m._link.last_call == before + 2, "one call, by its odd number"
    m.load_soon(weights)
    assert torch.equal(dict(m.named_parameters())["lin.weight"], torch.full((2, 2), 7.0))
    m.load_soon({"lin.weight": torch.ones(2, 2), "lin.bias": torch.zeros(2)})
    assert torch.equal(m.state_dict()["lin.weight"], torch.ones(2, 2))
    assert torch.equal(dict(m.named_parameters())["lin.weight"], torch.ones(2, 2))


def test_what_loading_raises_the_next_request_raises(student):
    """Weights that the student's class refuses are the student's error, once."""
    m = student.module("Picky", 2, 2)
    m.load_soon({"weight": torch.eye(2)})
    with pytest.raises(StudentError, match="not these"):
        m(torch.ones(2))
    assert m(torch.ones(2)).shape == (2,)


def test_an_optimizer_in_the_referee_trains_the_students_module(student):
    """Leaves that change in place are written back before the next request, and read back what the student changed."""
    m = student.module("Net", 4, act=nn.Identity)
    m.eval()
    x = torch.ones(2, 4)
    opt = torch.optim.SGD(m.parameters(), lr=0.01)
    before = m(x).pow(2).sum()
    before.backward()
    opt.step()
    after = m(x).pow(2).sum()
    assert after < before
    leaves = dict(m.named_parameters())
    assert torch.equal(m.state_dict()["lin.weight"], leaves["lin.weight"])
    student.fn("fit")(m, x, 3)
    assert not torch.equal(m.state_dict()["lin.weight"], leaves["lin.weight"])
    m.parameters()
    assert torch.equal(m.state_dict()["lin.weight"], leaves["lin.weight"])


def test_gradients_reach_a_module_that_is_an_argument(student):
    """loss = f(module, x) is differentiable by the module's parameters."""
    m = student.module("Net", 4)
    m.eval()
    weight = dict(m.named_parameters())["lin.weight"]
    student.fn("loss_of")(m, torch.ones(2, 4)).backward()
    direct = torch.autograd.grad(m(torch.ones(2, 4)).pow(2).sum(), weight)[0]
    torch.testing.assert_close(weight.grad, direct)


def test_capture_returns_what_submodules_put_out(student):
    """The intermediate is the student's own, with its gradient; an unknown name is the student's error."""
    m = student.module("Net", 4)
    m.eval()
    out, seen = m.capture(["lin"], torch.ones(1, 4))
    torch.testing.assert_close(seen["lin"].relu(), out)
    seen["lin"].sum().backward()
    assert torch.equal(dict(m.named_parameters())["lin.bias"].grad, torch.ones(4))
    with pytest.raises(StudentError, match="submodule 'head'"):
        m.capture(["head"], torch.ones(1, 4))


def test_train_and_eval_reach_the_player(student):
    """Dropout is active in train mode and not in eval mode."""
    m = student.module("Net", 64, act=nn.Identity)
    x = torch.ones(8, 64)
    m.train()
    assert (m(x) == 0).any()
    m.eval()
    assert not (m(x) == 0).any()


def test_an_optimizer_of_the_students_steps_kept_parameters(student):
    """keep() puts tensors into the player; their gradients are set and their values read from here."""
    kept = student.keep(nn.Parameter(torch.ones(3)))
    opt = student.make("Descent", [kept], lr=0.5)
    kept.set("grad", torch.tensor([1.0, 2.0, 4.0]))
    opt.call("step")
    assert kept.value().tolist() == [0.5, 0.0, -1.0]
    assert opt.get("lr") == 0.5


def test_gradients_of_arguments_come_back(student):
    """clip_grad_norm_ and its like change .grad in place: return_args shows it."""
    p = nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    _, (after,) = student.fn("grads", return_args=True)([p])
    assert torch.equal(after[0].grad, torch.full((2,), 2.0))
    assert torch.equal(p.grad, torch.ones(2))


def test_a_granted_function_is_executed_by_the_referee(student):
    """The student's attack differentiates through the check's function, which sees each call."""
    seen = []

    def model(x):
        seen.append(x.detach().clone())
        return x**3

    assert student.fn("attack")(model, torch.tensor([1.0, 2.0])).tolist() == [3.0, 12.0]
    assert len(seen) == 1


def test_a_granted_module_runs_in_the_students_mode(student):
    """model.eval() in the student's code is obeyed for its calls, and the check's module keeps its own mode."""
    model = nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.9))
    out = student.fn("mode")(model)
    torch.testing.assert_close(out, model[0](torch.ones(1, 4)))
    assert model.training


def test_a_granted_module_shows_its_parameters(student):
    """next(model.parameters()) and freezing work on the copies; the check's own module is untouched."""
    model = nn.Sequential(nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 3)))
    model[0].bias.requires_grad_(False)
    names, first = student.fn("freeze")(model)
    assert names == [(n, tuple(p.shape), p.requires_grad) for n, p in model.named_parameters()]
    assert torch.equal(first, model[0].weight)
    assert model[0].weight.requires_grad


def test_a_checks_assertion_inside_its_function_is_the_checks_verdict(student):
    """Even if the student's code catches it: the assertion is raised here, as ours."""

    def strict(x):
        raise AssertionError("left the ball")

    with pytest.raises(AssertionError, match="left the ball"):
        student.fn("swallow")(strict, 1)


def test_another_error_in_a_granted_function_is_the_students(student):
    """A wrong shape handed to the model is an error in the student's code, which may catch it; the text stays here."""

    def model(x):
        raise ValueError("the expected answer is 42")

    assert student.fn("swallow")(model, 1) == 0
    with pytest.raises(StudentError) as e:
        student.fn("attack")(model, torch.ones(2))
    assert "42" not in str(e.value) + e.value.trace


def test_a_grant_ends_with_its_call(student):
    """A function that the student kept may not be called in a later exercise."""
    student.fn("call_later")(lambda x: x)
    with pytest.raises(StudentError, match="RuntimeError"):
        student.fn("use_saved")()


def test_generators_are_read_one_by_one(student):
    """iter() yields the student's values lazily."""
    assert [x.tolist() for x in student.iter("count", 3)] == [[0, 0], [1, 1], [2, 2]]
    assert next(student.iter("count", 10**12)).tolist() == [0, 0]


def test_functions_and_containers_of_functions_come_as_proxies(student):
    """A closure and a table of functions can be called; dotted names reach into them."""
    assert student.fn("adder")(3)(4) == 7
    assert student.get("RULES")["twice"](5) == 10
    assert student.fn("RULES.twice")(6) == 12


def test_a_proxy_is_never_a_value(student):
    """No comparison, truth test or count of a student's object succeeds."""
    thing = student.make("Descent", [], lr=1)
    for use in (bool, len, list, lambda t: t == 1, lambda t: t != 1, lambda t: 1 in t, lambda t: t[0], lambda t: t < 1):
        with pytest.raises((StudentError, TypeError)):
            use(thing)
    with pytest.raises(StudentError):
        assert thing


def test_what_the_student_raises_is_data(student):
    """Kind, message with control characters replaced, and the end of the traceback with its source line."""
    with pytest.raises(StudentError) as e:
        student.fn("boom")()
    assert e.value.kind == "ValueError"
    assert "\x1b" not in str(e.value) + e.value.trace
    assert "raise ValueError" in e.value.trace
    with pytest.raises(StudentError, match="NameError: name 'gone' is not defined"):
        student.fn("gone")()


HOW = ["sys.exit(3)", "raise KeyboardInterrupt", "raise GeneratorExit", "f()", "raise type('E', (BaseException,), {'__str__': 3})"]


@pytest.mark.parametrize("how", HOW)
def test_any_exception_is_contained(how, open_program):
    """SystemExit, KeyboardInterrupt, endless recursion and hostile exceptions are the student's errors."""
    with open_program([Cell("c", f"import sys\ndef f():\n    {how}\ndef g(): return 1")]) as box:
        with pytest.raises(StudentError):
            box.student.fn("f")()
        assert box.student.fn("g")() == 1


def test_a_broken_cell_costs_that_cell_only(open_program):
    """Each cell's failure stands under its label, and the other cells run."""
    cells = [Cell("a", "x = 1"), Cell("b", "def f(:\n  pass"), Cell("c", "y = x / 0"), Cell("d", "def g(): return x")]
    with open_program(cells) as box:
        assert {label: e.kind for label, e in box.failures.items()} == {"b": "SyntaxError", "c": "ZeroDivisionError"}
        assert box.failures["c"].label == "c"
        assert box.student.fn("g")() == 1
        assert box.alive


def test_a_result_that_cannot_cross_is_the_students_error(open_program):
    """Too large a tensor or a tensor that is not on the CPU: an error with the reason, and the box lives on."""
    source = (
        "import torch\ndef big(): return torch.zeros(10**7)\ndef meta(): return torch.ones(1, device='meta')\ndef g(): return 1"
    )
    with open_program([Cell("c", source)]) as box:
        for name in ("big", "meta"):
            with pytest.raises(StudentError, match="Unsendable"):
                box.student.fn(name)()
        assert box.student.fn("g")() == 1


def test_top_level_await_and_dataclasses_work_as_in_a_notebook(open_program):
    """await at top level runs; a class defined in one cell is known in the next."""
    cells = [
        Cell("a", "import asyncio\nasync def f(): return 4\nx = await f()"),
        Cell("b", "from dataclasses import dataclass\n@dataclass\nclass P:\n    a: int"),
        Cell("c", "def y(): return P(x).a"),
    ]
    with open_program(cells) as box:
        assert box.failures == {}
        assert box.student.fn("y")() == 4


def test_observe_counts_operators_and_sizes(student):
    """The recorder sees each operator and the largest tensor: evidence for a person."""
    result, seen = student.observe("double", torch.ones(3, 5))
    assert torch.equal(result, torch.full((3, 5), 2.0))
    assert seen.max_numel == 15
    assert seen.operators == {"aten.mul.Tensor": 1}


PROBED = """
import torch, random
import numpy as np
kept = 0
def view(x): return {"all": x, "half": [x[:1], x.clone()]}
def in_place(x, y=None):
    x[0].add_(1)
    y["b"].mul_(2)
def stateful(x):
    global kept, news
    kept = news = kept + 1
    return x + torch.rand(()) + random.random() + np.random.rand()
def pure(x): return x + 1
"""


def test_observe_probes_aliases_changes_and_state(open_program):
    """Which memory a result shares, what a call changed, drew and kept: claimed, for a person."""
    with open_program([Cell("answers", PROBED)]) as box:
        x = torch.ones(2)
        _, seen = box.student.observe("view", x)
        assert seen.shares == {("all", "0"), ("half.0", "0")}
        assert (seen.modified, seen.drew, seen.bound) == (frozenset(), frozenset(), frozenset())
        _, seen = box.student.observe("in_place", [x], y={"b": torch.ones(1)})
        assert seen.modified == {"0.0", "y.b"}
        _, seen = box.student.observe("stateful", x)
        assert (seen.drew, seen.bound) == ({"torch", "numpy", "random"}, {"kept", "news"})
        _, seen = box.student.observe("pure", x)
        assert not any((seen.shares, seen.modified, seen.drew, seen.bound))


def test_source_and_mentions_are_read_from_what_was_handed_in(open_program):
    """Evidence from the text itself: the player is not asked and cannot lie about it."""
    program = [
        Cell("1", "from torch import nn\n"),
        Cell("2", "class A(nn.Module):\n    def make(self): return nn.MultiheadAttention(2, 2)\n"),
    ]
    with open_program([*program, Cell("3", "import os\ndef __getattr__(n): return None\n")]) as box:
        assert "torch.nn.MultiheadAttention" in box.student.mentions("A")
        assert box.student.source("A").startswith("class A(nn.Module):")
        assert box.student.source("B") == ""


def test_a_file_is_put_where_the_program_can_read_it(open_program):
    """file() returns a path for the student's own reader; names that leave the folder are refused."""
    with open_program([Cell("c", "def read(path):\n    with open(path, 'rb') as f: return f.read()")]) as box:
        assert box.student.fn("read")(box.student.file("w.bin", b"abc" * 200)) == b"abc" * 200
        for name in ("../x", "a/b", "", ".hidden"):
            with pytest.raises(ValueError):
                box.student.file(name, b"")


def test_seeds_make_the_player_repeatable(student):
    """seed() sets torch, numpy and random alike."""
    student.seed(3)
    first = student.fn("noise")()
    student.seed(3)
    again = student.fn("noise")()
    assert torch.equal(first[0], again[0])
    assert first[1:] == again[1:]


def test_output_is_kept_for_the_instructor(box):
    """What the program prints goes to the box."""
    assert box.output == "hello\n"


def test_a_students_warning_is_no_error(open_program):
    """A warning is printed, as in a notebook, even where ours are errors."""
    with open_program([Cell("c", "import warnings\ndef f():\n    warnings.warn('careful')\n    return 1")]) as box:
        assert box.student.fn("f")() == 1
        assert "careful" in box.output


def test_what_a_granted_function_keeps_is_bounded(open_program):
    """A student who asks the check's model for gradients without end gets an error, not the referee's memory."""
    source = """
import torch
kept = []
def hoard(model, x):
    for i in range(100):
        kept.append(model(x.clone().requires_grad_()))
"""
    x = torch.zeros(1 << 20)
    with open_program([Cell("c", source)]) as box:
        with pytest.raises(StudentError, match="MemoryError"):
            box.student.fn("hoard")(lambda v: v * 2, x)
        assert box._link.graphs.kept == {}
