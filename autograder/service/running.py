"""A home, a course, a port and accounts in; a Hub that answers out, and everything that it started ended again.

The Hub starts its proxy, our service and people's servers in sessions of their own, so a signal to its process group
would miss them all. Stopping therefore asks the Hub first, which stops them one by one, and then ends whatever
descendant is left. The child also holds a lock, so that two Hubs never share one folder, not even when the first
one's launcher was killed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

import psutil

from autograder.course import Course
from autograder.errors import BootcampError, InfraError
from autograder.home import Home
from autograder.service.hub import SETTINGS_VARIABLE, Accounts, HubSettings, Ports
from autograder.service.roles import SERVICE

_HOST = "127.0.0.1"
_START_LIMIT_S = 180.0  # a cold start takes 5 s on an idle machine; a full disk cache and two busy cores take long
_STOP_LIMIT_S = 20.0
_KILL_LIMIT_S = 5.0
_PAUSE_S = 0.1
_WATCH_S = 2.0
_LOG_TAIL_LINES = 15
_CONFIG_FILE = "jupyterhub_config.py"


@dataclass(frozen=True)
class RunningHub:
    """A Hub that answers. `process` ends when the Hub does."""

    settings: HubSettings
    password: str
    process: subprocess.Popen[bytes]
    started: set[psutil.Process] = field(default_factory=set)

    @property
    def url(self) -> str:
        return self.settings.url

    @property
    def service_url(self) -> str:
        return f"{self.url}services/{SERVICE}/"

    def wait(self) -> int:
        """Return the Hub's exit status once it ends, having kept count of what it started."""
        while True:
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(_WATCH_S)
            self.watch()

    def watch(self) -> None:
        """Note every process that the Hub started; when it dies in a crash, they are nobody's children any more."""
        with suppress(psutil.NoSuchProcess):
            self.started.update(psutil.Process(self.process.pid).children(recursive=True))


@contextmanager
def running(home: Home, course: Course, accounts: Accounts, port: int, n_workers: int = 0) -> Iterator[RunningHub]:
    """Start the Hub and as many graders, wait until it and our service answer, yield it, stop it and all it started.

    Raises: BootcampError when the port is taken or another Hub runs in this home, InfraError when it does not start.
    """
    ports = Ports(port, *_free_ports(3)) if is_free(port) else _taken(port)
    settings = HubSettings(course.root, home.path, config_folder(course), home.ledger_url, accounts, ports, n_workers)
    settings.make_folders()
    with _locked(settings.folder / "lock") as lock, open(settings.log, "ab") as log:
        path, password = settings.write(), settings.password()
        # nbgrader's course folder is the instructor's root, and must exist before the first instructor comes.
        home.nbgrader_root.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(settings.config / _CONFIG_FILE)],
            cwd=settings.folder,
            env=_environment(path),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal comes to us alone, and we stop the Hub in order
            pass_fds=(lock.fileno(),),
        )
        hub = RunningHub(settings, password, process)
        try:
            _wait_until_ready(hub)
            yield hub
        finally:
            _stop(hub)


def config_folder(course: Course) -> Path:
    """Return the folder of jupyterhub_config.py: the course's own docker/, else the one beside this package."""
    places = [course.root / "docker", Path(__file__).resolve().parents[2] / "docker"]
    for place in places:
        if (place / _CONFIG_FILE).is_file():
            return place
    raise BootcampError(f"no {_CONFIG_FILE} in {' or '.join(map(str, places))}. Run this in a clone of the repository.")


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of this machine now."""
    with socket.socket() as s:
        # Without this a port whose last connection closed a minute ago counts as taken.
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((_HOST, port))
        except OSError:
            return False
        return True


def _taken(port: int) -> NoReturn:
    (other,) = _free_ports(1)
    raise BootcampError(
        f"port {port} on {_HOST} is taken by another program. Stop it, or choose another port, such as --port {other}."
    )


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    try:
        for s in sockets:
            s.bind((_HOST, 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def _environment(settings_file: Path) -> dict[str, str]:
    # The proxy and nbgrader's alembic are found on PATH.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, SETTINGS_VARIABLE: str(settings_file), "PATH": path}


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with open(path, "a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BootcampError(
                f"another JupyterHub already runs from {path.parent}. Stop it first, or use another home."
            ) from None
        yield lock


def _wait_until_ready(hub: RunningHub) -> None:
    waited_s = 0.0
    for address in (f"{hub.url}hub/health", f"{hub.service_url}healthz"):
        while not _answers(address):
            try:
                status = hub.process.wait(_PAUSE_S)
            except subprocess.TimeoutExpired:
                waited_s += _PAUSE_S
                hub.watch()
            else:
                raise InfraError(
                    f"JupyterHub ended with status {status} before it answered. {hub.settings.log} ends:\n{tail(hub.settings.log)}"
                )
            if waited_s > _START_LIMIT_S:
                raise InfraError(
                    f"{address} does not answer after {_START_LIMIT_S:.0f} s. {hub.settings.log} ends:\n{tail(hub.settings.log)}"
                )


def _answers(address: str) -> bool:
    # A proxy from the environment must not stand between us and this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=2) as reply:
            return int(reply.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _stop(hub: RunningHub) -> None:
    """End the Hub and every process that it started, within _STOP_LIMIT_S + _KILL_LIMIT_S."""
    hub.watch()
    if hub.process.poll() is None:
        hub.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            hub.process.wait(_STOP_LIMIT_S)
    hub.watch()
    if hub.process.poll() is None:
        hub.process.kill()
        hub.process.wait(_KILL_LIMIT_S)
    for left in hub.started:
        # psutil compares start times, so a process that got an old number is never hit.
        with suppress(psutil.NoSuchProcess):
            left.kill()
    psutil.wait_procs(hub.started, timeout=_KILL_LIMIT_S)


def tail(log: Path) -> str:
    """Return the last lines of the Hub's log."""
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-_LOG_TAIL_LINES:])
