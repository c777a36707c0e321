"""release/ is what its sources say: built again, it is the same, byte for byte, and it tells no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.authoring.build import build
from autograder.course import load
from autograder.submission.definitions import parse_definitions

ROOT = Path(__file__).parent.parent
COURSE = load(ROOT)
_LONG = 30  # characters: shorter lines occur in any program


def snapshot(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def lines(path):
    return {line.strip() for line in path.read_text("utf-8").split("\n") if len(line.strip()) >= _LONG}


@pytest.mark.parametrize("assignment", COURSE.assignments, ids=lambda a: a.id)
def test_the_release_is_fresh(assignment, tmp_path):
    """Whoever changes a lesson, a solution or a visible check runs `bootcamp build` before the commit."""
    build(COURSE, tmp_path, [assignment.id])

    assert snapshot(tmp_path / assignment.id) == snapshot(assignment.release), "stale. Run: bootcamp build"


def test_nothing_else_lies_in_the_release():
    """A folder without an assignment would be handed out all the same."""
    assert {p.name for p in (ROOT / "release").iterdir()} - {"README.md"} == {a.id for a in COURSE}


@pytest.mark.parametrize("assignment", COURSE.assignments, ids=lambda a: a.id)
def test_no_line_of_the_referee_is_released(assignment):
    """Hidden checks and mutants stay here; what they share with published text is no secret."""
    public = (assignment.folder / "lesson.py").read_text("utf-8") + (assignment.folder / "checks.py").read_text("utf-8")
    public += assignment.solution.read_text("utf-8")  # signatures; the answers in it have a test of their own
    secret = {line for pattern in ("hidden*.py", "mutants*.py") for p in assignment.folder.glob(pattern) for line in lines(p)}
    released = b"\n".join(snapshot(assignment.release).values()).decode("utf-8", "replace")

    assert len(secret) > 50
    # As text, and as it stands inside a JSON string.
    assert [s for s in secret if s not in public and (s in released or s.replace('"', '\\"') in released)] == []


@pytest.mark.parametrize("assignment", COURSE.assignments, ids=lambda a: a.id)
def test_no_line_of_an_answer_is_released(assignment):
    """Of each reference students see what its stub shows, and nothing of the body."""
    given = "\n".join(c.source for c in assignment.manifest().cells if c.kind == "setup")
    stubs = "\n".join(e.stub for e in assignment.manifest().exercises)
    names = {n for e in assignment.manifest().exercises for n in e.names}
    found = [d for d in parse_definitions(assignment.solution.read_text("utf-8")) if d.name in names]
    body = {s for d in found for line in d.source.split("\n") if len(s := line.strip()) >= _LONG and s not in given + stubs}
    released = b"\n".join(snapshot(assignment.release).values()).decode("utf-8", "replace")

    assert {d.name for d in found} == names
    assert len(body) >= len(names)
    assert [s for s in body if s in released or s.replace('"', '\\"') in released] == []
