"""docker/machine on a real machine's stand-in: installed, used by Unix users, upgraded, turned off, lost and restored.

Debian with systemd as the first process, in a privileged container; real PostgreSQL, units, users and certificate. Minutes, so
`make test-containers` runs it and `make test` does not.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import ROOT, Engine
from tests.containers.guide import Guide
from tests.containers.lesson import GRADINGS, ID, PEOPLE, RELEASE, solving
from tests.containers.machine import UNITS, Machine

_NEEDED = ("podman", "debootstrap", "runc")
_MISSING = [name for name in _NEEDED if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(not os.environ.get("BOOTCAMP_TEST_CONTAINERS"), reason="MACHINE NOT TESTED here: run make test-containers"),
    pytest.mark.skipif(os.getuid() != 0, reason="MACHINE NOT TESTED: needs root"),
    pytest.mark.skipif(bool(_MISSING), reason=f"MACHINE NOT TESTED: apt-get install {' '.join(_MISSING)}"),
]
MACHINE_SECTION = "One machine without containers"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that was installed, with a web server in front, people, and the first assignment released."""
    engine = Engine(Path(os.environ.get("BOOTCAMP_CONTAINERS", ROOT / "var" / "containers")))
    machine = Machine(engine, tmp_path_factory.mktemp("machine"))
    try:
        machine.remove()
        engine.make_base()
        machine.boot()
        started = time.monotonic()
        said = machine.install()
        print(f"\ninstalled in {time.monotonic() - started:.1f} s; it says:\n{said}")
        machine.run("tee", "/etc/bootcamp/people.toml", text=PEOPLE)
        machine.put_tls_in_front()
        machine.wait_until_open()
        machine.as_engine(RELEASE)
        yield machine
    finally:
        machine.remove()


def gradings(machine: Machine) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads(machine.as_engine(GRADINGS))
    return found


def state(machine: Machine) -> dict[str, str]:
    """Return what no upgrade, restart or restoration may change: secrets, seed, people, the log's end, results, a page."""
    kept = (
        "cd / && sha256sum etc/bootcamp/bootcamp.env etc/bootcamp/people.toml etc/bootcamp/secrets/* var/lib/bootcamp/course_seed"
    )
    page = machine.page("ada").text
    return {
        "files": machine.script(kept),
        "ledger": machine.script("sudo /opt/bootcamp/bin/bootcamp ledger verify"),
        "gradings": str(gradings(machine)),
        "passed": str("1 of 10 exercises passed" in page),
        "users": machine.script("getent passwd | grep ^bootcamp"),
        "homes": machine.script("stat -c '%n %U %a' /home/bootcamp-* /var/lib/bootcamp /srv/bootcamp /etc/bootcamp/secrets"),
    }


def shell(machine: Machine, name: str, command: str) -> str:
    """Run the command in a terminal of the person's server."""
    done = f"subprocess.run({command!r}, shell=True, cwd=pathlib.Path.home(), stdout=-1, stderr=-2, text=True)"
    return machine.run_in_kernel(name, f"import pathlib, subprocess\nprint({done}.stdout)")


def hand_in(machine: Machine, name: str, value: float) -> None:
    """Solve one exercise in the person's own server, hand in from its terminal, and wait until it is graded."""
    n_before = len(gradings(machine))
    machine.run_in_kernel(name, solving(value))
    said = shell(machine, name, f"nbgrader submit {ID}")
    assert "Submitted" in said, said
    until = time.monotonic() + 600
    while len(gradings(machine)) == n_before:
        assert time.monotonic() < until, f"never graded\n{machine.log('bootcamp-grader')}\n{machine.log('bootcamp-exchange')}"
        time.sleep(0.5)


def test_the_installation_starts_everything_at_once(machine: Machine) -> None:
    """Each unit is up at its first try, and the graders hold what the course requires."""
    for unit in UNITS:
        assert machine.unit(unit, "ActiveState", "NRestarts") == ["active", "0"], machine.log(unit)
    assert machine.script("systemctl list-units --failed --plain --no-legend").strip() == ""
    assert "bootcamp-backup.timer" in machine.script("systemctl list-timers --no-legend")
    said = json.loads(machine.script("sudo /opt/bootcamp/bin/bootcamp doctor --json"))
    assert said["graded"] is True, said
    print(f"\ntier {said['tier']}")


