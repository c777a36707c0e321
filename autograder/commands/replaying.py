"""Attempts of the ledger in, what this build says of them out: over grading processes, remembered as they come.

What a preview replayed a commit need not replay: results are kept in a private file named after the build, one line
each, and only what runs again runs again (grading/known.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from autograder.errors import BootcampError
from autograder.grading.pool import Job, grade_all
from autograder.home import Home
from autograder.records import Attempt, Blobs, Ledger
from autograder.records.regrading import Replayed
from autograder.regrades.replays import Replays


@dataclass(frozen=True)
class Replay:
    """What came of replaying: `faults` maps attempts that nothing could be said about to the reason."""

    replayed: tuple[Replayed, ...]
    faults: dict[str, str]
    cpu_s: float
    n_remembered: int


def replay(
    home: Home,
    ledger: Ledger,
    attempts: Sequence[Attempt],
    build: str,
    n_workers: int,
    progress: Callable[[Iterator[Replayed | str], int], Iterator[Replayed | str]] = lambda ends, n: ends,
) -> Replay:
    """Grade all attempts (of one assignment) under this build, which is named `build`; nothing is recorded.

    Raises: InfraError when no box can start.
    """
    blobs, faults, jobs = Blobs(home.blobs), dict[str, str](), []
    remembered = Replays(home.replays, attempts[0].assignment, build) if attempts else None
    before = remembered.load() if remembered else {}
    done = [Replayed(a, before[a.id]) for a in attempts if a.id in before and before[a.id].sha256 == a.sha256]
    known = {r.attempt.id for r in done}
    for key, a in enumerate(attempts):
        if a.id in known:
            continue
        try:
            raw = blobs.get(a.sha256)
        except BootcampError:
            faults[a.id] = "its bytes are not kept"
            continue
        jobs.append(Job(key, a.assignment, a.pseudonym, raw, tuple(ledger.to_grade(a.id)[1])))

    def ends() -> Iterator[Replayed | str]:
        for end in grade_all(jobs, home.course_root, home.seed(), home.path / "admitted", n_workers, os.environ) if jobs else ():
            attempt = attempts[end.key]
            if end.graded is None or not end.graded.grader_build:
                faults[attempt.id] = end.fault or " ".join(end.graded.verdicts[0].notes if end.graded else ())
                yield faults[attempt.id]
                continue
            if remembered and end.graded.is_complete:
                remembered.add(attempt.id, end.graded)
            yield Replayed(attempt, end.graded)

    fresh = [r for r in progress(ends(), len(jobs)) if isinstance(r, Replayed)]
    order = {a.id: n for n, a in enumerate(attempts)}
    all_of_them = sorted([*done, *fresh], key=lambda r: order[r.attempt.id])
    return Replay(tuple(all_of_them), faults, sum(r.graded.cpu_s for r in fresh), len(done))
