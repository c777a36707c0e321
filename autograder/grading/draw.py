"""The course seed and the code that is checked in, random generators out. The same code draws the same inputs, for ever.

What a draw follows from: the seed, the student, the exercise, the check, the very lines that run for this exercise, and
whether the whole notebook shares their box. Not the attempt, not the file's bytes: so a verdict follows from what it is
keyed by (known.py) and may be used again; a student who changes a remark elsewhere cannot draw again and again until a
wrong answer passes; and who changes the answer gets other inputs than those that a hint spoke about. In the shared box
other cells run beside an answer, and could be tuned while its lines stay: its draws are others than those of the box of
its own, from which every hint comes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

import numpy as np

from autograder.submission.model import Cell


def rng_for(seed: bytes, attempt: str, exercise: str, check: str) -> np.random.Generator:
    """Return the generator of one check's inputs: unpredictable without the seed, reproducible with it.

    `attempt` names what is drawn for: `drawn_for` makes it of a student's code.
    """
    message = "\0".join((attempt, exercise, check)).encode()
    digest = hmac.new(seed, message, hashlib.sha256).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def drawn_for(assignment: str, student: str, program: Iterable[Cell], *, shared: bool) -> str:
    """Return what an exercise's draws are made for: whose code, which code, in which kind of box."""
    return f"{assignment}/{student}/{'shared' if shared else 'alone'}/{hash_program(program)}"


def hash_program(program: Iterable[Cell], *, labels: bool = False) -> str:
    """Return the SHA-256 of a program's sources; of the cells' labels too, which only messages show."""
    digest = hashlib.sha256()
    for cell in program:
        for text in (cell.label, cell.source) if labels else (cell.source,):
            content = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()
