"""Files of a named person in; releases, attempts and feedback out: the exchange as the service keeps it. No HTTP here.

Who somebody is comes from the Hub and when something arrived from our clock; a client can claim neither. A release is an
event in the ledger that names each file by its hash; what was handed in stays for ever under the hash of its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources

from autograder.course import Assignment, Course
from autograder.deadlines import Extension
from autograder.errors import BootcampError
from autograder.grading.passed import Stamps
from autograder.nbgrader_bridge.folders import refuse_bad_name
from autograder.nbgrader_bridge.publish import release_files
from autograder.records import Attempt, Blobs, HandedIn, Ledger
from autograder.records.extensions import Extensions
from autograder.records.following import Following
from autograder.records.recording import pseudonym_of

COURSE_ID = "bootcamp"  # the same as in docker/common/nbgrader_config.py
CLIENT = "official.py"  # handed out beside a notebook where single exercises may be checked
COHORT = "default"  # of people whom nobody has enrolled before they handed in
STAFF = "staff"  # instructors who try things out must not stand in the students' cohort
_RELEASED, _WITHDRAWN = "assignment.released", "assignment.withdrawn"
MAX_PER_HOUR = 60


class Refused(BootcampError):
    """The exchange refuses; the message is for the person who asked. `status` is HTTP's word for the reason."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class Release:
    """What students may fetch of one assignment: file name -> hash of its content. `gate` says which run let it out."""

    assignment: str
    files: Mapping[str, str]
    at: datetime
    by: str
    gate: str


