"""A program in, a `Box` in this process out: for code that we trust (references, mutants, alternatives) and for tests.

Values cross the same bytes and the same checks as on the way to a jailed player, so that a hidden check cannot tell the
two apart. Nothing is contained: a loop loops, os._exit ends us. Student's code never comes here.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autograder.sandbox.clean import clean
from autograder.sandbox.job import Limits, Usage
from autograder.sandbox.player import Player, Stop
from autograder.sandbox.program import Box
from autograder.sandbox.protocol import FROM_PLAYER, Frame
from autograder.submission.model import Cell

_NUMBERS = itertools.count(1)
DEFAULT = Limits()


def open_in_process(program: Sequence[Cell], limits: Limits = DEFAULT, *, seed: int = 0) -> Box:
    """Execute the cells in this process and return the box. Of the limits only the sizes of replies and output hold."""
    return Box(_LocalEngine(limits), program, limits, seed)


class _LocalEngine:
    """A player in this process, with random number generators and output of its own."""

    def __init__(self, limits: Limits) -> None:
        self.host_uid, self.host_pid = os.getuid(), os.getpid()
        self._module = f"submission_{next(_NUMBERS)}"
        self._folder: Path | None = None
        self._player = Player(module=self._module, folder=self._make_folder, caps=FROM_PLAYER.with_body(limits.reply_bytes))
        self.line = _LocalLine(self._player, limits.output_bytes)

    def _make_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="box-"))
            # A box that nobody closes, such as a grader's reference, still leaves nothing behind.
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def connect(self, serve: Callable[[Frame], Frame]) -> None:
        self.line.serve_back = serve

    def allow(self, cpu_s: float, wall_s: float) -> None:
        """Nothing is limited here."""

    def cpu_s(self) -> float:
        return self.line.cpu_s

    def output(self) -> str:
        text = self.line.printed.getvalue()
        return clean(text, len(text))

    def cut(self) -> None:
        sys.modules.pop(self._module, None)

    def close(self) -> Usage:
        self.cut()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        return Usage(self.line.cpu_s, 0, "closed")


class _LocalLine:
    """The client's line: calls go straight to the player, whose own calls come straight back."""

    def __init__(self, player: Player, output_chars: int) -> None:
        self._player = player
        player.line = _Back(self)
        self.printed = _Capped(output_chars)
        self.cpu_s = 0.0
        self.serve_back: Callable[[Frame], Frame]
        self.given_up: BaseException | None = None
        self._states = (torch.get_rng_state(), np.random.MT19937(0), random.getstate())

    def call(self, frame: Frame) -> Frame:
        start = time.process_time()
        try:
            with self.as_player():
                return self._player.serve(frame)
        except Stop:
            error, self.given_up = self.given_up, None
            raise error or RuntimeError("the player stopped by itself") from None
        finally:
            self.cpu_s += time.process_time() - start

    def calls(self, frames: Sequence[Frame]) -> Iterator[Frame]:
        return map(self.call, frames)

    @contextlib.contextmanager
    def as_player(self) -> Iterator[None]:
        """Run with the player's random numbers and output."""
        self.swap()
        try:
            with contextlib.redirect_stdout(self.printed), contextlib.redirect_stderr(self.printed):
                # Ours may turn warnings into errors; a student's notebook only prints them.
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("default")
                    yield
                for w in said:
                    self.printed.write(warnings.formatwarning(w.message, w.category, w.filename, w.lineno, w.line))
        finally:
            self.swap()

    def swap(self) -> None:
        """Exchange the player's random number generators for ours, or back."""
        ours = _rng_states()
        torch.set_rng_state(self._states[0])
        np.random.mtrand.set_bit_generator(self._states[1])
        random.setstate(self._states[2])
        self._states = ours


class _Back:
    """The player's line back to the client."""

    def __init__(self, there: _LocalLine) -> None:
        self._there, self._out, self._err = there, sys.stdout, sys.stderr

    def call(self, frame: Frame) -> Frame:
        self._there.swap()
        try:
            with contextlib.redirect_stdout(self._out), contextlib.redirect_stderr(self._err):
                return self._there.serve_back(frame)
        except BaseException as e:
            # Past whatever the student's code catches, as it would go past a process of its own.
            self._there.given_up = e
            raise Stop from None
        finally:
            self._there.swap()


class _Capped(io.StringIO):
    def __init__(self, n_chars: int) -> None:
        super().__init__()
        self._left = n_chars

    def write(self, text: str) -> int:
        kept = text[: self._left]
        self._left -= len(kept)
        super().write(kept)
        return len(text)


def _rng_states() -> tuple[Any, Any, Any]:
    # numpy's generator itself, since its state takes ten times as long to copy as all the rest of a call.
    return torch.get_rng_state(), np.random.mtrand.get_bit_generator(), random.getstate()
