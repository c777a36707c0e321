"""Confirmed decisions, names and results in; the mentors' pages out. Who is not confirmed is not there, and no chance is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from autograder.pages.catalog import Catalog
from autograder.pages.models import Snapshot
from autograder.pages.organizers.profile import GridRow, grid
from autograder.pages.wording import Moment, whole
from autograder.records import AssignmentResult, Event, Student


@dataclass(frozen=True)
class MenteeLine:
    """One confirmed invitee."""

    name: Annotated[str, "The student's name on the Hub."]
    pseudonym: Annotated[str, "The student's name in the records."]
    confirmed: Annotated[Moment, "When an organizer confirmed."]


@dataclass(frozen=True)
class MenteesPage:
    """Everybody whom an organizer has confirmed, by name."""

    lines: Annotated[tuple[MenteeLine, ...], "The invitees."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class MenteePage:
    """One confirmed invitee, for a mentor: the work, and why an organizer chose them. That it was looked at is an event."""

    name: Annotated[str, "The student's name on the Hub."]
    cohort: Annotated[str, "The student's cohort."]
    joined: Annotated[Moment, "When the student joined."]
    confirmed: Annotated[Moment, "When an organizer confirmed."]
    why: Annotated[str, "The organizer's words."]
    solved: Annotated[tuple[str, ...], "The hardest exercises that were solved at the first try."]
    grid: Annotated[tuple[GridRow, ...], "Every exercise that the student met."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def mentees_page(confirmed: Mapping[str, Event], names: Mapping[str, str], snapshot: Snapshot) -> MenteesPage:
    """Return the page of all confirmed invitees."""
    lines = [MenteeLine(names.get(p, p), p, Moment.of(e.at)) for p, e in confirmed.items()]
    return MenteesPage(tuple(sorted(lines, key=lambda line: line.name.casefold())), snapshot)


def mentee_page(
    catalog: Catalog,
    person: tuple[Student, str],
    decision: Event,
    row: Event | None,
    results: Sequence[AssignmentResult],
    snapshot: Snapshot,
) -> MenteePage:
    """Return the page of one; `row` is the evaluation's row that the decision was about."""
    student, name = person
    why = (row.payload.get("why") or {}) if row else {}
    solved = [
        f"{s['title']}: solved at the first try, as {whole(s['n_passed'])} of {whole(s['n_tried'])} did"
        for s in why.get("hardest", ())
    ]
    return MenteePage(
        name=name,
        cohort=student.cohort,
        joined=Moment.of(student.joined_at),
        confirmed=Moment.of(decision.at),
        why=str(decision.payload["reason"]),
        solved=tuple(solved),
        grid=grid(catalog, results),
        snapshot=snapshot,
    )
