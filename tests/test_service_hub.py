"""What the Hub is told: accounts are checked, settings survive the file, secrets are their owner's alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from autograder.errors import BootcampError
from autograder.service.hub import Accounts, HubSettings, Ports
from autograder.service.roles import CUSTOM_SCOPES, MENTOR, METRICS, MONITOR_SCOPES, ROLES, group


def settings(home: Path) -> HubSettings:
    """Settings of a home whose folders are made."""
    accounts = Accounts(("ada", "bela-2"), ("ines",), ("olga",), ("mila",))
    made = HubSettings(home / "course", home / "home", home / "docker", "sqlite:///x", accounts, Ports(1, 2, 3, 4))
    made.make_folders()
    return made


def test_settings_survive_the_file(tmp_path: Path) -> None:
    """What was written is what the Hub's configuration reads."""
    told = settings(tmp_path)

    assert HubSettings.read(told.write()) == told


def test_what_is_secret_is_the_owners_alone(tmp_path: Path) -> None:
    """Settings may hold a database's password: files 0600, folders 0700."""
    told = settings(tmp_path)
    path = told.write()
    told.password()

    private = [path, told.folder / "password.txt"]
    assert [stat.S_IMODE(p.stat().st_mode) for p in private] == [0o600, 0o600]
    assert {stat.S_IMODE(p.stat().st_mode) for p in (told.home, told.folder, told.users)} == {0o700}


def test_the_password_is_drawn_once_per_home(tmp_path: Path) -> None:
    """A second start keeps the password, another home has another one, and none is short."""
    one, other = settings(tmp_path / "a"), settings(tmp_path / "b")
    assert one.password() == one.password()
    assert one.password() != other.password()
    assert len(one.password()) >= 16


def test_damaged_settings_say_what_to_do(tmp_path: Path) -> None:
    """Missing or damaged, the message names the file and the command."""
    for text in (None, "{", '{"accounts": {}}', '{"accounts": {"wizards": []}}'):
        path = tmp_path / "settings.json"
        if text is not None:
            path.write_text(text)
        with pytest.raises(BootcampError, match=r"settings\.json.*bootcamp serve"):
            HubSettings.read(path)


@pytest.mark.parametrize(
    "name", ["", "Ada", "../ada", "ada/x", "ada ", "a" * 65, "_ada", "ada.", "ada\n", "ädä", "-rf", "{username}"]
)
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    """An account becomes a folder and an address, so it consists of plain letters and digits."""
    with pytest.raises(BootcampError, match="cannot be an account"):
        Accounts((name,))


def test_a_name_has_one_role() -> None:
    """Who stands under two roles would hold the rights of both without anybody having said so."""
    with pytest.raises(BootcampError, match="these stand twice: ines"):
        Accounts(("ada", "ines"), ("ines",))


def test_every_role_has_accounts_and_a_group() -> None:
    """Accounts and roles go by the same names, and every custom scope that a role holds is described."""
    accounts = Accounts(("ada",), ("ines",), ("olga",), ("mila",))

    assert [accounts.of(role) for role in ROLES] == [("ada",), ("ines",), ("olga",), ("mila",)]
    assert accounts.all() == ("ada", "ines", "olga", "mila")
    assert len({group(role) for role in ROLES}) == len(ROLES)
    assert {scope for scopes in ROLES.values() for scope in scopes} | {METRICS} == set(CUSTOM_SCOPES)


def test_no_person_may_read_the_metrics() -> None:
    """They are for a service of the Hub; no role of people holds the scope."""
    assert METRICS in MONITOR_SCOPES
    assert not [role for role, scopes in ROLES.items() if METRICS in scopes]


def test_students_and_mentors_hold_no_right_over_others() -> None:
    """Everybody sees their own work; a mentor sees besides whom an organizer has confirmed, and no more."""
    assert ROLES["student"] == ()
    assert ROLES["mentor"] == (MENTOR,)
    assert not {MENTOR} & {scope for role in ("instructor", "organizer") for scope in ROLES[role]}
