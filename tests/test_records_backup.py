"""Backup, destroy, restore: the same results and the same flags, bit for bit, on SQLite and on PostgreSQL."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import text

from autograder.errors import BootcampError
from autograder.home import Home
from autograder.progress import course_items, inputs, load_policy
from autograder.records import Blobs, Ledger, chain
from autograder.records.backup import MANIFEST, read, write
from tests import cohort_world
from tests.postgres_server import server

AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
KINDS = ("sqlite", "postgresql")


def home_at(path: Path, kind: str) -> Home:
    url = f"sqlite:///{path / 'ledger.sqlite'}" if kind == "sqlite" else server().empty()
    return Home(path, path, url)


def course_of(home: Home, root: Path) -> cohort_world.World:
    """A term in the home: seed, ledger, notebooks by hash, a gradebook, a stamp of the gate, a hand-in that waits."""
    home.make()
    world = cohort_world.make(root, home.ledger_url)
    blobs = Blobs(home.blobs)
    with Ledger.open(home.ledger_url) as ledger:
        for n, pseudonym in enumerate(ledger.names()):
            ledger.hand_in(pseudonym, "t2_sampling", blobs.put(b"a notebook %d" % n), AT)
    home.nbgrader_root.mkdir()
    with sqlite3.connect(home.nbgrader_root / "gradebook.db") as gradebook:
        gradebook.execute("CREATE TABLE grade (manual REAL)")
        gradebook.execute("INSERT INTO grade VALUES (2.5)")
    gradebook.close()
    (home.path / "gate").mkdir()
    (home.path / "gate" / "f1.json").write_text("{}")
    home.transcript_keys.mkdir()
    (home.transcript_keys / "key.pem").write_text("what signs transcripts")
    (home.path / "admitted").mkdir()
    (home.path / "admitted" / "cache").write_text("can be made again")
    return world


@dataclass(frozen=True)
class Saved:
    """A course that ran, its backup, and what people were told."""

    home: Home
    world: cohort_world.World
    archive: Path
    told: tuple[str, dict, dict, int]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Saved]:
    """Return what makes a course of a kind of database, once for all tests of this file. They change nothing in it."""

    @cache
    def make(kind: str) -> Saved:
        folder = tmp_path_factory.mktemp(kind)
        home = home_at(folder / "home", kind)
        world = course_of(home, folder / "course")
        write(home, folder / "backup.tar", AT)
        return Saved(home, world, folder / "backup.tar", told(world, home))

    return make


def told(world: cohort_world.World, home: Home) -> tuple[str, dict, dict, int]:
    """Return everything that people are told: flags and estimates, results, the queue; and how far the log goes."""
    with Ledger.open(home.ledger_url) as ledger, ledger.reading() as db:
        read_in = inputs.read(ledger, cohort_world.COHORT, ledger.last_event())
        report = read_in.evaluate(course_items(world.course), load_policy())
        results = {p: ledger.results(p) for p in ledger.names()}
        checked = chain.verify(db)
        assert checked.broken is None
        return repr(report), results, checked.heads, ledger.queue.stats().n_queued


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_back_says_the_same_bit_for_bit(tmp_path: Path, saved: Callable[[str], Saved], kind: str) -> None:
    """Backup, destroy, restore: flags, results, queue, seed, notebooks, gradebook; caches are left behind."""
    one = saved(kind)
    before, seed = one.told, one.home.seed()
    assert "state=" in before[0]
    assert before[3] == len(cohort_world.NAMES)
    kept = {p.relative_to(one.home.path): p.read_bytes() for p in one.home.blobs.rglob("*") if p.is_file()}

    again = home_at(tmp_path / "again", kind)
    done = read(again, one.archive)

    assert told(one.world, again) == before
    assert again.seed() == seed
    assert {p.relative_to(again.path): p.read_bytes() for p in again.blobs.rglob("*") if p.is_file()} == kept
    assert done.n_blobs == len(kept) == len(cohort_world.NAMES)
    with sqlite3.connect(again.nbgrader_root / "gradebook.db") as gradebook:
        assert gradebook.execute("SELECT manual FROM grade").fetchall() == [(2.5,)]
    gradebook.close()
    assert (again.path / "gate" / "f1.json").read_text() == "{}"
    assert (again.transcript_keys / "key.pem").read_text() == "what signs transcripts"
    assert not (again.path / "admitted").exists()
    with Ledger.open(again.ledger_url) as ledger:  # and it goes on: events, jobs and rows get numbers of their own
        last = ledger.last_event()
        pseudonym = ledger.enrol("new", cohort_world.COHORT, AT)
        ledger.hand_in(pseudonym, "t2_sampling", "0" * 64, AT)
        assert ledger.last_event() == last + 2
        assert ledger.queue.claim("worker") is not None


def test_a_backup_is_its_owners_alone_and_a_failed_one_leaves_nothing(saved: Callable[[str], Saved]) -> None:
    """It holds seed, names and answers. What fails half-way leaves an older backup as it was."""
    archive, home = saved("sqlite").archive, saved("sqlite").home
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    whole = archive.read_bytes()
    home.seed_file.rename(home.path / "away")
    try:
        with pytest.raises(BootcampError, match="no course seed"):
            write(home, archive, AT)
    finally:
        (home.path / "away").rename(home.seed_file)
    assert archive.read_bytes() == whole
    assert [p.name for p in archive.parent.iterdir() if "part" in p.name or "backup-" in p.name] == []


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overwritten(tmp_path: Path, saved: Callable[[str], Saved], kind: str) -> None:
    """A restore into a course that is there is refused before anything is read, and changes nothing."""
    one = saved(kind)
    with pytest.raises(BootcampError, match="is there already"):
        read(one.home, one.archive)
    elsewhere = Home(tmp_path, tmp_path / "elsewhere", one.home.ledger_url)
    with pytest.raises(BootcampError, match="holds tables already"):
        read(elsewhere, one.archive)


def test_a_database_that_does_not_answer_is_named(tmp_path: Path, saved: Callable[[str], Saved]) -> None:
    """It may still be starting: no traceback, and nothing is put back."""
    home = Home(tmp_path, tmp_path / "home", "postgresql+psycopg://bootcamp:s3cret@127.0.0.1:1/bootcamp")
    with pytest.raises(BootcampError, match=r"cannot open the ledger .*127\.0\.0\.1:1/bootcamp: .*refused") as caught:
        read(home, saved("sqlite").archive)
    assert "s3cret" not in str(caught.value)
    assert not home.path.exists()


def test_a_ledger_goes_back_into_its_own_kind_of_database(tmp_path: Path, saved: Callable[[str], Saved]) -> None:
    """SQLite's file does not become PostgreSQL's; the message says so."""
    with pytest.raises(BootcampError, match="the kind of database that it came from"):
        read(home_at(tmp_path / "again", "postgresql"), saved("sqlite").archive)


def test_another_seed_in_the_environment_is_refused(tmp_path: Path, saved: Callable[[str], Saved]) -> None:
    """The environment's seed wins over the file's: with another one every hidden input would change without a word."""
    other = Home(tmp_path, tmp_path / "again", f"sqlite:///{tmp_path}/again/ledger.sqlite", "another seed " * 4)
    with pytest.raises(BootcampError, match="BOOTCAMP_SEED is not the one in the backup"):
        read(other, saved("sqlite").archive)


def rewritten(source: Path, target: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None]) -> Path:
    """Write the archive again with each member changed; None drops it."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            file = old.extractfile(member)
            if made := change(member, file.read() if file else b""):
                info, content = made
                info.size = len(content)
                new.addfile(info, io.BytesIO(content))
    return target


