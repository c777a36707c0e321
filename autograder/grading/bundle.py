"""An assignment's folder in, `Bundle` out: everything that grading one assignment needs, loaded and cross-checked."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from autograder.course import Assignment, Manifest
from autograder.errors import CourseError
from autograder.grading.checks import Check, Variant
from autograder.grading.fingerprint import engine_id, fingerprints
from autograder.submission.definitions import definitions
from autograder.submission.model import Cell

T = TypeVar("T")


@dataclass(frozen=True)
class Bundle:
    """One assignment, ready to grade.

    `reference` maps exercise ids to the source of the reference's definitions; `build` names this exact combination
    of engine, checks, reference, given code and environment.
    """

    manifest: Manifest
    checks: Mapping[str, tuple[Check, ...]]
    variants: tuple[Variant, ...]
    reference: Mapping[str, str]
    build: str
    fingerprints: Mapping[str, str] = field(default_factory=dict)  # exercise -> what its verdict depends on, hashed

    @property
    def setup(self) -> tuple[Cell, ...]:
        return tuple(Cell(c.id, c.source) for c in self.manifest.cells if c.kind == "setup")

    def program(self, answers: Mapping[str, str] | None = None) -> tuple[Cell, ...]:
        """Return the notebook's program, with the reference in every exercise that `answers` does not replace."""
        sources = {**self.reference, **(answers or {})}
        return (*self.setup, *(Cell(e.id, sources[e.id]) for e in self.manifest.exercises))

    def stub_program(self) -> tuple[Cell, ...]:
        return (*self.setup, *(Cell(e.id, e.stub) for e in self.manifest.exercises))

    def variant_source(self, variant: Variant) -> str:
        """Return the exercise's definitions with the variant's in place. Raises: ValueError when an edit does not fit."""
        source = self.reference[variant.exercise]
        if variant.source:
            # The variant's own definition comes last, so that it wins over the reference's of the same name.
            return source + "\n\n" + variant.source
        for old, new in variant.edits:
            if source.count(old) != 1:
                raise ValueError(f"{old!r} stands {source.count(old)} times in the reference's definition, expected once")
            source = source.replace(old, new)
        return source

    def needed_by(self, exercise_id: str) -> tuple[str, ...]:
        """Return the exercises that the reference of this one builds on, directly or not, in course order."""
        found: set[str] = set()
        todo = [exercise_id]
        while todo:
            for used in self.manifest.exercise(todo.pop()).uses:
                if used not in found:
                    found.add(used)
                    todo.append(used)
        return tuple(e.id for e in self.manifest.exercises if e.id in found - {exercise_id})


def load_bundle(assignment: Assignment, *, variants: bool = False) -> Bundle:
    """Load checks and reference, and the mutants too when asked. Raises: CourseError naming the file and the line."""
    manifest = assignment.manifest()
    reference = _reference(assignment, manifest)
    checks = _by_exercise(assignment, manifest)
    found = tuple(_variants(assignment, manifest)) if variants else ()
    bundle = Bundle(manifest, checks, found, reference, build_id(assignment))
    bundle = replace(bundle, fingerprints=_fingerprints(assignment, bundle))
    for v in found:
        try:
            bundle.variant_source(v)
        except ValueError as e:
            raise CourseError(v.file, v.line, f'"{v.label}" for {v.exercise}: {e}.') from None
    return bundle


def _fingerprints(assignment: Assignment, bundle: Bundle) -> dict[str, str]:
    exercises = bundle.manifest.exercises
    needed = {e.id: [bundle.reference[n] for n in (e.id, *bundle.needed_by(e.id))] for e in exercises}
    found = fingerprints(exercises, bundle.checks, needed, sorted(assignment.folder.glob("hidden*.py")))
    return {id: f"{engine_id()}:{value}" for id, value in found.items()}


def _reference(assignment: Assignment, manifest: Manifest) -> dict[str, str]:
    path = assignment.solution
    if not path.is_file():
        raise CourseError(path, None, f"the reference solution of {assignment.id} is missing.")
    found = definitions(path.read_text("utf-8"))
    missing = [n for e in manifest.exercises for n in e.names if n not in found]
    if missing:
        raise CourseError(path, None, f"does not define {', '.join(missing)}, which the release asks for. Run: bootcamp build")
    return {e.id: "\n\n".join(found[n] for n in e.names) for e in manifest.exercises}


def _by_exercise(assignment: Assignment, manifest: Manifest) -> dict[str, tuple[Check, ...]]:
    checks: dict[str, list[Check]] = {e.id: [] for e in manifest.exercises}
    for path, item in _registered(assignment, "hidden", "__checks__", Check):
        line = item.run.__code__.co_firstlineno
        if item.exercise not in checks:
            known = ", ".join(checks)
            raise CourseError(path, line, f'check "{item.name}" names the unknown exercise "{item.exercise}". There are: {known}.')
        if any(c.name == item.name for c in checks[item.exercise]):
            raise CourseError(path, line, f'{item.exercise} has two checks named "{item.name}".')
        checks[item.exercise].append(item)
    for e in manifest.exercises:
        if not any(c.core and c.evidence == "verified" for c in checks[e.id]):
            raise CourseError(
                assignment.folder / "hidden.py", None, f"{e.id} has no verified core check: a wrong answer could score."
            )
    return {e: tuple(c) for e, c in checks.items()}


def _variants(assignment: Assignment, manifest: Manifest) -> Iterator[Variant]:
    known = {e.id for e in manifest.exercises}
    for path, item in _registered(assignment, "mutants", "__variants__", Variant):
        if item.exercise not in known:
            raise CourseError(path, item.line, f'"{item.label}" names the unknown exercise "{item.exercise}".')
        yield item


def _registered(assignment: Assignment, stem: str, key: str, kind: type[T]) -> Iterator[tuple[Path, T]]:
    """Execute hidden*.py or mutants*.py and yield what their decorators registered, in file and line order."""
    paths = sorted(assignment.folder.glob(f"{stem}*.py"))
    if not paths:
        raise CourseError(assignment.folder / f"{stem}.py", None, "not found.")
    for path in paths:
        for item in vars(_module(assignment, path)).get(key, []):
            if isinstance(item, kind):
                yield path, item


def _module(assignment: Assignment, path: Path) -> ModuleType:
    name = f"bootcamp_{path.stem}_{assignment.id}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CourseError(path, None, "cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # the decorators find their module here
    try:
        spec.loader.exec_module(module)
    except Exception as e:
        lines = [f.lineno for f in traceback.extract_tb(e.__traceback__) if f.filename == str(path)]
        line = e.lineno if isinstance(e, SyntaxError) else (lines[-1] if lines else None)
        raise CourseError(path, line, f"{type(e).__name__}: {e}") from e
    return module


def build_id(assignment: Assignment) -> str:
    """Return the name of what a verdict depends on besides the answer and the drawn inputs: a hash, cheap to compute."""
    paths = [*sorted(assignment.folder.glob("hidden*.py")), assignment.solution, assignment.release / "assignment.json"]
    digest = hashlib.sha256(engine_id().encode())
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
