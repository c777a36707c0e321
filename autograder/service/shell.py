"""A request in, headers, errors and identity around every page out: nothing here knows what a page shows.

The order is fixed: method, then who it is, then what they may, and only then the page looks at parameters. All of it
stands in `prepare`, which Tornado runs before the handler's own method.
"""

from __future__ import annotations

import http.client
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from jinja2 import Environment
from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from tornado import web

from autograder.service.navigation import links
from autograder.service.roles import INSIDE, PUBLIC

_HEADERS: Mapping[str, str] = {
    # No script and no style but our files, no frame of a stranger: what a student writes can only ever be text. The one
    # script (htmx) asks our own addresses only, and is told to evaluate nothing.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Results of one person must not lie in a cache that the next one reads.
    "Cache-Control": "no-store",
}

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_EXPLANATIONS: Mapping[int, str] = {
    400: "The address holds something that we cannot read.",
    403: "Your account may not see this page. If it should, ask an organizer to change your role.",
    404: "There is no such page, or it is not yours to see.",
    405: "This page can only be read.",
    409: "Somebody recorded something meanwhile. Go back, look at the page again, and decide then. Nothing was changed.",
    500: "That is our fault. Nothing of yours is lost, and no result changes because of it.",
    503: "That is our fault: the records cannot be read just now. No result changes because of it.",
}


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Viewer:
    """Who looks: the Hub's name and the scopes that the Hub granted, at most 30 s old."""

    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    def can(self, needed: str) -> bool:
        """Whether a route that takes this is open to somebody who was let in."""
        return needed in (PUBLIC, INSIDE) or self.may(needed)


class Shell(web.RequestHandler):
    """Security headers and error pages, for every answer that we give."""

    viewer: Viewer | None = None
    needs: Mapping[str, str] = MappingProxyType({})

    def on_finish(self) -> None:
        self.settings["answers"].observe(self)

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Show what happened in plain words; what exactly broke goes to the log under the number that is shown."""
        incident = ""
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.needs))
        if status_code >= 500:
            incident = secrets.token_hex(4)
            _log.error("incident %s: %s %s", incident, self.request.method, self.request.path)
        reason = http.client.responses.get(status_code, "Error")
        text = _EXPLANATIONS.get(status_code, _EXPLANATIONS[500 if status_code >= 500 else 400])
        self.place("error.html", status=status_code, reason=reason, text=text, incident=incident)

    def place(self, template: str, **values: Any) -> None:
        """Fill a template and end the request."""
        environment: Environment = self.settings["templates"]
        self.set_header("Content-Type", "text/html; charset=utf-8")
        viewer = self.viewer
        around = {
            "prefix": self.settings["prefix"],
            "hub": self.settings["hub_prefix"],
            "course": self.settings["desk"].catalog.title,
            "viewer": viewer,
            "links": links(viewer.may) if viewer else [],
            "xsrf": self.page_token(),
            "live": False,
            "here": "",
        }
        self.finish(environment.get_template(template).render({**around, **values}))

    def hand(self, kind: str, name: str, content: bytes) -> None:
        """Hand over a file to keep and end the request; `name` is ours."""
        self.set_header("Content-Type", kind)
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.finish(content)

    def page_token(self) -> str:
        """Return what a form on this page proves itself with; "" where nobody is signed in by cookie."""
        return ""


class NotFound(Shell):
    """Every address that the routing table does not hold, by any method."""

    def prepare(self) -> None:
        raise web.HTTPError(404)


class Guarded(HubOAuthenticated, Shell):
    """A handler behind the routing table: `needs` maps each method that it answers to the scope that it takes.

    `kinds` are those of the Hub that it answers: people, unless a handler says otherwise.
    """

    kinds = frozenset({"user"})

    def initialize(self, needs: Mapping[str, str]) -> None:
        self.needs = needs

    @property
    def hub_auth(self) -> HubOAuth:
        auth: HubOAuth = self.settings["hub_auth"]
        return auth

    async def prepare(self) -> None:
        needed = self.needs.get(self.request.method or "")
        if needed is None:
            raise web.HTTPError(405)
        if needed == PUBLIC:
            return
        # The Hub's mixin accepts a cookie for a writing method only together with the page's own XSRF token, so a form
        # on a stranger's page is nobody here.
        model = await self.hub_auth.get_user(self, sync=False)
        if model is None:
            self.stranger()
            return
        scopes = frozenset(model.get("scopes", ()))
        if model.get("kind") not in self.kinds or not self.hub_auth.check_scopes(self.hub_scopes, model):
            raise web.HTTPError(403)
        self.viewer = Viewer(model["name"], scopes)
        # Else the Hub's mixin would ask the Hub once more to make the page's token, and hold up everybody while it waits.
        self.current_user = model
        if not self.viewer.can(needed):
            raise web.HTTPError(403)

    def stranger(self) -> None:
        """Answer somebody whom the Hub does not know: sent to sign in, or refused where that cannot help."""
        # A script that asks for a piece of a page must not get the sign-in form in its place.
        if self.request.method not in _SAFE_METHODS or self.request.headers.get("HX-Request"):
            raise web.HTTPError(403)
        self.redirect(self.get_login_url())

    def page_token(self) -> str:
        if self.viewer is None or getattr(self, "_token_authenticated", False):
            return ""
        token = self.xsrf_token
        return token.decode() if isinstance(token, bytes) else str(token)


class Callback(HubOAuthCallbackHandler, Shell):
    """Where the Hub sends a browser back after the login."""

    @property
    def hub_auth(self) -> HubOAuth:
        auth: HubOAuth = self.settings["hub_auth"]
        return auth

    def initialize(self, needs: Mapping[str, str]) -> None:
        self.needs = needs

    def prepare(self) -> None:
        if self.request.method not in self.needs:
            raise web.HTTPError(405)
