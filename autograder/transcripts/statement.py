"""Results that a student chose to show in; the statement, and the one text that is signed, out. Pure data."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from autograder.grading.verdict import Status
from autograder.records import AssignmentResult, AttemptResult

KIND, VERSION = "bootcamp transcript", 1
MAX_NAME_CHARS = 80
# Control codes, and the marks that print their neighbours backwards.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


@dataclass(frozen=True)
class Line:
    """One assignment: the newest graded attempt at it, before any reduction for lateness."""

    assignment: str
    title: str
    points: float
    max_points: float
    n_passed: int
    n_exercises: int
    n_unscored: int  # by our own fault
    handed_in: str  # a day


@dataclass(frozen=True)
class Statement:
    """What is signed. `name` is what the holder chose to be called, "" for nothing."""

    code: str
    course: str
    name: str
    issued: str
    as_of: int
    lines: tuple[Line, ...]

    def text(self) -> str:
        """Return the text that is signed: the same statement gives the same text."""
        data = {"kind": KIND, "version": VERSION, **asdict(self)}
        return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def of(cls, text: str) -> Statement:
        """Return the statement that has this text."""
        data: dict[str, Any] = json.loads(text)
        known = {k: v for k, v in data.items() if k not in ("kind", "version")}
        return cls(**{**known, "lines": tuple(Line(**x) for x in data["lines"])})


def newest_graded(result: AssignmentResult) -> AttemptResult | None:
    """Return the attempt that a line speaks of, None while none is graded."""
    return next((a for a in reversed(result.attempts) if a.verdicts), None)


def line(result: AssignmentResult, titles: Mapping[str, str]) -> Line | None:
    """Return what a statement says of one assignment, None while no attempt at it is graded."""
    attempt = newest_graded(result)
    if attempt is None:
        return None
    return Line(
        assignment=result.assignment,
        title=titles.get(result.assignment, result.assignment),
        points=round(attempt.points, 2),
        max_points=round(attempt.max_points, 2),
        n_passed=sum(v.status is Status.PASS for v in attempt.verdicts),
        n_exercises=len(attempt.verdicts),
        n_unscored=attempt.n_infra,
        handed_in=day(attempt.attempt.received_at),
    )


def day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()


def clean_name(name: str) -> str:
    """Return a name without what cannot be seen, at most MAX_NAME_CHARS characters long."""
    text = name.encode("utf-8", "replace").decode("utf-8")
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split())[:MAX_NAME_CHARS].strip()
