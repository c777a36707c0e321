"""docker/machine: units that systemd accepts, servers that run as nobody of the machine's own users, homes that are closed."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import types
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from autograder.service.roles import group

MACHINE = Path(__file__).parents[1] / "docker" / "machine"
UNITS = sorted([*MACHINE.glob("*.service"), *MACHINE.glob("*.timer")])
STUDENT = "bootcamp-zz9test"


def directives(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", unit.read_text("utf-8"), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="UNITS NOT VERIFIED: apt-get install systemd")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Every directive is known to systemd. Programs that the installation brings are not there yet, so `true` stands for them."""
    for unit in UNITS:
        text = re.sub(r"^(ExecStart(?:Pre)?)=\S+.*$", r"\1=/bin/true", unit.read_text("utf-8"), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(re.sub(r"^User=.*$|^Group=.*$", "", text, flags=re.MULTILINE))
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / u.name) for u in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    # Some of systemd's own units are wanted that a machine may not have; of ours nothing may be said.
    said = [line for line in done.stderr.splitlines() if "bootcamp-" in line and "postgresql.service" not in line]
    assert said == []
    (tmp_path / UNITS[0].name).write_text("[Service]\nExecStart=/bin/true\nNoSuchDirective=1\n")
    done = subprocess.run([*command[:3], str(tmp_path / UNITS[0].name)], capture_output=True, text=True, timeout=60, check=False)
    assert "NoSuchDirective" in done.stderr, "verify would have said nothing about anything"


@pytest.mark.parametrize("unit", [u for u in UNITS if u.suffix == ".service" and "hub" not in u.name], ids=lambda u: u.stem)
def test_only_the_hub_is_root(unit: Path) -> None:
    """What takes requests or grades runs as a plain user that can gain nothing."""
    found = directives(unit)
    assert found["User"] == ["bootcamp"]
    assert found["NoNewPrivileges"] == ["yes"]


def test_graders_may_make_boxes_below_a_cap() -> None:
    """What the box needs is not forbidden, and memory has the outer cap that tier B asks for."""
    found = directives(MACHINE / "bootcamp-grader.service")
    assert {"MemoryMax", "Delegate", "TasksMax"} <= set(found)
    assert not {"RestrictNamespaces", "ProtectKernelTunables", "ProtectProc", "SystemCallFilter", "PrivateUsers"} & set(found)
    assert found["CapabilityBoundingSet"] == [""]


