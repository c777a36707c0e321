"""A `Message` in, an `Encoded` frame out. Plain data and tensors by value; anything else as a reference, if allowed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.sandbox.protocol.frames import ALIGN, Caps, Frame, Message, Unsendable

DTYPES: dict[str, torch.dtype] = {
    "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
    "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
    "u64": torch.uint64, "u32": torch.uint32, "u16": torch.uint16, "u8": torch.uint8,
    "bool": torch.bool, "c64": torch.complex64, "c128": torch.complex128,
}  # fmt: skip
NAMES: dict[torch.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}
LEAF, GRAPH, PARAMETER = 1, 2, 4  # flags of a tensor: requires grad as a leaf, or inside a graph; is an nn.Parameter
INLINE_BYTES = 256
BIG_INT_BITS = 8192

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

Reference = Callable[[object], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Encoded:
    """A frame, and the tensors in it that require gradients, in the order in which the other side will see them."""

    frame: Frame
    differentiable: tuple[Tensor, ...]


def encode(message: Message, *, is_call: bool, caps: Caps, reference: Reference | None = None) -> Encoded:
    """Write a message.

    reference(object) turns what is not plain data into the fields of a reference node, or returns None.
    Raises: Unsendable.
    """
    writer = _Writer(caps, reference)
    # A Tensor subclass could answer detach() itself; only the plain value crosses.
    with torch.no_grad(), torch._C.DisableTorchFunctionSubclass():
        value = writer.node(message.value, 0)
    document = {"id": message.id, "op": message.op, "v": value, "T": writer.table}
    try:
        text = _JSON.encode(document).encode()
    except (ValueError, RecursionError) as e:
        raise Unsendable(f"a value cannot be written as JSON: {type(e).__name__}") from None
    if len(text) > caps.json_bytes:
        raise Unsendable(f"{len(text)} bytes of plain data; at most {caps.json_bytes} can be sent at once")
    return Encoded(Frame(is_call, text, writer.body), tuple(writer.differentiable))


@dataclass
class _Writer:
    caps: Caps
    reference: Reference | None
    table: list[list[Any]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    differentiable: list[Tensor] = field(default_factory=list)
    n_nodes: int = 0
    # Keyed by id; the tensor is kept so that its id cannot be taken by another one.
    seen: dict[int, tuple[Tensor, int]] = field(default_factory=dict)

    def node(self, v: Any, depth: int) -> Any:
        self.n_nodes += 1
        if self.n_nodes > self.caps.nodes or depth > self.caps.depth:
            raise Unsendable(f"a value of more than {self.caps.nodes} parts or {self.caps.depth} levels cannot be sent")
        # By its exact type, which nearly every value has; else by what it is an instance of.
        return _WRITERS.get(type(v), _Writer.other)(self, v, depth)

    def other(self, v: Any, depth: int) -> Any:
        if isinstance(v, Tensor):
            return self.array(v, depth)
        if isinstance(v, (np.ndarray, np.generic)):
            return self.numpy(v, depth)
        if isinstance(v, (str, int, float, complex, bytes, bytearray)):
            return self.scalar(v, depth)
        return self.container(v, depth)

    def itself(self, v: Any, depth: int) -> Any:
        return v

    def array(self, v: Tensor, depth: int) -> Any:
        return self.sparse(v, depth) if v.layout is torch.sparse_coo else {"$": "t", "i": self.tensor(v)}

    def scalar(self, v: Any, depth: int) -> Any:
        if isinstance(v, str):
            if len(v) > self.caps.text_chars:
                raise Unsendable(f"a text of {len(v)} characters; at most {self.caps.text_chars} can be sent")
            return str(v)
        if isinstance(v, int):
            if v.bit_length() < 64:
                return int(v)
            if v.bit_length() > BIG_INT_BITS:
                raise Unsendable(f"an int of {v.bit_length()} bits; at most {BIG_INT_BITS} can be sent")
            return {"$": "int", "v": hex(v)}
        if isinstance(v, float):
            return float(v) if math.isfinite(v) else {"$": "f", "v": repr(float(v))}
        if isinstance(v, complex):
            return {"$": "c", "v": [self.scalar(v.real, depth), self.scalar(v.imag, depth)]}
        if len(v) <= INLINE_BYTES:
            return {"$": "b", "v": bytes(v).decode("latin-1")}
        return {"$": "B", "i": self.tensor(torch.frombuffer(bytearray(v), dtype=torch.uint8))}

    def container(self, v: Any, depth: int) -> Any:
        if type(v) is list:
            return [self.node(x, depth + 1) for x in v]
        if isinstance(v, tuple):
            return {"$": "u", "v": [self.node(x, depth + 1) for x in v]}
        if type(v) is dict or isinstance(v, Mapping):
            return {"$": "d", "v": [[self.node(k, depth + 1), self.node(x, depth + 1)] for k, x in v.items()]}
        if isinstance(v, list):
            return [self.node(x, depth + 1) for x in v]
        if isinstance(v, (set, frozenset)):
            return {"$": "s" if isinstance(v, set) else "fs", "v": [self.node(x, depth + 1) for x in v]}
        if isinstance(v, (slice, range)):
            if isinstance(v, range) and v[: self.caps.nodes] != v:
                raise Unsendable(f"a range of more than {self.caps.nodes} numbers cannot be sent")
            kind = "slice" if isinstance(v, slice) else "range"
            return {"$": kind, "v": [self.node(x, depth + 1) for x in (v.start, v.stop, v.step)]}
        if v is Ellipsis:
            return {"$": "..."}
        if isinstance(v, torch.dtype) and v in NAMES:
            return {"$": "dtype", "v": NAMES[v]}
        if isinstance(v, torch.device):
            return {"$": "device", "v": str(v)}
        if isinstance(v, torch.Generator):
            return {"$": "gen", "i": self.tensor(v.get_state())}
        fields = self.reference(v) if self.reference else None
        if fields is None:
            raise Unsendable(f"an object of type {type(v).__name__} cannot be sent; plain data and tensors can")
        return fields

    def numpy(self, v: Any, depth: int) -> Any:
        if isinstance(v, np.generic):
            return self.node(v.item(), depth)
        try:
            return {"$": "np", "i": self.tensor(torch.from_numpy(np.array(v, order="C", copy=True, subok=False)))}
        except TypeError:
            raise Unsendable(f"a numpy array of dtype {v.dtype} cannot be sent") from None

    def sparse(self, v: Tensor, depth: int) -> Any:
        v = v.detach().coalesce()
        return {"$": "sp", "i": self.tensor(v.indices()), "v": self.tensor(v.values()), "s": list(v.shape)}

    def tensor(self, t: Tensor) -> int:
        """Append the tensor to the table, once per object, and return its index."""
        known = self.seen.get(id(t))
        if known is not None:
            return known[1]
        if t.layout is not torch.strided or not t.is_cpu or t.dtype not in NAMES:
            raise Unsendable(f"a tensor of layout {t.layout}, device {t.device.type}, dtype {t.dtype} cannot be sent")
        grad = self.tensor(t.grad) if t.is_leaf and t.grad is not None else None
        raw, strides = self.storage(t)
        if len(self.table) >= self.caps.tensors or len(self.body) + raw.nbytes + ALIGN > self.caps.body_bytes:
            raise Unsendable(f"tensors of more than {self.caps.body_bytes} bytes, or more than {self.caps.tensors} of them")
        self.body += bytes(-len(self.body) % ALIGN)
        if raw.nbytes:
            self.body += raw.data
        self.table.append([NAMES[t.dtype], list(t.shape), raw.nbytes, strides, self.flags(t), grad])
        self.seen[id(t)] = (t, len(self.table) - 1)
        return len(self.table) - 1

    def storage(self, t: Tensor) -> tuple[np.ndarray[Any, Any], list[int] | None]:
        """Return the bytes to send as a contiguous array, and the strides to read them with unless the shape tells."""
        plain, strides = t.detach().resolve_conj().resolve_neg(), None
        if self.caps.strided and not plain.is_contiguous() and plain.numel():
            extent = 1 + sum((n - 1) * s for n, s in zip(plain.shape, plain.stride(), strict=True))
            plain, strides = plain.as_strided((extent,), (1,)), list(plain.stride())
        plain = plain.contiguous()
        # numpy knows no bfloat16.
        return (plain.view(torch.int16) if plain.dtype is torch.bfloat16 else plain).numpy(), strides

    def flags(self, t: Tensor) -> int:
        if not t.requires_grad:
            return 0
        self.differentiable.append(t)
        return (LEAF if t.is_leaf else GRAPH) | (PARAMETER if isinstance(t, torch.nn.Parameter) else 0)


_WRITERS: dict[type, Callable[[_Writer, Any, int], Any]] = {
    **dict.fromkeys((type(None), bool), _Writer.itself),
    **dict.fromkeys((Tensor, torch.nn.Parameter), _Writer.array),
    **dict.fromkeys((str, int, float, complex, bytes), _Writer.scalar),
    **dict.fromkeys((list, tuple, dict), _Writer.container),
}
