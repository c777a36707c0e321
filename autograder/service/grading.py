"""The queue, its dead letters, verdicts' times, reports and releases in; the instructors' page of grading out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autograder.pages import wording
from autograder.pages.models import Count, DeadLetter, DisputeLine, GradingPage, Snapshot, TimeLine
from autograder.pages.teachers.health import given_up
from autograder.pages.wording import Mark, Moment
from autograder.records import Attempt, ExerciseTimes, JobStatus, QueueStats
from autograder.service.disputes import Dispute
from autograder.service.exchange import Release

SHOWN = 50


def grading_page(
    stats: QueueStats,
    dead: Sequence[JobStatus],
    attempts: Mapping[str, Attempt],
    disputes: Sequence[Dispute],
    n_disputed: Mapping[str, int],
    times: Sequence[ExerciseTimes],
    releases: Sequence[Release],
    problem: str,
    snapshot: Snapshot,
) -> GradingPage:
    """Return the page; `attempts` holds the dead letters' attempts by id."""
    return GradingPage(
        facts=_facts(stats),
        oldest=_duration(stats.oldest_s),
        dead=tuple(_dead(job, attempts.get(job.attempt)) for job in dead),
        disputes=tuple(DisputeLine(Moment.of(d.at), d.pseudonym, d.attempt, d.exercise, d.why) for d in disputes),
        times=tuple(_time(t, n_disputed.get(t.exercise, 0)) for t in times),
        releases=tuple(
            f"{r.assignment}: {len(r.files)} files, by {r.by} on {Moment.of(r.at).text}; gate {r.gate}" for r in releases
        ),
        problem=problem,
        snapshot=snapshot,
    )


def _facts(stats: QueueStats) -> tuple[Count, ...]:
    return (
        Count(Mark("waiting", "clock", "part", "Handed in and not graded yet."), stats.n_queued),
        Count(Mark("being graded", "half", "part", "A grader works on them now."), stats.n_running),
        Count(Mark("retried", "again", "ours", "Our grader failed at them, and they are or were tried again."), stats.n_retried),
        Count(given_up(stats.n_dead, "Our grader failed at every try. Not zeros: they wait for you."), stats.n_dead),
        Count(Mark("done", "check", "good", "Graded from the queue."), stats.n_done),
    )


def _dead(job: JobStatus, attempt: Attempt | None) -> DeadLetter:
    return DeadLetter(
        attempt=job.attempt,
        who=attempt.pseudonym if attempt else wording.NOTHING,
        assignment=attempt.assignment if attempt else wording.NOTHING,
        since=Moment.of(job.since) if job.since else None,
        n_tries=job.n_tries,
        reason=job.reason,
    )


def _time(t: ExerciseTimes, n_disputed: int) -> TimeLine:
    return TimeLine(
        t.exercise, wording.whole(t.n), f"{t.p50_s:.2f} s", f"{t.p95_s:.2f} s", wording.whole(t.n_infra), wording.whole(n_disputed)
    )


def _duration(s: float) -> str:
    if s < 90:
        return f"{s:.0f} s"
    return f"{s / 60:.0f} min" if s < 5400 else f"{s / 3600:.1f} h"
