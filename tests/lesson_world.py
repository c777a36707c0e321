"""An assignment's id in, its lesson as the tests need it out: cells, cards, checks, variants, pictures, a run."""

from __future__ import annotations

import ast
import atexit
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import ModuleType
from typing import Any

from autograder.authoring.build import build
from autograder.authoring.lesson import LessonCell, read_lesson
from autograder.authoring.plan import slug_of
from autograder.course import load
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.checks import Check, Variant
from autograder.grading.draw import rng_for
from autograder.grading.run import Outcome, attempt
from autograder.grading.verdict import Status

ROOT = Path(__file__).parents[1]
LESSON_CPU_S = 60  # of one whole lesson on the reference, one thread
HINT = r"<details><summary>Hint (\d): [^<]+</summary>\n\n(.+?)\n\n</details>"
_ALONE = """\
title = "One assignment"

[[assignment]]
id = "{id}"
title = "One assignment"
track = "alone"
week = 1
"""
_RUN = f"""\
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_CPU, ({LESSON_CPU_S}, {LESSON_CPU_S}))
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@dataclass(frozen=True)
class Lesson:
    """One assignment's sources, read when they are first asked for. Get it from `lesson(id)`, which reads each once."""

    id: str

    @property
    def folder(self) -> Path:
        return ROOT / "assignments" / self.id

    @cached_property
    def cells(self) -> tuple[LessonCell, ...]:
        return read_lesson(self.folder / "lesson.py").cells

    @property
    def texts(self) -> list[str]:
        return [c.source for c in self.cells if c.kind == "text"]

    @cached_property
    def exercises(self) -> dict[str, LessonCell]:
        """The exercise cells in order, by the exercise's main name."""
        return {names_of(c)[0]: c for c in self.cells if c.kind == "exercise"}

    @property
    def points(self) -> dict[str, float]:
        return {name: cell.options.points for name, cell in self.exercises.items() if cell.options}

    def card(self, name: str) -> str:
        """Return the prose just above the exercise: its section, its card, its hints."""
        cell = self.cells[self.cells.index(self.exercises[name]) - 1]
        assert cell.kind == "text", f"{self.id}: no text stands above the exercise {name}"
        return cell.source

    @cached_property
    def reference(self) -> ModuleType:
        return load_module(ROOT / "solutions" / f"{self.id}.py")

    @cached_property
    def checks(self) -> ModuleType:
        """The visible checks, as students get them."""
        return load_module(self.folder / "checks.py")

    def check(self, name: str) -> Callable[..., None]:
        run: Callable[..., None] = getattr(self.checks, f"check_{slug_of(name)}")
        return run

    def visible(self, name: str, **wrong: Any) -> None:
        """Run the exercise's visible check on the reference, the given definitions in place of its own."""
        names = names_of(self.exercises[name])
        assert set(wrong) <= set(names), f"{name} defines {names}"
        self.check(name)(*(wrong.get(n, getattr(self.reference, n)) for n in names))

    def visible_of(self, variant: Variant) -> None:
        """Run the visible check of the variant's exercise on the variant."""
        given: dict[str, Any] = {}
        for cell in self.bundle.program({variant.exercise: self.bundle.variant_source(variant)}):
            exec(compile(cell.source, cell.label, "exec"), given)
        exercise = self.bundle.manifest.exercise(variant.exercise)
        self.check(exercise.name)(*(given[n] for n in exercise.names))

    @cached_property
    def bundle(self) -> Bundle:
        """Checks, reference and variants; built in a course of its own while course.toml does not name it yet."""
        course = load(ROOT)
        if self.id in {a.id for a in course}:
            return load_bundle(course.assignment(self.id), variants=True)
        root = Path(mkdtemp(prefix="lesson"))
        atexit.register(rmtree, root)  # not before: hidden checks read their data there
        (root / "assignments").mkdir()
        (root / "assignments" / "course.toml").write_text(_ALONE.format(id=self.id), "utf-8")
        (root / "assignments" / self.id).symlink_to(self.folder)
        (root / "solutions").symlink_to(ROOT / "solutions")
        alone = load(root)
        build(alone, root / "release", [self.id])
        return load_bundle(alone.assignment(self.id), variants=True)

    def variants(self, name: str, *, right: bool) -> list[Variant]:
        """Return the exercise's alternatives (right) or mutants."""
        return [v for v in self.bundle.variants if v.exercise == f"{self.id}.{slug_of(name)}" and bool(v.caught_by) is not right]

    def variant(self, name: str, label: str) -> Variant:
        (found,) = (v for right in (True, False) for v in self.variants(name, right=right) if v.label == label)
        return found

    def hidden(self, name: str) -> tuple[Check, ...]:
        return self.bundle.checks[f"{self.id}.{slug_of(name)}"]

    def run(self) -> str:
        """Run the lesson from top to bottom on the reference and return what it printed.

        Asserted: nothing fails, no warning is given, nothing is on stderr, in at most LESSON_CPU_S of one core.
        """
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", _RUN, str(self.folder / "lesson.py")],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert run.returncode == 0, run.stderr[-2000:] or f"ended with {run.returncode}: more than {LESSON_CPU_S} CPU seconds?"
        assert run.stderr == ""
        return run.stdout

    @property
    def definitions(self) -> dict[str, ast.FunctionDef | ast.ClassDef]:
        tree = ast.parse((ROOT / "solutions" / f"{self.id}.py").read_text("utf-8"))
        return {d.name: d for d in tree.body if isinstance(d, (ast.FunctionDef, ast.ClassDef))}

    @property
    def pictures(self) -> dict[str, str]:
        """What data/pictures.py draws: file name -> SVG."""
        drawn = load_module(self.folder / "data" / "pictures.py").PICTURES
        return {f"{name}.svg": draw().svg() for name, draw in drawn.items()}


@cache
def lesson(assignment_id: str) -> Lesson:
    return Lesson(assignment_id)


def load_module(path: Path) -> ModuleType:
    """Import a file by its path, under a name that no other file has."""
    name = "lesson_world_" + "_".join(path.relative_to(ROOT).with_suffix("").parts)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def names_of(cell: LessonCell) -> tuple[str, ...]:
    """Return the names that an exercise slot imports, the main one first."""
    (imported,) = ast.parse(cell.source).body
    assert isinstance(imported, ast.ImportFrom)
    return tuple(a.name for a in imported.names)


def words(text: str) -> int:
    """Count words of prose: no code, formula, picture or markup."""
    for pattern in (r"```.*?```", r"\$\$.*?\$\$", r"\$[^$]*\$", r"!\[[^\]]*\]\([^)]*\)", r"<[^>]+>"):
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    return len(re.findall(r"\w[\w'’.-]*", text))


def without_hints(texts: list[str]) -> str:
    """Return the prose that is read, not looked up."""
    return re.sub(HINT, "", "\n\n".join(texts), flags=re.DOTALL)


def outcome(student: Any, check: Check, seed: str) -> Outcome:
    """Run one hidden check on one draw, as the gate does: a check that breaks on a strange answer rejects it."""
    found = attempt(student, check, rng_for(b"sample", seed, check.exercise, check.name))
    return found if isinstance(found, Outcome) else Outcome(Status.FAIL, f"{type(found).__name__}: {found}")
