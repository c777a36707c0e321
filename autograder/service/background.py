"""A cohort's name in, its newest survey out; surveys are taken in the background, and only when something has changed.

A survey of ten thousand students takes minutes of computing, so no request waits for one: who asks gets the newest that there is,
which says when it was made, and a new one is begun if the ledger has moved on. Small cohorts are quick, so there the reader waits
for the fresh one, as long as a person does not notice. A large one begins again only after a pause that grows with its cost, so
that surveys take a tenth of one core at most. Surveys run in a process of their own that ends with each: memory comes back,
a crash harms no page, and no reader's request waits behind them for the interpreter.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from autograder.course import Course
from autograder.errors import BootcampError, InfraError
from autograder.progress import Policy, course_items, inputs
from autograder.records import Ledger
from autograder.survey import Survey, take

PATIENCE_S = 2.0
# What costs less is taken at every change; after anything else there is a pause of so many times its cost.
CHEAP_S, _PAUSES = 2.0, 10.0
_RETRY, _STALE = timedelta(seconds=60), timedelta(hours=6)

_log = logging.getLogger(__name__)

Take = Callable[[str, Course, Policy, datetime], Survey]


class NotYetError(Exception):
    """There is no survey of the cohort yet. `has_failed`: the last try to take one ended with an error, which is in the log."""

    def __init__(self, has_failed: bool) -> None:
        super().__init__("no survey yet")
        self.has_failed = has_failed


class OwnProcess:
    """Takes surveys of the ledger at a URL, each in a process that ends with it. Raises: InfraError when that process dies."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._process: SpawnProcess | None = None

    def __call__(self, cohort: str, course: Course, policy: Policy, at: datetime) -> Survey:
        context = get_context("spawn")
        here, there = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(there, self._url, cohort, course, policy, at), daemon=True)
        self._process.start()
        there.close()
        try:
            found = here.recv()
        except EOFError:
            self._process.join()
            raise InfraError(f"the process that surveyed cohort {cohort} ended with status {self._process.exitcode}.") from None
        finally:
            here.close()
        self._process.join()
        if isinstance(found, str):
            raise InfraError(found)
        survey: Survey = found
        return survey

    def stop(self) -> None:
        """End what runs."""
        if self._process is not None and self._process.is_alive():
            self._process.terminate()


def _work(answer: Connection, url: str, cohort: str, course: Course, policy: Policy, at: datetime) -> None:
    try:
        with Ledger.open(url) as ledger:
            answer.send(take(ledger, cohort, course, policy, at))
    except BootcampError as e:
        answer.send(str(e))


@dataclass
class _Cohort:
    newest: Survey | None = None
    running: Future[Survey] | None = None
    not_before: datetime | None = None
    has_failed: bool = False


@dataclass
class Surveys:
    """The newest survey of every cohort. Safe to ask from several threads; `newest` blocks for at most its patience."""

    course: Course
    ledger: Ledger
    policy: Policy
    clock: Callable[[], datetime]
    take: Take
    patience_s: float = PATIENCE_S
    cheap_s: float = CHEAP_S  # what costs no more is waited for
    _known: dict[str, _Cohort] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "survey"))

    def use(self, course: Course) -> None:
        """Survey this course from now on."""
        with self._lock:
            self.course = course

    def newest(self, cohort: str) -> Survey:
        """Return the newest survey. Raises: NotYetError when there is none after `patience_s`."""
        with self._lock:
            known = self._known.setdefault(cohort, _Cohort())
            if known.running is None and not self._is_fresh(known.newest):
                self._begin(cohort, known)
            running, newest = known.running, known.newest
        if running is not None and (newest is None or newest.cost_s <= self.cheap_s):
            self._await(cohort, running)
        with self._lock:
            if known.newest is None:
                raise NotYetError(known.has_failed)
            return known.newest

    def close(self) -> None:
        """Begin nothing more, and end what runs in a process of its own."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        if isinstance(self.take, OwnProcess):
            self.take.stop()

    def _is_fresh(self, newest: Survey | None) -> bool:
        if newest is None or self.clock() - newest.at > _STALE:  # who was active this week changes by itself
            return False
        if self.ledger.events(newest.event, inputs.CHANGES, limit=1):
            return False
        try:
            return newest.course == course_items(self.course)
        except BootcampError:  # a release that is being rebuilt; what is known holds until it can be read again
            return True

    def _begin(self, cohort: str, known: _Cohort) -> None:
        now = self.clock()
        if known.not_before and now < known.not_before:
            return
        known.running = self._executor.submit(self.take, cohort, self.course, self.policy, now)
        known.running.add_done_callback(lambda done: self._keep(cohort, done))

    def _keep(self, cohort: str, done: Future[Survey]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        with self._lock:
            known = self._known[cohort]
            if known.running is not done:
                return  # kept already, by whoever waited for it
            known.running, known.has_failed = None, error is not None
            if error is not None:
                _log.error("the survey of cohort %s failed", cohort, exc_info=error)
                known.not_before = self.clock() + _RETRY
                return
            known.newest = found = done.result()
            # A survey of ten thousand is a million objects that live long: no collection should walk through them.
            gc.freeze()
            known.not_before = found.at + timedelta(seconds=_PAUSES * found.cost_s) if found.cost_s > self.cheap_s else None

    def _await(self, cohort: str, running: Future[Survey]) -> None:
        try:
            running.exception(self.patience_s)
        except TimeoutError:
            return
        # The callback runs in the other thread, perhaps a moment later.
        self._keep(cohort, running)
