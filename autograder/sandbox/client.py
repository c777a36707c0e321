"""`RemoteStudent`: the Student protocol over a line to a player, whether in a jail or in this process."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch

from autograder.sandbox.link import Before, Earlier, Link
from autograder.sandbox.objects import RemoteModule, RemoteObject, invoke, target, together
from autograder.sandbox.protocol import WireError
from autograder.sandbox.student import BoxLost, Call, Observation, StudentError, StudentObject
from autograder.submission.mentions import definition, mentions
from autograder.submission.model import Cell

_DROP_AT = 32  # handles let go of before the player hears of it
MAX_OBJECTS = 10_000  # proxies alive at once: each costs this side memory, and the player nothing
Proxy = TypeVar("Proxy", bound=RemoteObject)
FILE_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class RemoteStudent:
    """A student's program behind a line. See `Student` for what each method promises."""

    def __init__(self, link: Link) -> None:
        self._link = link
        link.made, link.before = self._made, self._before
        self._objects: weakref.WeakValueDictionary[int, RemoteObject] = weakref.WeakValueDictionary()
        self._dropped: set[int] = set()
        self._due: list[tuple[weakref.ref[RemoteObject], dict[str, Any]]] = []  # what is to be made first, and how
        self._last_ordered = 0
        self._program: Sequence[Cell] = ()

    def fn(self, name: str, *, return_args: bool = False) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not return_args:
                return self._call(name, args, kwargs, "value")
            answer = self._call(name, args, kwargs, "echo")
            if type(answer) is not list or len(answer) != 2 or type(answer[1]) is not list or len(answer[1]) != len(args):
                self._link.refuse("not a result and its arguments")
            return answer[0], tuple(answer[1])

        return call

    def each(self, name: str, calls: Sequence[Call]) -> Iterator[Any]:
        return together(self._link, [(name, call) for call in calls])

    def together(self, asked: Sequence[tuple[str | StudentObject, Call]]) -> Iterator[Any]:
        return together(self._link, asked)

    def module(self, name: str, *args: Any, **kwargs: Any) -> RemoteModule:
        made, request = self._ordered(RemoteModule, name, args, kwargs)
        made.born(self._link.request(**request))
        return made

    def make(self, name: str, *args: Any, **kwargs: Any) -> RemoteObject:
        made = self._call(name, args, kwargs, "handle")
        return made if isinstance(made, RemoteObject) else self._link.refuse("a value in place of an object")

    def make_soon(self, name: str, *args: Any, **kwargs: Any) -> RemoteObject:
        return self._soon(RemoteObject, name, args, kwargs)

    def module_soon(self, name: str, *args: Any, **kwargs: Any) -> RemoteModule:
        return self._soon(RemoteModule, name, args, kwargs)

    def iter(self, name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        made = self._call(name, args, kwargs, "iter")
        if not isinstance(made, RemoteObject) or made.kind != "iterator":
            self._link.refuse("no iterator")
        return iter(made)

    def observe(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, Observation]:
        answer = invoke(self._link, "observe", None, Call(*args, **kwargs), target=target(None, name))
        if type(answer) is not list or len(answer) != 2 or not _is_observation(answer[1]):
            self._link.refuse("no observation")
        result, seen = answer
        sets = {key: frozenset(seen[key]) for key in ("shares", "modified", "drew", "bound")}
        return result, Observation(seen["max_numel"], seen["operators"], **sets)

    def source(self, name: str) -> str:
        return definition([cell.source for cell in self._program], name)

    def mentions(self, name: str) -> frozenset[str]:
        return mentions([cell.source for cell in self._program], name)

    def get(self, name: str) -> Any:
        return self._link.request("get", target=target(None, name), how="value")

    def keep(self, value: Any) -> RemoteObject:
        made = self._link.request("keep", value=value)
        return made if isinstance(made, RemoteObject) else self._link.refuse("a value in place of an object")

    def seed(self, seed: int) -> None:
        self._link.request("seed", seed=seed)

    def file(self, name: str, data: bytes) -> str:
        if not name or not set(name) <= FILE_NAME_CHARS or name.startswith("."):
            raise ValueError(f"{name!r} is no plain file name")
        path = self._link.request("file", name=name, data=data)
        return path if type(path) is str else self._link.refuse("no path")

    def execute(self, program: Sequence[Cell]) -> dict[str, StudentError]:
        """Execute the cells in order and return what each failing one raised, by label. Stops where the box dies."""
        failures: dict[str, StudentError] = {}
        self._program = program
        for cell in program:
            try:
                self._link.request("exec", label=cell.label, source=cell.source)
            except StudentError as e:
                e.label = cell.label
                failures[cell.label] = e
                if isinstance(e, BoxLost):
                    break
        return failures

    def _call(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], how: str) -> Any:
        return invoke(self._link, "call", None, Call(*args, **kwargs), target=target(None, name), how=how)

    def _made(self, handle: int, kind: str, type_name: str) -> RemoteObject:
        known = self._objects.get(handle)
        if known is None:
            if len(self._objects) >= MAX_OBJECTS:
                raise WireError("too many objects")
            self._dropped.discard(handle)
            known = (RemoteModule if kind == "module" else RemoteObject)(self._link, handle, kind, type_name, self._dropped)
            self._objects[handle] = known
        elif not known.kind:
            known.kind, known.type_name = kind, type_name  # it was only ordered until now
        return known

    def _soon(self, proxy: type[Proxy], name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Proxy:
        made, request = self._ordered(proxy, name, args, kwargs)
        self._due.append((weakref.ref(made), request))
        return made

    def _ordered(self, proxy: type[Proxy], name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Proxy, dict[str, Any]]:
        """Return a proxy of what is not there yet, and the fields of the request that makes it."""
        self._last_ordered -= 1  # the player numbers what it hands out from 1 up
        made = proxy(self._link, self._last_ordered, "", name, self._dropped)
        self._objects[self._last_ordered] = made
        request = {"op": proxy.made_by, "h": self._last_ordered, "target": target(None, name), "a": list(args), "k": kwargs}
        return made, request | {"grad": torch.is_grad_enabled()}

    def _before(self) -> Before:
        """Return what goes with the next request: what to make, what was done to modules here, what was let go of."""
        orders = [(made, request) for ordered, request in self._due if (made := ordered()) is not None]
        self._due.clear()
        earlier: list[Earlier] = [(made.was_made, request) for made, request in orders]
        modules = [proxy for proxy in list(self._objects.values()) if isinstance(proxy, RemoteModule)]
        due = [request for module in modules for request in module.changes()]
        if len(self._dropped) >= _DROP_AT:
            handles = list(self._dropped)
            self._dropped.difference_update(handles)
            due.append({"op": "drop", "handles": handles})
        return earlier, due


def _is_observation(seen: Any) -> bool:
    if type(seen) is not dict or set(seen) != {"max_numel", "operators", "shares", "modified", "drew", "bound"}:
        return False
    counts, pairs = seen["operators"], seen["shares"]
    if type(seen["max_numel"]) is not int or type(counts) is not dict or type(pairs) is not list:
        return False
    texts = [seen[key] for key in ("modified", "drew", "bound")]
    return (
        all(type(k) is str and type(n) is int for k, n in counts.items())
        and all(type(p) is tuple and len(p) == 2 and type(p[0]) is type(p[1]) is str for p in pairs)
        and all(type(t) is list and all(type(x) is str for x in t) for t in texts)
    )
