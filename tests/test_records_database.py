"""The ledger's database: private files, settings, concurrent openers and writers, kills, and errors that say what to do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import stat
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import sqlalchemy as sa

from autograder.records import Ledger, LedgerError, Outcome
from autograder.records.database import writing
from tests.ledger_world import START, graded, handed_in, minute, sqlite_ledger

_SPAWN = multiprocessing.get_context("spawn")


def test_the_ledger_is_private_to_its_owner(tmp_path: Path) -> None:
    """The folder is created 0700 and the files 0600, whatever the umask."""
    old = os.umask(0)
    try:
        with Ledger.open(f"sqlite:///{tmp_path}/new/ledger.sqlite") as ledger:
            ledger.enrol("ann", "2026", START)
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new").iterdir()}
    finally:
        os.umask(old)

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert modes == {"ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600}


def test_sqlite_runs_with_wal_foreign_keys_and_a_busy_timeout(tmp_path: Path) -> None:
    """The settings that keep readers going, references whole and writers queueing are on for every connection."""
    with sqlite_ledger(tmp_path) as ledger, ledger._engine.connect() as db:

        def pragma(name: str) -> object:
            return db.exec_driver_sql(f"PRAGMA {name}").scalar()

        assert pragma("journal_mode") == "wal"
        assert pragma("foreign_keys") == 1
        assert pragma("busy_timeout") == 30_000
        assert pragma("synchronous") == 2


def test_a_reader_is_not_kept_waiting_by_a_writer(tmp_path: Path) -> None:
    """Results can be read while another connection holds the write transaction, and show the state before it."""
    with sqlite_ledger(tmp_path) as ledger, writing(ledger._engine) as db:
        db.execute(sa.text("INSERT INTO event (kind, at, actor, payload) VALUES ('x', '2026-01-01', 'y', '{}')"))

        assert ledger.last_event() == 0


def test_opening_a_current_ledger_waits_for_no_writer(tmp_path: Path) -> None:
    """A page can open the ledger while a worker holds the write transaction."""
    with sqlite_ledger(tmp_path) as ledger, writing(ledger._engine), sqlite_ledger(tmp_path) as second:
        assert second.last_event() == 0


def test_a_failed_append_is_rolled_back_whole(tmp_path: Path) -> None:
    """An exception in the middle of a write transaction leaves nothing of it."""
    with sqlite_ledger(tmp_path) as ledger:
        with pytest.raises(RuntimeError, match="cut off"), writing(ledger._engine) as db:
            db.execute(sa.text("INSERT INTO event (kind, at, actor, payload) VALUES ('x', '2026-01-01', 'y', '{}')"))
            raise RuntimeError("cut off")

        assert ledger.last_event() == 0


def _open_and_append(url: str, names: list[str], go: Connection) -> None:
    go.recv()
    with Ledger.open(url) as ledger:
        for n, name in enumerate(names):
            attempt = handed_in(ledger.enrol(name, "2026", START), n)
            ledger.append(attempt, graded(attempt, mask=n % 5), minute(n))


def test_processes_that_open_a_new_ledger_at_once_lose_nothing(tmp_path: Path) -> None:
    """Four processes create, migrate and write at the same time: every attempt is there once, with its verdict."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    names = [f"student {n}" for n in range(12)]
    pipes = [_SPAWN.Pipe() for _ in range(4)]
    # Each student is written by two processes: the second must find the first's pseudonym and a duplicate.
    shares = [names[:8], names[4:], names[8:], names[:4]]
    workers = [_SPAWN.Process(target=_open_and_append, args=(url, s, theirs)) for s, (_, theirs) in zip(shares, pipes, strict=True)]
    for worker in workers:
        worker.start()
    for ours, _ in pipes:
        ours.send("go")
    for worker in workers:
        worker.join(120)

    assert [w.exitcode for w in workers] == [0, 0, 0, 0]
    with Ledger.open(url) as ledger:
        assert len(ledger.students()) == 12
        ids = [e.id for e in ledger.events()]
        assert ids == list(range(1, len(ids) + 1))
        assert len(ledger.cohort_table()) == 12


def _hold_a_write(url: str, ready: Connection) -> None:
    with Ledger.open(url) as ledger, writing(ledger._engine) as db:
        db.execute(sa.text("INSERT INTO event (kind, at, actor, payload) VALUES ('half', '2026-01-01', 'y', '{}')"))
        ready.send("written, not committed")
        ready.recv()


def test_a_writer_killed_in_the_middle_leaves_nothing_and_blocks_nobody(tmp_path: Path) -> None:
    """After SIGKILL of a process inside its write transaction, the next append works and the half one is gone."""
    with sqlite_ledger(tmp_path) as ledger:
        ann = ledger.enrol("ann", "2026", START)
        ours, theirs = _SPAWN.Pipe()
        worker = _SPAWN.Process(target=_hold_a_write, args=(f"sqlite:///{tmp_path}/ledger.sqlite", theirs))
        worker.start()
        assert ours.poll(60)
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join(60)

        attempt = handed_in(ann, 1)
        assert ledger.append(attempt, graded(attempt, mask=1), minute(2)).outcome is Outcome.RECORDED
        assert "half" not in [e.kind for e in ledger.events()]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not a url", "Expected sqlite:"),
        ("mysql://host/db", "cannot live in 'mysql'"),
        ("sqlite:////proc/nothing/ledger.sqlite", "BOOTCAMP_LEDGER"),
    ],
)
def test_a_url_that_cannot_work_is_refused_with_advice(url: str, message: str) -> None:
    """The error says what was expected instead."""
    with pytest.raises(LedgerError, match=message):
        Ledger.open(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A stray file at the ledger's place is left alone and named."""
    path = tmp_path / "ledger.sqlite"
    path.write_text("dear diary, " * 500)

    with pytest.raises(LedgerError, match=r"ledger\.sqlite.*not a database"):
        Ledger.open(f"sqlite:///{path}")

    assert path.read_text().startswith("dear diary")


def test_foreign_keys_hold(tmp_path: Path) -> None:
    """A verdict of no grading cannot be written."""
    with (
        sqlite_ledger(tmp_path) as ledger,
        pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"),
        ledger._engine.begin() as db,
    ):
        db.execute(
            sa.text(
                "INSERT INTO verdict (grading, exercise, position, status, max_points, evidence, cpu_s, hint, notes, checks)"
                " VALUES (7, 'x', 0, 'pass', 1, 'verified', 0, '', '[]', '[]')"
            )
        )


def test_only_one_complete_grading_per_build_fits_into_the_database(tmp_path: Path) -> None:
    """The unique index holds even against a writer that does not look first."""
    with sqlite_ledger(tmp_path) as ledger:
        attempt = handed_in(ledger.enrol("ann", "2026", START), 1)
        ledger.append(attempt, graded(attempt, mask=1), minute(2))
    bare = sqlite3.connect(tmp_path / "ledger.sqlite")
    try:
        bare.execute("INSERT INTO event (id, kind, at, actor, payload) VALUES (99, 'x', '2026-01-01', 'y', '{}')")
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            bare.execute(
                "INSERT INTO grading SELECT 99, attempt, grader_build, tier, origin, 2, complete, graded_at, cpu_s, error, notes,"
                " output FROM grading"
            )
    finally:
        bare.close()
