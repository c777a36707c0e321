"""The routing table: address -> handler -> what each method takes. The one place where access is granted.

A method that stands here with a scope is refused to everybody without it, one that does not stand here is refused to
everybody with 405, and an address that does not stand here does not exist. A test asks every line of it in every role.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tornado import web

from autograder.service import handlers
from autograder.service.roles import FLAGS, READ_ALL
from autograder.service.shell import INSIDE, PUBLIC, Callback

# Ids and pseudonyms are ours and consist of these; anything else is no such page.
_ID = r"([0-9A-Za-z_-]{1,64})"


@dataclass(frozen=True)
class Route:
    """One line of the table. `path` follows the service's prefix and is a regular expression."""

    path: str
    handler: type[web.RequestHandler]
    needs: Mapping[str, str]


def _get(path: str, handler: type[web.RequestHandler], scope: str) -> Route:
    return Route(path, handler, MappingProxyType({"GET": scope}))


ROUTES: tuple[Route, ...] = (
    _get("", handlers.Start, INSIDE),
    _get("me", handlers.OwnWork, INSIDE),
    _get(f"me/attempt/{_ID}", handlers.OwnAttempt, INSIDE),
    _get("cohort", handlers.Cohort, READ_ALL),
    _get(f"cohort/student/{_ID}", handlers.Person, FLAGS),
    _get(f"cohort/student/{_ID}/attempt/{_ID}", handlers.PersonAttempt, FLAGS),
    _get("healthz", handlers.Health, PUBLIC),
    _get(r"static/([a-z]+\.[a-z]+)", handlers.AssetFile, PUBLIC),
    _get("oauth_callback", Callback, PUBLIC),
)