def test_a_person_is_a_unix_user_behind_walls(machine: Machine) -> None:
    """Their server runs as themselves, with torch, and reaches neither the course, nor its state, nor another's home."""
    unit = machine.start_server("ada")
    machine.start_server("bob")
    assert shell(machine, "ada", "whoami; echo $HOME; stat -c %a ~").split() == ["bootcamp-ada", "/home/bootcamp-ada", "700"]
    assert machine.run_in_kernel("ada", "import torch, einops; print(torch.ones(2) @ torch.ones(2))") == "tensor(2.)\n"
    closed = ["/srv/bootcamp", "/var/lib/bootcamp", "/var/lib/bootcamp-hub", "/var/lib/bootcamp-backup", "/etc/bootcamp/secrets"]
    for place in [*closed, "/home/bootcamp-bob", "/root"]:
        said = shell(machine, "ada", f"ls {place} && echo REACHED")
        assert "REACHED" not in said, place
    assert "REACHED" not in shell(machine, "ada", "psql -h /var/run/postgresql bootcamp -c 'SELECT 1' && echo REACHED")
    assert "REACHED" not in shell(machine, "ada", "sudo -n true && echo REACHED")
    assert "REACHED" not in shell(machine, "ada", "python3 -c 'import autograder.grading' && echo REACHED")
    variables = shell(machine, "ada", "env")
    assert "BOOTCAMP_LEDGER" not in variables
    for secret in machine.script("cd /etc/bootcamp/secrets && cat service_token && echo && cat metrics_token").split():
        assert secret not in variables
    assert machine.unit(unit, "MemoryMax", "User") == [str(1 << 30), machine.script("id -u bootcamp-ada").strip()]


def test_a_submission_goes_through(machine: Machine) -> None:
    """Fetched, solved and handed in on one's own server; graded; shown."""
    said = shell(machine, "ada", f"nbgrader fetch_assignment {ID}; ls {ID}")
    assert f"{ID}.ipynb" in said, said
    hand_in(machine, "ada", 1)
    assert "1 of 10 exercises passed" in machine.page("ada").text


def test_an_instructor_works_as_the_courses_own_user(machine: Machine) -> None:
    """With formgrader, and the commands of the course."""
    machine.start_server("ines")
    assert machine.session("ines").get(f"{machine.url}/user/ines/formgrader", timeout=60).status_code == 200
    assert shell(machine, "ines", "whoami").strip() == "bootcamp"
    assert "unbroken" in shell(machine, "ines", "bootcamp ledger verify")
    assert machine.page("ines", "grading").status_code == 200
    assert machine.page("ada", "grading").status_code == 403


def test_a_second_installation_is_an_upgrade(machine: Machine) -> None:
    """People, secrets, seed, results and people's running servers stay as they are; files of an older release go."""
    machine.script("mkdir /srv/bootcamp/assignments/older && touch /opt/bootcamp/student/client/autograder/older.py")
    before, server = state(machine), machine.unit("bootcamp-server-ada", "MainPID")
    machine.install()
    machine.wait_until_open()
    assert state(machine) == before
    assert machine.unit("bootcamp-server-ada", "MainPID") == server
    assert shell(machine, "ada", "whoami").strip() == "bootcamp-ada"  # the cookie and the server are still good
    assert "older" not in machine.script("find /srv/bootcamp /opt/bootcamp/student/client -name 'older*'")
    for unit in UNITS:
        assert machine.unit(unit, "ActiveState") == ["active"], machine.log(unit)


def test_a_machine_that_was_turned_off_comes_back(machine: Machine) -> None:
    """Everything starts by itself, in an order that works."""
    before = state(machine)
    machine.restart()
    machine.wait_until_open()
    assert state(machine) == before
    for unit in UNITS:
        assert machine.unit(unit, "NRestarts") == ["0"], machine.log(unit)
    machine.start_server("ada")
    assert f"{ID}.ipynb" in shell(machine, "ada", f"ls {ID}")


def test_what_was_lost_is_restored_as_the_guide_says(machine: Machine) -> None:
    """The nightly unit's archive, everything destroyed, the guide's lines: the same log, results and pages; and it goes on."""
    before = state(machine)
    machine.script("systemctl start bootcamp-backup")
    (archive,) = machine.script("ls /var/lib/bootcamp-backup").split()
    machine.script("systemctl kill -s KILL bootcamp-grader bootcamp-exchange; rm -rf /var/lib/bootcamp/*")
    lines = Guide.read().block(MACHINE_SECTION, 1)
    assert "Mon.tar" in lines
    machine.script(lines.replace("Mon.tar", archive))
    machine.wait_until_open()
    assert state(machine) == before
    hand_in(machine, "ada", 2)
    assert len(gradings(machine)) == 2
