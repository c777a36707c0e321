"""A `Frame` in, a `Decoded` message out, with nothing about the bytes believed: every size, index and tag is checked.

Raises WireError and nothing else on bytes that no honest peer sends. Memory is bounded by the caps: tensors are copied
out of the body, and each reference to one counts its bytes again, so that a small frame cannot become a large value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from autograder.sandbox.protocol.encode import DTYPES, GRAPH, LEAF, PARAMETER
from autograder.sandbox.protocol.frames import ALIGN, Caps, Frame, Message, WireError
from autograder.sandbox.protocol.nodes import FIELDS, INT64, MAX_DIM, NODES, VALUE, numel_of

_FLAGS = (0, LEAF, GRAPH, LEAF | PARAMETER)

Resolve = Callable[[str, dict[str, Any]], Any]
Weave = Callable[[list[Tensor], list[Tensor]], Sequence[Tensor]]


@dataclass(frozen=True)
class Decoded:
    """A message, and what to differentiate by for each tensor that the sender marked as requiring gradients, in order."""

    message: Message
    roots: tuple[Tensor, ...]


def decode(frame: Frame, *, caps: Caps, resolve: Resolve | None = None, weave: Weave | None = None) -> Decoded:
    """Read a message.

    resolve(tag, fields) turns a reference node into an object and raises WireError on one it did not grant.
    weave(tensors, marked) may replace the marked tensors, to tie them into a graph of this side; without it they
    become leaves, or copies of leaves, as the sender's were.
    Raises: WireError.
    """
    document = _parse(frame.json, caps)
    reader = Reader(caps, resolve)
    reader.read_table(document["T"], frame.body)
    reader.mark(weave)
    value = reader.node(document["v"], 0)
    return Decoded(Message(document["id"], document["op"], value), tuple(reader.roots))


def _parse(text: bytes | bytearray, caps: Caps) -> dict[str, Any]:
    try:
        document = _JSON.decode(bytes(text).decode())
    except (ValueError, RecursionError, MemoryError) as e:
        raise WireError(f"not the JSON of a message: {type(e).__name__}") from None
    if type(document) is not dict or set(document) != {"id", "op", "v", "T"}:
        raise WireError("not the fields of a message")
    if type(document["id"]) is not int or document["id"] < 0 or type(document["op"]) is not str or len(document["op"]) > 32:
        raise WireError("not the id and op of a message")
    if type(document["T"]) is not list or len(document["T"]) > caps.tensors:
        raise WireError("tensor table above its cap")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs) or len(fields) > 8:
        raise WireError("a node with repeated or too many fields")
    return fields


def _constant(word: str) -> float:
    raise WireError("a bare NaN or Infinity")


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise WireError("an integer out of range")
    value = int(digits)
    if not -INT64 <= value < INT64:
        raise WireError("an integer out of range")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise WireError("a float out of range")
    return value


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_finite)


@dataclass
class Reader:
    """Reads one frame: first its table of tensors, then the value that refers to them."""

    caps: Caps
    resolve: Resolve | None
    tensors: list[Tensor] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    roots: list[Tensor] = field(default_factory=list)
    grads: list[int | None] = field(default_factory=list)
    n_nodes: int = 0
    n_bytes: int = 0

    # -- the tensor table ------------------------------------------------------------------------------------------

    def read_table(self, table: list[Any], body: bytes | bytearray) -> None:
        at = 0
        body = body if type(body) is bytearray else bytearray(body)  # torch warns of what it may not write
        for entry in table:
            if type(entry) is not list or len(entry) != 6:
                raise WireError("a tensor entry")
            dtype, shape, n_bytes, strides, flags, grad = entry
            if type(dtype) is not str or dtype not in DTYPES or type(flags) is not int or flags not in _FLAGS:
                raise WireError("a tensor's dtype or flags")
            at += -at % ALIGN
            if type(n_bytes) is not int or not 0 <= n_bytes <= len(body) - at:
                raise WireError("a tensor's size")
            tensor = self.tensor(DTYPES[dtype], shape, strides, body, at, n_bytes)
            at += n_bytes
            if flags and not (tensor.is_floating_point() or tensor.is_complex()):
                raise WireError("a gradient of integers")
            self.marks.append(flags)
            self.grads.append(self.grad(grad, tensor))
            self.tensors.append(tensor)
        if at != len(body):
            raise WireError("bytes that belong to no tensor")

    def tensor(self, dtype: torch.dtype, shape: Any, strides: Any, body: bytearray, at: int, n_bytes: int) -> Tensor:
        numel = numel_of(shape, self.caps)
        if strides is None:
            extent = numel
        else:
            if not self.caps.strided or type(strides) is not list or len(strides) != len(shape) or numel == 0:
                raise WireError("a tensor's strides")
            if not all(type(s) is int and 0 <= s < MAX_DIM for s in strides):
                raise WireError("a tensor's strides")
            extent = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if extent * dtype.itemsize != n_bytes or numel * dtype.itemsize > self.caps.body_bytes:
            raise WireError("a tensor's size does not match its shape")
        if extent == 0:
            return torch.empty(shape, dtype=dtype)
        # Copied, so that it is writable, resizable and aligned as any other tensor. A byte of a bool may be any byte, and
        # then the bool neither true nor false.
        is_bool = dtype is torch.bool
        found = torch.frombuffer(body, dtype=torch.uint8 if is_bool else dtype, count=extent, offset=at)
        flat = found.ne(0) if is_bool else found.clone()
        return flat.reshape(shape) if strides is None else flat.as_strided(shape, strides)

    def grad(self, index: Any, tensor: Tensor) -> int | None:
        if index is None:
            return None
        if type(index) is not int or not 0 <= index < len(self.tensors):
            raise WireError("a gradient's index")
        grad = self.tensors[index]
        if grad.shape != tensor.shape or grad.dtype != tensor.dtype:
            raise WireError("a gradient of another shape or dtype")
        return index

    def mark(self, weave: Weave | None) -> None:
        """Make the marked tensors require gradients, or hand them to `weave`."""
        marked = [i for i, flags in enumerate(self.marks) if flags]
        if weave is not None:
            woven = weave(self.tensors, [self.tensors[i] for i in marked])
            for i, tensor in zip(marked, woven, strict=True):
                self.tensors[i] = tensor
        else:
            for i in marked:
                self.tensors[i] = self.leaf(self.tensors[i], self.marks[i])
        for i, grad in enumerate(self.grads):
            if grad is not None and self.tensors[i].is_leaf:
                self.tensors[i].grad = self.tensors[grad].detach()

    def leaf(self, tensor: Tensor, flags: int) -> Tensor:
        root = torch.nn.Parameter(tensor) if flags & PARAMETER else tensor.requires_grad_()
        self.roots.append(root)
        if flags & LEAF:
            return root
        with torch.enable_grad():
            return root.clone(memory_format=torch.preserve_format)

    # -- the value -------------------------------------------------------------------------------------------------

    def node(self, v: Any, depth: int) -> Any:
        self.n_nodes += 1
        if self.n_nodes > self.caps.nodes or depth > self.caps.depth:
            raise WireError("a value of too many parts or levels")
        kind = type(v)
        if kind is str:
            return self.text(v)
        if kind is list:
            return [self.node(x, depth + 1) for x in v]
        if kind is not dict:
            return v  # None, a bool, an int or a float: JSON has nothing else
        tag = v.get("$")
        if type(tag) is not str:
            raise WireError("a node without a tag")
        reader = NODES.get(tag)
        if reader is None:
            return self.reference(tag, {k: x for k, x in v.items() if k != "$"})
        if v.keys() != FIELDS.get(tag, VALUE):
            raise WireError("a node's fields")
        return reader(self, v, depth)

    def text(self, v: str) -> str:
        if len(v) > self.caps.text_chars:
            raise WireError("a text above its cap")
        if not v.isascii() and any("\ud800" <= c <= "\udfff" for c in v):
            raise WireError("half a character")
        return v

    def reference(self, tag: str, fields: dict[str, Any]) -> Any:
        if self.resolve is None:
            raise WireError("a reference where none was granted")
        for x in fields.values():
            if type(x) not in (bool, int, str, list):
                raise WireError("a reference's fields")
        return self.resolve(tag, fields)

    def items(self, v: dict[str, Any], depth: int) -> list[Any]:
        if type(v["v"]) is not list:
            raise WireError("a container's parts")
        return [self.node(x, depth + 1) for x in v["v"]]

    def at(self, index: Any) -> Tensor:
        if type(index) is not int or not 0 <= index < len(self.tensors):
            raise WireError("a tensor's index")
        tensor = self.tensors[index]
        self.n_bytes += tensor.nbytes
        if self.n_bytes > 2 * self.caps.body_bytes:
            raise WireError("one tensor in too many places")
        return tensor

    def byte_tensor(self, index: Any) -> Tensor:
        tensor = self.at(index)
        if tensor.dtype is not torch.uint8 or tensor.dim() != 1:
            raise WireError("not bytes")
        return tensor