class Exchange:
    """All that is handed out and in. Methods read disk and database and block: call them from a thread."""

    def __init__(self, course: Course, ledger: Ledger, blobs: Blobs, stamps: Stamps, clock: Callable[[], datetime]) -> None:
        self.course, self.ledger, self.blobs, self.stamps, self.clock = course, ledger, blobs, stamps, clock
        self.extensions = Extensions(ledger)
        self._events = Following(ledger, (_RELEASED, _WITHDRAWN))

    def releases(self) -> list[Release]:
        """Return what is released now, in teaching order."""
        standing: dict[str, Release] = {}
        for event in self._events.events():
            assignment = str(event.payload["assignment"])
            if event.kind == _WITHDRAWN:
                standing.pop(assignment, None)
            else:
                files, gate = dict(event.payload["files"]), str(event.payload["gate"])
                standing[assignment] = Release(assignment, files, event.at, event.actor, gate)
        return [standing[a.id] for a in self.course if a.id in standing]

    def release_of(self, assignment_id: str) -> Release:
        """Raises: Refused when nothing is released under this id."""
        found = {r.assignment: r for r in self.releases()}
        if assignment_id not in found:
            raise Refused(f"{assignment_id} is not released. Released are: {', '.join(found) or 'none yet'}.", 404)
        return found[assignment_id]

    def released_files(self, assignment_id: str) -> dict[str, bytes]:
        """Return what a student gets. Raises: Refused."""
        files = {name: self.blobs.get(sha256) for name, sha256 in self.release_of(assignment_id).files.items()}
        if self.course.check_alone != "off":
            files.setdefault(CLIENT, (resources.files("autograder.service") / CLIENT).read_bytes())
        return files

    def release(self, assignment_id: str, files: Mapping[str, bytes] | None, by: str, waived: str = "") -> Release:
        """Let an assignment out, in place of an earlier release of it; None takes the files that are built.

        `waived` is a reason to do without the gate, which the event keeps; only our own programs give one.
        Raises: Refused when the gate has not passed exactly these files, or `files` are others.
        """
        assignment = self._assignment(assignment_id)
        try:
            passed = f"waived: {waived}" if waived else self._passed(assignment)
            built = dict(release_files(assignment.release))
        except (BootcampError, OSError) as e:
            raise Refused(str(e), 409) from None
        if files is not None:
            _refuse_others(assignment, files, built)
        hashes = {name: self.blobs.put(content) for name, content in built.items()}
        known = next((r for r in self.releases() if r.assignment == assignment_id), None)
        if known is None or (dict(known.files), known.gate) != (hashes, passed):
            payload = {"assignment": assignment_id, "files": hashes, "gate": passed}
            self.ledger.record(_RELEASED, self.clock(), by, None, payload)
        return self.release_of(assignment_id)

    def withdraw(self, assignment_id: str, by: str) -> None:
        """Take a release back; what was handed in stays. Raises: Refused when it is not released."""
        self.release_of(assignment_id)
        self.ledger.record(_WITHDRAWN, self.clock(), by, None, {"assignment": assignment_id})

    def hand_in(self, name: str, assignment_id: str, files: Mapping[str, bytes], is_staff: bool = False) -> HandedIn:
        """Keep the files as an attempt and queue it, by our clock. Raises: Refused."""
        received_at = self.clock()
        assignment = self._assignment(assignment_id)
        self.release_of(assignment_id)
        notebook = f"{assignment_id}.ipynb"
        if notebook not in files:
            found = ", ".join(n for n in files if n.endswith(".ipynb")) or "no notebook"
            raise Refused(f"{notebook} is missing: found {found}. Rename your notebook to {notebook} and hand in again.")
        refuse_bad_name(name)
        pseudonym = pseudonym_of(self.ledger, name, STAFF if is_staff else COHORT, received_at)
        late = self.course.lateness(assignment, received_at, name, pseudonym, granted=self.extensions.of(pseudonym))
        if late.is_closed and late.closed_at:
            closed = late.closed_at.astimezone(UTC)
            raise Refused(
                f"{assignment_id} closed on {closed:%d %b %Y, %H:%M} UTC, and nothing is taken after that. "
                "Ask an instructor for an extension.",
                409,
            )
        self._refuse_flood(pseudonym, assignment_id, received_at)
        hashes = {file: self.blobs.put(content) for file, content in files.items()}
        sha256 = hashes.pop(notebook)
        return self.ledger.hand_in(pseudonym, assignment_id, sha256, received_at, files=hashes, actor=pseudonym)

    def attempt_files(self, attempt_id: str) -> dict[str, bytes]:
        """Return what was handed in. Raises: Refused when there is no such attempt."""
        attempt = self.ledger.attempt(attempt_id)
        if attempt is None:
            raise Refused("there is no such attempt.", 404)
        files = {**self.ledger.files(attempt_id), f"{attempt.assignment}.ipynb": attempt.sha256}
        return {name: self.blobs.get(sha256) for name, sha256 in files.items()}

    def newest(self, assignment_id: str, student: str, before_due: bool) -> list[tuple[str, Attempt]]:
        """Return (name, attempt) of everybody's newest attempt, "" for any assignment or student.

        With `before_due` the newest that was not late, else the newest.
        """
        names, granted = self.ledger.names(), self.extensions.all()
        newest: dict[tuple[str, str], Attempt] = {}
        for attempt in self.ledger.attempts(assignment=assignment_id or None):
            name = names.get(attempt.pseudonym)
            if name is None or (student and name != student):
                continue
            key = (name, attempt.assignment)
            late, known = self._is_late(attempt, name, granted), newest.get(key)
            if known and before_due and late and not self._is_late(known, name, granted):
                continue
            newest[key] = attempt
        return [(name, attempt) for (name, _), attempt in sorted(newest.items())]

    def _refuse_flood(self, pseudonym: str, assignment_id: str, now: datetime) -> None:
        """Raises: Refused when somebody fills our disk; no person hands in by hand so often."""
        recent = [a for a in self.ledger.attempts(pseudonym, assignment_id) if now - a.received_at < timedelta(hours=1)]
        if len(recent) >= MAX_PER_HOUR:
            raise Refused(f"{MAX_PER_HOUR} different hand-ins of {assignment_id} an hour are taken. Wait a little.", 429)

    def _is_late(self, attempt: Attempt, name: str, granted: Sequence[Extension]) -> bool:
        assignment = next((a for a in self.course if a.id == attempt.assignment), None)
        names = (name, attempt.pseudonym)
        return assignment is not None and self.course.lateness(assignment, attempt.received_at, *names, granted=granted).is_late

    def _assignment(self, assignment_id: str) -> Assignment:
        try:
            return self.course.assignment(assignment_id)
        except BootcampError as e:
            raise Refused(str(e), 404) from None

    def _passed(self, assignment: Assignment) -> str:
        stamp = self.stamps.check(assignment)
        return f"passed {stamp.at} with {stamp.n_seeds} seeds of {stamp.seed}"


def _refuse_others(assignment: Assignment, files: Mapping[str, bytes], built: Mapping[str, bytes]) -> None:
    """Raises: Refused when what nbgrader would release is not what was built, and so not what passed the gate."""
    for name in sorted({*files, *built}):
        if name not in files or name not in built or not _same(name, files[name], built[name]):
            what = "is missing" if name not in files else "was not built" if name not in built else "differs from the build"
            raise Refused(
                f"{assignment.id} is not released: {name} {what}, so the gate says nothing about it. "
                f"Run: bootcamp build {assignment.id}, bootcamp check {assignment.id}, bootcamp init",
                409,
            )


def _same(name: str, one: bytes, other: bytes) -> bool:
    """A notebook is the same when it says the same: nbgrader writes it with another indent."""
    if not name.endswith(".ipynb") or one == other:
        return one == other
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False
