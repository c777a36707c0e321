"""Values in, the words and marks that people read out. No markup, no data access.

Whatever a student, a notebook or a check wrote passes `plain` on its way into a page; the templates escape the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from urllib.parse import urlencode

from markupsafe import Markup

from autograder import numerals
from autograder.grading.verdict import Status
from autograder.numerals import whole as whole  # with the pages' other words

NOTHING = "–"  # absent, which is never zero

# Terminal control codes, and the marks that let a name print its neighbours backwards.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Mark:
    """A state as people see it: a word, a picture of the sprite, a tone of colour, and what it means.

    The word alone must do: colour and picture only repeat it.
    """

    word: str
    icon: str
    tone: str
    help: str


@dataclass(frozen=True)
class Moment:
    """A time for machines and for people."""

    iso: str
    text: str

    @classmethod
    def of(cls, at: datetime) -> Moment:
        at = at.astimezone(UTC)
        return cls(at.isoformat(timespec="seconds"), f"{at.day} {at:%b %Y, %H:%M} UTC")


VERDICTS: Mapping[Status, Mark] = MappingProxyType(
    {
        Status.PASS: Mark("passed", "check", "good", "Every hidden check accepted the answer."),
        Status.FAIL: Mark("not yet", "cross", "bad", "At least one hidden check rejected the answer."),
        Status.ERROR: Mark("raised an error", "alert", "bad", "The answer raised an exception."),
        Status.TIMEOUT: Mark("took too long", "clock", "bad", "The answer used up its time."),
        Status.CRASHED: Mark("ended the program", "alert", "bad", "The answer ended its process or ran out of memory."),
        Status.TAMPERED: Mark("set aside", "alert", "bad", "The answer broke the rules of the box that it runs in."),
        Status.SKIPPED: Mark("not attempted", "ring", "mute", "The answer is missing or still as it was handed out."),
        Status.INFRA: Mark(
            "our fault", "again", "ours", "We could not grade it. It is never counted as zero and will be graded again."
        ),
    }
)
PARTLY = Mark("partly", "half", "part", "Some hidden checks accepted the answer, and it earned that part of the points.")

NOT_HANDED_IN = Mark("not handed in", "ring", "mute", "Nothing has arrived yet.")
WAITING = Mark("waiting to be graded", "clock", "part", "Grading takes seconds, sometimes minutes.")
RUNNING = Mark("being graded", "clock", "part", "A grader works on it right now.")
RETRIED = Mark(
    "delayed: our fault",
    "again",
    "ours",
    "Our grader failed at it, and it will be graded again by itself. It costs you no attempt.",
)
UNREADABLE = Mark("could not be read", "alert", "bad", "The file that arrived is not a notebook of this assignment.")
UNSCORED = Mark("partly unscored: our fault", "again", "ours", "We could not grade every exercise. None of them counts as zero.")
GRADED = Mark("graded", "half", "part", "Every exercise has its result; not all of them earned full points.")
ALL_PASSED = Mark("all passed", "check", "good", "Every exercise earned full points.")


def queued(position: int | None) -> Mark:
    """Return the mark of an attempt that waits: position counts from 1, None is not known."""
    if position is None:
        return WAITING
    return Mark(f"waiting, {ordinal(position)} in line", WAITING.icon, WAITING.tone, WAITING.help)


def ordinal(n: int) -> str:
    """Return "1st", "2nd", "3rd", "11th"."""
    last = {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th") if n % 100 not in (11, 12, 13) else "th"
    return f"{n}{last}"


def plain(value: object) -> object:
    """Return text without invisible control characters; anything else as it is (for Jinja's `finalize`)."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _INVISIBLE.sub("", value)
    return value


def number(value: float | None) -> str:
    """Return points as people write them: 2, 1.5, 0.33; a dash for what was not scored."""
    return NOTHING if value is None else numerals.number(value)


def percent(value: float) -> str:
    """Return a probability in whole per cent; what a model says is never 0 % and never 100 %."""
    if value < 0.01:
        return "< 1 %"
    return "> 99 %" if value > 0.99 else f"{value:.0%}".replace("%", " %")


def counted(n: int, one: str, many: str = "") -> str:
    """Return "1 try", "3 tries"."""
    return f"{whole(n)} {one if n == 1 else many or one + 's'}"


def query(**values: str | int | float) -> str:
    """Return the query part of an address."""
    return "?" + urlencode(values)


def share(part: int, whole: int) -> str:
    """Return "38 %", or a dash where there is no whole."""
    return f"{100 * part / whole:.0f} %" if whole else NOTHING
