"""The check author's decorators: functions in, `Check`, `Mutant` and `Alternative` out. No torch, no files."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D", bound=Any)

_EVIDENCE = ("verified", "observed", "static")


@dataclass(frozen=True)
class Check:
    """A hidden check: a function of (student, rng) that raises AssertionError with a hint when a property is broken.

    `core` marks what an answer cannot be right without: if a core check fails, the exercise earns nothing.
    Only checks whose evidence is "verified" score; the others are notes for a person. `diagnose` says that it is cheap
    enough to be run on every mutant that names it, once an answer has failed it.
    """

    exercise: str
    name: str
    run: Callable[[Any, Any], None]
    weight: float
    core: bool
    evidence: str
    doc: str
    diagnose: bool = True


@dataclass(frozen=True)
class Variant:
    """Another definition of an exercise's name: `source` replaces it, or edits the reference's source.

    `edits` are (old, new) pairs, each old text standing exactly once in the reference's definition.
    """

    exercise: str
    label: str
    source: str
    edits: tuple[tuple[str, str], ...]
    caught_by: tuple[str, ...]  # empty for an alternative: it must pass
    hint: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """Return file:line, for a person."""
        return f"{Path(self.file).name}:{self.line}"


def hidden(
    exercise: str, *, weight: float = 1.0, core: bool = False, evidence: str = "verified", diagnose: bool = True
) -> Callable[[F], F]:
    """Make the function a hidden check of the exercise (its id, e.g. "t1_attention.causal_mask")."""
    if weight <= 0 or evidence not in _EVIDENCE:
        raise ValueError(f"hidden({exercise!r}): weight={weight}, evidence={evidence!r}; expected a weight > 0, one of {_EVIDENCE}")

    def mark(run: F) -> F:
        doc = inspect.getdoc(run) or ""
        _append(run, "__checks__", Check(exercise, run.__name__, run, weight, core, evidence, doc, diagnose))
        return run

    return mark


def mutant(exercise: str, *, caught_by: str | tuple[str, ...], hint: str, label: str = "") -> Callable[[D], D]:
    """Make the definition a plausible wrong solution, which the named checks must reject.

    `hint` is what a student reads whose outputs match it. The definition is executed among the notebook's set-up
    and the reference's other definitions, never in the module where it is written.
    """
    names = (caught_by,) if isinstance(caught_by, str) else tuple(caught_by)
    return lambda d: _variant(d, exercise, names, hint, label)


def alternative(exercise: str, *, label: str = "") -> Callable[[D], D]:
    """Make the definition a correct solution of another kind, which every check must accept."""
    return lambda d: _variant(d, exercise, (), "", label)


def mutant_edit(exercise: str, *edits: tuple[str, str], caught_by: str | tuple[str, ...], hint: str, label: str) -> None:
    """Register the reference, edited: each (old, new) replaces text that stands exactly once in its definition."""
    names = (caught_by,) if isinstance(caught_by, str) else tuple(caught_by)
    _edited(exercise, edits, names, hint, label)


def alternative_edit(exercise: str, *edits: tuple[str, str], label: str) -> None:
    """Register the reference, edited into another correct solution."""
    _edited(exercise, edits, (), "", label)


def _variant(definition: D, exercise: str, caught_by: tuple[str, ...], hint: str, label: str) -> D:
    decorator_line = sys._getframe(2).f_lineno
    body, line = _own_text(inspect.getsource(sys.modules[definition.__module__]), definition.__name__, decorator_line)
    named = label or (inspect.getdoc(definition) or definition.__name__).splitlines()[0]
    file = sys.modules[definition.__module__].__file__ or ""
    _append(definition, "__variants__", Variant(exercise, named, body, (), caught_by, hint, file, line))
    return definition


def _own_text(text: str, name: str, decorator_line: int) -> tuple[str, int]:
    """Return the definition that is decorated on this line, without its decorators, and the line where it begins.

    inspect.getsource knows a class by its name alone, and one name stands for many variants here.
    """
    for node in _tree(text).body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name != name or not node.decorator_list:
            continue
        first = node.decorator_list[0].lineno
        if first <= decorator_line <= node.lineno:
            return "\n".join(text.split("\n")[node.lineno - 1 : node.end_lineno]) + "\n", first
    raise ValueError(f"{name}: a variant is a definition at the top level of its file, with the decorator above it")


@lru_cache(maxsize=4)
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def _edited(exercise: str, edits: tuple[tuple[str, str], ...], caught_by: tuple[str, ...], hint: str, label: str) -> None:
    frame = sys._getframe(2)
    variants = frame.f_globals.setdefault("__variants__", [])
    variants.append(Variant(exercise, label, "", tuple(edits), caught_by, hint, frame.f_code.co_filename, frame.f_lineno))


def _append(definition: Any, key: str, item: object) -> None:
    # Kept in the author's module, in order: a later definition of the same name must not hide an earlier one.
    vars(sys.modules[definition.__module__]).setdefault(key, []).append(item)
