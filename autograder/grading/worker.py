"""Jobs in, each one's end out: a slot of our own, and for every job a new referee to ask it. Reads no student's byte.

What we do as the controller, who owns ledger and seed, is here: start trunk and zygote, connect a referee to a warden,
hand over a notebook as bytes, and take a validated reply. A referee that dies or hangs is a lost job.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from autograder.course import Course, Manifest, Tier
from autograder.errors import BootcampError, InfraError
from autograder.grading import trunk_process
from autograder.grading.admitted import Admitted
from autograder.grading.budget import Budget
from autograder.grading.bundle import build_id
from autograder.grading.exchange import MAX_REPLY_BYTES, Found, Order, Reply, check_graded, parse_reply
from autograder.grading.score import unscored
from autograder.grading.verdict import Graded, Verdict
from autograder.sandbox import warden_line
from autograder.sandbox.job import Job as Ends
from autograder.sandbox.job import Limits
from autograder.sandbox.warden import Warden

JOB_WALL_S = 900.0  # the monitor then ends the referee
PROBED_FOR_S = 3600.0  # then a slot is attacked anew
_REFEREE = Limits(
    max_cpu_s=2 * JOB_WALL_S, max_wall_s=JOB_WALL_S, memory_bytes=6 << 30, address_bytes=16 << 30, processes=16, disk_bytes=64 << 20
)


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


@dataclass
class Referees:
    """The course as its controller knows it, and the trunk that its referees are forked from. Close it."""

    course: Course
    seed: bytes = field(repr=False)
    admitted_dir: Path
    env: Mapping[str, str] = field(repr=False)
    budget: Budget = Budget()  # noqa: RUF009 - frozen
    unadmitted: dict[str, str] = field(default_factory=dict)  # assignment -> why

    def __post_init__(self) -> None:
        self.admitted = Admitted(self.admitted_dir)
        self._kept: dict[str, tuple[Manifest, str]] = {}
        self.trunk = _started(Warden, self.env, partial(trunk_process.start, self.course.root))

    def close(self) -> None:
        _close(self.trunk)

    def known(self, assignment_id: str) -> tuple[Manifest, str]:
        """Return the manifest and the build of an assignment. Raises: BootcampError."""
        if assignment_id not in self._kept:
            assignment = self.course.assignment(assignment_id)
            self._kept[assignment_id] = assignment.manifest(), build_id(assignment)
        return self._kept[assignment_id]

    def send_out(self, boxes: socket.socket, assignment_id: str, core: int | None) -> tuple[Ends, Connection]:
        """Fork a referee, connect it to who opens boxes for it, and return our ends of it. Raises: InfraError."""
        ends = self.trunk.result().open(_REFEREE, assignment_id, core)
        try:
            socket.send_fds(ends.line, [b"b"], [boxes.fileno()])
            return ends, Connection(ends.line.detach())
        except OSError as e:
            ends.close()
            raise InfraError(f"the referee was lost at its start ({e})") from None

    def order(self, kind: Literal["grade", "probe"], job: Job, tier: Tier | None) -> Order:
        """Return what a referee is told. `out_of_reach` is the folder with the ledger, and the course's own root."""
        costs = self.admitted.costs(job.assignment, self.known(job.assignment)[1]) if job.assignment else {}
        out_of_reach = (str(self.admitted_dir.parent), str(self.course.root))
        return Order(
            kind=kind,
            seed=self.seed.hex() if kind == "grade" else "",
            student=job.student,
            known=job.known,
            only=job.only,
            require_tier=self.course.require_tier,
            tier=tier,
            costs=costs,
            budget=self.budget,
            out_of_reach=out_of_reach,
        )

    def readable(self, text: str) -> str:
        """Return a referee's words with the course's files named as a person finds them."""
        return text.replace(f"{trunk_process.COURSE}/", f"{self.course.root}/")


