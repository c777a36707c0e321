"""people.toml in; who may sign in, and the Hub groups of everybody, out. Read again at every sign-in and refresh.

The file is the only word on rights: a name that is taken out of it loses them within the Hub's refresh age, because the
authenticator hands the Hub a person's whole list of groups. A database that outlives a start would keep them.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autograder.errors import BootcampError
from autograder.service.hub import Accounts
from autograder.service.roles import CUSTOM_SCOPES, ENTER, MONITOR, MONITOR_SCOPES, ROLES, SERVICE, group

EVERYONE: Literal["everyone"] = "everyone"


@dataclass(frozen=True)
class People:
    """Who plays which role. `is_open`: everyone whom the sign-in accepts is a student."""

    accounts: Accounts
    is_open: bool

    @classmethod
    def read(cls, path: Path) -> People:
        """Raises: BootcampError that names the file and what stands wrong in it."""
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as e:
            raise BootcampError(f"{path}: cannot be read ({e}). See docker/compose/people.toml for an example.") from None
        known = [f"{role}s" for role in ROLES]
        if unknown := sorted(set(data) - set(known)):
            raise BootcampError(f"{path}: unknown role {', '.join(unknown)}. Expected {', '.join(known)}.")
        is_open = data.get("students") == EVERYONE
        try:
            lists = {key: _names(path, key, [] if is_open and key == "students" else data.get(key, [])) for key in known}
            return cls(Accounts(**lists), is_open)
        except BootcampError as e:
            raise BootcampError(f"{path}: {e}" if str(path) not in str(e) else str(e)) from None

    def groups(self, name: str) -> list[str] | None:
        """Return the person's groups, None for a person who may not come in."""
        roles = [role for role in ROLES if name in self.accounts.of(role)]
        if not roles and not self.is_open:
            return None
        return [group(role) for role in roles or ["student"]]


def rights(is_monitored: bool = False) -> dict[str, Any]:
    """Return JupyterHub's custom_scopes and load_roles: group -> role -> scopes; and those of Prometheus, if it may ask."""
    roles = [{"name": group(role), "groups": [group(role)], "scopes": [ENTER, *scopes]} for role, scopes in ROLES.items()]
    monitor = {"name": MONITOR, "services": [MONITOR], "scopes": list(MONITOR_SCOPES)}
    return {
        "custom_scopes": {scope: {"description": text} for scope, text in CUSTOM_SCOPES.items()},
        "load_roles": [*roles, *([monitor] if is_monitored else [])],
    }


def service(url: str, **more: Any) -> dict[str, Any]:
    """Return the service's entry in JupyterHub's list of services."""
    scopes = list(CUSTOM_SCOPES)
    return {"name": SERVICE, "url": url, "oauth_no_confirm": True, "oauth_client_allowed_scopes": scopes, **more}


# A server's own token may ask the bootcamp's service what its user may ask there, and nothing else that the user may: the
# Hub gives it those of these scopes that the user holds.
SERVER_TOKEN_SCOPES = ("users:activity!user", "access:servers!server", ENTER, *CUSTOM_SCOPES)


def listed(authenticator: type, path: Path) -> type:
    """Return the authenticator with people.toml's word added: who is not listed is refused, groups are those listed.

    A file that cannot be read lets nobody in.
    """

    class Listed(authenticator):
        async def run_post_auth_hook(self, handler: Any, auth_model: dict[str, Any] | None) -> dict[str, Any] | None:
            found = await super().run_post_auth_hook(handler, auth_model)
            return self._with_groups(found) if found else None

        async def refresh_user(self, user: Any, handler: Any = None, **more: Any) -> dict[str, Any] | bool:
            found = await super().refresh_user(user, handler, **more)
            if not found:
                return False
            model = {"name": user.name} if found is True else found
            return self._with_groups(model) or False

        def _with_groups(self, model: dict[str, Any]) -> dict[str, Any] | None:
            try:
                groups = People.read(path).groups(model["name"])
            except BootcampError as e:
                self.log.error("nobody is let in: %s", e)
                return None
            if groups is None:
                self.log.warning("%s does not stand in %s", model["name"], path)
                return None
            return {**model, "groups": groups}

    Listed.__name__ = f"Listed{authenticator.__name__}"
    return Listed


def _names(path: Path, key: str, found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        every = f', or "{EVERYONE}"' if key == "students" else ""
        raise BootcampError(f"{path}: {key} = {found!r}: expected a list of names{every}.")
    return tuple(found)
