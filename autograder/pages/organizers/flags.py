"""A survey, a policy and what people decided in; whom to look at, and what inviting some of them would mean, out.

In order of state and then of name. Only who is flagged, was flagged, rises or waits for a human is listed: nobody is last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from autograder.pages import charts, estimates, wording
from autograder.pages.cohort import PART_SIZE, choose_part
from autograder.pages.figure import Figure, figure
from autograder.pages.models import Choice, EstimateView, Scale, Snapshot, Strip, Tick
from autograder.pages.organizers.overview import choose_cohort
from autograder.pages.organizers.profile import beside
from autograder.pages.organizers.timeline import DECIDED, Entry, timeline
from autograder.pages.wording import Mark, Moment
from autograder.progress import Finding, Policy, Report, State
from autograder.progress.shortlist import Candidate, Shortlist, choose
from autograder.records import Event
from autograder.survey import Survey

ALPHAS, SEATS = range(1, 51), range(1, 201)
_LISTED = (State.PROVISIONAL, State.WATCH, State.DROPPED)
_WIDTH = 140.0
_N_BINS = 20


@dataclass(frozen=True)
class Wanted:
    """What a reader asked of the list: the largest share of false names to expect, in per cent, and how many seats there are."""

    alpha: int
    seats: int

    @classmethod
    def of(cls, policy: Policy) -> Wanted:
        """Return what the policy says."""
        return cls(round(100 * policy.shortlist.alpha), policy.shortlist.seats)

    def is_sound(self) -> bool:
        return self.alpha in ALPHAS and self.seats in SEATS


@dataclass(frozen=True)
class FlagLine:
    """One student who is worth a look."""

    name: Annotated[str, "The student's name on the Hub."]
    pseudonym: Annotated[str, "The student's name in the records."]
    estimate: Annotated[EstimateView, "What the tracker says."]
    beside: Annotated[tuple[Mark, ...], "What stands beside the state: rising, on hold."]
    strip: Annotated[Strip, "The chance as a drawing, from 0 to 100 %."]
    before: Annotated[str, "The state at the last recorded evaluation."]
    decision: Annotated[Mark | None, "What an organizer decided last."]
    decided: Annotated[str, "Who decided so, when and why."]


@dataclass(frozen=True)
class Invited:
    """One name of the list."""

    name: Annotated[str, "The student's name on the Hub."]
    pseudonym: Annotated[str, "The student's name in the records."]
    chance: Annotated[str, "The probability of ending the course above the bar."]


@dataclass(frozen=True)
class ListView:
    """Whom the policy would invite at some alpha and some seats. Nothing is recorded by looking."""

    alpha: Annotated[int, "The largest expected share of false names, in per cent."]
    seats: Annotated[int, "How many can be invited."]
    invited: Annotated[tuple[Invited, ...], "The list, in order of the chance."]
    expected_false: Annotated[str, "How many of the list are expected not to end above the bar."]
    explored: Annotated[str, "How many seats are kept for a draw, and from whom."]
    limit: Annotated[str, "What ended the list."]


@dataclass(frozen=True)
class FlagsPage:
    """Whom to look at."""

    cohort: Annotated[str, "The cohort's name."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts there are."]
    lines: Annotated[tuple[FlagLine, ...], "Who is flagged, was flagged, rises or is on hold."]
    scale: Annotated[Scale, "The axis of the chances, with the policy's thresholds."]
    parts: Annotated[tuple[Choice, ...], "The parts of a long table."]
    n_listed: Annotated[int, "How many students are listed in all parts."]
    chances: Annotated[Figure, "How the cohort's chances are spread."]
    list: Annotated[ListView, "Whom the policy would invite."]
    alphas: Annotated[tuple[int, int], "The smallest and the largest alpha, in per cent."]
    seats: Annotated[tuple[int, int], "The fewest and the most seats."]
    timeline: Annotated[tuple[Entry, ...], "What was recorded about the cohort's flags, newest first."]
    recorded: Annotated[str, "Which evaluation is recorded, and since when; empty when none is."]
    legend: Annotated[tuple[str, ...], "How to read the page."]
    too_early: Annotated[str, "Why nobody can be judged yet; empty when somebody can."]
    today: Annotated[str, "The survey's date, as a browser's field writes it."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def listed(report: Report, names: Mapping[str, str]) -> list[Finding]:
    """Return who is worth a look, by state and then by name."""
    found = [f for f in report.students if f.n_items and (f.state in _LISTED or f.is_rising or f.on_hold)]
    order = list(estimates.STATES)
    return sorted(found, key=lambda f: (order.index(f.state), names.get(f.pseudonym, f.pseudonym).casefold()))


def flags_page(
    survey: Survey,
    policy: Policy,
    cohorts: Sequence[str],
    names: Mapping[str, str],
    decided: Mapping[str, Event],
    events: Sequence[Event],
    recorded: Event | None,
    wanted: Wanted,
    part: int,
) -> FlagsPage:
    """Return the page; `names` are of the whole cohort, `recorded` is the newest recorded evaluation."""
    found = listed(survey.report, names)
    n_parts = max(1, -(-len(found) // PART_SIZE))
    part = min(part, n_parts)
    shown = found[(part - 1) * PART_SIZE : part * PART_SIZE]
    return FlagsPage(
        cohort=survey.cohort,
        cohorts=choose_cohort(cohorts, survey.cohort),
        lines=tuple(_line(f, names, decided.get(f.pseudonym)) for f in shown),
        scale=_scale(policy),
        parts=choose_part(part, n_parts, lambda n: wording.query(cohort=survey.cohort, part=n)),
        n_listed=len(found),
        chances=_chances(survey, policy),
        list=list_view(survey.report, policy, names, wanted),
        alphas=(ALPHAS[0], ALPHAS[-1]),
        seats=(SEATS[0], SEATS[-1]),
        timeline=timeline(events, names),
        recorded=f"event {recorded.id} on {Moment.of(recorded.at).text}, by {recorded.actor}" if recorded else "",
        legend=estimates.legend(survey.report, policy),
        too_early=survey.report.too_early,
        today=f"{survey.at:%Y-%m-%d}",
        snapshot=Snapshot(survey.event, Moment.of(survey.at)),
    )


def list_view(report: Report, policy: Policy, names: Mapping[str, str], wanted: Wanted) -> ListView:
    """Return whom the policy would invite. Who lacks evidence or waits for a human comes up again at the next date."""
    rule = policy.shortlist.model_copy(update={"alpha": wanted.alpha / 100, "seats": wanted.seats})
    who = [Candidate(f.pseudonym, f.p, f.sd) for f in report.students if f.state is not State.NEEDS_EVIDENCE and not f.on_hold]
    made = choose(who, rule, "preview")
    n_drawn = len(made.explored)
    middle = f"chances from {wording.percent(rule.explore_low)} to {wording.percent(rule.explore_high)}"
    return ListView(
        alpha=wanted.alpha,
        seats=wanted.seats,
        invited=tuple(Invited(names.get(c.pseudonym, c.pseudonym), c.pseudonym, wording.percent(c.p)) for c in made.invited),
        expected_false=f"{made.expected_false:.1f} of {len(made.invited)}",
        explored=f"{wording.counted(n_drawn, 'seat')} drawn on the decision date from {middle}" if n_drawn else "",
        limit=_limit(made, wanted, round(rule.explore_share * rule.seats), len(who)),
    )


def _limit(made: Shortlist, wanted: Wanted, n_explore: int, n_candidates: int) -> str:
    n = len(made.invited)
    if not n_candidates:
        return "There is not enough evidence about anybody yet."
    if n >= wanted.seats - n_explore:
        return "Every seat is taken; there may be others as likely."
    if n == n_candidates:
        return "Everybody who can be judged is on it."
    return f"One name more, and more than {wanted.alpha} % of the list would be expected to be false."


def _line(f: Finding, names: Mapping[str, str], decision: Event | None) -> FlagLine:
    said = ""
    if decision:
        said = f"{decision.actor}, {Moment.of(decision.at).text}: {decision.payload['reason']}"
    return FlagLine(
        name=names.get(f.pseudonym, f.pseudonym),
        pseudonym=f.pseudonym,
        estimate=estimates.view(f),
        beside=beside(f),
        strip=Strip(_x(0), _x(f.p), _x(f.p)),
        before=estimates.STATES[f.before].word if f.before else wording.NOTHING,
        decision=DECIDED[str(decision.payload["decision"])] if decision else None,
        decided=said,
    )


def _x(p: float) -> float:
    return round(6 + p * (_WIDTH - 12), 1)


def _scale(policy: Policy) -> Scale:
    rule = policy.states
    ticks = tuple(Tick(_x(p), wording.percent(p).replace(" %", "")) for p in (rule.watch, rule.provisional))
    return Scale(_WIDTH, ticks, None)


def _chances(survey: Survey, policy: Policy) -> Figure:
    known = [f.p for f in survey.report.students if f.state is not State.NEEDS_EVIDENCE and f.n_items]
    counts = [0] * _N_BINS
    for p in known:
        counts[min(int(p * _N_BINS), _N_BINS - 1)] += 1
    width = 100 // _N_BINS
    rows = [{"low": k * width, "high": (k + 1) * width, "n": n} for k, n in enumerate(counts)]
    words = [(f"{r['low']} to {r['high']} %", wording.whole(counts[k])) for k, r in enumerate(rows)] if known else []
    rules = [
        *charts.rule(100 * policy.states.watch, "x", "watch"),
        *charts.rule(100 * policy.states.provisional, "x", "provisional"),
    ]
    return figure(
        "chances",
        "Chances to end above the bar",
        f"n = {wording.counted(len(known), 'student')} with enough evidence",
        charts.histogram(rows, "low", "high", "n", "chance (per cent)", "students", rules),
        ("chance", "students"),
        words,
        empty="Nobody has enough evidence yet.",
        made=Moment.of(survey.at),
    )
