"""One lesson becomes one release through nbgrader itself: the same bytes each time, and nothing secret in them."""

from __future__ import annotations

import json
import re
import sys
import types

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import compute_checksum

from autograder.authoring.build import build, instructor_notebook
from autograder.authoring.leak import MIN_CHARS
from autograder.course import MANIFEST
from autograder.errors import CourseError
from tests.small_course import DATA, HIDDEN, LESSON, MUTANTS, SOLUTION, write_course


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    found = write_course(tmp_path_factory.mktemp("course"))
    build(found, found.root / "release")
    return found


@pytest.fixture(scope="module")
def assignment(course):
    return course.assignment("s1_sums")


@pytest.fixture(scope="module")
def notebook(assignment):
    return nbformat.read(assignment.release / "s1_sums.ipynb", as_version=4)


def snapshot(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def run(cells, checks_source):
    """Run code cells as a student's kernel would; return the exception of each cell that raised."""
    checks = types.ModuleType("checks")
    exec(compile(checks_source, "checks.py", "exec"), checks.__dict__)
    raised, namespace = {}, {"__name__": "__main__"}
    before = sys.modules.get("checks")
    sys.modules["checks"] = checks
    try:
        for cell in cells:
            if cell["cell_type"] == "code":
                try:
                    exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
                except Exception as e:
                    raised[cell["id"]] = type(e)
    finally:
        del sys.modules["checks"]
        if before:
            sys.modules["checks"] = before
    return raised


def test_a_release_holds_notebook_checks_data_and_manifest(course, assignment):
    """Nothing else travels to students, and the two copied files are copies."""
    files = snapshot(assignment.release)

    assert sorted(files) == [MANIFEST, "checks.py", "data/values.csv", "s1_sums.ipynb"]
    assert files["data/values.csv"] == DATA.encode()
    assert files["checks.py"] == (assignment.folder / "checks.py").read_bytes()


def test_a_second_build_changes_no_byte(course, assignment):
    """Not in place, and not in an empty folder."""
    before = snapshot(assignment.release)
    (again,) = build(course, assignment.root / "release", ["s1_sums"])
    build(course, assignment.root / "elsewhere")

    assert again.changed == ()
    assert snapshot(assignment.release) == before == snapshot(assignment.root / "elsewhere" / "s1_sums")


def test_what_is_stale_disappears(course, assignment):
    """A file of an earlier build must not reach students."""
    (assignment.release / "data" / "old").mkdir()
    (assignment.release / "data" / "old" / "hidden.py").write_text("x = 1")
    (again,) = build(course, assignment.root / "release")

    assert again.changed == ("data/old/hidden.py",)
    assert not (assignment.release / "data" / "old").exists()


def test_an_error_leaves_the_release_as_it_was(tmp_path):
    """Half a release is worse than yesterday's."""
    course = write_course(tmp_path)
    build(course, tmp_path / "release")
    before = snapshot(tmp_path / "release")
    (tmp_path / "assignments" / "s1_sums" / "lesson.py").write_text(LESSON + "print(nowhere)\n")
    with pytest.raises(CourseError):
        build(course, tmp_path / "release")
    assert snapshot(tmp_path / "release") == before


def test_the_notebook_is_what_jupyter_and_nbgrader_expect(notebook):
    """Valid nbformat 4.5 with a kernel, so that no dialog opens; valid nbgrader metadata with true checksums."""
    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)

    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"
    assert notebook.metadata.bootcamp.assignment == "s1_sums"
    marked = [c for c in notebook.cells if "nbgrader" in c.metadata]
    assert [c.metadata.nbgrader.checksum for c in marked] == [compute_checksum(c) for c in marked]


def test_cells_are_locked_graded_and_named_by_their_exercise(notebook):
    """Students edit answers and demos; given code and checks are locked; points stand on the checks."""
    kinds = {c.id: (c.metadata.get("editable", True), c.metadata.get("nbgrader", {})) for c in notebook.cells}

    for slug, points in [("total", 4), ("running_mean", 5), ("low", 1.5), ("countdown", 0)]:
        editable, answer = kinds[slug]
        assert (editable, answer["solution"], answer["grade"], answer["locked"]) == (True, True, False, False)
        editable, check = kinds[f"{slug}-check"]
        assert (editable, check["solution"], check["grade"], check["locked"], check["points"]) == (False, False, True, True, points)
    editable, setup = kinds["at-start-setup-1"]
    assert (editable, setup["locked"], setup["grade"], setup["solution"]) == (False, True, False, False)
    assert kinds["total-demo-1"] == (True, {})
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", id) for id in kinds)


