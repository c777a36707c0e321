"""A lesson's answers in, what its hidden checks say of each on one draw out."""

from __future__ import annotations

import ast

from autograder.grading.checks import Variant
from autograder.grading.verdict import Status
from autograder.sandbox.inprocess import open_in_process
from tests.lesson_world import Lesson, outcome

HINT_CHARS = 600


def refused(lesson: Lesson, name: str, variant: Variant | None = None, spared: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return which checks of the exercise refuse the reference, or the variant, and why; the spared ones are not asked."""
    answers = {variant.exercise: lesson.bundle.variant_source(variant)} if variant else {}
    with open_in_process(lesson.bundle.program(answers)) as box:
        assert box.failures == {}
        found = {c.name: outcome(box.student, c, _draw(lesson)) for c in lesson.hidden(name) if c.name not in spared}
    return [(check, o.hint) for check, o in found.items() if o.status is not Status.PASS]


def rejected(lesson: Lesson, mutant: Variant) -> bool:
    """Say whether a check that the mutant names rejects it; its words are asserted to be fit to be shown."""
    bundle = lesson.bundle
    secret = lines_of(bundle.reference[mutant.exercise])
    named = [c for c in bundle.checks[mutant.exercise] if c.name in mutant.caught_by]
    assert len(named) == len(mutant.caught_by)
    with open_in_process(bundle.program({mutant.exercise: bundle.variant_source(mutant)})) as box:
        for check in named:
            found = outcome(box.student, check, _draw(lesson))
            if found.status is not Status.PASS:
                assert 0 < len(found.hint) <= HINT_CHARS, found.hint
                assert not any(line in found.hint + mutant.hint for line in secret), found.hint
                return True
    return False


def lines_of(source: str) -> set[str]:
    """Return what is code in the definitions and long enough to give something away."""
    statements = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Assign | ast.AugAssign | ast.Return)]
    return {line for s in statements for line in ast.unparse(s).splitlines() if len(line.strip()) > 16}


def _draw(lesson: Lesson) -> str:
    return lesson.id.partition("_")[0]
