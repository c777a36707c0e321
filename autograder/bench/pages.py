"""`make bench-pages`: 10,000 students x 17 assignments x 12 exercises x 2 tries in; what every page costs, by database, out.

The service runs as its own process, as on a Hub, and a stand-in says who a token is. A page's cost is the processor time that
the service used between request and answer; its size is what a browser gets. Nothing is timed by the wall. Figures are drawn
once and then taken from the cache, and surveys are taken by another process: both first times are lines of their own.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from autograder.bench.postgres import Server, binaries
from autograder.bench.term import COHORT, Size, fill, write_course
from autograder.course import Course, load
from autograder.home import Home
from autograder.records import Ledger
from autograder.service.bench_hub import PREFIX, hub_for_service

LIMIT_MS, LIMIT_KB = 200.0, 300.0
N_ASKED = 20
_PATIENCE_S = 3600.0

# Who asks for what. {who} and {attempt} are different students' at every request.
PAGES: Sequence[tuple[str, str]] = (
    ("organizer", "overview"),
    ("organizer", "cohort"),
    ("organizer", "cohort?order=state&part=7"),
    ("organizer", "flags"),
    ("organizer", "flags/list?alpha=20&seats=16"),
    ("organizer", "cohort/student/{who}"),
    ("organizer", "cohort/student/{who}/attempt/{attempt}"),
    ("organizer", "comparison"),
    ("organizer", "calibration"),
    ("organizer", "exports"),
    ("mentor", "mentees"),
    ("instructor", "grading"),
    ("instructor", "teaching"),
    ("instructor", "teaching/exercises"),
    ("instructor", "teaching/stuck"),
    ("instructor", "teaching/roster"),
    ("instructor", "teaching/roster/{who}"),
    ("instructor", "teaching/regrades"),
    ("instructor", "api/v1/results?part=7"),
    ("student{s:05}", "me"),
    ("student{s:05}", "me/progress"),
    ("student{s:05}", "me/attempt/{attempt}"),
)


@dataclass(frozen=True)
class Line:
    """What one page costs: processor time in ms, size in KB."""

    role: str
    page: str
    first_ms: float
    p50_ms: float
    p95_ms: float
    size_kb: float

    @property
    def kept(self) -> bool:
        return self.p95_ms <= LIMIT_MS and self.size_kb <= LIMIT_KB


@dataclass
class Service:
    """The running service."""

    port: int
    process: psutil.Process

    def cpu_s(self) -> float:
        """Return what the service itself has used; the processes that take surveys are not in it."""
        used = self.process.cpu_times()
        return float(used.user + used.system)

    def ask(self, name: str, path: str) -> tuple[int, bytes]:
        """Ask for a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("GET", PREFIX + path, headers={"Authorization": f"token {name}"})
        reply = connection.getresponse()
        body = reply.read()
        connection.close()
        return reply.status, body


@contextmanager
def serving(course_root: Path, home: Path, url: str) -> Iterator[Service]:
    """Run the service on a ledger."""
    paths = {"BOOTCAMP_COURSE": str(course_root), "BOOTCAMP_HOME": str(home), "BOOTCAMP_LEDGER": url}
    with hub_for_service() as (port, told), (home / "service.log").open("wb") as log:
        command, env = [sys.executable, "-m", "autograder.service"], {**os.environ, **paths, **told}
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        service = Service(port, psutil.Process(process.pid))
        try:
            _until_up(service)
            yield service
        finally:
            process.terminate()
            process.wait(60)


def _until_up(service: Service) -> None:
    for _ in range(600):
        try:
            if service.ask("nobody", "healthz")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the service does not answer")


