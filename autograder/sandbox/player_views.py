"""What the player says of the student's objects: kinds, snapshots, counts and errors, as plain data."""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

MESSAGE_CHARS, TRACE_CHARS = 2000, 4000


class Recorder(TorchDispatchMode):
    """Counts the ATen operators that run under it, and the elements of the largest tensor that one returned."""

    def __init__(self) -> None:
        super().__init__()
        self.max_numel = 0
        self.operators: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operators[str(func)] += 1
        for out in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(out, Tensor):
                self.max_numel = max(self.max_numel, out.numel())
        return result


def kind_of(value: Any) -> str:
    """Say how the other side may use a handle of the object."""
    if isinstance(value, nn.Module):
        return "module"
    return "iterator" if isinstance(value, Iterator) else "callable" if callable(value) else "object"


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
