"""What one student showed in; their own progress out: a band, stages of tracks, what to try next, badges, their wishes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated

from autograder.course import Manifest
from autograder.grading.verdict import Status
from autograder.pages import estimates, wording
from autograder.pages.catalog import Catalog
from autograder.pages.models import EstimateView, Scale, Snapshot
from autograder.pages.wording import Mark, Moment
from autograder.progress.own import is_settled, own_view
from autograder.progress.report import Finding
from autograder.progress.tracks import SOLID, WORKING, Stage, Track, Work, tracks
from autograder.records import AssignmentResult, FirstTry
from autograder.records.passed import Badge, Kind, Seen, badges
from autograder.survey import Survey

N_NEXT = 4
_NOTHING = "Nothing that you handed in counts yet. The first graded try of each exercise does."
STAGES: Mapping[Stage, Mark] = MappingProxyType(
    {
        Stage.NOT_STARTED: Mark("not started", "ring", "mute", "Nothing of this track is handed in or was due."),
        Stage.STARTED: Mark("started", "dots", "part", "Something is handed in."),
        Stage.WORKING: Mark("working", "half", "part", "A third of the exercises so far pass."),
        Stage.SOLID: Mark("solid", "check", "good", "Four fifths of the exercises so far pass."),
        Stage.CONFIRMED: Mark("confirmed", "star", "good", "A later notebook that builds on it went well at first try."),
        Stage.STRETCH: Mark("stretch", "up", "good", "Every hard exercise of the track so far passes, too."),
    }
)
WISHES: Mapping[str, str] = MappingProxyType(
    {
        "review": "A person should look at my work",
        "exclusion": "A notebook should not count for my estimate",
        "regrade": "A notebook should be graded again",
    }
)


@dataclass(frozen=True)
class Step:
    """One stage of a track's strip."""

    mark: Annotated[Mark, "The stage."]
    reached: Annotated[bool, "Whether it is reached."]
    is_now: Annotated[bool, "Whether it is where you stand."]


@dataclass(frozen=True)
class TrackLine:
    """One track."""

    name: Annotated[str, "The track."]
    mark: Annotated[Mark, "Where you stand."]
    steps: Annotated[tuple[Step, ...], "All stages, those reached filled."]
    tally: Annotated[str, "How many of the exercises so far pass."]
    next: Annotated[str, "What the next stage needs."]


@dataclass(frozen=True)
class NextExercise:
    """An exercise worth trying next."""

    title: Annotated[str, "The exercise."]
    assignment: Annotated[str, "The notebook that holds it."]
    why: Annotated[str, "Why this one."]
    attempt: Annotated[str, "The attempt that shows it; empty when it was never handed in."]


@dataclass(frozen=True)
class BadgeView:
    """Something that stays."""

    mark: Annotated[Mark, "What it is for."]
    about: Annotated[str, "Which work earned it."]
    at: Annotated[Moment, "When that work arrived."]


@dataclass(frozen=True)
class Wish:
    """What the student asked for."""

    what: Annotated[str, "What it was."]
    words: Annotated[str, "In the student's own words; may be empty."]
    at: Annotated[Moment, "When."]
    answer: Annotated[str, "What a person answered; empty while nobody has."]


@dataclass(frozen=True)
class Band:
    """What the tracker tells a student of themselves."""

    estimate: Annotated[EstimateView | None, "The band, once it has settled."]
    scale: Annotated[Scale, "The axis of the band."]
    words: Annotated[tuple[str, ...], "What counts, and what it says."]
    computed: Annotated[Moment, "When it was computed."]


