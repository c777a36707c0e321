"""Earlier verdicts on a student's exercises in; those that would come out again, without running them, out.

A verdict is used again when everything that it follows from is the same: engine and environment, tier, course seed,
student, the exercise's rules, checks and reference, and the lines that ran. What the machine's state may have decided
(out of time, a dead process) and what was our fault is never used again. Keys are made with the course seed, of the
student's own code: nobody can prepare a verdict for another answer, or for somebody else.

Two kinds, told apart by the key's first letter:

- `s`, a pass of the answer's own program. It stands for as long as those lines do.
- `a`, how an answer fared away from the rest of its notebook after it had not passed there. Its key has three parts:
  what ran (`base`), the whole notebook in which it did not pass (`context`, "-" when it was not even reached), and
  everything that the graded-alone verdict and its words follow from (`apart`: what was lent, cells' numbers, notes).
  With the same context it need not be tried in the notebook again; with the same `apart` the verdict itself stands.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from autograder.grading.verdict import Status, Verdict

_CHARS = 32  # 128 bits of HMAC-SHA256
_LASTING = {Status.PASS, Status.FAIL, Status.ERROR}


@dataclass(frozen=True)
class Keyring:
    """Makes the keys of one student's verdicts on one assignment."""

    seed: bytes
    tier: str
    student: str
    fingerprints: Mapping[str, str]  # exercise -> hash of engine, rules, checks, reference

    def base(self, exercise: str, program_hash: str) -> str:
        """Return the key of an answer's own program under its checks."""
        return self.digest("base", self.tier, self.student, exercise, self.fingerprints[exercise], program_hash)

    def digest(self, *parts: str) -> str:
        message = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self.seed, message, hashlib.sha256).hexdigest()[:_CHARS]


def slice_key(base: str) -> str:
    return f"s:{base}"


def apart_key(base: str, context: str, apart: str) -> str:
    return f"a:{base}:{context}:{apart}"


def keyed(verdict: Verdict, key: str) -> Verdict:
    """Return the verdict with its key, or without one where it must not be used again."""
    lasts = verdict.status in _LASTING and all(c.status in _LASTING for c in verdict.checks)
    return replace(verdict, key=key if lasts else "")


class Known:
    """Earlier verdicts by key. Of several with one key the last one given counts."""

    def __init__(self, verdicts: Iterable[Verdict] = ()) -> None:
        self._passed: dict[str, Verdict] = {}
        self._apart: dict[str, Verdict] = {}
        self._failed_in: set[tuple[str, str]] = set()
        for v in verdicts:
            kind, *parts = v.key.split(":")
            if kind == "s" and v.status is Status.PASS:
                self._passed[parts[0]] = v
            elif kind == "a" and len(parts) == 3:
                self._apart[parts[2]] = v
                self._failed_in.add((parts[0], parts[1]))

    def passed(self, base: str) -> Verdict | None:
        """Return the verdict with which these lines passed."""
        return self._passed.get(base)

    def failed_in(self, base: str, context: str) -> bool:
        """Whether these lines were tried in this very notebook, and did not pass there."""
        return (base, context) in self._failed_in

    def apart(self, apart: str) -> Verdict | None:
        """Return how these lines fared alone, or with these definitions lent to them."""
        return self._apart.get(apart)
