"""Faults that need real processes and a real server: kills, crowds, a full disk, a database that restarts."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from autograder.records import REGRADE, Ledger, LedgerError, StaleLeaseError
from autograder.records.queue import Policy
from tests.ledger_world import START, graded, handed_in, minute
from tests.postgres_server import server

_SPAWN = multiprocessing.get_context("spawn")
POLICY = Policy(lease_s=1.0, max_tries=3)
PATIENT = Policy(lease_s=600.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return server().fresh() if request.param == "postgresql" else f"sqlite:///{tmp_path}/ledger.sqlite"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url, policy=POLICY) as opened:
        yield opened


def queue_up(ledger: Ledger, n: int) -> list[str]:
    ann = ledger.enrol("ann", "2026", START)
    attempts = [handed_in(ann, i) for i in range(n)]
    for attempt in attempts:
        ledger.receive(attempt)
    assert ledger.enqueue([a.id for a in attempts], REGRADE, START) == n
    return [a.id for a in attempts]


def _claim_and_hang(url: str, commit_first: bool, ready: Connection) -> None:
    with Ledger.open(url, policy=POLICY) as ledger:
        lease = ledger.queue.claim("doomed")
        assert lease is not None
        if commit_first:
            attempt = ledger.attempt(lease.attempt)
            ledger.append(attempt, graded(attempt, mask=4), minute(5))
        ready.send(lease.attempt)
        ready.recv()


@pytest.mark.parametrize("commit_first", [False, True], ids=["mid-job", "after the commit, before the acknowledgement"])
def test_a_killed_worker_loses_nothing_and_repeats_nothing(url: str, ledger: Ledger, commit_first: bool) -> None:
    """SIGKILL: the lease runs out by real time, the next worker finishes, and one verdict stands."""
    (attempt,) = queue_up(ledger, 1)
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_claim_and_hang, args=(url, commit_first, theirs))
    process.start()
    assert ours.poll(120)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join(60)

    lease = None
    while lease is None:
        lease = ledger.queue.claim("second")
    assert (lease.attempt, lease.n_tries) == (attempt, 2)
    ledger.settle(lease, graded(ledger.attempt(attempt), mask=4), minute(9))

    assert len(ledger.gradings(attempt)) == 1
    assert ledger.queue.status(attempt).state == "graded"


def test_a_crowd_claims_every_job_once(url: str) -> None:
    """1,000 claims by eight workers at once: every job has one holder, nobody waits in vain."""
    n_jobs, claimed = 1000, list[str]()
    with Ledger.open(url, policy=PATIENT) as filling:
        ids = queue_up(filling, n_jobs)

    def work() -> None:
        with Ledger.open(url, policy=PATIENT) as mine:
            while lease := mine.queue.claim("w"):
                claimed.append(lease.attempt)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)

    assert Counter(claimed) == Counter(ids)


def test_two_workers_cannot_end_one_job(url: str) -> None:
    """Both race to settle with leases of which one is stale: exactly one is taken, whoever is first."""
    with Ledger.open(url, policy=Policy(lease_s=0.0)) as one, Ledger.open(url, policy=Policy(lease_s=0.0)) as two:
        (attempt,) = queue_up(one, 1)
        first = one.queue.claim("one")
        second = None
        while second is None:
            two.queue.recover()
            second = two.queue.claim("two")
        ends: list[str] = []

        def settle(ledger: Ledger, lease) -> None:
            try:
                ends.append(ledger.settle(lease, graded(ledger.attempt(attempt), mask=4), minute(5)).state)
            except StaleLeaseError:
                ends.append("stale")

        threads = [threading.Thread(target=settle, args=pair) for pair in ((one, first), (two, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert sorted(ends) == ["graded", "stale"]
        assert len(one.gradings(attempt)) == 1


def test_a_database_that_restarts_is_found_again() -> None:
    """PostgreSQL crashes and comes back: a held lease can be settled by the same process, without a new one."""
    with Ledger.open(server().fresh(), policy=PATIENT) as ledger:
        ids = queue_up(ledger, 2)
        lease = ledger.queue.claim("w")
        server().stop("immediate")
        with pytest.raises(OperationalError):
            ledger.settle(lease, graded(ledger.attempt(ids[0]), mask=4), minute(5))
        server().start()

        assert ledger.settle(lease, graded(ledger.attempt(ids[0]), mask=4), minute(5)).state == "graded"
        assert ledger.queue.claim("w").attempt == ids[1]


def test_a_restart_of_every_process_keeps_the_queue(url: str) -> None:
    """Closed and opened again, waiting, running and finished jobs are what they were."""
    with Ledger.open(url, policy=PATIENT) as ledger:
        ids = queue_up(ledger, 3)
        done = ledger.queue.claim("w")
        ledger.settle(done, graded(ledger.attempt(done.attempt), mask=4), minute(5))
        held = ledger.queue.claim("w")
    with Ledger.open(url, policy=PATIENT) as ledger:
        assert [ledger.queue.status(i).state for i in ids] == ["graded", "running", "queued"]
        assert ledger.settle(held, graded(ledger.attempt(held.attempt), mask=4), minute(5)).state == "graded"


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from autograder.records import Ledger
from tests.ledger_world import START, graded, handed_in, minute
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
url, path = sys.argv[1], Path(sys.argv[2])
with Ledger.open(url) as ledger:
    ann = ledger.enrol("ann", "2026", START)
    kept = ledger.hand_in(ann, "t1", "0" * 64, minute(1)).attempt
    lease = ledger.queue.claim("w")
    size = max(p.stat().st_size for p in path.parent.glob("ledger.sqlite*"))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    refused = 0
    for n in range(2, 200):
        try:
            ledger.hand_in(ann, "t1", f"{n:064x}", minute(n))
        except Exception as e:
            refused = n
            print(type(e).__name__, e.orig)
            break
    try:
        ledger.settle(lease, graded(kept, mask=4), minute(300))
    except Exception as e:
        print("settle refused", e.orig)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print("handed in", refused - 1, len(ledger.attempts()), ledger.queue.stats().n_queued + ledger.queue.stats().n_running)
    print("settled", ledger.settle(lease, graded(kept, mask=4), minute(300)).state)
"""


