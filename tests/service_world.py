"""The real application on a real socket, and a Hub in miniature that says who a token is: as much of a Hub as the service asks.

The Hub's own side is tested against a real JupyterHub in tests/browser.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from jupyterhub.services.auth import HubOAuth
from tornado import httpserver, netutil, web

from autograder.service.app import make_app, make_server
from autograder.service.desk import Desk
from autograder.service.roles import ENTER, ROLES, SERVICE

PREFIX = f"/services/{SERVICE}/"
NAMES = {"student": "ada", "instructor": "ines", "organizer": "olga", "mentor": "mila"}


@dataclass
class Answer:
    """What the service answered."""

    status: int
    headers: http.client.HTTPMessage
    body: str


@dataclass
class TinyHub:
    """Answers GET /hub/api/user: token -> the user model of the Hub's documentation."""

    models: dict[str, dict] = field(default_factory=dict)

    def let_in(self, token: str, name: str, scopes: tuple[str, ...], kind: str = "user") -> None:
        self.models[token] = {"name": name, "kind": kind, "admin": False, "groups": [], "scopes": list(scopes)}

    def app(self) -> web.Application:
        hub = self

        class User(web.RequestHandler):
            def get(self) -> None:
                token = self.request.headers.get("Authorization", "").removeprefix("token ")
                if token not in hub.models:
                    raise web.HTTPError(403)
                self.write(hub.models[token])

        return web.Application([("/hub/api/user", User)])


@dataclass
class World:
    """The running service. Tokens of the roles are their names."""

    port: int
    hub: TinyHub
    settings: dict[str, Any]

    @property
    def cookie_secret(self) -> bytes:
        return self.settings["cookie_secret"]

    def ask(
        self, path: str, role: str | None = None, method: str = "GET", body: str | bytes | None = None, **headers: str
    ) -> Answer:
        """Send one request below the prefix, with the role's token; redirects are not followed."""
        if role:
            headers["Authorization"] = f"token {role}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, PREFIX + path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers, reply.read().decode())
        finally:
            connection.close()


@contextmanager
def serving(desk: Desk) -> Iterator[World]:
    """Serve the desk to one person of every role."""
    hub = TinyHub()
    for role, name in NAMES.items():
        hub.let_in(role, name, (ENTER, *ROLES[role]))
    sockets = [netutil.bind_sockets(0, "127.0.0.1")[0] for _ in range(2)]
    hub_port, port = (s.getsockname()[1] for s in sockets)
    auth = HubOAuth(
        base_url=PREFIX,
        api_url=f"http://127.0.0.1:{hub_port}/hub/api",
        api_token="the service's own",
        oauth_client_id="service-bootcamp",
        access_scopes={ENTER},
    )
    app = make_app(desk, auth, PREFIX, "/hub/")
    loop = asyncio.new_event_loop()
    servers: list[httpserver.HTTPServer] = []

    async def start() -> None:
        servers.extend((httpserver.HTTPServer(hub.app()), make_server(app)))
        for server, one in zip(servers, sockets, strict=True):
            server.add_sockets([one])

    async def stop() -> None:
        for server in servers:
            server.stop()
            await server.close_all_connections()
        await loop.shutdown_default_executor()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield World(port, hub, app.settings)
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


class Text(HTMLParser):
    """The elements and the visible words of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def as_json(answer: Answer) -> dict:
    return json.loads(answer.body)
