"""`make bench-pages`: 10,000 students x 17 assignments x 12 exercises x 2 tries in; what every page costs, by database, out.

The service runs as its own process, as on a Hub, and a stand-in says who a token is. A page's cost is the processor time that the
service and its database used between request and answer; its size is what a browser gets. Nothing is timed by the wall. Figures are
drawn once and then taken from the cache, and surveys are taken by another process: both first times are lines of their own. Which
pages are asked for, and which are not, stands in `asked`; what people did in the term before, in `deeds`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import psutil

from autograder.bench import asked, deeds
from autograder.bench.deeds import Deeds
from autograder.bench.postgres import Server, binaries
from autograder.bench.term import COHORT, EARLIER, Size, attempt_of, end_of, fill, pseudonym_of, write_course
from autograder.course import Course, load
from autograder.home import Home
from autograder.records import Ledger
from autograder.service.bench_hub import PREFIX, hub_for_service

LIMIT_MS, LIMIT_KB = 200.0, 300.0
N_ASKED = 20
_PATIENCE_S = 3600.0


@dataclass(frozen=True)
class Line:
    """What one page costs: processor time in ms, size in KB."""

    role: str
    page: str
    first_ms: float
    p50_ms: float
    p95_ms: float
    size_kb: float
    is_file: bool = False

    @property
    def kept(self) -> bool:
        return self.is_file or (self.p95_ms <= LIMIT_MS and self.size_kb <= LIMIT_KB)

    def __str__(self) -> str:
        word = "" if self.kept else "  OVER"
        shown = f"{self.first_ms:9.0f} {self.p50_ms:8.0f} {self.p95_ms:8.0f} {self.size_kb:7.0f}"
        return f"{self.role:<10} {self.page:<58} {shown}{word}"


@dataclass
class Service:
    """The running service, and the database's own server, where it has one."""

    port: int
    process: psutil.Process
    server: Server | None = None

    def cpu_s(self) -> float:
        """Return what the service and its database have used; the processes that take surveys are not in it."""
        used = self.process.cpu_times()
        return float(used.user + used.system) + (self.server.cpu_s() if self.server else 0.0)

    def ask(self, name: str, method: str, path: str, form: Sequence[tuple[str, str]] = ()) -> tuple[int, bytes]:
        """Send one request; redirects are not followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        headers = {"Authorization": f"token {name}", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request(method, PREFIX + path, urlencode(form) if form else None, headers)
        reply = connection.getresponse()
        body = reply.read()
        connection.close()
        return reply.status, body


@contextmanager
def serving(course_root: Path, home: Path, url: str, server: Server | None = None) -> Iterator[Service]:
    """Run the service on a ledger."""
    paths = {"BOOTCAMP_COURSE": str(course_root), "BOOTCAMP_HOME": str(home), "BOOTCAMP_LEDGER": url}
    with hub_for_service() as (port, told), (home / "service.log").open("wb") as log:
        command, env = [sys.executable, "-m", "autograder.service"], {**os.environ, **paths, **told}
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        service = Service(port, psutil.Process(process.pid), server)
        try:
            _until_up(service)
            yield service
        finally:
            process.terminate()
            process.wait(60)


def _until_up(service: Service) -> None:
    for _ in range(600):
        try:
            if service.ask("nobody", "GET", "healthz")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the service does not answer")


def survey(service: Service, cohort: str) -> tuple[float, float]:
    """Ask for the overview until it is there; return the processor time of the survey in s and its memory in MB, at most."""
    cpu_s, peak_mb, ends = 0.0, 0.0, time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends:
        status, body = service.ask("organizer", "GET", f"overview?cohort={cohort}")
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


def values(n: int, size: Size, done: Deeds) -> dict[str, str]:
    """Return what addresses hold at the n-th request: another student each time, and the last attempt of theirs."""
    s = (7919 * n + 13) % size.n_students
    attempt = attempt_of(s, size.n_assignments - 1, size.n_tries - 1)
    mentee = done.confirmed[n % len(done.confirmed)]
    about = {"who": pseudonym_of(s), "attempt": attempt, "mentee": mentee, "s": f"{s:05}"}
    return {**about, "day": done.day, "holder": done.holder, "code": done.code}


def measure(service: Service, role: str, page: str, size: Size, done: Deeds) -> Line:
    """Ask for one page, each time for another student where it is about one."""
    spent, kb = [], 0.0
    for n in range(N_ASKED + 1):
        about = values(n, size, done)
        before = service.cpu_s()
        status, body = service.ask(role.format(**about), "GET", page.format(**about))
        spent.append(1000 * (service.cpu_s() - before))
        if status != 200:
            raise RuntimeError(f"{page} as {role}: {status}, {body[:300]!r}")
        kb = max(kb, len(body) / 1000)
    ordered = sorted(spent[1:])
    p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
    who = "student" if "{" in role else role
    return Line(who, page, spent[0], ordered[len(ordered) // 2], p95, kb, (role, page) in asked.FILES)


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
                server, url = None, f"sqlite:///{folder / 'ledger.sqlite'}"
            kept = _table(database, size, folder, url, server) and kept
    return 0 if kept else 1


def made(size: Size, folder: Path, url: str) -> tuple[Course, Home]:
    """Write course and term below the folder, but what is there from an earlier time is taken as it is. The term ends today."""
    is_there = (folder / "course").is_dir()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    course = load(folder / "course") if is_there else write_course(folder / "course", size, today)
    home = Home.from_env({"BOOTCAMP_HOME": str(folder / "home")}, course.root)
    home.make()
    with Ledger.open(url) as ledger:
        if not ledger.last_event():
            fill(ledger, size, end_of(course))
            deeds.try_again(ledger, size, "a16_topic", end_of(course) - timedelta(days=1))
            deeds.preview(ledger, home.previews, "a16_topic", "a16_topic.e03")
    return course, home


def _table(database: str, size: Size, folder: Path, url: str, server: Server | None) -> bool:
    course, home = made(size, folder, url)
    print(f"{database}: {size.n_students} students of cohort {COHORT}, {size.n_assignments} x {size.n_exercises} x {size.n_tries}")
    lines = []
    with serving(course.root, home.path, url, server) as service:
        for cohort in (COHORT, EARLIER):
            cpu_s, peak_mb = survey(service, cohort)
            print(f"the survey of {cohort}: {cpu_s:.0f} CPU-s and {peak_mb:.0f} MB in its own process", flush=True)
        done = deeds.do(service.ask, course, size)
        print(f"{'as':<10} {'page':<58} {'first ms':>9} {'p50 ms':>8} {'p95 ms':>8} {'KB':>7}")
        for role, page in (*asked.PAGES, *asked.twins(), *asked.FILES):
            lines.append(line := measure(service, role, page, size, done))
            print(line, flush=True)
        memory = service.process.memory_info().rss / 1e6
    (folder / f"{database}.json").write_text(json.dumps([asdict(line) for line in lines], indent=1), "utf-8")
    print(f"the service holds {memory:.0f} MB; limits: {LIMIT_MS:.0f} ms p95 of its processor time, {LIMIT_KB:.0f} KB\n")
    return all(line.kept for line in lines)


if __name__ == "__main__":
    sys.exit(main())
