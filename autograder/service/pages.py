"""What a page shows: frozen dataclasses of ready words, each field with a help text. No data access, no arithmetic.

A template places these fields and does nothing else. The help texts are the pages' own dictionary: column heads and
legends quote them through `help_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_type_hints

from autograder.service.wording import Mark, Moment


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
    id: Annotated[str, "The exercise's name in the notebook."]
    mark: Annotated[Mark, "How the hidden checks judged the answer."]
    points: Annotated[str, "Points earned; a dash when we could not grade it."]
    max_points: Annotated[str, "Points that the exercise is worth."]
    share: Annotated[int, "Points earned in per cent of what the exercise is worth."]
    tries: Annotated[str, "How often an answer was handed in so far; handing in the empty exercise does not count."]
    hint: Annotated[str, "What the first failed check noticed."]
    more_hints: Annotated[tuple[str, ...], "What further failed checks noticed."]
    checks: Annotated[str, "How many hidden checks accepted the answer."]
    notes: Annotated[tuple[str, ...], "What happened while the answer was read or run."]


@dataclass(frozen=True)
class AttemptView:
    """One attempt with all its exercises."""

    id: Annotated[str, "The attempt's own number, for questions about it."]
    number: Annotated[int, "Attempts count from 1."]
    received: Annotated[Moment, "When the attempt arrived, by the server's clock."]
    graded: Annotated[Moment | None, "When it was graded last."]
    mark: Annotated[Mark, "Where the attempt stands."]
    points: Annotated[str, "Points earned in this attempt."]
    max_points: Annotated[str, "Points that the whole assignment is worth."]
    share: Annotated[int, "Points earned in per cent."]
    tally: Annotated[str, "How many exercises passed."]
    unscored: Annotated[str, "What we could not grade; empty when everything was."]
    rows: Annotated[tuple[ExerciseRow, ...], "One line per exercise, in the notebook's order."]
    notes: Annotated[tuple[str, ...], "What happened while the notebook was read."]
    error: Annotated[str, "Why the file could not be read; empty when it could."]


@dataclass(frozen=True)
class AttemptLink:
    """An earlier attempt, to look at."""

    id: Annotated[str, "The attempt's own number."]
    number: Annotated[int, "Attempts count from 1."]
    received: Annotated[Moment, "When the attempt arrived, by the server's clock."]
    mark: Annotated[Mark, "Where the attempt stands."]
    points: Annotated[str, "Points earned in this attempt."]
    max_points: Annotated[str, "Points that the whole assignment is worth."]


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
    is_open: Annotated[bool, "Whether the exercises are shown at once: they are for what arrived last."]
    earlier: Annotated[tuple[AttemptLink, ...], "The attempts before it, newest first."]


@dataclass(frozen=True)
class StudentPage:
    """A student's own work."""

    name: Annotated[str, "Whose results these are."]
    cards: Annotated[tuple[AssignmentCard, ...], "The course's assignments in teaching order."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class AttemptPage:
    """One attempt of the student who looks."""

    name: Annotated[str, "Whose attempt this is."]
    assignment: Annotated[str, "The assignment's title."]
    attempt: Annotated[AttemptView, "The attempt."]
    n_attempts: Annotated[int, "How many attempts there are at this assignment."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]
