"""What a submission is, once read: programs of cells, one slice per exercise. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """Source to execute under a label that tracebacks show ("setup", "cell 7")."""

    label: str
    source: str


@dataclass(frozen=True)
class Answer:
    """What a student handed in for one exercise.

    `program` is the smallest part of the notebook that the answer needs, in notebook order, the course's own
    set-up cells first; it is empty when nothing was found.
    `uses` names the other exercises whose answers stand in the program.
    `found_by` is "id", "name" or "missing".
    """

    exercise: str
    program: tuple[Cell, ...]
    found_by: str
    attempted: bool
    uses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Submission:
    """A parsed notebook. `program` joins the programs of all answers, each cell once, in notebook order."""

    assignment: str
    sha256: str
    program: tuple[Cell, ...]
    answers: Mapping[str, Answer]
    notes: tuple[str, ...] = field(default=())
