"""A connected socket and a `Player` in, its requests served: the player's end of the line.

As all of the player's, this stands among the student's code, and decides nothing.
"""

from __future__ import annotations

import os
import select
from typing import NoReturn

from autograder.sandbox.player import Player
from autograder.sandbox.protocol import AT_ONCE_BYTES, TO_PLAYER, Frame, ReadAhead, read_frame


class Wire:
    """The line over a connected stream socket, as file descriptor."""

    def __init__(self, fd: int, player: Player) -> None:
        self._fd, self._player, self._pid = fd, player, os.getpid()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._ahead = ReadAhead(self._receive)
        self._answers = bytearray()  # not sent yet, while more calls of the same trip are here

    def call(self, frame: Frame) -> Frame:
        if self._ahead.n_waiting:
            # Calls come together only where no function is granted; their frames are no answer to this one.
            raise RuntimeError("granted for an earlier call only")
        self._write(frame)
        while True:
            got = read_frame(self._ahead.read, TO_PLAYER)
            if not got.is_call:
                return got
            self._write(self._player.serve(got))

    def serve_forever(self) -> NoReturn:
        while True:
            self._write(self._player.serve(read_frame(self._ahead.read, TO_PLAYER)))

    def _write(self, frame: Frame) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # a fork made by the student's code came back here: only the first process speaks
        if self._answers or self._ahead.n_waiting:
            self._answers += frame.pack()
            if self._ahead.n_waiting and len(self._answers) < AT_ONCE_BYTES:
                return
            parts, self._answers = [memoryview(self._answers)], bytearray()
        else:
            parts = frame.parts()
        for part in parts:
            while part:
                part = part[os.write(self._fd, part) :]

    def _receive(self, into: memoryview) -> int:
        # A read that waits is also woken when what was written before is taken out; poll is not.
        self._poll.poll()
        n_bytes = os.readv(self._fd, [into])
        if n_bytes == 0:
            os._exit(0)  # the other side is gone, and the student's code could catch any exception
        return n_bytes


def serve(fd: int, player: Player) -> NoReturn:
    """Answer requests on the descriptor until the other side closes it; then the process ends."""
    wire = Wire(fd, player)
    player.line = wire
    wire.serve_forever()
