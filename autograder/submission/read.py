"""Notebook bytes and the course's manifest in, `Submission` out.

How it works. Given code comes from our manifest, never from the file. An answer is a cell that defines the
exercise's name and is not the released stub: the one that carries our id first (the last, if it was copied), else the
last one that defines the name, wherever it stands and whatever type it has. Around each answer we cut the smallest
program that it needs: the given cells, the other answers whose names it loads, and those single statements of the
student's other cells (imports, small functions, constants) that bind the names still open. So an answer may lean on
anything that its author wrote, and nothing else in the notebook can change its score.

What it trusts: nothing. The file is parsed and never executed; sizes are capped first.
"""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from autograder.course import Exercise, Manifest
from autograder.submission.model import Answer, Cell, Submission
from autograder.submission.names import Code, Statement, read_code
from autograder.submission.notebook import RawCell, parse

_BUILTINS = frozenset(dir(builtins))


def read(raw: bytes, manifest: Manifest, lent: Mapping[str, str] | None = None) -> Submission:
    """Return the submission that the bytes hold. Raises: SubmissionError when they hold no notebook.

    `lent` maps exercise ids to the course's own definitions, which then stand in for the student's answers to those
    exercises: a later exercise can be graded although an earlier one, which it builds on, is broken.
    """
    notebook = parse(raw)
    kept = [c for c in notebook.cells if c.kind != "markdown" or _is_ours(c, manifest)]
    reader = _Reader(manifest, kept, lent or {})
    answers = {e.id: reader.answer(e) for e in manifest.exercises}
    whole = _Part()
    for e in manifest.exercises:
        whole.merge(reader.part(e))
    return Submission(manifest.assignment, hashlib.sha256(raw).hexdigest(), reader.render(whole), answers, ())


@lru_cache(maxsize=64)
def course_code(manifest: Manifest) -> Mapping[str, Code]:
    """Return the course's own cells and stubs, parsed, by their source: most of a notebook is what we gave out."""
    sources = {*(c.source for c in manifest.cells if c.kind != "text"), *(e.stub for e in manifest.exercises)}
    return {source: read_code(source) for source in sources}


def assignment_named_in(raw: bytes) -> str:
    """Return the assignment that the notebook's own metadata name, or "". Raises: SubmissionError."""
    return parse(raw).assignment


def _is_ours(cell: RawCell, manifest: Manifest) -> bool:
    return any(e.cell_id in (cell.cell_id, cell.grade_id) for e in manifest.exercises)


@dataclass
class _Part:
    """Which pieces of the notebook a program takes: whole cells, and lines of others (positions in the reader)."""

    cells: set[int] = field(default_factory=set)
    lines: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    uses: set[str] = field(default_factory=set)

    def merge(self, other: _Part) -> None:
        self.cells |= other.cells
        self.uses |= other.uses
        for position, lines in other.lines.items():
            self.lines.setdefault(position, set()).update(lines)


