"""A request in, a reply out: the student's program and the few verbs that may be said to it.

This module runs in the student's process, so everything here may be read, replaced or lied about by the student's code.
It holds no secret and decides nothing: only the values that it returns are ever judged, by the other side.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import linecache
import random
import sys
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.sandbox.player_granted import Granted, GrantedModule
from autograder.sandbox.player_views import Recorder, as_is, describe, flush, kind_of, param_table, snapshot
from autograder.sandbox.protocol import (
    FROM_PLAYER,
    TO_PLAYER,
    Caps,
    Peer,
    WireError,
    compile_cell,
    notebook_names,
)


@dataclass(frozen=True)
class Kept:
    """Marks a value to be sent as a handle even though it could be sent by value."""

    value: Any


class Stop(BaseException):
    """The other side has given up, in one process with it: leave the student's code."""


class Player(Peer):
    """The student's namespace, the objects that the other side holds handles of, and the verbs."""

    def __init__(self, *, module: str, folder: Callable[[], Path], caps: Caps = FROM_PLAYER) -> None:
        super().__init__(2, caps, TO_PLAYER, max_graph_bytes=1 << 40)  # the job's own memory is the limit
        self._module = types.ModuleType(module)
        sys.modules[module] = self._module
        self.namespace = self._module.__dict__
        self.namespace.update(notebook_names())
        self._folder = folder
        self._objects: dict[int, Any] = {}
        self._ids: dict[int, int] = {}
        self._last_handle = 0
        self._unmade = False  # whether the call that is being read names an object that is not there
        self._thread = threading.get_ident()
        verbs = (self.exec, self.call, self.get, self.set, self.keep, self.params, self.push, self.capture)
        verbs += (self.next, self.observe, self.seed, self.file, self.make, self.module, self.drop)  # type: ignore[assignment]
        self._verbs = {verb.__name__: verb for verb in verbs}

    # -- the two ends' differences ---------------------------------------------------------------------------------

    def perform(self, call: int, op: str, value: dict[str, Any], roots: Sequence[Tensor]) -> Any:
        if self._unmade:
            self._unmade = False
            raise LookupError("an object in this call could not be made")
        try:
            for due in value.pop("first", ()):
                self._verbs[due.pop("op")](**due)
            return self._verbs[op](**value)
        finally:
            flush()

    def reference(self, value: object) -> Mapping[str, Any]:
        if isinstance(value, (Granted, GrantedModule)):
            return {"$": "cb", "i": value.grant}
        if isinstance(value, Kept):
            value = value.value
        return {"$": "h", "i": self._keep(value), "k": kind_of(value), "n": type(value).__name__[:80]}

    def resolve(self, tag: str, fields: dict[str, Any]) -> Any:
        if tag == "h":
            self._unmade = self._unmade or fields["i"] not in self._objects
            return self._objects.get(fields["i"])
        if tag == "cb":
            return GrantedModule(self.ask_back, fields) if fields["module"] else Granted(self.ask_back, fields["i"], fields["n"])
        if tag == "py":
            module, _, path = fields["n"].partition(":")
            return functools.reduce(getattr, path.split("."), importlib.import_module(module))
        raise WireError(f"unknown node {tag!r}")

    def extra_roots(self, value: dict[str, Any]) -> list[Tensor]:
        return [dict(self._objects[handle].named_parameters())[name] for handle, name in value["params"]]

    def answer_error(self, error: BaseException) -> dict[str, str]:
        if isinstance(error, (Stop, WireError)):
            raise error
        return describe(error)

    def raised(self, value: Any) -> BaseException:
        return RuntimeError(f"the function raised {value['kind']}")

    # -- the verbs -------------------------------------------------------------------------------------------------

    def exec(self, label: str, source: str) -> None:
        """Execute one cell."""
        filename = f"<{label}>"
        # Tracebacks and inspect.getsource find the text here.
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        code = compile_cell(source, filename)
        with torch.enable_grad():
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(code, self.namespace))
            else:
                exec(code, self.namespace)

    def call(self, target: list[Any], a: list[Any], k: dict[str, Any], grad: bool, how: str, **_: Any) -> Any:
        """Call the target.

        `how`: "value", "echo" (and the positional arguments as they are now), "handle", "iter", "none".
        """
        with torch.set_grad_enabled(grad):
            result = self._target(*target)(*a, **k)
        if how == "echo":
            return [result, [as_is(x) for x in a]]
        return Kept(iter(result) if how == "iter" else result) if how in ("handle", "iter") else None if how == "none" else result

    def get(self, target: list[Any], how: str) -> Any:
        found = self._target(*target)
        return Kept(found) if how == "handle" else found

    def set(self, target: list[Any], name: str, value: Any) -> None:
        setattr(self._target(*target), name, value)

    def keep(self, value: Any) -> Kept:
        return Kept(value)

    def params(self, h: int) -> list[Any]:
        """Return (name, value, requires_grad) of the module's parameters."""
        return [[n, p.detach(), p.requires_grad] for n, p in self._objects[h].named_parameters()]

    def push(self, h: int, values: dict[str, Tensor]) -> None:
        """Set parameters, in place."""
        own = dict(self._objects[h].named_parameters())
        with torch.no_grad():
            for name, value in values.items():
                own[name].copy_(value)

    def capture(self, h: int, names: list[str], a: list[Any], k: dict[str, Any], grad: bool, **_: Any) -> Any:
        """Call the module and return (result, {name: what the submodule returned}); a list if it was called often."""
        module = self._objects[h]
        seen: dict[str, list[Any]] = {n: [] for n in names}
        own = dict(module.named_modules())
        missing = [n for n in names if n not in own]
        if missing:
            raise AttributeError(f"{type(module).__name__} has no submodule {missing[0]!r}")
        hooks = [own[n].register_forward_hook(lambda m, i, o, n=n: seen[n].append(snapshot(o))) for n in names]
        try:
            with torch.set_grad_enabled(grad):
                result = module(*a, **k)
        finally:
            for hook in hooks:
                hook.remove()
        return [result, {n: calls[0] if len(calls) == 1 else calls for n, calls in seen.items()}]

    def next(self, h: int, grad: bool) -> tuple[bool, Any]:
        """Return (True, the iterator's next value), or (False, None) at its end."""
        with torch.set_grad_enabled(grad):
            try:
                return True, next(self._objects[h])
            except StopIteration:
                return False, None

    def observe(self, target: list[Any], a: list[Any], k: dict[str, Any], grad: bool, **_: Any) -> Any:
        """Call the target under a recorder and return (result, what the recorder saw)."""
        recorder = Recorder(self.namespace, dict(enumerate(a)) | k)
        with torch.set_grad_enabled(grad), recorder:
            result = self._target(*target)(*a, **k)
        return [result, recorder.seen(result)]

    def seed(self, seed: int) -> None:
        # Not torch.manual_seed: it seeds every kind of device, and formats a stack trace for each that is absent.
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)

    def file(self, name: str, data: bytes) -> str:
        """Write a file where the program may read it and return its path."""
        path = self._folder() / Path(name).name
        path.write_bytes(data)
        return str(path)

    def make(self, h: int, target: list[Any], a: list[Any], k: dict[str, Any], grad: bool) -> Kept:
        """Call the target, and keep what it returns under a handle that the other side chose."""
        with torch.set_grad_enabled(grad):
            made = self._target(*target)(*a, **k)
        self._objects[h] = made
        self._ids[id(made)] = h
        return Kept(made)

    def module(self, **order: Any) -> list[Any]:
        """Make an object; return it and what parameters it has."""
        made = self.make(**order)
        return [made, param_table(made.value)]

    def drop(self, handles: list[int]) -> None:
        for handle in handles:
            self._ids.pop(id(self._objects.pop(handle, None)), None)

    # -- parts -----------------------------------------------------------------------------------------------------

    def ask_back(self, op: str, value: dict[str, Any]) -> Any:
        """Let the other side compute, with gradients if they are on here."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("a function that the check gave may be called in the main thread only")
        grad = torch.is_grad_enabled()
        return self.ask(op, {**value, "grad": grad, "keep": grad}, weave_by=() if grad else None)

    def _target(self, h: int | None, *path: str) -> Any:
        found: Any = self.namespace if h is None else self._objects[h]
        for name in path:
            if found is self.namespace and name not in found:
                raise NameError(f"name {name!r} is not defined")
            found = found[name] if isinstance(found, Mapping) else getattr(found, name)
        return found

    def _keep(self, value: Any) -> int:
        if id(value) not in self._ids:
            self._last_handle += 1
            self._objects[self._last_handle] = value
            self._ids[id(value)] = self._last_handle
        return self._ids[id(value)]
