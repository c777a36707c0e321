"""What crosses between controller and referee: an `Order` and the notebook's bytes go, a `Reply` comes. JSON, validated.

The referee has read what a student wrote, so nothing that it says is taken for granted: a reply that is not about the
submission at hand, or gives what no exercise can earn, is no reply.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from autograder.course import Manifest, Tier
from autograder.grading.budget import Budget
from autograder.grading.verdict import Graded, Status, Verdict
from autograder.sandbox.probes import Probe

MAX_REPLY_BYTES = 8 << 20
Costs = dict[str, float]  # CPU seconds of the reference by exercise
GradedTier = Literal["A", "B", "C"]


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Order(_Message):
    """What the controller wants. `tier` is what the slot was found to hold; None: attack it first."""

    kind: Literal["grade", "probe"]
    seed: str  # hex
    student: str
    known: tuple[Verdict, ...]  # earlier verdicts that may be used again
    only: tuple[str, ...]  # the exercises to speak about; none: all
    require_tier: Tier
    tier: Tier | None
    costs: dict[Tier, Costs]  # of former admissions of this build, by the tier of the box
    budget: Budget
    out_of_reach: tuple[str, ...]  # what the referee must not be able to read


class Found(_Message):
    """What the attacks on the box, and on the referee's own walls, found."""

    tier: Tier
    weaker_because: str
    box: tuple[Probe, ...]
    referee: tuple[Probe, ...]

    @property
    def holes(self) -> str:
        """Return what of the referee's jail does not hold; empty if all does."""
        return "; ".join(f"{p.name} ({p.detail})" for p in self.referee if not p.held)


class Reply(_Message):
    """What the referee found: `graded`, or what stood in the way.

    refused: the box or the referee's jail is not good enough. unadmitted: the assignment is not. fault: something broke.
    lost: a fault that may be gone the next time.
    """

    found: Found | None = None
    costs: Costs | None = None  # measured anew
    graded: Graded | None = None
    refused: str = ""
    unadmitted: str = ""
    fault: str = ""
    lost: bool = False


def parse_reply(data: bytes) -> Reply:
    """Return the reply. Raises: ValueError."""
    try:
        return Reply.model_validate_json(data)
    except ValidationError as e:
        raise ValueError(f"{e.error_count()} faults, the first at {'.'.join(map(str, e.errors()[0]['loc']))}") from None


def check_graded(graded: Graded, raw: bytes, manifest: Manifest, build: str, only: Collection[str]) -> None:
    """Raise ValueError unless this can be what grading says of this notebook."""
    if graded.assignment != manifest.assignment or graded.sha256 != hashlib.sha256(raw).hexdigest():
        raise ValueError("about another submission")
    if graded.grader_build != build or graded.tier not in ("A", "B", "C") or not _is_time(graded.cpu_s):
        raise ValueError("by another grader")
    if graded.error and not graded.verdicts:
        return
    wanted = [e for e in manifest.exercises if not only or e.id in only]
    if [v.exercise for v in graded.verdicts] != [e.id for e in wanted] or graded.error:
        raise ValueError("not one verdict per exercise")
    for verdict, exercise in zip(graded.verdicts, wanted, strict=True):
        if not _is_possible(verdict, exercise.points):
            raise ValueError(f"an impossible verdict of {exercise.id}")


def _is_possible(verdict: Verdict, points: float) -> bool:
    if verdict.max_points != points or (verdict.points is None) != (verdict.status is Status.INFRA):
        return False
    in_range = verdict.points is None or 0.0 <= verdict.points <= points
    is_full = verdict.status is not Status.PASS or verdict.points == points
    return in_range and is_full and _is_time(verdict.cpu_s)


def _is_time(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds >= 0