def _flip_blob(info: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return info, content + b"x" if info.name.startswith("blobs/") else content


def _flip_ledger(info: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return info, content[:-1] + b"x" if info.name.startswith("ledger") else content


def _escape(info: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    if info.name.startswith("blobs/"):
        info.name = "blobs/../../evil"
    return info, content


def _stranger(info: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    if info.name.startswith("gate/"):
        info.name = "hub/jupyterhub.sqlite"
    return info, content


def _no_seed(info: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes] | None:
    return None if info.name == "course_seed" else (info, content)


def _other_heads(info: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    if info.name != MANIFEST:
        return info, content
    return info, json.dumps({**json.loads(content), "heads": {"2026": "0" * 64}}).encode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_flip_blob, "damaged in the backup"),
        (_flip_ledger, "missing or damaged"),
        (_escape, "does not belong"),
        (_stranger, "does not belong"),
        (_no_seed, "holds no course seed"),
        (_other_heads, "ends otherwise"),
    ],
)
def test_a_damaged_backup_is_refused(tmp_path: Path, saved: Callable[[str], Saved], change: Callable, said: str) -> None:
    """Every notebook is checked against its name, the ledger against the manifest; no name leads out of the home."""
    damaged = rewritten(saved("sqlite").archive, tmp_path / "damaged.tar", change)
    with pytest.raises(BootcampError, match=said):
        read(home_at(tmp_path / "again", "sqlite"), damaged)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"no tar", b"x" * 20_000])
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.tar").write_bytes(content)
    with pytest.raises(BootcampError, match=r"file\.tar"):
        read(home_at(tmp_path / "again", "sqlite"), tmp_path / "file.tar")


class _TakenBackError(Exception):
    """Ends a transaction without a commit."""


def test_people_may_hand_in_while_it_is_made(tmp_path: Path, saved: Callable[[str], Saved]) -> None:
    """A writer that holds the ledger's lock does not keep a backup from being taken; what it has not committed is not in it."""
    home = saved("sqlite").home
    with pytest.raises(_TakenBackError), Ledger.open(home.ledger_url) as ledger, ledger.writing() as db:
        before = db.execute(text("SELECT count(*) FROM event")).scalar()
        db.execute(text("DELETE FROM job"))
        write(home, tmp_path / "backup.tar", AT)
        raise _TakenBackError
    read(again := home_at(tmp_path / "again", "sqlite"), tmp_path / "backup.tar")
    with Ledger.open(again.ledger_url) as ledger, ledger.reading() as db:
        assert db.execute(text("SELECT count(*) FROM event")).scalar() == before
        assert ledger.queue.stats().n_queued == len(cohort_world.NAMES)
