"""What is to be drawn in; a `Figure` out: a drawing with title, units, count and the same numbers as a table beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from markupsafe import Markup

from autograder.pages.drawing import draw
from autograder.pages.wording import Mark, Moment


@dataclass(frozen=True)
class Table:
    """Numbers as people read them. The first column names the row."""

    heads: Annotated[tuple[str, ...], "What stands above the columns."]
    rows: Annotated[tuple[tuple[str, ...], ...], "One line per row."]


@dataclass(frozen=True)
class Figure:
    """A drawing and what belongs to it. Without `svg` there is nothing to draw, and `empty` says why."""

    id: Annotated[str, "Names it within the page."]
    title: Annotated[str, "What the drawing shows."]
    n: Annotated[str, "How many of what it rests on."]
    svg: Annotated[Markup | None, "The drawing."]
    table: Annotated[Table, "The same numbers."]
    note: Annotated[str, "How to read it; empty when that is plain."]
    empty: Annotated[str, "Why there is nothing to draw."]
    made: Annotated[Moment | None, "When it was computed, where that was not just now."]


@dataclass(frozen=True)
class Tile:
    """One number that a page opens with."""

    text: Annotated[str, "The number."]
    mark: Annotated[Mark, "What it counts."]
    note: Annotated[str, "What belongs to it, in a few words; may be empty."] = ""


def figure(
    id: str,
    title: str,
    n: str,
    description: Mapping[str, Any],
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    note: str = "",
    empty: str = "Nothing to show yet.",
    made: Moment | None = None,
) -> Figure:
    """Draw a Vega-Lite description; without a row in the table nothing is drawn."""
    table = Table(tuple(heads), tuple(tuple(row) for row in rows))
    label = f"{title}. {n}. The table after it holds the same numbers."
    return Figure(id, title, n, draw(description, label) if table.rows else None, table, note, empty, made)
