"""A stand-in for the Hub out, with what a Hub tells a service that it starts: for what measures the service over HTTP."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from autograder.service.roles import ENTER, ROLES, SERVICE

PREFIX = f"/services/{SERVICE}/"


class _Hub(BaseHTTPRequestHandler):
    """Says that a token is a person of that name, with the scopes of the role of that name: students, where there is none."""

    def do_GET(self) -> None:
        name = self.headers.get("Authorization", "").removeprefix("token ")
        scopes = [ENTER, *ROLES.get(name, ())]
        body = json.dumps({"name": name, "kind": "user", "admin": False, "groups": [], "scopes": scopes}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def hub_for_service() -> Iterator[tuple[int, dict[str, str]]]:
    """Run the stand-in; yield a free port for the service, and the variables that say so to it."""
    hub = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = int(s.getsockname()[1])
    try:
        yield (
            port,
            {
                "OMP_NUM_THREADS": "1",
                "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}",
                "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
                "JUPYTERHUB_API_TOKEN": "bench",
                "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub.server_port}/hub/api",
                "JUPYTERHUB_CLIENT_ID": "service-bootcamp",
                "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([ENTER]),
            },
        )
    finally:
        hub.shutdown()
