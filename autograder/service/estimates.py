"""What the tracker says in, its words and drawing out. The tracker's own arithmetic stays in autograder.progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from autograder.records import Ledger
from autograder.service import wording
from autograder.service.pages import EstimateView, Scale, Strip, Tick
from autograder.service.wording import Mark


@dataclass(frozen=True)
class Standing:
    """What the tracker says of one student. Numbers are None while there is no evidence."""

    state: str
    p: float | None
    mean: float | None
    low: float | None
    high: float | None
    n_first_tries: int
    n_assignments: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """What the tracker says of a cohort: by pseudonym; `bar` is the ability above which an invitation pays."""

    by_student: Mapping[str, Standing]
    bar: float | None
    level: float
    policy: str


# In the order in which the table shows them when it is ordered by state.
STATES: Mapping[str, Mark] = MappingProxyType(
    {
        "shortlist": Mark("shortlist", "star", "good", "Proposed for an invitation on a decision date."),
        "provisional": Mark("provisional", "flag", "good", "Likely enough above the bar; waits for a decision date."),
        "watch": Mark("watch", "eye", "part", "May be above the bar."),
        "rising": Mark("rising", "up", "part", "Grows faster than the cohort."),
        "hold": Mark("on hold", "hand", "ours", "Part of the evidence is set aside until a person has looked."),
        "none": Mark("no flag", "ring", "mute", "Nothing to do now."),
        "dropped": Mark("no longer flagged", "ring", "mute", "Was provisional and is not any more; the record stays."),
        "needs evidence": Mark("needs evidence", "dots", "mute", "Too few first tries to say anything."),
    }
)
UNKNOWN = Standing("needs evidence", None, None, None, None, 0, 0, ("Nothing has been graded yet.",))


def silent(ledger: Ledger, cohort: str) -> Evaluation:
    """Return an evaluation that says nothing of anybody."""
    return Evaluation({}, None, 0.9, "none")


_WIDTH = 200.0
_MARGIN = 8.0
_LOW, _HIGH = -3.0, 3.0  # three standard deviations to either side


def view(standing: Standing) -> EstimateView:
    """Return the words and the drawing of one standing."""
    known = standing.mean is not None and standing.low is not None and standing.high is not None
    tries = wording.counted(standing.n_first_tries, "first try", "first tries")
    return EstimateView(
        state=STATES.get(standing.state, Mark(standing.state, "dots", "mute", "")),
        chance=wording.NOTHING if standing.p is None else wording.percent(standing.p),
        value=_signed(standing.mean),
        interval=f"{_signed(standing.low)} to {_signed(standing.high)}" if known else wording.NOTHING,
        strip=strip(standing),
        evidence=f"{tries} in {wording.counted(standing.n_assignments, 'assignment')}",
        reasons=standing.reasons,
    )


def strip(standing: Standing) -> Strip | None:
    """Return where the marks stand; what lies beyond the axis stands at its end."""
    if standing.mean is None or standing.low is None or standing.high is None:
        return None
    return Strip(_x(standing.low), _x(standing.high), _x(standing.mean))


def scale(evaluation: Evaluation) -> Scale:
    """Return the axis that every strip of the evaluation shares."""
    ticks = tuple(Tick(_x(value), text) for value, text in ((-2.0, "−2"), (0.0, "0"), (2.0, "+2")))
    return Scale(_WIDTH, ticks, None if evaluation.bar is None else Tick(_x(evaluation.bar), _signed(evaluation.bar)))


def legend(evaluation: Evaluation) -> tuple[str, ...]:
    """Return how to read the estimates."""
    lines = [
        "Estimated ability at the end of the course: 0 is the cohort's middle, 1 one standard deviation.",
        f"The line holds the true value with a probability of {wording.percent(evaluation.level)}; the dot is the estimate.",
    ]
    if evaluation.bar is not None:
        lines.append(f"The bar stands at {_signed(evaluation.bar)}. The chance is the probability of ending above it.")
    lines.append("Only the first try of each exercise counts. A state is an invitation to look, never a verdict.")
    return (*lines, f"Policy {evaluation.policy}.")


def _x(value: float) -> float:
    inside = min(max(value, _LOW), _HIGH)
    return round(_MARGIN + (inside - _LOW) / (_HIGH - _LOW) * (_WIDTH - 2 * _MARGIN), 1)


def _signed(value: float | None) -> str:
    if value is None:
        return wording.NOTHING
    text = f"{value:+.1f}".replace("-", "−")
    return "0" if text in ("+0.0", "−0.0") else text
