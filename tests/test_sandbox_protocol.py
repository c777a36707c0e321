"""The wire: what is sent comes out the same, and no bytes make the reader crash, hang or swell."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.sandbox.protocol import (
    FROM_PLAYER,
    TO_PLAYER,
    Caps,
    Frame,
    Message,
    ReadAhead,
    Unsendable,
    WireError,
    decode,
    encode,
    read_frame,
)
from autograder.sandbox.protocol.encode import DTYPES
from autograder.sandbox.protocol.frames import AT_ONCE_BYTES, HEADER_BYTES
from tests.hostile.attacks_line import COLLIDING


def there_and_back(value, caps=TO_PLAYER):
    frame = encode(Message(7, "call", value), is_call=True, caps=caps).frame
    packed = memoryview(frame.pack())
    at = 0

    def read(n):
        nonlocal at
        at += n
        return bytearray(packed[at - n : at])

    got = read_frame(read, caps)
    assert got.is_call
    assert at == len(packed)
    return decode(got, caps=caps).message


def same(a, b):
    if isinstance(a, torch.Tensor):
        return type(b) is type(a) and a.dtype is b.dtype and a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and (a == b or (a != a and b != b))


LEAVES = st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats() | st.text(max_size=20) | st.binary(max_size=400)
KEYS = (
    st.text(max_size=5)
    | st.integers(-(2**63), 2**63 - 1)
    | st.binary(max_size=5)
    | st.tuples(st.integers(0, 9), st.text(max_size=2))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES.filter(lambda v: _utf8(v)))
@settings(max_examples=300, deadline=None)
def test_plain_data_comes_out_as_it_went_in(value):
    """Types, order and special floats survive; integers of any size and bytes too."""
    assert same(value, there_and_back(value).value)


def _utf8(value):
    return "\\ud" not in ascii(value)


@pytest.mark.parametrize("name", DTYPES)
def test_tensors_of_every_dtype_come_out_bit_for_bit(name):
    """Values, dtype, shape and the empty and 0-d cases survive."""
    dtype = DTYPES[name]
    for shape in [(), (1,), (0, 3), (2, 3, 4)]:
        raw = torch.randint(0, 2, (math.prod(shape) * dtype.itemsize,), dtype=torch.uint8)
        tensor = raw.view(dtype).reshape(shape) if dtype is not torch.bool else raw.bool().reshape(shape)
        out = there_and_back([tensor, 1]).value[0]
        assert out.dtype is dtype
        assert out.shape == tensor.shape
        assert torch.equal(out.reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))


def test_tensors_keep_strides_identity_and_grads_on_the_way_in():
    """A student's function sees the layout, the aliasing, requires_grad and .grad that the check gave it."""
    x = torch.randn(4, 6).t()
    p = torch.nn.Parameter(torch.randn(3))
    p.grad = torch.ones(3)
    inner = p * 2
    a, b, c, e, q, g = there_and_back([x, x, torch.randn(8)[::2], torch.ones(1).expand(5), p, inner]).value
    assert a is b
    assert a.stride() == x.stride()
    assert torch.equal(a, x)
    assert c.stride() == (2,)
    assert e.stride() == (0,)
    assert isinstance(q, torch.nn.Parameter)
    assert torch.equal(q.grad, p.grad)
    assert g.requires_grad
    assert not g.is_leaf


def test_other_plain_types_survive():
    """Numpy, sets, slices, dtypes, generators and sparse tensors are plain data too."""
    sparse = torch.sparse_coo_tensor([[0, 2], [1, 0]], [1.0, 2.0], (3, 2), check_invariants=True)
    generator = torch.Generator().manual_seed(5)
    value = [np.arange(6.0).reshape(2, 3), {1, "a"}, frozenset([2]), slice(1, None, 2), range(3), ..., torch.float16, 1 + 2j]
    out = there_and_back([*value, sparse, generator, np.float32(1.5), torch.Size([2])]).value
    assert same(out[0], value[0])
    assert out[1:8] == value[1:8]
    assert torch.equal(out[8].to_dense(), sparse.to_dense())
    assert torch.equal(torch.randn(3, generator=out[9]), torch.randn(3, generator=generator))
    assert out[10:] == [1.5, (2,)]


def test_a_student_cannot_send_strides():
    """What a player sends is contiguous: a stride-0 tensor would be a bomb."""
    frame = encode(Message(1, "ok", torch.ones(2, 3).t()), is_call=False, caps=TO_PLAYER).frame
    with pytest.raises(WireError):
        decode(frame, caps=FROM_PLAYER)
    assert decode(encode(Message(1, "ok", torch.ones(2, 3).t()), is_call=False, caps=FROM_PLAYER).frame, caps=FROM_PLAYER)


