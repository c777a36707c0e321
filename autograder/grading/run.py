"""A student and an exercise's checks in, check results out: what went wrong, whose fault it was, and what to say."""

from __future__ import annotations

import builtins
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autograder.errors import InfraError
from autograder.grading.checks import Check
from autograder.grading.verdict import CheckResult, Status
from autograder.sandbox.clean import clean
from autograder.sandbox.student import Student, StudentCrashed, StudentError, StudentTimeout, Tampered

Draw = Callable[[Check], np.random.Generator]
_STATUS = {StudentTimeout: Status.TIMEOUT, StudentCrashed: Status.CRASHED, Tampered: Status.TAMPERED}
_HINT_CHARS = 600
_SAID = {
    Status.TIMEOUT: "It ran out of time. Is there a loop that never ends, or one that should be a tensor operation?",
    Status.CRASHED: "The process that ran it ended: an exit, a crash, or more memory than allowed.",
    Status.TAMPERED: "Its answer broke the protocol of the box. A person will look at this.",
}


@dataclass(frozen=True)
class Outcome:
    """How one check ended: `death` says that the player is gone and nothing more can be asked."""

    status: Status
    hint: str = ""
    death: bool = False


def run_checks(student: Student, checks: Sequence[Check], draw: Draw, reference: Callable[[], Student]) -> list[CheckResult]:
    """Run the checks in order. After the player's death the rest share its status.

    A check that fails is replayed on the reference with the same draw: where the reference fails too, the check is
    wrong, and the result is INFRA, never a zero.
    """
    results: list[CheckResult] = []
    dead: Outcome | None = None
    for check in checks:
        started = time.process_time()
        outcome = dead or _judge(student, check, draw, reference)
        dead = outcome if outcome.death else dead
        cpu_s = time.process_time() - started
        results.append(
            CheckResult(
                check.name, outcome.status, check.weight, check.core, check.evidence, clean(outcome.hint, _HINT_CHARS), cpu_s
            )
        )
    return results


def attempt(student: Student, check: Check, rng: np.random.Generator) -> Outcome | Exception:
    """Run one check. Returns the outcome, or the exception that only a faulty check or a strange answer explains."""
    try:
        check.run(student, rng)
    except AssertionError as e:
        return Outcome(Status.FAIL, str(e) or check.doc)
    except StudentError as e:
        return judge_error(e, check)
    except InfraError as e:
        return Outcome(Status.INFRA, str(e), death=True)
    except Exception as e:  # the edge where checks meet strange answers: replayed on the reference below
        return e
    return Outcome(Status.PASS)


def judge_error(error: StudentError, check: Check) -> Outcome:
    """Return what a student's exception means for a check."""
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return Outcome(status, _SAID[status], death=True)
    return Outcome(Status.ERROR, _say_error(error, check))


def _judge(student: Student, check: Check, draw: Draw, reference: Callable[[], Student]) -> Outcome:
    found = attempt(student, check, draw(check))
    if isinstance(found, Outcome) and (found.death or found.status is Status.PASS):
        return found
    again = attempt(reference(), check, draw(check))
    if not isinstance(again, Outcome) or again.status is not Status.PASS:
        why = again.hint if isinstance(again, Outcome) else f"{type(again).__name__}: {again}"
        return Outcome(Status.INFRA, f'check "{check.name}" fails on the reference too: {why}')
    if isinstance(found, Outcome):
        return found
    return Outcome(Status.FAIL, f"The result has another structure than expected ({check.doc or check.name}) See the docstring.")


def _say_error(error: StudentError, check: Check) -> str:
    """Name the exception. Its message stays with the instructor, since it may carry hidden inputs, but for a bare name."""
    builtin = isinstance(getattr(builtins, error.kind, None), type)
    kind = error.kind if builtin else "an exception"
    name = re.fullmatch(r"name '(\w{1,60})' is not defined", error.message) if kind == "NameError" else None
    if kind == "NotImplementedError":
        return "A part of it still raises NotImplementedError."
    what = f"NameError: {name[1]} is not defined in your notebook" if name else f"Your code raised {kind}"
    return f"{what} in the check “{check.doc.splitlines()[0] if check.doc else check.name}”"
