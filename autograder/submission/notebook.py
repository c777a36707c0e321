"""Notebook bytes in, raw cells out: plain JSON with caps, no nbformat, whatever the metadata say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from autograder.errors import SubmissionError

MAX_BYTES = 32 << 20
_MAX_CELLS = 5_000
_MAX_SOURCE_CHARS = 1 << 19  # of one cell
_MAX_CODE_CHARS = 1 << 20  # of all code cells together: each is parsed, outside of the box


@dataclass(frozen=True)
class RawCell:
    """One cell as handed in. `number` counts from 1, as a person would; ids are "" where absent or not text."""

    number: int
    kind: str
    source: str
    cell_id: str
    grade_id: str

    @property
    def label(self) -> str:
        return f"cell {self.number}"


@dataclass(frozen=True)
class RawNotebook:
    """The cells, and the assignment that the metadata name ("" when they name none)."""

    cells: tuple[RawCell, ...]
    assignment: str


def parse(raw: bytes) -> RawNotebook:
    """Return the notebook's cells. Raises: SubmissionError that says why the bytes cannot be read."""
    if len(raw) > MAX_BYTES:
        size = len(raw) / 2**20
        most = MAX_BYTES >> 20
        raise SubmissionError(f"the file has {size:.1f} MiB; at most {most} are read. Clear all outputs, save, and hand in again.")
    data = _load(raw)
    cells = _cells_of(data)
    if len(cells) > _MAX_CELLS:
        raise SubmissionError(f"the notebook has {len(cells)} cells; at most {_MAX_CELLS} are read.")
    read = tuple(c for n, cell in enumerate(cells, 1) if (c := _raw_cell(n, cell)))
    n_chars = sum(len(c.source) for c in read if c.kind != "markdown")
    if n_chars > _MAX_CODE_CHARS:
        raise SubmissionError(
            f"the notebook's code has {n_chars} characters; at most {_MAX_CODE_CHARS} are read. Are there data pasted into a cell?"
        )
    return RawNotebook(read, _assignment_of(data))


def _load(raw: bytes) -> dict[str, Any]:
    try:
        data = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as e:
        raise SubmissionError(f"not a notebook: byte {e.start} is not UTF-8 text.") from None
    except json.JSONDecodeError as e:
        at = f"line {e.lineno}, column {e.colno}"
        raise SubmissionError(f"not a notebook: invalid JSON at {at} ({e.msg}). Was the file cut off or edited by hand?") from None
    except (RecursionError, ValueError) as e:
        raise SubmissionError(f"not a notebook: the JSON cannot be read ({type(e).__name__}).") from None
    if not isinstance(data, dict):
        raise SubmissionError(f"not a notebook: found a JSON {type(data).__name__}, expected an object with cells.")
    return data


def _cells_of(data: dict[str, Any]) -> list[Any]:
    cells = data.get("cells")
    sheets = data.get("worksheets")  # notebook format 3
    if cells is None and isinstance(sheets, list):
        cells = [c for s in sheets if isinstance(s, dict) and isinstance(s.get("cells"), list) for c in s["cells"]]
    if not isinstance(cells, list):
        raise SubmissionError(f'not a notebook: no list of "cells" (found the keys {sorted(map(str, data))[:6]}).')
    return cells


def _raw_cell(number: int, cell: object) -> RawCell | None:
    if not isinstance(cell, dict):
        return None
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(s for s in source if isinstance(s, str))
    if not isinstance(source, str) or len(source) > _MAX_SOURCE_CHARS:
        return None
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    # A lone surrogate is legal in JSON and illegal in Python source.
    clean = source.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    return RawCell(number, _text(cell.get("cell_type")), clean, _text(cell.get("id")), _text(grade_id))


def _assignment_of(data: dict[str, Any]) -> str:
    metadata = data.get("metadata")
    ours = metadata.get("bootcamp") if isinstance(metadata, dict) else None
    return _text(ours.get("assignment")) if isinstance(ours, dict) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= 200 else ""
