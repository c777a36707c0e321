"""A failed answer and the course's mutants in, the authored hint of the mutant that answers alike out.

How it works. The check that failed is run once more on the answer, with the same draw, and everything that comes back over
the line is noted. Then it is run on each mutant that names this check, in this process: a mutant whose notes agree to the
end made the same slip, as far as the drawn inputs can tell, and its hint says which. Where several mutants agree, the other
checks of the exercise tell them apart. Nothing here changes a status or a point.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.grading.bundle import Bundle
from autograder.grading.checks import Check, Variant
from autograder.grading.run import Draw, Outcome, attempt
from autograder.grading.verdict import Status, Verdict
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.objects import RemoteObject
from autograder.sandbox.program import Box

_TOLERANCE = 1e-5  # of a tensor's largest entry: the same slip may be written in another order of operations
_MAX_CPU_S = 3.0  # that running one check on every mutant of the exercise may take
_TOLD = (Status.FAIL, Status.ERROR)
_NUMBER = re.compile(r"-?\d[\d.,e+-]*")


@dataclass(frozen=True)
class Transcript:
    """What an answer said during one check, in order, how the check ended, and what it told of that, numbers apart.

    The words count since not everything is heard: a gradient is computed on this side of the line.
    """

    heard: tuple[Any, ...]
    ended: Status
    told: str

    def agrees(self, other: Transcript) -> bool:
        """Say whether both tell the same, numbers up to rounding."""
        same_end = self.ended is other.ended and self.told == other.told
        return same_end and len(self.heard) == len(other.heard) and _alike(self.heard, other.heard)


def diagnosed(verdict: Verdict, box: Box, bundle: Bundle, draw: Draw) -> Verdict:
    """Return the verdict, with a mutant's hint in place of the check's text where the answer behaves like one."""
    if verdict.status not in _TOLD or not box.alive or box.failures:
        return verdict
    mutants = [v for v in bundle.variants if v.exercise == verdict.exercise and v.caught_by]
    cheap = {r.name for r in verdict.checks if r.cpu_s * len(mutants) <= _MAX_CPU_S}
    failed = {r.name for r in verdict.checks if r.status in _TOLD and r.evidence == "verified"} & cheap
    checks = [c for c in bundle.checks[verdict.exercise] if c.diagnose and c.name in cheap]
    mutant = match(box, bundle, checks, failed, draw)
    return replace(verdict, hint=mutant.hint) if mutant else verdict


def match(box: Box, bundle: Bundle, checks: Iterable[Check], failed: Collection[str], draw: Draw) -> Variant | None:
    """Return the first mutant that agrees with the box's answer on a check that `failed`, and on those that tell apart."""
    named = [v for v in bundle.variants if not set(v.caught_by).isdisjoint(failed)]
    alike: list[Variant] = []
    for check in sorted(checks, key=lambda c: c.name not in failed):
        found = alike or [v for v in named if v.exercise == check.exercise]
        if not found or not box.alive or not (alike or check.name in failed):
            break
        own = _transcript(box, check, draw(check))
        agreeing = [m for m in found if (said := _of_mutant(bundle, m, check, draw)) is not None and own.agrees(said)]
        # A check may be one of chance, on which an answer disagrees with itself: what agreed before it is not thrown away.
        alike = agreeing or alike
        if len({m.hint for m in alike}) == 1:
            break
    return alike[0] if alike else None


def _of_mutant(bundle: Bundle, mutant: Variant, check: Check, draw: Draw) -> Transcript | None:
    program = bundle.program({mutant.exercise: bundle.variant_source(mutant)})
    with open_in_process(program) as box:
        return None if box.failures else _transcript(box, check, draw(check))


def _transcript(box: Box, check: Check, rng: np.random.Generator) -> Transcript:
    # New modules are random: both sides begin with the same state of the player's generators.
    box.student.seed(0)
    with box.listening() as heard:
        outcome = attempt(box.student, check, rng)
    if not isinstance(outcome, Outcome):
        return Transcript(tuple(heard), Status.FAIL, type(outcome).__name__)
    return Transcript(tuple(heard), outcome.status, _NUMBER.sub("#", outcome.hint))


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, RemoteObject) or isinstance(b, RemoteObject):
        return isinstance(a, RemoteObject) and isinstance(b, RemoteObject) and a.kind == b.kind
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.requires_grad == b.requires_grad and _alike_tensors(a.detach(), b.detach())
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and _alike_tensors(torch.from_numpy(np.array(a)), torch.from_numpy(np.array(b)))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, Mapping):
        return list(a) == list(b) and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, float):
        return _alike_tensors(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
    return bool(a == b)


def _alike_tensors(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape or a.layout != b.layout or a.layout is not torch.strided:
        return False
    if not (a.is_floating_point() or a.is_complex()):
        return torch.equal(a, b)
    finite = torch.isfinite(a)
    if not torch.equal(finite, torch.isfinite(b)) or not torch.equal(a[~finite].nan_to_num(0.5), b[~finite].nan_to_num(0.5)):
        return False
    largest = float(a[finite].abs().max()) if finite.any() else 0.0
    return bool(((a - b)[finite].abs() <= _TOLERANCE * largest).all())
