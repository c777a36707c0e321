"""Drawn inputs and strict comparisons for hidden checks: whatever a student returned in, AssertionError or silence out.

A comparison never broadcasts, never accepts an empty tensor for a full one, and never raises anything but AssertionError
on a strange value. Its text is read by the student: `what` is the subject ("out for q (3 5 4)"), `slip` the likely
mistake and the section to read again.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autograder.sandbox.student import Call, Student, StudentCrashed, StudentError, StudentModule, StudentTimeout, Table, Tampered

Dtypes = torch.dtype | tuple[torch.dtype, ...]
_NOTED: ContextVar[list[float] | None] = ContextVar("tolerances used", default=None)


@contextmanager
def tolerances_used() -> Iterator[list[float]]:
    """Note for every `close` inside the block which share of its tolerance was needed: 0 is exact, above 1 failed."""
    noted: list[float] = []
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)


def normal(rng: np.random.Generator, *shape: int, dtype: torch.dtype = torch.float64, scale: float = 1.0) -> Tensor:
    """Draw a tensor of independent normal numbers with mean 0 and standard deviation `scale`."""
    return torch.from_numpy(np.asarray(rng.standard_normal(shape) * scale)).to(dtype)


def integers(rng: np.random.Generator, low: int, high: int, *shape: int) -> Tensor:
    """Draw an int64 tensor from low, ..., high - 1."""
    return torch.from_numpy(np.asarray(rng.integers(low, high, shape), dtype=np.int64))


def sizes(rng: np.random.Generator, n: int, low: int, high: int) -> list[int]:
    """Draw n different sizes from low, ..., high - 1: equal sizes hide a transposition."""
    return [int(i) for i in rng.choice(np.arange(low, high), size=n, replace=False)]


def strided(x: Tensor) -> Tensor:
    """Return the same values in a memory layout that is not contiguous."""
    wide = torch.empty(*x.shape[:-1], 2 * x.shape[-1] + 1, dtype=x.dtype)
    view = wide[..., 1::2]
    return view.copy_(x)


def shapes(**tensors: Tensor) -> str:
    """Return "q (3 5 4), k (3 7 4)": which case a failure text speaks of."""
    return ", ".join(f"{name} ({' '.join(map(str, t.shape))})" for name, t in tensors.items())


def tensor(value: Any, what: str, shape: Sequence[int] | None = None, dtype: Dtypes | None = None) -> Tensor:
    """Return the value, which is asserted to be a plain tensor on the CPU of this shape and dtype."""
    if type(value) not in (Tensor, nn.Parameter):
        raise AssertionError(f"{what} is {_a(value)}, expected a torch.Tensor.")
    if value.layout is not torch.strided or value.device.type != "cpu":
        raise AssertionError(f"{what} is a tensor on {value.device.type} with layout {value.layout}, expected an ordinary one.")
    if shape is not None and tuple(value.shape) != tuple(shape):
        raise AssertionError(f"{what} has shape {tuple(value.shape)}, expected {tuple(shape)}.")
    allowed = (dtype,) if isinstance(dtype, torch.dtype) else dtype
    if allowed is not None and value.dtype not in allowed:
        raise AssertionError(f"{what} has dtype {_name(value.dtype)}, expected {' or '.join(_name(d) for d in allowed)}.")
    return value


def finite(value: Any, what: str, shape: Sequence[int] | None = None, dtype: Dtypes | None = None, slip: str = "") -> Tensor:
    """Return the value, asserted to be a tensor as `tensor` says, without NaN and infinity."""
    bad = ~torch.isfinite(tensor(value, what, shape, dtype).detach())
    if bad.any():
        raise AssertionError(_say(f"{what}: {_of(bad)} entries are NaN or infinite, the first at {_first(bad)}.", slip))
    return value


def close(
    value: Any,
    expected: Tensor,
    what: str,
    *,
    rtol: float,
    atol: float = 0.0,
    dtype: Dtypes | None = None,
    slip: str = "",
) -> Tensor:
    """Return the value, asserted to equal `expected`: no entry is further off than atol + rtol x the largest entry.

    The tolerance is relative to the whole tensor, since an entry may be small by cancellation. `dtype` is what the value
    must have, by default that of `expected` (which is often float64 where the student computes in float32).
    """
    found = finite(value, what, expected.shape, expected.dtype if dtype is None else dtype, slip).detach().double()
    wanted = expected.detach().double()
    largest = float(wanted.abs().max()) if wanted.numel() else 0.0
    allowed, off = atol + rtol * largest, (found - wanted).abs()
    if allowed and off.numel() and (noted := _NOTED.get()) is not None:
        noted.append(float(off.max()) / allowed)
    _differ(off > allowed, found, wanted, what, slip)
    return value


def same(value: Any, expected: Tensor, what: str, slip: str = "") -> Tensor:
    """Return the value, asserted to equal `expected` exactly: dtype, shape and every entry."""
    found = tensor(value, what, expected.shape, expected.dtype).detach()
    _differ(found != expected.detach(), found, expected.detach(), what, slip)
    return value


def pair(value: Any, what: str) -> tuple[Any, Any]:
    """Unpack a result that must be a tuple of two."""
    if type(value) not in (tuple, list) or len(value) != 2:
        size = f" of {len(value)}" if type(value) in (tuple, list) else ""
        raise AssertionError(f"{what} is {_a(value)}{size}, expected a tuple of 2.")
    return value[0], value[1]


def number(value: Any, what: str) -> float:
    """Return the value as a float, asserted to be one finite real number, plain or in a tensor without dimensions."""
    if type(value) in (Tensor, nn.Parameter) and value.ndim == 0 and not value.is_complex():
        value = value.item()
    if type(value) not in (int, float):
        raise AssertionError(f"{what} is {_a(value)}, expected a number.")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise AssertionError(f"{what} is not finite, expected an ordinary number.")
    return found


def unchanged(after: Any, before: Sequence[Any], names: str, what: str) -> None:
    """Assert that a call left its tensor arguments (`names`, parted by spaces) as they were."""
    for name, now, was in zip(names.split(), after, before, strict=False):
        if isinstance(was, Tensor):
            same(now, was, f"{what}: {name} after the call", "An input must not be modified: is an operation in place?")


def raises(kind: str, call: Callable[[], Any], what: str) -> None:
    """Assert that the student's code raises this exception. A timeout, a crash and tampering go on as what they are."""
    try:
        call()
    except (StudentTimeout, StudentCrashed, Tampered):
        raise
    except StudentError as e:
        if e.kind != kind:
            found = e.kind if isinstance(getattr(builtins, e.kind, None), type) else "another exception"
            raise AssertionError(f"{what} raises {found}, expected {kind}.") from None
        return
    raise AssertionError(f"{what} raises nothing, expected {kind}.")


