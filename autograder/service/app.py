"""A desk, a Hub to ask and a prefix in; a Tornado application out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from functools import partial
from importlib import resources
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined
from jupyterhub.services.auth import HubOAuth
from tornado import httpserver, web

from autograder.metrics.answers import Answers
from autograder.pages.models import EstimateView, ExerciseRow, PointsCell, help_of
from autograder.pages.wording import plain, whole
from autograder.service.api import N_UNPACKING
from autograder.service.checker import Checker, Graders
from autograder.service.counter import Counter
from autograder.service.desk import Desk
from autograder.service.feedback import Feedback
from autograder.service.handlers import Asset
from autograder.service.monitoring import registry_of
from autograder.service.routes import ROUTES
from autograder.service.shell import NotFound

# A right that an organizer takes away must be gone within this time; the mixin's own default is 300 s.
CACHE_MAX_AGE_S = 30
MAX_BODY_BYTES = 64 * 1024
_KINDS: Mapping[str, str] = MappingProxyType(
    {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}
)


def make_app(desk: Desk, hub_auth: HubOAuth, prefix: str, hub_prefix: str, graders: Graders | None = None) -> web.Application:
    """Return the application, answering below `prefix`. Both prefixes begin and end with a slash.

    `graders` check single exercises, where the course allows that.
    """
    hub_auth.cache_max_age = CACHE_MAX_AGE_S
    placed, files, registry = templates(), assets(), registry_of(desk)
    render = Feedback(desk.catalog, placed, files["style.css"].content.decode())
    return web.Application(
        [(prefix + route.path, route.handler, {"needs": route.needs}) for route in ROUTES],
        default_handler_class=NotFound,
        routes=ROUTES,
        desk=desk,
        checker=Checker(desk.exchange, graders, desk.clock),
        counter=Counter(desk.exchange, render, prefix),
        hub_auth=hub_auth,
        prefix=prefix,
        hub_prefix=hub_prefix,
        templates=placed,
        assets=files,
        registry=registry,
        answers=Answers(registry, {route.handler: route.path for route in ROUTES}),
        unpacking=asyncio.Semaphore(N_UNPACKING),
        # Sessions end with the process; the Hub signs a person in again without asking.
        cookie_secret=os.urandom(32),
    )


def make_server(application: web.Application) -> httpserver.HTTPServer:
    """Return a server that believes the Hub's proxy about addresses and reads no large body, but where a route takes one."""
    return httpserver.HTTPServer(application, xheaders=True, max_body_size=MAX_BODY_BYTES)


def templates() -> Environment:
    """Return the templates: everything that they place is escaped, and a name that they do not know is an error."""
    environment = Environment(
        loader=PackageLoader("autograder.service"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["whole"] = whole
    environment.globals.update(
        row_help=partial(help_of, ExerciseRow), cell_help=partial(help_of, PointsCell), estimate_help=partial(help_of, EstimateView)
    )
    return environment


def assets() -> dict[str, Asset]:
    """Read the files that pages refer to."""
    folder = resources.files("autograder.service") / "static"
    found = [f for f in folder.iterdir() if f.is_file() and f.name[f.name.rfind(".") :] in _KINDS]
    return {f.name: Asset(f.read_bytes(), _KINDS[f.name[f.name.rfind(".") :]]) for f in found}
