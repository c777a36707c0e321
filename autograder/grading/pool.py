"""Jobs in, results out, over worker processes: one session each. Only JSON and raw bytes cross; no worker is trusted.

A worker that dies or hangs costs its job a second try in a new worker; after that the job is unscored, by our fault.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from autograder.course import load
from autograder.errors import BootcampError, InfraError
from autograder.grading.verdict import Graded, Verdict
from autograder.sandbox.jail import kernel
from autograder.submission.notebook import MAX_BYTES

_TRIES = 2
_JOB_WALL_S = 900.0
_MAX_HEADER_BYTES = 64 << 20


@dataclass(frozen=True)
class Job:
    """One notebook to grade. `key` is what the controller knows the job by; `student` keys the draw of inputs.

    `known` are earlier verdicts of this student that may be used again; `only` names exercises to speak about.
    """

    key: int
    assignment: str
    student: str
    raw: bytes
    known: tuple[Verdict, ...] = ()
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finished:
    """One job's end: either `graded`, or `fault`, which says what of ours went wrong. `lost` means: without an answer."""

    key: int
    graded: Graded | None
    fault: str = ""
    wall_s: float = 0.0
    lost: bool = False


class _Worker:
    """The controller's end of one worker process."""

    def __init__(self, course_root: Path, seed: bytes, admitted_dir: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        args = (theirs, os.getpid(), str(course_root), str(admitted_dir))
        self.process = context.Process(target=_serve, args=args, daemon=False, name="bootcamp-grader")
        self.process.start()
        theirs.close()
        self.pipe.send_bytes(seed)  # over the pipe: an argument or a variable could be read by other processes
        self.job: Job | None = None
        self.started = 0.0

    def take(self, job: Job) -> None:
        self.job, self.started = job, time.monotonic()
        known = [v.as_json() for v in job.known]
        header = {"assignment": job.assignment, "student": job.student, "only": job.only, "known": known}
        self.pipe.send_bytes(json.dumps(header).encode())
        self.pipe.send_bytes(job.raw)

    def stop(self) -> None:
        self.pipe.close()  # end of input: the worker closes its slot and leaves
        self.process.join(5.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Pool:
    """Grading processes, one session each. Use as a context manager; leaving it kills what still runs."""

    def __init__(self, course_root: Path, seed: bytes, admitted_dir: Path, n_workers: int) -> None:
        self._start = partial(_Worker, course_root, seed, admitted_dir)
        self._workers = [self._start() for _ in range(n_workers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self._workers:
            if worker.job:
                worker.process.kill()
        for worker in self._workers:
            worker.stop()

    @property
    def n_free(self) -> int:
        return sum(w.job is None for w in self._workers)

    def submit(self, job: Job) -> None:
        """Give the job to a free process. Raises: InfraError when none is free."""
        free = next((w for w in self._workers if w.job is None), None)
        if free is None:
            raise InfraError("every grading process is busy; ask n_free first")
        free.take(job)

    def ends(self, timeout_s: float) -> list[Finished]:
        """Return the ends of jobs, after waiting for the first at most so long. Raises: InfraError when no box can start.

        A process that died or hung is replaced; its job's end says `lost`.
        """
        busy = [w.pipe for w in self._workers if w.job]
        if busy:
            wait(busy, timeout=timeout_s)
        found = []
        for i, worker in enumerate(self._workers):
            end = _end_of(worker)
            if end is None:
                continue
            worker.job = None
            if end.lost:
                worker.process.kill()
                worker.stop()
                self._workers[i] = self._start()
            found.append(end)
        return found

    def drop(self, key: int) -> None:
        """Stop working on a job: its process is replaced, and it has no end."""
        for i, worker in enumerate(self._workers):
            if worker.job and worker.job.key == key:
                worker.process.kill()
                worker.stop()
                self._workers[i] = self._start()


def grade_all(jobs: Sequence[Job], course_root: Path, seed: bytes, admitted_dir: Path, n_workers: int) -> Iterator[Finished]:
    """Yield each job's end as it comes, in no order. Raises: InfraError when no box can start at all."""
    todo, by_key = deque(jobs), {j.key: j for j in jobs}
    tries: Counter[int] = Counter()
    with Pool(course_root, seed, admitted_dir, min(n_workers, len(jobs))) as pool:
        n_left = len(jobs)
        while n_left:
            while todo and pool.n_free:
                job = todo.popleft()
                tries[job.key] += 1
                pool.submit(job)
            for end in pool.ends(1.0):
                if end.lost and tries[end.key] < _TRIES:
                    todo.appendleft(by_key[end.key])
                else:
                    n_left -= 1
                    yield end


def _end_of(worker: _Worker) -> Finished | None:
    """Return how the worker's job ended, or None while it runs. Raises: InfraError when its box cannot start."""
    job = worker.job
    if job is None:
        return None
    wall_s = time.monotonic() - worker.started
    if not worker.pipe.poll():
        hung = wall_s > _JOB_WALL_S
        return Finished(job.key, None, f"the grader gave no answer in {_JOB_WALL_S:.0f} s", wall_s, True) if hung else None
    try:
        reply = json.loads(worker.pipe.recv_bytes())
    except (EOFError, OSError, ValueError):
        return Finished(job.key, None, "the grader's process ended", wall_s, True)
    if "refused" in reply:
        raise InfraError(str(reply["refused"]))
    if "fault" in reply:
        return Finished(job.key, None, str(reply["fault"]), wall_s)
    return Finished(job.key, Graded.from_json(reply["graded"]), "", wall_s)


def _serve(pipe: Connection, controller: int, course_root: str, admitted_dir: str) -> None:
    """A worker's life: start a session, then grade what comes until the pipe closes."""
    # A killed controller must not leave a grader behind that works on for nobody.
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != controller:
        return  # it was killed before the line above
    # These bring torch, which the controller does without.
    from autograder.grading.session import Session
    from autograder.sandbox.box import Slot

    start_slot = partial(Slot.start, os.environ)

    # Ctrl-C is the controller's to handle: it closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        seed = pipe.recv_bytes(4096)
        with Session(load(Path(course_root)), seed, Path(admitted_dir), start_slot) as session:
            while True:
                header = json.loads(pipe.recv_bytes(_MAX_HEADER_BYTES))
                raw = pipe.recv_bytes(MAX_BYTES + (1 << 20))
                known = [Verdict.from_json(v) for v in header["known"]]
                _answer(pipe, partial(session.grade, raw, header["assignment"], header["student"], known, header["only"]))
    except (EOFError, OSError):
        return
    except BootcampError as e:
        _reply(pipe, {"refused": str(e)})


def _answer(pipe: Connection, grade: Callable[[], Graded]) -> None:
    try:
        _reply(pipe, {"graded": grade().as_json()})
    except BootcampError as e:  # a broken assignment must not stop the batch
        _reply(pipe, {"fault": str(e)})


def _reply(pipe: Connection, data: dict[str, object]) -> None:
    pipe.send_bytes(json.dumps(data).encode())
