"""Accounts, ports and folders in; settings.json out, and back: what docker/jupyterhub_config.py is told."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from autograder.errors import BootcampError
from autograder.service.roles import ROLES

SETTINGS_VARIABLE = "BOOTCAMP_HUB"  # names the settings file to the Hub's configuration
_PASSWORD_BYTES = 12
# A name becomes a folder under users/ and a part of addresses; the Hub itself lower-cases names.
_NAME = re.compile(r"[a-z][a-z0-9]*([._-][a-z0-9]+)*")
_MAX_NAME_CHARS = 64


def is_account(name: str) -> bool:
    """Say whether the name can be one of the Hub's accounts."""
    return len(name) <= _MAX_NAME_CHARS and _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Accounts:
    """Who may log in, and as what. A name may stand under one role only."""

    students: tuple[str, ...]
    instructors: tuple[str, ...] = ()
    organizers: tuple[str, ...] = ()
    mentors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = self.all()
        for name in names:
            if not is_account(name):
                raise BootcampError(
                    f"{name!r} cannot be an account: expected at most {_MAX_NAME_CHARS} lower-case letters and digits,"
                    ' a letter first, with single ".", "_" or "-" between them.'
                )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BootcampError(f"an account has one role, but these stand twice: {', '.join(twice)}.")

    def of(self, role: str) -> tuple[str, ...]:
        """Return the names that play the role."""
        names: tuple[str, ...] = getattr(self, f"{role}s")
        return names

    def all(self) -> tuple[str, ...]:
        return tuple(name for role in ROLES for name in self.of(role))


@dataclass(frozen=True)
class Ports:
    """Where the Hub's four parts listen on 127.0.0.1. Only `public` is for people."""

    public: int
    hub: int
    proxy_api: int
    service: int


@dataclass(frozen=True)
class HubSettings:
    """What one run of the Hub needs to know. `config` is the folder of jupyterhub_config.py and the roles' folders."""

    course_root: Path
    home: Path
    config: Path
    ledger_url: str
    accounts: Accounts
    ports: Ports
    n_workers: int = 0  # graders that the Hub starts, and starts again when one dies

    @property
    def folder(self) -> Path:
        """The Hub's own state: database, cookie secret, log, proxy files."""
        return self.home / "hub"

    @property
    def users(self) -> Path:
        """Home folders, one per account."""
        return self.home / "users"

    @property
    def log(self) -> Path:
        return self.folder / "jupyterhub.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.public}/"

    def password(self) -> str:
        """Return the accounts' shared password, drawn at the first call and kept where only its owner can read it."""
        path = self.folder / "password.txt"
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(_PASSWORD_BYTES) + "\n")
        return path.read_text("ascii").strip()

    def make_folders(self) -> None:
        """Create what the Hub works in, closed to other users of the machine."""
        for folder in (self.home, self.folder, self.users):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    def write(self) -> Path:
        """Write settings.json and return its path."""
        data = {**asdict(self), "course_root": str(self.course_root), "home": str(self.home), "config": str(self.config)}
        path = self.folder / "settings.json"
        # A ledger's address may hold a password, so nobody else reads this file.
        _write_private(path, json.dumps(data, indent=1) + "\n")
        return path

    @classmethod
    def read(cls, path: Path) -> HubSettings:
        """Return what `write` was told. Raises: BootcampError when the file is missing or damaged."""
        try:
            data = json.loads(path.read_text("utf-8"))
            accounts = Accounts(**{role: tuple(names) for role, names in data["accounts"].items()})
            paths = {key: Path(data[key]) for key in ("course_root", "home", "config")}
            return cls(
                **paths,
                ledger_url=data["ledger_url"],
                accounts=accounts,
                ports=Ports(**data["ports"]),
                n_workers=int(data["n_workers"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise BootcampError(f"{path}: not the Hub's settings ({e}). Start the Hub with `bootcamp serve`.") from None


def _write_private(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        f.write(text)
