"""people.toml decides who comes in and with which rights, through the Hub's own authenticators."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyterhub.authenticators.shared import SharedPasswordAuthenticator

from autograder.errors import BootcampError
from autograder.service.people import People, listed, rights
from autograder.service.roles import ENTER, ROLES, group

LIST = 'students = ["ada"]\ninstructors = ["ines"]\n'
PASSWORD = "a long enough password"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "people.toml"
    path.write_text(LIST)
    return path


def sign_in(path: Path, name: str, password: str = PASSWORD) -> list[str] | None:
    """Return the groups that the Hub's own authenticator, with the list added, gives the person; None when refused."""
    door = listed(SharedPasswordAuthenticator, path)(user_password=PASSWORD, allow_all=True, manage_groups=True)
    found = asyncio.run(door.get_authenticated_user(None, {"username": name, "password": password}))
    return found and found["groups"]


def test_groups_are_those_of_the_list(path: Path) -> None:
    """A role is a group; who is not listed, or has the wrong password, stays outside."""
    assert sign_in(path, "ada") == [group("student")]
    assert sign_in(path, "ines") == [group("instructor")]
    assert sign_in(path, "mallory") is None
    assert sign_in(path, "ines", "guess") is None


def test_everyone_is_a_student_where_the_list_says_so(path: Path) -> None:
    """With "everyone" the sign-in decides alone who comes; roles still come from the list."""
    path.write_text('students = "everyone"\ninstructors = ["ines"]\n')
    assert sign_in(path, "mallory") == [group("student")]
    assert sign_in(path, "ines") == [group("instructor")]
    assert People.read(path).is_open


def test_a_right_that_is_taken_away_goes_at_the_next_refresh(path: Path) -> None:
    """The Hub asks again every few minutes, and gets the whole list of groups, or a refusal."""
    door = listed(SharedPasswordAuthenticator, path)(user_password=PASSWORD)
    ines = SimpleNamespace(name="ines")
    assert asyncio.run(door.refresh_user(ines)) == {"name": "ines", "groups": [group("instructor")]}
    path.write_text('students = ["ines"]\n')
    assert asyncio.run(door.refresh_user(ines)) == {"name": "ines", "groups": [group("student")]}
    path.write_text("students = []\n")
    assert asyncio.run(door.refresh_user(ines)) is False


@pytest.mark.parametrize("text", ["students = [", "wizards = []", 'students = "ada"', "students = [1]", 'students = ["../a"]'])
def test_a_damaged_list_lets_nobody_in(path: Path, text: str) -> None:
    """The message names the file; the door stays shut rather than open."""
    path.write_text(text)
    with pytest.raises(BootcampError, match=r"people\.toml"):
        People.read(path)
    assert sign_in(path, "ada") is None


def test_every_role_may_enter_and_holds_its_scopes() -> None:
    """group -> role -> scopes, as the Hub's configuration wants them."""
    given = {role["name"]: role["scopes"] for role in rights()["load_roles"]}
    assert given == {group(role): [ENTER, *scopes] for role, scopes in ROLES.items()}
