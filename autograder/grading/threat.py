"""A model and clean inputs in, a `Threat` out: the model as an attack gets it, where every query is run, counted and judged here.

How it works. A check grants the student's attack this module in place of the model. Each call of it, and each backward
pass, then happens on this side: a query that leaves the ball or the box, or exceeds the budget,
raises AssertionError, which is the check's verdict even if the attack catches it. An attack may order its rows as it likes
(restarts side by side, only the examples that still stand): a row belongs to the clean input nearest to it, so a check
draws clean inputs that lie far apart, or says itself by `owner` how a row is recognised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autograder.grading.compare import finite

SLACK = 1e-5  # of the radius and of the box: a float32 sum of a pixel and a change is rounded by 1e-7


def images(
    rng: np.random.Generator, *shape: int, gap: float = 0.3, low: float = 0.0, high: float = 1.0, rim: float = 0.0
) -> Tensor:
    """Draw float64 inputs, uniform in [low, high], any two of which differ by more than `gap` in some entry.

    The share `rim` of the entries is at an end of the range. Raises: ValueError when there is no room for so many.
    """
    for _ in range(200):
        x = torch.from_numpy(rng.uniform(low, high, shape))
        ends = torch.from_numpy(rng.choice([low, high], shape))
        x = torch.where(torch.from_numpy(rng.random(shape)) < rim, ends, x)
        if are_apart(x, gap):
            return x
    raise ValueError(f"no room for inputs of shape {shape} that are {gap} apart")


def are_apart(x: Tensor, gap: float) -> bool:
    """Say whether any two inputs differ by more than `gap` in some entry."""
    flat = x.flatten(1)
    return len(flat) < 2 or bool(torch.pdist(flat, p=math.inf).min() > gap)


@dataclass(frozen=True)
class Query:
    """One call of the model: the rows asked, which example each row belongs to, and the logits that were answered."""

    rows: Tensor
    owner: Tensor
    logits: Tensor


class Threat(nn.Module):
    """The model under attack.

    x: the clean inputs (b ...). eps, p: radius and norm of the ball around each. box: what a pixel may be.
    limit: how many queries each example may cost. differentiable: whether a gradient may be asked for.
    eval_only: whether a query in training mode is forbidden. owner: says to which example each row belongs.
    queries, spent, n_backward: what was asked so far; spent counts per example.
    Raises: AssertionError, from a call, for a query that the threat model forbids.
    """

    def __init__(
        self,
        model: Callable[[Tensor], Tensor],
        x: Tensor,
        eps: float = math.inf,
        p: float = math.inf,
        *,
        box: tuple[float, float] = (0.0, 1.0),
        limit: int | None = None,
        differentiable: bool = True,
        eval_only: bool = False,
        owner: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self._model = [model]  # in a list: the modes of the model's own parts are not the attack's to change
        self.clean, self.eps, self.p, self.box = x.detach().clone(), eps, p, box
        self.limit, self.differentiable, self.eval_only = limit, differentiable, eval_only
        self._owner = owner
        self.queries: list[Query] = []
        self.spent = torch.zeros(len(x), dtype=torch.int64)
        self.n_backward = 0
        self.train()  # as a model comes out of training

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Judge one query and answer it."""
        number = len(self.queries) + 1
        if len(args) != 1 or kwargs:
            raise AssertionError(f"Query {number} of the model: it takes one tensor of inputs.")
        query = args[0]
        if self.eval_only and self.training:
            raise AssertionError(f"Query {number} of the model was made in training mode. An attack is on the model in eval mode.")
        owner = self.judge(query, f"query {number} of the model")
        self.spent += torch.bincount(owner, minlength=len(self.clean))
        if self.limit is not None and bool((self.spent > self.limit).any()):
            raise AssertionError(f"An example was asked about more than {self.limit} times, which is all that is allowed.")
        logits = self._answer(query, number)
        self.queries.append(Query(query.detach().clone(), owner, logits.detach()))
        return logits

    def judge(self, points: Any, what: str) -> Tensor:
        """Return to which example each point belongs; points are asserted to be rows in their balls and in the box."""
        rows = finite(points, what).detach()
        if rows.dtype != self.clean.dtype or rows.shape[1:] != self.clean.shape[1:] or rows.ndim < 2:
            said = f"has shape {tuple(rows.shape)} and dtype {rows.dtype}"
            raise AssertionError(f"{what} {said}; the clean inputs have {tuple(self.clean.shape)} and {self.clean.dtype}.")
        owner, distance = self.nearest(rows)
        low, high = self.box
        if rows.numel() and (float(rows.min()) < low - SLACK or float(rows.max()) > high + SLACK):
            seen = f"{float(rows.min()):.4g} to {float(rows.max()):.4g}"
            raise AssertionError(f"{what} has values from {seen}, outside the box from {low:g} to {high:g}.")
        if rows.numel() and float(distance.max()) > self.eps * (1 + SLACK) + SLACK * 1e-1:
            said = f"l{'inf' if self.p == math.inf else format(self.p, 'g')} distance {float(distance.max()):.5g}"
            raise AssertionError(f"{what} lies at {said} from its clean input, outside the ball of radius {self.eps:g}.")
        return owner

    def nearest(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return each row's example and its distance from it, in the norm of the ball."""
        if self._owner is not None and len(rows):
            known = self._owner(rows.detach())
            own_gap = (rows.detach() - self.clean[known]).double().flatten(1)
            return known, own_gap.norm(p=self.p, dim=1)
        gap = rows.detach().double().flatten(1)[:, None] - self.clean.double().flatten(1)[None]
        distance, owner = gap.norm(p=self.p, dim=2).min(dim=1) if len(rows) else (rows.new_zeros(0), rows.new_zeros(0))
        return owner.long(), distance

    def of(self, example: int) -> tuple[Tensor, Tensor]:
        """Return all rows that were asked about one example, in order, and their logits."""
        rows = [q.rows[q.owner == example] for q in self.queries]
        logits = [q.logits[q.owner == example] for q in self.queries]
        if not rows:
            return self.clean[:0], self.clean.new_zeros(0, 1)
        return torch.cat(rows), torch.cat(logits)

    def _answer(self, query: Tensor, number: int) -> Tensor:
        if not self.differentiable:
            if query.requires_grad and torch.is_grad_enabled():
                raise AssertionError(f"Query {number} of the model asks for a gradient; this attack gets logits only.")
            with torch.no_grad():
                return self._model[0](query).detach()
        logits = self._model[0](query)
        if logits.requires_grad:
            logits = logits.clone()
            logits.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.n_backward += 1


class Unjudged(nn.Module):
    """The model as an attack gets it, run on this side but not judged: for checks that look at the result alone."""

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._model = [model]

    def forward(self, x: Tensor) -> Tensor:
        """Answer a query."""
        return self._model[0](x)
