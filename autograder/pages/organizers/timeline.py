"""Events of the log about one student, or about a cohort's flags, in; what happened, in words, newest first, out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from autograder.pages import wording
from autograder.pages.estimates import STATES
from autograder.pages.journey import wish_words
from autograder.pages.wording import Mark, Moment, counted
from autograder.progress import State
from autograder.progress.decisions import APPEALED, CLEARED, EXCLUDED, HEARD, HUMAN, INCLUDED, REVIEWED
from autograder.progress.inputs import EVALUATED, EVALUATION
from autograder.progress.shortlist import SHORTLIST, SHORTLISTED
from autograder.records import Event

VIEWED = "person.viewed"
OF_PERSON = (*HUMAN, EVALUATED, SHORTLISTED)
OF_COHORT = (*HUMAN, EVALUATION, SHORTLIST)
N_SHOWN = 50

DECIDED: Mapping[str, Mark] = MappingProxyType(
    {
        "confirm": Mark("confirmed", "check", "good", "An organizer wants to invite this person; mentors may see them."),
        "defer": Mark("deferred", "clock", "part", "An organizer will look again later."),
        "decline": Mark("declined", "ring", "mute", "An organizer decided against an invitation now. The record stays."),
    }
)
_KINDS: Mapping[str, Mark] = MappingProxyType(
    {
        APPEALED: Mark("asked for", "eye", "part", "The student asked for something."),
        HEARD: Mark("heard", "check", "mute", "Somebody talked with the student."),
        EXCLUDED: Mark("set aside", "hand", "ours", "Evidence that does not count for now."),
        INCLUDED: Mark("counts again", "again", "mute", "Evidence that was set aside counts again."),
        CLEARED: Mark("check cleared", "check", "mute", "A suspected hidden check was found right."),
        EVALUATION: Mark("evaluation recorded", "up", "mute", "Everybody's state was recorded, with all that it rests on."),
        SHORTLIST: Mark("shortlist recorded", "flag", "mute", "Whom to invite was recorded on a decision date."),
        SHORTLISTED: Mark("on the shortlist", "flag", "good", "Chosen on a decision date."),
    }
)


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    at: Annotated[Moment, "When it happened."]
    mark: Annotated[Mark, "What it was."]
    who: Annotated[str, "Who did it."]
    about: Annotated[str, "The pseudonym that it is about; empty where it is about more than one student."]
    name: Annotated[str, "The name of whom it is about, as the page's reader may see it."]
    text: Annotated[str, "Its words."]
    event: Annotated[int, "Its number in the log."]


def timeline(events: Iterable[Event], names: Mapping[str, str]) -> tuple[Entry, ...]:
    """Return the newest entries, people by their `names`.

    Of evaluations in a row that say the same state only the first and the last are shown.
    """
    kept: list[Event] = []
    for e in events:
        same = kept and e.kind == EVALUATED and [k.kind for k in kept[-2:]] == [EVALUATED] * 2
        if same and {k.payload["state"] for k in kept[-2:]} == {e.payload["state"]}:
            kept[-1] = e
        else:
            kept.append(e)
    return tuple(_entry(e, names) for e in reversed(kept[-N_SHOWN:]))


def _entry(e: Event, names: Mapping[str, str]) -> Entry:
    mark, text = _words(e.kind, e.payload)
    about = e.subject or ""
    return Entry(Moment.of(e.at), mark, names.get(e.actor, e.actor), about, names.get(about, about), text, e.id)


def _words(kind: str, said: Mapping[str, Any]) -> tuple[Mark, str]:
    reason = str(said.get("reason") or "")
    if kind == REVIEWED:
        return DECIDED[str(said["decision"])], reason
    if kind == EVALUATED:
        return STATES[State(said["state"])], f"chance {wording.percent(float(said['p']))}, from {said['n_items']} first tries"
    about = str(said.get("assignment") or said.get("exercise") or "")
    if kind == APPEALED:
        return _KINDS[kind], ": ".join(x for x in (wish_words(str(said.get("wish", "")), about), reason) if x)
    if kind == EVALUATION:
        n, tries = counted(said["n_students"], "student"), counted(said["n_first_tries"], "first try", "first tries")
        return _KINDS[kind], f"{n}, {tries}, policy {said['policy']}"
    if kind == SHORTLIST:
        return _KINDS[kind], f"{said['n_invited']} invited, {said['expected_false']:.1f} expected false, for {said['date']}"
    if kind == SHORTLISTED:
        return _KINDS[kind], f"{said['as']}, for {said['date']}"
    return _KINDS[kind], ": ".join(x for x in (about, reason) if x)
