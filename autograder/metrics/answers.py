"""Answers of the exchange in, by route and never by address; how long they took, by method and status, out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Histogram
from tornado.web import RequestHandler

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_ELSE = "other"
# A group of a route's regular expression: what stands there may be a person's pseudonym, so the label says only that it varies.
_GROUP = re.compile(r"\((?:[^()\\]|\\.)*\)")


def template(path: str) -> str:
    """Return a route's path as a label: "me/attempt/{}" for every attempt."""
    return _GROUP.sub("{}", path).replace("\\.", ".")


class Answers:
    """Times answers. What no route knows, and methods that nobody defined, are one label: strangers choose both."""

    def __init__(self, registry: CollectorRegistry, routes: Mapping[type[RequestHandler], str]) -> None:
        self._templates = {handler: template(path) for handler, path in routes.items()}
        self.seconds = Histogram(
            "bootcamp_http_seconds",
            "An answer, from the request's last byte to the answer's.",
            ["route", "method", "status"],
            buckets=_SECONDS,
            registry=registry,
        )

    def observe(self, handler: RequestHandler) -> None:
        """Count one answer; called when it is finished."""
        method = handler.request.method
        known = method if method in RequestHandler.SUPPORTED_METHODS else _ELSE
        route = self._templates.get(type(handler), _ELSE)
        self.seconds.labels(route, known, str(handler.get_status())).observe(handler.request.request_time())