def load(module: StudentModule, state: Mapping[str, Tensor], what: str, shared: Mapping[str, str] | None = None) -> None:
    """Give the module these weights, which are asserted to be its parameters: no other name, no other shape.

    `shared` maps a second name of a shared parameter to its first: torch lists such a parameter once, under whichever
    name came first. Buffers are the student's own affair: they are neither asked for nor refused.
    """
    module.load_soon(state, lambda table: _same_layout(table, state, what, shared or {}))


def _same_layout(table: Table, state: Mapping[str, Tensor], what: str, shared: Mapping[str, str]) -> None:
    found: dict[str, tuple[tuple[int, ...], bool]] = {}
    surplus = []
    for name, shape, trained in table:
        known = shared.get(name, name)
        if known in found or known not in state:
            surplus.append(name)
        else:
            found[known] = (tuple(shape), trained)
    missing = [name for name in state if name not in found]
    if missing or surplus:
        parts = [f"lacks {_listed(missing)}"] if missing else []
        parts += [f"has {_listed(surplus)}"] if surplus else []
        raise AssertionError(f"{what} {' and '.join(parts)} among its parameters. The docstring names them all.")
    for name, weight in state.items():
        shape, trained = found[name]
        if shape != tuple(weight.shape):
            raise AssertionError(f"{what}: {name} has shape {shape}, expected {tuple(weight.shape)}.")
        if not trained:
            raise AssertionError(f"{what}: {name} does not require a gradient, so it would never be trained.")


def evaluate(module: StudentModule, *args: Any, **kwargs: Any) -> Any:
    """Call the module without recording gradients: it is cheaper, and an alien result is harmless."""
    with torch.no_grad():
        return module(*args, **kwargs)


def evaluate_each(module: StudentModule, calls: Sequence[Call]) -> Iterator[Any]:
    """Call the module with each of these arguments, in one trip, without recording gradients."""
    with torch.no_grad():
        return module.each(calls)


def evaluate_together(student: Student, modules: Sequence[StudentModule], inputs: Sequence[Any]) -> Iterator[Any]:
    """Call each module with its input, all in one trip, without recording gradients."""
    with torch.no_grad():
        return student.together([(m, Call(x)) for m, x in zip(modules, inputs, strict=True)])


def gradients(output: Tensor, inputs: Mapping[str, Tensor], upstream: Tensor, what: str) -> dict[str, Tensor]:
    """Return the gradient of (output * upstream).sum() for every input, zeros where the output does not depend on it.

    The output is asserted to have a gradient at all. Where the student's backward pass raises, StudentError goes on.
    """
    if not output.requires_grad:
        raise AssertionError(f"{what}: no gradient flows through it. Is there a detach(), .data, .item() or no_grad()?")
    found = torch.autograd.grad(output, list(inputs.values()), upstream, allow_unused=True)
    return {name: torch.zeros_like(x) if g is None else g for (name, x), g in zip(inputs.items(), found, strict=True)}


def _differ(bad: Tensor, found: Tensor, wanted: Tensor, what: str, slip: str) -> None:
    if not bad.any():
        return
    at = tuple(int(i) for i in bad.nonzero()[0])
    got, want = found[at].item(), wanted[at].item()
    where = f"entry {list(at)}" if at else "it"
    raise AssertionError(_say(f"{what}: {where} is {_show(got)}, expected {_show(want)} ({_of(bad)} entries differ).", slip))


def _first(bad: Tensor) -> list[int]:
    return [int(i) for i in bad.nonzero()[0]]


def _of(bad: Tensor) -> str:
    return f"{int(bad.sum())} of {bad.numel()}"


def _say(text: str, slip: str) -> str:
    return f"{text} {slip}" if slip else text


def _show(x: float | bool | complex) -> str:
    return f"{x:.8g}" if isinstance(x, float) else str(x)


def _a(value: Any) -> str:
    """Name a value's type. The name of a class of the student's own is not repeated: it may be any text."""
    if value is None:
        return "None"
    kind = type(value)
    if getattr(builtins, kind.__name__, None) is kind:
        return f"{'an' if kind.__name__[0] in 'aeiou' else 'a'} {kind.__name__}"
    return "something else"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _listed(names: Sequence[str]) -> str:
    """List some names, each only as far as it looks like a name."""
    clean = ["".join(c for c in n[:40] if c.isalnum() or c in "._") for n in names[:3]]
    return ", ".join(clean) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
