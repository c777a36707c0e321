"""A grader in, what its reference costs out, if the assignment may be graded: reference full, stub nothing, in this box.

An assignment is admitted when, under this very engine and in this very box, its reference earns full marks and its
stub none. What the reference costs is kept beside the admission: it scales the limits for students.
"""

from __future__ import annotations

from autograder.errors import InfraError
from autograder.grading.grade import Grader
from autograder.grading.run import run_checks
from autograder.grading.score import passed_share
from autograder.grading.verdict import Status
from autograder.sandbox.box import Limits
from autograder.submission.compose import compose


def admit(grader: Grader) -> dict[str, float]:
    """Return the reference's CPU seconds by exercise. Raises: InfraError unless reference is full and stub zero."""
    bundle = grader.bundle
    graded = grader.grade(compose(bundle.manifest, bundle.reference), "reference")
    short = [v for v in graded.verdicts if v.status is not Status.PASS]
    name = bundle.manifest.assignment
    if graded.error or short:
        why = graded.error or f"{short[0].exercise}: {short[0].status}, {short[0].hint} {' '.join(short[0].notes)}"
        raise InfraError(f"{name} is not graded: its reference does not earn full marks in this box ({why}).")
    generous = Limits(cpu_s=60.0, wall_s=360.0)
    with grader.open_box(bundle.stub_program(), generous) as box:
        for e in bundle.manifest.exercises:
            results = run_checks(box.student, bundle.checks[e.id], grader.draw("stub"), grader.reference)
            if passed_share(results) > 0:
                raise InfraError(f"{name} is not graded: its stub earns points for {e.id}.")
    return {v.exercise: v.cpu_s for v in graded.verdicts}
