"""One end of the line: ask the other end, and serve what it asks meanwhile. Both ends are one of these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from autograder.sandbox.protocol.bridge import Graphs, Like, check_gradients, weave
from autograder.sandbox.protocol.decode import decode
from autograder.sandbox.protocol.encode import Encoded, encode
from autograder.sandbox.protocol.frames import Caps, Frame, Message, WireError

MAX_FREED = 1000


class Line(Protocol):
    """The way to the other end. While it waits for the answer it serves the calls that come instead."""

    def call(self, frame: Frame) -> Frame: ...


@dataclass(frozen=True)
class Asked:
    """A call that was written: its number, its frame, and the leaves that its answer depends on besides."""

    call: int
    sent: Encoded
    weave_by: Sequence[Tensor] | None


class Peer(ABC):
    """Numbers the calls, keeps graphs for the other end's gradients, and checks that an answer answers its call."""

    line: Line

    def __init__(self, first_id: int, outgoing: Caps, incoming: Caps, max_graph_bytes: int) -> None:
        self._next_id = first_id
        self._outgoing, self._incoming = outgoing, incoming
        self._freed: list[int] = []
        self.graphs = Graphs(max_graph_bytes)

    # -- what each end does in its own way -------------------------------------------------------------------------

    @abstractmethod
    def reference(self, value: object) -> Mapping[str, Any] | None:
        """Return the fields of a reference to the object, or None to refuse to send it."""

    @abstractmethod
    def resolve(self, tag: str, fields: dict[str, Any]) -> Any:
        """Return the object that a reference means. Raises: WireError."""

    @abstractmethod
    def perform(self, call: int, op: str, value: dict[str, Any], roots: Sequence[Tensor]) -> Any:
        """Do what the other end asks and return the value of the answer."""

    @abstractmethod
    def answer_error(self, error: BaseException) -> dict[str, str]:
        """Describe an exception of `perform` to the other end, or raise what this end must not hide."""

    @abstractmethod
    def raised(self, value: Any) -> BaseException:
        """Return the exception that the other end's description means here. Raises: WireError."""

    # -- what both do ----------------------------------------------------------------------------------------------

    def ask(self, op: str, value: Mapping[str, Any], *, weave_by: Sequence[Tensor] | None = None) -> Any:
        """Return the other end's answer; raise what it raised.

        With `weave_by` the tensors of the answer that require gradients depend, in this end's graph, on those of the
        request and on `weave_by`.
        """
        asked = self.written(op, value, weave_by)
        return self.answer_to(asked, self.line.call(asked.sent.frame))

    def written(self, op: str, value: Mapping[str, Any], weave_by: Sequence[Tensor] | None = None) -> Asked:
        """Return a call that is ready to be sent."""
        call, self._next_id = self._next_id, self._next_id + 2
        # In place: the finalizers of graphs append to this very list.
        freed = self._freed[:MAX_FREED]
        del self._freed[: len(freed)]
        request = Message(call, op, {**value, "free": freed} if freed else value)
        return Asked(call, encode(request, is_call=True, caps=self._outgoing, reference=self.reference), weave_by)

    def answer_to(self, asked: Asked, frame: Frame) -> Any:
        """Read the answer to a call; raise what the other end raised."""
        self.received(frame)
        call, sent, weave_by = asked.call, asked.sent, asked.weave_by

        def tie(tensors: list[Tensor], marked: list[Tensor]) -> Sequence[Tensor]:
            roots = [*sent.differentiable, *(weave_by or ())]
            return weave(call, marked, roots, self._ask_backward, self._freed.append)

        answer = decode(frame, caps=self._incoming, resolve=self.resolve, weave=None if weave_by is None else tie).message
        if answer.id != call or answer.op not in ("ok", "raised"):
            raise WireError("an answer to another call")
        if answer.op == "raised":
            raise self.raised(answer.value)
        return answer.value

    def serve(self, frame: Frame) -> Frame:
        """Answer one call of the other end. Raises: WireError on a malformed one."""
        self.received(frame)
        got = decode(frame, caps=self._incoming, resolve=self.resolve)
        call, op, value = got.message.id, got.message.op, got.message.value
        if type(value) is not dict or not _is_ids(freed := value.pop("free", [])):
            raise WireError("not the fields of a call")
        self.graphs.free(freed)
        try:
            if op == "backward":
                return self._answer(call, "ok", self._backward(value)).frame
            answered = self._answer(call, "ok", self.perform(call, op, value, got.roots))
            if value.get("keep") is True and answered.differentiable:
                self.graphs.keep(call, answered.differentiable, [*got.roots, *self.extra_roots(value)])
        except BaseException as e:
            return self._answer(call, "raised", self.answer_error(e)).frame
        return answered.frame

    @property
    def last_call(self) -> int:
        """The number of the latest call that this end made: nothing has changed there since, if it is still the same."""
        return self._next_id - 2

    def received(self, frame: Frame) -> None:
        """Hear of each frame before it is read."""
        return

    def extra_roots(self, value: dict[str, Any]) -> Iterable[Tensor]:
        """Return what else, beside the tensors of the call, the other end differentiates by."""
        return ()

    def _answer(self, call: int, op: str, value: Any) -> Encoded:
        return encode(Message(call, op, value), is_call=False, caps=self._outgoing, reference=self.reference)

    def _backward(self, value: dict[str, Any]) -> list[Tensor | None]:
        call, grads = value.get("call"), value.get("grads")
        if type(call) is not int or type(grads) is not list or not all(g is None or isinstance(g, Tensor) for g in grads):
            raise WireError("not the fields of a backward call")
        return self.graphs.backward(call, grads)

    def _ask_backward(self, call: int, grads: list[Tensor | None], like: Like) -> list[Tensor | None]:
        return check_gradients(self.ask("backward", {"call": call, "grads": grads}), like)


def _is_ids(freed: Any) -> bool:
    return type(freed) is list and len(freed) <= MAX_FREED and all(type(i) is int for i in freed)