def test_every_variable_of_a_unit_is_known_to_the_settings() -> None:
    """No secret stands in a unit or in bootcamp.env: what is secret is a credential's path."""
    text = "".join(p.read_text("utf-8") for p in [*UNITS, MACHINE / "bootcamp.env"])
    for name, value in re.findall(r"\b([A-Z][A-Z_]*(?:PASSWORD|SECRET|TOKEN|SEED)[A-Z_]*)=(\S+)", text):
        assert name.endswith("_FILE"), name
        assert value.startswith("%d/"), name
    for name in re.findall(r"LoadCredential=(\w+):", text):
        assert f"%d/{name}" in text


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """The configuration, executed as JupyterHub executes it."""
    pytest.importorskip("systemdspawner", reason="the machine's spawner; ends with: pip install jupyterhub-systemdspawner")
    (tmp_path / "people.toml").write_text('students = ["ada"]\n')
    variables = {
        "BOOTCAMP_PEOPLE": str(tmp_path / "people.toml"),
        "BOOTCAMP_SERVICE_TOKEN": "t" * 32,
        "BOOTCAMP_PASSWORD": "a long enough password",
        "BOOTCAMP_COURSE": "/srv/bootcamp",
        "BOOTCAMP_HOME": "/var/lib/bootcamp",
        "BOOTCAMP_LEDGER": "postgresql+psycopg://bootcamp@/bootcamp",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    path, c = MACHINE / "jupyterhub_config.py", Config()
    space: dict[str, Any] = {"get_config": lambda: c, "__file__": str(path), "__name__": "jupyterhub_config"}
    exec(compile(path.read_text("utf-8"), str(path), "exec"), space)
    return types.SimpleNamespace(c=c, **{k: space[k] for k in ("dress", "make_user", "unix_name", "OnePerUser")})


def spawner_of(hub: types.SimpleNamespace, name: str, role: str) -> Any:
    """Return the Hub's real spawner of a person who plays the role."""
    groups = [types.SimpleNamespace(name=group(role))]
    user = types.SimpleNamespace(name=name, escaped_name=name, id=7, groups=groups, url="/", settings={})
    return hub.OnePerUser(config=hub.c, user=user)


def test_nobody_becomes_a_user_of_the_machine(hub: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who signs in as "root" is bootcamp-root, who has nothing; an instructor is the course's own user."""
    made: list[str] = []
    monkeypatch.setitem(hub.dress.__globals__, "make_user", made.append)
    student, instructor = spawner_of(hub, "root", "student"), spawner_of(hub, "ines", "instructor")
    hub.dress(student)
    hub.dress(instructor)
    assert made == ["bootcamp-root"]
    assert student._expand_user_vars(student.username_template) == "bootcamp-root"
    assert instructor._expand_user_vars(instructor.username_template) == "bootcamp"
    assert "BOOTCAMP_LEDGER" not in student.environment
    assert student.cmd[0].startswith("/opt/bootcamp/student/")
    assert "/var/lib/bootcamp" in student.unit_extra_properties["InaccessiblePaths"]
    assert student.mem_limit == 1 << 30


def test_a_right_that_is_taken_away_goes_with_the_next_start(hub: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub keeps a spawner whose last stop failed: nothing that an instructor's start set may outlive the role."""
    monkeypatch.setitem(hub.dress.__globals__, "make_user", lambda name: None)
    spawner, new = spawner_of(hub, "ines", "instructor"), spawner_of(hub, "ines", "student")
    hub.dress(spawner)
    spawner.user = new.user
    hub.dress(spawner)
    hub.dress(new)
    for name in ("cmd", "environment", "username_template", "notebook_dir", "unit_extra_properties"):
        assert getattr(spawner, name) == getattr(new, name), name


def test_a_name_of_any_length_has_a_unix_user_of_its_own(hub: types.SimpleNamespace) -> None:
    """useradd refuses more than 32 characters, and GitHub's names have up to 39."""
    long = [f"a-name-as-long-as-github-allows-them-{n}" for n in range(2)]
    found = [hub.unix_name(name) for name in ("ada", "a" * 23, "a" * 24, *long)]
    assert found[:2] == ["bootcamp-ada", "bootcamp-" + "a" * 23]
    assert len(set(found)) == 5
    assert max(map(len, found)) == 32
    # Nobody can take a long name's user by bearing what follows the prefix.
    assert hub.unix_name(found[3].removeprefix("bootcamp_")) not in found


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("useradd") is None, reason="needs root, to make a Unix user")
def test_a_home_is_its_owners_alone(hub: types.SimpleNamespace) -> None:
    """Also one that was there before, open to others."""
    try:
        hub.make_user(STUDENT)
        home = Path(pwd.getpwnam(STUDENT).pw_dir)
        assert home.stat().st_mode & 0o777 == 0o700
        home.chmod(0o755)
        hub.make_user(STUDENT)
        assert home.stat().st_mode & 0o777 == 0o700
    finally:
        subprocess.run(["userdel", "--remove", STUDENT], capture_output=True, check=False)


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("useradd") is None, reason="needs root, to make a Unix user")
def test_a_home_from_another_machine_is_its_owners(hub: types.SimpleNamespace, tmp_path: Path) -> None:
    """Copied as files, with the numbers of users there; what a link in it points to stays whose it is."""
    home, elsewhere = Path("/home") / STUDENT, tmp_path / "elsewhere"
    elsewhere.touch()
    try:
        home.mkdir()
        (home / "notebook.ipynb").touch()
        (home / "link").symlink_to(elsewhere)
        os.chown(home / "notebook.ipynb", 54321, 54321)
        hub.make_user(STUDENT)
        assert {p.lstat().st_uid for p in (home, *home.iterdir())} == {pwd.getpwnam(STUDENT).pw_uid}
        assert elsewhere.stat().st_uid == os.getuid()
    finally:
        subprocess.run(["userdel", "--remove", STUDENT], capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)


def test_the_installation_gives_students_what_their_image_has(tmp_path: Path) -> None:
    """install.sh reads the list of the exchange's client from the Dockerfile: the same files come out."""
    text = (MACHINE / "install.sh").read_text("utf-8")
    part = text[text.index("sed -n '/ AS student") : text.index("for part in assignments")]
    script = f"set -eu\nsource={MACHINE.parents[1]}\n" + part.replace("/opt/bootcamp/student", str(tmp_path))
    subprocess.run(["sh", "-c", script], check=True, capture_output=True)
    from tests.test_docker import copied

    found = {str(p.relative_to(tmp_path / "client")) for p in tmp_path.rglob("*.py")}
    assert found == copied("student")
    assert subprocess.run(["sh", "-n", str(MACHINE / "install.sh")], check=False).returncode == 0
