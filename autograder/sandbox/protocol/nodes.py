"""A tagged JSON node in, the value it stands for out: one small reader per tag, each of which refuses what it did not expect."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from autograder.sandbox.protocol.encode import BIG_INT_BITS, DTYPES, INLINE_BYTES
from autograder.sandbox.protocol.frames import Caps, WireError

if TYPE_CHECKING:
    from autograder.sandbox.protocol.decode import Reader

INT64 = 1 << 63
MAX_DIM = 1 << 31
MAX_COLLISIONS = 100  # of one hash in one table
_GENERATOR = struct.Struct("=QiiQ")  # how the state of torch's Mersenne twister begins: seed, left, seeded, next
_N_STATE = 624
MAX_NUMEL = 1 << 40  # of the shape with zeros read as ones: torch multiplies them for the strides


def numel_of(shape: Any, caps: Caps) -> int:
    """Return the number of elements of a claimed shape. Raises: WireError."""
    if type(shape) is not list or len(shape) > caps.n_dims:
        raise WireError("a tensor's shape")
    numel, guard = 1, 1
    for n in shape:
        if type(n) is not int or not 0 <= n < MAX_DIM:
            raise WireError("a tensor's shape")
        numel, guard = numel * n, guard * max(n, 1)
        if guard > MAX_NUMEL:
            raise WireError("a tensor's shape")
    return numel


def as_key(key: Any, n_of_hash: dict[int, int]) -> Any:
    """Return the key of a mapping or the member of a set, whose hashes so far are counted. Raises: WireError."""
    # Only what hashes by value in a known way; ints are 64 bits wide, so that few of them can collide.
    if type(key) is str or key is None or isinstance(key, (float, bool, bytes)) or (isinstance(key, int) and -INT64 <= key < INT64):
        return key
    if isinstance(key, (tuple, frozenset)):
        for part in key:
            as_key(part, {})
        # Tuples of one hash can be computed, and a table of them takes time with the square of their number.
        n_of_hash[hash(key)] = n_of_hash.get(hash(key), 0) + 1
        if n_of_hash[hash(key)] > MAX_COLLISIONS:
            raise WireError("keys that collide")
        return key
    raise WireError("a key that is not plain data")


def _big(r: Reader, v: dict[str, Any], depth: int) -> int:
    text = v["v"]
    if type(text) is not str or len(text) > BIG_INT_BITS // 4 + 3:
        raise WireError("a large integer")
    try:
        return int(text, 16)
    except ValueError:
        raise WireError("a large integer") from None


def _special(r: Reader, v: dict[str, Any], depth: int) -> float:
    if v["v"] not in ("nan", "inf", "-inf"):
        raise WireError("a special float")
    return float(v["v"])


def _complex(r: Reader, v: dict[str, Any], depth: int) -> complex:
    parts = r.items(v, depth)
    if len(parts) != 2 or any(type(x) is not float for x in parts):
        raise WireError("a complex number")
    return complex(*parts)


def _inline(r: Reader, v: dict[str, Any], depth: int) -> bytes:
    if type(v["v"]) is not str or len(v["v"]) > INLINE_BYTES:
        raise WireError("bytes above their cap")
    try:
        return v["v"].encode("latin-1")
    except UnicodeEncodeError:
        raise WireError("not bytes") from None


def _bytes(r: Reader, v: dict[str, Any], depth: int) -> bytes:
    return r.byte_tensor(v["i"]).numpy().tobytes()


def _numpy(r: Reader, v: dict[str, Any], depth: int) -> Any:
    tensor = r.at(v["i"])
    if tensor.dtype is torch.bfloat16 or tensor.requires_grad or not tensor.is_contiguous():
        raise WireError("not a numpy array")
    return tensor.numpy()


def _range(r: Reader, v: dict[str, Any], depth: int) -> Any:
    parts = r.items(v, depth)
    if len(parts) != 3 or any(x is not None and type(x) is not int for x in parts):
        raise WireError("a slice or range")
    if v["$"] == "slice":
        return slice(*parts)
    if None in parts or parts[2] == 0:
        raise WireError("a range")
    found = range(*parts)
    # Somebody will make a list of it.
    if found and abs(found[-1] - found[0]) // abs(parts[2]) >= r.caps.nodes:
        raise WireError("a range above its cap")
    r.n_nodes += len(found)
    return found


def _dtype(r: Reader, v: dict[str, Any], depth: int) -> torch.dtype:
    if type(v["v"]) is not str or v["v"] not in DTYPES:
        raise WireError("a dtype")
    return DTYPES[v["v"]]


def _device(r: Reader, v: dict[str, Any], depth: int) -> torch.device:
    if v["v"] not in ("cpu", "meta"):
        raise WireError("a device")
    return torch.device(v["v"])


def _generator(r: Reader, v: dict[str, Any], depth: int) -> torch.Generator:
    generator = torch.Generator()
    state = r.byte_tensor(v["i"])
    raw = state.numpy().tobytes()
    if len(raw) < _GENERATOR.size:
        raise WireError("not the state of a generator")
    # torch checks each of these alone, but reads its table at `following`, which must fit with `left`.
    _, left, _, following = _GENERATOR.unpack_from(raw)
    if (left, following) != (1, 0) and (not 1 <= left <= _N_STATE or left + following != _N_STATE + 1):
        raise WireError("not the state of a generator")
    try:
        generator.set_state(state)
    except (RuntimeError, TypeError):
        raise WireError("not the state of a generator") from None
    return generator


def _set(r: Reader, v: dict[str, Any], depth: int) -> Any:
    n_of_hash: dict[int, int] = {}
    keys = [as_key(x, n_of_hash) for x in r.items(v, depth)]
    return set(keys) if v["$"] == "s" else frozenset(keys)


def _mapping(r: Reader, v: dict[str, Any], depth: int) -> dict[Any, Any]:
    if type(v["v"]) is not list:
        raise WireError("a mapping's parts")
    out: dict[Any, Any] = {}
    n_of_hash: dict[int, int] = {}
    for pair in v["v"]:
        if type(pair) is not list or len(pair) != 2:
            raise WireError("a mapping's parts")
        key = as_key(r.node(pair[0], depth + 1), n_of_hash)
        if key in out:
            raise WireError("a mapping with a repeated key")
        out[key] = r.node(pair[1], depth + 1)
    return out


def _sparse(r: Reader, v: dict[str, Any], depth: int) -> Tensor:
    indices, values, shape = r.at(v["i"]), r.at(v["v"]), v["s"]
    # Somebody will ask for the dense form.
    if numel_of(shape, r.caps) * values.dtype.itemsize > r.caps.body_bytes:
        raise WireError("a sparse tensor's shape")
    if indices.dtype is not torch.int64 or indices.dim() != 2 or values.dim() < 1 or indices.shape[1] != values.shape[0]:
        raise WireError("a sparse tensor's parts")
    if indices.shape[0] + values.dim() - 1 != len(shape) or list(values.shape[1:]) != shape[indices.shape[0] :]:
        raise WireError("a sparse tensor's shape")
    if indices.numel():
        bound = torch.tensor(shape[: indices.shape[0]], dtype=torch.int64)
        if bool((indices < 0).any()) or bool((indices >= bound[:, None]).any()):
            raise WireError("a sparse tensor's index")
    return torch.sparse_coo_tensor(indices, values, shape, check_invariants=False)


NODES: dict[str, Callable[[Reader, dict[str, Any], int], Any]] = {
    "t": lambda r, v, depth: r.at(v["i"]),
    "np": _numpy,
    "sp": _sparse,
    "u": lambda r, v, depth: tuple(r.items(v, depth)),
    "d": _mapping,
    "s": _set,
    "fs": _set,
    "slice": _range,
    "range": _range,
    "...": lambda r, v, depth: Ellipsis,
    "int": _big,
    "f": _special,
    "c": _complex,
    "b": _inline,
    "B": _bytes,
    "dtype": _dtype,
    "device": _device,
    "gen": _generator,
}
_INDEX, VALUE = {"$", "i"}, {"$", "v"}
FIELDS: dict[str, set[str]] = {"t": _INDEX, "np": _INDEX, "sp": {"$", "i", "v", "s"}, "B": _INDEX, "gen": _INDEX, "...": {"$"}}
