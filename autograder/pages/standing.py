"""An attempt, its job in the queue and what regrades did to it in; the state that its student is shown out.

The same words stand on the service's pages, in nbgrader's Assignment List and in fetched feedback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from autograder.grading.verdict import Status
from autograder.pages import wording
from autograder.pages.wording import Mark, Moment
from autograder.records import AttemptResult, JobStatus, Ledger
from autograder.records.regrading import Regraded, regrades

_SOON, _LATER = 5, 50
_GRADED_AGAIN = frozenset({"queued", "running"})


def _joined(found: Iterable[Regraded]) -> dict[str, Regraded]:
    """Return one entry per attempt: what the points were before the first regrade, and all else of the newest."""
    joined: dict[str, Regraded] = {}
    for one in found:
        first = joined.get(one.attempt, one)
        joined[one.attempt] = replace(one, points_before=first.points_before)
    return joined


@dataclass(frozen=True)
class Queued:
    """What is known of attempts besides their verdicts, by the attempt's id."""

    jobs: Mapping[str, JobStatus] = field(default_factory=dict)
    regrades: Mapping[str, Regraded] = field(default_factory=dict)

    @classmethod
    def of(cls, ledger: Ledger, attempts: Iterable[AttemptResult]) -> Queued:
        """Ask the ledger about these attempts."""
        found = list(attempts)
        unsettled = [a.attempt.id for a in found if not a.is_graded or a.n_infra]
        jobs = {id: job for id in unsettled if (job := ledger.queue.status(id))}
        students = {a.attempt.pseudonym for a in found if a.is_graded}
        return cls(jobs, _joined(r for who in students for r in regrades(ledger, who)))

    def mark(self, attempt: AttemptResult) -> Mark:
        """Return where the attempt stands; our own fault outweighs every other word but "unreadable"."""
        job = self.jobs.get(attempt.attempt.id)
        if not attempt.is_graded:
            return self._waiting(job)
        if attempt.error:
            return wording.UNREADABLE
        if attempt.n_infra:
            return wording.UNSCORED
        passed = bool(attempt.verdicts) and all(v.status is Status.PASS for v in attempt.verdicts)
        return wording.ALL_PASSED if passed else wording.GRADED

    def changed(self, attempt: AttemptResult) -> str:
        """Return what a regrade changed, in a sentence; "" when none did."""
        found = self.regrades.get(attempt.attempt.id)
        if found is None or found.points_before == found.points_after:
            return ""
        before, after = wording.number(found.points_before), wording.number(found.points_after)
        return f"Changed by a regrade on {Moment.of(found.at).text}: from {before} to {after} points. {found.reason}".strip()

    def is_settled(self, attempt: AttemptResult) -> bool:
        """Whether nothing will change by itself: the page need not ask again."""
        job = self.jobs.get(attempt.attempt.id)
        unfinished = not attempt.is_graded or attempt.n_infra > 0
        return not (unfinished and job is not None and job.state in _GRADED_AGAIN) and (
            attempt.is_graded or job is None or job.state == "dead"
        )

    def pause_s(self, attempt: AttemptResult) -> int:
        """Return after how many seconds it is worth asking again."""
        job = self.jobs.get(attempt.attempt.id)
        place = job.position if job and job.position else 1
        return 1 if place <= _SOON else 3 if place <= _LATER else 10

    def words(self, attempt: AttemptResult) -> str:
        """Return the state in one line, with the points where there are some."""
        mark = self.mark(attempt)
        points = f", {wording.number(attempt.points)} of {wording.number(attempt.max_points)} points" if attempt.verdicts else ""
        return f"{mark.word}{points}{', changed by a regrade' if self.changed(attempt) else ''}"

    def version(self, attempt: AttemptResult) -> str:
        """Return a name for what feedback says now: it changes when the feedback does, and not with the place in line."""
        job = self.jobs.get(attempt.attempt.id)
        state = "" if attempt.is_graded else (job.state if job else "")
        said = [f"{v.exercise} {v.status} {v.points} {v.hint}" for v in attempt.verdicts]
        text = "\n".join([attempt.attempt.id, state, str(attempt.graded_at), attempt.error, self.changed(attempt), *said])
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]

    def _waiting(self, job: JobStatus | None) -> Mark:
        if job is None:
            return wording.WAITING
        if job.is_our_fault:
            return wording.RETRIED
        return wording.RUNNING if job.state == "running" else wording.queued(job.position)
