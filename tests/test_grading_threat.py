"""A Threat runs, counts and judges every query of an attack, on the check's side of the line."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from autograder.grading.threat import Threat
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.student import StudentError
from autograder.submission.model import Cell

PROGRAM = """
import torch

def ask(model, *points, mode=False):
    model.train(mode)
    with torch.no_grad():
        for x in points:
            model(x)

def hide(model, x):
    model.eval()
    try:
        model(x)
    except BaseException:
        pass
    return x

def climb(model, x, n):
    model.eval()
    for _ in range(n):
        x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad(model(x).sum(), x)
        x = x + 0.01 * g.sign()
    return x.detach()
"""


@pytest.fixture
def student():
    with open_in_process([Cell("answers", PROGRAM)]) as box:
        assert box.failures == {}
        yield box.student


@pytest.fixture
def x():
    return torch.tensor([[0.2, 0.2], [0.8, 0.2], [0.2, 0.8]])


def double(x):
    return 2 * x


def test_queries_are_recorded_with_their_examples(student, x):
    """Rows may come in any order and number; each belongs to the nearest clean input, with the logits that were answered."""
    threat = Threat(double, x, 0.1)
    student.fn("ask")(threat, x[[2, 0]] + 0.05, x[[0]] - 0.1)

    rows, logits = threat.of(0)
    assert torch.allclose(rows, torch.tensor([[0.25, 0.25], [0.1, 0.1]]))
    assert torch.equal(logits, 2 * rows)
    assert threat.spent.tolist() == [2, 0, 1]
    assert [q.owner.tolist() for q in threat.queries] == [[2, 0], [0]]


def test_a_check_may_recognise_its_rows_itself(student, x):
    """Where nothing holds a row near its clean input, a mark in the row says whose it is, and the distance is to that one."""
    threat = Threat(double, x, owner=lambda rows: (rows[:, 0] > 0.5).long())
    student.fn("ask")(threat, x[[2, 1]])

    assert threat.queries[0].owner.tolist() == [0, 1]
    with pytest.raises(AssertionError, match="outside the ball"):
        student.fn("hide")(Threat(double, x, 0.1, owner=lambda rows: (rows[:, 0] > 0.5).long()), x[[2]])


@pytest.mark.parametrize(
    ("change", "p", "said"),
    [
        ([[0.11, 0.0]], math.inf, "linf distance 0.11"),
        ([[0.08, 0.08]], 2, "l2 distance 0.113"),
        ([[0.06, -0.06]], 1, "l1 distance 0.12"),
        ([[math.nan, 0.0]], math.inf, "NaN"),
    ],
)
def test_a_query_outside_the_ball_is_the_verdict(student, x, change, p, said):
    """It fails the check even if the attack swallows the exception and goes on."""
    with pytest.raises(AssertionError, match=said):
        student.fn("hide")(Threat(double, x, 0.1, p), x[:1] + torch.tensor(change))


@pytest.mark.parametrize("p", [1, 2, math.inf])
def test_the_rim_of_the_ball_is_inside(student, x, p):
    """A point at distance eps, rounded as float32 rounds it, is allowed."""
    direction = torch.tensor([[0.6, 0.8]])
    step = 0.1 * direction / direction.norm(p=p)
    student.fn("hide")(Threat(double, x, 0.1, p), x[:1] + step)


def test_a_query_outside_the_box_is_the_verdict(student, x):
    """A pixel below 0 or above 1 is no image, whatever the radius."""
    with pytest.raises(AssertionError, match="outside the box"):
        student.fn("hide")(Threat(double, x, 0.5), x[:1] - 0.25)
    student.fn("hide")(Threat(double, x, 0.5, box=(-1.0, 1.0)), x[:1] - 0.25)


def test_training_mode_and_a_spent_budget_are_verdicts(student, x):
    """Where the check says so, a model is attacked in eval mode; the limit holds for every example by itself."""
    with pytest.raises(AssertionError, match="training mode"):
        student.fn("ask")(Threat(double, x, 0.1, eval_only=True), x, mode=True)
    student.fn("ask")(Threat(double, x, 0.1), x, mode=True)
    student.fn("ask")(Threat(double, x, 0.1, limit=2), x[:1], x)
    with pytest.raises(AssertionError, match="more than 2 times"):
        student.fn("ask")(Threat(double, x, 0.1, limit=2), x[[0, 0]], x[1:], x[:1])


def test_gradients_flow_and_are_counted(student, x):
    """Forward and backward run on this side; the model's own parameters get no gradient and its mode stays."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))
    model.eval()
    threat = Threat(model, x, 0.1)
    found = student.fn("climb")(threat, x, 3)

    slope = model[0].weight.sum(0).sign()
    assert torch.allclose(found, x + 0.03 * slope)
    assert (threat.n_backward, len(threat.queries)) == (3, 3)
    assert all(p.grad is None for p in model.parameters())
    assert not model.training


def test_logits_only(student, x):
    """Where no gradient may be asked for, asking is a verdict, and what is answered has none."""
    student.fn("ask")(Threat(double, x, 0.1, differentiable=False), x)
    with pytest.raises(AssertionError, match="asks for a gradient"):
        student.fn("climb")(Threat(double, x, 0.1, differentiable=False), x, 1)


def test_a_query_of_another_form_is_a_verdict(student, x):
    """Other shapes and dtypes than the clean inputs', and other values than tensors."""
    for strange in (x[0], x.double(), x[:, :1], "x", None):
        with pytest.raises(AssertionError):
            student.fn("hide")(Threat(double, x, 0.1), strange)


def test_an_error_inside_the_model_is_the_students(student, x):
    """Logits cannot be asked of what the model does not take; the attack may catch that, and the check goes on."""

    def broken(rows):
        raise ValueError("secret")

    with pytest.raises(StudentError):
        student.fn("ask")(Threat(broken, x, 0.1), x)
