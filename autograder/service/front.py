"""The Hub's front door: environment in; sign-in, list of people, rights and proxy in JupyterHub's configuration out.

What every way of running the Hub for real shares. Here `c` is JupyterHub's own configuration object.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autograder.errors import BootcampError
from autograder.service.people import People, listed, rights, service
from autograder.service.roles import MONITOR, SERVICE

REFRESH_S = 300  # after which a right that people.toml no longer gives is gone
_IDLE_S = "3600"
_CULLER_SCOPES = ("list:users", "read:users:activity", "read:servers", "delete:servers")


def open_door(c: Any, env: Mapping[str, str], people_file: Path, service_url: str) -> None:
    """Set sign-in, people, rights, our service and the culler of idle servers. Raises: BootcampError on a setting that is none.

    BOOTCAMP_SIGN_IN: password, github, google or oauth; BOOTCAMP_SERVICE_TOKEN; BOOTCAMP_METRICS_TOKEN (without it nobody may
    read metrics); BOOTCAMP_IDLE_S.
    """
    c.JupyterHub.authenticator_class = listed(_sign_in(c, env), people_file)
    c.JupyterHub.default_url = f"/services/{SERVICE}/"
    c.Authenticator.manage_groups = True
    c.Authenticator.auth_refresh_age = REFRESH_S
    c.Authenticator.refresh_pre_spawn = True
    # people.toml refuses whom it does not list; where it says "everyone", the sign-in's own rule decides alone.
    c.Authenticator.allow_all = not People.read(people_file).is_open
    metrics_token = _said(env, "BOOTCAMP_METRICS_TOKEN")
    given = rights(is_monitored=bool(metrics_token))
    culler = {"name": "culler", "services": ["culler"], "scopes": list(_CULLER_SCOPES)}
    c.JupyterHub.custom_scopes = given["custom_scopes"]
    c.JupyterHub.load_roles = [*given["load_roles"], culler]
    command = [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={_said(env, 'BOOTCAMP_IDLE_S') or _IDLE_S}"]
    c.JupyterHub.services = [
        service(service_url, api_token=_given(env, "BOOTCAMP_SERVICE_TOKEN")),
        {"name": "culler", "command": command},
        *([{"name": MONITOR, "api_token": metrics_token}] if metrics_token else []),
    ]


def set_proxy(c: Any, state: Path, api_port: int) -> None:
    """Use Traefik, which comes as a wheel, so there is no npm; its files stand in `state`.

    The pure-Python configurable-http-proxy drops long requests.
    """
    c.JupyterHub.proxy_class = "traefik_file"
    c.TraefikProxy.traefik_api_url = f"http://127.0.0.1:{api_port}"
    c.TraefikProxy.traefik_api_username = "jupyterhub"
    c.TraefikProxy.traefik_api_password = secrets.token_hex(16)
    c.TraefikProxy.extra_static_config = {"global": {"checkNewVersion": False, "sendAnonymousUsage": False}}
    files = state / "traefik.toml", state / "traefik-rules.toml"
    for left in files:
        # A Hub that was killed leaves its rules behind, and the next one would take over their password.
        left.unlink(missing_ok=True)
    c.TraefikFileProviderProxy.static_config_file, c.TraefikFileProviderProxy.dynamic_config_file = map(str, files)


def _sign_in(c: Any, env: Mapping[str, str]) -> type:
    """Return the authenticator that BOOTCAMP_SIGN_IN names, set up from its variables."""
    kind = _said(env, "BOOTCAMP_SIGN_IN") or "password"
    if kind == "password":
        from jupyterhub.authenticators.shared import SharedPasswordAuthenticator

        c.SharedPasswordAuthenticator.user_password = _given(env, "BOOTCAMP_PASSWORD")
        return SharedPasswordAuthenticator
    if kind not in ("github", "google", "oauth"):
        raise BootcampError(f"BOOTCAMP_SIGN_IN={kind}: expected password, github, google or oauth.")
    c.OAuthenticator.client_id = _given(env, "OAUTH_CLIENT_ID")
    c.OAuthenticator.client_secret = _given(env, "OAUTH_CLIENT_SECRET")
    c.OAuthenticator.oauth_callback_url = _given(env, "OAUTH_CALLBACK_URL")
    if kind == "github":
        from oauthenticator.github import GitHubOAuthenticator

        organizations = env.get("GITHUB_ORGANIZATIONS", "").split()
        c.GitHubOAuthenticator.allowed_organizations = set(organizations)
        c.GitHubOAuthenticator.scope = ["read:org"] if organizations else []
        found: type = GitHubOAuthenticator
    elif kind == "google":
        from oauthenticator.google import GoogleOAuthenticator

        c.GoogleOAuthenticator.hosted_domain = env.get("GOOGLE_DOMAINS", "").split()
        found = GoogleOAuthenticator
    else:
        from oauthenticator.generic import GenericOAuthenticator

        c.GenericOAuthenticator.authorize_url = _given(env, "OAUTH_AUTHORIZE_URL")
        c.GenericOAuthenticator.token_url = _given(env, "OAUTH_TOKEN_URL")
        c.GenericOAuthenticator.userdata_url = _given(env, "OAUTH_USERDATA_URL")
        c.GenericOAuthenticator.username_claim = _said(env, "OAUTH_USERNAME_CLAIM") or "preferred_username"
        c.GenericOAuthenticator.scope = (_said(env, "OAUTH_SCOPE") or "openid profile").split()
        found = GenericOAuthenticator
    return found


def _said(env: Mapping[str, str], name: str) -> str:
    """Return a variable without blanks around it; "" when it is missing, or all blank."""
    return env.get(name, "").strip()


def _given(env: Mapping[str, str], name: str) -> str:
    """Return a variable. Raises: BootcampError when it is missing or empty: an empty secret is none."""
    if not (value := _said(env, name)):
        raise BootcampError(f"{name} is not set, or is empty. See docker/README.md, signing in.")
    return value
