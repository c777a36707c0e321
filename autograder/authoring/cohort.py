"""A bundle and a released notebook in; a made-up cohort's notebooks out, for the demo. Drawn from `rng`, nothing else.

Each member has an ability, answers what they would answer (the reference, another right solution, or a plausible
mistake out of the mutants), leaves late exercises undone, and some have an accident of the kind that happens.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograder.course import Exercise
from autograder.grading.bundle import Bundle

NAMES = (
    "ada", "bela", "chen", "dora", "emeka", "farah", "goran", "hana", "ivan", "jaya", "kofi", "lena",
    "mateo", "noor", "oskar", "priya", "quinn", "rosa", "samir", "tuva", "umar", "vera", "wei", "yara",
)  # fmt: skip
_DOES_ALL = 4.0


@dataclass(frozen=True)
class Member:
    """One made-up student: the notebook handed in, and what is odd about it ("" for nothing)."""

    name: str
    raw: bytes
    accident: str


def draw_abilities(rng: np.random.Generator) -> tuple[float, ...]:
    """Return one ability per name, in logits; the first one's is enough to do everything right."""
    return (_DOES_ALL, *(float(a) for a in rng.normal(0.4, 1.0, len(NAMES) - 1)))


def make_cohort(
    bundle: Bundle, released: Mapping[str, Any], abilities: Sequence[float], rng: np.random.Generator, *, accidents: bool
) -> list[Member]:
    """Return the 24 members' notebooks of one assignment; with accidents, every second member has one until all happened."""
    members = []
    odd = list(_ACCIDENTS.items()) if accidents else []
    for i, (name, ability) in enumerate(zip(NAMES, abilities, strict=True)):
        notebook = _filled(bundle, released, _answers(bundle, ability, rng))
        accident, happen = odd[i // 2] if i % 2 and i // 2 < len(odd) else ("", None)
        raw = happen(bundle, notebook) if happen else json.dumps(notebook, indent=1).encode()
        members.append(Member(name, raw, accident))
    return members


def _answers(bundle: Bundle, ability: float, rng: np.random.Generator) -> dict[str, str]:
    answers = {}
    n = len(bundle.manifest.exercises)
    reached = n if ability >= _DOES_ALL else int(np.clip(rng.normal(n * 0.75 + 1.5 * ability, 1.5), 3, n))
    for e in bundle.manifest.exercises[:reached]:
        p_right = 1 / (1 + math.exp(-(1.3 * ability - 0.8 * (e.difficulty - 3) + 0.7)))
        answers[e.id] = _right(bundle, e, rng) if ability >= _DOES_ALL or rng.random() < p_right else _wrong(bundle, e, rng)
    return answers


def _right(bundle: Bundle, exercise: Exercise, rng: np.random.Generator) -> str:
    others = [v for v in bundle.variants if v.exercise == exercise.id and not v.caught_by]
    k = int(rng.integers(len(others) + 1))
    return bundle.variant_source(others[k]) if k < len(others) else bundle.reference[exercise.id]


def _wrong(bundle: Bundle, exercise: Exercise, rng: np.random.Generator) -> str:
    mutants = [v for v in bundle.variants if v.exercise == exercise.id and v.caught_by]
    return bundle.variant_source(mutants[int(rng.integers(len(mutants)))])


def _filled(bundle: Bundle, released: Mapping[str, Any], answers: Mapping[str, str]) -> dict[str, Any]:
    """Return the released notebook with the answers typed in."""
    notebook: dict[str, Any] = copy.deepcopy(dict(released))
    exercise_of = {e.cell_id: e.id for e in bundle.manifest.exercises}
    for cell in notebook["cells"]:
        exercise = exercise_of.get(cell["id"], "")
        if exercise in answers:
            cell["source"] = answers[exercise].splitlines(keepends=True)
    return notebook


def _first_answer(bundle: Bundle, notebook: dict[str, Any]) -> dict[str, Any]:
    wanted = bundle.manifest.exercises[0].cell_id
    found: dict[str, Any] = next(c for c in notebook["cells"] if c["id"] == wanted)
    return found


def _edit_first(edit: Callable[[dict[str, Any]], None]) -> Callable[[Bundle, dict[str, Any]], bytes]:
    def happen(bundle: Bundle, notebook: dict[str, Any]) -> bytes:
        edit(_first_answer(bundle, notebook))
        return json.dumps(notebook, indent=1).encode()

    return happen


def _append(text: str) -> Callable[[dict[str, Any]], None]:
    return lambda cell: cell["source"].append("\n" + text + "\n")


def _prepend(text: str) -> Callable[[dict[str, Any]], None]:
    return lambda cell: cell["source"].insert(0, text + "\n")


def _delete_others(bundle: Bundle, notebook: dict[str, Any]) -> bytes:
    answers = {e.cell_id for e in bundle.manifest.exercises}
    notebook["cells"] = [c for c in notebook["cells"] if c["id"] in answers]
    return json.dumps(notebook, indent=1).encode()


def _copy_stub_below(bundle: Bundle, notebook: dict[str, Any]) -> bytes:
    first = _first_answer(bundle, notebook)
    stub = {**copy.deepcopy(first), "id": "copied", "source": bundle.manifest.exercises[0].stub}
    notebook["cells"].insert(notebook["cells"].index(first) + 1, stub)
    return json.dumps(notebook, indent=1).encode()


def _cut_off(bundle: Bundle, notebook: dict[str, Any]) -> bytes:
    return json.dumps(notebook, indent=1).encode()[:-2000]


_ACCIDENTS: dict[str, Callable[[Bundle, dict[str, Any]], bytes]] = {
    "syntax error in the first answer": _edit_first(_append("def broken(:")),
    "endless loop in the first answer": _edit_first(_append("while True:\n    pass")),
    "all other cells deleted": _delete_others,
    "noise on stderr": _edit_first(_append("import sys, warnings\nprint('noise', file=sys.stderr)\nwarnings.warn('noise')")),
    "os._exit in the first answer": _edit_first(_append("import os\nos._exit(0)")),
    "10 GiB in the first answer": _edit_first(_append("huge = torch.ones(10 << 30, dtype=torch.uint8)")),
    "first answer turned into markdown": _edit_first(lambda cell: cell.update(cell_type="markdown")),
    "a fresh copy of the stub below the answer": _copy_stub_below,
    "magics and shell": _edit_first(_prepend("%matplotlib inline\n!pip install nothing")),
    "file cut off": _cut_off,
    "metadata lost": _edit_first(lambda cell: cell.update(metadata={}, id="lost")),
}
