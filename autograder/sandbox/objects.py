"""Proxies of the student's objects: `RemoteObject` and the differentiable `RemoteModule`.

A proxy is never a value: comparing it, counting it or testing its truth raises StudentError, so that no check can take
an object of the student's for the answer that it expected.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from autograder.sandbox.link import Link
from autograder.sandbox.student import Call, StudentError, StudentObject, Table


def target(handle: int | None, path: str) -> list[Any]:
    """Name a place in the player: from an object, or from the program's names, down a dotted path."""
    return [handle, *path.split(".")] if path else [handle]


class RemoteObject:
    """An object that lives in the player: call it, call its methods, read and set its attributes, pass it on."""

    made_by = "make"  # the request

    def __init__(self, link: Link, handle: int, kind: str, type_name: str, dropped: set[int]) -> None:
        self._link, self._handle = link, handle
        self.kind, self.type_name = kind, type_name
        weakref.finalize(self, dropped.add, handle).atexit = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._invoke("", args, kwargs)

    def was_made(self, answer: Any) -> None:
        """Take the answer to the request that made it, which came together with that to a later one."""
        if answer is not self:
            self._link.refuse("another object in place of the one that was made")

    def each(self, calls: Sequence[Call]) -> Iterator[Any]:
        """Call it with each of these arguments, now and in one trip; what a call raises is raised in its place."""
        return together(self._link, [(self, call) for call in calls])

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method and return its value."""
        return self._invoke(method, args, kwargs)

    def get(self, name: str) -> Any:
        """Return an attribute, or an item of a mapping, by value (a proxy when it is not plain data)."""
        return self._link.request("get", target=target(self._handle, name), how="value")

    def part(self, name: str) -> RemoteObject:
        """Return a proxy of an attribute, even if it is plain data: a parameter, a submodule."""
        found = self._link.request("get", target=target(self._handle, name), how="handle")
        return found if isinstance(found, RemoteObject) else self._link.refuse("a value in place of an object")

    def set(self, name: str, value: Any) -> None:
        """Set an attribute, such as a tensor's `grad`."""
        self._link.request("set", target=target(self._handle, ""), name=name, value=value)

    def value(self) -> Any:
        """Return the object itself by value, as it is now."""
        return self._link.request("get", target=target(self._handle, ""), how="value")

    def handle_on(self, link: Link) -> int:
        if link is not self._link:
            raise TypeError(f"this {self.type_name} lives in another box")
        return self._handle

    def __iter__(self) -> Iterator[Any]:
        if self.kind != "iterator":
            self._not_a_value()
        return self._steps()

    def _steps(self) -> Iterator[Any]:
        while True:
            try:
                yield next(self)
            except StopIteration:
                return

    def __len__(self) -> int:
        # list() asks for a length first and takes a TypeError, and only that, for "unknown".
        raise TypeError("an iterator has no length") if self.kind == "iterator" else self._not_a_value()

    def __next__(self) -> Any:
        answer = self._link.request("next", h=self._handle, grad=torch.is_grad_enabled())
        if type(answer) is not tuple or len(answer) != 2 or type(answer[0]) is not bool:
            self._link.refuse("not a step of an iterator")
        if not answer[0]:
            raise StopIteration
        return answer[1]

    def _invoke(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return invoke(self._link, "call", self, Call(*args, **kwargs), target=target(self._handle, method), how="value")

    def _not_a_value(self, *_: object) -> NoReturn:
        raise StudentError("TypeError", f"an object of type {self.type_name} stands where a plain value was expected")

    __bool__ = __getitem__ = __contains__ = __array__ = __lt__ = __le__ = __gt__ = __ge__ = _not_a_value

    def __eq__(self, other: object) -> bool:
        return other is self if isinstance(other, RemoteObject) else self._not_a_value()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._handle)

    def __repr__(self) -> str:
        return f"<the student's {self.type_name}>"