def survey(service: Service) -> tuple[float, float]:
    """Ask for the overview until it is there; return the processor time of the survey in s and its memory in MB, at most."""
    cpu_s, peak_mb, ends = 0.0, 0.0, time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends:
        status, body = service.ask("organizer", "overview")
        if status == 200 and b"Being computed" not in body:
            return cpu_s, peak_mb
        if b"could not be computed" in body:
            raise RuntimeError("the survey failed; see service.log")
        for child in service.process.children(recursive=True):
            try:
                used = child.cpu_times()
                cpu_s, peak_mb = max(cpu_s, used.user + used.system), max(peak_mb, child.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue
        time.sleep(1)
    raise TimeoutError("no survey")


def measure(service: Service, role: str, page: str, size: Size) -> Line:
    """Ask for one page, each time for another student where it is about one."""
    spent, kb = [], 0.0
    for n in range(N_ASKED + 1):
        s = (7919 * n + 13) % size.n_students
        last = size.n_assignments - 1
        values = {"who": f"s{s:08x}", "attempt": f"{last:02}{size.n_tries - 1}{s:08x}", "s": s}
        before = service.cpu_s()
        status, body = service.ask(role.format(**values), page.format(**values))
        spent.append(1000 * (service.cpu_s() - before))
        if status != 200:
            raise RuntimeError(f"{page} as {role}: {status}")
        kb = max(kb, len(body) / 1000)
    ordered = sorted(spent[1:])
    p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
    return Line(re.sub(r"\{.*", "", role), page, spent[0], ordered[len(ordered) // 2], p95, kb)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every page on every database that there is; return 1 when a page is over its limit."""
    parser = argparse.ArgumentParser(prog="python -m autograder.bench.pages", description="Measure what pages cost.")
    parser.add_argument("--students", type=int, default=10_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append", help="which (default: both)")
    parser.add_argument("--folder", type=Path, help="keep course and SQLite ledger here, and take them from here the next time")
    given = parser.parse_args(argv)
    size, kept = Size(given.students), True
    for database in given.database or ("sqlite", "postgresql"):
        with ExitStack() as stack:
            folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bootcamp-bench-")))
            if database == "postgresql":
                found = binaries()
                if found is None:
                    print("postgresql: not installed, not measured")
                    continue
                server = Server(found)
                stack.callback(server.remove)
                url = server.fresh()
            else:
                url = f"sqlite:///{folder / 'ledger.sqlite'}"
            kept = _table(database, size, folder, url) and kept
    return 0 if kept else 1


def made(size: Size, folder: Path, url: str) -> tuple[Course, Home]:
    """Write course and term below the folder, but what is there from an earlier time is taken as it is."""
    is_there = (folder / "course").is_dir()
    course = load(folder / "course") if is_there else write_course(folder / "course", size)
    home = Home.from_env({"BOOTCAMP_HOME": str(folder / "home")}, course.root)
    home.make()
    with Ledger.open(url) as ledger:
        if not ledger.last_event():
            fill(ledger, size)
    return course, home


def _table(database: str, size: Size, folder: Path, url: str) -> bool:
    course, home = made(size, folder, url)
    print(f"{database}: {size.n_students} students of cohort {COHORT}, {size.n_assignments} x {size.n_exercises} x {size.n_tries}")
    with serving(course.root, home.path, url) as service:
        cpu_s, peak_mb = survey(service)
        print(f"the survey: {cpu_s:.0f} CPU-s and {peak_mb:.0f} MB in its own process", flush=True)
        print(f"{'as':<10} {'page':<42} {'first ms':>9} {'p50 ms':>8} {'p95 ms':>8} {'KB':>7}")
        lines = []
        for role, page in PAGES:
            lines.append(line := measure(service, role, page, size))
            word = "" if line.kept else "  OVER"
            shown = f"{line.first_ms:9.0f} {line.p50_ms:8.0f} {line.p95_ms:8.0f} {line.size_kb:7.0f}"
            print(f"{line.role:<10} {line.page:<42} {shown}{word}", flush=True)
        memory = service.process.memory_info().rss / 1e6
    print(f"the service holds {memory:.0f} MB; limits: {LIMIT_MS:.0f} ms p95 of its processor time, {LIMIT_KB:.0f} KB\n")
    return all(line.kept for line in lines)


if __name__ == "__main__":
    sys.exit(main())
