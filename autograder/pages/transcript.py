"""Transcripts and what was found about them in; the holder's page and the stranger's page out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from autograder.pages import wording
from autograder.pages.figure import Table
from autograder.pages.models import Snapshot
from autograder.pages.wording import Mark, Moment
from autograder.transcripts.register import Changed, Transcript, total
from autograder.transcripts.statement import Line, Statement

HOLDS = Mark("holds", "check", "good", "It was signed by this course, and what it says is still so.")
CHANGED = Mark("changed since", "again", "ours", "It was signed by this course; some results were graded again since.")
NO_KEY = Mark("cannot be relied on", "alert", "bad", "The key that signed it was withdrawn. Ask its holder for a new one.")
GONE = Mark("withdrawn", "ring", "mute", "It was withdrawn by its holder, or erased with their data.")


@dataclass(frozen=True)
class Choosable:
    """An assignment that can stand in a transcript."""

    id: Annotated[str, "The assignment's folder."]
    title: Annotated[str, "The assignment's title."]
    points: Annotated[str, "Points of the newest graded attempt."]


@dataclass(frozen=True)
class Issued:
    """One transcript, for its holder."""

    code: Annotated[str, "The end of its address."]
    address: Annotated[str, "The address to give to others."]
    name: Annotated[str, "The name that it shows; empty for none."]
    issued: Annotated[Moment, "When it was signed."]
    tally: Annotated[str, "What it says, in short."]


@dataclass(frozen=True)
class TranscriptsPage:
    """A student's transcripts."""

    name: Annotated[str, "Whose they are."]
    choosable: Annotated[tuple[Choosable, ...], "What can be shown."]
    issued: Annotated[tuple[Issued, ...], "Those that stand, newest first."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class VerifyPage:
    """What a stranger is told of a transcript. Nothing but the mark when it is gone."""

    mark: Annotated[Mark, "Whether it holds."]
    course: Annotated[str, "The course, as it was called when it was signed."]
    name: Annotated[str, "The name that its holder chose; empty for none."]
    issued: Annotated[Moment | None, "When it was signed."]
    tally: Annotated[str, "Points in all."]
    table: Annotated[Table, "What it says of each assignment."]
    changes: Annotated[tuple[str, ...], "What has changed since it was signed."]
    code: Annotated[str, "The end of its address."]
    key: Annotated[str, "The name of the key that signed it."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def issued(transcript: Transcript, address: str) -> Issued:
    """Return a transcript as its holder sees it."""
    s = transcript.statement
    return Issued(s.code, address, s.name, Moment.of(datetime.fromisoformat(s.issued)), tally(s))


def verified(transcript: Transcript, holds: bool, changes: Sequence[Changed], snapshot: Snapshot) -> VerifyPage:
    """Return what a stranger sees of a transcript that stands."""
    s = transcript.statement
    mark = NO_KEY if not holds else CHANGED if changes else HOLDS
    return VerifyPage(
        mark=mark,
        course=s.course,
        name=s.name,
        issued=Moment.of(datetime.fromisoformat(s.issued)),
        tally=tally(s),
        table=Table(("Assignment", "Points", "Exercises passed", "Handed in"), tuple(_row(x) for x in s.lines)),
        changes=tuple(_change(c) for c in changes),
        code=s.code,
        key=transcript.signature.key,
        snapshot=snapshot,
    )


def gone(snapshot: Snapshot) -> VerifyPage:
    """Return what a stranger sees of one that was withdrawn."""
    return VerifyPage(GONE, "", "", None, "", Table((), ()), (), "", "", snapshot)


def tally(s: Statement) -> str:
    earned, most = total(s.lines)
    return f"{wording.number(earned)} of {wording.number(most)} points in {wording.counted(len(s.lines), 'assignment')}"


def points(x: Line) -> str:
    return f"{wording.number(x.points)} / {wording.number(x.max_points)}"


def _row(x: Line) -> tuple[str, ...]:
    unscored = f", {x.n_unscored} not scored by our fault" if x.n_unscored else ""
    return x.title, points(x), f"{x.n_passed} of {x.n_exercises}{unscored}", x.handed_in


def _change(c: Changed) -> str:
    when = f" on {Moment.of(c.at).text}" if c.at else ""
    why = f": {c.reason}" if c.reason else "."
    return f"{c.title}: graded again{when}, from {wording.number(c.points_before)} to {wording.number(c.points_after)} points{why}"
