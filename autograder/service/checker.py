"""One exercise of a saved notebook in, its official verdict out, where the course allows it.

"practice": told and forgotten, and only once the exercise was handed in: an answer that was polished against official
verdicts before would make the first try, which the tracker reads, say nothing. "counts": the answer is handed in, put into
the student's latest hand-in in place of the older one; it is an attempt like any other. Inputs are drawn by what the
answer says, so asking again about the same answer tells nothing new, and nothing that handing it in would not tell.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from autograder.course import Exercise, Manifest
from autograder.errors import BootcampError, SubmissionError
from autograder.grading.pool import Finished, Job
from autograder.grading.verdict import Status, Verdict
from autograder.pages import wording
from autograder.records import Ledger
from autograder.service.exchange import Exchange, Refused
from autograder.submission.read import read

KIND = "exercise.checked"
MAX_PER_MINUTE = 20
_MAX_WAITING = 16
_LIMIT_S = 60.0
_LOOK_S = 0.05


class Graders(Protocol):
    """What grades: `grading.pool.Pool` with one process of its own."""

    @property
    def n_free(self) -> int: ...
    def submit(self, job: Job) -> None: ...
    def ends(self, timeout_s: float) -> list[Finished]: ...
    def drop(self, key: int) -> None: ...


@dataclass(frozen=True)
class Told:
    """A verdict as the notebook prints it."""

    exercise: str
    words: str
    hints: tuple[str, ...]
    notes: tuple[str, ...]
    counted: str


class Checker:
    """Answers one question after the other. Methods block: call them from a thread."""

    def __init__(self, exchange: Exchange, graders: Graders | None, clock: Callable[[], datetime]) -> None:
        self.exchange, self.graders, self.clock = exchange, graders, clock
        self._one = threading.Lock()
        self._n_waiting = 0
        self._keys = itertools.count(1)
        self._asked: dict[str, list[float]] = {}

    @property
    def ledger(self) -> Ledger:
        return self.exchange.ledger

    def check(self, name: str, assignment_id: str, exercise_name: str, raw: bytes, is_staff: bool) -> Told:
        """Return the verdict on one exercise. Raises: Refused."""
        course = self.exchange.course
        if course.check_alone == "off":
            raise Refused("This course gives official verdicts on hand-ins only. Submit the notebook in the Assignment List.", 403)
        self.exchange.release_of(assignment_id)
        manifest = course.assignment(assignment_id).manifest()
        exercise = _exercise(manifest, exercise_name)
        self._refuse_flood(name)
        try:
            if not read(raw, manifest).answers[exercise.id].attempted:
                raise Refused(f"{exercise.name} is still as it was handed out. Write an answer, run its cell, and ask again.", 409)
        except SubmissionError as e:
            raise Refused(str(e)) from None
        if course.check_alone == "counts":
            return self._hand_in(name, manifest, exercise, raw, is_staff)
        return self._practise(name, manifest, exercise, raw)

    def _practise(self, name: str, manifest: Manifest, exercise: Exercise, raw: bytes) -> Told:
        student = self.ledger.student(name)
        results = self.ledger.results(student.pseudonym, manifest.assignment) if student else []
        tries = {t.exercise: t.n_tries for r in results for t in r.tries}
        if student is None or not tries.get(exercise.id):
            raise Refused(
                f"{exercise.name} has no first try yet: hand the notebook in once, and then check as often as you like.",
                409,
            )
        verdict = self._graded(Job(next(self._keys), manifest.assignment, student.pseudonym, raw, only=(exercise.id,)), exercise)
        payload = {"exercise": exercise.id, "status": verdict.status.value}
        self.ledger.record(KIND, self.clock(), student.pseudonym, student.pseudonym, payload)
        return told(verdict, "Practice: nothing was counted. Hand the notebook in to make it count.")

    def _hand_in(self, name: str, manifest: Manifest, exercise: Exercise, raw: bytes, is_staff: bool) -> Told:
        notebook = f"{manifest.assignment}.ipynb"
        student = self.ledger.student(name)
        latest = self.ledger.latest(student.pseudonym, manifest.assignment) if student else None
        files = self.exchange.attempt_files(latest.id) if latest else {}
        base = files.get(notebook) or self.exchange.released_files(manifest.assignment)[notebook]
        files[notebook] = with_answer(base, manifest, exercise, raw)
        attempt = self.exchange.hand_in(name, manifest.assignment, files, is_staff).attempt
        ends = time.monotonic() + _LIMIT_S
        while time.monotonic() < ends:
            (result,) = self.ledger.results(attempt.pseudonym, manifest.assignment)
            found = next(a for a in result.attempts if a.attempt.id == attempt.id)
            if found.is_graded:
                verdict = next((v for v in found.verdicts if v.exercise == exercise.id), None)
                if verdict is not None:
                    return told(verdict, "This counts: it stands on your page as a new attempt.")
            time.sleep(_LOOK_S)
        raise Refused("Handed in and kept, but the graders are busy. Your page will show the result.", 503)

    def _graded(self, job: Job, exercise: Exercise) -> Verdict:
        if self.graders is None or self._n_waiting >= _MAX_WAITING:
            raise Refused("The grader for single exercises is busy. Try again in a moment.", 503)
        self._n_waiting += 1
        try:
            with self._one:
                return self._run(self.graders, job, exercise)
        finally:
            self._n_waiting -= 1

    def _run(self, graders: Graders, job: Job, exercise: Exercise) -> Verdict:
        graders.submit(job)
        ends = time.monotonic() + _LIMIT_S
        while time.monotonic() < ends:
            for end in graders.ends(1.0):
                if end.graded is None:
                    raise BootcampError("Our fault: the grader failed at it. Nothing was counted; try again.")
                return next(v for v in end.graded.verdicts if v.exercise == exercise.id)
        graders.drop(job.key)
        raise Refused(f"No verdict within {_LIMIT_S:.0f} s. Nothing was counted; hand the notebook in instead.", 503)

    def _refuse_flood(self, name: str) -> None:
        now = time.monotonic()
        recent = [at for at in self._asked.get(name, []) if now - at < 60.0]
        if len(recent) >= MAX_PER_MINUTE:
            raise Refused(f"{MAX_PER_MINUTE} checks a minute are taken. Wait a little.", 429)
        self._asked[name] = [*recent, now]


def told(verdict: Verdict, counted: str) -> Told:
    """Return the verdict in the words of the pages: hints, never a hidden check's text."""
    mark = wording.VERDICTS[verdict.status]
    points = "" if verdict.points is None else f", {wording.number(verdict.points)} of {wording.number(verdict.max_points)} points"
    others = [c.hint for c in verdict.checks if c.hint and c.status is not Status.PASS]
    hints = tuple(str(wording.plain(h)) for h in dict.fromkeys([verdict.hint, *others]) if h)
    notes = () if verdict.status is Status.INFRA else tuple(str(wording.plain(n)) for n in verdict.notes)
    return Told(verdict.exercise.split(".", 1)[-1], f"{mark.word}{points}", hints, notes, counted)


