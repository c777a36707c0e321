"""What the tracker says in, its words and drawing out. The tracker's own arithmetic stays in autograder.progress."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from autograder.pages import wording
from autograder.pages.models import EstimateView, Scale, Strip, Tick
from autograder.pages.wording import Mark
from autograder.progress import Finding, Policy, Report, State

# In the order in which the table shows them when it is ordered by state.
STATES: Mapping[State, Mark] = MappingProxyType(
    {
        State.PROVISIONAL: Mark("provisional", "flag", "good", "Likely to end above the bar. Look at this person's work next."),
        State.WATCH: Mark("watch", "eye", "part", "May end above the bar. More evidence will tell."),
        State.DROPPED: Mark(
            "no longer flagged", "ring", "mute", "Was flagged once; the chance has fallen since. The record stays."
        ),
        State.NONE: Mark("no flag", "ring", "mute", "Enough is known, and nothing is to be done now."),
        State.NEEDS_EVIDENCE: Mark("needs evidence", "dots", "mute", "Too few first tries to say anything."),
    }
)

_WIDTH = 200.0
_MARGIN = 8.0
_LOW, _HIGH = -3.0, 3.0  # three standard deviations to either side


def view(finding: Finding | None) -> EstimateView:
    """Return the words and the drawing of one finding; None is a student whom the report does not know."""
    if finding is None or not finding.n_items:
        return EstimateView(
            state=STATES[State.NEEDS_EVIDENCE],
            chance=wording.NOTHING,
            value=wording.NOTHING,
            interval=wording.NOTHING,
            strip=None,
            is_weak=True,
            evidence="no first try",
            brief="nothing handed in counts yet",
            reasons=finding.reasons if finding else (),
        )
    tries = wording.counted(finding.n_items, "first try", "first tries")
    low, high = finding.interval90
    return EstimateView(
        state=STATES[finding.state],
        chance=wording.percent(finding.p),
        value=signed(finding.mean),
        interval=f"{signed(low)} to {signed(high)}",
        strip=Strip(x(low), x(high), x(finding.mean)),
        is_weak=finding.state is State.NEEDS_EVIDENCE,
        evidence=f"{tries} in {wording.counted(finding.n_notebooks, 'notebook')}",
        brief=_brief(finding),
        reasons=finding.reasons,
    )


def scale(report: Report) -> Scale:
    """Return the axis that every strip of the report shares."""
    ticks = tuple(Tick(x(value), text) for value, text in ((-2.0, "−2"), (0.0, "0"), (2.0, "+2")))
    return Scale(_WIDTH, ticks, Tick(x(report.bar), signed(report.bar)))


def legend(report: Report, policy: Policy) -> tuple[str, ...]:
    """Return how to read the estimates, and what they rest on."""
    left_out = ", ".join(f"{wording.whole(n)} {reason}" for reason, n in report.left_out.items())
    return (
        "Estimated ability at the end of the course: 0 is the cohort's middle, 1 one standard deviation between students.",
        "The line holds the true value with a probability of 90 %; the dot is the estimate.",
        f"Above the bar ({signed(report.bar)}) lie the top {wording.percent(policy.target.top_share)} of the reference population."
        " The chance is the probability of ending above the bar.",
        f"Watch from {wording.percent(policy.states.watch)}, provisional from {wording.percent(policy.states.provisional)}."
        " A state is an invitation to look, never a verdict.",
        f"Only the first graded try of each exercise counts: {wording.whole(report.n_first_tries)} of them,"
        f" at {report.n_exercises} exercises in {wording.counted(report.n_notebooks, 'notebook')}"
        + (f"; left out: {left_out}." if left_out else "."),
        f"Engine {report.engine}, policy {report.policy}, as of event {report.last_event}.",
    )


def x(value: float) -> float:
    """Return where an ability stands in the drawing; what lies beyond the axis stands at its end."""
    inside = min(max(value, _LOW), _HIGH)
    return round(_MARGIN + (inside - _LOW) / (_HIGH - _LOW) * (_WIDTH - 2 * _MARGIN), 1)


def signed(value: float) -> str:
    """Return "+0.4", "−1.2" or "0"."""
    text = f"{value:+.1f}".replace("-", "−")
    return "0" if text in ("+0.0", "−0.0") else text


def _brief(finding: Finding) -> str:
    if finding.why and finding.why.hardest:
        best = finding.why.hardest[0]
        return f"solved {best.title} at the first try, as {wording.whole(best.n_passed)} of {wording.whole(best.n_tried)} did"
    return finding.settle.lacking[0].rstrip(".") if finding.settle and finding.settle.lacking else ""
