"""Grading in the real box: every way in which student code goes wrong costs its own exercise, and the slot lives on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.course import Course, load
from autograder.errors import InfraError
from autograder.grading.budget import Budget
from autograder.grading.pool import Job, Pool, cores_for
from autograder.grading.verdict import Graded
from autograder.sandbox.cgroups import Cgroups
from autograder.submission.compose import compose
from tests import tiny

D, Q, S = "x1_tiny.double", "x1_tiny.quadruple", "x1_tiny.scaler"
SEED = b"a secret of the course, long enough"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return tiny.write(tmp_path_factory.mktemp("course"))


BUDGET = Budget(shared_floor_s=0.4, alone_floor_s=0.8, notebook_floor_s=2.4, wall_per_cpu=4.0)


def open_pool(course: Course) -> Pool:
    """Budgets are small, so that endless loops end soon."""
    return Pool(course.root, SEED, course.root / "admitted", 1, os.environ, BUDGET)


@pytest.fixture(scope="module")
def pool(course: Course) -> Iterator[Pool]:
    """One slot for the file."""
    with open_pool(course) as found:
        yield found


def grade(pool: Pool, answers: dict[str, str]) -> Graded:
    return pool.grade(compose(tiny.manifest(), answers), tiny.ASSIGNMENT, "s1")


def statuses(graded: Graded) -> list[str]:
    return [str(v.status) for v in graded.verdicts]


def test_the_reference_earns_everything_in_the_box(pool: Pool):
    """The ordinary way: one box, three passes."""
    graded = grade(pool, tiny.REFERENCE)

    assert (graded.points, statuses(graded)) == (12, ["pass"] * 3)
    assert graded.tier == pool.workers[0].found.tier


def test_a_referee_and_its_player_take_turns_on_their_workers_core(pool: Pool):
    """They never run at once, and to wake the other one elsewhere costs more than to go on here."""
    core = max(os.sched_getaffinity(0))
    look = f"{tiny.DOUBLE}\nimport os\nassert os.sched_getaffinity(0) == {{{core}}}"
    pool.workers[0].core = core
    try:
        pool.submit(Job(1, tiny.ASSIGNMENT, "s1", compose(tiny.manifest(), {D: look})))
        pid = pool.workers[0].referee_pid
        assert pid is not None
        seen = os.sched_getaffinity(pid)
        while not (ends := pool.ends(10.0)):
            continue
    finally:
        pool.workers[0].core = None

    assert seen == {core}
    assert ends[0].graded is not None
    assert statuses(ends[0].graded)[0] == "pass"


def test_a_core_is_kept_to_only_where_each_has_its_worker():
    """Fewer workers than cores might all stand on the cores that others fill, and leave the rest idle."""
    assert sorted(cores_for(2, {3, 1}, "a:1")) == [1, 3]
    assert cores_for(1, {3, 1}, "a:1") == [None]
    assert cores_for(3, {3, 1}, "a:1") == [None, None, None]


def test_several_pools_do_not_all_begin_with_the_same_core():
    """One job goes to a pool's first worker: graders in several containers would fill one core and leave the others idle."""
    given = [cores_for(4, {4, 5, 6, 7}, f"host{n}:17") for n in range(64)]
    firsts = Counter(cores[0] for cores in given)
    assert all(sorted(cores) == [4, 5, 6, 7] for cores in given)
    assert set(firsts) == {4, 5, 6, 7}
    assert max(firsts.values()) < 32


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("loop when called", "def double(x):\n    while True:\n        pass", "timeout"),
        ("loop in the cell", tiny.DOUBLE + "\nwhile True:\n    pass", "timeout"),
        ("sleep", "import time\ndef double(x):\n    time.sleep(10_000)", "timeout"),
        ("exit", "import os\ndef double(x):\n    os._exit(0)", "crashed"),
        ("exit in the cell", tiny.DOUBLE + "\nimport os\nos._exit(0)", "crashed"),
        ("exception", "def double(x):\n    return x.no_such_thing", "error"),
        ("sys.exit", "import sys\ndef double(x):\n    sys.exit(0)", "error"),
        ("10 GiB", "def double(x):\n    return torch.ones(10 << 30, dtype=torch.uint8)", "error"),
        ("wrong value", "def double(x):\n    return x", "fail"),
        ("patches torch", "torch.equal = torch.allclose = lambda *a, **k: True\ndef double(x):\n    return x", "fail"),
    ],
    ids=lambda v: v.replace(" ", "_") if len(v) < 20 else "",
)
def test_what_goes_wrong_in_one_exercise_costs_that_one_only(pool: Pool, name: str, body: str, status: str):
    """double is broken; quadruple builds on it and scaler does not: both keep full marks."""
    graded = grade(pool, {**tiny.REFERENCE, D: body})

    assert statuses(graded) == [status, "pass", "pass"], [v.hint for v in graded.verdicts]
    assert [v.points for v in graded.verdicts] == [0, 4, 4]


def test_noise_on_stderr_costs_nothing(pool: Pool):
    """Warnings and prints are not errors; what was printed is kept for the instructor."""
    noise = "\nimport sys, warnings\nprint('hello', file=sys.stderr)\nwarnings.warn('careful')\n"
    graded = grade(pool, {**tiny.REFERENCE, D: tiny.DOUBLE + noise})

    assert graded.points == 12
    assert "hello" in graded.output


def test_the_same_bytes_draw_the_same_inputs(pool: Pool):
    """Grading again, by whatever way, gives the same verdicts."""
    answers = {**tiny.REFERENCE, D: "def double(x):\n    return 2 * x.abs()"}
    first, second = grade(pool, answers), grade(pool, answers)

    assert [(v.status, v.points, v.hint) for v in first.verdicts] == [(v.status, v.points, v.hint) for v in second.verdicts]


def test_a_course_that_requires_more_than_the_box_offers_grades_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Fail closed, with the two tiers and what to run."""
    tiny.write(tmp_path)
    (tmp_path / "assignments" / "course.toml").write_text(tiny.COURSE.replace('"C"', '"A"'))
    monkeypatch.setattr(Cgroups, "find", lambda: None)  # as a plain user has it

    with open_pool(load(tmp_path)) as pool, pytest.raises(InfraError, match="reaches tier B; the course requires A"):
        grade(pool, tiny.REFERENCE)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("4 * x,", "5 * x,", "its reference does not earn full marks in this box (x1_tiny.quadruple: infra"),
        (
            'same(student.fn("quadruple")(x), 4 * x, "quadruple")',
            "pass",
            "its stub earns points for x1_tiny.quadruple",
        ),
    ],
)
def test_an_assignment_that_is_not_admitted_is_not_graded(tmp_path: Path, old: str, new: str, reason: str):
    """A check that refuses the reference, or accepts the stub, must not decide about anyone."""
    broken = tiny.write(tmp_path)
    path = broken.assignment(tiny.ASSIGNMENT).folder / "hidden.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with open_pool(broken) as pool:
        graded = grade(pool, tiny.REFERENCE)

    assert statuses(graded) == ["infra"] * 3
    assert reason in graded.verdicts[0].notes[0]


def test_an_admission_is_remembered_for_its_build_only(course: Course, pool: Pool):
    """The file is named after the build: another check or reference is admitted anew."""
    (path,) = (course.root / "admitted").glob("*.json")

    assert pool.referees.known(tiny.ASSIGNMENT)[1] in path.name