class RemoteModule(RemoteObject):
    """A torch Module that lives in the player. Calling it is differentiable by its inputs and parameters.

    Its parameters stand here as leaves: gradients arrive in them, and what an optimizer changes in place is written back
    before the next request. What the student's own code changes is read back by named_parameters() and parameters().
    """

    made_by = "module"
    _leaves: dict[str, nn.Parameter] | None = None
    _versions: Mapping[str, tuple[int, int]] = {}
    _to_load: dict[str, Tensor] | None = None
    _claimed: tuple[int, Table] = (0, [])  # after which call, and what
    _expected: tuple[Callable[[Table], None], ...] = ()  # of its table, once it is there

    def born(self, answer: Any) -> None:
        """Take the answer to the request that made it: itself, and the table of its parameters unless that is not to be had."""
        if type(answer) is not list or len(answer) != 2 or answer[0] is not self:
            self._link.refuse("not a module and its parameters")
        if self.kind != "module":
            raise StudentError("TypeError", f"an object of type {self.type_name} stands where a torch Module was expected")
        if answer[1] is None:
            return
        if type(answer[1]) is not list or not all(_is_claim(row) for row in answer[1]):
            self._link.refuse("not a table of parameters")
        # It holds until anything else is asked.
        self._claimed = self._link.last_call, [(name, tuple(shape), wanted) for name, shape, wanted in answer[1]]

    def was_made(self, answer: Any) -> None:
        self.born(answer)
        for expect in self._expected:
            expect(self.param_table())
        self._expected, self._claimed = (), (0, [])

    def load_soon(self, state: Mapping[str, Tensor], expect: Callable[[Table], None] | None = None) -> None:
        """Load these weights, not strictly, on the way of the next request; what the student's code raises then, that raises.

        `expect` is called with the table of parameters, and may raise: now, or once the module is there.
        """
        if expect and self.kind:
            expect(self.param_table())
        elif expect:
            self._expected += (expect,)
        if self._leaves is not None:
            self.load_state_dict(state, strict=False)
        else:
            self._to_load = {name: weight.detach().clone() for name, weight in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor], strict: bool = True) -> None:
        self._verb("load_state_dict", [dict(state), strict], "none")
        if self._leaves is not None:
            self.named_parameters()

    def state_dict(self) -> dict[str, Tensor]:
        state = self._verb("state_dict", [], "value")
        if type(state) is not dict or not all(type(n) is str and isinstance(t, Tensor) for n, t in state.items()):
            raise StudentError("TypeError", f"{self.type_name}.state_dict() is not a dict of names and tensors")
        return state

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """Return (name, leaf) of each parameter, holding its value of now; the same leaves each time."""
        rows = self._read()
        if self._leaves is None or [(n, v.shape) for n, v, _ in rows] != [(n, p.shape) for n, p in self._leaves.items()]:
            self._leaves = {name: nn.Parameter(value, requires_grad=wanted) for name, value, wanted in rows}
        else:
            with torch.no_grad():
                for name, value, _ in rows:
                    self._leaves[name].copy_(value)
        self._versions = self._now()
        return list(self._leaves.items())

    def parameters(self) -> list[Tensor]:
        return [p for _, p in self.named_parameters()]

    def param_table(self) -> Table:
        """Return (name, shape, requires_grad) as the player claims them; verify by loading and perturbing."""
        if self._link.last_call == self._claimed[0]:
            return list(self._claimed[1])
        return [(name, tuple(value.shape), wanted) for name, value, wanted in self._read()]

    def capture(self, names: Sequence[str], *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Call the module and return (result, {submodule's name: its output, a list if it ran more than once})."""
        answer = invoke(self._link, "capture", self, Call(*args, **kwargs), h=self._handle, names=list(names))
        if type(answer) is not list or len(answer) != 2 or type(answer[1]) is not dict or set(answer[1]) != set(names):
            self._link.refuse("not a captured call")
        return answer[0], answer[1]

    def train(self, mode: bool = True) -> None:
        self._verb("train", [mode], "none")

    def eval(self) -> None:
        self._verb("eval", [], "none")

    def changes(self) -> list[dict[str, Any]]:
        """Return the requests that bring the player's module up to this one: weights to load, parameters that changed here."""
        due: list[dict[str, Any]] = []
        if self._to_load is not None:
            due.append({"op": "call", **self._request("load_state_dict", [self._to_load, False], "none")})
            self._to_load = None
        if self._leaves is not None:
            now = self._now()
            changed = {name: self._leaves[name].detach() for name, version in now.items() if version != self._versions.get(name)}
            if changed:
                self._versions = now
                due.append({"op": "push", "h": self._handle, "values": changed})
        return due

    def leaves(self) -> list[tuple[list[Any], nn.Parameter]]:
        """Return ([handle, name], leaf) of the parameters that require gradients."""
        if self._leaves is None:
            self.named_parameters()
        return [([self._handle, n], p) for n, p in (self._leaves or {}).items() if p.requires_grad]

    def _verb(self, method: str, args: list[Any], how: str) -> Any:
        return self._link.request("call", **self._request(method, args, how))

    def _request(self, method: str, args: list[Any], how: str) -> dict[str, Any]:
        return {"target": target(self._handle, method), "a": args, "k": {}, "grad": False, "how": how}

    def _read(self) -> list[tuple[str, Tensor, bool]]:
        rows = self._link.request("params", h=self._handle)
        if type(rows) is not list or not all(_is_row(row) for row in rows):
            self._link.refuse("not a table of parameters")
        return [(name, value.detach(), wanted) for name, value, wanted in rows]

    def _now(self) -> dict[str, tuple[int, int]]:
        # An assignment to p.data changes no version, but the address.
        return {name: (p._version, p.data_ptr()) for name, p in (self._leaves or {}).items()}


def _is_row(row: Any) -> bool:
    if type(row) is not list or len(row) != 3:
        return False
    return type(row[0]) is str and isinstance(row[1], Tensor) and row[1].layout is torch.strided and type(row[2]) is bool


def _is_claim(row: Any) -> bool:
    if type(row) is not list or len(row) != 3 or type(row[1]) is not list:
        return False
    return type(row[0]) is str and all(type(n) is int and n >= 0 for n in row[1]) and type(row[2]) is bool


def invoke(link: Link, op: str, owner: RemoteObject | None, call: Call, **fields: Any) -> Any:
    """Ask for a call, tied into this process's graph if gradients are on and something in the call requires them."""
    return next(link.requests(op, [_asked(owner, call, fields)]))


def together(link: Link, asked: Sequence[tuple[str | StudentObject, Call]]) -> Iterator[Any]:
    """Ask for several calls in one trip: of functions, by their names, and of objects."""
    requests = []
    for what, call in asked:
        owner = what if isinstance(what, RemoteObject) else None
        place = target(None, str(what)) if owner is None else target(owner.handle_on(link), "")
        requests.append(_asked(owner, call, {"target": place, "how": "value"}))
    return link.requests("call", requests)


def _asked(owner: RemoteObject | None, call: Call, fields: dict[str, Any]) -> tuple[dict[str, Any], list[Tensor] | None]:
    value = {**fields, "a": list(call.args), "k": call.kwargs, "grad": torch.is_grad_enabled()}
    if not value["grad"]:
        return value, None
    found: dict[int, Any] = {}
    _find([owner, value["a"], call.kwargs], found)
    pairs = [pair for x in found.values() if isinstance(x, RemoteModule) for pair in x.leaves()]
    if not pairs and not any(isinstance(x, Tensor) for x in found.values()):
        return value, None
    return value | {"keep": True, "params": [key for key, _ in pairs]}, [leaf for _, leaf in pairs]


def _find(value: Any, found: dict[int, Any]) -> None:
    """Collect the modules, and the tensors that require gradients."""
    if isinstance(value, RemoteModule) or (isinstance(value, Tensor) and value.requires_grad):
        found[id(value)] = value
    elif isinstance(value, (list, tuple)):
        for part in value:
            _find(part, found)
    elif isinstance(value, Mapping):
        for part in value.values():
            _find(part, found)