class Worker:
    """One slot, and the referee that asks it now, if any."""

    def __init__(self, referees: Referees, core: int | None = None) -> None:
        """Start the slot, which warms up beside the trunk and the other slots. Referees and players keep to `core`."""
        self.referees, self.core = referees, core
        self.job: Job | None = None
        self.found: Found | None = None
        self.pipe: Connection | None = None
        self._ends: Ends | None = None
        self._serving: threading.Thread | None = None
        self._found_at = self._started = 0.0
        self.warden = _started(Warden, referees.env)

    def take(self, job: Job, kind: Literal["grade", "probe"] = "grade") -> Finished | None:
        """Begin a job; return its end where it needs no referee. Raises: InfraError."""
        self.job, self._started = job, time.monotonic()
        try:
            order = self.referees.order(kind, job, self._tier())
        except BootcampError as e:
            return self._finished(fault=str(e))
        if job.assignment in self.referees.unadmitted:
            return self._finished(self._unscored(self.referees.unadmitted[job.assignment]))
        self._connect(job.assignment)
        assert self.pipe is not None
        try:
            self.pipe.send_bytes(order.model_dump_json().encode())
            self.pipe.send_bytes(job.raw)
        except OSError:
            return self._finished(fault="the referee ended before it began", lost=True)
        return None

    def end(self) -> Finished | None:
        """Return how the job ended, or None while it runs. Raises: InfraError when the box or the jail is too weak."""
        if self.job is None or self.pipe is None or not self.pipe.poll():
            return None
        try:
            reply = parse_reply(self.pipe.recv_bytes(MAX_REPLY_BYTES))
        except (EOFError, OSError):
            return self._finished(fault="the referee ended without an answer", lost=True)
        except ValueError as e:
            return self._finished(fault=f"the referee gave no answer of its kind ({e})", lost=True)
        return self._understood(reply, self.job)

    def drop(self) -> None:
        """Let go of the job, if there is one."""
        if self.job is not None:
            self._finished()

    def close(self) -> None:
        """End the slot, and the job if there is one."""
        self.drop()
        _close(self.warden)

    @property
    def referee_pid(self) -> int | None:
        """Return the pid of the referee at work."""
        return self._ends.pid if self._ends else None

    def _connect(self, assignment: str) -> None:
        """Send a referee out, and serve its wishes for boxes until it is gone."""
        boxes, far_boxes = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far_boxes:
            try:
                self._ends, self.pipe = self.referees.send_out(far_boxes, assignment, self.core)
            except InfraError:
                boxes.close()
                raise
        self._serving = threading.Thread(target=warden_line.serve, args=(self.warden.result, boxes, self.core), daemon=True)
        self._serving.start()

    def _tier(self) -> Tier | None:
        fresh = self.found is not None and time.monotonic() - self._found_at < PROBED_FOR_S
        return self.found.tier if fresh and self.found else None

    def _understood(self, reply: Reply, job: Job) -> Finished:
        if reply.found:
            self.found, self._found_at = reply.found, time.monotonic()
        if reply.refused and job.assignment:
            self._finished()
            raise InfraError(self.referees.readable(reply.refused))
        if reply.unadmitted:
            self.referees.unadmitted[job.assignment] = reply.unadmitted
            return self._finished(self._unscored(reply.unadmitted))
        if reply.graded is None:
            return self._finished(fault=self.referees.readable(reply.fault or reply.refused), lost=reply.lost)
        manifest, build = self.referees.known(job.assignment)
        try:
            check_graded(reply.graded, job.raw, manifest, build, job.only)
        except ValueError as e:
            return self._finished(fault=f"the referee gave no answer of its kind ({e})", lost=True)
        if reply.costs is not None and self.found:
            self.referees.admitted.add(job.assignment, build, self.found.tier, reply.costs)
        return self._finished(reply.graded)

    def _finished(self, graded: Graded | None = None, fault: str = "", lost: bool = False) -> Finished:
        job, self.job = self.job, None
        assert job is not None
        if self.pipe and self._ends and self._serving:
            self.pipe.close()
            self._ends.close()
            self._serving.join()  # the referee is gone, and with it every wish of its
            self.pipe = self._ends = self._serving = None
        return Finished(job.key, graded, fault, time.monotonic() - self._started, lost)

    def _unscored(self, reason: str) -> Graded:
        assert self.job is not None
        manifest, _ = self.referees.known(self.job.assignment)
        verdicts = tuple(unscored(e, reason) for e in manifest.exercises)
        return Graded(
            self.job.assignment, hashlib.sha256(self.job.raw).hexdigest(), verdicts, "", self.found.tier if self.found else ""
        )


def _started(make: Callable[..., Warden], *args: Any) -> Future[Warden]:
    """Begin to start what takes seconds, and return at once."""
    starter = ThreadPoolExecutor(1, "bootcamp-start")
    warden = starter.submit(make, *args)
    starter.shutdown(wait=False)
    return warden


def _close(warden: Future[Warden]) -> None:
    if warden.exception() is None:
        warden.result().close()
