"""The front door is set from the environment, and a door that is half set up stays shut."""

from __future__ import annotations

from pathlib import Path

import pytest
from traitlets.config import Config

from autograder.errors import BootcampError
from autograder.service.front import open_door, set_proxy
from autograder.service.roles import ENTER, METRICS, MONITOR, ROLES, SERVICE, group

URL = "http://service:8000"
PASSWORD = {"BOOTCAMP_SERVICE_TOKEN": "t" * 32, "BOOTCAMP_PASSWORD": "a long enough password"}
OAUTH = {
    "BOOTCAMP_SERVICE_TOKEN": "t" * 32,
    "OAUTH_CLIENT_ID": "id",
    "OAUTH_CLIENT_SECRET": "secret",
    "OAUTH_CALLBACK_URL": "https://bootcamp.example.org/hub/oauth_callback",
}
GENERIC = {f"OAUTH_{name}_URL": f"https://sso.example.org/{name}" for name in ("AUTHORIZE", "TOKEN", "USERDATA")}


def door(tmp_path: Path, env: dict[str, str], people: str = 'students = ["ada"]\n') -> Config:
    (tmp_path / "people.toml").write_text(people)
    c = Config()
    open_door(c, env, tmp_path / "people.toml", URL)
    return c


def test_the_hub_knows_the_service_and_every_role(tmp_path: Path) -> None:
    """The service's entry carries its token; each role's group has its scopes; the culler may read and stop servers alone."""
    c = door(tmp_path, PASSWORD)
    (ours, culler) = c.JupyterHub.services
    assert (ours["name"], ours["url"], ours["api_token"]) == (SERVICE, URL, PASSWORD["BOOTCAMP_SERVICE_TOKEN"])
    roles = {r["name"]: r for r in c.JupyterHub.load_roles}
    assert set(roles) == {*(group(role) for role in ROLES), "culler"}
    assert roles["culler"]["services"] == [culler["name"]]
    assert not any(s.startswith(("admin", "users", "tokens", "servers")) for s in roles["culler"]["scopes"])
    assert culler["command"][-1] == "--timeout=3600"
    assert c.Authenticator.manage_groups


def test_a_list_decides_alone_and_everyone_leaves_it_to_the_sign_in(tmp_path: Path) -> None:
    """allow_all with a list means that the list refuses; with "everyone" it would let the whole world in."""
    assert door(tmp_path, PASSWORD).Authenticator.allow_all is True
    assert door(tmp_path, PASSWORD, 'students = "everyone"\n').Authenticator.allow_all is False


@pytest.mark.parametrize(
    ("kind", "more", "section", "key", "value"),
    [
        ("github", {"GITHUB_ORGANIZATIONS": "one two"}, "GitHubOAuthenticator", "allowed_organizations", {"one", "two"}),
        ("google", {"GOOGLE_DOMAINS": "example.org"}, "GoogleOAuthenticator", "hosted_domain", ["example.org"]),
        ("oauth", GENERIC, "GenericOAuthenticator", "username_claim", "preferred_username"),
    ],
)
def test_a_sign_in_elsewhere(tmp_path: Path, kind: str, more: dict, section: str, key: str, value: object) -> None:
    """JupyterHub's own authenticators, with the list of people added."""
    pytest.importorskip("oauthenticator", reason="the sign-in of the images; ends with: pip install oauthenticator")
    c = door(tmp_path, {**OAUTH, **more, "BOOTCAMP_SIGN_IN": kind})
    assert c[section][key] == value
    assert c.JupyterHub.authenticator_class.__name__ == f"Listed{section}"
    made = c.JupyterHub.authenticator_class(config=c)  # the names of the settings are the authenticator's own
    assert getattr(made, key) == value
    assert made.client_secret == "secret"


def test_what_compose_leaves_blank_is_not_set(tmp_path: Path) -> None:
    """compose.yaml gives every variable that nobody set one blank: the defaults hold, and no organisation is called that."""
    pytest.importorskip("oauthenticator", reason="the sign-in of the images; ends with: pip install oauthenticator")
    blank = dict.fromkeys(("GITHUB_ORGANIZATIONS", "GOOGLE_DOMAINS", "OAUTH_USERNAME_CLAIM", "OAUTH_SCOPE", "BOOTCAMP_IDLE_S"), " ")
    github, google, generic = (
        door(tmp_path, {**OAUTH, **GENERIC, **blank, "BOOTCAMP_SIGN_IN": kind}) for kind in ("github", "google", "oauth")
    )
    assert (github.GitHubOAuthenticator.allowed_organizations, github.GitHubOAuthenticator.scope) == (set(), [])
    assert google.GoogleOAuthenticator.hosted_domain == []
    assert generic.GenericOAuthenticator.username_claim == "preferred_username"
    assert generic.GenericOAuthenticator.scope == ["openid", "profile"]
    assert generic.JupyterHub.services[1]["command"][-1] == "--timeout=3600"
    assert door(tmp_path, {**PASSWORD, "BOOTCAMP_SIGN_IN": " "}).JupyterHub.authenticator_class.__name__.startswith("ListedShared")


def test_prometheus_may_read_metrics_once_it_has_a_token(tmp_path: Path) -> None:
    """A service of the Hub with three scopes; without a token, or with a blank one, there is no such service."""
    c = door(tmp_path, {**PASSWORD, "BOOTCAMP_METRICS_TOKEN": "m" * 32})
    (found,) = (s for s in c.JupyterHub.services if s["name"] == MONITOR)
    (role,) = (r for r in c.JupyterHub.load_roles if MONITOR in r.get("services", []))
    assert found == {"name": MONITOR, "api_token": "m" * 32}
    assert set(role["scopes"]) == {"read:metrics", ENTER, METRICS}
    for env in (PASSWORD, {**PASSWORD, "BOOTCAMP_METRICS_TOKEN": " "}):
        assert MONITOR not in {s["name"] for s in door(tmp_path, env).JupyterHub.services}


@pytest.mark.parametrize("missing", ["BOOTCAMP_PASSWORD", "BOOTCAMP_SERVICE_TOKEN"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_empty_secret_is_none(tmp_path: Path, missing: str, value: str | None) -> None:
    """An empty password would let everybody in, an empty token every service."""
    env = {k: v for k, v in {**PASSWORD, missing: value}.items() if v is not None}
    with pytest.raises(BootcampError, match=f"{missing} is not set"):
        door(tmp_path, env)


def test_an_unknown_sign_in_is_named(tmp_path: Path) -> None:
    """The message says what is known."""
    with pytest.raises(BootcampError, match="BOOTCAMP_SIGN_IN=ldap: expected password, github, google or oauth"):
        door(tmp_path, {**PASSWORD, "BOOTCAMP_SIGN_IN": "ldap"})


def test_rules_of_a_killed_proxy_are_removed(tmp_path: Path) -> None:
    """The next Hub would take over their password."""
    (tmp_path / "traefik-rules.toml").write_text("old")
    c = Config()
    set_proxy(c, tmp_path, 1234)
    assert not (tmp_path / "traefik-rules.toml").exists()
    assert c.TraefikProxy.traefik_api_url == "http://127.0.0.1:1234"
    assert len(c.TraefikProxy.traefik_api_password) == 32
