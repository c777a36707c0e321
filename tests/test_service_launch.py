"""Starting and stopping the Hub: it refuses what cannot work, and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from autograder.course import Course
from autograder.errors import BootcampError, InfraError
from autograder.home import Home
from autograder.service import running as hub_room
from autograder.service.hub import Accounts
from autograder.service.running import config_folder, is_free, running
from tests import cohort_world
from tests.browser.stage import free_port

LIMIT_S = 180

# What `bootcamp serve` does, with SIGINT ignored at first, as in a script that starts it with "&".
LAUNCH = """
import os, signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)
from autograder import course
from autograder.home import Home
from autograder.service.hub import Accounts
from autograder.service.launch import launch
home = Home.from_env(os.environ)
accounts = Accounts(("ada",), ("ines",), ("olga",), ("mila",))
sys.exit(launch(home, course.load(home.course_root), int(sys.argv[1]), accounts, lambda line: print(line, flush=True)))
"""

MEMBERS = """
SELECT groups.name, users.name FROM groups
JOIN user_group_map ON group_id = groups.id
JOIN users ON user_id = users.id
"""


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return cohort_world.write_course(tmp_path / "course")


@pytest.fixture
def home(tmp_path: Path, course: Course) -> Home:
    path = tmp_path / "home"
    made = Home(course.root, path, f"sqlite:///{path / 'ledger.sqlite'}")
    made.make()
    return made


def processes_of(home: Home) -> list[str]:
    """Every process that works in this home or names it."""
    found = []
    for p in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = [*(p.info["cmdline"] or ()), p.info["cwd"] or ""]
        if p.pid != os.getpid() and any(str(home.path) in w for w in words):
            found.append(" ".join(words))
    return found


@pytest.mark.slow
def test_ctrl_c_ends_everything(home: Home) -> None:
    """One Ctrl-C ends the Hub, its proxy and our service in seconds, even where SIGINT was ignored at first; status 0.

    While it runs, the address, the password, the accounts and the warning are on screen, and no second Hub may start.
    """
    port = free_port()
    env = {**os.environ, "BOOTCAMP_COURSE": str(home.course_root), "BOOTCAMP_HOME": str(home.path)}
    with subprocess.Popen([sys.executable, "-c", LAUNCH, str(port)], env=env, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        shown = ""
        for line in launcher.stdout:
            shown += line
            if "Ctrl-C stops everything" in line:
                break
        running_then = processes_of(home)
        settings = (home.path / "hub" / "settings.json").read_bytes()
        with (
            pytest.raises(BootcampError, match="another JupyterHub already runs"),
            running(home, Course(home.course_root, "", "B", ()), Accounts(("ada",)), free_port()),
        ):
            pass
        assert (home.path / "hub" / "settings.json").read_bytes() == settings
        launcher.send_signal(signal.SIGINT)
        rest, _ = launcher.communicate(timeout=LIMIT_S)

    password = (home.path / "hub" / "password.txt").read_text().strip()
    assert launcher.returncode == 0, shown + rest
    for expected in (f"http://127.0.0.1:{port}/", password, "ada", "ines", "olga", "mila", "DEMONSTRATION ONLY"):
        assert expected in shown
    assert any("traefik" in p for p in running_then)
    assert any("autograder.service" in p for p in running_then)
    assert processes_of(home) == []
    assert is_free(port)


@pytest.mark.slow
def test_a_killed_hub_leaves_nothing_to_the_next(home: Home, course: Course) -> None:
    """When the Hub is killed, its proxy and our service are nobody's children; they are ended all the same.

    The next start is not hindered by what it left, and knows the new accounts only: who was an instructor is one no more.
    """
    with running(home, course, Accounts(("ada",), ("bela",)), free_port()) as hub:
        first = members(home)
        hub.watch()
        hub.process.kill()
        hub.process.wait()
        assert len(processes_of(home)) >= 2

    assert processes_of(home) == []
    assert (home.path / "hub" / "traefik-rules.toml").exists()
    with running(home, course, Accounts(("bela",), ("ada",)), free_port()):
        second = members(home)

    assert first == {("bootcamp-students", "ada"), ("bootcamp-instructors", "bela")}
    assert second == {("bootcamp-students", "bela"), ("bootcamp-instructors", "ada")}


def members(home: Home) -> set[tuple[str, str]]:
    """Who is in which group, by the Hub's own database."""
    with closing(sqlite3.connect(home.path / "hub" / "jupyterhub.sqlite")) as db:
        return set(db.execute(MEMBERS))


def test_a_taken_port_is_refused_with_another_one(home: Home, course: Course) -> None:
    """Nothing is started, and the message offers a port that is free."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(BootcampError, match=rf"port {port} .*--port (\d+)") as refused,
            running(home, course, Accounts(("ada",)), port),
        ):
            pass

    assert is_free(int(str(refused.value).rsplit(" ", 1)[1].rstrip(".")))
    assert not (home.path / "hub").exists()


@pytest.mark.slow
def test_a_hub_that_cannot_start_says_why_and_leaves_nothing(home: Home, course: Course) -> None:
    """Our service ends at once, so the Hub does: the error shows the log, the proxy is ended, and the lock is free again."""
    (course.root / "assignments" / "course.toml").write_text("titel = 'New'\n")

    with pytest.raises(InfraError, match='unknown key "titel"'), running(home, course, Accounts(("ada",)), free_port()):
        pass

    assert processes_of(home) == []
    with hub_room._locked(home.path / "hub" / "lock"):
        assert "Starting managed service" in (home.path / "hub" / "jupyterhub.log").read_text()


def test_the_courses_own_configuration_goes_first(course: Course) -> None:
    """A group may bring its own jupyterhub_config.py; without one the repository's is used."""
    ours = Path(hub_room.__file__).parents[2] / "docker"
    assert config_folder(course) == ours

    own = course.root / "docker"
    own.mkdir()
    (own / "jupyterhub_config.py").write_text("")

    assert config_folder(course) == own
