"""Requests to the player in, validated values out; meanwhile the functions that a check granted are served to it.

This is the trusted end of the line. An answer out of order, a reference that was not granted or a malformed frame is
`Tampered`: the line is cut and every later request raises the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from autograder.errors import InfraError
from autograder.sandbox.clean import clean
from autograder.sandbox.protocol import TO_PLAYER, Asked, Caps, Frame, Line, Peer, WireError
from autograder.sandbox.protocol.bridge import Like
from autograder.sandbox.student import BoxLost, StudentCrashed, StudentError, Tampered

if TYPE_CHECKING:
    from autograder.sandbox.objects import RemoteObject

KINDS = ("module", "iterator", "callable", "object")
KIND_CHARS, MESSAGE_CHARS, TRACE_CHARS = 80, 500, 4000
# After these the functions that were granted for the call are no longer served, unless an object may hold them.
_SHORT = ("call", "capture", "observe")
MAX_GRAPH_BYTES = 256 << 20  # inputs and outputs of granted functions that the student's code may still differentiate
# What one exercise may send us in all. Each frame is small, but a check may keep what every one of them brought: a
# generator's values, the queries of an attack. Plain data weigh more here than their JSON.
MAX_RECEIVED_BYTES = 512 << 20
_JSON_WEIGHT = 16
LIBRARIES = ("torch", "numpy", "math", "operator", "builtins")


def _unheard(answer: Any) -> None:
    """Nobody listens."""


Earlier = tuple[Callable[[Any], None], dict[str, Any]]  # a request that goes before another one, and who takes its answer
Before = tuple[list[Earlier], list[dict[str, Any]]]  # these, and what is a part of the other one, without an answer


def _nothing() -> Before:
    return [], []


class Lines(Line, Protocol):
    """A line that also takes several calls at once, and yields their answers in order."""

    def calls(self, frames: Sequence[Frame]) -> Iterator[Frame]: ...


@dataclass(frozen=True)
class _Raised:
    error: StudentError


class Answers:
    """An iterator of answers, which raises what stands in the place of one, and goes on after it."""

    def __init__(self, link: Link, answers: Iterable[Any]) -> None:
        self._link, self._left = link, iter(answers)

    def __iter__(self) -> Answers:
        return self

    def __next__(self) -> Any:
        answer = next(self._left)
        if isinstance(answer, _Raised):
            self._link.heard(("raised", answer.error.kind))
            raise answer.error
        self._link.heard(answer)
        return answer


class Link(Peer):
    """One box's line: requests, grants and the death of the box.

    `cut` is called once, when the line is given up. `made` builds the proxy of a player's object.
    """

    line: Lines

    def __init__(self, line: Lines, incoming: Caps, cut: Callable[[], None]) -> None:
        super().__init__(1, TO_PLAYER, incoming, max_graph_bytes=MAX_GRAPH_BYTES)
        self.line = line
        self.lost: BoxLost | None = None
        self.fault: InfraError | None = None  # ours, such as a killed monitor
        self.made: Callable[[int, str, str], RemoteObject]
        self.before: Callable[[], Before] = _nothing  # is asked what the next request takes along
        self.heard: Callable[[Any], None] = _unheard  # is told each answer
        self._cut = cut
        self._grants: dict[int, Any] = {}
        self._open: set[int] = set()  # grants that may be called now
        self._n_objects = 0
        self._depth = 0
        self._n_received = 0
        self._verdict: AssertionError | None = None  # of a check's function, while the student's code unwinds

    def request(self, op: str, *, weave_by: Sequence[Tensor] | None = None, **value: Any) -> Any:
        """Ask the player. Raises: StudentError and its kinds; AssertionError when a granted function raised one."""
        return next(self.requests(op, [(value, weave_by)]))

    def requests(self, op: str, asked: Sequence[tuple[Mapping[str, Any], Sequence[Tensor] | None]]) -> Iterator[Any]:
        """Ask for each (value, weave_by) now, in one trip, and return the answers; what one raised is raised in its place.

        Where the player may call a function of the check's meanwhile, each has a trip of its own.
        Raises: BoxLost, InfraError and AssertionError at once.
        """
        self._still_there()
        if not asked:
            return Answers(self, [])
        n_grants, n_objects = len(self._grants), self._n_objects
        self._depth += 1
        try:
            earlier, answers = self.guarded(lambda: self._ask_together(op, asked))
        except BoxLost as e:
            self.heard(("raised", e.kind))
            raise
        finally:
            self._depth -= 1
            if op in _SHORT and n_objects == self._n_objects:
                self._open.difference_update(range(n_grants, len(self._grants)))
                if self._depth == 0:
                    self.graphs.free(list(self.graphs.kept))
            self._raise_verdict()
        for (take, _), answer in earlier:
            take(next(Answers(self, [answer])))
        return Answers(self, answers)

    def _ask_together(self, op: str, asked: Sequence[tuple[Mapping[str, Any], Sequence[Tensor] | None]]) -> Any:
        earlier, first = self.before()
        calls = [self.written(request.pop("op"), request) for _, request in earlier]
        calls += [self.written(op, {**v, "first": first} if first and i == 0 else v, by) for i, (v, by) in enumerate(asked)]
        frames = [call.sent.frame for call in calls]
        # While a function of the check's may be called back, what comes next on the line must be the answer to that.
        came = map(self.line.call, frames) if self._open else self.line.calls(frames)
        answers = [self._outcome(call, frame) for call, frame in zip(calls, came, strict=True)]
        return list(zip(earlier, answers, strict=False)), answers[len(earlier) :]

    def _outcome(self, call: Asked, frame: Frame) -> Any:
        try:
            return self.answer_to(call, frame)
        except BoxLost:
            raise
        except StudentError as e:
            return _Raised(e)

    def allow(self) -> None:
        """Let what follows receive its own share."""
        self._n_received = 0

    def received(self, frame: Frame) -> None:
        self._n_received += _JSON_WEIGHT * len(frame.json) + len(frame.body)
        if self._n_received > MAX_RECEIVED_BYTES:
            raise StudentCrashed("MemoryError", f"more than {MAX_RECEIVED_BYTES >> 20} MiB of results in one exercise")

    def guarded(self, act: Callable[[], Any]) -> Any:
        """Return act(). What it raises that ends the box, ends the box."""
        try:
            return act()
        except (WireError, RecursionError) as e:
            self._lose(Tampered("ProtocolError", str(e) if isinstance(e, WireError) else "too deep"))
        except BoxLost as e:
            self._lose(e)
        except InfraError as e:
            self.fault = e
            raise

    def _still_there(self) -> None:
        gone = self.fault or self.lost
        if gone:
            raise gone.with_traceback(None)

    def refuse(self, what: str) -> Any:
        """End the box because an answer is not what it must be. Raises: Tampered."""
        self._lose(Tampered("ProtocolError", what))

    def _lose(self, error: BoxLost) -> None:
        if self.lost is None:
            self.lost = error
            self._cut()
        raise self.lost from None

    def _raise_verdict(self) -> None:
        if self._depth == 0 and self._verdict is not None:
            verdict, self._verdict = self._verdict, None
            raise verdict

    # -- the trusted end's side of the Peer ------------------------------------------------------------------------

    def reference(self, value: object) -> Mapping[str, Any] | None:
        from autograder.sandbox.objects import RemoteObject

        if isinstance(value, RemoteObject):
            return {"$": "h", "i": value.handle_on(self)}
        known = library_name(value)
        if known or not callable(value):
            return {"$": "py", "n": known} if known else None
        grant = len(self._grants)
        self._grants[grant] = value
        self._open.add(grant)
        name = str(getattr(value, "__name__", type(value).__name__))
        training = isinstance(value, nn.Module) and value.training
        return {"$": "cb", "i": grant, "n": name, "module": isinstance(value, nn.Module), "training": training}

    def resolve(self, tag: str, fields: dict[str, Any]) -> Any:
        i = fields.get("i")
        if type(i) is not int:
            raise WireError("a reference's number")
        if tag == "cb" and len(fields) == 1 and i in self._grants:
            return self._grants[i]
        if tag != "h" or set(fields) != {"i", "k", "n"} or fields["k"] not in KINDS or type(fields["n"]) is not str:
            raise WireError("a reference")
        self._n_objects += 1
        return self.made(i, fields["k"], clean(fields["n"], KIND_CHARS))

    def perform(self, call: int, op: str, value: dict[str, Any], roots: Sequence[Tensor]) -> Any:
        grant = value.get("grant")
        if type(grant) is not int or grant not in self._grants:
            raise WireError("a call of a function that was not granted")
        if grant not in self._open:
            raise RuntimeError("granted for an earlier call only")
        function = self._grants[grant]
        if op == "parameters" and isinstance(function, nn.Module):
            return [[name, p.detach(), p.requires_grad] for name, p in function.named_parameters()]
        if op != "callback":
            raise WireError("an unknown call")
        args, kwargs, grad, training = _callback_fields(value)
        with torch.set_grad_enabled(grad), _Mode(function, training):
            return function(*args, **kwargs)

    def answer_error(self, error: BaseException) -> dict[str, str]:
        """Describe by its kind only: the text may hold what the check expects."""
        if not isinstance(error, Exception) or isinstance(error, (WireError, BoxLost, InfraError)):
            raise error
        if isinstance(error, AssertionError) and self._verdict is None:
            self._verdict = error
        return {"kind": type(error).__name__, "message": "", "trace": ""}

    def raised(self, value: Any) -> BaseException:
        if type(value) is not dict or set(value) != {"kind", "message", "trace"} or not all(type(x) is str for x in value.values()):
            raise WireError("not a description of an exception")
        kind = clean(value["kind"], KIND_CHARS) or "Exception"
        return StudentError(kind, clean(value["message"], MESSAGE_CHARS), clean(value["trace"], TRACE_CHARS))

    def _ask_backward(self, call: int, grads: list[Tensor | None], like: Like) -> list[Tensor | None]:
        self._still_there()
        found: list[Tensor | None] = self.guarded(lambda: super(Link, self)._ask_backward(call, grads, like))
        return found


def _callback_fields(value: dict[str, Any]) -> tuple[list[Any], dict[str, Any], bool, bool | None]:
    args, kwargs, grad, training = (value.get(name) for name in ("a", "k", "grad", "training"))
    if type(args) is not list or type(kwargs) is not dict or not all(type(name) is str for name in kwargs):
        raise WireError("not the arguments of a callback")
    if type(grad) is not bool or not (training is None or type(training) is bool):
        raise WireError("not the modes of a callback")
    return args, kwargs, grad, training


def library_name(value: object) -> str:
    """Return the dotted name of a function or class of torch, numpy, math or the builtins; else "".

    The player has its own, so that torch.nn.GELU or F.relu as an argument need not be called from afar.
    """
    module, name = getattr(value, "__module__", None) or "torch", getattr(value, "__qualname__", "")
    if not callable(value) or type(module) is not str or module.partition(".")[0] not in LIBRARIES or not name:
        return ""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is value else ""


class _Mode:
    """Run a granted module in the mode that the student's code set, and set it back."""

    def __init__(self, function: Any, training: bool | None) -> None:
        self._module = function if training is not None and isinstance(function, nn.Module) else None
        self._training = bool(training)

    def __enter__(self) -> None:
        if self._module is not None:
            self._was = self._module.training
            self._module.train(self._training)

    def __exit__(self, *exc: object) -> None:
        if self._module is not None:
            self._module.train(self._was)
