"""An address and a Hub token in; what the bootcamp's service answers out. Standard library only: it runs in users' servers."""

from __future__ import annotations

import http.client
import io
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autograder.errors import BootcampError
from autograder.nbgrader_bridge.exchange.archive import Limits, pack, unpack

ADDRESS_VARIABLE = "BOOTCAMP_SERVICE"  # set by the Hub's configuration
TOKEN_VARIABLE = "JUPYTERHUB_API_TOKEN"  # set by the Hub
# What instructors release and collect may be larger than what students hand in.
RELEASE_LIMITS = Limits(n_files=500, file_bytes=64 << 20, total_bytes=96 << 20)
_TIMEOUT_S = 60.0
_MAX_JSON_BYTES = 32 << 20


class ServiceError(BootcampError):
    """The service refused, or did not answer; the message is for the person who asked."""


@dataclass(frozen=True)
class Client:
    """The service as one user sees it. `address` ends with a slash."""

    address: str
    token: str = field(repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Client:
        """Raises: ServiceError that names the variable which is missing."""
        for name in (ADDRESS_VARIABLE, TOKEN_VARIABLE):
            if not env.get(name):
                raise ServiceError(
                    f"{name} is not set, so the bootcamp's exchange cannot be reached. Servers that JupyterHub starts have it: "
                    "run the command in JupyterLab's terminal."
                )
        return cls(env[ADDRESS_VARIABLE].rstrip("/") + "/", env[TOKEN_VARIABLE])

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON that the service answers. Raises: ServiceError."""
        return self._json(self._ask("GET", path, query))

    def post(self, path: str, body: object = None) -> Any:
        """Send JSON, return JSON. Raises: ServiceError."""
        return self._json(self._ask("POST", path, {}, json.dumps(body).encode(), "application/json"))

    def delete(self, path: str) -> Any:
        """Raises: ServiceError."""
        return self._json(self._ask("DELETE", path, {}))

    def text(self, path: str) -> bytes:
        """Return a page as it is. Raises: ServiceError."""
        return self._ask("GET", path, {})

    def files(self, path: str) -> dict[str, bytes]:
        """Return the files of an archive, by name. Raises: ServiceError, RefusedFiles."""
        return unpack(io.BytesIO(self._ask("GET", path, {}, limit=RELEASE_LIMITS.archive_bytes)), RELEASE_LIMITS)

    def send_files(self, path: str, files: Mapping[str, bytes], limits: Limits) -> Any:
        """Send files as one archive, return the service's JSON. Raises: ServiceError, RefusedFiles."""
        return self._json(self._ask("POST", path, {}, pack(files, limits), "application/x-tar"))

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None = None,
        kind: str = "",
        limit: int = _MAX_JSON_BYTES,
    ) -> bytes:
        url = self.address + urllib.parse.quote(path) + ("?" + urllib.parse.urlencode(query) if query else "")
        headers = {"Authorization": f"token {self.token}", "Accept": "application/json"}
        if kind:
            headers["Content-Type"] = kind
        request = urllib.request.Request(url, body, headers, method=method)
        # No proxy from the environment and no redirect: the token is for this address alone.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
        try:
            with opener.open(request, timeout=_TIMEOUT_S) as reply:
                content: bytes = reply.read(limit + 1)
        except urllib.error.HTTPError as e:
            raise ServiceError(_refusal(e)) from None
        except (OSError, http.client.HTTPException) as e:
            reason = getattr(e, "reason", e)
            raise ServiceError(
                f"the bootcamp's service does not answer ({reason}). Nothing was changed; try again in a minute."
            ) from None
        if len(content) > limit:
            raise ServiceError(f"the service's answer is longer than {limit} bytes.")
        return content

    def _json(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError:
            raise ServiceError("the service's answer cannot be read. Is BOOTCAMP_SERVICE the bootcamp's address?") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kw: object) -> None:
        return None


def _refusal(error: urllib.error.HTTPError) -> str:
    """The service's own words, else what the status means."""
    try:
        said = json.loads(error.read(65536))["error"]
        if isinstance(said, str) and said:
            return said
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if error.code in (302, 401, 403):
        return "the Hub does not let this account into the bootcamp. Restart your server (File > Hub Control Panel) and try again."
    return f"the service answered {error.code} {error.reason}."