def test_tensor_subclasses_cross_as_plain_tensors():
    """A subclass that answers every comparison with True arrives as its plain values."""

    class Liar(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return torch.ones(1).bool()

    out = there_and_back(torch.zeros(2).as_subclass(Liar)).value
    assert type(out) is torch.Tensor
    assert torch.equal(out, torch.zeros(2))


@pytest.mark.parametrize(
    "value",
    [
        object(),
        lambda: 0,
        torch.ones(1, device="meta"),
        np.array([object()]),
        1 << 9000,
        "a" * (FROM_PLAYER.text_chars + 1),
        "\ud800",
    ],
    ids=["object", "function", "meta tensor", "object array", "huge int", "long text", "half a character"],
)
def test_what_cannot_cross_is_refused_by_the_sender(value):
    """The sender raises a TypeError about the value, so that it is the student's error and not a broken protocol."""
    with pytest.raises(Unsendable):
        encode(Message(1, "ok", value), is_call=False, caps=FROM_PLAYER)


def test_too_much_is_refused_by_the_sender():
    """Too deep, too many parts, too many bytes: an error about the value."""
    deep = []
    for _ in range(FROM_PLAYER.depth + 2):
        deep = [deep]
    for value in (deep, [0] * FROM_PLAYER.nodes, torch.zeros(FROM_PLAYER.body_bytes // 4 + 1)):
        with pytest.raises(Unsendable):
            encode(Message(1, "ok", value), is_call=False, caps=FROM_PLAYER)


# -- hostile bytes -----------------------------------------------------------------------------------------------------


def document(v=None, table=(), **other):
    return {"id": 1, "op": "ok", "v": v, "T": list(table), **other}


def refused(doc, body=b"", caps=FROM_PLAYER, resolve=None):
    text = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
    with pytest.raises(WireError):
        decode(Frame(False, text, body), caps=caps, resolve=resolve)


F32 = ["f32", [2], 8, None, 0, None]
HOSTILE = {
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "missing fields": b'{"id":1,"op":"ok","v":1}',
    "an extra field": document(x=1),
    "a repeated field": b'{"id":1,"id":1,"op":"ok","v":1,"T":[]}',
    "a negative id": document() | {"id": -1},
    "a float id": document() | {"id": 1.0},
    "a boolean id": document() | {"id": True},
    "a deep list": b'{"id":1,"op":"ok","T":[],"v":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a bare NaN": b'{"id":1,"op":"ok","T":[],"v":NaN}',
    "a float beyond the range": b'{"id":1,"op":"ok","T":[],"v":1e999}',
    "an integer beyond the range": document(1 << 63),
    "a long integer": b'{"id":1,"op":"ok","T":[],"v":' + b"9" * 100_000 + b"}",
    "half a character": b'{"id":1,"op":"ok","T":[],"v":"\\ud800"}',
    "an unknown tag": document({"$": "pickle", "v": "x"}),
    "no tag": document({"v": 1}),
    "a tag that is a list": document({"$": [], "v": 1}),
    "a missing tensor": document({"$": "t", "i": 0}),
    "a negative tensor index": document({"$": "t", "i": -1}, [["f32", [0], 0, None, 0, None]]),
    "a boolean tensor index": document({"$": "t", "i": False}, [["f32", [0], 0, None, 0, None]]),
    "a reference": document({"$": "h", "i": 1, "k": "object", "n": "x"}),
    "an unhashable key": document({"$": "d", "v": [[[1], 2]]}),
    "a tensor as a key": document({"$": "d", "v": [[{"$": "t", "i": 0}, 2]]}, [["f32", [0], 0, None, 0, None]]),
    "a repeated key": document({"$": "d", "v": [[1, 2], [1, 3]]}),
    "half a pair": document({"$": "d", "v": [[1]]}),
    "a tuple of no list": document({"$": "u", "v": 3}),
    "an extra field in a node": document({"$": "u", "v": [], "w": 1}),
    "a special float that is none": document({"$": "f", "v": "1e5"}),
    "a large integer in words": document({"$": "int", "v": "ten"}),
    "a large integer too large": document({"$": "int", "v": "0x" + "f" * 5000}),
    "bytes that are none": document({"$": "b", "v": "\u1234"}),
    "a range of step 0": document({"$": "range", "v": [0, 1, 0]}),
    "a dtype of objects": document({"$": "dtype", "v": "object"}),
    "a device": document({"$": "device", "v": "cuda"}),
    "a generator without a state": document({"$": "gen", "i": 0}, [["u8", [0], 0, None, 0, None]]),
    "an unknown dtype": document(None, [["object", [0], 0, None, 0, None]]),
    "a shape too large": document(None, [["f32", [1 << 31], 0, None, 0, None]]),
    "an empty shape too large": document(None, [["f32", [0, 1 << 30, 1 << 30], 0, None, 0, None]]),
    "a negative shape": document(None, [["f32", [-1], 0, None, 0, None]]),
    "a float in a shape": document(None, [["f32", [0.0], 0, None, 0, None]]),
    "many dimensions": document(None, [["f32", [0] * 17, 0, None, 0, None]]),
    "a lying size": document(None, [["f32", [2], 4, None, 0, None]]),
    "a size beyond the body": document(None, [F32]),
    "flags that mean nothing": document(None, [["f32", [0], 0, None, 8, None]]),
    "a gradient of integers": document(None, [["i64", [0], 0, None, 1, None]]),
    "a gradient that is not there": document(None, [["f32", [0], 0, None, 1, 0]]),
    "a gradient of another shape": document(None, [["f32", [0], 0, None, 0, None], ["f32", [0, 1], 0, None, 1, 0]]),
    "a short tensor entry": document(None, [["f32", [0], 0]]),
    "too many tensors": document(None, [["f32", [0], 0, None, 0, None]] * (FROM_PLAYER.tensors + 1)),
    "strides": document(None, [["f32", [0], 0, [1], 0, None]]),
    "sparse beyond its shape": document(
        {"$": "sp", "i": 0, "v": 1, "s": [1]}, [["i64", [1, 0], 0, None, 0, None], ["f32", [1], 0, None, 0, None]]
    ),
    "a huge sparse shape": document(
        {"$": "sp", "i": 0, "v": 1, "s": [1 << 20, 1 << 20]}, [["i64", [2, 0], 0, None, 0, None], ["f32", [0], 0, None, 0, None]]
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_frames_are_refused(name):
    """Each lie in a frame is a WireError, never another exception and never a value."""
    refused(HOSTILE[name])


def test_bytes_that_belong_to_no_tensor_are_refused():
    """The body is accounted for to its last byte."""
    refused(document(), b"x")
    refused(document({"$": "t", "i": 0}, [F32]), b"\0" * 9)


def test_a_bool_is_true_or_false_whatever_its_byte():
    """A bool tensor made of other bytes would make comparisons undefined."""
    out = decode(Frame(False, json.dumps(document({"$": "t", "i": 0}, [["bool", [3], 3, None, 0, None]])).encode(), b"\0\x02\xff"),
                 caps=FROM_PLAYER).message.value  # fmt: skip
    assert out.view(torch.uint8).tolist() == [0, 1, 1]


def test_a_small_frame_cannot_become_a_large_value():
    """A tensor that is referred to a thousand times counts a thousand times."""
    n = FROM_PLAYER.body_bytes // 2
    refused(document([{"$": "t", "i": 0}] * 1000, [["u8", [n], n, None, 0, None]]), bytes(n))
    strides = document({"$": "t", "i": 0}, [["f32", [1 << 30], 4, [0], 0, None]])
    refused(strides, bytes(4), caps=TO_PLAYER)


@given(st.binary(max_size=64))
@settings(max_examples=500, deadline=None)
def test_any_header_is_read_or_refused_before_anything_is_allocated(head):
    """No length above its cap is ever asked for."""
    asked = []

    def read(n):
        asked.append(n)
        return bytearray((head + bytes(n))[:n])

    with contextlib.suppress(WireError):
        read_frame(read, FROM_PLAYER)
    assert all(n <= FROM_PLAYER.body_bytes for n in asked)
    huge = struct.pack("<4sIQ", b"ANS1", 10, 1 << 60)
    with pytest.raises(WireError):
        read_frame(lambda n: bytearray(huge[:n]), FROM_PLAYER)


@given(st.lists(st.integers(0, 200_000), max_size=6), st.lists(st.integers(1, 90_000), min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_a_stream_is_read_ahead_and_nothing_is_lost(asked, pieces):
    """However the bytes arrive, each read gives the next ones, and waits for no byte beyond them."""
    data = memoryview(np.random.default_rng(0).bytes(sum(asked)))
    sizes, at = itertools.cycle(pieces), 0

    def receive(view):
        nonlocal at
        n = min(next(sizes), len(view), len(data) - at)
        assert n > 0, "a read beyond the end would wait for ever"
        view[:n] = data[at : at + n]
        at += n
        return n

    stream, got = ReadAhead(receive), []
    for n in asked:
        got.append(stream.read(n))
    assert b"".join(got) == data
    assert [len(part) for part in got] == asked


def test_a_message_is_sent_in_one_piece_and_a_large_body_is_not_copied():
    """A second piece would wake the other end for the first, and it would wait again."""
    small, large = Frame(True, b"{}", bytes(AT_ONCE_BYTES)), Frame(True, b"{}", bytes(AT_ONCE_BYTES + 1))
    assert len(small.parts()) == 1
    assert [part.obj for part in large.parts()][1] is large.body
    assert small.pack()[HEADER_BYTES:] == small.json + small.body
    assert large.pack()[HEADER_BYTES:] == large.json + large.body


SEED_VALUES = [
    None, [1, 2.5, "x", {"a": (1, 2)}], {1: {2: [3]}}, torch.randn(2, 3, requires_grad=True), np.arange(4), 1 << 70,
    float("nan"), b"ab",
    b"c" * 300, {1, 2}, slice(1, 2), torch.ones(2, 2).to_sparse(), torch.Generator(), torch.float32, 1j, True,
]  # fmt: skip


@st.composite
def broken_frames(draw):
    """Frames of honest values with one to four bytes changed, cut, doubled or swapped for JSON that means something."""
    value = draw(st.sampled_from(SEED_VALUES))
    frame = encode(Message(1, "ok", value), is_call=False, caps=FROM_PLAYER).frame
    text, body = bytearray(frame.json), bytearray(frame.body)
    words = [b"null", b"-1", b"[]", b"{}", b'""', b"1e308", b"true", b'{"$":"t","i":0}', b'{"$":"d","v":[[1,2]]}', b"99999999999"]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        to = draw(st.integers(at, min(len(text), at + 8)))
        text[at:to] = draw(st.sampled_from(words) | st.binary(max_size=3))
    if draw(st.booleans()):
        body = body[: draw(st.integers(0, len(body)))] + draw(st.binary(max_size=20))
    return Frame(False, bytes(text), bytes(body))


@given(broken_frames())
@settings(max_examples=1000, deadline=None)
def test_broken_frames_are_refused_or_read_as_plain_data(frame):
    """Whatever happens to an honest frame, the reader returns a message or raises WireError."""
    try:
        message = decode(frame, caps=FROM_PLAYER).message
    except WireError:
        return
    assert type(message.id) is int
    assert type(message.op) is str


TAGS = [
    "t",
    "np",
    "sp",
    "u",
    "d",
    "s",
    "fs",
    "slice",
    "range",
    "...",
    "int",
    "f",
    "c",
    "b",
    "B",
    "dtype",
    "device",
    "gen",
    "h",
    "cb",
]
NODE_KEYS = st.sampled_from(["$", "i", "v", "s", "n", "k"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NODE_KEYS, inner | st.sampled_from(TAGS), max_size=4),
    max_leaves=12,
)


@given(ANY_JSON)
@settings(max_examples=1000, deadline=None)
def test_any_json_is_refused_or_read(value):
    """Nodes put together at random never crash the reader."""
    doc = {"id": 1, "op": "ok", "v": value, "T": [["f32", [2], 8, None, 0, None], ["u8", [3], 3, None, 0, None]]}
    with contextlib.suppress(WireError):
        decode(Frame(False, json.dumps(doc).encode(), bytes(19)), caps=FROM_PLAYER)


def test_caps_can_be_changed_for_a_box():
    """A box with a smaller reply cap refuses what another one accepts."""
    frame = encode(Message(1, "ok", torch.zeros(100)), is_call=False, caps=Caps()).frame
    assert decode(frame, caps=FROM_PLAYER)
    with pytest.raises(WireError):
        read_frame(lambda n: bytearray(frame.pack()[:n]), FROM_PLAYER.with_body(100))


@pytest.mark.parametrize(("left", "following"), [(0, 0), (625, 0), (624, 624), (1, 2**40), (-5, 630)])
def test_a_generator_that_would_read_beyond_its_table_is_refused(left, following):
    """torch checks the numbers of a state alone; together they must fit too."""
    state = bytearray(torch.Generator().manual_seed(3).get_state().numpy().tobytes())
    struct.pack_into("=i", state, 8, left)
    struct.pack_into("=Q", state, 16, following)
    refused(document({"$": "gen", "i": 0}, [["u8", [len(state)], len(state), None, 0, None]]), bytes(state))


def test_keys_of_one_hash_are_few():
    """A table of keys that collide would take time with the square of their number; the same key in many tables may stand."""
    found: dict = {}
    exec(COLLIDING, found)
    keys = [key for key, _ in found["COLLIDING"]]
    assert len({hash(key) for key in keys}) == 1
    for tag, parts in (("d", [[{"$": "u", "v": list(k)}, 1] for k in keys]), ("s", [{"$": "u", "v": list(k)} for k in keys])):
        refused(document({"$": tag, "v": parts}))
    many = [{(1, 2): i, "a": frozenset([(3, 4)])} for i in range(2000)]
    assert decode(encode(Message(1, "ok", many), is_call=False, caps=FROM_PLAYER).frame, caps=FROM_PLAYER).message.value == many
