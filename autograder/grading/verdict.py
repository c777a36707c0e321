"""What grading says: `CheckResult`, `Verdict`, `Graded`. Plain data with a JSON form; no torch, no files, no clock."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How one check or one exercise ended. Only PASS is full marks; only INFRA and SKIPPED say nothing of the answer."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"  # the student's code raised
    TIMEOUT = "timeout"
    CRASHED = "crashed"  # the player's process ended
    TAMPERED = "tampered"  # the player broke the protocol
    SKIPPED = "skipped"  # the stub was handed in unchanged, or the answer is missing
    INFRA = "infra"  # our fault: unscored, retried, visible


@dataclass(frozen=True)
class CheckResult:
    """One hidden check on one answer. `hint` is authored text and may be shown to the student."""

    name: str
    status: Status
    weight: float
    core: bool = False
    evidence: str = "verified"  # verified | observed | static: only verified results score
    hint: str = ""
    cpu_s: float = 0.0  # of referee and player together


@dataclass(frozen=True)
class Verdict:
    """One exercise of one attempt. `points` is None exactly when the status is INFRA."""

    exercise: str
    status: Status
    points: float | None
    max_points: float
    checks: tuple[CheckResult, ...] = ()
    hint: str = ""
    notes: tuple[str, ...] = ()
    cpu_s: float = 0.0
    key: str = ""  # what the verdict follows from (known.py); empty where it must not be used again

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON data; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verdict:
        checks = tuple(CheckResult(**{**c, "status": Status(c["status"])}) for c in data["checks"])
        return cls(**{**data, "status": Status(data["status"]), "checks": checks, "notes": tuple(data["notes"])})


@dataclass(frozen=True)
class Graded:
    """One submission, graded: what a worker hands to the controller.

    `error` says why a file could not be read (then there are no verdicts).
    `output` is what the player printed: for instructors only, control characters already replaced.
    """

    assignment: str
    sha256: str
    verdicts: tuple[Verdict, ...]
    grader_build: str
    tier: str
    notes: tuple[str, ...] = ()
    output: str = ""
    error: str = ""
    cpu_s: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether every exercise got a verdict that is not our fault."""
        return not self.error and all(v.status is not Status.INFRA for v in self.verdicts)

    @property
    def points(self) -> float:
        return sum(v.points or 0.0 for v in self.verdicts)

    @property
    def max_points(self) -> float:
        return sum(v.max_points for v in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Graded:
        verdicts = tuple(Verdict.from_json(v) for v in data["verdicts"])
        return cls(**{**data, "verdicts": verdicts, "notes": tuple(data["notes"])})
