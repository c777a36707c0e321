"""What a page shows: frozen dataclasses of ready words, each field with a help text. No data access, no arithmetic.

A template places these fields and does nothing else. The help texts are the pages' own dictionary: column heads and
legends quote them through `help_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_type_hints

from autograder.pages.wording import Mark, Moment


def help_of(page: type, name: str) -> str:
    """Return the help text of a page's field. Raises: KeyError when there is no such field."""
    text: str = get_type_hints(page, include_extras=True)[name].__metadata__[0]
    return text


@dataclass(frozen=True)
class Snapshot:
    """Which state of the records a page shows."""

    event: Annotated[int, "The number of the last event in the ledger that this page knows of."]
    at: Annotated[Moment, "When the page was made."]


@dataclass(frozen=True)
class ExerciseRow:
    """One exercise of one attempt."""

    title: Annotated[str, "What the exercise asks for."]
    id: Annotated[str, "What the answer is called in the notebook."]
    exercise: Annotated[str, "The exercise's name in the records."]
    is_disputable: Annotated[bool, "Whether there is something to report as wrong: a result, and less than everything."]
    mark: Annotated[Mark, "How the hidden checks judged the answer."]
    points: Annotated[str, "Points earned; a dash when we could not grade it. A bonus exercise earns none."]
    max_points: Annotated[str, "Points that the exercise is worth; empty for a bonus."]
    tries: Annotated[str, "How often an answer was handed in so far; handing in the empty exercise does not count."]
    time: Annotated[str, "Computing that the hidden checks of the answer took."]
    hint: Annotated[str, "What the first failed check noticed."]
    more_hints: Annotated[tuple[str, ...], "What further failed checks noticed."]
    checks: Annotated[str, "How many hidden checks accepted the answer."]
    notes: Annotated[tuple[str, ...], "What happened while the answer was read or run."]


@dataclass(frozen=True)
class AttemptLink:
    """An attempt, to look at."""

    id: Annotated[str, "The attempt's own number, for questions about it."]
    number: Annotated[int, "Attempts count from 1."]
    received: Annotated[Moment, "When the attempt arrived, by the server's clock."]
    mark: Annotated[Mark, "Where the attempt stands."]
    points: Annotated[str, "Points earned in this attempt."]
    max_points: Annotated[str, "Points that the whole assignment is worth."]


@dataclass(frozen=True)
class AttemptView(AttemptLink):
    """One attempt with all its exercises."""

    graded: Annotated[Moment | None, "When it was graded last."]
    share: Annotated[int, "Points earned in per cent."]
    tally: Annotated[str, "How many exercises passed."]
    unscored: Annotated[str, "What we could not grade; empty when everything was."]
    rows: Annotated[tuple[ExerciseRow, ...], "One line per exercise, in the notebook's order."]
    notes: Annotated[tuple[str, ...], "What happened while the notebook was read."]
    error: Annotated[str, "Why the file could not be read; empty when it could."]
    changed: Annotated[str, "What a regrade changed; empty when none did."]
    late: Annotated[str, "How late it came and what that costs; empty when it was in time."]
    poll_s: Annotated[int, "After how many seconds to ask again; 0 when nothing will change by itself."]


@dataclass(frozen=True)
class AssignmentCard:
    """One assignment as one student sees it."""

    id: Annotated[str, "The assignment's folder and notebook."]
    title: Annotated[str, "The assignment's title."]
    place: Annotated[str, "Its week and track."]
    due: Annotated[Moment | None, "When it is due."]
    mark: Annotated[Mark, "Where the newest attempt stands."]
    max_points: Annotated[str, "Points that the assignment is worth; a dash when it is not released yet."]
    newest: Annotated[AttemptView | None, "The newest attempt, or nothing."]
    earlier: Annotated[tuple[AttemptLink, ...], "The attempts before it, newest first."]


