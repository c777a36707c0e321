"""10,000 students, 4 attempts of 10 exercises, 30 KiB a notebook in; the seconds that backup and restore take out.

CPU seconds are of both sides, PostgreSQL's processes too.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from autograder.bench.export import fill
from autograder.bench.postgres import Server, binaries
from autograder.bench.row import Bench, Row, Watch, own_cpu_s
from autograder.home import Home
from autograder.records import Ledger
from autograder.records.backup import read, write

_N_STUDENTS, _N_ASSIGNMENTS, _N_EXERCISES = 10_000, 4, 10
_NOTEBOOK_BYTES = 30 * 1024
_LIMIT_S = 60.0


def measure(bench: Bench) -> Row:
    """Back up and restore, on SQLite and, where it is installed, on PostgreSQL."""
    bin = binaries()
    server = Server(bin) if bin else None
    said, slowest = [], 0.0
    try:
        for kind in ("sqlite", *(["postgresql"] if server else [])):
            folder = bench.folder / kind
            homes = [_home(folder / name, server if kind == "postgresql" else None) for name in ("old", "new")]
            n = _make(homes[0], max(1, int(_N_STUDENTS * bench.scale)))
            both = partial(_both_cpu_s, server if kind == "postgresql" else None)
            watch = Watch(both)
            write(homes[0], folder / "backup.tar", datetime.now(UTC))
            out_wall, out_cpu, watch = watch.wall_s, watch.cpu_s, Watch(both)
            back = read(homes[1], folder / "backup.tar")
            in_wall, in_cpu = watch.wall_s, watch.cpu_s
            size = (folder / "backup.tar").stat().st_size / 2**30
            said.append(f"{kind} {size:.1f} GiB out {out_wall:.1f} s ({out_cpu:.1f} CPU), back {in_wall:.1f} s ({in_cpu:.1f} CPU)")
            slowest = max(slowest, out_cpu, in_cpu) if back.n_blobs == n else float("inf")
            shutil.rmtree(folder)
    finally:
        if server:
            server.remove()
    return Row("10,000 students out, and back, under a minute", slowest < _LIMIT_S, "; ".join(said))


def _both_cpu_s(server: Server | None) -> float:
    return own_cpu_s() + (server.cpu_s() if server else 0.0)


def _home(path: Path, server: Server | None) -> Home:
    path.mkdir(parents=True)
    return Home(path, path, server.empty() if server else f"sqlite:///{path}/ledger.sqlite")


def _make(home: Home, n_students: int) -> int:
    """Fill the ledger and put the notebooks down; return how many. Without flushing: what is measured comes after."""
    home.make()
    with Ledger.open(home.ledger_url) as ledger, ledger.writing() as db:
        fill(db, n_students, _N_ASSIGNMENTS, _N_EXERCISES)
    rng = random.Random(0)
    for _ in range(n_students * _N_ASSIGNMENTS):
        content = rng.randbytes(_NOTEBOOK_BYTES)
        name = hashlib.sha256(content).hexdigest()
        path = home.blobs / name[:2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return n_students * _N_ASSIGNMENTS
