"""nbgrader's course folder is made from the release by nbgrader itself, once; afterwards preparing costs nothing."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import replace
from datetime import datetime

import pytest
from nbgrader.api import Gradebook

from autograder.authoring.build import build, instructor_notebook
from autograder.course import load
from autograder.errors import BootcampError, CourseError
from autograder.nbgrader_bridge.course_dir import prepare
from autograder.nbgrader_bridge.publish import Submitted, publish
from tests.nbgrader_world import NOW, World
from tests.small_course import COURSE, LESSON, SOLUTION
from tests.small_home import ID, SmallDoor, answers, handed_in, small_home


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def again(world, **changed):
    """Change the course's files, build, and prepare; return what was prepared."""
    folder = world.course.root / "assignments"
    solution = world.course.root / "solutions" / f"{ID}.py"
    paths = {"course": folder / "course.toml", "lesson": folder / ID / "lesson.py", "solution": solution}
    for name, text in changed.items():
        paths[name].write_text(text)
    world.course = load(world.course.root)
    build(world.course, world.course.root / "release")
    return prepare(world.course, world.home, instructor_notebook)


def snapshot(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_folder_is_what_nbgrader_works_on(world):
    """Source with answers, release as ours, points and due date registered; nobody else may read it."""
    source, release = world.root / "source" / ID, world.root / "release" / ID

    assert sorted(snapshot(source)) == sorted(snapshot(release)) == ["checks.py", "data/values.csv", f"{ID}.ipynb"]
    assert "return sum(values)" in (source / f"{ID}.ipynb").read_text()
    released = [json.loads((folder / f"{ID}.ipynb").read_text()) for folder in (release, world.course.assignment(ID).release)]
    assert released[0] == released[1]
    assert world.root.stat().st_mode & 0o077 == 0
    with world.gradebook() as gradebook:
        notebook = gradebook.find_notebook(ID, ID)
        points = {c.name: c.max_score for c in notebook.grade_cells}
        assert points == {"total-check": 4, "running_mean-check": 5, "low-check": 1.5, "countdown-check": 0}
        assert {c.name for c in notebook.solution_cells} == {"total", "running_mean", "low", "countdown"}
        assert gradebook.find_assignment(ID).duedate == datetime(2027, 1, 31, 23, 59)


def test_preparing_again_calls_nobody(world):
    """Neither our builder nor nbgrader: the second start is quick."""

    def nobody(assignment):
        raise AssertionError("nothing has changed")

    before = snapshot(world.root)
    assert prepare(world.course, world.home, nobody) == ()
    assert snapshot(world.root) == before


def test_a_lesson_that_nobody_built_does_not_stand_in_the_way(world):
    """An author's edit in progress must not keep results out of the gradebook."""
    (world.course.root / "assignments" / ID / "lesson.py").write_text(LESSON + "\n# %%\n1\n")
    assert prepare(world.course, world.home, instructor_notebook) == ()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"lesson": LESSON + "\n# %%\nprint('one more')\n"}, "one more"),
        ({"solution": SOLUTION.replace("return sum(values)", "return sum(list(values))")}, "sum(list(values))"),
    ],
)
def test_what_changed_is_prepared_again(world, changed, expected):
    """A new release, or new answers."""
    assert again(world, **changed) == (ID,)
    assert expected in (world.root / "source" / ID / f"{ID}.ipynb").read_text()
    assert prepare(world.course, world.home, instructor_notebook) == ()


def test_new_points_and_due_dates_reach_the_gradebook(world):
    """Submissions that are already there keep their scores."""
    publish(world.home, world.course, [world.submitted("ada")])
    assert again(world, lesson=LESSON.replace("points=4", "points=40")) == (ID,)
    later = COURSE.replace("2027-01-31T23:59:00+00:00", "2027-02-28T12:00:00+02:00")
    assert again(world, course=later) == (ID,)
    with world.gradebook() as gradebook:
        assert gradebook.find_grade_cell("total-check", ID, ID).max_score == 40
        assert gradebook.find_assignment(ID).duedate == datetime(2027, 2, 28, 10, 0)
        assert gradebook.find_submission(ID, "ada").score == 10.5


