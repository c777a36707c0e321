"""What the player says of the student's objects: kinds, snapshots, counts and errors, as plain data."""

from __future__ import annotations

import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

MESSAGE_CHARS, TRACE_CHARS = 2000, 4000
MAX_ROWS = 1000  # of a table that nobody asked for


class Recorder(TorchDispatchMode):
    """Counts the ATen operators that run under it, and knows the names and the arguments as they were before."""

    def __init__(self, names: Mapping[str, Any], arguments: Mapping[Any, Any]) -> None:
        super().__init__()
        self.max_numel = 0
        self.operators: Counter[str] = Counter()
        self._names, self._bound_before = names, {name: id(value) for name, value in names.items()}
        self._arguments = list(_tensors(arguments))
        self._versions = [t._version for _, t in self._arguments]
        self._generators = _generator_states()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operators[str(func)] += 1
        for out in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(out, Tensor):
                self.max_numel = max(self.max_numel, out.numel())
        return result

    def seen(self, result: Any) -> dict[str, Any]:
        """Return all that was seen, as plain data."""
        states = _generator_states()
        versions = [t._version for _, t in self._arguments]
        changed = zip(self._arguments, versions, self._versions, strict=True)
        pairs = [(r, a) for r, t in _tensors(result) for a, given in self._arguments if _share(t, given)]
        return {
            "max_numel": self.max_numel,
            "operators": dict(self.operators),
            "shares": pairs,
            "modified": [place for (place, _), now, before in changed if now != before],
            "drew": [name for name, state in states.items() if state != self._generators[name]],
            "bound": [str(n) for n, value in self._names.items() if self._bound_before.get(n) != id(value)],
        }


def _tensors(value: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield (place, tensor) of the tensors in nested containers: "" is the value itself, "0.a" a part of a part."""
    if isinstance(value, Tensor):
        yield place, value
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, part in parts:
        yield from _tensors(part, f"{place}.{key}" if place else str(key))


def _share(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr() != 0


def _generator_states() -> dict[str, Any]:
    numpys = np.random.get_state(legacy=False)
    state = (numpys["state"]["key"].tobytes(), numpys["state"]["pos"], numpys["has_gauss"])
    return {"torch": torch.get_rng_state().numpy().tobytes(), "numpy": state, "random": random.getstate()}


def kind_of(value: Any) -> str:
    """Say how the other side may use a handle of the object."""
    if isinstance(value, nn.Module):
        return "module"
    return "iterator" if isinstance(value, Iterator) else "callable" if callable(value) else "object"


def param_table(value: Any) -> list[Any] | None:
    """Return (name, shape, requires_grad) of a module's parameters; None where that is not to be had in passing."""
    try:
        rows = [[name, list(p.shape), p.requires_grad] for name, p in value.named_parameters()]
    except Exception:  # not a module, a lazy one, or the student's own named_parameters
        return None
    return rows if len(rows) <= MAX_ROWS else None


def snapshot(value: Any) -> Any:
    """Copy what a hook saw, inside the graph: a later in-place operation must not change it."""
    if isinstance(value, Tensor):
        return value.clone()
    if type(value) in (list, tuple):
        return type(value)(snapshot(x) for x in value)
    return {k: snapshot(x) for k, x in value.items()} if type(value) is dict else value


def as_is(value: Any) -> Any:
    """Copy what an argument holds now, with .grad, out of the graph: the other side differentiates by results only."""
    if isinstance(value, Tensor):
        copy = value.detach().clone()
        copy.grad = value.grad.detach().clone() if value.is_leaf and value.grad is not None else None
        return copy
    if type(value) in (list, tuple):
        return type(value)(as_is(x) for x in value)
    return {k: as_is(x) for k, x in value.items()} if type(value) is dict else value


def describe(error: BaseException) -> dict[str, str]:
    """Return the exception's kind, message and end of traceback, cut."""
    return {
        "kind": _safely(lambda: type(error).__name__, 80),
        "message": _safely(lambda: str(error), MESSAGE_CHARS),
        "trace": _safely(lambda: "".join(traceback.format_exception(error, limit=-6))[-TRACE_CHARS:], TRACE_CHARS),
    }


def _safely(text: Callable[[], str], n_chars: int) -> str:
    # An exception's class and text are the student's code too.
    try:
        return str.encode(text()[:n_chars], "utf-8", "replace").decode()
    except BaseException:
        return ""


def flush() -> None:
    """Hand on what the program printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # whatever the student put there
            continue
