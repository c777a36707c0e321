"""A lesson's cell header in ("exercise points=6 minutes=18 ..."), `Header` out. Pure text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

KINDS = ("[markdown]", "setup", "exercise", "demo")
_OPTION = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s"]+)(?=\s|$)')


class HeaderError(ValueError):
    """The header cannot be understood; the message says what was found and what was expected."""


class Options(BaseModel):
    """What an exercise's header says. A bonus exercise has 0 points, every other one more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: float = Field(ge=0, allow_inf_nan=False)
    minutes: int = Field(ge=1)
    difficulty: int = Field(ge=1, le=5)
    importance: int = Field(ge=1, le=5)
    title: str = Field(min_length=1)
    bonus: bool = False


@dataclass(frozen=True)
class Header:
    """`kind` is text, setup, exercise or demo; only an exercise has options."""

    kind: str
    options: Options | None = None


def read_header(text: str) -> Header:
    """Read what stands behind "# %%". Raises: HeaderError."""
    word, _, rest = text.strip().partition(" ")
    if word in ("[markdown]", "[md]"):
        word = "[markdown]"
    elif not word:
        word = "demo"
    if word not in KINDS:
        raise HeaderError(
            f'unknown kind of cell "{word}"{near(word, KINDS)} Expected one of: {", ".join(KINDS)}, or nothing (a demo).'
        )
    options = _pairs(rest)
    if word == "exercise":
        return Header(word, _exercise(options))
    for key in options:
        raise HeaderError(f'unknown key "{key}": a {word} cell has no options; only an exercise has.')
    return Header("text" if word == "[markdown]" else word)


def near(word: str, known: Any) -> str:
    """Return the end of a sentence: a full stop, and the known word that was probably meant."""
    found = get_close_matches(word, list(known), 1)
    return f'. Did you mean "{found[0]}"?' if found else "."


def _pairs(text: str) -> dict[str, str]:
    rest = _OPTION.sub("", text).strip()
    if rest:
        raise HeaderError(f'cannot read "{rest}". Expected key=value pairs; a value with spaces stands in double quotes.')
    pairs: dict[str, str] = {}
    for key, value in _OPTION.findall(text):
        if key in pairs:
            raise HeaderError(f'"{key}" stands twice in one header.')
        pairs[key] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
    return pairs


def _exercise(pairs: dict[str, str]) -> Options:
    try:
        options = Options.model_validate(pairs)
    except ValidationError as e:
        raise HeaderError(_explain(e)) from None
    if options.bonus and options.points:
        raise HeaderError(f"points={pairs['points']}: a bonus exercise has 0 points.")
    if not options.bonus and not options.points:
        raise HeaderError(f"points={pairs['points']}: expected more than 0. Only a bonus exercise (bonus=true) has 0.")
    return options


def _explain(error: ValidationError) -> str:
    # A misspelt key is both unknown and missing: say the first, which names the slip.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    key = str(first["loc"][0])
    known = list(Options.model_fields)
    if first["type"] == "extra_forbidden":
        return f'unknown key "{key}"{near(key, known)} Expected: {", ".join(known)}.'
    if first["type"] == "missing":
        return f'the exercise has no "{key}". Expected: points, minutes, difficulty, importance and title; bonus=true if it is one.'
    if key == "points" and first["type"] == "greater_than_equal":
        return f"points={first['input']}: expected more than 0. Only a bonus exercise (bonus=true) has 0."
    message = first["msg"].removeprefix("Input should be ").split(",")[0]
    return f"{key}={first['input']}: expected {message}."
