"""The prose above an exercise and the exercise's header in; out: an error where the two tell different numbers.

Prose may repeat what a header says ("6 points", "about 18 minutes", "Difficulty ●●○○○"), and nobody remembers to change
both. Only what is written is compared; no card is required.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from autograder.authoring.header import Options

_POINTS = re.compile(r"\((\d+(?:\.\d+)?) points?\)")
_MINUTES = re.compile(r"about (\d+) minutes")
_DOTS = r"\s+(●+)○*"


def contradictions(prose: str, options: Options) -> Iterator[str]:
    """Yield one sentence for each number of the prose that is not the header's."""
    facts = {
        "points": (_POINTS.findall(prose), options.points),
        "minutes": (_MINUTES.findall(prose), options.minutes),
        "difficulty": (_dots("Difficulty", prose), options.difficulty),
        "importance": (_dots("importance", prose), options.importance),
    }
    for key, (written, meant) in facts.items():
        # Of several mentions the last one stands nearest to the exercise: it is the card's.
        if written and float(written[-1]) != meant:
            yield f"the text above says {key} {written[-1]}, the header says {key}={meant:g}."


def _dots(word: str, prose: str) -> list[str]:
    return [str(len(dots)) for dots in re.findall(word + _DOTS, prose, re.IGNORECASE)]
