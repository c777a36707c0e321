"""Who is stuck, what they were told last, and who has not handed in, in; a list with a next action per line out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from autograder.grading.verdict import Status
from autograder.pages import wording
from autograder.pages.catalog import Catalog
from autograder.pages.journey import Wish
from autograder.pages.models import Choice, Snapshot
from autograder.pages.teachers.health import snapshot_of
from autograder.pages.wording import Mark, Moment
from autograder.records.newest_word import Word
from autograder.records.roll import Roll
from autograder.survey import Survey
from autograder.survey.stuck import LEAST_TRIES, Stuck

N_SHOWN = 50
MANY = 0.25  # of those who tried an exercise: then it is the exercise's turn


@dataclass(frozen=True)
class StuckLine:
    """One student at one exercise."""

    name: Annotated[str, "The student's name on the Hub."]
    pseudonym: Annotated[str, "The student's name in the records."]
    exercise: Annotated[str, "What it asks for."]
    path: Annotated[str, "Where the exercise is measured."]
    n_tries: Annotated[str, "How often they handed it in."]
    mark: Annotated[Mark, "What came of the newest try."]
    check: Annotated[str, "The hidden check that it fails first."]
    hint: Annotated[str, "What the student was told."]
    attempt: Annotated[str, "The newest attempt, for `bootcamp replay`."]
    action: Annotated[str, "What to do next."]


@dataclass(frozen=True)
class Missing:
    """An assignment that is due about now, and who has not handed it in."""

    title: Annotated[str, "The assignment's title."]
    due: Annotated[Moment, "When it is due."]
    is_over: Annotated[bool, "Whether that has passed."]
    n: Annotated[str, "How many have not handed in."]
    names: Annotated[tuple[tuple[str, str], ...], "The first of them: name and pseudonym."]
    more: Annotated[str, "How many more there are; empty for none."]
    action: Annotated[str, "What to do next."]


@dataclass(frozen=True)
class Asked:
    """A student who asked for a person and waits for an answer."""

    event: Annotated[int, "The wish's number in the log."]
    name: Annotated[str, "The student's name on the Hub."]
    pseudonym: Annotated[str, "The student's name in the records."]
    wish: Annotated[Wish, "What they asked for."]


@dataclass(frozen=True)
class StuckPage:
    """Who needs help, not who is bad: the order is by tries."""

    cohort: Annotated[str, "The cohort."]
    cohorts: Annotated[tuple[Choice, ...], "Which cohorts there are."]
    asked: Annotated[tuple[Asked, ...], "Students who asked for a person, the longest wait first."]
    least: Annotated[int, "From how many tries on somebody counts as stuck."]
    lines: Annotated[tuple[StuckLine, ...], "Students who tried one exercise again and again."]
    more: Annotated[str, "How many more there are; empty for none."]
    missing: Annotated[tuple[Missing, ...], "Assignments that are due about now."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def stuck_page(
    survey: Survey,
    names: Mapping[str, str],
    words: Mapping[tuple[str, str], Word],
    missing: tuple[Missing, ...],
    asked: tuple[Asked, ...],
    cohorts: tuple[Choice, ...],
) -> StuckPage:
    """Return the page; `names` and `words` are of the students that it shows."""
    shown = survey.stuck.kept[:N_SHOWN]
    n_more = survey.stuck.n - len(shown)
    return StuckPage(
        cohort=survey.cohort,
        cohorts=cohorts,
        asked=asked,
        least=LEAST_TRIES,
        lines=tuple(_line(survey, s, names, words.get((s.pseudonym, s.exercise))) for s in shown),
        more=f"{wording.whole(n_more)} more are stuck somewhere." if n_more else "",
        missing=missing,
        snapshot=snapshot_of(survey),
    )


def missing(catalog: Catalog, assignment: str, found: Roll, is_over: bool) -> Missing | None:
    """Return who has not handed in, None when everybody has or nothing is due."""
    known = catalog.assignment(assignment)
    if not found.n or known is None or known.due is None:
        return None
    n_more = found.n - len(found.lines)
    action = "Ask what holds them up; grant an extension where it helps." if is_over else "Remind them while there is time."
    return Missing(
        title=known.title,
        due=Moment.of(known.due),
        is_over=is_over,
        n=wording.counted(found.n, "student"),
        names=tuple((name, student.pseudonym) for student, name in found.lines),
        more=f"and {wording.whole(n_more)} more" if n_more else "",
        action=action,
    )


def _line(survey: Survey, s: Stuck, names: Mapping[str, str], word: Word | None) -> StuckLine:
    count = next((c for c in survey.exercises if c.exercise == s.exercise), None)
    name = s.exercise.removeprefix(f"{s.assignment}.")
    n_others = sum(x.exercise == s.exercise for x in survey.stuck.kept) - 1
    many = count is not None and count.n_tried > 0 and (count.n_tried - count.n_passed) / count.n_tried >= MANY
    return StuckLine(
        name=names.get(s.pseudonym, s.pseudonym),
        pseudonym=s.pseudonym,
        exercise=count.title if count else name,
        path=f"{s.assignment}/{name}",
        n_tries=str(s.n_tries),
        mark=wording.VERDICTS[word.status] if word else wording.WAITING,
        check=word.check if word else "",
        hint=word.hint if word else "",
        attempt=word.attempt if word else "",
        action=_action(word, n_others if many else 0),
    )


def _action(word: Word | None, n_others: int) -> str:
    if n_others > 0:
        return f"Look at the exercise first: {wording.counted(n_others, 'other')} of this list are stuck at it, too."
    if word is None:
        return "Wait for the result of the newest try."
    match word.status:
        case Status.TIMEOUT:
            return "Ask how its cost grows with the input; let them time it on twice the size."
        case Status.ERROR:
            return "Run the hint's smallest input together and read the traceback from its end."
        case Status.CRASHED:
            return "Ask what it allocates, and whether it calls itself without an end."
        case Status.TAMPERED:
            return "Talk before anything else: it may be a misunderstanding of the rules."
    return "Let them reproduce the hint by hand on the smallest input, then compare line by line." if word.hint else "Replay it."


def shown(survey: Survey) -> Sequence[tuple[str, str]]:
    """Return (pseudonym, exercise) of the lines that the page shows."""
    return [(s.pseudonym, s.exercise) for s in survey.stuck.kept[:N_SHOWN]]