@dataclass(frozen=True)
class JourneyPage:
    """A student's own progress."""

    name: Annotated[str, "Whose it is."]
    band: Annotated[Band | None, "What the tracker says; nothing while that is being computed."]
    tracks: Annotated[tuple[TrackLine, ...], "Where you stand in every track."]
    next: Annotated[tuple[NextExercise, ...], "Exercises worth trying next."]
    no_next: Annotated[str, "Why there is none of them."]
    badges: Annotated[tuple[BadgeView, ...], "What you earned, newest first. Nothing takes a badge away."]
    wishes: Annotated[tuple[Wish, ...], "What you asked for, newest first."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def track_lines(
    catalog: Catalog, results: Sequence[AssignmentResult], first_tries: Sequence[FirstTry], seen: Sequence[Seen], now: datetime
) -> tuple[TrackLine, ...]:
    """Return where the student stands in every track."""
    tried = {t.exercise for r in results for t in r.tries if t.n_tries}
    passed = {s.exercise for s in seen if s.passed}
    first = {f.exercise for f in first_tries if f.status is Status.PASS}
    manifests = {a.id: m for a in catalog.assignments if (m := catalog.manifest(a.id))}
    return tuple(_track(t) for t in tracks(catalog.assignments, manifests, Work(tried, passed, first), now))


def next_exercises(catalog: Catalog, results: Sequence[AssignmentResult], finding: Finding | None) -> tuple[NextExercise, ...]:
    """Return what would tell most while the band is hidden, then what is nearest to passing."""
    attempts = {r.assignment: r.latest.attempt.id for r in results}
    why = "would tell most about where you stand"
    found = [
        NextExercise(i.title, catalog.name(i.assignment), why, attempts.get(i.assignment, ""))
        for i in (finding.settle.next if finding and finding.settle and not is_settled(finding) else ())
    ]
    open_ = [
        ((v.points or 0.0) / v.max_points, v.max_points, r, v.exercise)
        for r in results
        for v in r.latest.verdicts
        if v.max_points and v.status not in (Status.PASS, Status.SKIPPED, Status.INFRA)
    ]
    for share, most, r, exercise in sorted(open_, key=lambda x: (-x[0], -x[1], x[3])):
        near = f"has {wording.number(share * most)} of {wording.number(most)} points already" if share else "has a hint waiting"
        title = _title(catalog.manifest(r.assignment), exercise)
        found.append(NextExercise(title, catalog.name(r.assignment), near, r.latest.attempt.id))
    return tuple(found[:N_NEXT])


def no_next(results: Sequence[AssignmentResult]) -> str:
    """Return what stands where no exercise is worth trying next."""
    return "Everything that you handed in passes." if results else "Hand in a first notebook: what to try next is shown here then."


def wish_words(wish: str, about: str) -> str:
    """Return what a student asked for as people read it; `about` may be ""."""
    return WISHES.get(wish, wish) + (f" ({about})" if about else "")


def badge_views(catalog: Catalog, seen: Sequence[Seen]) -> tuple[BadgeView, ...]:
    """Return the badges, newest first."""
    return tuple(BadgeView(_badge_mark(b), _about(catalog, b), Moment.of(b.at)) for b in reversed(badges(seen)))


def band(finding: Finding | None, survey: Survey) -> Band:
    """Return the student's own band, its axis without a bar, and the words; nothing of chances, ranks or states."""
    shared = estimates.scale(survey.report)
    scale = Scale(shared.width, shared.ticks, None)
    words = tuple(own_view(finding)) if finding else (_NOTHING,)
    return Band(estimates.view(finding) if finding and is_settled(finding) else None, scale, words, Moment.of(survey.at))


def _track(t: Track) -> TrackLine:
    order = list(STAGES)
    at = order.index(t.stage)
    steps = tuple(Step(STAGES[s], n <= at, n == at) for n, s in enumerate(order) if n)
    tally = f"{t.n_passed} of {t.n_exercises} exercises so far" if t.n_exercises else "nothing was due yet"
    return TrackLine(t.name, STAGES[t.stage], steps, tally, _needs(t))


def _needs(t: Track) -> str:
    match t.stage:
        case Stage.NOT_STARTED:
            return "Hand in its first notebook."
        case Stage.STARTED | Stage.WORKING:
            share, name = (WORKING, Stage.WORKING) if t.stage is Stage.STARTED else (SOLID, Stage.SOLID)
            return f"{wording.counted(math.ceil(share * t.n_exercises) - t.n_passed, 'more exercise')} for “{name}”."
        case Stage.SOLID:
            if t.n_later:
                return f"{t.n_first} of {t.n_later} first tries in later notebooks passed; half of at least 3 confirm it."
            return "A later notebook that builds on it will confirm it."
        case Stage.CONFIRMED:
            return f"{t.n_hard_passed} of {t.n_hard} hard exercises pass." if t.n_hard else "It has no hard exercises."
    return "Nothing is left."


def _badge_mark(b: Badge) -> Mark:
    match b.kind:
        case Kind.COUNT:
            text = "first exercise" if b.about == "1" else f"{b.about} exercises"
            return Mark(text, "star", "good", "So many different exercises passed.")
        case Kind.NOTEBOOK:
            return Mark("whole notebook", "check", "good", "Every exercise of one hand-in passed.")
    return Mark("kept at it", "again", "good", "Passed after at least three tries that did not.")


def _about(catalog: Catalog, b: Badge) -> str:
    match b.kind:
        case Kind.COUNT:
            return ""
        case Kind.NOTEBOOK:
            return catalog.name(b.about)
    return _title(catalog.manifest(b.about.split(".")[0]), b.about)


def _title(manifest: Manifest | None, exercise: str) -> str:
    return next((e.title for e in manifest.exercises if e.id == exercise), exercise) if manifest else exercise
