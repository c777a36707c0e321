"""The policy file in, every threshold of the tracker out; and the state that follows from one student's estimate."""

from __future__ import annotations

import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autograder.errors import CourseError

DEFAULT = Path(__file__).parent / "policy_v3.toml"


class State(StrEnum):
    """What the tracker proposes for a student; the words that pages show."""

    NEEDS_EVIDENCE = "needs evidence"
    NONE = "none"
    DROPPED = "dropped"
    WATCH = "watch"
    PROVISIONAL = "provisional"


# The states that propose to look at somebody.
FLAGS = (State.WATCH, State.PROVISIONAL)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Engine(_Strict):
    """Which estimator speaks; the other one is its cross-check."""

    use: Literal["auto", "hierarchy", "gaussian"]
    min_students: int = Field(ge=1)
    max_gap: float = Field(gt=0, le=1)


class Target(_Strict):
    """Whom we look for."""

    top_share: float = Field(gt=0, lt=0.5)
    n_reference: int = Field(ge=1)


class Evidence(_Strict):
    """What counts, and how much of it is needed."""

    min_first_tries: int = Field(ge=1)
    min_notebooks: int = Field(ge=1)
    max_sd_ratio: float = Field(gt=0, le=1)
    tiers: tuple[Literal["A", "B", "C", "D"], ...] = Field(min_length=1)
    kinds: tuple[Literal["verified", "observed"], ...] = Field(min_length=1)
    skipped: Literal["missing", "wrong"]
    excluded_exercises: tuple[str, ...] = ()
    excluded_assignments: tuple[str, ...] = ()
    max_residual_z: float = Field(gt=0)
    min_residual_tries: int = Field(ge=1)


class States(_Strict):
    """The chance from which a state holds, and how long a flag outlasts a fall."""

    watch: float = Field(gt=0, lt=1)
    provisional: float = Field(gt=0, lt=1)
    provisional_twice: float = Field(gt=0, lt=1)
    strict: bool
    dropped_below: float = Field(gt=0, lt=1)
    min_days_between: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.watch > self.provisional:
            raise ValueError("watch must not be above provisional")
        if not self.dropped_below <= self.provisional_twice <= self.provisional:
            raise ValueError("expected dropped_below <= provisional_twice <= provisional")
        return self


class Rising(_Strict):
    """When growth is worth a word."""

    chance: float = Field(gt=0, lt=1)
    min_weeks: int = Field(ge=1)
    min_tracks: int = Field(ge=1)


class Shortlist(_Strict):
    """How invitations are given out on a decision date."""

    alpha: float = Field(gt=0, lt=1)
    seats: int = Field(ge=1)
    explore_share: float = Field(ge=0, lt=1)
    explore_low: float = Field(ge=0, le=1)
    explore_high: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.explore_low >= self.explore_high:
            raise ValueError("explore_low must be below explore_high")
        return self


class Integrity(_Strict):
    """When a notebook that was set aside makes a flag wait for a human."""

    hold_below: float = Field(gt=0, lt=1)


class Policy(_Strict):
    """One version of the decision rule."""

    version: str = Field(min_length=1)
    engine: Engine
    target: Target
    evidence: Evidence
    states: States
    rising: Rising
    shortlist: Shortlist
    integrity: Integrity


def load_policy(path: Path = DEFAULT) -> Policy:
    """Read a policy file. Raises: CourseError naming file, line, what was found and what was expected."""
    try:
        text = path.read_text("utf-8")
        return Policy.model_validate(tomllib.loads(text))
    except OSError as e:
        raise CourseError(path, None, f"cannot read the policy: {e.strerror}.") from None
    except tomllib.TOMLDecodeError as e:
        found = re.search(r"at line (\d+)", str(e))
        raise CourseError(path, int(found[1]) if found else None, f"not valid TOML: {e}") from None
    except ValidationError as e:
        raise _explain(path, text, e) from None


def lacking(policy: Policy, n_items: int, n_notebooks: int, sd: float) -> tuple[str, ...]:
    """Return in words what evidence is missing; empty when there is enough. `sd` is in units of the prior's."""
    need = policy.evidence
    found = []
    if n_items < need.min_first_tries:
        found.append(f"{n_items} first {'try counts' if n_items == 1 else 'tries count'}, {need.min_first_tries} are needed")
    if n_notebooks < need.min_notebooks:
        found.append(f"there is evidence from {n_notebooks} of at least {need.min_notebooks} notebooks")
    if sd > need.max_sd_ratio:
        found.append(
            f"the uncertainty is {_percent(sd)} of what it was before any evidence, {_percent(need.max_sd_ratio)} is allowed"
        )
    return tuple(found)


def decide(policy: Policy, n_items: int, n_notebooks: int, sd: float, p: float) -> State:
    """Return the state that one evaluation proposes by itself; `transitions` makes it lasting."""
    if lacking(policy, n_items, n_notebooks, sd):
        return State.NEEDS_EVIDENCE
    if p >= policy.states.provisional:
        return State.PROVISIONAL
    return State.WATCH if p >= policy.states.watch else State.NONE


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _explain(path: Path, text: str, error: ValidationError) -> CourseError:
    # A misspelt key is missing and unknown at once: the unknown one is what the author sees in the file.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    loc = [str(x) for x in first["loc"]]
    keys = [x for x in loc if not x.isdigit()]
    line = _line_of(text, keys)
    if first["type"] == "extra_forbidden":
        table = Policy.model_fields.get(loc[0]) if len(loc) > 1 else None
        model = table.annotation if table else Policy
        known = ", ".join(getattr(model, "model_fields", {}))
        return CourseError(path, line, f'unknown key "{".".join(loc)}". Expected one of: {known}.')
    if first["type"] == "missing":
        return CourseError(path, line, f'the key "{".".join(loc)}" is missing. A policy states every threshold.')
    return CourseError(path, line, f"{'.'.join(loc)}: found {first.get('input')!r}. {first['msg']}.")


def _line_of(text: str, keys: list[str]) -> int | None:
    """Return the line of the last key, looked for after the line of its table."""
    lines, at, found = text.splitlines(), 0, None
    for key in keys:
        pattern = rf"\s*(\[\s*{re.escape(key)}\s*\]|{re.escape(key)}\s*=)"
        hit = next((n for n in range(at, len(lines)) if re.match(pattern, lines[n])), None)
        if hit is None:
            break
        at, found = hit, hit + 1
    return found