@dataclass(frozen=True)
class AttemptPage:
    """One attempt of the student who looks."""

    name: Annotated[str, "Whose attempt this is."]
    assignment: Annotated[str, "The assignment's title."]
    attempt: Annotated[AttemptView, "The attempt."]
    n_attempts: Annotated[int, "How many attempts there are at this assignment."]
    others: Annotated[tuple[AttemptLink, ...], "The other attempts at it, newest first."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class Strip:
    """An estimate drawn on a line: where its marks stand, in units of the drawing."""

    low: Annotated[float, "Where the interval begins."]
    high: Annotated[float, "Where the interval ends."]
    mid: Annotated[float, "Where the estimate stands."]


@dataclass(frozen=True)
class Tick:
    """A label of an axis."""

    at: Annotated[float, "Where it stands, in units of the drawing."]
    text: Annotated[str, "What it says."]


@dataclass(frozen=True)
class Scale:
    """The axis that every strip of a page shares."""

    width: Annotated[float, "How wide the drawing is."]
    ticks: Annotated[tuple[Tick, ...], "The axis' labels."]
    bar: Annotated[Tick | None, "Where the bar for an invitation stands."]


@dataclass(frozen=True)
class EstimateView:
    """What the tracker says of one student."""

    state: Annotated[Mark, "What the tracker suggests. It is an invitation to look, never a verdict."]
    chance: Annotated[str, "The probability of ending the course above the bar, given the first tries so far."]
    value: Annotated[
        str, "Estimated ability at the end of the course, on the cohort's scale: 0 is the middle, 1 a standard deviation."
    ]
    interval: Annotated[str, "The true value lies in it with the probability that the legend names."]
    strip: Annotated[Strip | None, "The same interval as a drawing."]
    is_weak: Annotated[bool, "Whether too little is known for a state; then the numbers are pale."]
    evidence: Annotated[str, "How many first tries the estimate rests on."]
    brief: Annotated[str, "The first reason, in a few words."]
    reasons: Annotated[tuple[str, ...], "Why the state is what it is, what speaks against it too."]


@dataclass(frozen=True)
class PointsCell:
    """One student's newest attempt at one assignment."""

    points: Annotated[str, "Points of the newest attempt; a dash when nothing was handed in or nothing could be graded."]
    mark: Annotated[
        Mark | None, "What is special about it: it waits, it could not be read, or part of it is unscored by our fault."
    ]


@dataclass(frozen=True)
class CohortLine:
    """One student in the cohort table."""

    name: Annotated[str, "The student's name on the Hub."]
    pseudonym: Annotated[str, "The student's name in the records."]
    left: Annotated[bool, "Whether the student has left the course."]
    estimate: Annotated[EstimateView, "What the tracker says."]
    cells: Annotated[tuple[PointsCell, ...], "One cell per assignment."]
    total: Annotated[str, "Points of the newest attempts together."]


@dataclass(frozen=True)
class Column:
    """One assignment in the cohort table."""

    id: Annotated[str, "The assignment's folder."]
    short: Annotated[str, "What stands above the column."]
    title: Annotated[str, "The assignment's title."]
    max_points: Annotated[str, "Points that it is worth."]
    n_handed_in: Annotated[int, "How many students of the cohort have handed in."]


@dataclass(frozen=True)
class Count:
    """How many students are in one state."""

    mark: Annotated[Mark, "The state."]
    n: Annotated[int, "How many students are in it."]


@dataclass(frozen=True)
class Choice:
    """A link that shows the same page otherwise."""

    text: Annotated[str, "What it chooses."]
    query: Annotated[str, "What it adds to the page's address."]
    is_chosen: Annotated[bool, "Whether the page is shown this way now."]


@dataclass(frozen=True)
class CohortPage:
    """Everybody of one cohort. There is no order by points or probability, so there is no bottom of a list."""

    cohort: Annotated[str, "The cohort's name."]
    n_students: Annotated[int, "How many students the cohort has."]
    counts: Annotated[tuple[Count, ...], "How many students are in each state."]
    columns: Annotated[tuple[Column, ...], "The course's assignments."]
    lines: Annotated[tuple[CohortLine, ...], "The students of this part of the table."]
    scale: Annotated[Scale, "The axis of the estimates."]
    orders: Annotated[tuple[Choice, ...], "How the table can be ordered."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts there are."]
    parts: Annotated[tuple[Choice, ...], "The parts of a long table."]
    shown: Annotated[str, "Which students this part of the table shows."]
    legend: Annotated[tuple[str, ...], "How the estimate was made, and how to read it."]
    too_early: Annotated[str, "Why nobody can be judged yet; empty when somebody can."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class DeadLetter:
    """A hand-in that our grader gave up on."""

    attempt: Annotated[str, "The attempt's own number."]
    who: Annotated[str, "The student's name in the records."]
    assignment: Annotated[str, "The assignment's folder."]
    since: Annotated[Moment | None, "Since when it stands so."]
    n_tries: Annotated[int, "How often it was tried."]
    reason: Annotated[str, "What went wrong the last time."]


@dataclass(frozen=True)
class DisputeLine:
    """A student's report that a result is wrong."""

    at: Annotated[Moment, "When it was filed."]
    who: Annotated[str, "The student's name in the records."]
    attempt: Annotated[str, "The attempt's own number."]
    exercise: Annotated[str, "The exercise."]
    why: Annotated[str, "The student's words."]


@dataclass(frozen=True)
class TimeLine:
    """What grading one exercise costs."""

    exercise: Annotated[str, "The exercise."]
    n: Annotated[str, "How many verdicts there are."]
    p50: Annotated[str, "Half of them cost at most so much computing."]
    p95: Annotated[str, "Nineteen in twenty of them cost at most so much computing."]
    n_infra: Annotated[str, "How many are unscored by our fault."]
    n_disputed: Annotated[str, "How often students reported a result as wrong."]


@dataclass(frozen=True)
class GradingPage:
    """How grading is doing."""

    facts: Annotated[tuple[Count, ...], "The queue in numbers."]
    oldest: Annotated[str, "How long the oldest hand-in has waited."]
    dead: Annotated[tuple[DeadLetter, ...], "Hand-ins that our grader gave up on. None of them is a zero."]
    disputes: Annotated[tuple[DisputeLine, ...], "The newest reports of results that students think are wrong."]
    times: Annotated[tuple[TimeLine, ...], "What grading costs, by exercise."]
    problem: Annotated[str, "Why an edit of course.toml does not hold; empty when it does."]
    releases: Annotated[tuple[str, ...], "What is released, and which run of the gate let it out."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]
