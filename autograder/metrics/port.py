"""An address and a registry in; the registry as text for whoever asks that port, out. For graders, which serve nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from autograder.errors import BootcampError

_ADDRESS = re.compile(r"(?:(?P<host>[0-9A-Za-z.-]+|\[[0-9a-fA-F:]+\]):)?(?P<port>\d{1,5})")
_HOST = "127.0.0.1"


def parse(address: str) -> tuple[str, int]:
    """Return host and port of "[HOST:]PORT"; the host is loopback unless named. Raises: BootcampError."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise BootcampError(f'metrics at "{address}": expected PORT or HOST:PORT, as in 9101 or 0.0.0.0:9101.')
    return (found["host"] or _HOST).strip("[]"), int(found["port"])


def registry() -> CollectorRegistry:
    """Return a registry that tells of this process already."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    return made


@contextmanager
def served(address: str, of: CollectorRegistry) -> Iterator[None]:
    """Serve the registry in a thread, for as long as the context lasts. Raises: BootcampError when the port is taken."""
    host, port = parse(address)
    try:
        server, thread = start_http_server(port, host, of)
    except OSError as e:
        raise BootcampError(f"metrics at {host}:{port}: {e.strerror}. Name another port, or none.") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
