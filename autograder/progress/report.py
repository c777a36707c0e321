"""What one evaluation of a cohort says: frozen records with a JSON form. No arithmetic, no arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autograder.progress.policy import State

# Numbers are rounded so that the last bits, in which two builds of the linear algebra may differ, decide nothing.
N_DIGITS = 6
LEVELS = (0.5, 0.9)


@dataclass(frozen=True)
class Without:
    """The chance p if this notebook had not been handed in; `n_items` first tries of it count."""

    assignment: str
    n_items: int
    p: float


@dataclass(frozen=True)
class Share:
    """How many of those who tried an exercise passed it at the first try."""

    exercise: str
    title: str
    n_passed: int
    n_tried: int


@dataclass(frozen=True)
class Why:
    """What carries an estimate: p without each notebook, the hardest exercises solved, the easiest ones missed."""

    without: tuple[Without, ...]
    hardest: tuple[Share, ...]
    against: tuple[Share, ...]


@dataclass(frozen=True)
class NextItem:
    """An exercise worth trying next. `sd_after`: the estimate's SD once it and those listed before it were tried."""

    exercise: str
    title: str
    assignment: str
    sd_after: float | None


@dataclass(frozen=True)
class Settle:
    """What is missing for a judgement, in words, and the exercises that would tell most."""

    lacking: tuple[str, ...]
    next: tuple[NextItem, ...]


@dataclass(frozen=True)
class Finding:
    """What the tracker says of one student. Units of mean, sd and intervals: prior SDs, 0 is the cohort's middle.

    p is the chance to end above the bar; ranks count from 1 (ablest). `why` is given from watch upwards, `settle` where
    evidence is missing; `reasons` is the same in sentences. `before` is the state at the last recorded evaluation, `p_other`
    the cross-check's chance. `is_rising` and `on_hold` stand beside the state and change nothing by themselves; `set_aside`
    are this student's notebooks that do not count, `notebooks` those that do.
    """

    pseudonym: str
    state: State
    p: float
    mean: float
    sd: float
    interval50: tuple[float, float]
    interval90: tuple[float, float]
    rank90: tuple[int, int]
    n_items: int
    n_notebooks: int
    n_skipped: int
    why: Why | None
    settle: Settle | None
    reasons: tuple[str, ...]
    before: State | None = None
    p_other: float | None = None
    p_growing: float = 0.5
    is_rising: bool = False
    on_hold: bool = False
    set_aside: tuple[str, ...] = ()
    notebooks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suspect:
    """An exercise whose results under a grader build speak for a broken check, `way` says how, by `z` standard errors.

    It does not count.
    """

    exercise: str
    grader_build: str
    n_tries: int
    z: float
    way: str = ""


@dataclass(frozen=True)
class Spread:
    """The estimated standard deviations on the logit scale (`noise`: dispersion, a variance ratio)."""

    person: float
    growth: float
    track: float
    notebook: float
    noise: float
    correlation: float

    def rounded(self) -> Spread:
        """Return the same to as many digits as a report has."""
        return Spread(**{name: round(x, N_DIGITS) + 0.0 for name, x in asdict(self).items()})


@dataclass(frozen=True)
class Report:
    """One evaluation: every student by pseudonym, and what it rests on.

    `last_event` is the ledger's event as of which the first tries were read. `bar` is the target above which the top
    share of the reference population lies. `too_early` says why nobody can be judged yet, "" when somebody can.
    `left_out` counts first tries that did not count, by reason. `spread` is None without a single first try. `bank` is the
    version of the bank of items, "" when the cohort's own items were fitted; `cross_check` is the other engine, "" for none.
    """

    engine: str
    policy: str
    last_event: int | None
    bar: float
    n_first_tries: int
    n_exercises: int
    n_notebooks: int
    left_out: Mapping[str, int]
    too_early: str
    spread: Spread | None
    students: tuple[Finding, ...]
    bank: str = ""
    cross_check: str = ""
    grader_builds: tuple[str, ...] = ()
    suspects: tuple[Suspect, ...] = ()

    def of(self, pseudonym: str) -> Finding | None:
        """Return what is said of one student, None when the report does not know them."""
        return next((f for f in self.students if f.pseudonym == pseudonym), None)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON data; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        spread = Spread(**data["spread"]) if data["spread"] else None
        suspects, builds = tuple(Suspect(**s) for s in data["suspects"]), tuple(data["grader_builds"])
        students = tuple(_finding(s) for s in data["students"])
        return cls(**{**data, "spread": spread, "students": students, "suspects": suspects, "grader_builds": builds})


def _finding(data: Mapping[str, Any]) -> Finding:
    pairs = {name: tuple(data[name]) for name in ("interval50", "interval90", "rank90", "reasons", "set_aside", "notebooks")}
    why = _why(data["why"]) if data["why"] else None
    settle = _settle(data["settle"]) if data["settle"] else None
    before = State(data["before"]) if data["before"] else None
    return Finding(**{**data, **pairs, "state": State(data["state"]), "before": before, "why": why, "settle": settle})


def _why(data: Mapping[str, Any]) -> Why:
    shares = (tuple(Share(**s) for s in data[name]) for name in ("hardest", "against"))
    return Why(tuple(Without(**w) for w in data["without"]), *shares)


def _settle(data: Mapping[str, Any]) -> Settle:
    return Settle(tuple(data["lacking"]), tuple(NextItem(**i) for i in data["next"]))
