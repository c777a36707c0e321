"""Whatever a student handed in, in; the released notebook with the student's answers in it out. Plain dictionaries.

How it works. The frame is our release: its cells, ids, locks, checksums and prose, in its order. Answers are found as
grading finds them: by id, else by the name that they define. The student's other cells stay beside the cell that they
followed, so that a person who grades by hand sees everything. Nothing of the student's is kept as markup: code is source,
prose stands in a fenced block, and outputs are dropped, because a grader's browser would render them.

Scores never come from here: grading reads the bytes that were handed in.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from autograder.course import Exercise, Manifest
from autograder.submission.names import Code, read_code
from autograder.submission.notebook import RawCell, RawNotebook

Notebook = dict[str, Any]
_NO_CODE = Code("", (), None)


def repaired(released: Notebook, manifest: Manifest, handed_in: RawNotebook) -> Notebook:
    """Return the notebook that the student meant to hand in, valid whatever happened to the file."""
    found = _Found(manifest, handed_in.cells)
    cells: list[dict[str, Any]] = []
    extras = found.extras(manifest)
    for raw in extras.pop("", ()):
        cells.append(_extra(raw))
    for ours in released["cells"]:
        cell = dict(ours)  # shallow: what is below is read, and replaced as a whole
        source = found.source_of(cell["id"])
        cell["source"] = _joined(cell) if source is None else source
        cells.append(cell)
        written = [*found.changed_prose(cell), *extras.get(cell["id"], ())]
        cells += [_extra(raw) for raw in written]
    return {**released, "cells": cells}


class _Found:
    """Where each cell of the manifest stands in what was handed in."""

    def __init__(self, manifest: Manifest, cells: tuple[RawCell, ...]) -> None:
        self.cells = cells
        # Only what may be an answer is worth parsing: it names what is asked for, and is not as we handed it out.
        names = [name for e in manifest.exercises for name in e.names]
        given = {c.source for c in manifest.cells}
        self.code = [
            read_code(c.source) if c.source not in given and any(n in c.source for n in names) else _NO_CODE for c in cells
        ]
        self.kind = {c.id: c.kind for c in manifest.cells}
        # Of copies of a cell the last one counts, as in grading.
        self.at = {id: i for i, c in enumerate(cells) for id in (c.cell_id, c.grade_id) if id in self.kind}
        self.answers = {e.cell_id: self._answer(e) for e in manifest.exercises}

    def source_of(self, cell_id: str) -> str | None:
        """Return what the student wrote in a cell of ours; None where ours stands."""
        if self.kind.get(cell_id) == "answer":
            return "\n\n".join(self.cells[i].source for i in self.answers[cell_id]) or None
        at = self.at.get(cell_id)
        if self.kind.get(cell_id) == "demo" and at is not None and self.cells[at].kind == "code":
            return self.cells[at].source
        return None

    def changed_prose(self, cell: dict[str, Any]) -> list[RawCell]:
        """Return the student's version of a text cell of ours, if it says something else: an answer in words, perhaps."""
        at = self.at.get(cell["id"])
        if self.kind.get(cell["id"]) != "text" or at is None:
            return []
        said, ours = self.cells[at].source.strip(), _joined(cell).strip()
        return [self.cells[at]] if said and said != ours else []

    def extras(self, manifest: Manifest) -> dict[str, list[RawCell]]:
        """Return the student's own cells by the id of our cell that they followed ("" at the top)."""
        home = {i: id for id, positions in self.answers.items() for i in positions}
        home |= {i: id for id, i in self.at.items() if self.kind[id] != "answer"}
        ours = {c.id: c.source for c in manifest.cells if c.kind != "text"}
        found: dict[str, list[RawCell]] = {}
        last = ""
        for i, cell in enumerate(self.cells):
            if i in home:
                last = home[i]
            elif cell.source.strip() and ours.get(cell.grade_id or cell.cell_id) != cell.source:
                found.setdefault(last, []).append(cell)
        return found

    def _answer(self, exercise: Exercise) -> tuple[int, ...]:
        stub = _read_stub(exercise.stub)
        chosen: list[int] = []
        for name in exercise.names:
            real = [i for i, c in enumerate(self.code) if _defines(c, name, stub)]
            by_id = [i for i in real if exercise.cell_id in (self.cells[i].cell_id, self.cells[i].grade_id)]
            found = by_id or [i for i in real if self.cells[i].kind != "markdown"]
            chosen += found[-1:]
        if not chosen and exercise.cell_id in self.at:
            chosen = [self.at[exercise.cell_id]]
        return tuple(dict.fromkeys(chosen))


@lru_cache(maxsize=256)
def _read_stub(source: str) -> Code:
    """A batch meets the same stubs in every submission. Students' code is not kept: it may be of any size."""
    return read_code(source)


def _joined(cell: dict[str, Any]) -> str:
    """A file may keep a source as a list of lines; in memory it is one text."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _defines(code: Code, name: str, stub: Code) -> bool:
    definition = code.definition(name)
    return definition is not None and definition != stub.definition(name)


def _extra(raw: RawCell) -> dict[str, Any]:
    id = f"student-{raw.number}"
    if raw.kind == "code":
        return {"cell_type": "code", "execution_count": None, "id": id, "metadata": {}, "outputs": [], "source": raw.source}
    # A fence longer than any in the text: what stands inside is shown, never rendered.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", raw.source)), default=0))
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": f"{fence}text\n{raw.source}\n{fence}"}
