"""What crosses the wall: values in, bytes out, and back again with every byte checked.

A frame is a 16-byte header, a JSON text and raw little-endian tensor bytes; nothing is ever unpickled. `encode` writes
it, `decode` reads it under `Caps`, `bridge` lets gradients flow over it. The player imports this package and nothing
else of ours, so it needs torch, numpy and the standard library only.
"""

from autograder.sandbox.protocol.bridge import Graphs, weave
from autograder.sandbox.protocol.cell import compile_cell, notebook_names
from autograder.sandbox.protocol.decode import Decoded, decode
from autograder.sandbox.protocol.encode import Encoded, encode
from autograder.sandbox.protocol.frames import (
    AT_ONCE_BYTES,
    FROM_PLAYER,
    TO_PLAYER,
    Caps,
    Frame,
    Message,
    ReadAhead,
    Unsendable,
    WireError,
    bursts,
    read_frame,
)
from autograder.sandbox.protocol.peer import Asked, Line, Peer

__all__ = [
    "AT_ONCE_BYTES",
    "FROM_PLAYER",
    "TO_PLAYER",
    "Asked",
    "Caps",
    "Decoded",
    "Encoded",
    "Frame",
    "Graphs",
    "Line",
    "Message",
    "Peer",
    "ReadAhead",
    "Unsendable",
    "WireError",
    "bursts",
    "compile_cell",
    "decode",
    "encode",
    "notebook_names",
    "read_frame",
    "weave",
]