def test_exercises_cannot_come_and_go_under_submissions(world):
    """nbgrader cannot do it; the message says what can be done, and what it costs."""
    publish(world.home, world.course, [world.submitted("ada")])
    lesson = LESSON[: LESSON.index("# %% exercise points=0")]
    with pytest.raises(BootcampError, match="exercises were added, removed or renamed, and nbgrader's gradebook already holds sub"):
        again(world, lesson=lesson)


def test_a_stale_release_is_refused_before_anything_is_written(world):
    """Lesson and solution changed together, and only one of them was built."""
    (world.course.root / "assignments" / ID / "lesson.py").write_text(LESSON + "\n# %%\nprint('one more')\n")
    (world.course.root / "solutions" / f"{ID}.py").write_text(SOLUTION.replace("return sum(values)", "return sum(list(values))"))
    before = snapshot(world.root)
    with pytest.raises(BootcampError, match=rf"{ID}.ipynb is stale: the lesson has changed. Run: bootcamp build {ID}$"):
        prepare(world.course, world.home, instructor_notebook)
    assert snapshot(world.root) == before


def test_an_assignment_that_is_not_built_is_named(world):
    """With the command that builds it."""
    (world.course.assignment(ID).release / "assignment.json").unlink()
    with pytest.raises(CourseError, match=f"the assignment is not built. Run: bootcamp build {ID}$"):
        prepare(world.course, world.home, instructor_notebook)


def test_a_lost_gradebook_is_made_again_and_the_environment_stays(world, monkeypatch):
    """What is remembered about a gradebook goes with it. nbgrader's own way of changing PATH would take PATH away."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (world.root / "gradebook.db").unlink()
    before, here = dict(os.environ), os.getcwd()

    assert prepare(world.course, world.home, instructor_notebook) == (ID,)
    assert dict(os.environ) == before
    assert os.getcwd() == here
    assert publish(world.home, world.course, [world.submitted("ada")]) == 1


def test_no_secret_stands_in_the_configuration(tmp_path):
    """A ledger's address may hold a password: it is read from the environment when it is needed."""
    course, home = small_home(tmp_path)
    home = replace(home, ledger_url="postgresql://u:hunter2@db/ledger", seed_text="s" * 40)
    prepare(course, home, instructor_notebook)

    text = (home.nbgrader_root / "nbgrader_config.py").read_text()
    assert "hunter2" not in text
    assert "s" * 40 not in text


def test_two_assignments_with_the_same_cells_do_not_mix(tmp_path):
    """Ids of cells are unique in a notebook, not in a course."""
    course, home = small_home(tmp_path)
    root = course.root
    (root / "assignments" / "course.toml").write_text(
        COURSE + '\n[[assignment]]\nid = "s2_sums"\ntitle = "More"\ntrack = "basics"\nweek = 2\nrequires = ["s1_sums"]\n'
    )
    (root / "assignments" / "s2_sums").mkdir()
    for name in ("lesson.py", "checks.py"):
        text = (root / "assignments" / ID / name).read_text().replace("s1_sums", "s2_sums")
        (root / "assignments" / "s2_sums" / name).write_text(text)
    (root / "solutions" / "s2_sums.py").write_text(SOLUTION)
    course = load(root)
    build(course, root / "release", ["s2_sums"])

    assert prepare(course, home, instructor_notebook) == ("s2_sums",)
    raw = handed_in(course, answers())
    publish(home, course, [Submitted("ada", raw, NOW, SmallDoor(home).grade(raw, ID, "ada", NOW))])
    with Gradebook(f"sqlite:///{home.nbgrader_root / 'gradebook.db'}", "bootcamp") as gradebook:
        assert gradebook.find_submission(ID, "ada").score == 10.5
        assert list(gradebook.assignment_submissions("s2_sums")) == []
    with sqlite3.connect(home.nbgrader_root / "gradebook.db") as db:
        assert db.execute("select count(*) from assignment").fetchone() == (2,)
