"""Jobs in, results out, over slots: each job by a referee of its own. Only JSON and raw bytes cross; no referee is trusted.

A referee that dies or hangs costs its job a second try; after that the job is unscored, by our fault. What else of ours
is lost (a zygote, the trunk of the referees) is started again where it is next needed.
"""

from __future__ import annotations

import os
import socket
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

from autograder.course import load
from autograder.errors import InfraError
from autograder.grading.budget import Budget
from autograder.grading.exchange import Found
from autograder.grading.verdict import Graded, Verdict
from autograder.grading.worker import Finished, Job, Referees, Worker

__all__ = ["Finished", "Job", "Pool", "grade_all"]
_TRIES = 2
_WAIT_S = 1.0


class Pool:
    """A course's graders: one slot each. Use as a context manager; leaving it kills what still runs.

    `admitted_dir` keeps what references cost, for a quick second start. `env` is looked at for PATH only.
    """

    def __init__(
        self,
        course_root: Path,
        seed: bytes,
        admitted_dir: Path,
        n_workers: int,
        env: Mapping[str, str] | None = None,
        budget: Budget = Budget(),  # noqa: B008
    ) -> None:
        self.referees = Referees(load(course_root), seed, admitted_dir, env or {}, budget)
        cores = cores_for(n_workers, os.sched_getaffinity(0), f"{socket.gethostname()}:{os.getpid()}")
        self.workers = [Worker(self.referees, core) for core in cores]
        self._ended: list[Finished] = []

    @property
    def n_free(self) -> int:
        return sum(w.job is None for w in self.workers)

    def submit(self, job: Job) -> None:
        """Give the job to a free slot. Raises: InfraError when none is free, or no referee can be started."""
        free = next((w for w in self.workers if w.job is None), None)
        if free is None:
            raise InfraError("every slot is busy; ask n_free first")
        end = free.take(job)
        if end is not None:
            self._ended.append(end)

    def ends(self, timeout_s: float) -> list[Finished]:
        """Return the ends of jobs, after waiting for the first at most so long.

        Raises: InfraError when no box can start, or box or jail are too weak for the course.
        """
        busy = [w.pipe for w in self.workers if w.pipe]
        if busy and not self._ended:
            wait(busy, timeout=timeout_s)
        found, self._ended = self._ended, []
        return found + [end for w in self.workers if (end := w.end()) is not None]

    def drop(self, key: int) -> None:
        """Stop working on a job: it has no end."""
        for worker in self.workers:
            if worker.job and worker.job.key == key:
                worker.drop()

    def grade(self, raw: bytes, assignment: str, student: str, known: tuple[Verdict, ...] = ()) -> Graded:
        """Grade one notebook. Raises: InfraError with what of ours went wrong."""
        (end,) = self.run([Job(0, assignment, student, raw, known)])
        if end.graded is None:
            raise InfraError(end.fault)
        return end.graded

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield each job's end as it comes, in no order: a lost job is tried once more."""
        todo, by_key = deque(jobs), {j.key: j for j in jobs}
        tries: Counter[int] = Counter()
        left = set(by_key)
        try:
            while left:
                while todo and self.n_free:
                    job = todo.popleft()
                    tries[job.key] += 1
                    self.submit(job)
                for end in self.ends(_WAIT_S):
                    if end.lost and tries[end.key] < _TRIES:
                        todo.appendleft(by_key[end.key])
                    else:
                        left.remove(end.key)
                        yield end
        finally:  # whoever stops listening is not told later
            for key in left:
                self.drop(key)

    def probe(self) -> Found:
        """Attack a box, and the jail of a referee, and return what held. Raises: InfraError when one cannot be opened."""
        worker = self.workers[0]
        end = worker.take(Job(0, "", "", b""), "probe")
        while end is None:
            wait([worker.pipe] if worker.pipe else [], timeout=_WAIT_S)
            end = worker.end()
        if worker.found is None:
            raise InfraError(end.fault)
        return worker.found

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.referees.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def cores_for(n_workers: int, cores: Collection[int], pool: str) -> list[int | None]:
    """Return the core that each worker keeps to: one each where they are as many as the cores, else none.

    So that no core is left idle, whatever else runs on the machine. The first worker gets the first job; which core is its own
    comes from the pool's name, or several pools on one machine would all fill the same core first.
    """
    if len(cores) != n_workers:
        return [None] * n_workers
    ordered, start = sorted(cores), crc32(pool.encode()) % n_workers
    return [*ordered[start:], *ordered[:start]]


def grade_all(
    jobs: Sequence[Job], course_root: Path, seed: bytes, admitted_dir: Path, n_workers: int, env: Mapping[str, str] | None = None
) -> Iterator[Finished]:
    """Yield each job's end as it comes, in no order. Raises: InfraError when no box can start at all."""
    with Pool(course_root, seed, admitted_dir, min(n_workers, len(jobs)), env) as pool:
        yield from pool.run(jobs)