def with_answer(base: bytes, manifest: Manifest, exercise: Exercise, raw: bytes) -> bytes:
    """Return the notebook `base` with the answer that stands in `raw`, and what of the author's own it needs.

    Answers to other exercises stay as they are in `base`. Raises: Refused when `base` cannot be read.
    """
    others = {e.id: e.stub for e in manifest.exercises if e.id != exercise.id}
    program = read(raw, manifest, others).answers[exercise.id].program
    given = {c.id for c in manifest.cells}
    own = [c.source for c in program if c.label not in given and not c.label.startswith("the course's ")]
    try:
        notebook: dict[str, Any] = json.loads(base)
        cells = list(notebook["cells"])
    except (ValueError, KeyError, TypeError):
        raise Refused("Your latest hand-in is no notebook. Hand in the whole notebook first.", 409) from None
    answer: dict[str, Any] = {"cell_type": "code", "id": exercise.cell_id, "metadata": {}, "execution_count": None, "outputs": []}
    answer["source"] = "\n\n".join(own)
    at = next((i for i, c in enumerate(cells) if isinstance(c, dict) and exercise.cell_id in (c.get("id"), _grade_id(c))), None)
    if at is None:
        cells.append(answer)
    else:
        cells[at] = {**answer, "metadata": cells[at].get("metadata", {})}
    return json.dumps({**notebook, "cells": cells}, indent=1).encode()


def _grade_id(cell: dict[str, Any]) -> object:
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None


def _exercise(manifest: Manifest, name: str) -> Exercise:
    for e in manifest.exercises:
        if name in (e.id, e.cell_id, *e.names):
            return e
    known = ", ".join(e.name for e in manifest.exercises)
    raise Refused(f'{manifest.assignment} has no exercise "{name[:60]}". There are: {known}.', 404)
