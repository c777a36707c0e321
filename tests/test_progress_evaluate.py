"""One evaluation: pure, in any order the same, equal after a regrade was taken back, and sane with no or little data."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.errors import BootcampError
from autograder.grading.verdict import Graded, Status, Verdict
from autograder.progress import CourseItems, Item, Report, State, evaluate, load_policy
from autograder.progress.policy import FLAGS
from autograder.records import Attempt, FirstTry, Ledger
from tests.ledger_world import START, minute, sqlite_ledger
from tests.progress_world import course, everyone, first_tries, first_try, simulate

COURSE = course()
POLICY = load_policy()

_FRACTIONS = st.sampled_from([None, 0.0, 0.25, 0.5, 1.0, "absent"])
_CLASSES = st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(_FRACTIONS, min_size=24, max_size=24), min_size=n, max_size=n))
_ITEMS = tuple(COURSE.items.values())
# Some examples fit a model of 24 exercises six times; the time is bounded by the number of examples instead.
_MODEST = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def _tries(table: list[list[float | str | None]]) -> list[FirstTry]:
    cells = [(f"s{i}", _ITEMS[j], x) for i, row in enumerate(table) for j, x in enumerate(row) if x != "absent"]
    return [first_try(s, item, x) for s, item, x in cells if not isinstance(x, str)]


@_MODEST
@given(_CLASSES, st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_changes_nothing(table: list[list[float | str | None]], shuffle: random.Random) -> None:
    """First tries, exercises and students in another order give the same report, bit for bit."""
    tries, items, students = _tries(table), list(COURSE.items.items()), ["s0", "s9", "a"]
    expected = evaluate(tries, COURSE, POLICY, students)
    for sequence in (tries, items, students):
        shuffle.shuffle(sequence)

    assert evaluate(tries, CourseItems(dict(items), 3), POLICY, students) == expected


@_MODEST
@given(_CLASSES)
def test_an_exercise_that_nobody_tried_changes_no_estimate(table: list[list[float | str | None]]) -> None:
    """A new exercise in the course leaves states, chances and intervals as they are; only what to try next may name it."""
    more = Item("A02.new", "a02", "track 0", 2, 4.0, "New", 99)
    other = Item("A09.new", "a09", "track 9", 3, 4.0, "New", 100)
    tries = _tries(table)

    before = evaluate(tries, COURSE, POLICY)
    after = evaluate(tries, CourseItems({**COURSE.items, more.exercise: more, other.exercise: other}, 3), POLICY)

    assert _without_advice(after) == _without_advice(before)


@_MODEST
@given(_CLASSES)
def test_every_number_is_finite_and_in_order(table: list[list[float | str | None]]) -> None:
    """Whatever the class looks like: no NaN, intervals nest, ranks lie in the class, chances lie in 0 to 1."""
    report = evaluate(_tries(table), COURSE, POLICY)

    n = len(report.students)
    for f in report.students:
        numbers = [f.p, f.mean, f.sd, *f.interval50, *f.interval90]
        assert np.all(np.isfinite(numbers))
        assert numbers == [round(x, 6) for x in numbers]
        assert f.interval90[0] < f.interval50[0] < f.mean < f.interval50[1] < f.interval90[1]
        assert 1 <= f.rank90[0] <= f.rank90[1] <= n
        assert 0 <= f.p <= 1
        assert 0 < f.sd <= 1
        assert 0 <= f.p_growing <= 1
    again = Report.from_json(json.loads(json.dumps(report.as_json(), allow_nan=False)))
    assert again == report
    assert all(type(f.state) is State for f in again.students)


def _without_advice(report: Report) -> Report:
    students = tuple(replace(f, settle=None, reasons=()) for f in report.students)
    return replace(report, students=students)


def test_nothing_gives_a_report_that_says_so() -> None:
    """No student and no try: an empty report; students without tries: needs evidence, with the first exercises to try."""
    empty = evaluate([], COURSE, POLICY, last_event=7)
    report = evaluate([], COURSE, POLICY, students=["s1"])

    assert (empty.students, empty.spread, empty.last_event) == ((), None, 7)
    assert empty.too_early == report.too_early == "No first try counts yet."
    (finding,) = report.students
    assert finding.state is State.NEEDS_EVIDENCE
    assert (finding.mean, finding.sd, finding.n_items, finding.rank90) == (0, 1, 0, (1, 1))
    assert finding.p == pytest.approx(POLICY.target.top_share, abs=1e-6)
    assert finding.settle is not None
    assert [i.exercise for i in finding.settle.next] == ["A01.e1", "A01.e2", "A01.e3"]


@pytest.mark.parametrize("n", [1, 2, 20])
@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_in_a_class_that_is_all_alike_nobody_stands_out(n: int, fraction: float) -> None:
    """All right or all wrong, even with enough tries: the same modest estimate for all, and no flag."""
    report = evaluate(everyone([f"s{i}" for i in range(n)], COURSE, fraction), COURSE, POLICY)

    assert not {f.state for f in report.students} & set(FLAGS)
    assert len({(f.mean, f.sd, f.p) for f in report.students}) == 1
    assert abs(report.students[0].mean) < 0.5


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_alone_is_too_early(fraction: float) -> None:
    """With nobody to compare with there is no judgement, however many tries there are."""
    report = evaluate(everyone(["s0"], COURSE, fraction), COURSE, POLICY)

    assert report.students[0].state is State.NEEDS_EVIDENCE
    assert "others to compare with" in report.too_early


def test_one_exercise_is_too_early() -> None:
    """A single exercise orders the class a little and flags nobody."""
    item = _ITEMS[0]
    report = evaluate([first_try(f"s{i}", item, float(i % 2)) for i in range(10)], COURSE, POLICY)

    assert report.too_early
    assert report.students[1].mean > report.students[0].mean
    assert all("1 first try counts, 20 are needed" in f.settle.lacking for f in report.students if f.settle)


def _full_course_cohort() -> list[FirstTry]:
    return first_tries(simulate(np.random.default_rng(13), n=60), course(8, 6))


def test_a_simulated_cohort_gets_every_state() -> None:
    """With enough evidence some are provisional, some to watch, most neither; each flag has its reasons."""
    report = evaluate(_full_course_cohort(), course(8, 6), POLICY)

    states = {f.state for f in report.students}
    assert states == set(State) - {State.DROPPED}  # nothing is dropped at first sight
    assert report.too_early == ""
    for f in report.students:
        assert (f.why is not None) == (f.state in (State.WATCH, State.PROVISIONAL))
        assert (f.settle is not None) == (f.state is State.NEEDS_EVIDENCE)
        assert (f.state is State.PROVISIONAL) <= (f.p >= 0.8)
        assert (f.state is State.NONE) <= (f.p < 0.4)


@pytest.mark.parametrize(("tier", "kind"), [("C", "verified"), ("B", "observed"), ("", "verified")])
def test_weak_evidence_counts_for_nothing(tier: str, kind: str) -> None:
    """First tries from a weak box or without a verified check change no number, and are counted as left out."""
    strong = _full_course_cohort()
    weak = [replace(f, pseudonym="s9999", tier=tier, evidence=kind) for f in strong if f.pseudonym == "s0003"]

    report = evaluate([*strong, *weak], course(8, 6), POLICY)
    without = evaluate(strong, course(8, 6), POLICY, students=["s9999"])

    assert sum(report.left_out.values()) == len(weak)
    assert replace(report, left_out={}) == without
    assert next(f for f in report.students if f.pseudonym == "s9999").state is State.NEEDS_EVIDENCE


def test_skipped_is_missing_unless_the_policy_says_wrong() -> None:
    """A skipped exercise is shown and says nothing; under "wrong" it counts as 0."""
    tries = everyone(["s0", "s1", "s2"], COURSE, 0.5)
    skipping = [
        replace(f, fraction=None, status=Status.SKIPPED) if (f.pseudonym, f.assignment) == ("s0", "a01") else f for f in tries
    ]
    strict = POLICY.model_copy(update={"evidence": POLICY.evidence.model_copy(update={"skipped": "wrong"})})

    missing, wrong = (evaluate(skipping, COURSE, p).students[0] for p in (POLICY, strict))

    assert (missing.n_skipped, missing.n_items, missing.n_notebooks) == (8, 16, 2)
    assert (wrong.n_skipped, wrong.n_items) == (8, 24)
    assert wrong.mean < missing.mean


def test_excluded_exercises_and_assignments_do_not_count() -> None:
    """What the policy sets aside changes no estimate and is not advised either."""
    tries = everyone(["s0"], COURSE, 1.0) + everyone(["s1"], COURSE, 0.0)
    aside = {"excluded_exercises": ("A01.e1",), "excluded_assignments": ("a02",)}
    policy = POLICY.model_copy(update={"evidence": POLICY.evidence.model_copy(update=aside)})

    report = evaluate(tries, COURSE, policy)

    assert report.left_out == {"excluded by the policy": 18}
    assert report.n_exercises == 15
    assert report.students[0].settle is not None
    assert report.students[0].settle.next == ()


def test_contradictory_first_tries_are_refused() -> None:
    """Two first tries of one exercise, or a fraction outside 0 to 1, are errors that name the exercise."""
    one = first_try("s0", _ITEMS[0], 0.5)

    with pytest.raises(BootcampError, match=r"two first tries of A01\.e1 by s0"):
        evaluate([one, first_try("s0", _ITEMS[1], 0.5), one], COURSE, POLICY)
    for bad in (replace(one, fraction=1.5), replace(one, fraction=float("nan")), replace(one, fraction=None)):
        with pytest.raises(BootcampError, match=r"A01\.e1 by s0"):
            evaluate([bad], COURSE, POLICY)


def test_an_exercise_the_course_does_not_know_is_left_out() -> None:
    """A renamed exercise stays in the ledger and is counted as left out."""
    stray = replace(first_try("s0", _ITEMS[0], 1.0), exercise="OLD.name")

    assert evaluate([stray], COURSE, POLICY).left_out == {"not an exercise of the course": 1}


def _grade(ledger: Ledger, build: str, better: bool) -> list[tuple[Attempt, str]]:
    done = []
    for student in range(6):
        pseudonym = ledger.enrol(f"student {student}", "2026", START)
        for n, assignment in enumerate(("a01", "a02", "a03")):
            sha = hashlib.sha256(f"{student}{assignment}".encode()).hexdigest()
            attempt = Attempt.of(pseudonym, assignment, sha, minute(n))
            items = [i for i in _ITEMS if i.assignment == assignment]
            points = [4.0 if (i.place * 7 + student * 5) % 11 < 4 + student or better else 1.0 for i in items]
            said = tuple(
                Verdict(i.exercise, Status.PASS if p == 4 else Status.FAIL, p, 4.0) for i, p in zip(items, points, strict=True)
            )
            ledger.append(attempt, Graded(assignment, sha, said, build, "B"), minute(n))
            done.append((attempt, build))
    return done


def test_a_regrade_that_is_taken_back_leaves_everything_equal(tmp_path: Path) -> None:
    """Through the real ledger: regrade everyone, restore everyone, and the report is the same; the past is rebuilt as it was."""
    with sqlite_ledger(tmp_path) as ledger:
        _grade(ledger, "b1", better=False)
        then = ledger.last_event()
        before = evaluate(ledger.first_tries(), COURSE, POLICY, last_event=then)
        regraded = _grade(ledger, "b2", better=True)
        between = evaluate(ledger.first_tries(), COURSE, POLICY, last_event=then)
        for attempt, _build in regraded:
            ledger.restore(attempt.id, "b1", minute(99), "prof", "the check was wrong")

        assert between != before
        assert evaluate(ledger.first_tries(), COURSE, POLICY, last_event=then) == before
        assert evaluate(ledger.first_tries(as_of=then), COURSE, POLICY, last_event=then) == before


def test_the_report_does_not_depend_on_the_process() -> None:
    """Another process, with another hash seed and number of threads, prints the same report."""
    program = (
        "import json, numpy as np\n"
        "from autograder.progress import evaluate, load_policy\n"
        "from tests.progress_world import course, first_tries, simulate\n"
        "tries = first_tries(simulate(np.random.default_rng(13), n=60), course(8, 6))\n"
        "print(json.dumps(evaluate(tries, course(8, 6), load_policy()).as_json()))"
    )
    seen = set()
    for seed in ("1", "2"):
        env = {"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": seed, "PYTHONPATH": str(Path(__file__).parent.parent)}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True, env=env)
        seen.add(done.stdout)

    assert len(seen) == 1
    assert Report.from_json(json.loads(seen.pop())) == evaluate(_full_course_cohort(), course(8, 6), POLICY)
