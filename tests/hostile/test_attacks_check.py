"""Attacks on the checks themselves: nothing that a check lends or keeps costs the worker more than its share."""

from __future__ import annotations

import resource

import pytest

from autograder.grading.grade import Grader
from autograder.grading.verdict import Graded, Status
from autograder.submission.compose import compose
from tests.hostile import attacks_check, catalogue, rich, world

# Of this process, over all attacks of a run. An exercise is graded twice, and each time may send 512 MiB and have 256 MiB of
# graphs kept, beside what is under way; a referee's own limit is 6 GiB.
MAX_GROWTH_KIB = 2560 << 10


def grade(slot, answers: dict[str, str]) -> Graded:
    grader = Grader(rich.bundle(), slot.open_box, slot.tier, b"a secret of the course's own " * 2, budget=world.BUDGET)
    named = {f"{rich.NAME}.{name}": source for name, source in {**rich.REFERENCE, **answers}.items()}
    return grader.grade(compose(rich.bundle().manifest, named), "mallory")


def points(graded: Graded) -> dict[str, float | None]:
    return {v.exercise.partition(".")[2]: v.points for v in graded.verdicts}


def test_the_reference_is_whole(slot):
    """Each exercise of the rich course can be solved."""
    assert points(grade(slot, {})) == dict.fromkeys(rich.REFERENCE, 4.0)


@pytest.mark.parametrize(("exercise", "name"), catalogue.sample(attacks_check.CHECK, 0.35))
def test_the_check_holds(slot, exercise, name):
    """The attack scores nothing, the answers beside it full; it is laid to the student; our memory stays bounded."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    graded = grade(slot, {exercise: attacks_check.CHECK[exercise, name]})

    assert points(graded) == {**dict.fromkeys(rich.REFERENCE, 4.0), exercise: 0.0}, graded
    (verdict,) = (v for v in graded.verdicts if v.exercise.endswith(f".{exercise}"))
    assert verdict.status not in (Status.INFRA, Status.PASS, Status.SKIPPED)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MAX_GROWTH_KIB
    # Ended in time: our own share of the work is bounded too.
    assert graded.cpu_s < 60