class _Reader:
    def __init__(self, manifest: Manifest, raw: list[RawCell], lent: Mapping[str, str]) -> None:
        self.manifest, self.raw, self.lent = manifest, raw, lent
        ours = course_code(manifest)
        self.code = [ours.get(c.source) or read_code(c.source) for c in raw]
        self.setup = [Cell(c.id, ours[c.source].source) for c in manifest.cells if c.kind == "setup"]
        self.setup += [Cell(f"the course's {id}", source) for id, source in lent.items()]
        self.given = frozenset().union(*((ours.get(c.source) or read_code(c.source)).binds for c in self.setup))
        self.stubs = {e.id: ours[e.stub] for e in manifest.exercises}
        self.owner = {name: e for e in manifest.exercises for name in e.names}
        self.chosen = {e.id: self._choose(e) for e in manifest.exercises}
        self.answers_in: dict[int, list[Exercise]] = {}
        for e in manifest.exercises:
            for position in self.chosen[e.id].positions:
                self.answers_in.setdefault(position, []).append(e)
        self.bound_by = self._index()

    def answer(self, exercise: Exercise) -> Answer:
        choice = self.chosen[exercise.id]
        if not choice.positions:
            return Answer(exercise.id, (), choice.found_by, False, (), choice.notes)
        part = self.part(exercise)
        order = [e.id for e in self.manifest.exercises]
        uses = tuple(sorted(part.uses - {exercise.id}, key=order.index))
        return Answer(exercise.id, self.render(part), choice.found_by, True, uses, choice.notes)

    def part(self, exercise: Exercise) -> _Part:
        """Close the exercise's answer over the names that it loads."""
        part = _Part()
        open_names: list[str] = []
        for position in self.chosen[exercise.id].positions:
            open_names += self._take_cell(part, position)
        seen: set[str] = set()
        while open_names:
            name = open_names.pop()
            if name in seen or name in self.given:
                continue
            seen.add(name)
            open_names += self._resolve(part, name)
        return part

    def render(self, part: _Part) -> tuple[Cell, ...]:
        program = list(self.setup)
        for position, (raw, code) in enumerate(zip(self.raw, self.code, strict=True)):
            if position in part.cells:
                program.append(Cell(raw.label, code.source))
            elif position in part.lines:
                program.append(Cell(raw.label, _keep_lines(code.source, part.lines[position])))
        return tuple(program)

    def _take_cell(self, part: _Part, position: int) -> Iterable[str]:
        if position in part.cells:
            return ()
        part.cells.add(position)
        part.uses.update(e.id for e in self.answers_in.get(position, ()))
        own = self.code[position].binds
        return [name for name in self.code[position].loads if name not in own]

    def _resolve(self, part: _Part, name: str) -> Iterable[str]:
        """Take what binds `name`; return the names that this opens."""
        owner = self.owner.get(name)
        if owner:
            part.uses.add(owner.id)
            return [n for p in self.chosen[owner.id].positions for n in self._take_cell(part, p)]
        in_answers = [p for p in self.answers_in if name in self.code[p].binds]
        if in_answers:
            return [n for p in in_answers for n in self._take_cell(part, p)]
        opened: list[str] = []
        for position, s in (*self.bound_by.get(name, ()), *(() if name in _BUILTINS else self.bound_by.get("*", ()))):
            part.lines.setdefault(position, set()).add((s.first_line, s.last_line))
            opened += [n for n in s.loads | s.binds if n != name]
        return opened

    def _index(self) -> dict[str, list[tuple[int, Statement]]]:
        """Return name -> the statements that bind it, with their cells; those of a star import under "*"."""
        found: dict[str, list[tuple[int, Statement]]] = {}
        for position, code in enumerate(self.code):
            for s in code.statements if self.raw[position].kind != "markdown" else ():
                for name in ("*",) if s.star else s.binds:
                    found.setdefault(name, []).append((position, s))
        return found

    def _choose(self, exercise: Exercise) -> _Choice:
        """Decide which cells answer the exercise, one decision for each name that it asks for."""
        if exercise.id in self.lent:
            return _Choice((), "lent", ())
        has_id = [exercise.cell_id in (c.grade_id, c.cell_id) for c in self.raw]
        positions: list[int] = []
        notes: list[str] = []
        for name in exercise.names:
            stub = self.stubs[exercise.id].definition(name)
            real = [p for p, c in enumerate(self.code) if (d := c.definition(name)) is not None and d != stub]
            by_id = [p for p in real if has_id[p]]
            found = by_id or [p for p in real if self.raw[p].kind != "markdown"]
            if len(found) > 1:
                cells = ", ".join(str(self.raw[p].number) for p in found)
                notes.append(f"{name} is defined in cells {cells}; the last one was graded.")
            if found:
                positions.append(found[-1])
        by_id_any = [p for p, ours in enumerate(has_id) if ours]
        unreadable = [p for p in by_id_any if self.code[p].error]
        if not positions and unreadable:
            positions.append(unreadable[-1])
        if not positions:
            stubs = [p for p, c in enumerate(self.code) if exercise.name in c.binds]
            if not stubs and not by_id_any:
                notes.append(f"No cell defines {exercise.name}: the answer cell was deleted or its name changed.")
            elif not stubs:
                notes.append(f"The answer cell does not define {exercise.name}.")
            return _Choice((), "missing" if not stubs else "id", tuple(notes))
        found_by = "id" if any(has_id[p] for p in positions) else "name"
        return _Choice(tuple(dict.fromkeys(positions)), found_by, tuple(notes))


@dataclass(frozen=True)
class _Choice:
    positions: tuple[int, ...]
    found_by: str
    notes: tuple[str, ...]


def _keep_lines(source: str, kept: set[tuple[int, int]]) -> str:
    """Blank every line that is not kept, so that line numbers in tracebacks stay those of the student's cell."""
    lines = source.split("\n")
    keep = {n for first, last in kept for n in range(first, last + 1)}
    return "\n".join(line if n in keep else "" for n, line in enumerate(lines, 1)).rstrip() + "\n"
