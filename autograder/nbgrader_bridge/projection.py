"""The ledger in, nbgrader's gradebook and folders brought up to date out: what was graded since the last time, or all.

The gradebook is a projection: losing it loses nothing. How far it got is kept beside it, so a publisher that is killed
between a grading and its publication finds it again; publishing twice changes nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from autograder.course import Course
from autograder.errors import BootcampError
from autograder.grading.verdict import Graded
from autograder.home import Home
from autograder.nbgrader_bridge.folders import Folders, read_regular
from autograder.nbgrader_bridge.publish import Submitted, publish
from autograder.records import Attempt, AttemptResult, Blobs, Ledger
from autograder.records.extensions import Extensions

_KINDS = ("attempt.graded", "grading.restored")
_MARK = ".published"


@dataclass(frozen=True)
class Projected:
    """What a projection did: submissions written, and those left out, with the reason."""

    n_written: int
    left_out: tuple[str, ...] = ()


class Projector:
    """Publishes from the ledger. `catch_up` may be called from any thread, one at a time."""

    def __init__(self, home: Home, course: Course, ledger: Ledger) -> None:
        self.home, self.course, self.ledger = home, course, ledger
        self.blobs = Blobs(home.blobs)
        self._mark = home.nbgrader_root / _MARK

    def catch_up(self) -> Projected:
        """Publish every attempt about which something was said since the last call, by whichever process."""
        after = self._read_mark()
        wanted: set[tuple[str, str]] = set()
        last = after
        while batch := self.ledger.events(last, _KINDS, limit=1000):
            for event in batch:
                attempt = self.ledger.attempt(event.payload["attempt"])
                if attempt:
                    wanted.add((attempt.pseudonym, attempt.assignment))
            last = batch[-1].id
        if last == after:
            return Projected(0)
        done = self._project(wanted)
        self._write_mark(last)
        return done

    def everything(self) -> Projected:
        """Publish the newest readable attempt of everybody at everything."""
        last = self.ledger.last_event()
        done = self._project({(a.pseudonym, a.assignment) for a in self.ledger.attempts()})
        self._write_mark(last)
        return done

    def _project(self, wanted: Iterable[tuple[str, str]]) -> Projected:
        names, known = self.ledger.names(), {a.id for a in self.course}
        extensions = Extensions(self.ledger)
        found, left_out = [], []
        for pseudonym, assignment in sorted(wanted):
            if assignment not in known or pseudonym not in names:
                continue  # an assignment that left the course, or a person who was erased
            result = self._newest(pseudonym, assignment)
            if result is None:
                continue
            raw = self._raw(names[pseudonym], result.attempt)
            if raw is None:
                left_out.append(f"{names[pseudonym]}, {assignment}: the bytes of attempt {result.attempt.id} are not kept")
                continue
            granted = tuple(extensions.of(pseudonym))
            graded = graded_of(result)
            found.append(Submitted(names[pseudonym], raw, result.attempt.received_at, graded, pseudonym, granted))
        return Projected(publish(self.home, self.course, found), tuple(left_out))

    def _newest(self, pseudonym: str, assignment: str) -> AttemptResult | None:
        for result in self.ledger.results(pseudonym, assignment):
            readable = [a for a in result.attempts if a.verdicts and not a.error]
            return readable[-1] if readable else None
        return None

    def _raw(self, student: str, attempt: Attempt) -> bytes | None:
        for read in self._places(student, attempt):
            try:
                raw = read()
            except BootcampError:
                continue
            if hashlib.sha256(raw).hexdigest() == attempt.sha256:
                return raw
        return None

    def _places(self, student: str, attempt: Attempt) -> Iterator[Callable[[], bytes]]:
        yield lambda: self.blobs.get(attempt.sha256)
        folder = Folders(self.home.nbgrader_root, student, attempt.assignment).submitted
        yield lambda: read_regular(folder / f"{attempt.assignment}.ipynb")

    def _read_mark(self) -> int:
        try:
            return int(self._mark.read_text("ascii"))
        except (OSError, ValueError):
            return 0

    def _write_mark(self, event: int) -> None:
        part = self._mark.with_name(f"{_MARK}.{os.getpid()}.part")
        part.write_text(str(event), "ascii")
        part.replace(self._mark)


def graded_of(result: AttemptResult) -> Graded:
    """Return the standing verdicts of an attempt in the form that grading gave them."""
    a, r = result.attempt, result
    return Graded(a.assignment, a.sha256, r.verdicts, r.grader_build, r.tier, r.notes, error=r.error)
