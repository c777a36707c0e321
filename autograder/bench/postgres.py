"""A real PostgreSQL server in a temporary folder: for benchmarks and tests. Sockets only; gone when it is removed."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autograder.records import Ledger


def binaries() -> Path | None:
    """Where initdb and pg_ctl lie: on PATH, or where Debian hides them; the newest version."""
    found = [Path(p).parent for p in [shutil.which("initdb")] if p]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True)
    return next((p for p in found if (p / "pg_ctl").exists()), None)


class Server:
    """Started without fsync: what uses it kills processes, not the power. Raises: RuntimeError when a step fails."""

    def __init__(self, bin: Path) -> None:
        self.bin, self._numbers = bin, itertools.count()
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
        """Start it, also again after `stop`."""
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=60 -c shared_buffers=32MB"
        self._run("pg_ctl", "-w", "-D", str(self.data), "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; "immediate" is as if it crashed."""
        self._run("pg_ctl", "-w", "-D", str(self.data), "-m", mode, "stop")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://bootcamp@/{database}?host={self.folder}"

    def fresh(self) -> str:
        """Return the URL of a new database that holds an empty ledger at the newest revision."""
        name = f"test{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.url(name)

    def empty(self) -> str:
        """Return the URL of a new database that holds nothing."""
        name = f"test{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def cpu_s(self) -> float:
        """Return the CPU seconds of the server and of its processes, those that have ended too."""
        main = int((self.data / "postmaster.pid").read_text("ascii").split("\n", 1)[0])
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text("ascii", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(path.parent.name) == main:
                ticks += sum(int(x) for x in fields[11:15])
            elif int(fields[1]) == main:
                ticks += sum(int(x) for x in fields[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def sql(self, statement: str) -> None:
        engine = sa.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as db:
            db.execute(sa.text(statement))

    def remove(self) -> None:
        """Stop it and remove its folder."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    @cached_property
    def _template(self) -> str:
        self.sql("CREATE DATABASE ledger_template")
        Ledger.open(self.url("ledger_template")).close()
        return "ledger_template"

    def _plain_user(self) -> str:
        if os.getuid() != 0:
            return ""
        names = {u.pw_name for u in pwd.getpwall()}
        return "postgres" if "postgres" in names else "nobody"

    def _run(self, program: str, *args: str) -> None:
        drop: dict[str, Any] = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        command = [str(self.bin / program), *args]
        # The server keeps its parent's output open: a pipe would never end.
        with (self.folder / f"{program}.out").open("ab") as out:
            done = subprocess.run(command, cwd="/", stdout=out, stderr=out, timeout=120, check=False, **drop)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {(self.folder / f'{program}.out').read_text()[-2000:]}")
