"""Bytes in, `Frame` out, and back: the 16-byte header, and the caps that hold before anything is allocated. No torch."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

_HEADER = struct.Struct("<4sIQ")  # magic, bytes of JSON, bytes of body
_CALL, _REPLY = b"ASK1", b"ANS1"
HEADER_BYTES = _HEADER.size
AT_ONCE_BYTES = 1 << 16  # what is sent, and read, in one go
ALIGN = 16  # every tensor starts at a multiple of this in the body


class WireError(Exception):
    """The other side sent what no honest peer sends. The message never holds what it sent."""


class Unsendable(TypeError):
    """A value on this side cannot cross: its type is not plain data, or it is above a cap."""


@dataclass(frozen=True)
class Caps:
    """What one frame may hold."""

    json_bytes: int = 1 << 20
    body_bytes: int = 16 << 20
    nodes: int = 50_000
    depth: int = 24
    tensors: int = 4096
    text_chars: int = 1 << 18
    n_dims: int = 16
    strided: bool = False  # whether tensors may come with strides: only what we send does

    def with_body(self, body_bytes: int) -> Caps:
        return replace(self, body_bytes=body_bytes)


FROM_PLAYER = Caps()
TO_PLAYER = Caps(json_bytes=1 << 26, body_bytes=1 << 30, nodes=5_000_000, tensors=1 << 16, text_chars=1 << 25, strided=True)


@dataclass(frozen=True)
class Message:
    """A request or its answer. `id` ties the two; an answer's op is "ok" or "raised"."""

    id: int
    op: str
    value: Any


@dataclass(frozen=True)
class Frame:
    """One message as bytes. `is_call` tells a request from an answer."""

    is_call: bool
    json: bytes | bytearray
    body: bytes | bytearray

    @property
    def n_bytes(self) -> int:
        return HEADER_BYTES + len(self.json) + len(self.body)

    def parts(self) -> list[memoryview]:
        """Return what to send: in one piece, which wakes the other end once, or with a large body as a second one, uncopied."""
        head = _HEADER.pack(_CALL if self.is_call else _REPLY, len(self.json), len(self.body))
        if len(self.body) <= AT_ONCE_BYTES:
            return [memoryview(b"".join((head, self.json, self.body)))]
        return [memoryview(head + self.json), memoryview(self.body)]

    def pack(self) -> bytes:
        return b"".join(self.parts())


def unpack_header(head: bytes | bytearray, caps: Caps) -> tuple[bool, int, int]:
    """Return (is_call, bytes of JSON, bytes of body). Raises: WireError on a wrong magic or a length above its cap."""
    magic, n_json, n_body = _HEADER.unpack(head)
    if magic not in (_CALL, _REPLY):
        raise WireError("not a frame of this protocol")
    if not 0 < n_json <= caps.json_bytes or n_body > caps.body_bytes:
        raise WireError("frame above its cap")
    return magic == _CALL, n_json, n_body


def read_frame(read_exactly: Callable[[int], bytearray], caps: Caps) -> Frame:
    """Read one frame through `read_exactly(n)`, which returns n bytes or raises."""
    is_call, n_json, n_body = unpack_header(read_exactly(HEADER_BYTES), caps)
    return Frame(is_call, read_exactly(n_json), read_exactly(n_body) if n_body else b"")


def bursts(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Part calls into what may be under way at once: a socket holds it, so that neither end ever waits for the other to read."""
    found: list[list[Frame]] = []
    n_bytes = AT_ONCE_BYTES
    for frame in frames:
        n_bytes += frame.n_bytes
        if n_bytes > AT_ONCE_BYTES:
            found.append([])
            n_bytes = frame.n_bytes
        found[-1].append(frame)
    return found


class ReadAhead:
    """Exactly as many bytes as asked for, out of a stream that is read in larger pieces.

    `receive(view)` fills the beginning of the view, with at least one byte, and returns how many it was.
    """

    def __init__(self, receive: Callable[[memoryview], int]) -> None:
        self._receive = receive
        self._ahead = memoryview(bytearray(AT_ONCE_BYTES))
        self._at = self._end = 0

    @property
    def n_waiting(self) -> int:
        """How many bytes are here that nobody asked for yet: of what came in one go with what was read."""
        return self._end - self._at

    def read(self, n: int) -> bytearray:
        data = bytearray(n)
        left = memoryview(data)
        while left:
            if self._at == self._end:
                if len(left) >= AT_ONCE_BYTES:
                    left = left[self._receive(left) :]
                    continue
                self._at, self._end = 0, self._receive(self._ahead)
            n_taken = min(len(left), self._end - self._at)
            left[:n_taken] = self._ahead[self._at : self._at + n_taken]
            left, self._at = left[n_taken:], self._at + n_taken
        return data
