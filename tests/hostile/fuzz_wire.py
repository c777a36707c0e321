"""Frames broken at random in, a count of refusals out; anything but a message or WireError ends it with a traceback.

Run: python -m tests.hostile.fuzz_wire 1000000 [seed]
"""

from __future__ import annotations

import copy
import json
import random
import resource
import sys
import time

import numpy as np
import torch

from autograder.sandbox.protocol import FROM_PLAYER, Frame, Message, WireError, decode, encode, read_frame

WORDS = [
    b"null", b"-1", b"[]", b"{}", b'""', b"1e308", b"true", b"NaN", b"9" * 30, b'{"$":"t","i":0}', b'{"$":"d","v":[[1,2]]}',
    b'{"$":"u","v":[', b'{"$":"gen","i":0}', b'{"$":"sp","i":0,"v":0,"s":[2]}', b'"f64"', b'"bool"', b"4294967296", b"\xff",
    b"\\ud800", b"[[[[[[[[[[[[[[[[[[[[[[[[[[[", b",", b"]", b"}", b'{"$":"B","i":0}', b'{"$":"np","i":0}', b"2147483648",
]  # fmt: skip
BODY_BYTES = 1 << 16
SLOWEST_S = 5.0  # no frame of this size may take so long


def honest() -> list[Frame]:
    """Return frames with every kind of node in them."""
    values = [
        None, [1, 2.5, "x", {"a": (1, 2), 3: b"c" * 300}], torch.randn(2, 3, requires_grad=True), np.arange(4), 1 << 70,
        [float("nan"), 1j, {1, 2}, frozenset([3]), slice(1, 2), range(3), ..., torch.float32, torch.device("cpu")],
        torch.eye(3).to_sparse(), torch.Generator(), [torch.ones(2).bool(), torch.zeros(0, 3)],
        {"kind": "E", "message": "m", "trace": ""},
    ]  # fmt: skip
    return [encode(Message(i, "ok", v), is_call=False, caps=FROM_PLAYER).frame for i, v in enumerate(values)]


PARTS = [
    None, True, 0, 1, -1, 2, 3, 8, 1 << 31, 1 << 63, 0.5, "", "f32", "i64", "bool", "u8", [], [0], [2, 3], {}, "nan", "x" * 300,
    {"$": "t", "i": 0}, {"$": "np", "i": 0}, {"$": "B", "i": 0}, {"$": "gen", "i": 0}, {"$": "sp", "i": 0, "v": 1, "s": [3, 3]},
    {"$": "d", "v": [[1, 2]]}, {"$": "u", "v": [1]}, {"$": "s", "v": [[1]]}, {"$": "int", "v": "0xff"}, {"$": "f", "v": "inf"},
    {"$": "c", "v": [0.5, 0.5]}, {"$": "slice", "v": [None, 1, 2]}, {"$": "h", "i": 1}, ["f64", [2], 16, None, 0, None],
]  # fmt: skip


def change(node: object, draw: random.Random) -> None:
    """Put another part in some place of a JSON document."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = draw.choice(keys)
        if isinstance(node[key], (dict, list)) and node[key] and draw.random() < 0.75:
            node = node[key]
            continue
        if draw.random() < 0.15:
            del node[key]
        else:
            node[key] = copy.deepcopy(draw.choice(PARTS))
        return


def broken(frames: list[Frame], draw: random.Random) -> bytes:
    """Return an honest frame with a few bytes, words, numbers or lengths changed."""
    frame = draw.choice(frames)
    text, body = bytearray(frame.json), bytearray(frame.body)
    if draw.random() < 0.7:
        document = json.loads(frame.json)
        for _ in range(draw.randint(1, 3)):
            change(document, draw)
        text = bytearray(json.dumps(document).encode())
    for _ in range(draw.choice([0, 0, 1, 4])):
        at = draw.randrange(len(text) + 1)
        kind = draw.random()
        if kind < 0.5:
            text[at : at + draw.randrange(8)] = draw.choice(WORDS)
        elif kind < 0.8:
            text[at : at + 1] = bytes([draw.randrange(256)])
        else:
            other = draw.choice(frames).json
            start = draw.randrange(len(other))
            text[at:at] = other[start : start + draw.randrange(40)]
    if draw.random() < 0.3:
        body = body[: draw.randrange(len(body) + 1)] + draw.randbytes(draw.randrange(64))
    packed = bytearray(Frame(False, text, body).pack())
    if draw.random() < 0.1:
        packed[draw.randrange(16)] = draw.randrange(256)
    return bytes(packed)


class Source:
    """Bytes, read piece by piece; zeros follow."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def read(self, n: int) -> bytearray:
        assert n <= max(BODY_BYTES, FROM_PLAYER.json_bytes), "more was asked for than the caps allow"
        self.at += n
        return bytearray(self.data[self.at - n : self.at].ljust(n, b"\0"))


def run(n_frames: int, seed: int) -> int:
    """Feed n broken frames to the reader and return how many it refused."""
    frames, draw, caps = honest(), random.Random(seed), FROM_PLAYER.with_body(BODY_BYTES)
    n_refused = 0
    for _ in range(n_frames):
        data = broken(frames, draw)
        start = time.process_time()
        try:
            message = decode(read_frame(Source(data).read, caps), caps=caps, resolve=refuse).message
            json.dumps(message.op)
        except WireError:
            n_refused += 1
        assert time.process_time() - start < SLOWEST_S, data
    return n_refused


def refuse(tag: str, fields: dict) -> object:
    raise WireError("nothing was granted")


if __name__ == "__main__":
    n, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    refused = run(n, seed)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{n} broken frames: {refused} refused, {n - refused} read as plain data; peak memory {peak_mib} MiB")