def test_a_full_disk_refuses_whole_and_works_again(tmp_path: Path) -> None:
    """SQLite on a disk that has no more room: a hand-in is refused as a whole, and once there is room all goes on."""
    path = tmp_path / "ledger.sqlite"
    command = [sys.executable, "-c", _FULL_DISK, f"sqlite:///{path}", str(path)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)

    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("OperationalError")
    n_taken, n_attempts, n_jobs = (int(x) for x in next(s for s in said if s.startswith("handed in")).split()[2:])
    assert n_taken == n_attempts == n_jobs
    assert said[-1] == "settled graded"


def test_a_full_disk_of_the_server_refuses_whole() -> None:
    """PostgreSQL that cannot write (its error class 53): nothing of the hand-in stays, and later all goes on."""
    with Ledger.open(server().fresh(), policy=PATIENT) as ledger:
        ann = ledger.enrol("ann", "2026", START)
        with ledger._engine.begin() as db:
            db.execute(
                sa.text(
                    "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$"
                )
            )
            db.execute(
                sa.text("CREATE TRIGGER full_disk BEFORE INSERT ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION full_disk()")
            )
        before = ledger.last_event()
        with pytest.raises(DBAPIError, match="no space left"):
            ledger.hand_in(ann, "t1", "0" * 64, minute(1))
        assert (ledger.last_event(), ledger.attempts()) == (before, [])
        with ledger._engine.begin() as db:
            db.execute(sa.text("DROP TRIGGER full_disk ON procrastinate_jobs"))

        assert ledger.hand_in(ann, "t1", "0" * 64, minute(1)).is_new


def test_procrastinates_own_tables_are_those_that_we_know() -> None:
    """A release of Procrastinate with another schema needs a migration of ours: this test finds it."""
    from procrastinate.schema import SchemaManager

    newest = sorted(p.name for p in Path(SchemaManager.get_migrations_path()).glob("*.sql"))[-1]

    assert newest.startswith("03.04.00"), "write a migration that applies it, then raise the bound in pyproject.toml"


def test_an_engine_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PostgreSQL ledger without Procrastinate says what to install, and leaves the database empty."""
    monkeypatch.setitem(sys.modules, "procrastinate.schema", None)
    with pytest.raises(LedgerError, match=r"autograder\[postgres\]"):
        Ledger.open(server().empty())