def test_the_reference_runs_and_the_stub_fails_every_check(assignment, notebook):
    """The instructor's notebook works from top to bottom; in the student's, each check meets the stub."""
    checks = (assignment.folder / "checks.py").read_text()
    stub = run(notebook.cells, checks)

    assert run(json.loads(instructor_notebook(assignment))["cells"], checks) == {}
    assert {id: e for id, e in stub.items() if id.endswith("-check")} == {
        f"{slug}-check": NotImplementedError for slug in ("total", "running_mean", "low", "countdown")
    }


def test_the_manifest_describes_the_released_notebook(assignment, notebook):
    """Same cells in the same order; stubs and given code as released; what builds on what."""
    manifest = assignment.manifest()
    sources = {c.id: c.source for c in notebook.cells}

    assert [c.id for c in manifest.cells] == list(sources)
    assert all(c.source == sources[c.id] for c in manifest.cells if c.kind != "text")
    assert {c.source for c in manifest.cells if c.kind == "text"} == {""}
    assert {e.id: e.stub for e in manifest.exercises} == {f"s1_sums.{e.cell_id}": sources[e.cell_id] for e in manifest.exercises}
    assert [(e.id, e.names, e.points, e.uses) for e in manifest.exercises] == [
        ("s1_sums.total", ("total",), 4, ()),
        ("s1_sums.running_mean", ("RunningMean",), 5, ("s1_sums.total",)),
        ("s1_sums.low", ("low", "high"), 1.5, ()),
        ("s1_sums.countdown", ("countdown",), 0, ()),
    ]
    assert manifest.max_points == 10.5
    assert "class Config:" in next(c.source for c in manifest.cells if c.kind == "setup")


def test_a_change_in_one_place_changes_only_that_cell(tmp_path):
    """Ids derive from exercises: a paragraph more does not rename the cells of later exercises."""
    course = write_course(tmp_path)
    build(course, tmp_path / "before")
    text = LESSON.replace("# %% demo\nprint", "# %% [markdown]\n# One more paragraph.\n\n# %% demo\nprint")
    (tmp_path / "assignments" / "s1_sums" / "lesson.py").write_text(text)
    build(course, tmp_path / "after")
    before, after = (json.loads((tmp_path / n / "s1_sums" / "s1_sums.ipynb").read_text())["cells"] for n in ("before", "after"))

    assert [c for c in after if c not in before] == [
        {"cell_type": "markdown", "id": "total-text-1", "metadata": {}, "source": ["One more paragraph."]}
    ]
    assert all(c in after for c in before)


def test_no_answer_and_no_hidden_text_is_released(assignment):
    """No telling line of an answer, of the referee or of a mutant stands in any released file."""
    released = "\n".join(p.read_text() for p in sorted(assignment.release.rglob("*")) if p.is_file())
    shown = "\n".join("".join(c["source"]) for c in json.loads((assignment.release / "s1_sums.ipynb").read_text())["cells"])
    answers = ["An empty sum would be 0", "no values to add up", "remark below", "_mean_of_what_was_seen", "seen_so_far", "n -= 1"]
    secret = [s.strip() for text in (HIDDEN, MUTANTS) for s in text.split("\n") if len(s.strip()) >= MIN_CHARS]

    assert len(secret) >= 5
    for text in [*answers, *secret]:
        assert text in SOLUTION + HIDDEN + MUTANTS
        assert text not in released + shown


def test_an_answer_in_what_students_read_is_refused(tmp_path):
    """An author who explains too much is told which line; the builder writes nothing."""
    line = "return self._mean_of_what_was_seen()"
    course = write_course(tmp_path, lesson=LESSON.replace("# Add things up.", f"# Just write {line} and be done."))
    with pytest.raises(CourseError) as e:
        build(course, tmp_path / "release")
    path = tmp_path / "assignments" / "s1_sums" / "lesson.py"
    told = f's1_sums.ipynb would tell students a line of s1_sums.py: "{line}". Write it differently in what they get.'
    assert str(e.value) == f"{path}: {told}"
    assert not (tmp_path / "release").exists()


def test_a_hidden_line_in_the_data_is_refused(tmp_path):
    """Whatever lies in data/ reaches students."""
    course = write_course(tmp_path, data="# A hint that only the referee may give.\n" + HIDDEN)
    with pytest.raises(CourseError, match=r"data/values.csv would tell students a line of hidden.py"):
        build(course, tmp_path / "release")


def test_a_link_in_the_data_is_refused(tmp_path):
    """A release is a copy of plain files, not of what a link happens to point at."""
    course = write_course(tmp_path)
    (tmp_path / "assignments" / "s1_sums" / "data" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(CourseError, match=r"data/passwd: only plain files can be released, found a link or a device.$"):
        build(course, tmp_path / "release")


def test_building_leaves_nothing_behind(tmp_path, monkeypatch):
    """nbgrader works in a temporary folder: the working directory keeps its place and its content."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    course = write_course(tmp_path / "course")
    build(course, tmp_path / "release")

    assert list(work.iterdir()) == []
    assert (tmp_path / "release").is_dir()
