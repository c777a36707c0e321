"""`bootcamp work`: the grade queue in; verdicts in the ledger, scores in nbgrader's gradebook, a line per job out."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autograder import course as courses
from autograder.course import Course
from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Blobs, Ledger
from autograder.records.worker import Done, Worker

if TYPE_CHECKING:
    from autograder.grading.edits import Edits
    from autograder.metrics.grading import GradingMetrics
    from autograder.regrades.orders import Orders

_ENDING = (signal.SIGTERM, signal.SIGINT)
_LOOK_S = 10.0  # between two looks at whether checks were edited
_ORDERS_S = 2.0  # between two looks at whether an ordered regrade is ready to be made


@click.command("work")
@click.option("--workers", default=os.cpu_count() or 1, show_default="cores", help="Grading processes.")
@click.option("--once", is_flag=True, help="End when the queue is empty.")
@click.option("--no-publish", is_flag=True, help="Leave nbgrader's gradebook alone.")
@click.option("--quiet", is_flag=True, help="Print faults only.")
@click.option("--alive", type=click.Path(path_type=Path, dir_okay=False), help="Touch this file as long as the loop goes round.")
@click.option("--metrics", default="", metavar="[HOST:]PORT", help="Tell Prometheus there; on loopback unless a host is named.")
@click.pass_obj
def command(home: Home, workers: int, once: bool, no_publish: bool, quiet: bool, alive: Path | None, metrics: str) -> None:
    """Grade what is handed in, as it comes, until Ctrl-C or SIGTERM: newest hand-ins of students before regrades.

    On a signal the jobs at hand are finished; on a second one they are given back. Any number of these commands may run
    at once, on PostgreSQL on any number of machines that share the blobs' folder. Where checks are edited, it goes on with
    them as soon as `bootcamp check` has passed them here, and grades as before until then.
    """
    from autograder.grading.edits import Edits
    from autograder.grading.pool import Pool
    from autograder.regrades import previews
    from autograder.regrades.orders import Orders

    course = courses.load(home.course_root)
    home.make()
    name = f"{socket.gethostname()}:{os.getpid()}"
    pool = Pool(home.course_root, home.seed(), home.path / "admitted", workers, os.environ)
    with pool, Ledger.open(home.ledger_url) as ledger, _told(metrics, workers) as told:
        publisher = None if no_publish else Publisher(home, course, ledger)
        watch = _watcher(told, publisher, quiet)
        orders = Orders(ledger, home.replays, lambda: datetime.now(UTC), partial(previews.forget, home.previews))
        worker = Worker(ledger, Blobs(home.blobs), pool, name, lambda: datetime.now(UTC), watch, _say, orders)
        if told:
            told.worker = worker
        if not quiet:
            click.echo(f"{name}: {workers} grading processes, {ledger.queue.stats().n_queued} attempts wait. Ctrl-C ends it.")
        try:
            regrade = partial(_regrade, orders, publisher)
            begin_anew = _work(worker, once, Edits(home.course_root, home.path / "gate", _say), alive, regrade)
        finally:
            worker.leave()
            if publisher:
                publisher.close()
    if begin_anew:
        _say("edited checks have passed the gate; grading goes on with them")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _regrade(orders: Orders, publisher: Publisher | None) -> None:
    """Make the regrade that was ordered, if all of it is replayed."""
    if said := orders.finish():
        _say(said)
        if publisher:
            publisher.wake()


def _work(worker: Worker, once: bool, edits: Edits, alive: Path | None, regrade: Callable[[], None]) -> bool:
    """Work until a signal comes, or fit edits; return whether it was the latter. `regrade` is called every now and then."""
    signals: list[int] = []
    before = {number: signal.signal(number, lambda n, _: signals.append(n)) for number in _ENDING}
    are_fit, look_at, orders_at = False, time.monotonic() + _LOOK_S, 0.0
    try:
        while len(signals) < 2 and not ((signals or are_fit) and worker.is_idle):
            found = worker.step(claim=not (signals or are_fit))
            if alive:
                alive.touch()  # a supervisor reads its age
            if time.monotonic() > orders_at or (once and worker.is_idle and not found):
                regrade()
                orders_at = time.monotonic() + _ORDERS_S
            if once and worker.is_idle and not found:
                return False
            if not (once or are_fit) and time.monotonic() > look_at:
                are_fit, look_at = edits.are_fit(), time.monotonic() + _LOOK_S
        return are_fit and not signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Publisher:
    """Publishes in a thread of its own: nbgrader's database may be busy, and heartbeats must not wait for it."""

    def __init__(self, home: Home, course: Course, ledger: Ledger) -> None:
        self._home, self._course, self._ledger = home, course, ledger
        self._wanted, self._over = threading.Event(), False
        self._wanted.set()  # what an earlier worker graded and did not live to publish
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wanted.set()

    def close(self) -> None:
        """Publish what is left, and end."""
        self._over = True
        self._wanted.set()
        self._thread.join(60.0)

    def _run(self) -> None:
        from autograder.authoring.course_folder import prepare
        from autograder.nbgrader_bridge.projection import Projector

        projector = Projector(self._home, self._course, self._ledger)
        said = ""
        is_prepared = False
        while True:
            self._wanted.wait()
            self._wanted.clear()
            over = self._over
            try:
                if not is_prepared:
                    prepare(self._course, self._home)
                    is_prepared = True
                projector.catch_up()
                said = ""
            except (BootcampError, OSError) as e:
                # Once, not for every job: the ledger holds the results, and the next publication brings them all.
                if str(e) != said:
                    said = str(e)
                    _say(f"not published to nbgrader's gradebook: {said} The results stand in the ledger.")
            if over:
                return


@contextmanager
def _told(address: str, n_slots: int) -> Iterator[GradingMetrics | None]:
    """Serve metrics at the address, if one is given."""
    if not address:
        yield None
        return
    from autograder.metrics import port
    from autograder.metrics.grading import GradingMetrics

    registry = port.registry()
    with port.served(address, registry):
        yield GradingMetrics(registry, n_slots, lambda: datetime.now(UTC))


def _watcher(told: GradingMetrics | None, publisher: Publisher | None, quiet: bool) -> Callable[[Done], None]:
    def watch(done: Done) -> None:
        if told:
            told.ended(done)
        if publisher:
            publisher.wake()
        if done.settled is None or done.settled.state != "graded":
            reason = done.fault or "unscored by our fault"
            _say(f"{done.attempt.assignment} {done.attempt.id[:8]}: try {done.lease.n_tries} failed, {reason}")
        elif not quiet:
            instead = "another build spoke meanwhile" if done.settled.is_superseded else "kept for its regrade"
            click.echo(f"{done.attempt.assignment} {done.attempt.id[:8]}: {done.settled.appended or instead}")

    return watch


def _say(text: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {text}", err=True)
