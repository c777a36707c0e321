"""A real PostgreSQL server in a temporary folder, for one test process: started once, a fresh database for every test."""

from __future__ import annotations

import atexit
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa

from autograder.records import Ledger

_NUMBERS = itertools.count()


def binaries() -> Path | None:
    """Where initdb and pg_ctl lie: on PATH, or where Debian hides them; the newest version."""
    found = [Path(p).parent for p in [shutil.which("initdb")] if p]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True)
    return next((p for p in found if (p / "pg_ctl").exists()), None)


class Server:
    """PostgreSQL on a socket only. Started without fsync: these tests kill processes, not the power."""

    def __init__(self, bin: Path) -> None:
        self.bin = bin
        self.folder = Path(tempfile.mkdtemp(prefix="bootcamp-pg-"))
        self.user = self._plain_user()
        if self.user:
            shutil.chown(self.folder, self.user)
        self._run("initdb", "-U", "bootcamp", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D", str(self.data))
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=60 -c shared_buffers=32MB"
        self._run("pg_ctl", "-w", "-D", str(self.data), "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-w", "-D", str(self.data), "-m", mode, "stop")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://bootcamp@/{database}?host={self.folder}"

    def fresh(self) -> str:
        """Return the URL of a new database that holds an empty ledger at the newest revision."""
        name = f"test{next(_NUMBERS)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {_template(self)}")
        return self.url(name)

    def empty(self) -> str:
        """Return the URL of a new database that holds nothing."""
        name = f"test{next(_NUMBERS)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def sql(self, statement: str) -> None:
        engine = sa.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as db:
            db.execute(sa.text(statement))

    def _plain_user(self) -> str:
        if os.getuid() != 0:
            return ""
        names = {u.pw_name for u in pwd.getpwall()}
        return "postgres" if "postgres" in names else "nobody"

    def _run(self, program: str, *args: str) -> None:
        drop = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        command = [str(self.bin / program), *args]
        # The server keeps its parent's output open: a pipe would never end.
        with (self.folder / f"{program}.out").open("ab") as out:
            done = subprocess.run(command, cwd="/", stdout=out, stderr=out, timeout=120, check=False, **drop)
        assert done.returncode == 0, f"{program} failed: {(self.folder / f'{program}.out').read_text()[-2000:]}"


@cache
def server() -> Server:
    """The test process's server; skips the test, loudly, where PostgreSQL is not installed."""
    bin = binaries()
    if bin is None:
        pytest.skip("PostgreSQL is not installed (no initdb); ends with: apt-get install postgresql, as .ci/run does")
    started = Server(bin)
    atexit.register(_remove, started)
    return started


@cache
def _template(of: Server) -> str:
    of.sql("CREATE DATABASE ledger_template")
    Ledger.open(of.url("ledger_template")).close()
    return "ledger_template"


def _remove(started: Server) -> None:
    try:
        started.stop()
    finally:
        shutil.rmtree(started.folder, ignore_errors=True)
